//! Stanza errors (RFC 6120 §8.3).

use super::{Stanza, Type};
use crate::{
    jid::Jid,
    ns,
    xml::{Node, Writer},
};
use bytes::Bytes;
use std::fmt;

/// A stanza error: condition, type, text and an optional application condition (RFC 6120 §8.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StanzaError {
    /// What went wrong.
    pub condition: Condition,
    /// What the sender can do; by default what §8.3.3 recommends for the condition.
    pub class: Class,
    /// Words for people; of `Gone` and `Redirect`, the address to use instead.
    pub text: Option<Box<str>>,
    /// A canonical element of another namespace (an application condition).
    pub extra: Option<Bytes>,
    /// Who has found it, where that is not clear from the stanza's `from` (§8.3.2).
    pub by: Option<Jid>,
}

/// The type of an error (RFC 6120 §8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs)]
pub enum Class {
    Auth,
    Cancel,
    Continue,
    Modify,
    Wait,
}

/// The defined conditions (RFC 6120 §8.3.3). `Gone` and `Redirect` carry an address in `StanzaError::text` of their element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs)]
pub enum Condition {
    BadRequest,
    Conflict,
    FeatureNotImplemented,
    Forbidden,
    Gone,
    InternalServerError,
    ItemNotFound,
    JidMalformed,
    NotAcceptable,
    NotAllowed,
    NotAuthorized,
    PolicyViolation,
    RecipientUnavailable,
    Redirect,
    RegistrationRequired,
    RemoteServerNotFound,
    RemoteServerTimeout,
    ResourceConstraint,
    ServiceUnavailable,
    SubscriptionRequired,
    UndefinedCondition,
    UnexpectedRequest,
}

impl Condition {
    /// All of them, in the order of RFC 6120 §8.3.3.
    pub fn all() -> impl Iterator<Item = Condition> {
        DEFINED.iter().map(|(condition, ..)| *condition)
    }

    /// The element's name.
    pub fn name(self) -> &'static str {
        let (_, name, _) = DEFINED[self as usize];
        name
    }

    /// The type that RFC 6120 §8.3.3 recommends.
    pub fn class(self) -> Class {
        let (.., class) = DEFINED[self as usize];
        class
    }

    /// The condition of an element's name.
    pub fn named(name: &str) -> Option<Condition> {
        DEFINED.iter().find(|(_, known, _)| *known == name).map(|(condition, ..)| *condition)
    }

    /// The condition of a number of the time before RFC 3920 (XEP-0086 §3).
    fn legacy(code: &str) -> Option<Condition> {
        Some(match code {
            "302" => Condition::Gone,
            "400" => Condition::BadRequest,
            "401" => Condition::NotAuthorized,
            "402" | "407" => Condition::RegistrationRequired,
            "403" => Condition::Forbidden,
            "404" => Condition::ItemNotFound,
            "405" => Condition::NotAllowed,
            "406" => Condition::NotAcceptable,
            "408" | "504" => Condition::RemoteServerTimeout,
            "409" => Condition::Conflict,
            "500" => Condition::InternalServerError,
            "501" => Condition::FeatureNotImplemented,
            "502" | "503" | "510" => Condition::ServiceUnavailable,
            _ => return None,
        })
    }

    /// Whether the element carries an address (RFC 6120 §8.3.3.5, §8.3.3.14).
    fn has_address(self) -> bool {
        matches!(self, Condition::Gone | Condition::Redirect)
    }
}

impl Class {
    /// The value of the `type` attribute.
    pub fn name(self) -> &'static str {
        match self {
            Class::Auth => "auth",
            Class::Cancel => "cancel",
            Class::Continue => "continue",
            Class::Modify => "modify",
            Class::Wait => "wait",
        }
    }

    /// The class of a `type` attribute.
    pub fn named(name: &str) -> Option<Class> {
        [Class::Auth, Class::Cancel, Class::Continue, Class::Modify, Class::Wait]
            .into_iter()
            .find(|class| class.name() == name)
    }
}

impl StanzaError {
    /// An error with the class that §8.3.3 recommends.
    pub fn new(condition: Condition) -> StanzaError {
        StanzaError { condition, class: condition.class(), text: None, extra: None, by: None }
    }

    /// With words for people; with `Gone` and `Redirect`, the address (an XMPP URI) to use instead.
    pub fn text(mut self, text: impl Into<Box<str>>) -> StanzaError {
        self.text = Some(text.into());
        self
    }

    /// With who has found it.
    pub fn by(mut self, by: Jid) -> StanzaError {
        self.by = Some(by);
        self
    }

    /// With another class.
    pub fn class(mut self, class: Class) -> StanzaError {
        self.class = class;
        self
    }

    /// With an application condition: one canonical element, not in `jabber:client` (RFC 6120 §8.3.4).
    pub fn extra(mut self, element: Bytes) -> StanzaError {
        self.extra = Some(element);
        self
    }

    /// Reads the error child of a stanza of type error. What has no defined condition is read by its number of old
    /// (XEP-0086), else as `UndefinedCondition`.
    pub fn read(stanza: &Stanza) -> Option<StanzaError> {
        if stanza.ty != Type::Error {
            return None;
        }
        stanza.child("error", ns::CLIENT).map(StanzaError::from_node)
    }

    /// Reads an `<error/>` element.
    pub fn from_node(error: Node<'_>) -> StanzaError {
        let mut defined = None;
        let mut words = None;
        let mut extra = None;
        for child in error.children() {
            match (child.ns(), child.name()) {
                (ns::STANZA_ERROR, "text") => words = words.or(Some(child.text().into())),
                (ns::STANZA_ERROR, name) => {
                    defined = defined.or_else(|| Condition::named(name).map(|condition| (condition, child.text())));
                }
                _ => extra = extra.or_else(|| Some(child.to_bytes(ns::CLIENT))),
            }
        }
        let (condition, address) = defined.unwrap_or_else(|| {
            let code = error.attr("code").and_then(|code| Condition::legacy(&code));
            (code.unwrap_or(Condition::UndefinedCondition), "".into())
        });
        let class = error.attr("type").and_then(|class| Class::named(&class)).unwrap_or(condition.class());
        let text = if condition.has_address() && !address.is_empty() { Some(address.into()) } else { words };
        let by = error.attr("by").and_then(|by| Jid::parse(&by).ok());
        StanzaError { condition, class, text, extra, by }
    }

    /// The canonical `<error/>` element.
    pub fn to_bytes(&self) -> Bytes {
        let mut writer = Writer::new(ns::CLIENT);
        let address = self.text.as_deref().filter(|_| self.condition.has_address());
        let words = self.text.as_deref().filter(|_| !self.condition.has_address());
        writer.open("error", ns::CLIENT).attr_opt("by", self.by.as_ref().map(Jid::as_str));
        writer.attr("type", self.class.name());
        writer.leaf(self.condition.name(), ns::STANZA_ERROR, address.unwrap_or(""));
        if let Some(words) = words {
            writer.leaf("text", ns::STANZA_ERROR, words);
        }
        if let Some(extra) = &self.extra {
            writer.raw(extra);
        }
        writer.close();
        writer.finish()
    }
}

impl From<Condition> for StanzaError {
    fn from(condition: Condition) -> StanzaError {
        StanzaError::new(condition)
    }
}

impl fmt::Display for StanzaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => write!(f, "stanza error {}: {text}", self.condition.name()),
            None => write!(f, "stanza error {}", self.condition.name()),
        }
    }
}

impl std::error::Error for StanzaError {}

/// In the order of the enum, so that a condition is the index of its name. Where §8.3.3 leaves a choice of types, the
/// one of its example.
const DEFINED: [(Condition, &str, Class); 22] = [
    (Condition::BadRequest, "bad-request", Class::Modify),
    (Condition::Conflict, "conflict", Class::Cancel),
    (Condition::FeatureNotImplemented, "feature-not-implemented", Class::Cancel),
    (Condition::Forbidden, "forbidden", Class::Auth),
    (Condition::Gone, "gone", Class::Cancel),
    (Condition::InternalServerError, "internal-server-error", Class::Cancel),
    (Condition::ItemNotFound, "item-not-found", Class::Cancel),
    (Condition::JidMalformed, "jid-malformed", Class::Modify),
    (Condition::NotAcceptable, "not-acceptable", Class::Modify),
    (Condition::NotAllowed, "not-allowed", Class::Cancel),
    (Condition::NotAuthorized, "not-authorized", Class::Auth),
    (Condition::PolicyViolation, "policy-violation", Class::Modify),
    (Condition::RecipientUnavailable, "recipient-unavailable", Class::Wait),
    (Condition::Redirect, "redirect", Class::Modify),
    (Condition::RegistrationRequired, "registration-required", Class::Auth),
    (Condition::RemoteServerNotFound, "remote-server-not-found", Class::Cancel),
    (Condition::RemoteServerTimeout, "remote-server-timeout", Class::Wait),
    (Condition::ResourceConstraint, "resource-constraint", Class::Wait),
    (Condition::ServiceUnavailable, "service-unavailable", Class::Cancel),
    (Condition::SubscriptionRequired, "subscription-required", Class::Auth),
    (Condition::UndefinedCondition, "undefined-condition", Class::Modify),
    (Condition::UnexpectedRequest, "unexpected-request", Class::Wait),
];
