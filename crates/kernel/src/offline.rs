//! A session that begins to take messages is given what is stored: rows are pulled from the log as its socket drains,
//! while what comes meanwhile waits behind them in its mailbox. Invariant: a row is on its way to one session at most,
//! and while rows are stored and a session wants them, one session is being given them.
//!
//! Who reads the archive needs no flood: what is in there and its client knows is passed over, as if it had been given.

use crate::{
    Account, Kernel,
    account::InFlight,
    effects::Effects,
    limits,
    mailbox::{self, HeadKind, Item},
    session::Session,
};
use bytes::Bytes;
use linnet_xmpp::{Jid, Stanza};
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, UNIX_EPOCH},
};
use store::{LogQuery, MapTable, StoreError, Write};

/// How far the archive was read, by a client's device or resource: the id of the first row that it may not know.
const READ: MapTable = MapTable("archive-read");
/// All of them are one group, of which the oldest go.
const READERS: &str = "readers";

/// What becomes of a row that nobody has taken.
enum Verdict {
    /// The session is given it.
    Give,
    /// The session has it already, and nobody else needs it.
    Pass,
    /// It is on its way to somebody, or not for this session.
    Leave,
}

impl Kernel {
    /// Starts the task; the session was marked as catching up, and its mailbox is held.
    pub(crate) fn catch_up(self: &Arc<Self>, session: Arc<Session>) {
        let kernel = self.clone();
        self.context.spawn(Box::pin(async move {
            if let Err(error) = kernel.give_stored(&session, true).await {
                tracing::error!(%error, account = %session.owner.address, "stored messages could not be read");
            }
            let kicked = {
                let mut account = session.owner.lock();
                let mut effects = Effects::default();
                stop_catching_up(&mut account, &session, &mut effects);
                kernel.hand_over(effects, &[&session.owner], None)
            };
            session.mailbox.release();
            kernel.settle(kicked);
        }));
    }

    /// Starts a task that passes over what the session's client knows from the archive, and gives nothing.
    pub(crate) fn pass_over(self: &Arc<Self>, session: Arc<Session>) {
        let kernel = self.clone();
        self.context.spawn(Box::pin(async move {
            if let Err(error) = kernel.give_stored(&session, false).await {
                // Then it comes twice, and with the same id.
                tracing::error!(%error, account = %session.owner.address, "stored messages could not be passed over");
            }
        }));
    }

    async fn give_stored(&self, session: &Arc<Session>, gives: bool) -> Result<(), StoreError> {
        let Some((table, flags)) = self.hooks.offline else { return Ok(()) };
        // Behind everything handed over, and behind the notes of what was delivered before.
        self.barrier().await;
        self.recall_reading(session).await?;
        let mut after = None;
        loop {
            // Without giving, nothing is passed over but what is known.
            let before = (!gives).then(|| session.known.load(Ordering::Acquire));
            let query = LogQuery { after, before, any_flag: flags, limit: limits::OFFLINE_PAGE, ..LogQuery::default() };
            let rows = self.store.log_rows(table, session.owner.address.as_str(), query).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.id);
            for row in rows {
                let Some(stanza) = Stanza::from_bytes(row.body) else {
                    tracing::error!(id = row.id, account = %session.owner.address, "a stored message cannot be read");
                    continue;
                };
                let came = UNIX_EPOCH + Duration::from_micros(row.id);
                let head = HeadKind::Late(row.flags, came);
                let item = Item { stanza: Arc::new(stanza), to: None, head, row: row.id };
                match self.judge(session, &item, gives) {
                    Verdict::Give => {}
                    Verdict::Pass => {
                        self.note(&session.owner, &[row.id]);
                        continue;
                    }
                    Verdict::Leave => continue,
                }
                if session.mailbox.push_pulled(item).await.is_err() {
                    session.owner.lock().give_up(row.id, session.id);
                    return Ok(());
                }
            }
        }
    }

    /// Takes a row for this session, unless it is on its way to another, was taken a moment ago, or the session has ended
    /// or has the row by other means.
    fn judge(&self, session: &Arc<Session>, item: &Item, gives: bool) -> Verdict {
        let mut account = session.owner.lock();
        let size = mailbox::size(&item.stanza);
        let Some(attached) = account.session(session.id).filter(|_| !account.flies(item.row)) else {
            return Verdict::Leave;
        };
        if self.is_known(session, item.row, item.head.flags()) {
            account.land(item.row, size);
            return Verdict::Pass;
        }
        // One that has become negative meanwhile gets no more (RFC 6121 §8.5.2.1.1); one that fetches needs no presence.
        let takes = gives && (attached.presence.is_none() || attached.priority >= 0);
        if !takes || account.has_copy(item.row, session.id) {
            return Verdict::Leave;
        }
        account.in_flight.push(InFlight { row: item.row, session: session.id, size });
        Verdict::Give
    }

    /// Whether the session's client knows a row from the archive.
    fn is_known(&self, session: &Session, row: u64, flags: u32) -> bool {
        flags & self.hooks.archived != 0 && row < session.known.load(Ordering::Acquire)
    }

    /// Whether a session needs a row, or an item without one (0), that another does not take.
    pub(crate) fn needs(&self, account: &Account, session: &Session, row: u64, flags: u32) -> bool {
        row == 0 || !(self.is_known(session, row, flags) || account.has_copy(row, session.id))
    }

    /// The client of a session has been given the archive up to the rows from `next_row` on ([`crate::hooks::Ask`]): it
    /// need not be given what is in there as well, now or when it comes again. As what a client is known: by its
    /// installation, else by its resource.
    pub fn has_read(&self, session: &Session, next_row: u64) {
        let before = session.known.fetch_max(next_row, Ordering::AcqRel);
        if before >= next_row {
            return;
        }
        let owner: Box<str> = session.owner.address.as_str().into();
        let (value, second) = (Bytes::copy_from_slice(&next_row.to_be_bytes()), Some(READERS.into()));
        let put = Write::MapPut { table: READ, owner: owner.clone(), key: reader(session), second, value };
        let trim = Write::MapTrim { table: READ, owner, second: READERS.into(), keep: limits::READERS };
        // Beside everything else: if it is lost, something comes twice, and with the same id.
        self.enqueue(Effects { writes: vec![put, trim], ..Effects::default() }, &[], None, None);
    }

    /// Finds out how far the client had read the archive when it was here before.
    async fn recall_reading(&self, session: &Session) -> Result<(), StoreError> {
        let row = self.store.map_row(READ, session.owner.address.as_str(), &reader(session)).await?;
        if let Some(known) = row.and_then(|row| <[u8; 8]>::try_from(&row.value[..]).ok()) {
            session.known.fetch_max(u64::from_be_bytes(known), Ordering::AcqRel);
        }
        Ok(())
    }

    /// The id of a row as clients see it (XEP-0359 `stanza-id`).
    pub fn public_id(&self, row: u64) -> u64 {
        self.ids.opaque(row)
    }

    /// The row of an id that a client has seen.
    pub fn row_of(&self, public_id: u64) -> u64 {
        self.ids.reveal(public_id)
    }

    /// Writes what follows the content of an item for its receiver: stanza-id, delay, as features registered.
    pub fn write_head(&self, item: &Item, receiver: &Jid, out: &mut Vec<u8>) {
        for write in &self.hooks.heads {
            write(self, item.head, item, receiver, out);
        }
    }
}

/// What a client is known as.
fn reader(session: &Session) -> Box<str> {
    let own = || format!("resource {}", session.address.resource().unwrap_or_default());
    session.device().map_or_else(own, |device| format!("device {device}")).into()
}

/// A session wants what is stored: it begins to catch up, or waits for its turn.
pub(crate) fn want_stored(account: &mut Account, session: u64, effects: &mut Effects) {
    let (is_busy, has_stored) = (account.catching_up.is_some(), account.stored > 0);
    let Some(attached) = account.session_mut(session) else { return };
    if is_busy {
        attached.waits_for_stored = true;
    } else if has_stored {
        let session = attached.session.clone();
        session.mailbox.hold();
        account.catching_up = Some(session.id);
        effects.catch_up.push(session);
    }
}

/// The session is done with catching up, or has ended; the next one that wants stored messages begins. It may be the same:
/// something has come back that is older than what it has been given.
pub(crate) fn stop_catching_up(account: &mut Account, session: &Session, effects: &mut Effects) {
    if account.catching_up != Some(session.id) {
        return;
    }
    account.catching_up = None;
    let next = account.sessions.iter_mut().find(|other| other.waits_for_stored && !other.session.mailbox.is_closed());
    if let Some(next) = next {
        next.waits_for_stored = false;
        next.session.mailbox.hold();
        account.catching_up = Some(next.session.id);
        effects.catch_up.push(next.session.clone());
    }
}
