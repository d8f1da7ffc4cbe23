//! The session request of RFC 3921 §3. It has no effect; old clients send it and wait for the answer.

use super::{AcceptLogin, AcceptStep, Bits, InitiateLogin, InitiateStep, Progress, Then, bind};
use crate::{
    jid::Jid,
    ns,
    stanza::{Kind, Stanza, StanzaError, Type},
    stream::{InitiateError, Outcome, StreamCondition, StreamError},
    xml::{Document, Node, Writer},
};
use bytes::Bytes;

/// Both sides of the session request.
#[derive(Debug)]
pub(super) struct Session;

const ID: &str = "session";

impl AcceptStep for Session {
    fn needs(&self) -> Bits {
        Bits::AUTHENTICATED
    }

    fn forbids(&self) -> Bits {
        Bits::NONE
    }

    fn advertise(&self, login: &AcceptLogin, features: &mut Writer) {
        if login.address.is_none() {
            features.open("session", ns::SESSION).open("optional", ns::SESSION).close().close();
        }
    }

    fn takes(&self, element: Node<'_>) -> bool {
        bind::request(element, "session", ns::SESSION)
    }

    fn element(&self, _login: &mut AcceptLogin, element: Document) -> Progress<StreamError> {
        answer(element)
    }

    fn untimely(&self, _bits: Bits, _element: Document) -> Progress<StreamError> {
        StreamCondition::NotAuthorized.into()
    }

    fn after_bound(&self, _address: &Jid, element: Document) -> Progress<StreamError> {
        answer(element)
    }
}

fn answer(element: Document) -> Progress<StreamError> {
    match Stanza::read(element) {
        Some(Ok(iq)) => bind::write(&iq.result(Bytes::new())),
        Some(Err(rejected)) => bind::refuse(&rejected.stanza, &rejected.error),
        None => StreamCondition::UnsupportedStanzaType.into(),
    }
}

impl InitiateStep for Session {
    fn needs(&self) -> Bits {
        Bits::BOUND
    }

    fn forbids(&self) -> Bits {
        Bits::NONE
    }

    fn start(&self, login: &mut InitiateLogin, features: Node<'_>) -> Option<Progress<InitiateError>> {
        // A session that goes on was asked for when it began.
        if matches!(login.outcome, Outcome::Resumed(_)) {
            return None;
        }
        let offer = features.child("session", ns::SESSION)?;
        if offer.child("optional", ns::SESSION).is_some() {
            return None;
        }
        let mut payload = Writer::new(ns::CLIENT);
        payload.open("session", ns::SESSION).close();
        Some(bind::write(&Stanza::new(Kind::Iq, Type::Set, payload.finish()).id(Some(ID))))
    }

    fn element(&self, _login: &mut InitiateLogin, element: &Document) -> Option<Progress<InitiateError>> {
        let Some(Ok(iq)) = Stanza::read(element.clone()) else { return None };
        if iq.kind != Kind::Iq || iq.id.as_deref() != Some(ID) {
            return None;
        }
        match iq.ty {
            Type::Result => Some(Progress::then(Then::Next)),
            Type::Error => {
                let error = StanzaError::read(&iq).unwrap_or_else(|| bind::UNKNOWN.into());
                Some(Progress::then(Then::Fail(InitiateError::Bind(error))))
            }
            _ => None,
        }
    }
}
