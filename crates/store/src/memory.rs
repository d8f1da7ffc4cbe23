//! The back end that keeps everything in memory, in ordered maps: for tests and the simulator, and the model that the
//! others are compared with. Nothing is durable.

use crate::recent::Recent;
use crate::{
    Condition, DocTable, Entry, Future, LogQuery, LogRow, LogTable, MapQuery, MapRow, MapTable, NumberTable, Outcome, OwnedRow,
    OwnedValue, Store, StoreError, Write, check_batch,
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

    fn write(&mut self, write: &Write, undo: &mut Vec<Cell>) -> Result<(), StoreError> {
        match write {
            Write::AccountPut { owner, value } => {
                undo.push(self.set(Cell::Account(owner.clone(), Some(value.clone()))));
            }
            Write::AccountRemove { owner } => {
                for cell in self.cells_of(owner) {
                    undo.push(self.set(cell));
                }
            }
            Write::DocPut { table, owner, value } => {
                undo.push(self.set(Cell::Doc(owner.clone(), *table, Some(value.clone()))));
            }
            Write::DocRemove { table, owner } => undo.push(self.set(Cell::Doc(owner.clone(), *table, None))),
            Write::MapPut { table, owner, key, second, value } => {
                self.counters.sequence += 1;
                let (sequence, second) = (self.counters.sequence, second.clone());
                let row = MapRow { key: key.clone(), sequence, second, value: value.clone() };
                undo.push(self.set(Cell::Map(owner.clone(), *table, key.clone(), Some(row))));
            }
            Write::MapRemove { table, owner, key } => {
                undo.push(self.set(Cell::Map(owner.clone(), *table, key.clone(), None)));
            }
            Write::MapClear { table, owner } => {
                let keys: Vec<_> =
                    self.map(*table, owner).map(|map| map.rows.keys().cloned().collect()).unwrap_or_default();
                for key in keys {
                    undo.push(self.set(Cell::Map(owner.clone(), *table, key, None)));
                }
            }
            Write::MapTrim { table, owner, second, keep } => {
                let keys: Vec<_> = self.group(*table, owner, second).map(|row| row.key.clone()).collect();
                let too_many = keys.len().saturating_sub(usize::try_from(*keep).unwrap_or(usize::MAX));
                for key in keys.into_iter().take(too_many) {
                    undo.push(self.set(Cell::Map(owner.clone(), *table, key, None)));
                }
            }
            Write::NumberPut { table, owner, key, value } => {
                undo.push(self.set(Cell::Number(owner.clone(), *table, *key, Some(*value))));
            }
            Write::NumberRemove { table, owner, key } => {
                undo.push(self.set(Cell::Number(owner.clone(), *table, *key, None)));
            }
            Write::NumbersBelow { table, owner, value } => {
                let numbers = self.owners.get(owner).and_then(|owner| owner.numbers.get(table));
                let below = |(key, number): (&u64, &u64)| (number < value).then_some(*key);
                let keys: Vec<u64> = numbers.into_iter().flatten().filter_map(below).collect();
                for key in keys {
                    undo.push(self.set(Cell::Number(owner.clone(), *table, key, None)));
                }
            }
            Write::LogAppend { table, rows, body } => {
                let body = Arc::new(body.clone());
                for row in rows {
                    if self.log(*table, &row.owner).is_some_and(|log| log.contains_key(&row.id)) {
                        return Err(StoreError::Refused(format!("log row {} is there already", row.id)));
                    }
                    let cell = LogCell { peer: row.peer.clone(), flags: row.flags, body: body.clone() };
                    undo.push(self.set(Cell::Log(row.owner.clone(), *table, row.id, Some(cell))));
                    self.counters.log_high = self.counters.log_high.max(row.id);
                }
            }
            // Every search reads the whole log.
            Write::LogIndex { .. } => {}
            Write::LogClearFlags { table, owner, ids, flags } => self.clear_flags(*table, owner, ids, *flags, undo),
        }
        Ok(())
    }

    fn clear_flags(&mut self, table: LogTable, owner: &str, ids: &Option<Vec<u64>>, flags: u32, undo: &mut Vec<Cell>) {
        let Some(log) = self.log(table, owner) else { return };
        let ids: Vec<u64> = ids.clone().unwrap_or_else(|| log.keys().copied().collect());
        for id in ids {
            let Some(row) = self.log(table, owner).and_then(|log| log.get(&id)) else { continue };
            let left = row.flags & !flags;
            let row = (left != 0).then(|| LogCell { flags: left, ..row.clone() });
            undo.push(self.set(Cell::Log(owner.into(), table, id, row)));
        }
    }

    /// Every place where an owner has something, emptied.
    fn cells_of(&self, name: &str) -> Vec<Cell> {
        let Some(owner) = self.owners.get(name) else { return Vec::new() };
        let mut cells = vec![Cell::Account(name.into(), None)];
        cells.extend(owner.docs.keys().map(|table| Cell::Doc(name.into(), *table, None)));
        for (table, map) in &owner.maps {
            cells.extend(map.rows.keys().map(|key| Cell::Map(name.into(), *table, key.clone(), None)));
        }
        for (table, numbers) in &owner.numbers {
            cells.extend(numbers.keys().map(|key| Cell::Number(name.into(), *table, *key, None)));
        }
        for (table, log) in &owner.logs {
            cells.extend(log.keys().map(|id| Cell::Log(name.into(), *table, *id, None)));
        }
        cells
    }

    /// Puts a value in its place and returns what was there: every change goes through here, so every change can be
    /// taken back.
    fn set(&mut self, cell: Cell) -> Cell {
        match cell {
            Cell::Account(owner, value) => {
                let place = &mut self.owners.entry(owner.clone()).or_default().account;
                let old = std::mem::replace(place, value);
                self.forget_if_empty(&owner);
                Cell::Account(owner, old)
            }
            Cell::Doc(owner, table, value) => {
                let docs = &mut self.owners.entry(owner.clone()).or_default().docs;
                let old = replace(docs, table, value);
                self.forget_if_empty(&owner);
                Cell::Doc(owner, table, old)
            }
            Cell::Map(owner, table, key, row) => {
                let old = self.set_row(&owner, table, &key, row);
                self.forget_if_empty(&owner);
                Cell::Map(owner, table, key, old)
            }
            Cell::Number(owner, table, key, value) => {
                let tables = &mut self.owners.entry(owner.clone()).or_default().numbers;
                let numbers = tables.entry(table).or_default();
                let old = replace(numbers, key, value);
                if numbers.is_empty() {
                    tables.remove(&table);
                }
                self.forget_if_empty(&owner);
                Cell::Number(owner, table, key, old)
            }
            Cell::Log(owner, table, id, row) => {
                let logs = &mut self.owners.entry(owner.clone()).or_default().logs;
                let log = logs.entry(table).or_default();
                let old = replace(log, id, row);
                if log.is_empty() {
                    logs.remove(&table);
                }
                self.forget_if_empty(&owner);
                Cell::Log(owner, table, id, old)
            }
        }
    }

    fn set_row(&mut self, owner: &str, table: MapTable, key: &str, row: Option<MapRow>) -> Option<MapRow> {
        let maps = &mut self.owners.entry(owner.into()).or_default().maps;
        let map = maps.entry(table).or_default();
        let seconds = self.seconds.entry(table).or_default();
        if let Some(row) = &row {
            map.by_sequence.insert(row.sequence, key.into());
        }
        let added = row.as_ref().map(|row| (row.sequence, row.second.clone()));
        let old = replace(&mut map.rows, key.into(), row);
        if let Some(old) = &old {
            map.by_sequence.remove(&old.sequence);
            if let Some(second) = &old.second
                && let Some(found) = seconds.get_mut(second)
            {
                found.remove(&old.sequence);
                if found.is_empty() {
                    seconds.remove(second);
                }
            }
        }
        if let Some((sequence, Some(second))) = added {
            seconds.entry(second).or_default().insert(sequence, (owner.into(), key.into()));
        }
        if map.rows.is_empty() {
            maps.remove(&table);
        }
        old
    }

    fn forget_if_empty(&mut self, name: &str) {
        let empty = self.owners.get(name).is_some_and(|owner| {
            owner.account.is_none()
                && owner.docs.is_empty()
                && owner.maps.is_empty()
                && owner.numbers.is_empty()
                && owner.logs.is_empty()
        });
        if empty {
            self.owners.remove(name);
        }
    }
}

fn replace<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) -> Option<V> {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
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
