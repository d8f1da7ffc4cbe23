//! The stream features that server features announce and that ask nothing of the stream itself, e.g. roster versioning
//! (RFC 6121 §2.6.1).

use linnet_xmpp::{
    stream::{
        AcceptStep, StreamCondition, StreamError,
        steps::{AcceptLogin, Bits, Progress},
    },
    xml::{Document, Node, Writer},
};

/// A step that only advertises, after login.
#[derive(Debug)]
pub struct Announce {
    elements: Vec<&'static str>,
}

impl Announce {
    /// Advertises these elements, canonical XML under `jabber:client`.
    pub fn new(elements: impl IntoIterator<Item = &'static str>) -> Announce {
        Announce { elements: elements.into_iter().collect() }
    }
}

impl AcceptStep for Announce {
    fn needs(&self) -> Bits {
        Bits::AUTHENTICATED
    }

    fn forbids(&self) -> Bits {
        Bits::BOUND
    }

    fn advertise(&self, _login: &AcceptLogin, features: &mut Writer) {
        for element in &self.elements {
            features.raw(element.as_bytes());
        }
    }

    fn takes(&self, _element: Node<'_>) -> bool {
        false
    }

    fn element(&self, _login: &mut AcceptLogin, _element: Document) -> Progress<StreamError> {
        StreamCondition::UnsupportedStanzaType.into()
    }

    fn untimely(&self, _bits: Bits, _element: Document) -> Progress<StreamError> {
        StreamCondition::UnsupportedStanzaType.into()
    }
}
