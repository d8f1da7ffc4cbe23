//! The counts of stream management that outlive the process (XEP-0198 §5): how many stanzas of a resumable session's
//! client were handled. Invariant: a count is written in the transaction of what it counts, so after a crash it covers
//! every stanza with a durable effect.
//!
//! A session's number is its key: no two sessions of a server ever have the same. The id by which a client resumes is
//! that number and a seal of it, so that nothing is stored for a session that changes nothing.

use crate::{Kernel, limits, session::Session};
use linnet_xmpp::{Jid, sasl::keyed_name};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use store::{NumberTable, StoreError, Write};

/// By the session's number: in the upper half minutes since 1970, in the lower half the count.
const HANDLED: NumberTable = NumberTable("handled");

/// Of so many writes of counts one removes the account's old ones.
const SWEEP: u64 = 16;

fn minutes(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() / 60)
}

/// Counts to be written with a batch: the last one of each session.
#[derive(Default)]
pub(crate) struct Counts(Vec<(Arc<Session>, u32)>);

impl Counts {
    /// Takes note of an entry of a session that was the so manieth stanza of its client.
    pub(crate) fn add(&mut self, session: &Arc<Session>, count: u32) {
        // What its client has not been told of must not be covered: it would take the stanza for safe after a crash. A
        // count that is too low is harmless, for what is sent again is known again (`repeats.rs`).
        if count == 0 || session.owes_error() {
            return;
        }
        // The sessions in one batch are few, and those that write much come one after the other.
        match self.0.iter_mut().rev().find(|(known, _)| known.id == session.id) {
            Some(known) => known.1 = count,
            None => self.0.push((session.clone(), count)),
        }
    }

    pub(crate) fn writes(&self, now: SystemTime) -> Vec<Write> {
        let minutes = minutes(now);
        let mut writes = Vec::with_capacity(self.0.len());
        for (session, count) in &self.0 {
            let owner: Box<str> = session.owner.address.as_str().into();
            if (minutes + u64::from(*count)).is_multiple_of(SWEEP) {
                let value = minutes.saturating_sub(limits::COUNTED_MINUTES) << 32;
                writes.push(Write::NumbersBelow { table: HANDLED, owner: owner.clone(), value });
            }
            let value = minutes << 32 | u64::from(*count);
            writes.push(Write::NumberPut { table: HANDLED, owner, key: session.id, value });
        }
        writes
    }
}

/// The client has ended its stream: it does not resume.
pub(crate) fn forget(session: &Session) -> Write {
    let owner = session.owner.address.as_str().into();
    Write::NumberRemove { table: HANDLED, owner, key: session.id }
}

impl Kernel {
    /// The id by which the client of a session resumes it, with a seal of 96 bits that nobody can guess (XEP-0198 §8).
    pub(crate) fn resumption_id(&self, account: &Jid, session: u64) -> Box<str> {
        let number = format!("{session:016x}");
        let seal = keyed_name(&self.secret, &["resume", account.bare_str(), &number]);
        (number + &seal).into()
    }

    /// The number of the session of an account that an id names, if this server made the id.
    pub(crate) fn session_of(&self, account: &Jid, id: &str) -> Option<u64> {
        let session = u64::from_str_radix(id.get(..16)?, 16).ok()?;
        (*self.resumption_id(account, session) == *id).then_some(session)
    }

    /// How many stanzas were handled of a session that is not there any more, and had a durable effect.
    pub(crate) async fn handled_by(&self, account: &Jid, session: u64) -> Result<Option<u32>, StoreError> {
        // Behind what is on its way: who was ended a moment ago may have written.
        self.barrier().await;
        let now = self.context.now();
        let oldest = minutes(now).saturating_sub(limits::COUNTED_MINUTES);
        let stored = self.store.number(HANDLED, account.bare_str(), session).await?;
        Ok(match stored {
            Some(value) => (value >> 32 >= oldest).then_some(value as u32),
            // Nothing had an effect; it began, by its number, when it may be remembered.
            None => (session / 60_000_000 >= oldest).then_some(0),
        })
    }
}
