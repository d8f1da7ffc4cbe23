//! Conditions and writes as SQL, inside the writer's transaction.

use crate::late::{self, Places};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;
use store::{Condition, LogIndex, LogTable, MAX_ID, Recent, Write};

/// The newest row that goes is behind those that stay; with it goes all that is older.
pub(crate) const MAP_TRIM: &str = "DELETE FROM maps INDEXED BY maps_second \
     WHERE owner = ?1 AND tbl = ?2 AND second = ?3 AND sequence <= ( \
         SELECT sequence FROM maps INDEXED BY maps_second WHERE owner = ?1 AND tbl = ?2 AND second = ?3 \
         ORDER BY sequence DESC LIMIT 1 OFFSET ?4)";

/// Owners whose numbers are remembered; beyond this all are forgotten.
const MAX_CACHED_OWNERS: usize = 4096;

/// The one row of the table `state`.
#[derive(Debug, Clone)]
pub(crate) struct Counters {
    pub(crate) recent: Recent,
    log_high: u64,
    sequence: u64,
    accounts: u64,
    /// The last number given to a body. One that is gone is not given again: indexes know bodies by their numbers.
    body: u64,
}

impl Counters {
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Counters> {
        let sql = "SELECT entry_high, last_batch, log_high, sequence, accounts FROM state";
        let newest = "SELECT max(coalesce((SELECT max(id) FROM log_bodies), 0), \
                      coalesce((SELECT max(body) FROM log_indexed), 0))";
        let body: i64 = connection.prepare_cached(newest)?.query_row([], |row| row.get(0))?;
        connection.prepare_cached(sql)?.query_row([], |row| {
            let number = |column| row.get::<_, i64>(column).map(|number| number.max(0) as u64);
            let recent = Recent::decode(number(0)?, row.get_ref(1)?.as_blob()?).ok_or(rusqlite::Error::InvalidQuery)?;
            Ok(Counters {
                recent,
                log_high: number(2)?,
                sequence: number(3)?,
                accounts: number(4)?,
                body: body.max(0) as u64,
            })
        })
    }

    pub(crate) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "UPDATE state SET entry_high = ?1, last_batch = ?2, log_high = ?3, sequence = ?4, accounts = ?5";
        connection.prepare_cached(sql)?.execute(params![
            self.recent.high() as i64,
            self.recent.encode_last(),
            self.log_high as i64,
            self.sequence as i64,
            self.accounts as i64
        ])?;
        Ok(())
    }
}

/// The numbers of owners and tables. To be forgotten when a transaction is rolled back: it may have made them.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    owners: HashMap<Box<str>, i64>,
    tables: HashMap<(&'static str, &'static str), i64>,
}

impl Numbers {
    pub(crate) fn forget(&mut self) {
        self.owners.clear();
        self.tables.clear();
    }

    /// The number of an owner that may not have one.
    fn known_owner(&mut self, connection: &Connection, address: &str) -> rusqlite::Result<Option<i64>> {
        if let Some(number) = self.owners.get(address) {
            return Ok(Some(*number));
        }
        let mut statement = connection.prepare_cached("SELECT id FROM owners WHERE address = ?1")?;
        let number = statement.query_row([address], |row| row.get(0)).optional()?;
        if let Some(number) = number {
            self.remember(address, number);
        }
        Ok(number)
    }

    /// The number of an owner, which gets one if it has none.
    fn owner(&mut self, connection: &Connection, address: &str) -> rusqlite::Result<i64> {
        if let Some(number) = self.known_owner(connection, address)? {
            return Ok(number);
        }
        let number = connection.prepare_cached("INSERT INTO owners (address) VALUES (?1)")?.insert([address])?;
        self.remember(address, number);
        Ok(number)
    }

    fn remember(&mut self, address: &str, number: i64) {
        if self.owners.len() >= MAX_CACHED_OWNERS {
            self.owners.clear();
        }
        self.owners.insert(address.into(), number);
    }

    /// The number of a table, which gets one if it has none: there are as many as the program has names.
    fn table(&mut self, connection: &Connection, shape: &'static str, name: &'static str) -> rusqlite::Result<i64> {
        if let Some(number) = self.tables.get(&(shape, name)) {
            return Ok(*number);
        }
        let mut statement = connection.prepare_cached("SELECT id FROM tables WHERE shape = ?1 AND name = ?2")?;
        let number = match statement.query_row([shape, name], |row| row.get(0)).optional()? {
            Some(number) => number,
            None => {
                let mut statement = connection.prepare_cached("INSERT INTO tables (shape, name) VALUES (?1, ?2)")?;
                statement.insert([shape, name])?
            }
        };
        self.tables.insert((shape, name), number);
        Ok(number)
    }
}

/// A transaction under way.
pub(crate) struct Changes<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) numbers: &'a mut Numbers,
    pub(crate) counters: &'a mut Counters,
}

impl Changes<'_> {
    /// Whether a condition holds now.
    pub(crate) fn holds(&mut self, condition: &Condition) -> rusqlite::Result<bool> {
        match condition {
            Condition::AccountExists(owner) => self.account_exists(owner),
            Condition::AccountAbsent(owner) => Ok(!self.account_exists(owner)?),
            Condition::MapExists(table, owner, key) => self.row_exists(table.0, owner, key),
            Condition::MapAbsent(table, owner, key) => Ok(!self.row_exists(table.0, owner, key)?),
            Condition::MapBegins(table, owner, key, begins) => {
                let Some(owner) = self.numbers.known_owner(self.connection, owner)? else { return Ok(true) };
                let table = self.numbers.table(self.connection, "map", table.0)?;
                let sql = "SELECT value FROM maps WHERE owner = ?1 AND tbl = ?2 AND key = ?3";
                let mut statement = self.connection.prepare_cached(sql)?;
                let mut rows = statement.query(params![owner, table, key])?;
                match rows.next()? {
                    Some(row) => Ok(row.get_ref(0)?.as_blob()?.starts_with(begins)),
                    None => Ok(true),
                }
            }
            Condition::MapFewerThan(table, owner, limit) => {
                let Some(owner) = self.numbers.known_owner(self.connection, owner)? else { return Ok(*limit > 0) };
                let table = self.numbers.table(self.connection, "map", table.0)?;
                // Counts no further than it has to.
                let sql = "SELECT count(*) FROM (SELECT 1 FROM maps WHERE owner = ?1 AND tbl = ?2 LIMIT ?3)";
                let limit = i64::try_from(*limit).unwrap_or(i64::MAX);
                let count: i64 =
                    self.connection.prepare_cached(sql)?.query_row([owner, table, limit], |row| row.get(0))?;
                Ok(count < limit)
            }
        }
    }

    /// Does a write.
    pub(crate) fn write(&mut self, write: &Write) -> rusqlite::Result<()> {
        match write {
            Write::AccountPut { owner, value } => {
                let sql = "INSERT INTO accounts VALUES (?1, ?2) ON CONFLICT DO NOTHING";
                if self.execute(sql, params![owner, value.as_ref()])? == 1 {
                    self.counters.accounts += 1;
                } else {
                    self.execute("UPDATE accounts SET value = ?2 WHERE address = ?1", params![owner, value.as_ref()])?;
                }
            }
            Write::AccountRemove { owner } => self.remove_owner(owner)?,
            Write::DocPut { table, owner, value } => {
                let (owner, table) = self.place(owner, "doc", table.0)?;
                let sql = "INSERT INTO docs VALUES (?1, ?2, ?3) \
                           ON CONFLICT (owner, tbl) DO UPDATE SET value = excluded.value";
                self.execute(sql, params![owner, table, value.as_ref()])?;
            }
            Write::DocRemove { table, owner } => {
                if let Some((owner, table)) = self.known_place(owner, "doc", table.0)? {
                    self.execute("DELETE FROM docs WHERE owner = ?1 AND tbl = ?2", params![owner, table])?;
                }
            }
            Write::MapPut { table, owner, key, second, value } => {
                let (owner, table) = self.place(owner, "map", table.0)?;
                self.counters.sequence += 1;
                self.execute(
                    "INSERT OR REPLACE INTO maps (sequence, owner, tbl, key, second, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![self.counters.sequence as i64, owner, table, key, second, value.as_ref()],
                )?;
            }
            Write::MapRemove { table, owner, key } => {
                if let Some((owner, table)) = self.known_place(owner, "map", table.0)? {
                    let sql = "DELETE FROM maps WHERE owner = ?1 AND tbl = ?2 AND key = ?3";
                    self.execute(sql, params![owner, table, key])?;
                }
            }
            Write::MapClear { table, owner } => {
                if let Some((owner, table)) = self.known_place(owner, "map", table.0)? {
                    self.execute("DELETE FROM maps WHERE owner = ?1 AND tbl = ?2", params![owner, table])?;
                }
            }
            Write::MapTrim { table, owner, second, keep } => {
                if let Some((owner, table)) = self.known_place(owner, "map", table.0)? {
                    let keep = i64::try_from(*keep).unwrap_or(i64::MAX);
                    self.execute(MAP_TRIM, params![owner, table, second, keep])?;
                }
            }
            Write::NumberPut { table, owner, key, value } => {
                let (owner, table) = self.place(owner, "number", table.0)?;
                let sql = "INSERT INTO numbers VALUES (?1, ?2, ?3, ?4) \
                           ON CONFLICT (owner, tbl, key) DO UPDATE SET value = excluded.value";
                self.execute(sql, params![owner, table, *key as i64, *value as i64])?;
            }
            Write::NumberRemove { table, owner, key } => {
                if let Some((owner, table)) = self.known_place(owner, "number", table.0)? {
                    let sql = "DELETE FROM numbers WHERE owner = ?1 AND tbl = ?2 AND key = ?3";
                    self.execute(sql, params![owner, table, (*key).min(MAX_ID) as i64])?;
                }
            }
            Write::NumbersBelow { table, owner, value } => {
                if let Some((owner, table)) = self.known_place(owner, "number", table.0)? {
                    let sql = "DELETE FROM numbers WHERE owner = ?1 AND tbl = ?2 AND value < ?3";
                    self.execute(sql, params![owner, table, (*value).min(MAX_ID) as i64])?;
                }
            }
            Write::LogAppend { table, rows, body } => self.append(*table, rows, body)?,
            Write::LogIndex { table, up_to, texts } => {
                let table = self.numbers.table(self.connection, "log", table.0)?;
                // Never further than there are bodies: one that comes later would be missed.
                late::index(self.connection, table, (*up_to).min(self.counters.body), texts)?;
            }
            Write::LogClearFlags { table, owner, ids, flags } => {
                if let Some((owner, table)) = self.known_place(owner, "log", table.0)? {
                    self.clear_flags(owner, table, ids.as_deref(), *flags)?;
                }
            }
        }
        Ok(())
    }

    fn append(&mut self, table: LogTable, rows: &[LogIndex], body: &[u8]) -> rusqlite::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let table = self.numbers.table(self.connection, "log", table.0)?;
        let mut places = Places { table, rows: Vec::with_capacity(rows.len()) };
        for row in rows {
            places.rows.push((self.numbers.owner(self.connection, &row.owner)?, row.id as i64));
        }
        self.counters.body += 1;
        let number = self.counters.body as i64;
        self.execute(
            "INSERT INTO log_bodies (id, rows, body, places) VALUES (?1, ?2, ?3, ?4)",
            params![number, rows.len() as i64, body, places.write()],
        )?;
        for (row, (owner, _)) in rows.iter().zip(&places.rows) {
            self.execute(
                "INSERT INTO log_rows (owner, tbl, id, flags, body, peer) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![owner, table, row.id as i64, row.flags, number, row.peer],
            )?;
            self.counters.log_high = self.counters.log_high.max(row.id);
        }
        Ok(())
    }

    fn clear_flags(&self, owner: i64, table: i64, ids: Option<&[u64]>, flags: u32) -> rusqlite::Result<()> {
        let Some(ids) = ids else {
            let sql = "DELETE FROM log_rows WHERE owner = ?1 AND tbl = ?2 AND flags & ~?3 = 0";
            self.execute(sql, params![owner, table, flags])?;
            let sql = "UPDATE log_rows SET flags = flags & ~?3 WHERE owner = ?1 AND tbl = ?2 AND flags & ?3 != 0";
            self.execute(sql, params![owner, table, flags])?;
            return Ok(());
        };
        for id in ids.iter().filter_map(|id| i64::try_from(*id).ok()) {
            // As a rule another flag is left, so that is tried first.
            let sql = "UPDATE log_rows SET flags = flags & ~?3 \
                       WHERE owner = ?1 AND tbl = ?2 AND id = ?4 AND flags & ~?3 != 0";
            if self.execute(sql, params![owner, table, flags, id])? == 0 {
                let sql = "DELETE FROM log_rows WHERE owner = ?1 AND tbl = ?2 AND id = ?3";
                self.execute(sql, params![owner, table, id])?;
            }
        }
        Ok(())
    }

    fn remove_owner(&mut self, address: &str) -> rusqlite::Result<()> {
        if self.execute("DELETE FROM accounts WHERE address = ?1", [address])? == 1 {
            self.counters.accounts = self.counters.accounts.saturating_sub(1);
        }
        if let Some(owner) = self.numbers.known_owner(self.connection, address)? {
            for sql in [
                "DELETE FROM docs WHERE owner = ?1",
                "DELETE FROM maps WHERE owner = ?1",
                "DELETE FROM numbers WHERE owner = ?1",
                "DELETE FROM log_rows WHERE owner = ?1",
                "DELETE FROM owners WHERE id = ?1",
            ] {
                self.execute(sql, [owner])?;
            }
            self.numbers.owners.remove(address);
        }
        Ok(())
    }

    fn account_exists(&self, owner: &str) -> rusqlite::Result<bool> {
        self.connection.prepare_cached("SELECT 1 FROM accounts WHERE address = ?1")?.exists([owner])
    }

    fn row_exists(&mut self, table: &'static str, owner: &str, key: &str) -> rusqlite::Result<bool> {
        let Some((owner, table)) = self.known_place(owner, "map", table)? else { return Ok(false) };
        let sql = "SELECT 1 FROM maps WHERE owner = ?1 AND tbl = ?2 AND key = ?3";
        self.connection.prepare_cached(sql)?.exists(params![owner, table, key])
    }

    /// The numbers of an owner and a table, made if they have none.
    fn place(&mut self, owner: &str, shape: &'static str, table: &'static str) -> rusqlite::Result<(i64, i64)> {
        Ok((self.numbers.owner(self.connection, owner)?, self.numbers.table(self.connection, shape, table)?))
    }

    /// The same if the owner has one: whoever has none has no rows.
    fn known_place(
        &mut self,
        owner: &str,
        shape: &'static str,
        table: &'static str,
    ) -> rusqlite::Result<Option<(i64, i64)>> {
        let Some(owner) = self.numbers.known_owner(self.connection, owner)? else { return Ok(None) };
        Ok(Some((owner, self.numbers.table(self.connection, shape, table)?)))
    }

    fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(parameters)
    }
}
