//! The state of an account that is loaded: its sessions and the documents that features keep in memory.

use crate::{limits, repeats::Sent, session::Session};
use bytes::Bytes;
use linnet_xmpp::{Jid, Stanza};
use std::{
    any::{Any, TypeId},
    sync::Arc,
};

/// A bit that a feature keeps per session, e.g. "has asked for the roster". Features declare theirs in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub u32);

/// A session of the account, with what is known of it. Guarded by the owner's lock.
#[derive(Debug)]
pub struct Attached {
    /// The session.
    pub session: Arc<Session>,
    /// The available presence sent last; `None` while it is not available.
    pub presence: Option<Arc<Stanza>>,
    /// Its priority (RFC 6121 §4.7.2.3).
    pub priority: i8,
    /// Whom it has sent directed available presence (RFC 6121 §4.6).
    pub directed: Vec<Jid>,
    /// Bits of features.
    pub(crate) marks: u32,
    /// What features remember of it.
    pub(crate) remembered: Vec<(TypeId, Document)>,
    /// Wants stored messages, while another session is being given them.
    pub(crate) waits_for_stored: bool,
}

impl Attached {
    /// Whether a feature has set its mark.
    pub fn has(&self, mark: Mark) -> bool {
        self.marks & mark.0 != 0
    }

    /// What a feature remembers of the session ([`crate::Turn::remember`]).
    pub fn remembered<T: Any + Send + Sync>(&self) -> Option<&T> {
        find(&self.remembered)
    }

    /// Whether messages to the bare address may come here: available with a priority that is not negative
    /// (RFC 6121 §8.5.2.1.1).
    pub fn takes_messages(&self) -> bool {
        self.presence.is_some() && self.priority >= 0
    }
}

/// A document that a feature keeps in memory with every loaded account.
pub type Document = Arc<dyn Any + Send + Sync>;

fn find<T: Any + Send + Sync>(documents: &[(TypeId, Document)]) -> Option<&T> {
    let id = TypeId::of::<T>();
    documents.iter().find(|(type_id, _)| *type_id == id).and_then(|(_, document)| document.downcast_ref())
}

/// An account, as hooks see it; or the state of a service or of one of its rooms (`service`). One that does not exist is loaded too, so that the answer "no such account" is cached.
#[derive(Debug)]
pub struct Account {
    /// The bare address.
    pub address: Jid,
    /// Whether there is such an account.
    pub exists: bool,
    /// Its sessions, oldest first.
    pub sessions: Vec<Attached>,
    /// Messages in its log that nobody has read.
    pub stored: u32,
    /// Roughly their bytes.
    pub(crate) stored_bytes: u64,
    pub(crate) documents: Vec<(TypeId, Document)>,
    /// What lives in memory only.
    pub(crate) held: Vec<(TypeId, Document)>,
    /// What the store holds of the account, kept while nobody is logged in, for who is about to.
    pub(crate) value: Option<Bytes>,
    /// What it sent lately; `None`: not read yet.
    pub(crate) sent: Option<Box<Sent>>,
    /// Rows that are on their way to a session: not to be given to another.
    pub(crate) in_flight: Vec<InFlight>,
    /// Copies of rows that sessions were given, while the store does not know that a session has the row.
    copies: Vec<Copied>,
    /// The session that catches up with stored messages.
    pub(crate) catching_up: Option<u64>,
}

/// A row on its way: dispatched to a session, or taken by one and not yet noted in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InFlight {
    pub(crate) row: u64,
    /// Which session, or [`LANDED`].
    pub(crate) session: u64,
    /// Its bytes, for [`Account::stored_bytes`].
    pub(crate) size: u32,
}

/// A session was given a copy of a row that is another's, so it needs no other (XEP-0280).
#[derive(Debug)]
struct Copied {
    flight: InFlight,
    /// Its client has it.
    came: bool,
}

/// In place of a session's number: some session has the row, and the store does not know it yet.
pub(crate) const LANDED: u64 = 0;

impl Account {
    pub(crate) fn new(address: Jid) -> Account {
        Account {
            address,
            exists: false,
            sessions: Vec::new(),
            stored: 0,
            stored_bytes: 0,
            documents: Vec::new(),
            held: Vec::new(),
            value: None,
            sent: None,
            in_flight: Vec::new(),
            copies: Vec::new(),
            catching_up: None,
        }
    }

    /// A feature's document; `None` where the account does not exist or the feature is not there.
    pub fn document<T: Any + Send + Sync>(&self) -> Option<&T> {
        find(&self.documents)
    }

    /// What a feature holds in memory only ([`crate::Turn::hold`]).
    pub fn held<T: Any + Send + Sync>(&self) -> Option<&T> {
        find(&self.held)
    }

    pub(crate) fn hold(&mut self, id: TypeId, state: Option<Document>) {
        self.held.retain(|(type_id, _)| *type_id != id);
        self.held.extend(state.map(|state| (id, state)));
    }

    /// Whether something would be lost if it were forgotten now.
    pub(crate) fn is_needed(&self) -> bool {
        !self.sessions.is_empty() || !self.held.is_empty()
    }

    pub(crate) fn set_document(&mut self, id: TypeId, document: Document) {
        match self.documents.iter_mut().find(|(type_id, _)| *type_id == id) {
            Some(slot) => slot.1 = document,
            None => self.documents.push((id, document)),
        }
    }

    /// The session with this resource.
    pub fn resource(&self, resource: &str) -> Option<&Attached> {
        self.sessions.iter().find(|attached| attached.session.address.resource() == Some(resource))
    }

    /// The session with this number.
    pub fn session(&self, id: u64) -> Option<&Attached> {
        self.sessions.iter().find(|attached| attached.session.id == id)
    }

    pub(crate) fn session_mut(&mut self, id: u64) -> Option<&mut Attached> {
        self.sessions.iter_mut().find(|attached| attached.session.id == id)
    }

    /// Sessions that have sent available presence.
    pub fn available(&self) -> impl Iterator<Item = &Attached> {
        self.sessions.iter().filter(|attached| attached.presence.is_some())
    }

    /// Sessions with a mark.
    pub fn marked(&self, mark: Mark) -> impl Iterator<Item = &Attached> {
        self.sessions.iter().filter(move |attached| attached.has(mark))
    }

    pub(crate) fn remember_directed(attached: &mut Attached, to: Jid, available: bool) {
        let place = attached.directed.iter().position(|known| *known == to);
        match (place, available) {
            (None, true) if attached.directed.len() < limits::DIRECTED => attached.directed.push(to),
            (Some(place), false) => {
                attached.directed.swap_remove(place);
            }
            _ => {}
        }
    }

    /// A session has a row, or a copy of it. True if it is the first, so that no session carries the row any more and the
    /// store has to know.
    pub(crate) fn arrived(&mut self, row: u64, session: u64) -> bool {
        if let Some(flight) = self.flight(row, session) {
            self.land(row, flight.size);
            return true;
        }
        let copy = self.copies.iter_mut().find(|copy| (copy.flight.row, copy.flight.session) == (row, session));
        copy.is_some_and(|copy| {
            copy.came = true;
            true
        }) && self.has_come_as_copy(row)
    }

    /// Whether a session has a copy of a row that nobody carries: then the row has landed.
    pub(crate) fn has_come_as_copy(&mut self, row: u64) -> bool {
        let copy = self.copies.iter().find(|copy| copy.flight.row == row && copy.came);
        let Some(size) = copy.map(|copy| copy.flight.size).filter(|_| !self.flies(row)) else { return false };
        self.land(row, size);
        true
    }

    /// Nobody has to be given the row any more.
    pub(crate) fn land(&mut self, row: u64, size: u32) {
        self.in_flight.retain(|flight| flight.row != row);
        self.in_flight.push(InFlight { row, session: LANDED, size: 0 });
        self.stored = self.stored.saturating_sub(1);
        self.stored_bytes = if self.stored == 0 { 0 } else { self.stored_bytes.saturating_sub(size.into()) };
    }

    /// The store knows that rows have landed.
    pub(crate) fn settle_rows(&mut self, rows: &[u64]) {
        self.in_flight.retain(|flight| flight.session != LANDED || !rows.contains(&flight.row));
        self.copies.retain(|copy| !rows.contains(&copy.flight.row));
        self.shrink();
    }

    /// Nothing in the log is for anybody any more.
    pub(crate) fn clear_stored(&mut self) {
        (self.stored, self.stored_bytes, self.copies) = (0, 0, Vec::new());
    }

    /// A session is given a copy of a row.
    pub(crate) fn copy(&mut self, flight: InFlight) {
        // Beyond the limit a message may come twice, with the same id.
        if self.copies.len() < limits::COPIES {
            self.copies.push(Copied { flight, came: false });
        }
    }

    /// Whether a session was given a copy of a row.
    pub(crate) fn has_copy(&self, row: u64, session: u64) -> bool {
        self.copies.iter().any(|copy| (copy.flight.row, copy.flight.session) == (row, session))
    }

    /// A copy never came about, or (`row` 0) the session has ended.
    pub(crate) fn forget_copies(&mut self, row: u64, session: u64) {
        self.copies.retain(|copy| copy.flight.session != session || (row != 0 && copy.flight.row != row));
        self.shrink();
    }

    fn flight(&self, row: u64, session: u64) -> Option<InFlight> {
        self.in_flight.iter().find(|flight| (flight.row, flight.session) == (row, session)).copied()
    }

    /// A session gives a row up. True if nobody else has it or carries it.
    pub(crate) fn give_up(&mut self, row: u64, session: u64) -> bool {
        let is_it = |flight: &InFlight| (flight.row, flight.session) == (row, session);
        let Some(place) = self.in_flight.iter().position(is_it) else { return false };
        self.in_flight.remove(place);
        self.shrink();
        !self.flies(row)
    }

    fn shrink(&mut self) {
        if self.in_flight.is_empty() {
            self.in_flight = Vec::new();
        }
        if self.copies.is_empty() {
            self.copies = Vec::new();
        }
    }

    /// Whether a row is on its way to this session, which has not said that it has it.
    pub fn is_on_its_way(&self, row: u64, session: u64) -> bool {
        self.flight(row, session).is_some()
    }

    /// Whether a row is on its way to a session, or has just arrived.
    pub fn flies(&self, row: u64) -> bool {
        self.in_flight.iter().any(|flight| flight.row == row)
    }
}
