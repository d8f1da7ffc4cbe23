//! Payload types of XMPP extensions, one file per family.
//!
//! A payload is read from a [`Node`] of a stanza and written to a [`Writer`]; both sides of a family's exchange are
//! here, so that server, client library and tests share one reading of each specification. Nothing here does IO or
//! reads a clock. The error of a failed reading is the stanza error that a server answers with.
//!
//! - [`avatar`]: avatars (XEP-0084, XEP-0153). [`blocking`]: block list (XEP-0191).
//!   [`bookmarks`]: bookmarks of rooms (XEP-0402, XEP-0048). [`caps`]: entity capabilities (XEP-0115, XEP-0390).
//!   [`carbons`]: message carbons (XEP-0280). [`clients`]: clients with access (XEP-0494).
//!   [`commands`]: ad-hoc commands (XEP-0050). [`contact`]: contact addresses (XEP-0157).
//! - [`datetime`]: dates and times (XEP-0082). [`delay`]: delayed delivery (XEP-0203).
//!   [`disco`]: service discovery (XEP-0030). [`displayed`]: how far chats were read (XEP-0490).
//!   [`external`]: external services (XEP-0215). [`fast`]: tokens (XEP-0484). [`forms`]: data forms (XEP-0004, XEP-0068).
//! - [`hints`]: processing hints (XEP-0334). [`last`]: last activity (XEP-0012).
//!   [`mam`]: message archives (XEP-0313, XEP-0441). [`offline`]: flexible offline messages (XEP-0013).
//!   [`moderation`]: messages that are taken back (XEP-0424, XEP-0425).
//!   [`muc`], [`muc_admin`]: rooms (XEP-0045).
//!   [`notify`]: which chats notify (XEP-0492). [`ping`]: ping (XEP-0199).
//! - [`private`]: private XML storage (XEP-0049). [`push`]: push notifications (XEP-0357).
//!   [`pubsub`], [`pubsub_config`], [`pubsub_options`]: publish-subscribe (XEP-0060).
//!   [`register`]: in-band registration (XEP-0077).
//!   [`reports`]: reports with a block (XEP-0377). [`roster`]: roster (RFC 6121 §2). [`rsm`]: result sets (XEP-0059).
//!   [`stanza_id`]: stanza and origin ids (XEP-0359).
//! - [`time`]: entity time (XEP-0202). [`upload`]: HTTP file upload (XEP-0363). [`vcard`]: vcard-temp (XEP-0054). [`version`]: software version (XEP-0092).

pub mod avatar;
pub mod blocking;
pub mod bookmarks;
pub mod caps;
pub mod carbons;
pub mod clients;
pub mod commands;
pub mod contact;
pub mod datetime;
pub mod delay;
pub mod disco;
pub mod displayed;
pub mod external;
pub mod fast;
pub mod forms;
pub mod hints;
pub mod last;
pub mod mam;
pub mod moderation;
pub mod muc;
pub mod muc_admin;
pub mod notify;
pub mod ns;
pub mod offline;
pub mod ping;
pub mod private;
pub mod pubsub;
pub mod pubsub_config;
pub mod pubsub_options;
pub mod push;
pub mod register;
pub mod reports;
pub mod roster;
pub mod rsm;
pub mod stanza_id;
pub mod time;
pub mod upload;
pub mod vcard;
pub mod version;

use bytes::Bytes;
use linnet_xmpp::{
    Jid, StanzaError,
    stanza::Condition,
    xml::{Node, Writer},
};

/// A payload: one element that stands in a stanza.
pub trait Payload: Sized {
    /// Reads the element. Fails with what a server answers: bad-request where it is not as its specification says,
    /// jid-malformed for what is no address, or what the specification names.
    fn read(node: Node<'_>) -> Result<Self, StanzaError>;

    /// Writes the element.
    fn write(&self, out: &mut Writer);

    /// The element alone, canonical under `jabber:client`: what a stanza takes as content.
    fn to_bytes(&self) -> Bytes {
        let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
        self.write(&mut out);
        out.finish()
    }
}

/// bad-request with words.
fn bad_request(text: &str) -> StanzaError {
    StanzaError::new(Condition::BadRequest).text(text)
}

/// not-acceptable with words.
fn not_acceptable(text: &str) -> StanzaError {
    StanzaError::new(Condition::NotAcceptable).text(text)
}

/// Refuses an element with another name or namespace.
fn expect(node: Node<'_>, name: &str, ns: &str) -> Result<(), StanzaError> {
    if node.is(name, ns) { Ok(()) } else { Err(bad_request("not the element that was expected")) }
}

/// An attribute, owned.
fn attr(node: Node<'_>, name: &str) -> Option<String> {
    node.attr(name).map(|value| value.into_owned())
}

/// An attribute that has to be there.
fn required(node: Node<'_>, name: &str) -> Result<String, StanzaError> {
    attr(node, name).ok_or_else(|| bad_request(&format!("the attribute {name} is missing")))
}

/// An attribute that is an address, if it is there.
fn jid_attr(node: Node<'_>, name: &str) -> Result<Option<Jid>, StanzaError> {
    node.attr(name).map(|text| parse_jid(&text)).transpose()
}

/// Text that has to be an address.
fn parse_jid(text: &str) -> Result<Jid, StanzaError> {
    Jid::parse(text).map_err(|_| StanzaError::new(Condition::JidMalformed).text("not an address"))
}

/// The text of a child in a namespace, if there is such a child.
fn child_text(node: Node<'_>, name: &str, ns: &str) -> Option<String> {
    node.child(name, ns).map(|child| child.text().into_owned())
}

/// Fixtures for the tests of all families.
#[cfg(test)]
mod fixture {
    use super::*;
    use linnet_xmpp::xml::{Document, Scope};

    /// Parses an element as if it stood in a client's stanza.
    pub(crate) fn parse(xml: &str) -> Document {
        let scope = Scope::new(linnet_xmpp::ns::CLIENT);
        Document::parse(Bytes::copy_from_slice(xml.as_bytes()), &scope).expect("well-formed")
    }

    /// Reads a payload from text.
    pub(crate) fn read<T: Payload>(xml: &str) -> Result<T, StanzaError> {
        T::read(parse(xml).root())
    }

    /// The condition that a text is refused with.
    pub(crate) fn refused<T: Payload>(xml: &str) -> Option<Condition> {
        read::<T>(xml).err().map(|error| error.condition)
    }

    /// What is written, as text, after it was seen to be read back as the same.
    pub(crate) fn written<T: Payload + PartialEq + std::fmt::Debug>(payload: &T) -> String {
        let text = String::from_utf8(payload.to_bytes().to_vec()).expect("UTF-8");
        assert_eq!(&read::<T>(&text).expect("what was written is read"), payload, "{text}");
        text
    }
}
