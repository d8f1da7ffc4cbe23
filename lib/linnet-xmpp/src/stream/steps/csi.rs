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
        match self.bind_control(element.root()) {
            Some(control) => Progress::then(Then::Control(control)),
            None => StreamCondition::UnsupportedStanzaType.into(),
        }
    }

    fn bind_feature(&self) -> Option<&'static str> {
        Some(ns::CLIENT_STATE)
    }

    fn bind_control(&self, child: Node<'_>) -> Option<Control> {
        match child.name() {
            _ if child.ns() != ns::CLIENT_STATE => None,
            "active" => Some(Control::Active(true)),
            "inactive" => Some(Control::Active(false)),
            _ => None,
        }
    }
}
