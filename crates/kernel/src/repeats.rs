//! Messages that a client sends again because it does not know whether they arrived: its connection broke before it was
//! told. Invariant: one that came on an earlier stream of its sender and became a row is not written or delivered a
//! second time, whatever died in between; a name that is used again for other content is a new message.
//!
//! The sender's account keeps what it sent lately as pairs of row and hash. What came before it was loaded is read from its
//! log when it first sends. Rows and sessions are numbered by one counter (`ids.rs`), so a row whose id is smaller than
//! the session's number came on an earlier stream.

use crate::{Kernel, account::Account, limits, origin::Origin, owner::Owner, route::Passage};
use linnet_xmpp::{Stanza, stanza::Kind};
use std::{
    collections::VecDeque,
    hash::BuildHasher,
    time::{Duration, UNIX_EPOCH},
};
use store::{LogQuery, StoreError};

/// What an account sent lately, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Sent(VecDeque<(u64, u64)>);

impl Sent {
    /// A message with this hash became this row.
    pub(crate) fn note(&mut self, row: u64, hash: u64) {
        if self.0.len() >= limits::RECENT_ROWS {
            self.0.pop_front();
        }
        self.0.push_back((row, hash));
    }

    /// Whether there is one between the oldest id that counts and the beginning of a stream.
    fn has(&self, hash: u64, oldest: u64, stream: u64) -> bool {
        // In a long stream the first look is the last: all that is kept came on it.
        let earlier = self.0.iter().take_while(|(row, _)| *row < stream);
        earlier.skip_while(|(row, _)| *row < oldest).any(|(_, known)| *known == hash)
    }
}

impl Kernel {
    /// Whether a message could be a repetition: its client has named it.
    fn has_name(&self, stanza: &Stanza) -> bool {
        stanza.kind == Kind::Message && self.hooks.named.is_some_and(|named| named(stanza))
    }

    /// Whether it has to be read first what the sender sent lately.
    pub(crate) fn must_recall(&self, sender: &Account, stanza: &Stanza) -> bool {
        sender.sent.is_none() && sender.exists && self.has_name(stanza)
    }

    /// Reads what an account sent lately.
    pub(crate) async fn recall(&self, owner: &Owner) -> Result<(), StoreError> {
        let mut sent = Sent::default();
        if let Some((table, _)) = self.hooks.record {
            // The account was loaded behind everything that it had handed over, and has sent nothing with a name since.
            let (after, limit) = (Some(self.oldest_repeated()), limits::RECENT_ROWS);
            let query = LogQuery { after, backwards: true, limit, ..LogQuery::default() };
            let rows = self.store.log_rows(table, owner.address.as_str(), query).await?;
            for row in rows.into_iter().rev() {
                let Some(stanza) = Stanza::from_bytes(row.body) else { continue };
                let is_own = stanza.from.as_ref().is_some_and(|from| from.bare_str() == owner.address.as_str());
                if is_own && self.has_name(&stanza) {
                    sent.note(row.id, self.hash(&stanza));
                }
            }
        }
        owner.lock().sent.get_or_insert(Box::new(sent));
        Ok(())
    }

    /// Rows older than this one are forgotten.
    fn oldest_repeated(&self) -> u64 {
        let now = self.context.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(Duration::from_secs(limits::COUNTED_MINUTES * 60)).as_micros() as u64
    }

    /// Whether a message that would become a row came on an earlier stream of its sender's already. Takes note of the
    /// hash by which it is known again.
    pub(crate) fn came_before(
        &self,
        sender: Option<&Account>,
        origin: Origin<'_>,
        stanza: &Stanza,
        passage: &mut Passage,
    ) -> bool {
        let (Some(sender), Some(session)) = (sender, origin.session()) else { return false };
        passage.hash = self.has_name(stanza).then(|| self.hash(stanza));
        let Some((hash, sent)) = passage.hash.zip(sender.sent.as_ref()) else { return false };
        sent.has(hash, self.oldest_repeated(), session.id)
    }

    fn hash(&self, stanza: &Stanza) -> u64 {
        let to = stanza.to.as_ref().map(|to| to.as_str());
        self.hasher.hash_one((to, stanza.ty as u8, stanza.id.as_deref(), &stanza.inner()[..]))
    }
}
