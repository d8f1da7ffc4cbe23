//! What a synchronous hook sees and leaves behind: one stanza on one side of its way. Reading is free; changes are kept
//! and applied by the kernel after the last hook, under the same lock.

use crate::{
    Kernel,
    account::{Account, Attached, Document, Mark},
    effects::{Delivery, Effects, Task},
    hooks::{At, Notice, Relation, Side},
    mailbox::{self, HeadKind, Item},
    offline::want_stored,
    outbox::{self, Emission},
    owner::Owner,
    session::Session,
};
use bytes::Bytes;
use linnet_xmpp::{Jid, Stanza, StanzaError, stream::StreamError};
use smallvec::SmallVec;
use std::{
    any::{Any, TypeId},
    sync::Arc,
    time::SystemTime,
};
use store::{Condition, Future, LogIndex, LogTable, Write};

/// One stanza on one side.
pub struct Turn<'a> {
    /// The server.
    pub kernel: &'a Arc<Kernel>,
    /// The account on whose behalf hooks run, as it was before the stanza.
    pub account: &'a Account,
    /// The stanza. In `Hook::Ended` an empty unavailable presence from the session.
    pub stanza: &'a Arc<Stanza>,
    /// Which side.
    pub side: Side,
    /// Whom an iq addresses.
    pub at: At,
    /// The session that sent it, where it is one of this account's.
    pub session: Option<&'a Attached>,
    changes: Changes,
}

impl std::fmt::Debug for Turn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn").field("account", &self.account.address).field("side", &self.side).finish_non_exhaustive()
    }
}

/// What hooks want changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    conditions: Vec<Condition>,
    unmet: Option<StanzaError>,
    writes: Vec<Write>,
    notes: Vec<Write>,
    documents: Vec<(TypeId, Document)>,
    held: Vec<(TypeId, Option<Document>)>,
    sessions: SmallVec<[(u64, SessionChange); 1]>,
    deliveries: SmallVec<[Delivery; 2]>,
    emissions: Vec<Emission>,
    tasks: Vec<Task>,
    stored_cleared: bool,
    /// Of the row that was made of the stanza.
    row_flags: u32,
    /// A row of so many bytes is added to those that nobody has taken yet.
    adds_stored: Option<u32>,
}

#[derive(Debug)]
enum SessionChange {
    Presence(Option<Arc<Stanza>>, i8),
    Directed(Jid, bool),
    Remember(TypeId, Document),
    Mark(Mark, bool),
    CatchUp,
    End(StreamError),
}

impl<'a> Turn<'a> {
    pub(crate) fn new(
        kernel: &'a Arc<Kernel>,
        account: &'a Account,
        stanza: &'a Arc<Stanza>,
        side: Side,
        at: At,
        session: Option<u64>,
    ) -> Turn<'a> {
        let session = session.and_then(|id| account.session(id));
        Turn { kernel, account, stanza, side, at, session, changes: Changes::default() }
    }

    /// Who acts: the stanza's sender.
    pub fn actor(&self) -> &Jid {
        self.stanza.from.as_ref().unwrap_or(&self.account.address)
    }

    /// The wall clock.
    pub fn now(&self) -> SystemTime {
        self.kernel.context.now()
    }

    /// How the actor stands to the account.
    pub fn relation(&self) -> Relation {
        crate::access::relation(self.kernel, self.account, self.actor())
    }

    /// A feature's document, where the account exists.
    pub fn document<T: Any + Send + Sync>(&self) -> Option<&'a T> {
        self.account.document()
    }

    /// A document as the turn has set it; where it has not, as [`Turn::document`] says it.
    pub fn latest<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let id = TypeId::of::<T>();
        let set = self.changes.documents.iter().rev().find(|(set, _)| *set == id);
        let (_, document) = set.or_else(|| self.account.documents.iter().find(|(kept, _)| *kept == id))?;
        document.clone().downcast().ok()
    }

    /// Demands something of the store for all writes of this stanza.
    pub fn require(&mut self, condition: Condition) {
        self.changes.conditions.push(condition);
    }

    /// The same, and says what the sender is told where it does not hold; conflict where nothing is said.
    pub fn require_or(&mut self, condition: Condition, error: StanzaError) {
        self.changes.conditions.push(condition);
        self.changes.unmet = Some(error);
    }

    /// Writes something, together with all other writes of this stanza.
    pub fn write(&mut self, write: Write) {
        self.changes.writes.push(write);
    }

    /// Writes something beside the stanza's own writes: if it fails, nothing else does.
    pub fn write_beside(&mut self, write: Write) {
        self.changes.notes.push(write);
    }

    /// Replaces a document in memory. What is stored is the feature's own [`Turn::write`].
    pub fn set<T: Any + Send + Sync>(&mut self, document: T) {
        self.changes.documents.push((TypeId::of::<T>(), Arc::new(document)));
    }

    /// Holds something that lives in memory only, e.g. who is in a room: it survives a failed write, and while there is
    /// any the owner stays in memory. `None`: nothing any more.
    pub fn hold<T: Any + Send + Sync>(&mut self, state: Option<T>) {
        self.changes.held.push((TypeId::of::<T>(), state.map(|state| Arc::new(state) as Document)));
    }

    /// Remembers something of a session until it ends. Shared, for most clients are alike.
    pub fn remember<T: Any + Send + Sync>(&mut self, session: &Attached, what: Arc<T>) {
        let change = SessionChange::Remember(TypeId::of::<T>(), what);
        self.changes.sessions.push((session.session.id, change));
    }

    /// Puts a stanza into the mailbox of one of the account's sessions. `to`: None where the stanza's own is right.
    pub fn deliver(&mut self, to: &Attached, stanza: Arc<Stanza>, address: Option<Jid>) {
        let item = Item { to: address, ..Item::plain(stanza) };
        self.changes.deliveries.push(Delivery { session: to.session.clone(), item });
    }

    /// Puts a copy of the turn's stanza, which became a row that goes to others, into the mailbox of one of the account's
    /// sessions, which then needs no other. 0: it became none.
    pub fn deliver_copy(&mut self, to: &Attached, copy: Arc<Stanza>, address: Option<Jid>, row: u64) {
        let head = if row == 0 { HeadKind::Plain } else { HeadKind::Copy };
        let item = Item { stanza: copy, to: address, head, row };
        self.changes.deliveries.push(Delivery { session: to.session.clone(), item });
    }

    /// Puts the turn's stanza into the mailbox of one of the account's sessions, as the row that was made of it.
    pub fn deliver_row(&mut self, to: &Attached, row: u64) {
        let head = if row == 0 { HeadKind::Plain } else { HeadKind::Row(self.changes.row_flags) };
        let item = Item { stanza: self.stanza.clone(), to: None, head, row };
        self.changes.deliveries.push(Delivery { session: to.session.clone(), item });
    }

    /// Sends a stanza on to further addresses, in the account's name; `from` must be the account's or one of its
    /// sessions'. Each gets it with his own `to`.
    ///
    /// A subscription stanza may not be lost: it is stored with the writes of this stanza until it has arrived.
    pub fn emit(&mut self, stanza: Stanza, to: Vec<Jid>) {
        if to.is_empty() {
            return;
        }
        if outbox::must_arrive(&stanza) {
            return self.emit_surely(&stanza, to);
        }
        if to.len() > 1 {
            // Read once, so that all who get it share what was read.
            let _ = stanza.payload();
        }
        let latest = self.kernel.service(self.account.address.domain()).is_none();
        self.changes.emissions.push(Emission { stanza: Arc::new(stanza), to, transit: None, notice: None, latest });
    }

    /// The same for what may not be lost: it is stored with the writes of this stanza until it has arrived.
    pub fn emit_surely(&mut self, stanza: &Stanza, to: Vec<Jid>) {
        for to in to {
            let id = self.kernel.ids.next(self.now());
            let stanza = Arc::new(stanza.clone().to(to.clone()));
            self.write(outbox::transit(id, &stanza));
            let (to, transit) = (vec![to], Some(id));
            self.changes.emissions.push(Emission { stanza, to, transit, notice: None, latest: false });
        }
    }

    /// Tells other accounts here something beside a stanza, in order with all that this owner sends on. At each of them
    /// `Hook::Notice` decides in place of the rules for the stanza what comes of it, behind the guards. Only for what may
    /// be lost; addresses of others are passed over.
    pub fn emit_with(&mut self, stanza: Stanza, to: Vec<Jid>, notice: Notice) {
        if !to.is_empty() {
            let (stanza, notice) = (Arc::new(stanza), Some(notice));
            self.changes.emissions.push(Emission { stanza, to, transit: None, notice, latest: false });
        }
    }

    /// Begins something beside all lanes once the changes of this stanza are durable; never if they fail. A task of its
    /// own each time, so not for what every stanza causes. It may ask others ([`Kernel::request`]).
    pub fn afterwards(&mut self, task: Future<'static, ()>) {
        self.changes.tasks.push(Task::new(task));
    }

    /// Sets what is known of a session's presence; `None`: it is unavailable.
    pub fn set_presence(&mut self, session: &Attached, presence: Option<Arc<Stanza>>, priority: i8) {
        self.changes.sessions.push((session.session.id, SessionChange::Presence(presence, priority)));
    }

    /// Remembers or forgets that a session sent directed presence.
    pub fn set_directed(&mut self, session: &Attached, to: Jid, available: bool) {
        self.changes.sessions.push((session.session.id, SessionChange::Directed(to, available)));
    }

    /// Sets or clears a mark of a session.
    pub fn mark(&mut self, session: &Attached, mark: Mark, on: bool) {
        self.changes.sessions.push((session.session.id, SessionChange::Mark(mark, on)));
    }

    /// Gives the session the stored messages, if no other session is catching up.
    pub fn catch_up(&mut self, session: &Attached) {
        self.changes.sessions.push((session.session.id, SessionChange::CatchUp));
    }

    /// Ends a session with an error.
    pub fn end(&mut self, session: &Attached, error: StreamError) {
        self.changes.sessions.push((session.session.id, SessionChange::End(error)));
    }

    /// The stored messages were removed.
    pub fn clear_stored(&mut self) {
        self.changes.stored_cleared = true;
    }

    /// Whether something is on its way to this session by the turn.
    pub fn delivers_to(&self, session: &Attached) -> bool {
        self.changes.deliveries.iter().any(|delivery| delivery.session.id == session.session.id)
    }

    /// The flags of the row that was made of the stanza in the account's log; 0 without one.
    pub fn row_flags(&self) -> u32 {
        self.changes.row_flags
    }

    /// Writes a row of a service's own log, e.g. what was said in a room, and gives its id. `body`: the stanza as it is
    /// to be read again.
    pub fn append(&mut self, table: LogTable, peer: &Jid, flags: u32, body: Bytes) -> u64 {
        let id = self.kernel.ids.next(self.now());
        let owner = self.account.address.as_str().into();
        let rows = vec![LogIndex { owner, id, peer: peer.bare_str().into(), flags }];
        self.write(Write::LogAppend { table, rows, body });
        id
    }

    /// A row for the stanza in the account's log; whoever has all rows of the stanza writes them. `stored`: it is for the
    /// next session that takes messages.
    pub(crate) fn row(&mut self, flags: u32, stored: bool) -> LogIndex {
        let id = self.kernel.ids.next(self.now());
        if stored {
            self.changes.adds_stored = Some(mailbox::size(self.stanza));
        }
        self.changes.row_flags = flags;
        let own = &self.account.address;
        let other = if self.side == Side::Out { self.stanza.to.as_ref() } else { self.stanza.from.as_ref() };
        LogIndex { owner: own.as_str().into(), id, peer: other.unwrap_or(own).bare_str().into(), flags }
    }

    pub(crate) fn into_changes(self) -> Changes {
        self.changes
    }
}

impl Changes {
    /// Applies what hooks left, in memory at once and in `effects` for the store and the mailboxes.
    pub(crate) fn apply(self, owner: &Arc<Owner>, account: &mut Account, effects: &mut Effects) {
        effects.conditions.extend(self.conditions);
        effects.unmet = effects.unmet.take().or(self.unmet);
        effects.writes.extend(self.writes);
        effects.notes.extend(self.notes);
        effects.changes_documents |= !self.documents.is_empty();
        for (id, document) in self.documents {
            account.set_document(id, document);
        }
        for (id, state) in self.held {
            account.hold(id, state);
        }
        for delivery in self.deliveries {
            match (delivery.item.row, delivery.item.head) {
                (0, _) => {}
                (_, HeadKind::Copy) => account.copy(delivery.flight()),
                _ => account.in_flight.push(delivery.flight()),
            }
            effects.deliveries.push(delivery);
        }
        effects.emissions.extend(self.emissions.into_iter().map(|emission| (owner.clone(), emission)));
        effects.tasks.extend(self.tasks);
        if self.stored_cleared {
            account.clear_stored();
        }
        if let Some(size) = self.adds_stored {
            account.stored += 1;
            account.stored_bytes += u64::from(size);
        }
        for (id, change) in self.sessions {
            apply_to_session(account, id, change, effects);
        }
    }
}

fn apply_to_session(account: &mut Account, id: u64, change: SessionChange, effects: &mut Effects) {
    let Some(attached) = account.session_mut(id) else { return };
    let session: Arc<Session> = attached.session.clone();
    match change {
        SessionChange::Presence(presence, priority) => {
            attached.presence = presence;
            attached.priority = priority;
        }
        SessionChange::Directed(to, available) => Account::remember_directed(attached, to, available),
        SessionChange::Remember(id, what) => {
            attached.remembered.retain(|(type_id, _)| *type_id != id);
            attached.remembered.push((id, what));
        }
        SessionChange::Mark(mark, true) => attached.marks |= mark.0,
        SessionChange::Mark(mark, false) => attached.marks &= !mark.0,
        SessionChange::CatchUp => want_stored(account, id, effects),
        SessionChange::End(error) => effects.endings.push((session, error)),
    }
}
