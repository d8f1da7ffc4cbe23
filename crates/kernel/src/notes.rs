//! Notes of which rows have reached a client. They are written with the next batch, or half a second later in a transaction
//! of their own; until then the account remembers that the rows have landed, and after a crash they are given again.

use crate::{Kernel, owner::Owner};
use linnet_xmpp::Jid;
use std::{collections::BTreeMap, sync::Arc, time::Instant};
use store::Write;

/// Rows that reached a client, by their owner's address.
pub(crate) type NotedRows = BTreeMap<Jid, (Arc<Owner>, Vec<u64>)>;

/// Notes that wait for the next batch, or for a transaction of their own.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) rows: NotedRows,
    /// When the first of them came.
    pub(crate) since: Option<Instant>,
}

impl Kernel {
    /// Notes that rows have reached a client: the flags are cleared with the next batch, at most half a second later.
    pub(crate) fn note(&self, owner: &Arc<Owner>, rows: &[u64]) {
        let mut notes = self.commit.notes.lock();
        let first = notes.since.is_none();
        notes.since.get_or_insert_with(|| self.context.instant());
        let slot = notes.rows.entry(owner.address.clone()).or_insert_with(|| (owner.clone(), Vec::new()));
        slot.1.extend_from_slice(rows);
        drop(notes);
        if first {
            self.commit.wake.notify_one();
        }
    }

    pub(crate) fn take_notes(&self) -> NotedRows {
        let mut notes = self.commit.notes.lock();
        notes.since = None;
        std::mem::take(&mut notes.rows)
    }

    /// Puts notes back that could not be written; they are tried again after the usual wait.
    pub(crate) fn put_back(&self, taken: NotedRows) {
        let mut notes = self.commit.notes.lock();
        if !taken.is_empty() {
            notes.since = Some(self.context.instant());
        }
        for (address, (owner, rows)) in taken {
            notes.rows.entry(address).or_insert_with(|| (owner, Vec::new())).1.extend(rows);
        }
    }

    pub(crate) fn write_notes(&self, notes: &NotedRows) -> Vec<Write> {
        let Some((table, flags)) = self.hooks.offline else { return Vec::new() };
        let write = |(owner, rows): &(Arc<Owner>, Vec<u64>)| {
            let owner = owner.address.as_str().into();
            Write::LogClearFlags { table, owner, ids: Some(rows.clone()), flags }
        };
        notes.values().map(write).collect()
    }
}
