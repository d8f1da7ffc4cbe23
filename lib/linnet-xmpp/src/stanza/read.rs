//! Reading a stanza from a first-level element, with the rules of RFC 6120 §8.1 and §8.2.

use super::{Condition, Kind, Stanza, StanzaError, Type, write_attribute};
use crate::{
    jid::Jid,
    ns,
    xml::{Document, Node},
};
use std::sync::{Arc, OnceLock};

/// A stanza that cannot be used, with the error that its sender gets.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// What could be read of it (`to` and `from` are missing where they were no addresses; an unknown type is the
    /// kind's most ordinary one, so that an error can answer it).
    pub stanza: Stanza,
    /// What is wrong.
    pub error: StanzaError,
}

/// Attributes that nobody defines are kept up to this number: with those that a server adds, a start tag has to stay
/// far below the limit of attributes, or its receiver would refuse it.
const OTHER_ATTRIBUTES: usize = 16;

pub(super) fn read(document: Document) -> Option<Result<Stanza, Box<Rejected>>> {
    let root = document.root();
    let kind = match root.name() {
        "message" => Kind::Message,
        "presence" => Kind::Presence,
        "iq" => Kind::Iq,
        _ => return None,
    };
    let client = root.is(root.name(), ns::CLIENT);
    if !client && root.ns() != ns::SERVER {
        return None;
    }
    let inner = document.inner();
    let mut head = Head::new(kind);
    for (space, name, value) in root.attrs() {
        head.attribute(space, name, &value);
    }
    head.check(root);
    let Head { ty, mut stanza, other, error, .. } = head;
    stanza.ty = ty.unwrap_or(ordinary(kind));
    stanza.inner = inner;
    stanza.attributes = (!other.is_empty()).then(|| other.into());
    if client {
        // What was parsed has the same content, and the same names for it.
        stanza.content = OnceLock::from(Arc::new(document));
    }
    Some(match error {
        None => Ok(stanza),
        Some(error) => Err(Box::new(Rejected { stanza, error })),
    })
}

/// What was read of the start tag so far.
struct Head {
    stanza: Stanza,
    /// None: there was no `type`, or an unknown one.
    ty: Option<Type>,
    unknown_type: bool,
    /// Attributes that are only forwarded.
    other: Vec<u8>,
    others: usize,
    error: Option<StanzaError>,
}

impl Head {
    fn new(kind: Kind) -> Head {
        let stanza = Stanza::new(kind, ordinary(kind), bytes::Bytes::new());
        Head { stanza, ty: None, unknown_type: false, other: Vec::new(), others: 0, error: None }
    }

    fn attribute(&mut self, space: &str, name: &str, value: &str) {
        match (space, name) {
            ("", "to") => self.stanza.to = self.address(value),
            ("", "from") => self.stanza.from = self.address(value),
            ("", "id") => self.stanza.id = Some(value.into()),
            ("", "type") => {
                self.ty = named(self.stanza.kind, value);
                self.unknown_type = self.ty.is_none();
            }
            (ns::XML, "lang") => self.stanza.lang = Some(value.into()),
            ("", name) if self.others < OTHER_ATTRIBUTES => {
                self.others += 1;
                self.other.push(b' ');
                self.other.extend_from_slice(name.as_bytes());
                write_attribute(b"='", value, &mut self.other);
            }
            _ => {}
        }
    }

    /// RFC 6120 §8.3.3.8.
    fn address(&mut self, value: &str) -> Option<Jid> {
        let address = Jid::parse(value);
        if address.is_err() {
            self.error = Some(Condition::JidMalformed.into());
        }
        address.ok()
    }

    fn check(&mut self, root: Node<'_>) {
        let wrong = match self.stanza.kind {
            Kind::Message => None,
            Kind::Presence => self.unknown_type.then_some("unknown type"),
            // RFC 6120 §8.2.3.
            Kind::Iq => match self.ty {
                None => Some("unknown type"),
                _ if self.stanza.id.is_none() => Some("an iq needs an id"),
                Some(Type::Get | Type::Set) if root.children().take(2).count() != 1 => {
                    Some("a request has exactly one child")
                }
                Some(Type::Result) if root.children().nth(1).is_some() => Some("a result has at most one child"),
                Some(_) => None,
            },
        };
        if let Some(text) = wrong {
            self.error.get_or_insert_with(|| StanzaError::new(Condition::BadRequest).text(text));
        }
    }
}

fn ordinary(kind: Kind) -> Type {
    match kind {
        Kind::Message => Type::Normal,
        Kind::Presence => Type::Available,
        Kind::Iq => Type::Get,
    }
}

/// The type of this name that this kind of stanza has.
fn named(kind: Kind, name: &str) -> Option<Type> {
    Some(match (kind, name) {
        (_, "error") => Type::Error,
        (Kind::Message, "chat") => Type::Chat,
        (Kind::Message, "groupchat") => Type::Groupchat,
        (Kind::Message, "headline") => Type::Headline,
        (Kind::Message, "normal") => Type::Normal,
        (Kind::Presence, "unavailable") => Type::Unavailable,
        (Kind::Presence, "subscribe") => Type::Subscribe,
        (Kind::Presence, "subscribed") => Type::Subscribed,
        (Kind::Presence, "unsubscribe") => Type::Unsubscribe,
        (Kind::Presence, "unsubscribed") => Type::Unsubscribed,
        (Kind::Presence, "probe") => Type::Probe,
        (Kind::Iq, "get") => Type::Get,
        (Kind::Iq, "set") => Type::Set,
        (Kind::Iq, "result") => Type::Result,
        _ => return None,
    })
}
