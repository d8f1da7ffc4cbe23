//! How a stream of messages is read (RFC 7395 §3.3): its header, its end and its elements are all alike on the wire.

use super::{Accept, Output};
use crate::{
    ns,
    stream::{
        StreamCondition, StreamError,
        framing::frames::{NORMAL, NOT_UTF8},
        header::Header,
        input::Refused,
    },
    xml::{Document, Scope},
};
use bytes::Bytes;

impl Accept {
    /// A message (RFC 7395 §3.3.3): a document of its own.
    pub(super) fn message(&mut self, bytes: Bytes) -> Option<Output> {
        let wrong = |condition, text: &str| StreamError::new(condition).text(text);
        if bytes.first() != Some(&b'<') {
            self.fail(wrong(StreamCondition::NotWellFormed, "a message begins with '<'"));
            return None;
        }
        if bytes.starts_with(b"<stream:stream") {
            // §3.3.2.
            self.fail(wrong(StreamCondition::InvalidNamespace, "a stream begins with <open/> here"));
            return None;
        }
        let document = match Document::parse_document(bytes.clone()) {
            Ok(document) => document,
            Err(error) => {
                let code = if std::str::from_utf8(&bytes).is_err() { NOT_UTF8 } else { NORMAL };
                self.refuse(Refused(error.into(), code));
                return None;
            }
        };
        let root = document.root();
        match (root.ns(), root.name()) {
            (ns::FRAMING, "open") if self.open => {
                self.fail(wrong(StreamCondition::UnsupportedStanzaType, "a second stream header"));
            }
            (ns::FRAMING, "open") => self.header(Header::of(root, Scope::new("")), Ok(())),
            (ns::FRAMING, "close") => self.finish(None, NORMAL),
            (_, "open" | "close") => self.fail(StreamCondition::InvalidNamespace.into()),
            _ if self.open => return self.element(document),
            _ => self.fail(wrong(StreamCondition::BadFormat, "a stream begins with <open/> here")),
        }
        None
    }
}
