//! The roster as it is kept in memory and in the store: one row per contact.

use crate::{
    circles::Gift,
    codec::{Decoder, Encoder},
};
use bytes::Bytes;
use kernel::{account::Document, hooks::Source};
use linnet_xeps::roster::{Item as Payload, Subscription};
use linnet_xmpp::Jid;
use std::{any::TypeId, sync::Arc};
use store::{MapRow, MapTable, Write};

/// Rows by contact.
pub(crate) const TABLE: MapTable = MapTable("roster");

/// Contacts of one account. A roster is held in memory and sent in one piece.
pub(crate) const CONTACTS: usize = 2000;

/// Bytes of a roster: it is one stanza, and must fit into a mailbox (1 MiB).
pub(crate) const BYTES: usize = 512 * 1024;

/// Everything known of the contacts of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    contacts: Vec<Contact>,
}

/// A contact: what the user says of him, and the state of both subscriptions (RFC 6121 appendix A.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Bare address.
    pub jid: Jid,
    /// What the user calls him.
    pub name: Option<Box<str>>,
    /// The groups that the user put him in.
    pub groups: Box<[Box<str>]>,
    /// The subscriptions.
    pub state: State,
    /// Whether he stands in the roster. One who only asked for a subscription does not (appendix A.1, state 3).
    pub listed: bool,
    /// His request, to be shown until it is answered (§3.1.3).
    pub request: Option<Bytes>,
    /// What of all this circles have given.
    pub(crate) gift: Option<Box<Gift>>,
}

/// The state of the subscriptions between user and contact, as independent facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct State {
    /// The user sees the contact's presence.
    pub to: bool,
    /// The contact sees the user's presence.
    pub from: bool,
    /// The user has asked and was not answered.
    pub pending_out: bool,
    /// The contact has asked and was not answered.
    pub pending_in: bool,
    /// The user has approved in advance (§3.4).
    pub approved: bool,
}

impl State {
    /// What a client sees of it.
    pub fn subscription(self) -> Subscription {
        match (self.to, self.from) {
            (false, false) => Subscription::None,
            (true, false) => Subscription::To,
            (false, true) => Subscription::From,
            (true, true) => Subscription::Both,
        }
    }
}

impl Contact {
    /// Somebody of whom nothing is known.
    pub(crate) fn new(jid: Jid) -> Contact {
        let state = State::default();
        Contact { jid, name: None, groups: Box::default(), state, listed: false, request: None, gift: None }
    }

    /// What a client sees of him.
    pub fn item(&self) -> Payload {
        Payload {
            jid: self.jid.clone(),
            name: self.name.as_deref().map(str::to_owned),
            subscription: self.state.subscription(),
            ask: self.state.pending_out,
            approved: self.state.approved,
            groups: self.groups.iter().map(|group| group.to_string()).collect(),
        }
    }

    /// Bytes of what the user says of him.
    pub(crate) fn size(&self) -> usize {
        let groups: usize = self.groups.iter().map(|group| group.len() + 20).sum();
        self.jid.as_str().len() + self.name.as_ref().map_or(0, |name| name.len()) + groups + 40
    }

    /// Whether anything is known of him that has to be kept.
    pub(crate) fn is_worth_keeping(&self) -> bool {
        self.listed || self.state != State::default() || self.gift.is_some()
    }

    /// Writes him to the account's roster.
    pub(crate) fn put(&self, owner: &Jid) -> Write {
        let State { to, from, pending_out, pending_in, approved } = self.state;
        let flags = [to, from, pending_out, pending_in, approved, self.listed];
        let bits = flags.iter().enumerate().fold(0u8, |bits, (place, flag)| bits | u8::from(*flag) << place);
        let mut encoder = Encoder::default().byte(bits).text(self.name.as_deref().unwrap_or_default());
        encoder = encoder.bytes(self.request.as_deref().unwrap_or_default()).number(self.groups.len() as u64);
        for group in &self.groups {
            encoder = encoder.text(group);
        }
        if let Some(gift) = &self.gift {
            encoder = gift.write(encoder);
        }
        let (owner, key) = (owner.as_str().into(), self.jid.as_str().into());
        Write::MapPut { table: TABLE, owner, key, second: None, value: encoder.finish() }
    }

    fn read(row: &MapRow) -> Option<Contact> {
        let jid = Jid::parse(&row.key).ok()?;
        let mut decoder = Decoder(&row.value);
        let bits = decoder.byte()?;
        let flag = |place: u8| bits & 1 << place != 0;
        let name = decoder.text()?;
        let request = decoder.bytes()?;
        let count = decoder.number()?;
        let groups = (0..count).map(|_| decoder.text().map(Box::from)).collect::<Option<Vec<Box<str>>>>()?;
        let state = State { to: flag(0), from: flag(1), pending_out: flag(2), pending_in: flag(3), approved: flag(4) };
        Some(Contact {
            jid,
            name: (!name.is_empty()).then(|| name.into()),
            groups: groups.into(),
            state,
            listed: flag(5),
            request: (!request.is_empty()).then(|| Bytes::copy_from_slice(request)),
            gift: if decoder.0.is_empty() { None } else { Some(Box::new(Gift::read(&mut decoder)?)) },
        })
    }
}

impl Roster {
    /// Where it comes from.
    pub(crate) const SOURCE: Source = Source::Map(TABLE, decode);

    /// What the kernel finds it by.
    pub(crate) fn type_id() -> TypeId {
        TypeId::of::<Roster>()
    }

    /// The contacts that stand in the roster.
    pub fn listed(&self) -> impl Iterator<Item = &Contact> {
        self.contacts.iter().filter(|contact| contact.listed)
    }

    /// All that is known, requests of strangers too.
    pub fn contacts(&self) -> &[Contact] {
        &self.contacts
    }

    /// What is known of a contact, by any of his addresses.
    pub fn contact(&self, jid: &Jid) -> Option<&Contact> {
        self.place(jid.bare_str()).ok().map(|place| &self.contacts[place])
    }

    /// Whether it takes nobody more.
    pub(crate) fn is_full(&self) -> bool {
        self.contacts.len() >= CONTACTS
    }

    /// Contacts who asked for a subscription and are not in the roster.
    pub(crate) fn strangers(&self) -> usize {
        self.contacts.iter().filter(|contact| !contact.listed && contact.gift.is_none()).count()
    }

    /// Bytes of what the user says of his contacts.
    pub(crate) fn size(&self) -> usize {
        self.contacts.iter().map(Contact::size).sum()
    }

    fn place(&self, bare: &str) -> Result<usize, usize> {
        self.contacts.binary_search_by(|contact| contact.jid.as_str().cmp(bare))
    }

    /// Puts a contact in or replaces him; takes him out if there is nothing to keep of him.
    pub(crate) fn put(&mut self, contact: Contact) {
        match (self.place(contact.jid.as_str()), contact.is_worth_keeping()) {
            (Ok(place), true) => self.contacts[place] = contact,
            (Ok(place), false) => {
                self.contacts.remove(place);
            }
            (Err(place), true) => self.contacts.insert(place, contact),
            (Err(_), false) => {}
        }
    }

    /// The version (RFC 6121 §2.6): a hash of what a client sees, so that equal rosters have equal versions and nothing
    /// has to be counted.
    pub fn version(&self) -> String {
        let mut hash = Fnv::default();
        for contact in self.listed() {
            let State { to, from, pending_out, approved, .. } = contact.state;
            hash.text(contact.jid.as_str());
            hash.text(contact.name.as_deref().unwrap_or_default());
            contact.groups.iter().for_each(|group| hash.text(group));
            hash.bytes(&[to, from, pending_out, approved].map(u8::from));
        }
        format!("{:016x}", hash.0)
    }
}

fn decode(rows: Vec<MapRow>) -> Document {
    let mut contacts: Vec<Contact> = rows.iter().filter_map(Contact::read).collect();
    contacts.sort_by(|a, b| a.jid.cmp(&b.jid));
    Arc::new(Roster { contacts })
}

/// FNV-1a, 64 bits: the same in every process, which a version must be.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
        self.bytes(&[0xff]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact() -> Contact {
        Contact {
            name: Some("Juliet\n".into()),
            groups: ["Friends".into(), "Verona".into()].into(),
            state: State { to: true, pending_in: true, ..State::default() },
            listed: true,
            request: Some(Bytes::from_static(b"<presence/>")),
            ..Contact::new(Jid::parse("juliet@example.com").unwrap())
        }
    }

    #[test]
    fn a_contact_is_read_as_it_was_written() {
        let owner = Jid::parse("romeo@example.net").unwrap();
        let Write::MapPut { key, value, .. } = contact().put(&owner) else { panic!("a row") };
        let row = MapRow { key, sequence: 1, second: None, value };
        assert_eq!(Contact::read(&row), Some(contact()));
    }

    #[test]
    fn a_contact_is_read_with_what_circles_gave() {
        let mut given = contact();
        crate::circles::settle(&mut given, &[(7, "Verona".into()), (8, "Choir".into())].into(), "Juliet");
        assert!(given.gift.is_some());
        let Write::MapPut { key, value, .. } = given.put(&Jid::parse("romeo@example.net").unwrap()) else { panic!() };
        assert_eq!(Contact::read(&MapRow { key, sequence: 1, second: None, value }), Some(given));
    }

    /// A roster that has this contact put in.
    fn with(roster: &Roster, contact: Contact) -> Roster {
        let mut roster = roster.clone();
        roster.put(contact);
        roster
    }

    #[test]
    fn the_version_changes_with_what_a_client_sees_and_with_nothing_else() {
        let roster = with(&Roster::default(), contact());
        let mut other = contact();
        other.state.pending_in = false;
        assert_eq!(roster.version(), with(&roster, other.clone()).version());
        other.state.from = true;
        assert_ne!(roster.version(), with(&roster, other).version());
    }

    #[test]
    fn somebody_of_whom_nothing_is_known_is_not_kept() {
        let roster = with(&Roster::default(), contact());
        assert_eq!(with(&roster, Contact::new(contact().jid)), Roster::default());
    }
}
