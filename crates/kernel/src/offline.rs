//! A session that begins to take messages is given what is stored: rows are pulled from the log as its socket drains,
//! while what comes meanwhile waits behind them in its mailbox. Invariant: a row is on its way to one session at most,
//! and while rows are stored and a session wants them, one session is being given them.

use crate::{
    Account, Attached, Kernel,
    account::InFlight,
    effects::Effects,
    limits,
    mailbox::{HeadKind, Item},
    session::Session,
};
use linnet_xmpp::{Jid, Stanza};
use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use store::{LogQuery, StoreError};

impl Kernel {
    /// Starts the task; the session was marked as catching up, and its mailbox is held.
    pub(crate) fn catch_up(self: &Arc<Self>, session: Arc<Session>) {
        let kernel = self.clone();
        self.context.spawn(Box::pin(async move {
            if let Err(error) = kernel.give_stored(&session).await {
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

    async fn give_stored(&self, session: &Arc<Session>) -> Result<(), StoreError> {
        let Some((table, flags)) = self.hooks.offline else { return Ok(()) };
        // Behind everything handed over, and behind the notes of what was delivered before.
        self.barrier().await;
        let mut after = None;
        loop {
            let query = LogQuery { after, any_flag: flags, limit: limits::OFFLINE_PAGE, ..LogQuery::default() };
            let rows = self.store.log_rows(table, session.owner.address.as_str(), query).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.id);
            for row in rows {
                let Some(stanza) = Stanza::from_bytes(row.body) else {
                    tracing::error!(id = row.id, account = %session.owner.address, "a stored message cannot be read");
                    continue;
                };
                if !claim(session, row.id) {
                    continue;
                }
                let came = UNIX_EPOCH + Duration::from_micros(row.id);
                let item =
                    Item { stanza: Arc::new(stanza), to: None, head: HeadKind::Late(row.flags, came), row: row.id };
                if session.mailbox.push_pulled(item).await.is_err() {
                    session.owner.lock().give_up(row.id, session.id);
                    return Ok(());
                }
            }
        }
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

/// Takes a row for this session, unless it is on its way to another, was taken a moment ago, or the session has ended.
fn claim(session: &Arc<Session>, row: u64) -> bool {
    let mut account = session.owner.lock();
    // One that has become negative meanwhile gets no more (RFC 6121 §8.5.2.1.1); one that fetches needs no presence.
    let takes = |attached: &Attached| attached.presence.is_none() || attached.priority >= 0;
    if account.flies(row) || !account.session(session.id).is_some_and(takes) {
        return false;
    }
    account.in_flight.push(InFlight { row, session: session.id });
    true
}

/// The session is done with catching up, or has ended; the next one that wants stored messages begins.
pub(crate) fn stop_catching_up(account: &mut Account, session: &Session, effects: &mut Effects) {
    if account.catching_up != Some(session.id) {
        return;
    }
    account.catching_up = None;
    let next = account
        .sessions
        .iter_mut()
        .find(|other| other.waits_for_stored && other.session.id != session.id && !other.session.mailbox.is_closed());
    if let Some(next) = next {
        next.waits_for_stored = false;
        next.session.mailbox.hold();
        account.catching_up = Some(next.session.id);
        effects.catch_up.push(next.session.clone());
    }
}
