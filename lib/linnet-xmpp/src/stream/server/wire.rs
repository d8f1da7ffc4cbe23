//! What both sides of a stream between servers share: frames become documents, and outputs wait in a queue.

use super::{Management, Pair, ServerError, ServerOutput};
use crate::{
    ns,
    stanza::Stanza,
    stream::{
        END, StreamCondition, StreamError,
        header::{self, Header, Reply},
        input::Cut,
    },
    xml::{Document, FrameKind, Node, Scope, XmlError},
};
use bytes::Bytes;
use std::collections::VecDeque;

/// The language of all texts that we send (RFC 6120 §4.7.4).
const LANG: &str = "en";

/// What the next move depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Input,
    /// A call of `secured`.
    Tls,
    /// A call of `identified`.
    Identity,
    Closed,
}

/// A frame, read.
#[derive(Debug)]
pub(super) enum Frame {
    Header(Header),
    Element(Document),
}

/// One side.
#[derive(Debug)]
pub(super) struct Wire {
    input: Cut,
    queue: VecDeque<ServerOutput>,
    /// Namespaces of the peer's header.
    scope: Scope,
    /// The peer's `xml:lang`, which its stanzas inherit.
    lang: Option<Box<str>>,
    pub(super) wait: Wait,
    /// Whether our header was sent and our end tag was not.
    open: bool,
    /// Most bytes that may come while we wait for an identity.
    ahead: usize,
}

impl Wire {
    pub(super) fn new(limit: usize) -> Wire {
        Wire {
            input: Cut::new(limit),
            queue: VecDeque::new(),
            scope: Scope::new(ns::SERVER),
            lang: None,
            wait: Wait::Input,
            open: false,
            ahead: limit,
        }
    }

    /// The oldest output that waits.
    pub(super) fn queued(&mut self) -> Option<ServerOutput> {
        let output = self.queue.pop_front();
        if self.queue.is_empty() && self.queue.capacity() > 4 {
            self.queue = VecDeque::new();
        }
        output
    }

    pub(super) fn push(&mut self, output: ServerOutput) {
        self.queue.push_back(output);
    }

    pub(super) fn write(&mut self, bytes: impl Into<Bytes>) {
        self.push(ServerOutput::Write(bytes.into()));
    }

    /// The next frame; `None`: there is none, or one was dealt with here and an output waits.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Option<Frame> {
        match self.wait {
            Wait::Input => {}
            // What came before TLS does not count inside it (RFC 6120 §5.4.3.3).
            Wait::Tls | Wait::Closed => {
                *input = &[];
                return None;
            }
            Wait::Identity => {
                if !self.input.keep(input, self.ahead) {
                    self.fail(XmlError::Limit("too much was sent ahead").into());
                }
                return None;
            }
        }
        loop {
            match self.input.next(input) {
                Ok(Some((FrameKind::Element, bytes))) => match Document::parse(bytes, &self.scope) {
                    Ok(document) => return Some(Frame::Element(document)),
                    Err(error) => self.fail(error.into()),
                },
                Ok(Some((FrameKind::Header, bytes))) => match header::read_with(bytes, ns::SERVER) {
                    Ok((header, namespaces)) => {
                        self.scope = header.scope.clone();
                        self.lang = header.lang.clone();
                        match namespaces {
                            Ok(()) => return Some(Frame::Header(header)),
                            Err(error) => self.fail(error),
                        }
                    }
                    Err(error) => self.fail(error.into()),
                },
                Ok(Some((FrameKind::Whitespace, _))) => continue,
                Ok(Some((FrameKind::End, _))) => self.finish(None),
                Ok(None) if self.open && self.input.holds_header() => {
                    self.fail(StreamError::new(StreamCondition::UnsupportedStanzaType).text("a second stream header"));
                }
                Ok(None) => {}
                Err(error) => self.fail(error.into()),
            }
            return None;
        }
    }

    /// Writes our header.
    pub(super) fn greet(&mut self, local: Option<&str>, remote: Option<&str>, id: Option<&str>, version: bool) {
        let mut out = Vec::with_capacity(256);
        let namespaces = b" xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'>";
        Reply { from: local, to: remote, id, lang: Some(LANG), version }.write_with(namespaces, &mut out);
        self.write(out);
        self.open = true;
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// The peer sends a new header on the same connection.
    pub(super) fn restart(&mut self) {
        self.input.restart();
        self.open = false;
    }

    /// TLS follows.
    pub(super) fn start_tls(&mut self) {
        self.push(ServerOutput::StartTls);
        self.input.discard();
        self.wait = Wait::Tls;
        self.open = false;
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.ahead = limit;
        self.input.set_limit(limit);
    }

    pub(super) fn discard(&mut self) {
        self.input.discard();
    }

    /// Ends the stream with an error of ours. Our header goes before it in any case (RFC 6120 §4.9.1.2).
    pub(super) fn fail(&mut self, error: StreamError) {
        if self.wait != Wait::Tls && self.wait != Wait::Closed {
            if !self.open {
                self.greet(None, None, None, true);
            }
            self.write(error.to_bytes());
        }
        self.finish(Some(error.into()));
    }

    /// Writes the end tag if our stream is open, and nothing after it.
    pub(super) fn finish(&mut self, error: Option<ServerError>) {
        if self.wait == Wait::Closed {
            return;
        }
        if self.open && self.wait != Wait::Tls {
            self.write(Bytes::from_static(END));
        }
        self.push(ServerOutput::Closed(error));
        self.wait = Wait::Closed;
        self.open = false;
        self.input.discard();
    }

    /// Reads a first-level element as a stanza that may go between these pairs, and puts it out. `proved`: says whether it
    /// may. Everything else ends the stream.
    pub(super) fn stanza(&mut self, document: Document, proved: impl Fn(&Pair) -> Result<(), StreamError>) {
        let Some(mut stanza) = Stanza::read(document) else {
            return self.fail(StreamCondition::UnsupportedStanzaType.into());
        };
        let head = match &stanza {
            Ok(stanza) => stanza,
            Err(rejected) => &rejected.stanza,
        };
        // RFC 6120 §8.1.1.2, §8.1.2.2: both are there.
        let (Some(from), Some(to)) = (&head.from, &head.to) else {
            let text = "a stanza between servers has 'from' and 'to'";
            return self.fail(StreamError::new(StreamCondition::ImproperAddressing).text(text));
        };
        if let Err(error) = proved(&Pair { local: to.domain().into(), remote: from.domain().into() }) {
            return self.fail(error);
        }
        if let (Some(lang), Ok(stanza)) = (&self.lang, &mut stanza) {
            stanza.lang.get_or_insert_with(|| lang.clone());
        }
        self.push(ServerOutput::Stanza(stanza));
    }
}

/// Reads an element of stream management; `None`: a count that is none.
pub(super) fn management(element: Node<'_>) -> Option<Management> {
    Some(match element.name() {
        "enable" => Management::Enable,
        "enabled" => Management::Enabled,
        "failed" => Management::Failed,
        "r" => Management::Request,
        "a" => Management::Handled(element.attr("h")?.parse().ok()?),
        _ => return None,
    })
}

/// A text for an element that a stream between servers has no use for.
pub(super) fn unknown() -> StreamError {
    StreamCondition::UnsupportedStanzaType.into()
}
