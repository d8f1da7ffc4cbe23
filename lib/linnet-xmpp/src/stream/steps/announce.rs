//! Features that are told after login and ask for no negotiation, e.g. roster versions (RFC 6121 §2.6.1) and the
//! server's capabilities (XEP-0115 §6.3).

use super::{AcceptLogin, AcceptStep, Bits, Progress};
use crate::{
    stream::{StreamCondition, StreamError},
    xml::{Document, Node, Writer},
};
use bytes::Bytes;

/// Feature elements, canonical under `jabber:client`.
#[derive(Debug)]
pub struct Announce(pub Bytes);

impl AcceptStep for Announce {
    fn needs(&self) -> Bits {
        Bits::AUTHENTICATED
    }

    fn forbids(&self) -> Bits {
        Bits::BOUND
    }

    fn advertise(&self, _login: &AcceptLogin, features: &mut Writer) {
        features.raw(&self.0);
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
