//! Client state indication (XEP-0352), the server's side: reads whether somebody looks at the client.

use super::{AcceptLogin, AcceptStep, Bits, Progress, Then};
use crate::{
    jid::Jid,
    ns,
    stream::{Control, StreamCondition, StreamError},
    xml::{Document, Node, Writer},
};

/// The step.
#[derive(Debug)]
pub struct ClientState;

impl AcceptStep for ClientState {
    fn needs(&self) -> Bits {
        Bits::AUTHENTICATED
    }

    fn forbids(&self) -> Bits {
        Bits::NONE
    }

    fn advertise(&self, _login: &AcceptLogin, features: &mut Writer) {
        features.open("csi", ns::CLIENT_STATE).close();
    }

    fn takes(&self, element: Node<'_>) -> bool {
        element.ns() == ns::CLIENT_STATE
    }

    fn element(&self, _login: &mut AcceptLogin, _element: Document) -> Progress<StreamError> {
        StreamCondition::NotAuthorized.into()
    }

    fn untimely(&self, _bits: Bits, _element: Document) -> Progress<StreamError> {
        StreamCondition::NotAuthorized.into()
    }

    fn after_bound(&self, _address: &Jid, element: Document) -> Progress<StreamError> {
        match element.root().name() {
            "active" => Progress::then(Then::Control(Control::Active(true))),
            "inactive" => Progress::then(Then::Control(Control::Active(false))),
            _ => StreamCondition::UnsupportedStanzaType.into(),
        }
    }
}
