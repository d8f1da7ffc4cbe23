//! The back end that keeps everything in memory, in ordered maps: for tests and the simulator, and the model that the
//! others are compared with. Nothing is durable.

mod changes;

use crate::recent::Recent;
use crate::{
    Condition, DocTable, Entry, Future, LogQuery, LogRow, LogSize, LogTable, MapQuery, MapRow, MapTable, NumberTable,
    Outcome, OwnedRow, OwnedValue, Store, StoreError, check_batch,
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// A store in memory. A clone is another handle to the same store.
#[derive(Clone, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Memory {
        Memory::default()
    }

    /// How many log bodies are kept.
    pub fn log_body_count(&self) -> u64 {
        let state = self.state.lock();
        let logs = state.owners.values().flat_map(|owner| owner.logs.values()).flat_map(BTreeMap::values);
        logs.map(|row| Arc::as_ptr(&row.body)).collect::<BTreeSet<_>>().len() as u64
    }

    /// Applies a batch at once. Along with the outcomes comes what takes the batch back.
    ///
    /// # Errors
    /// [`StoreError::Refused`]; then nothing was done.
    pub(crate) fn apply_now(&self, batch: &[Entry]) -> Result<(Vec<Outcome>, Undo), StoreError> {
        check_batch(batch)?;
        let mut state = self.state.lock();
        let mut undo = Undo { cells: Vec::new(), counters: state.counters.clone() };
        match state.apply(batch, &mut undo.cells) {
            Ok(outcomes) => Ok((outcomes, undo)),
            Err(error) => {
                state.take_back(undo);
                Err(error)
            }
        }
    }

    /// Takes back what `apply_now` did. The newest batch goes first.
    pub(crate) fn take_back(&self, undo: Undo) {
        self.state.lock().take_back(undo);
    }

    fn read<T: Send + 'static>(&self, read: impl FnOnce(&State) -> T) -> Future<'static, Result<T, StoreError>> {
        Box::pin(std::future::ready(Ok(read(&self.state.lock()))))
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

impl Store for Memory {
    fn apply(&self, batch: Vec<Entry>) -> Future<'_, Result<Vec<Outcome>, StoreError>> {
        Box::pin(async move { self.apply_now(&batch).map(|(outcomes, _)| outcomes) })
    }

    fn account(&self, owner: &str) -> Future<'_, Result<Option<Bytes>, StoreError>> {
        self.read(|state| state.owners.get(owner)?.account.clone())
    }

    fn accounts(&self, after: Option<&str>, limit: usize) -> Future<'_, Result<Vec<OwnedValue>, StoreError>> {
        self.read(|state| {
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let owners = state.owners.range::<str, _>((from, Bound::Unbounded));
            owners.filter_map(|(name, owner)| Some((name.clone(), owner.account.clone()?))).take(limit).collect()
        })
    }

    fn account_count(&self) -> Future<'_, Result<u64, StoreError>> {
        self.read(|state| state.owners.values().filter(|owner| owner.account.is_some()).count() as u64)
    }

    fn doc(&self, table: DocTable, owner: &str) -> Future<'_, Result<Option<Bytes>, StoreError>> {
        self.read(|state| state.owners.get(owner)?.docs.get(&table).cloned())
    }

    fn map_row(&self, table: MapTable, owner: &str, key: &str) -> Future<'_, Result<Option<MapRow>, StoreError>> {
        self.read(|state| state.map(table, owner)?.rows.get(key).cloned())
    }

    fn map_rows(
        &self,
        table: MapTable,
        owner: &str,
        after: Option<u64>,
        limit: usize,
    ) -> Future<'_, Result<Vec<MapRow>, StoreError>> {
        self.read(|state| {
            let Some(map) = state.map(table, owner) else { return Vec::new() };
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let keys = map.by_sequence.range((from, Bound::Unbounded)).map(|(_, key)| key);
            keys.filter_map(|key| map.rows.get(key)).take(limit).cloned().collect()
        })
    }

    fn map_second(&self, table: MapTable, second: &str, limit: usize) -> Future<'_, Result<Vec<OwnedRow>, StoreError>> {
        self.read(|state| {
            let found = state.seconds.get(&table).and_then(|seconds| seconds.get(second)).into_iter().flatten();
            let rows = found
                .filter_map(|(_, (owner, key))| Some((owner.clone(), state.map(table, owner)?.rows.get(key)?.clone())));
            rows.take(limit).collect()
        })
    }

    fn map_group(&self, table: MapTable, owner: &str, query: MapQuery) -> Future<'_, Result<Vec<MapRow>, StoreError>> {
        self.read(|state| {
            let wanted = |row: &&MapRow| {
                query.after.is_none_or(|after| row.sequence > after)
                    && query.before.is_none_or(|before| row.sequence < before)
            };
            let rows = state.group(table, owner, &query.second).filter(wanted).cloned();
            let mut rows: Vec<MapRow> = rows.collect();
            if query.backwards {
                rows.reverse();
            }
            rows.truncate(query.limit);
            rows
        })
    }

    fn map_group_count(&self, table: MapTable, owner: &str, second: &str) -> Future<'_, Result<u64, StoreError>> {
        self.read(|state| state.group(table, owner, second).count() as u64)
    }

    fn number(&self, table: NumberTable, owner: &str, key: u64) -> Future<'_, Result<Option<u64>, StoreError>> {
        self.read(|state| state.owners.get(owner)?.numbers.get(&table)?.get(&key).copied())
    }

    fn log_rows(&self, table: LogTable, owner: &str, query: LogQuery) -> Future<'_, Result<Vec<LogRow>, StoreError>> {
        self.read(|state| {
            let Some(log) = state.log(table, owner) else { return Vec::new() };
            let from = query.after.map_or(Bound::Unbounded, Bound::Excluded);
            let rows = log.range((from, Bound::Unbounded)).filter(|(id, row)| {
                query.before.is_none_or(|before| **id < before)
                    && query.peer.as_ref().is_none_or(|peer| *peer == row.peer)
                    && (query.any_flag == 0 || row.flags & query.any_flag != 0)
            });
            let row = |(id, row): (&u64, &LogCell)| LogRow {
                id: *id,
                peer: row.peer.clone(),
                flags: row.flags,
                body: Bytes::clone(&row.body),
            };
            let limit = query.limit;
            let rows: Vec<LogRow> = if query.backwards {
                rows.rev().take(limit).map(row).collect()
            } else {
                rows.take(limit).map(row).collect()
            };
            let taken: Result<_, std::convert::Infallible> = query.take(rows.into_iter().map(Ok));
            taken.unwrap_or_default()
        })
    }

    fn log_count(&self, table: LogTable, owner: &str, any_flag: u32) -> Future<'_, Result<u64, StoreError>> {
        self.read(|state| {
            let rows = state.log(table, owner).into_iter().flat_map(BTreeMap::values);
            rows.filter(|row| any_flag == 0 || row.flags & any_flag != 0).count() as u64
        })
    }

    fn log_size(&self, table: LogTable, owner: &str, any_flag: u32) -> Future<'_, Result<LogSize, StoreError>> {
        self.read(|state| {
            let rows = state.log(table, owner).into_iter().flat_map(BTreeMap::values);
            let rows = rows.filter(|row| any_flag == 0 || row.flags & any_flag != 0);
            rows.fold(LogSize::default(), |size, row| LogSize {
                rows: size.rows + 1,
                bytes: size.bytes + row.body.len() as u64,
            })
        })
    }

    fn high_water(&self) -> Future<'_, Result<(u64, u64), StoreError>> {
        self.read(|state| (state.counters.log_high, state.counters.recent.high()))
    }

    fn close(&self) -> Future<'_, Result<(), StoreError>> {
        self.read(|_| ())
    }
}

/// What takes a batch back: the cells it changed as they were, oldest change first, and the counters.
#[derive(Debug)]
pub(crate) struct Undo {
    cells: Vec<Cell>,
    counters: Counters,
}

/// One value of the store with its place; `None`: nothing is there.
#[derive(Debug)]
enum Cell {
    Account(Box<str>, Option<Bytes>),
    Doc(Box<str>, DocTable, Option<Bytes>),
    Map(Box<str>, MapTable, Box<str>, Option<MapRow>),
    Number(Box<str>, NumberTable, u64, Option<u64>),
    Log(Box<str>, LogTable, u64, Option<LogCell>),
}

#[derive(Debug, Clone)]
struct LogCell {
    peer: Box<str>,
    flags: u32,
    /// Shared by all rows of one append.
    body: Arc<Bytes>,
}

#[derive(Debug, Clone, Default)]
struct Counters {
    sequence: u64,
    log_high: u64,
    recent: Recent,
}

/// Owner and key by sequence.
type Places = BTreeMap<u64, (Box<str>, Box<str>)>;

#[derive(Default)]
struct State {
    owners: BTreeMap<Box<str>, Owner>,
    /// Of each table, by second key.
    seconds: BTreeMap<MapTable, BTreeMap<Box<str>, Places>>,
    counters: Counters,
}

#[derive(Default)]
struct Owner {
    account: Option<Bytes>,
    docs: BTreeMap<DocTable, Bytes>,
    maps: BTreeMap<MapTable, Map>,
    numbers: BTreeMap<NumberTable, BTreeMap<u64, u64>>,
    logs: BTreeMap<LogTable, BTreeMap<u64, LogCell>>,
}

#[derive(Default)]
struct Map {
    rows: BTreeMap<Box<str>, MapRow>,
    by_sequence: BTreeMap<u64, Box<str>>,
}

impl State {
    fn map(&self, table: MapTable, owner: &str) -> Option<&Map> {
        self.owners.get(owner)?.maps.get(&table)
    }

    /// An owner's rows with a second key, by their sequence.
    fn group<'a>(&'a self, table: MapTable, owner: &'a str, second: &'a str) -> impl Iterator<Item = &'a MapRow> {
        let map = self.map(table, owner);
        let keys = map.into_iter().flat_map(|map| map.by_sequence.values().filter_map(|key| map.rows.get(key)));
        keys.filter(move |row| row.second.as_deref() == Some(second))
    }

    fn log(&self, table: LogTable, owner: &str) -> Option<&BTreeMap<u64, LogCell>> {
        self.owners.get(owner)?.logs.get(&table)
    }

    /// On an error the caller takes back what `undo` holds.
    fn apply(&mut self, batch: &[Entry], undo: &mut Vec<Cell>) -> Result<Vec<Outcome>, StoreError> {
        let mut outcomes = Vec::with_capacity(batch.len());
        for entry in batch {
            if let Some(known) = self.counters.recent.outcome(entry.id)? {
                outcomes.push(known);
            } else if entry.conditions.iter().all(|condition| self.holds(condition)) {
                for write in &entry.writes {
                    self.write(write, undo)?;
                }
                outcomes.push(Outcome::Done);
            } else {
                outcomes.push(Outcome::ConditionFailed);
            }
        }
        self.counters.recent.note(batch, &outcomes);
        Ok(outcomes)
    }

    fn take_back(&mut self, undo: Undo) {
        for cell in undo.cells.into_iter().rev() {
            self.set(cell);
        }
        self.counters = undo.counters;
    }

    fn holds(&self, condition: &Condition) -> bool {
        let account = |owner: &str| self.owners.get(owner).is_some_and(|owner| owner.account.is_some());
        let row = |table, owner: &str, key: &str| self.map(table, owner).is_some_and(|map| map.rows.contains_key(key));
        match condition {
            Condition::AccountExists(owner) => account(owner),
            Condition::AccountAbsent(owner) => !account(owner),
            Condition::MapExists(table, owner, key) => row(*table, owner, key),
            Condition::MapAbsent(table, owner, key) => !row(*table, owner, key),
            Condition::MapBegins(table, owner, key, begins) => self
                .map(*table, owner)
                .and_then(|map| map.rows.get(key))
                .is_none_or(|row| row.value.starts_with(begins)),
            Condition::MapFewerThan(table, owner, count) => {
                (self.map(*table, owner).map_or(0, |map| map.rows.len()) as u64) < *count
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{self, Subject};

    #[test]
    fn fulfils_the_contract() {
        contract::run(|| {
            let memory = Memory::new();
            let counted = memory.clone();
            Subject { store: Arc::new(memory), log_bodies: Box::new(move || counted.log_body_count()) }
        });
    }
}
