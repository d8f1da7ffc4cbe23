//! How one write changes the state in memory, so that it can be taken back.

use super::{Cell, LogCell, State};
use crate::{LogTable, MapRow, MapTable, StoreError, Write};
use std::{collections::BTreeMap, sync::Arc};

impl State {
    pub(super) fn write(&mut self, write: &Write, undo: &mut Vec<Cell>) -> Result<(), StoreError> {
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
    pub(super) fn set(&mut self, cell: Cell) -> Cell {
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
