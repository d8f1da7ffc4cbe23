//! Brings a database to the newest schema: numbered files, applied in order in one transaction, each once.
//!
//! A file that has been released is never edited: its hash is kept, and a database that was made with other text is
//! refused.

use rusqlite::{Connection, TransactionBehavior, params};

/// A migration: its number, name and SQL.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

/// All, by ascending number from 1.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, name: "shapes", sql: include_str!("../migrations/001_shapes.sql") },
    Migration { number: 2, name: "flag_index", sql: include_str!("../migrations/002_flag_index.sql") },
    Migration { number: 3, name: "late_indexes", sql: include_str!("../migrations/003_late_indexes.sql") },
    Migration { number: 4, name: "numbers", sql: include_str!("../migrations/004_numbers.sql") },
];

/// Says whose file it is (PRAGMA application_id): "LinN".
pub(crate) const APPLICATION_ID: i32 = 0x4c69_6e4e;

/// Why the schema cannot be brought up to date.
#[derive(Debug)]
pub(crate) enum MigrationError {
    Newer {
        found: u32,
        known: u32,
    },
    /// The migration with this number was another text when it was applied.
    Changed(u32),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for MigrationError {
    fn from(error: rusqlite::Error) -> Self {
        MigrationError::Sqlite(error)
    }
}

/// Applies what is missing.
pub(crate) fn migrate(connection: &mut Connection, migrations: &[Migration]) -> Result<(), MigrationError> {
    let known = migrations.last().map_or(0, |migration| migration.number);
    let applied = applied(connection)?;
    if let Some((found, _)) = applied.last().filter(|(number, _)| *number > known) {
        return Err(MigrationError::Newer { found: *found, known });
    }
    for (number, hash) in &applied {
        let migration = migrations.iter().find(|migration| migration.number == *number);
        if migration.is_none_or(|migration| fnv1a(migration.sql) != *hash) {
            return Err(MigrationError::Changed(*number));
        }
    }
    let missing = migrations.get(applied.len()..).unwrap_or_default();
    if missing.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if applied.is_empty() {
        transaction.execute_batch(
            "CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, hash INTEGER NOT NULL) STRICT",
        )?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    for migration in missing {
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            "INSERT INTO migrations VALUES (?1, ?2, ?3)",
            params![migration.number, migration.name, fnv1a(migration.sql)],
        )?;
    }
    transaction.commit()?;
    Ok(())
}

/// Number and hash of those applied, in order; none in an empty database.
fn applied(connection: &Connection) -> Result<Vec<(u32, i64)>, rusqlite::Error> {
    let empty: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'migrations'", [], |row| row.get(0))?;
    if empty == 0 {
        return Ok(Vec::new());
    }
    let mut rows = connection.prepare("SELECT number, hash FROM migrations ORDER BY number")?;
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// FNV-1a, 64 bits: guards against mistakes, not against malice.
fn fnv1a(text: &str) -> i64 {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, hash) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: [Migration; 2] = [
        Migration { number: 1, name: "one", sql: "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1);" },
        Migration { number: 2, name: "two", sql: "ALTER TABLE a ADD COLUMN y INTEGER;" },
    ];

    #[test]
    fn each_is_applied_once_and_in_order() {
        let mut connection = Connection::open_in_memory().unwrap();
        for count in [1, 1, 2, 2] {
            migrate(&mut connection, &TWO[..count]).unwrap();
        }
        let rows: i64 = connection.query_row("SELECT count(y IS NULL) FROM a", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1);
    }

    #[test]
    fn a_newer_schema_and_a_changed_file_are_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &TWO).unwrap();
        let newer = migrate(&mut connection, &TWO[..1]);
        assert!(matches!(newer, Err(MigrationError::Newer { found: 2, known: 1 })));
        let edited = [TWO[0], Migration { sql: "SELECT 1", ..TWO[1] }];
        assert!(matches!(migrate(&mut connection, &edited), Err(MigrationError::Changed(2))));
    }

    #[test]
    fn a_failing_migration_leaves_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        let failing = [TWO[0], Migration { sql: "CREATE TABLE b (x INTEGER); NONSENSE", ..TWO[1] }];
        assert!(matches!(migrate(&mut connection, &failing), Err(MigrationError::Sqlite(_))));
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 0);
        migrate(&mut connection, &TWO).unwrap();
    }

    /// 003: rows of before are found from their bodies, by which the indexes will be filled.
    #[test]
    fn bodies_of_before_know_their_rows() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &MIGRATIONS[..2]).unwrap();
        let rows = "INSERT INTO log_bodies VALUES (7, 2, x'61'), (8, 1, x'62'); \
                    INSERT INTO log_rows VALUES (1, 5, 100, 2, 7, 'x'), (2, 5, 101, 2, 7, 'y'), (1, 6, 102, 2, 8, 'x');";
        connection.execute_batch(rows).unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
        let places = |body: i64| -> String {
            connection.query_row("SELECT places FROM log_bodies WHERE id = ?1", [body], |row| row.get(0)).unwrap()
        };
        assert_eq!((places(7).as_str(), places(8).as_str()), ("5 1 100 2 101", "6 1 102"));
        connection.execute_batch("DELETE FROM log_rows WHERE owner = 1").unwrap();
        let left: i64 = connection.query_row("SELECT count(*) FROM log_bodies", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 1);
    }

    #[test]
    fn numbers_ascend_from_one() {
        assert!(MIGRATIONS.iter().enumerate().all(|(at, migration)| migration.number as usize == at + 1));
    }
}
