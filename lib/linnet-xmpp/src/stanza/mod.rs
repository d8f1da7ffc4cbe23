//! Message, presence and iq (RFC 6120 §8, RFC 6121).
//!
//! Of the attributes of a start tag, those without a prefix that no specification defines are kept and forwarded, since
//! RFC 6120 does not forbid them; those in other namespaces are dropped, for stanzas are extended by elements (§8.4).

mod error;
mod read;

#[cfg(test)]
mod tests;

pub use error::{Class, Condition, StanzaError};
pub use read::Rejected;

use crate::{
    jid::Jid,
    ns,
    xml::{Content, Document, Node, Scope, escape_attr, escape_text},
};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};

/// The three stanzas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs)]
pub enum Kind {
    Message,
    Presence,
    Iq,
}

/// The `type` attribute of all three kinds. A message without one is `Normal`, a presence without one `Available`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs)]
pub enum Type {
    Normal,
    Chat,
    Groupchat,
    Headline,
    Available,
    Unavailable,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Probe,
    Get,
    Set,
    Result,
    Error,
}

/// A stanza: its head, which is read and may be changed, and its content, which is shared.
/// Cloning is cheap: the content is not copied.
///
/// ```
/// use linnet_xmpp::stanza::{Condition, Kind, Stanza, StanzaError, Type};
///
/// let ping = Stanza::new(Kind::Iq, Type::Get, "<ping xmlns='urn:xmpp:ping'/>".into()).id(Some("p1"));
/// assert!(ping.child("ping", "urn:xmpp:ping").is_some());
/// let error = ping.error(&StanzaError::new(Condition::ServiceUnavailable)).unwrap();
/// assert_eq!(
///     error.to_bytes(),
///     "<iq id='p1' type='error'><error type='cancel'><service-unavailable \
///      xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
/// );
/// ```
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
    /// A document whose root contains the same as `inner`, once someone has asked.
    content: OnceLock<Arc<Document>>,
    /// Other attributes of the start tag, canonical, each with a space before it.
    attributes: Option<Arc<[u8]>>,
}

impl Kind {
    /// The element's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Message => "message",
            Kind::Presence => "presence",
            Kind::Iq => "iq",
        }
    }
}

impl Type {
    /// The value of the `type` attribute; none where the type is said by its absence.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Type::Normal | Type::Available => return None,
            Type::Chat => "chat",
            Type::Groupchat => "groupchat",
            Type::Headline => "headline",
            Type::Unavailable => "unavailable",
            Type::Subscribe => "subscribe",
            Type::Subscribed => "subscribed",
            Type::Unsubscribe => "unsubscribe",
            Type::Unsubscribed => "unsubscribed",
            Type::Probe => "probe",
            Type::Get => "get",
            Type::Set => "set",
            Type::Result => "result",
            Type::Error => "error",
        })
    }
}

impl Stanza {
    /// Reads a first-level element in `jabber:client` or `jabber:server`. `None`: it is not a stanza.
    /// Refuses: `to` or `from` that are no addresses (jid-malformed), an unknown presence or iq type, an iq without id,
    /// get/set without exactly one child, result with more than one (bad-request; RFC 6120 §8.2.3).
    /// An unknown message type is `Normal` (RFC 6121 §5.2.2).
    pub fn read(document: Document) -> Option<Result<Stanza, Box<Rejected>>> {
        read::read(document)
    }

    /// A stanza of our own; `inner`: canonical content under `jabber:client`.
    pub fn new(kind: Kind, ty: Type, inner: Bytes) -> Stanza {
        Stanza {
            kind,
            ty,
            from: None,
            to: None,
            id: None,
            lang: None,
            inner,
            content: OnceLock::new(),
            attributes: None,
        }
    }

    /// With `to`.
    pub fn to(mut self, to: impl Into<Option<Jid>>) -> Stanza {
        self.to = to.into();
        self
    }

    /// With `from`.
    pub fn from(mut self, from: impl Into<Option<Jid>>) -> Stanza {
        self.from = from.into();
        self
    }

    /// With `id`.
    pub fn id(mut self, id: Option<&str>) -> Stanza {
        self.id = id.map(Into::into);
        self
    }

    /// The content.
    pub fn inner(&self) -> &Bytes {
        &self.inner
    }

    /// Replaces the content with canonical bytes under `jabber:client`.
    pub fn set_inner(&mut self, inner: Bytes) {
        self.inner = inner;
        self.content = OnceLock::new();
    }

    /// The content without the children for which `drop` says true, and with `append` (canonical) behind it.
    pub fn edit(&mut self, mut drop: impl FnMut(Node<'_>) -> bool, append: &[u8]) {
        let mut edited = Vec::with_capacity(self.inner.len() + append.len());
        let mut dropped = false;
        if let Some(content) = self.content() {
            for piece in content.root().contents() {
                match piece {
                    Content::Element(child) if drop(child) => dropped = true,
                    Content::Element(child) => edited.extend_from_slice(&child.to_bytes(ns::CLIENT)),
                    Content::Text(text) => escape_text(&text, &mut edited),
                }
            }
        }
        if !dropped {
            if append.is_empty() {
                return;
            }
            edited.clear();
            edited.extend_from_slice(&self.inner);
        }
        edited.extend_from_slice(append);
        self.set_inner(edited.into());
    }

    /// The child elements.
    pub fn children(&self) -> impl Iterator<Item = Node<'_>> {
        self.content().into_iter().flat_map(|content| content.root().children())
    }

    /// The first child with this name and namespace.
    pub fn child(&self, name: &str, ns: &str) -> Option<Node<'_>> {
        self.children().find(|child| child.is(name, ns))
    }

    /// The first child: of an iq, its payload.
    pub fn payload(&self) -> Option<Node<'_>> {
        self.children().next()
    }

    /// The result that answers this iq: addresses swapped, same id; `inner`: the payload or nothing.
    pub fn result(&self, inner: Bytes) -> Stanza {
        self.answer(Type::Result, inner)
    }

    /// The error that answers this stanza: addresses swapped, same id. `None` for what may not be answered
    /// (errors, iq results; RFC 6120 §8.3.1). The content is not sent back: §8.3.1 leaves it open, and it would let
    /// anybody make us send much.
    pub fn error(&self, error: &StanzaError) -> Option<Stanza> {
        let answered = !matches!(self.ty, Type::Error | Type::Result);
        answered.then(|| self.answer(Type::Error, error.to_bytes()))
    }

    /// Appends the whole stanza as canonical XML. `ns`: None on a stream whose default namespace is the stanza's, else
    /// the namespace to declare. `to`: instead of the stanza's own. `extra`: canonical bytes behind the content.
    pub fn write(&self, ns: Option<&str>, to: Option<&Jid>, extra: &[u8], out: &mut Vec<u8>) {
        let name = self.kind.name().as_bytes();
        out.reserve(self.inner.len() + extra.len() + 256);
        out.push(b'<');
        out.extend_from_slice(name);
        if let Some(ns) = ns {
            write_attribute(b" xmlns='", ns, out);
        }
        if let Some(from) = &self.from {
            write_attribute(b" from='", from.as_str(), out);
        }
        if let Some(to) = to.or(self.to.as_ref()) {
            write_attribute(b" to='", to.as_str(), out);
        }
        if let Some(id) = &self.id {
            write_attribute(b" id='", id, out);
        }
        if let Some(ty) = self.ty.name() {
            out.extend_from_slice(b" type='");
            out.extend_from_slice(ty.as_bytes());
            out.push(b'\'');
        }
        if let Some(lang) = &self.lang {
            write_attribute(b" xml:lang='", lang, out);
        }
        if let Some(attributes) = &self.attributes {
            out.extend_from_slice(attributes);
        }
        if self.inner.is_empty() && extra.is_empty() {
            return out.extend_from_slice(b"/>");
        }
        out.push(b'>');
        out.extend_from_slice(&self.inner);
        out.extend_from_slice(extra);
        out.extend_from_slice(b"</");
        out.extend_from_slice(name);
        out.push(b'>');
    }

    /// The whole stanza under `jabber:client`, as stored.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::new();
        self.write(None, None, &[], &mut out);
        out.into()
    }

    /// Reads what `to_bytes` gave.
    pub fn from_bytes(bytes: Bytes) -> Option<Stanza> {
        let document = Document::parse(bytes, &Scope::new(ns::CLIENT)).ok()?;
        Stanza::read(document)?.ok()
    }

    fn answer(&self, ty: Type, inner: Bytes) -> Stanza {
        Stanza {
            from: self.to.clone(),
            to: self.from.clone(),
            id: self.id.clone(),
            ..Stanza::new(self.kind, ty, inner)
        }
    }

    /// The content, parsed. `None` only if someone gave content that is not canonical.
    fn content(&self) -> Option<&Document> {
        if let Some(content) = self.content.get() {
            return Some(content);
        }
        let parsed = Document::parse_content(self.inner.clone(), &Scope::new(ns::CLIENT));
        debug_assert!(parsed.is_ok(), "content that is not canonical: {parsed:?} {:?}", self.inner);
        let parsed = parsed.ok()?;
        Some(self.content.get_or_init(|| Arc::new(parsed)))
    }
}

/// `open`: a space, the name, `=` and a quote.
fn write_attribute(open: &[u8], value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(open);
    escape_attr(value, out);
    out.push(b'\'');
}
