//! What readers ask. All statements name their index by how they are written; a test looks at the plans.

use crate::late;
use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};
use store::{
    DocTable, INDEXED_FLAG, Loaded, LogQuery, LogRow, LogSize, LogTable, MAX_ID, MapQuery, MapRow, MapTable,
    NumberTable, Wanted,
};

macro_rules! of_owner {
    ($shape:literal) => {
        concat!(
            "owner = (SELECT id FROM owners WHERE address = ?1) ",
            "AND tbl = (SELECT id FROM tables WHERE shape = '",
            $shape,
            "' AND name = ?2) "
        )
    };
}

const ACCOUNT: &str = "SELECT value FROM accounts WHERE address = ?1";
const ACCOUNTS: &str = "SELECT address, value FROM accounts ORDER BY address LIMIT ?1";
const ACCOUNTS_AFTER: &str = "SELECT address, value FROM accounts WHERE address > ?2 ORDER BY address LIMIT ?1";
const DOC: &str = concat!("SELECT value FROM docs WHERE ", of_owner!("doc"));
const MAP_ROW: &str = concat!(
    "SELECT key, sequence, second, value FROM maps INDEXED BY maps_key WHERE ",
    of_owner!("map"),
    "AND key = ?3"
);
const MAP_ROWS: &str = concat!(
    "SELECT key, sequence, second, value FROM maps INDEXED BY maps_sequence WHERE ",
    of_owner!("map"),
    "AND sequence > ?3 ORDER BY sequence LIMIT ?4"
);
const MAP_SECOND: &str = "SELECT key, sequence, second, value, address \
     FROM maps INDEXED BY maps_second CROSS JOIN owners ON owners.id = maps.owner \
     WHERE tbl = (SELECT id FROM tables WHERE shape = 'map' AND name = ?1) AND second = ?2 ORDER BY sequence LIMIT ?3";
macro_rules! map_group {
    ($order:literal) => {
        concat!(
            "SELECT key, sequence, second, value FROM maps INDEXED BY maps_second WHERE ",
            of_owner!("map"),
            "AND second = ?3 AND sequence BETWEEN ?4 AND ?5 ORDER BY sequence ",
            $order,
            " LIMIT ?6"
        )
    };
}

const MAP_GROUP: &str = map_group!("ASC");
const MAP_GROUP_BACKWARDS: &str = map_group!("DESC");
const MAP_GROUP_COUNT: &str =
    concat!("SELECT count(*) FROM maps INDEXED BY maps_second WHERE ", of_owner!("map"), "AND second = ?3");
const NUMBER: &str = concat!("SELECT value FROM numbers WHERE ", of_owner!("number"), "AND key = ?3");
const LOG_COUNT: &str =
    concat!("SELECT count(*) FROM log_rows WHERE ", of_owner!("log"), "AND (?3 = 0 OR flags & ?3 != 0)");

macro_rules! log_rows {
    ($rows:literal, $more:literal, $order:literal) => {
        concat!(
            "SELECT log_rows.id, peer, flags, log_bodies.body FROM ",
            $rows,
            " CROSS JOIN log_bodies ON log_bodies.id = log_rows.body WHERE ",
            of_owner!("log"),
            "AND log_rows.id BETWEEN ?3 AND ?4 AND (?5 = 0 OR flags & ?5 != 0) ",
            $more,
            "ORDER BY log_rows.id ",
            $order,
            " LIMIT ?6"
        )
    };
}

const LOG: &str = log_rows!("log_rows", "", "ASC");
const LOG_BACKWARDS: &str = log_rows!("log_rows", "", "DESC");
/// Where only rows with the indexed flag are asked for. The condition is the index's own, word for word.
const LOG_FLAG: &str = log_rows!("log_rows INDEXED BY log_rows_flag", "AND (flags & 1) != 0 ", "ASC");
const LOG_COUNT_FLAG: &str = concat!(
    "SELECT count(*) FROM log_rows INDEXED BY log_rows_flag WHERE ",
    of_owner!("log"),
    "AND (?3 = 0 OR flags & ?3 != 0) AND (flags & 1) != 0"
);

/// The length of a blob is known without reading it.
macro_rules! log_size {
    ($rows:literal, $more:literal) => {
        concat!(
            "SELECT count(*), coalesce(sum(length(log_bodies.body)), 0) FROM ",
            $rows,
            " CROSS JOIN log_bodies ON log_bodies.id = log_rows.body WHERE ",
            of_owner!("log"),
            "AND (?3 = 0 OR flags & ?3 != 0) ",
            $more
        )
    };
}
const LOG_SIZE: &str = log_size!("log_rows", "");
const LOG_SIZE_FLAG: &str = log_size!("log_rows INDEXED BY log_rows_flag", "AND (flags & 1) != 0");

pub(crate) fn account(connection: &Connection, owner: &str) -> rusqlite::Result<Option<Bytes>> {
    connection.prepare_cached(ACCOUNT)?.query_row([owner], |row| bytes(row, 0)).optional()
}

pub(crate) fn load(connection: &Connection, owner: &str, wanted: &Wanted) -> rusqlite::Result<Option<Loaded>> {
    let account = account(connection, owner)?.or_else(|| wanted.without_account.then(Bytes::new));
    let Some(account) = account else { return Ok(None) };
    let docs = wanted.docs.iter().map(|table| doc(connection, *table, owner));
    let maps = wanted.maps.iter().map(|table| map_rows(connection, *table, owner, None, usize::MAX));
    let logs = wanted.logs.iter().map(|(table, flags)| log_size(connection, *table, owner, *flags));
    let (docs, maps) = (docs.collect::<Result<_, _>>()?, maps.collect::<Result<_, _>>()?);
    Ok(Some(Loaded { account, docs, maps, logs: logs.collect::<Result<_, _>>()? }))
}

pub(crate) fn accounts(
    connection: &Connection,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<(Box<str>, Bytes)>> {
    let account = |row: &Row<'_>| Ok((text(row, 0)?, bytes(row, 1)?));
    match after {
        None => connection.prepare_cached(ACCOUNTS)?.query_map([at_most(limit)], account)?.collect(),
        Some(after) => {
            connection.prepare_cached(ACCOUNTS_AFTER)?.query_map(params![at_most(limit), after], account)?.collect()
        }
    }
}

pub(crate) fn account_count(connection: &Connection) -> rusqlite::Result<u64> {
    connection.prepare_cached("SELECT accounts FROM state")?.query_row([], |row| number(row, 0))
}

pub(crate) fn doc(connection: &Connection, table: DocTable, owner: &str) -> rusqlite::Result<Option<Bytes>> {
    connection.prepare_cached(DOC)?.query_row([owner, table.0], |row| bytes(row, 0)).optional()
}

pub(crate) fn map_row(
    connection: &Connection,
    table: MapTable,
    owner: &str,
    key: &str,
) -> rusqlite::Result<Option<MapRow>> {
    connection.prepare_cached(MAP_ROW)?.query_row([owner, table.0, key], read_map_row).optional()
}

pub(crate) fn map_rows(
    connection: &Connection,
    table: MapTable,
    owner: &str,
    after: Option<u64>,
    limit: usize,
) -> rusqlite::Result<Vec<MapRow>> {
    let after = after.unwrap_or(0).min(MAX_ID) as i64;
    let mut statement = connection.prepare_cached(MAP_ROWS)?;
    statement.query_map(params![owner, table.0, after, at_most(limit)], read_map_row)?.collect()
}

pub(crate) fn map_second(
    connection: &Connection,
    table: MapTable,
    second: &str,
    limit: usize,
) -> rusqlite::Result<Vec<(Box<str>, MapRow)>> {
    let mut statement = connection.prepare_cached(MAP_SECOND)?;
    let rows =
        statement.query_map(params![table.0, second, at_most(limit)], |row| Ok((text(row, 4)?, read_map_row(row)?)))?;
    rows.collect()
}

pub(crate) fn map_group(
    connection: &Connection,
    table: MapTable,
    owner: &str,
    query: &MapQuery,
) -> rusqlite::Result<Vec<MapRow>> {
    let Some((first, last)) = range(query.after, query.before) else { return Ok(Vec::new()) };
    let sql = if query.backwards { MAP_GROUP_BACKWARDS } else { MAP_GROUP };
    let parameters = params![owner, table.0, query.second, first, last, at_most(query.limit)];
    connection.prepare_cached(sql)?.query_map(parameters, read_map_row)?.collect()
}

pub(crate) fn map_group_count(
    connection: &Connection,
    table: MapTable,
    owner: &str,
    second: &str,
) -> rusqlite::Result<u64> {
    connection.prepare_cached(MAP_GROUP_COUNT)?.query_row([owner, table.0, second], |row| number(row, 0))
}

pub(crate) fn number_of(
    connection: &Connection,
    table: NumberTable,
    owner: &str,
    key: u64,
) -> rusqlite::Result<Option<u64>> {
    let mut statement = connection.prepare_cached(NUMBER)?;
    statement.query_row(params![owner, table.0, key.min(MAX_ID) as i64], |row| number(row, 0)).optional()
}

pub(crate) fn log_rows(
    connection: &Connection,
    table: LogTable,
    owner: &str,
    query: &LogQuery,
) -> rusqlite::Result<Vec<LogRow>> {
    if let Some(peer) = &query.peer {
        return late::by_peer(connection, table, owner, peer, query);
    }
    let Some((first, last)) = range(query.after, query.before) else { return Ok(Vec::new()) };
    let sql = match (query.backwards, query.any_flag) {
        (true, _) => LOG_BACKWARDS,
        (false, INDEXED_FLAG) => LOG_FLAG,
        (false, _) => LOG,
    };
    let read = |row: &Row<'_>| {
        Ok(LogRow { id: number(row, 0)?, peer: text(row, 1)?, flags: row.get(2)?, body: bytes(row, 3)? })
    };
    let parameters = params![owner, table.0, first, last, query.any_flag, at_most(query.limit)];
    query.take(connection.prepare_cached(sql)?.query_map(parameters, read)?)
}

pub(crate) fn log_count(connection: &Connection, table: LogTable, owner: &str, any_flag: u32) -> rusqlite::Result<u64> {
    let sql = if any_flag == INDEXED_FLAG { LOG_COUNT_FLAG } else { LOG_COUNT };
    connection.prepare_cached(sql)?.query_row(params![owner, table.0, any_flag], |row| number(row, 0))
}

pub(crate) fn log_size(
    connection: &Connection,
    table: LogTable,
    owner: &str,
    any_flag: u32,
) -> rusqlite::Result<LogSize> {
    let sql = if any_flag == INDEXED_FLAG { LOG_SIZE_FLAG } else { LOG_SIZE };
    let size = |row: &Row<'_>| Ok(LogSize { rows: number(row, 0)?, bytes: number(row, 1)? });
    connection.prepare_cached(sql)?.query_row(params![owner, table.0, any_flag], size)
}

pub(crate) fn high_water(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    let mut statement = connection.prepare_cached("SELECT log_high, entry_high FROM state")?;
    statement.query_row([], |row| Ok((number(row, 0)?, number(row, 1)?)))
}

fn read_map_row(row: &Row<'_>) -> rusqlite::Result<MapRow> {
    let second = match row.get_ref(2)? {
        ValueRef::Null => None,
        _ => Some(text(row, 2)?),
    };
    Ok(MapRow { key: text(row, 0)?, sequence: number(row, 1)?, second, value: bytes(row, 3)? })
}

/// First and last of what lies between two numbers; `None`: nothing does.
pub(crate) fn range(after: Option<u64>, before: Option<u64>) -> Option<(i64, i64)> {
    let first = after.map_or(0, |after| after.saturating_add(1));
    let last = match before {
        Some(before) => before.checked_sub(1)?.min(MAX_ID),
        None => MAX_ID,
    };
    (first <= last).then_some((first as i64, last as i64))
}

fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|number| number.max(0) as u64)
}

fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Box<str>> {
    row.get_ref(column)?.as_str().map(Into::into).map_err(Into::into)
}

fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    row.get_ref(column)?.as_blob().map(Bytes::copy_from_slice).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::{MIGRATIONS, migrate};

    /// Every statement goes straight to its rows: no scan, no sorting.
    #[test]
    fn plans_neither_scan_nor_sort() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
        for sql in late::STATEMENTS.iter().copied().chain([
            ACCOUNT,
            ACCOUNTS_AFTER,
            DOC,
            MAP_ROW,
            MAP_ROWS,
            MAP_SECOND,
            MAP_GROUP,
            MAP_GROUP_BACKWARDS,
            MAP_GROUP_COUNT,
            crate::changes::MAP_TRIM,
            NUMBER,
            LOG_COUNT,
            LOG_COUNT_FLAG,
            LOG_SIZE,
            LOG_SIZE_FLAG,
            LOG,
            LOG_FLAG,
            LOG_BACKWARDS,
        ]) {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let plan: Vec<String> = statement.raw_query().mapped(|row| row.get(3)).map(Result::unwrap).collect();
            assert!(!plan.iter().any(|step| step.contains("SCAN") && !step.contains("CONSTANT")), "{sql}\n{plan:#?}");
            assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{sql}\n{plan:#?}");
        }
    }
}
