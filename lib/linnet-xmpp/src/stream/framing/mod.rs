//! How the elements of a stream are told apart on their way: as one long XML document (RFC 6120 §4), or each in a message
//! of a WebSocket (RFC 7395 §3.3). What the elements mean does not depend on it.

pub mod frames;
pub mod handshake;

use crate::{ns, xml::escape_attr};

/// A framing, as seen by who sends elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// One document: what is written stands in the namespaces of the stream header.
    #[default]
    Document,
    /// Messages that stand alone, in frames of a server, which are not masked.
    Messages,
}

impl Framing {
    /// The namespace that each stanza has to declare, for [`Stanza::write`](crate::Stanza::write).
    pub fn declared(self) -> Option<&'static str> {
        match self {
            Framing::Document => None,
            Framing::Messages => Some(ns::CLIENT),
        }
    }

    /// Before an element is appended; what this gives is for `end`.
    pub fn begin(self, out: &mut Vec<u8>) -> usize {
        match self {
            Framing::Document => 0,
            Framing::Messages => frames::begin(out),
        }
    }

    /// After it was appended.
    pub fn end(self, begun: usize, out: &mut Vec<u8>) {
        if self == Framing::Messages {
            frames::end(begun, out);
        }
    }

    /// Appends an element that is canonical inside a stream: one in the namespace `jabber:client` does not declare it, and
    /// the prefix `stream` means what it does in a stream header.
    pub fn element(self, element: &[u8], out: &mut Vec<u8>) {
        match self {
            Framing::Document => out.extend_from_slice(element),
            Framing::Messages => {
                let begun = frames::begin(out);
                stand_alone(element, out);
                frames::end(begun, out);
            }
        }
    }
}

/// Appends an element with the declarations that it would have from a stream header (RFC 7395 §3.3.3).
pub(super) fn stand_alone(element: &[u8], out: &mut Vec<u8>) {
    let is_name = |byte: &u8| !matches!(byte, b' ' | b'/' | b'>');
    let name = element.iter().take_while(|byte| is_name(byte)).count();
    let (start, rest) = element.split_at(name);
    out.extend_from_slice(start);
    match start {
        b"<iq" | b"<message" | b"<presence" if !rest.starts_with(b" xmlns=") => {
            write(b" xmlns='", ns::CLIENT, out);
        }
        _ if start.starts_with(b"<stream:") => write(b" xmlns:stream='", ns::STREAM, out),
        _ => {}
    }
    out.extend_from_slice(rest);
}

/// Appends `<close/>` (RFC 7395 §3.6); `elsewhere`: where the peer is to go instead (§3.6.1).
pub(super) fn write_close(elsewhere: Option<&str>, out: &mut Vec<u8>) {
    write(b"<close xmlns='", ns::FRAMING, out);
    if let Some(uri) = elsewhere {
        write(b" see-other-uri='", uri, out);
    }
    out.extend_from_slice(b"/>");
}

fn write(open: &[u8], value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(open);
    escape_attr(value, out);
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stand_alone_rfc7395_3_3_3() {
        let alone = |element: &str| {
            let mut out = Vec::new();
            stand_alone(element.as_bytes(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(alone("<iq id='1'/>"), "<iq xmlns='jabber:client' id='1'/>");
        assert_eq!(alone("<presence/>"), "<presence xmlns='jabber:client'/>");
        assert_eq!(alone("<message xmlns='jabber:client'/>"), "<message xmlns='jabber:client'/>");
        assert_eq!(alone("<a xmlns='urn:xmpp:sm:3' h='1'/>"), "<a xmlns='urn:xmpp:sm:3' h='1'/>");
        let features = "<stream:features xmlns:stream='http://etherx.jabber.org/streams'></stream:features>";
        assert_eq!(alone("<stream:features></stream:features>"), features);
    }
}
