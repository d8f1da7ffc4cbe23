//! Resource binding (RFC 6120 §7).

use super::{AcceptLogin, AcceptStep, Bits, InitiateLogin, InitiateStep, Progress, Then};
use crate::{
    jid::Jid,
    ns,
    stanza::{Condition, Kind, Stanza, StanzaError, Type},
    stream::{Answer, InitiateError, Need, StreamCondition, StreamError},
    xml::{Document, Node, Writer},
};

/// Both sides of resource binding.
#[derive(Debug)]
pub(super) struct Bind;

/// What stands for an error that says no condition.
pub(super) const UNKNOWN: Condition = Condition::UndefinedCondition;

const ID: &str = "bind";

impl AcceptStep for Bind {
    fn needs(&self) -> Bits {
        Bits::AUTHENTICATED
    }

    fn forbids(&self) -> Bits {
        Bits::NONE
    }

    fn advertise(&self, login: &AcceptLogin, features: &mut Writer) {
        if login.address.is_none() {
            features.open("bind", ns::BIND).close();
        }
    }

    fn takes(&self, element: Node<'_>) -> bool {
        request(element, "bind", ns::BIND)
    }

    fn element(&self, login: &mut AcceptLogin, element: Document) -> Progress<StreamError> {
        let iq = match Stanza::read(element) {
            Some(Ok(iq)) => iq,
            Some(Err(rejected)) => return refuse(&rejected.stanza, &rejected.error),
            None => return StreamCondition::UnsupportedStanzaType.into(),
        };
        if iq.ty != Type::Set {
            return refuse(&iq, &Condition::BadRequest.into());
        }
        let wanted =
            iq.payload().and_then(|bind| bind.child("resource", ns::BIND)).map(|wanted| wanted.text().into_owned());
        // An empty one is refused, as §7.7.2.1 allows; a client that wants ours sends no <resource/> at all.
        if wanted.as_deref() == Some("") {
            return refuse(&iq, &Condition::BadRequest.into());
        }
        let need = Need::Bind { username: login.username.clone(), domain: login.domain.clone(), resource: wanted };
        login.exchange = Some(Box::new(iq));
        Progress::then(Then::Need(need))
    }

    fn untimely(&self, _bits: Bits, _element: Document) -> Progress<StreamError> {
        StreamCondition::NotAuthorized.into()
    }

    fn answer(&self, login: &mut AcceptLogin, answer: Answer) -> Progress<StreamError> {
        let iq = login.exchange.take().and_then(|iq| iq.downcast::<Stanza>().ok());
        let (Some(iq), Answer::Bound(bound)) = (iq, answer) else {
            return StreamCondition::InternalServerError.into();
        };
        match bound {
            Err(error) => refuse(&iq, &error),
            Ok(address) => {
                let mut payload = Writer::new(ns::CLIENT);
                payload.open("bind", ns::BIND).leaf("jid", ns::BIND, address.as_str()).close();
                write(&iq.result(payload.finish())).set(Bits::BOUND).and(Then::Bound(address))
            }
        }
    }

    /// One stream has one resource (§7.6.2.2).
    fn after_bound(&self, _address: &Jid, element: Document) -> Progress<StreamError> {
        match Stanza::read(element) {
            Some(Ok(iq)) => refuse(&iq, &Condition::NotAllowed.into()),
            Some(Err(rejected)) => refuse(&rejected.stanza, &rejected.error),
            None => StreamCondition::UnsupportedStanzaType.into(),
        }
    }
}

/// Whether this is a request to the server itself whose payload has this name.
pub(super) fn request(element: Node<'_>, name: &str, ns: &str) -> bool {
    element.is("iq", ns::CLIENT)
        && element.children().next().is_some_and(|payload| payload.is(name, ns))
        && element.attr("type").is_some_and(|ty| *ty == *"set" || *ty == *"get")
        && element.attr("to").is_none_or(|to| !to.contains(['@', '/']))
}

/// Writes an iq.
pub(super) fn write<E>(iq: &Stanza) -> Progress<E> {
    let mut out = Vec::new();
    iq.write(None, None, &[], &mut out);
    Progress::write(out)
}

/// Answers with an error; what may not be answered is dropped.
pub(super) fn refuse<E>(iq: &Stanza, error: &StanzaError) -> Progress<E> {
    iq.error(error).map_or(Progress::then(Then::Continue), |answer| write(&answer))
}

impl InitiateStep for Bind {
    fn needs(&self) -> Bits {
        Bits::AUTHENTICATED
    }

    fn forbids(&self) -> Bits {
        Bits::BOUND
    }

    fn start(&self, login: &mut InitiateLogin, features: Node<'_>) -> Option<Progress<InitiateError>> {
        features.child("bind", ns::BIND)?;
        let mut payload = Writer::new(ns::CLIENT);
        payload.open("bind", ns::BIND);
        if let Some(resource) = &login.config.resource {
            payload.leaf("resource", ns::BIND, resource);
        }
        payload.close();
        Some(write(&Stanza::new(Kind::Iq, Type::Set, payload.finish()).id(Some(ID))))
    }

    fn element(&self, login: &mut InitiateLogin, element: &Document) -> Option<Progress<InitiateError>> {
        let Some(Ok(iq)) = Stanza::read(element.clone()) else { return None };
        if iq.kind != Kind::Iq || iq.id.as_deref() != Some(ID) {
            return None;
        }
        match iq.ty {
            Type::Error => {
                let error = StanzaError::read(&iq).unwrap_or_else(|| UNKNOWN.into());
                Some(Progress::then(Then::Fail(InitiateError::Bind(error))))
            }
            Type::Result => {
                let text = iq.child("bind", ns::BIND)?.child("jid", ns::BIND)?.text();
                let address = Jid::parse(&text).ok().filter(|jid| !jid.is_bare())?;
                login.address = Some(address);
                Some(Progress::then(Then::Next).set(Bits::BOUND))
            }
            _ => None,
        }
    }
}
