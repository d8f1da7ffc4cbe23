//! Stream management (XEP-0198), the server's side: reads its elements and leads a resumption in place of binding.
//! Counting is the work of the server behind the stream.

use super::{AcceptLogin, AcceptStep, Bits, Progress, Then};
use crate::{
    jid::Jid,
    ns,
    stream::{
        Answer, Control, Need, NotResumed, Signal, StreamCondition, StreamError,
        control::{failed, failed_after, too_high},
    },
    xml::{Document, Node, Writer},
};
use std::time::Duration;

/// The step.
#[derive(Debug)]
pub struct StreamManagement;

impl AcceptStep for StreamManagement {
    fn needs(&self) -> Bits {
        Bits::AUTHENTICATED
    }

    fn forbids(&self) -> Bits {
        Bits::NONE
    }

    /// Not to who has it already: some clients would ask for it again.
    fn advertise(&self, login: &AcceptLogin, features: &mut Writer) {
        if !login.is_managed {
            features.open("sm", ns::STREAM_MANAGEMENT).close();
        }
    }

    fn takes(&self, element: Node<'_>) -> bool {
        element.ns() == ns::STREAM_MANAGEMENT
    }

    /// Between login and binding only `<resume/>` is possible (§3, §5).
    fn element(&self, login: &mut AcceptLogin, element: Document) -> Progress<StreamError> {
        let root = element.root();
        if root.name() != "resume" {
            return unexpected(root);
        }
        let Some((id, handled)) = wanted(root) else { return Progress::write(failed("bad-request")) };
        login.exchange = Some(Box::new(id.clone()));
        let (username, domain) = (login.username.clone(), login.domain.clone());
        Progress::then(Then::Need(Need::Resume { username, domain, id, handled }))
    }

    fn untimely(&self, _bits: Bits, element: Document) -> Progress<StreamError> {
        unexpected(element.root())
    }

    fn answer(&self, login: &mut AcceptLogin, answer: Answer) -> Progress<StreamError> {
        let id = login.exchange.take().and_then(|id| id.downcast::<String>().ok());
        let (Some(id), Answer::Resumed(resumed)) = (id, answer) else {
            return StreamCondition::InternalServerError.into();
        };
        match resumed {
            Ok(resumed) => {
                let out = self::resumed(&id, resumed.handled);
                Progress::write(out).set(Bits::BOUND).and(Then::Bound(resumed.address))
            }
            Err(NotResumed::TooHigh { handled, sent }) => Progress::then(Then::Fail(too_high(handled, sent))),
            // The client may bind now.
            Err(error) => Progress::write(not_resumed(error)),
        }
    }

    fn after_bound(&self, _address: &Jid, element: Document) -> Progress<StreamError> {
        let root = element.root();
        let control = match root.name() {
            "r" => Control::Request,
            "a" => match count(root) {
                Some(handled) => Control::Handled(handled),
                None => {
                    let text = "'h' has to be a number below 2^32 (XEP-0198 §4)";
                    return Progress::then(Then::Fail(StreamError::new(StreamCondition::BadFormat).text(text)));
                }
            },
            "enable" => enable(root),
            _ => return unexpected(root),
        };
        Progress::then(Then::Control(control))
    }

    fn advertise_inline(&self, _login: &AcceptLogin, inline: &mut Writer) {
        inline.open("sm", ns::STREAM_MANAGEMENT).close();
    }

    fn bind_feature(&self) -> Option<&'static str> {
        Some(ns::STREAM_MANAGEMENT)
    }

    fn bind_control(&self, child: Node<'_>) -> Option<Control> {
        child.is("enable", ns::STREAM_MANAGEMENT).then(|| enable(child))
    }
}

fn enable(root: Node<'_>) -> Control {
    Control::Enable {
        resume: root.attr("resume").is_some_and(|resume| matches!(&*resume, "true" | "1")),
        max: root.attr("max").and_then(|max| max.parse().ok()).map(Duration::from_secs),
    }
}

/// The id of the session in `<resume/>`, and what the client has handled of it.
pub(super) fn wanted(resume: Node<'_>) -> Option<(String, u32)> {
    Some((resume.attr("previd")?.into_owned(), count(resume)?))
}

/// `<resumed/>`.
pub(super) fn resumed(id: &str, handled: u32) -> bytes::Bytes {
    let mut out = Writer::new(ns::CLIENT);
    out.open("resumed", ns::STREAM_MANAGEMENT).attr("previd", id).attr("h", &handled.to_string()).close();
    out.finish()
}

/// `<failed/>` in place of `<resumed/>`.
pub(super) fn not_resumed(error: NotResumed) -> bytes::Bytes {
    match error {
        NotResumed::Fault => failed("internal-server-error"),
        NotResumed::Unknown(handled) => failed_after(handled, "item-not-found"),
        NotResumed::TooHigh { .. } => failed("item-not-found"),
    }
}

/// What is asked for at the wrong time fails, and the stream goes on; anything else is no element of a client's.
fn unexpected(root: Node<'_>) -> Progress<StreamError> {
    match root.name() {
        "enable" | "resume" | "r" | "a" => Progress::write(Signal::Failed.to_bytes()),
        _ => StreamCondition::UnsupportedStanzaType.into(),
    }
}

/// The count in `h`.
fn count(root: Node<'_>) -> Option<u32> {
    root.attr("h").filter(|h| h.bytes().all(|byte| byte.is_ascii_digit())).and_then(|h| h.parse().ok())
}
