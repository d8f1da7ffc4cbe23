//! STARTTLS (RFC 6120 §5).

use super::{AcceptLogin, AcceptStep, Bits, InitiateLogin, InitiateStep, Progress, Then};
use crate::{
    ns,
    stream::{InitiateError, StreamCondition, StreamError},
    xml::{Document, Node, Writer},
};
use bytes::Bytes;

/// Both sides of STARTTLS. It comes before SASL and never after (§5.3.4).
#[derive(Debug)]
pub(super) struct StartTls;

const COMMAND: &[u8] = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const PROCEED: &[u8] = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const FAILURE: &[u8] = b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

impl AcceptStep for StartTls {
    fn needs(&self) -> Bits {
        Bits::NONE
    }

    fn forbids(&self) -> Bits {
        Bits::TLS | Bits::AUTHENTICATED | Bits::BOUND
    }

    fn advertise(&self, login: &AcceptLogin, features: &mut Writer) {
        features.open("starttls", ns::TLS);
        if login.config.require_tls {
            features.open("required", ns::TLS).close();
        }
        features.close();
    }

    fn takes(&self, element: Node<'_>) -> bool {
        element.ns() == ns::TLS
    }

    fn element(&self, _login: &mut AcceptLogin, element: Document) -> Progress<StreamError> {
        if element.root().name() != "starttls" {
            return StreamCondition::UnsupportedStanzaType.into();
        }
        Progress::write(Bytes::from_static(PROCEED)).and(Then::StartTls)
    }

    /// TLS inside TLS, or after login: the failure case, which closes the stream (§5.4.2.2).
    fn untimely(&self, _bits: Bits, _element: Document) -> Progress<StreamError> {
        Progress::write(Bytes::from_static(FAILURE)).and(Then::Close)
    }
}

impl InitiateStep for StartTls {
    fn needs(&self) -> Bits {
        Bits::NONE
    }

    fn forbids(&self) -> Bits {
        Bits::TLS | Bits::AUTHENTICATED
    }

    fn start(&self, login: &mut InitiateLogin, features: Node<'_>) -> Option<Progress<InitiateError>> {
        if features.child("starttls", ns::TLS).is_some() {
            return Some(Progress::write(Bytes::from_static(COMMAND)));
        }
        // Whoever strips the offer must not get the password (§13.9.4).
        login.config.require_tls.then(|| Progress::then(Then::Fail(InitiateError::NoTls)))
    }

    fn element(&self, _login: &mut InitiateLogin, element: &Document) -> Option<Progress<InitiateError>> {
        let root = element.root();
        match root.name() {
            _ if root.ns() != ns::TLS => None,
            "proceed" => Some(Progress::then(Then::StartTls)),
            "failure" => Some(Progress::then(Then::Fail(InitiateError::NoTls))),
            _ => None,
        }
    }
}
