//! Going on with an earlier session in place of binding (XEP-0198 §5), the client's side.

use super::{Bits, InitiateLogin, InitiateStep, Progress, Then};
use crate::{
    ns,
    stream::{InitiateError, Outcome, managed::count},
    xml::{Document, Node, Writer},
};

/// The step.
#[derive(Debug)]
pub(super) struct Resume;

impl InitiateStep for Resume {
    fn needs(&self) -> Bits {
        Bits::AUTHENTICATED
    }

    fn forbids(&self) -> Bits {
        Bits::BOUND
    }

    fn start(&self, login: &mut InitiateLogin, features: Node<'_>) -> Option<Progress<InitiateError>> {
        let resumption = login.config.resumption.as_ref().filter(|_| login.outcome == Outcome::None)?;
        features.child("sm", ns::STREAM_MANAGEMENT)?;
        let mut out = Writer::new(ns::CLIENT);
        out.open("resume", ns::STREAM_MANAGEMENT)
            .attr("previd", &resumption.id)
            .attr("h", &resumption.handled.to_string())
            .close();
        Some(Progress::write(out.finish()))
    }

    fn element(&self, login: &mut InitiateLogin, element: &Document) -> Option<Progress<InitiateError>> {
        let root = element.root();
        let resumption = login.config.resumption.as_ref().filter(|_| root.ns() == ns::STREAM_MANAGEMENT)?;
        match root.name() {
            "resumed" => {
                login.outcome = Outcome::Resumed(count(root)?);
                login.address = Some(resumption.address.clone());
                Some(Progress::then(Then::Next).set(Bits::BOUND))
            }
            // Binding comes next.
            "failed" => {
                login.outcome = Outcome::Failed(count(root));
                Some(Progress::then(Then::Next))
            }
            _ => None,
        }
    }
}
