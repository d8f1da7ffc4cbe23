//! What `<authenticate/>` asks for (XEP-0388 §2.3).

use super::{super::sm, data, upgrade};
use crate::{
    ns,
    sasl::{Failure, Hash},
    stream::{
        AcceptStep,
        question::{Agent, BindRequest},
    },
    xml::{Document, Node, Scope},
};

/// Characters of a client's id, and of the names of its software and device; more says nothing more.
const LONGEST_NAME: usize = 128;
/// Things asked for in `<bind/>`; there are not that many.
const MOST_PAYLOADS: usize = 32;

/// What a client asks for with its login.
#[derive(Debug)]
pub(super) struct Request {
    /// The name of the mechanism.
    pub(super) mechanism: String,
    pub(super) initial: Option<Vec<u8>>,
    pub(super) agent: Agent,
    /// It logs in by a token (XEP-0484 §3.4).
    pub(super) is_fast: bool,
    /// Hashes for which it would give keys.
    pub(super) upgrades: Vec<Hash>,
    pub(super) resume: Option<(String, u32)>,
    pub(super) bind: Option<BindRequest>,
    /// The features that it takes for granted (XEP-0509 §2.2).
    pub(super) features_version: Option<String>,
    pub(super) document: Document,
}

impl Request {
    /// malformed-request where something is not as its specification says, incorrect-encoding for what is no base 64.
    pub(super) fn read(document: Document, steps: &[&dyn AcceptStep]) -> Result<Request, Failure> {
        let root = document.root();
        let mechanism = root.attr("mechanism").ok_or(Failure::MalformedRequest)?.into_owned();
        let initial = root.child("initial-response", ns::SASL2).map(data).transpose()?;
        let resume = match root.child("resume", ns::STREAM_MANAGEMENT) {
            Some(resume) => Some(sm::wanted(resume).ok_or(Failure::MalformedRequest)?),
            None => None,
        };
        let upgrades = root.children().filter(|child| child.is("upgrade", ns::SASL_UPGRADE));
        let mut upgrades: Vec<_> = upgrades.filter_map(|child| upgrade::hash(&child.text())).collect();
        upgrades.dedup();
        let version = root.child("config-version", ns::PIPELINING).and_then(|version| version.attr("value"));
        Ok(Request {
            mechanism,
            initial,
            agent: root.child("user-agent", ns::SASL2).map(agent).unwrap_or_default(),
            is_fast: root.child("fast", ns::FAST).is_some(),
            upgrades,
            resume,
            bind: root.child("bind", ns::BIND2).map(|bind| bind_request(bind, steps)),
            features_version: version.map(|version| version.into_owned()),
            document: document.clone(),
        })
    }
}

fn agent(element: Node<'_>) -> Agent {
    let text = |name| element.child(name, ns::SASL2).and_then(|child| short(&child.text()));
    let id = element.attr("id").map(|id| id.trim_ascii().to_ascii_lowercase());
    Agent {
        // §2.3 wants a UUID; any other id does as well, if it can be kept as it is.
        id: id.filter(|id| !id.is_empty() && id.len() <= LONGEST_NAME).map(Into::into),
        software: text("software"),
        device: text("device"),
    }
}

/// A text of which the beginning is enough.
fn short(text: &str) -> Option<Box<str>> {
    let text: String = text.trim().chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    (!text.is_empty()).then(|| text.into())
}

fn bind_request(bind: Node<'_>, steps: &[&dyn AcceptStep]) -> BindRequest {
    let tag = bind.child("tag", ns::BIND2).map(|tag| tag.text().trim().to_owned());
    let mut request = BindRequest { tag: tag.filter(|tag| !tag.is_empty()), ..BindRequest::default() };
    for child in bind.children().filter(|child| child.ns() != ns::BIND2).take(MOST_PAYLOADS) {
        match steps.iter().find_map(|step| step.bind_control(child)) {
            Some(control) => request.controls.push(control),
            None => request.payloads.extend(Document::parse(child.to_bytes(ns::CLIENT), &Scope::new(ns::CLIENT)).ok()),
        }
    }
    request
}
