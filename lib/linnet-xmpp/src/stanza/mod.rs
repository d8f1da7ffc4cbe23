//! Message, presence and iq (RFC 6120 §8, RFC 6121).

use crate::{jid::Jid, xml::{Document, Node}};
use bytes::Bytes;

/// The three stanzas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs)]
pub enum Kind { Message, Presence, Iq }

/// The `type` attribute of all three kinds. A message without one is `Normal`, a presence without one `Available`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs)]
pub enum Type {
    Normal, Chat, Groupchat, Headline,
    Available, Unavailable, Subscribe, Subscribed, Unsubscribe, Unsubscribed, Probe,
    Get, Set, Result,
    Error,
}

/// A stanza: its head, which is read and may be changed, and its content, which is shared.
/// Cloning is cheap: the content is not copied.
#[derive(Debug, Clone)]
pub struct Stanza {
    /// Which of the three.
    pub kind: Kind,
    /// The type.
    pub ty: Type,
    /// Where it comes from.
    pub from: Option<Jid>,
    /// Where it goes.
    pub to: Option<Jid>,
    /// The id that the sender chose.
    pub id: Option<Box<str>>,
    /// `xml:lang`.
    pub lang: Option<Box<str>>,
    /// Canonical bytes between start and end tag; default namespace `jabber:client`.
    inner: Bytes,
    // private: the lazily parsed content (OnceLock<Arc<Document>>) and other attributes of the start tag, if any
}

/// A stanza that cannot be used, with the error that its sender gets.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// What could be read of it (`to` and `from` are missing where they were no addresses).
    pub stanza: Stanza,
    /// What is wrong.
    pub error: StanzaError,
}

impl Stanza {
    /// Reads a first-level element in `jabber:client` or `jabber:server`. `None`: it is not a stanza.
    /// Refuses: `to` or `from` that are no addresses (jid-malformed), an unknown presence or iq type, an iq without id,
    /// get/set without exactly one child, result with more than one (bad-request; RFC 6120 §8.2.3).
    /// An unknown message type is `Normal` (RFC 6121 §5.2.2).
    pub fn read(_document: Document) -> Option<Result<Stanza, Box<Rejected>>> { todo!() }
    /// A stanza of our own; `inner`: canonical content under `jabber:client`.
    pub fn new(_kind: Kind, _ty: Type, _inner: Bytes) -> Stanza { todo!() }
    /// With `to`.
    pub fn to(self, _to: impl Into<Option<Jid>>) -> Stanza { todo!() }
    /// With `from`.
    pub fn from(self, _from: impl Into<Option<Jid>>) -> Stanza { todo!() }
    /// With `id`.
    pub fn id(self, _id: Option<&str>) -> Stanza { todo!() }
    /// The content.
    pub fn inner(&self) -> &Bytes { &self.inner }
    /// Replaces the content with canonical bytes under `jabber:client`.
    pub fn set_inner(&mut self, _inner: Bytes) { todo!() }
    /// The content without the children for which `drop` says true, and with `append` (canonical) behind it.
    pub fn edit(&mut self, _drop: impl FnMut(Node<'_>) -> bool, _append: &[u8]) { todo!() }
    /// The child elements.
    pub fn children(&self) -> impl Iterator<Item = Node<'_>> { std::iter::empty() }
    /// The first child with this name and namespace.
    pub fn child(&self, _name: &str, _ns: &str) -> Option<Node<'_>> { todo!() }
    /// The first child: of an iq, its payload.
    pub fn payload(&self) -> Option<Node<'_>> { todo!() }
    /// The result that answers this iq: addresses swapped, same id; `inner`: the payload or nothing.
    pub fn result(&self, _inner: Bytes) -> Stanza { todo!() }
    /// The error that answers this stanza: addresses swapped, same id. `None` for what may not be answered
    /// (errors, iq results; RFC 6120 §8.3.1).
    pub fn error(&self, _error: &StanzaError) -> Option<Stanza> { todo!() }
    /// Appends the whole stanza as canonical XML. `ns`: None on a stream whose default namespace is the stanza's, else
    /// the namespace to declare. `extra`: canonical bytes behind the content.
    pub fn write(&self, _ns: Option<&str>, _to: Option<&Jid>, _extra: &[u8], _out: &mut Vec<u8>) { todo!() }
    /// The whole stanza under `jabber:client`, as stored.
    pub fn to_bytes(&self) -> Bytes { todo!() }
    /// Reads what `to_bytes` gave.
    pub fn from_bytes(_bytes: Bytes) -> Option<Stanza> { todo!() }
}

/// A stanza error: condition, type, text and an optional application condition (RFC 6120 §8.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StanzaError {
    /// What went wrong.
    pub condition: Condition,
    /// What the sender can do; by default what §8.3.3 recommends for the condition.
    pub class: Class,
    /// Words for people.
    pub text: Option<Box<str>>,
    /// A canonical element of another namespace (an application condition).
    pub extra: Option<Bytes>,
}

/// The type of an error (RFC 6120 §8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs)]
pub enum Class { Auth, Cancel, Continue, Modify, Wait }

/// The defined conditions (RFC 6120 §8.3.3). `Gone` and `Redirect` carry an address in `StanzaError::text` of their element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs)]
pub enum Condition {
    BadRequest, Conflict, FeatureNotImplemented, Forbidden, Gone, InternalServerError, ItemNotFound, JidMalformed,
    NotAcceptable, NotAllowed, NotAuthorized, PolicyViolation, RecipientUnavailable, Redirect, RegistrationRequired,
    RemoteServerNotFound, RemoteServerTimeout, ResourceConstraint, ServiceUnavailable, SubscriptionRequired,
    UndefinedCondition, UnexpectedRequest,
}

impl StanzaError {
    /// An error with the class that §8.3.3 recommends.
    pub fn new(_condition: Condition) -> StanzaError { todo!() }
    /// With words for people.
    pub fn text(self, _text: impl Into<Box<str>>) -> StanzaError { todo!() }
    /// With another class.
    pub fn class(self, _class: Class) -> StanzaError { todo!() }
    /// With an application condition.
    pub fn extra(self, _element: Bytes) -> StanzaError { todo!() }
    /// Reads the error child of a stanza of type error.
    pub fn read(_stanza: &Stanza) -> Option<StanzaError> { todo!() }
    /// The canonical `<error/>` element.
    pub fn to_bytes(&self) -> Bytes { todo!() }
}
impl From<Condition> for StanzaError { fn from(condition: Condition) -> StanzaError { StanzaError::new(condition) } }
