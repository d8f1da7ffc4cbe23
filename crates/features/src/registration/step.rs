//! Sign-up before login (XEP-0077 §3.1, §8), only over TLS and only where the administrator allows it.

use bytes::Bytes;
use linnet_xeps::{
    Payload, ns,
    register::{Register, Request},
};
use linnet_xmpp::{
    Stanza, StanzaError,
    stanza::{Condition, Type},
    stream::{
        Answer, Need, StreamCondition, StreamError,
        steps::{AcceptLogin, AcceptStep, Bits, Progress, Then},
    },
    xml::{Document, Node, Writer},
};

/// The step.
#[derive(Debug)]
pub(super) struct SignUp;

impl AcceptStep for SignUp {
    fn needs(&self) -> Bits {
        Bits::PRIVATE
    }

    fn forbids(&self) -> Bits {
        Bits::AUTHENTICATED
    }

    fn advertise(&self, _login: &AcceptLogin, features: &mut Writer) {
        features.open("register", ns::REGISTER_FEATURE).close();
    }

    fn takes(&self, element: Node<'_>) -> bool {
        element.name() == "iq" && element.children().any(|child| child.is("query", ns::REGISTER))
    }

    fn element(&self, login: &mut AcceptLogin, element: Document) -> Progress<StreamError> {
        let iq = match Stanza::read(element) {
            Some(Ok(iq)) => iq,
            Some(Err(rejected)) => return refuse(&rejected.stanza, &rejected.error),
            None => return StreamCondition::UnsupportedStanzaType.into(),
        };
        let asked = iq.payload().ok_or_else(|| Condition::BadRequest.into()).and_then(Register::read);
        let request = match (iq.ty, asked) {
            (Type::Get, Ok(_)) => return write(&iq.result(fields())),
            (Type::Set, Ok(query)) => query.request(),
            (_, Ok(_)) => Err(Condition::BadRequest.into()),
            (_, Err(error)) => Err(error),
        };
        match request {
            Ok(Request::Set { username, password }) => {
                login.exchange = Some(Box::new(iq));
                Progress::then(Then::Need(Need::SignUp { username, domain: login.domain.clone(), password }))
            }
            // §3.2: nobody is logged in whose account could be removed.
            Ok(Request::Remove) => refuse(&iq, &Condition::UnexpectedRequest.into()),
            Err(error) => refuse(&iq, &error),
        }
    }

    fn untimely(&self, _bits: Bits, _element: Document) -> Progress<StreamError> {
        StreamCondition::NotAuthorized.into()
    }

    fn answer(&self, login: &mut AcceptLogin, answer: Answer) -> Progress<StreamError> {
        let iq = login.exchange.take().and_then(|iq| iq.downcast::<Stanza>().ok());
        let (Some(iq), Answer::SignedUp(done)) = (iq, answer) else {
            return StreamCondition::InternalServerError.into();
        };
        match done {
            Ok(()) => write(&iq.result(Bytes::new())),
            Err(error) => refuse(&iq, &error),
        }
    }
}

/// What has to be filled in (§3.1).
fn fields() -> Bytes {
    let instructions = Some("Choose a user name and a password.".to_owned());
    Register { instructions, ..Register::default() }.field("username", "").field("password", "").to_bytes()
}

fn write(stanza: &Stanza) -> Progress<StreamError> {
    let mut out = Vec::new();
    stanza.write(None, None, &[], &mut out);
    Progress::write(out)
}

fn refuse(iq: &Stanza, error: &StanzaError) -> Progress<StreamError> {
    match iq.error(error) {
        Some(reply) => write(&reply),
        None => StreamCondition::BadFormat.into(),
    }
}
