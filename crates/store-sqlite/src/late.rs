//! The indexes of logs that are filled behind the commits: rows by peer, and words.
//!
//! Invariant: of the bodies up to the number in `log_indexed`, every row is in `log_peers` and every text in `log_text`;
//! of later ones, none is. What is later is found by walking an owner's newest rows: within a log, ids and numbers of
//! bodies ascend together, for rows are appended in the order of their ids.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params, types::ValueRef};
use std::fmt::Write as _;
use store::{
    LogQuery, LogRow, LogTable, MAX_ID, Unindexed,
    search::{Search, Words},
};

/// Bytes of the bodies that one step indexes: some are as large as a stanza may be, and the writer is busy meanwhile.
const STEP_BYTES: usize = 1024 * 1024;

/// The place of a log: the numbers of its owner and its table.
#[derive(Debug, Clone, Copy)]
struct Log {
    owner: i64,
    table: i64,
    /// Later bodies are in no index.
    indexed: i64,
}

const LOG_OF: &str = "SELECT owners.id, tables.id, coalesce(log_indexed.body, 0) FROM owners CROSS JOIN tables \
     LEFT JOIN log_indexed ON log_indexed.tbl = tables.id \
     WHERE owners.address = ?1 AND tables.shape = 'log' AND tables.name = ?2";

const INDEXED: &str = "SELECT tables.id, coalesce(log_indexed.body, 0) FROM tables \
     LEFT JOIN log_indexed ON log_indexed.tbl = tables.id WHERE tables.shape = 'log' AND tables.name = ?1";
const NEWEST: &str = "SELECT max(id) FROM log_bodies";
const LATER: &str = "SELECT id, places, body FROM log_bodies WHERE id > ?1 ORDER BY id LIMIT ?2";

macro_rules! by_peer {
    ($order:literal) => {
        concat!(
            "SELECT log_peers.id, log_peers.peer, flags, log_bodies.body FROM log_peers \
             CROSS JOIN log_rows ON log_rows.owner = log_peers.owner AND log_rows.tbl = log_peers.tbl \
             AND log_rows.id = log_peers.id CROSS JOIN log_bodies ON log_bodies.id = log_rows.body \
             WHERE log_peers.owner = ?1 AND log_peers.tbl = ?2 AND log_peers.peer = ?3 \
             AND log_peers.id BETWEEN ?4 AND ?5 AND (?6 = 0 OR flags & ?6 != 0) ORDER BY log_peers.id ",
            $order,
            " LIMIT ?7"
        )
    };
}
const BY_PEER: &str = by_peer!("ASC");
const BY_PEER_BACKWARDS: &str = by_peer!("DESC");

const NEWEST_ROWS: &str = "SELECT id, peer, flags, body FROM log_rows \
     WHERE owner = ?1 AND tbl = ?2 AND id BETWEEN ?3 AND ?4 ORDER BY id DESC";
const BODY: &str = "SELECT body FROM log_bodies WHERE id = ?1";
const PLACED_BODY: &str = "SELECT places, body FROM log_bodies WHERE id = ?1";
const ROW: &str = "SELECT peer, flags FROM log_rows WHERE owner = ?1 AND tbl = ?2 AND id = ?3";
const FIRST_BODY: &str = "SELECT body FROM log_rows WHERE owner = ?1 AND tbl = ?2 AND id >= ?3 ORDER BY id LIMIT 1";
const LAST_BODY: &str = "SELECT body FROM log_rows WHERE owner = ?1 AND tbl = ?2 AND id <= ?3 ORDER BY id DESC LIMIT 1";

const BY_WORDS: &str = "SELECT rowid FROM log_text WHERE log_text MATCH ?1 AND rowid BETWEEN ?2 AND ?3 ORDER BY rowid";
const BY_WORDS_BACKWARDS: &str =
    "SELECT rowid FROM log_text WHERE log_text MATCH ?1 AND rowid BETWEEN ?2 AND ?3 ORDER BY rowid DESC";

/// All of them, for the test that looks at the plans.
#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[
    LOG_OF,
    INDEXED,
    NEWEST,
    LATER,
    BY_PEER,
    BY_PEER_BACKWARDS,
    NEWEST_ROWS,
    BODY,
    PLACED_BODY,
    ROW,
    FIRST_BODY,
    LAST_BODY,
];

/// Rows with the peer of the query.
pub(crate) fn by_peer(
    connection: &Connection,
    table: LogTable,
    owner: &str,
    peer: &str,
    query: &LogQuery,
) -> rusqlite::Result<Vec<LogRow>> {
    let snapshot = connection.unchecked_transaction()?;
    let Some(log) = Log::find(&snapshot, table, owner)? else { return Ok(Vec::new()) };
    let Some((first, last)) = range(query) else { return Ok(Vec::new()) };
    let mut page = Page::new(query);
    if query.backwards {
        log.newest(&snapshot, query, |row| page.want(row))?;
    }
    if !page.is_full() {
        let sql = if query.backwards { BY_PEER_BACKWARDS } else { BY_PEER };
        let mut statement = snapshot.prepare_cached(sql)?;
        let left = i64::try_from(page.left).unwrap_or(i64::MAX);
        let parameters = params![log.owner, log.table, peer, first, last, query.any_flag, left];
        let mut rows = statement.query(parameters)?;
        while let Some(row) = rows.next()? {
            let peer = row.get_ref(1)?.as_str()?.into();
            if !page.want(LogRow { id: number(row, 0)?, peer, flags: row.get(2)?, body: bytes(row, 3)? }) {
                break;
            }
        }
    }
    if !query.backwards && !page.is_full() {
        let mut newest = Vec::new();
        log.newest(&snapshot, query, |row| {
            newest.push(row);
            true
        })?;
        page.want_all(newest);
    }
    Ok(page.rows)
}

/// Rows in which all words are.
pub(crate) fn by_words(
    connection: &Connection,
    table: LogTable,
    owner: &str,
    query: &LogQuery,
    search: &Search,
) -> rusqlite::Result<Vec<LogRow>> {
    let snapshot = connection.unchecked_transaction()?;
    let Some(log) = Log::find(&snapshot, table, owner)? else { return Ok(Vec::new()) };
    let mut page = Page::new(query);
    if query.backwards {
        log.newest(&snapshot, query, |row| !search.finds(&row) || page.want(row))?;
    }
    if !page.is_full() {
        log.in_index(&snapshot, query, &search.words, &mut page)?;
    }
    if !query.backwards && !page.is_full() {
        let mut newest = Vec::new();
        log.newest(&snapshot, query, |row| {
            if search.finds(&row) {
                newest.push(row);
            }
            true
        })?;
        page.want_all(newest);
    }
    Ok(page.rows)
}

/// Bodies that are in no index.
pub(crate) fn unindexed(
    connection: &Connection,
    table: LogTable,
    at_least: usize,
    limit: usize,
) -> rusqlite::Result<Unindexed> {
    let snapshot = connection.unchecked_transaction()?;
    let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let Some((table, indexed)) = snapshot.prepare_cached(INDEXED)?.query_row([table.0], read).optional()? else {
        return Ok(Unindexed::default());
    };
    let newest: Option<i64> = snapshot.prepare_cached(NEWEST)?.query_row([], |row| row.get(0))?;
    if newest.unwrap_or(0) - indexed < i64::try_from(at_least.max(1)).unwrap_or(i64::MAX) {
        return Ok(Unindexed::default());
    }
    let mut found = Unindexed::default();
    let mut size = 0;
    let mut statement = snapshot.prepare_cached(LATER)?;
    let mut rows = statement.query(params![indexed, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        found.up_to = number(row, 0)?;
        if Places::read(row.get_ref(1)?.as_str()?).table == table {
            let body = bytes(row, 2)?;
            size += body.len();
            found.bodies.push((found.up_to, body));
        }
        if size >= STEP_BYTES {
            break;
        }
    }
    Ok(found)
}

/// Lets the indexes of a table come as far as `up_to`.
pub(crate) fn index(
    connection: &Connection,
    table: i64,
    up_to: u64,
    texts: &[(u64, Box<str>)],
) -> rusqlite::Result<()> {
    let up_to = up_to.min(MAX_ID) as i64;
    let mut statement = connection.prepare_cached("SELECT body FROM log_indexed WHERE tbl = ?1")?;
    let indexed: i64 = statement.query_row([table], |row| row.get(0)).optional()?.unwrap_or(0);
    if up_to <= indexed {
        return Ok(());
    }
    let mut places = Vec::new();
    let mut owners = Vec::new();
    let mut statement =
        connection.prepare_cached("SELECT id, places FROM log_bodies WHERE id > ?1 AND id <= ?2 ORDER BY id")?;
    let mut rows = statement.query([indexed, up_to])?;
    while let Some(row) = rows.next()? {
        let of_body = Places::read(row.get_ref(1)?.as_str()?);
        if of_body.table == table {
            let mut words = String::new();
            for (owner, _) in &of_body.rows {
                // Writing to a string does not fail.
                let _ = write!(words, "{} ", owner_word(*owner, table));
            }
            owners.push((number(row, 0)?, words));
            places.extend(of_body.rows);
        }
    }
    // So that what belongs to one page is written together.
    places.sort_unstable();
    let sql = "INSERT OR IGNORE INTO log_peers SELECT owner, tbl, peer, id FROM log_rows \
               WHERE owner = ?1 AND tbl = ?2 AND id = ?3";
    let mut statement = connection.prepare_cached(sql)?;
    for (owner, id) in places {
        statement.execute([owner, table, id])?;
    }
    let mut statement = connection.prepare_cached("INSERT INTO log_text (rowid, owners, text) VALUES (?1, ?2, ?3)")?;
    for (body, text) in texts {
        // A body that has gone meanwhile has no owners any more.
        let Ok(at) = owners.binary_search_by_key(body, |(number, _)| *number) else { continue };
        if !text.is_empty() {
            statement.execute(params![owners[at].0 as i64, owners[at].1, text])?;
        }
    }
    let sql = "INSERT INTO log_indexed VALUES (?1, ?2) ON CONFLICT (tbl) DO UPDATE SET body = excluded.body";
    connection.prepare_cached(sql)?.execute([table, up_to])?;
    Ok(())
}

impl Log {
    fn find(connection: &Connection, table: LogTable, owner: &str) -> rusqlite::Result<Option<Log>> {
        let read = |row: &Row<'_>| Ok(Log { owner: row.get(0)?, table: row.get(1)?, indexed: row.get(2)? });
        connection.prepare_cached(LOG_OF)?.query_row([owner, table.0], read).optional()
    }

    /// Gives the rows of the query that no index has, newest first, until `want` says no.
    fn newest(
        self,
        connection: &Connection,
        query: &LogQuery,
        mut want: impl FnMut(LogRow) -> bool,
    ) -> rusqlite::Result<()> {
        let Some((first, last)) = range(query) else { return Ok(()) };
        let mut statement = connection.prepare_cached(NEWEST_ROWS)?;
        let mut rows = statement.query([self.owner, self.table, first, last])?;
        while let Some(row) = rows.next()? {
            let body: i64 = row.get(3)?;
            if body <= self.indexed {
                break;
            }
            let (peer, flags) = (row.get_ref(1)?.as_str()?, row.get(2)?);
            if matches(query, peer, flags) {
                let body = connection.prepare_cached(BODY)?.query_row([body], |row| bytes(row, 0))?;
                if !want(LogRow { id: number(row, 0)?, peer: peer.into(), flags, body }) {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Adds the rows of the query whose bodies have all words, in its order.
    fn in_index(
        self,
        connection: &Connection,
        query: &LogQuery,
        words: &Words,
        page: &mut Page,
    ) -> rusqlite::Result<()> {
        let Some(wanted) = self.expression(words) else { return Ok(()) };
        let Some((first, last)) = range(query) else { return Ok(()) };
        let end = |sql, id: i64| {
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_row([self.owner, self.table, id], |row| row.get::<_, i64>(0)).optional()
        };
        let (Some(from), Some(to)) = (end(FIRST_BODY, first)?, end(LAST_BODY, last)?) else { return Ok(()) };
        let sql = if query.backwards { BY_WORDS_BACKWARDS } else { BY_WORDS };
        let mut statement = connection.prepare_cached(sql)?;
        let mut found = statement.query(params![wanted, from, to.min(self.indexed)])?;
        while let Some(body) = found.next()? {
            for row in self.rows_of(connection, query, body.get(0)?)? {
                if !page.want(row) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The rows of the query that a body has here.
    fn rows_of(self, connection: &Connection, query: &LogQuery, body: i64) -> rusqlite::Result<Vec<LogRow>> {
        let mut statement = connection.prepare_cached(PLACED_BODY)?;
        let placed = statement
            .query_row([body], |row| Ok((Places::read(row.get_ref(0)?.as_str()?), bytes(row, 1)?)))
            .optional()?;
        let Some((places, body)) = placed else { return Ok(Vec::new()) };
        let Some((first, last)) = range(query) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for (owner, id) in places.rows {
            if owner != self.owner || places.table != self.table || id < first || id > last {
                continue;
            }
            let mut statement = connection.prepare_cached(ROW)?;
            let read = |row: &Row<'_>| Ok((row.get_ref(0)?.as_str()?.into(), row.get(1)?));
            let row: Option<(Box<str>, u32)> = statement.query_row([owner, self.table, id], read).optional()?;
            if let Some((peer, flags)) = row.filter(|(peer, flags)| matches(query, peer, *flags)) {
                found.push(LogRow { id: id as u64, peer, flags, body: body.clone() });
            }
        }
        found.sort_unstable_by_key(|row| row.id);
        if query.backwards {
            found.reverse();
        }
        Ok(found)
    }

    /// The words as FTS5 wants them, with the owner's; `None` without any. Folded words are letters and digits, so
    /// nothing in them has to be escaped.
    fn expression(self, words: &Words) -> Option<String> {
        if words.phrases().is_empty() {
            return None;
        }
        let mut wanted = format!("owners : {}", owner_word(self.owner, self.table));
        for phrase in words.phrases() {
            let star = if phrase.prefix { " *" } else { "" };
            // Writing to a string does not fail.
            let _ = write!(wanted, " AND text : \"{}\"{star}", phrase.words.join(" "));
        }
        Some(wanted)
    }
}

/// The word that stands for an owner's log among the indexed ones.
fn owner_word(owner: i64, table: i64) -> String {
    format!("o{owner}t{table}")
}

/// Whose rows a body has, as its column `places` says.
pub(crate) struct Places {
    pub(crate) table: i64,
    /// Owner and id.
    pub(crate) rows: Vec<(i64, i64)>,
}

impl Places {
    pub(crate) fn write(&self) -> String {
        let mut text = self.table.to_string();
        for (owner, id) in &self.rows {
            // Writing to a string does not fail.
            let _ = write!(text, " {owner} {id}");
        }
        text
    }

    fn read(text: &str) -> Places {
        let mut numbers = text.split(' ').map_while(|number| number.parse().ok());
        let table = numbers.next().unwrap_or(0);
        let mut rows = Vec::new();
        while let (Some(owner), Some(id)) = (numbers.next(), numbers.next()) {
            rows.push((owner, id));
        }
        Places { table, rows }
    }
}

/// Rows up to the query's limits.
struct Page {
    rows: Vec<LogRow>,
    left: usize,
    bytes: usize,
}

impl Page {
    fn new(query: &LogQuery) -> Page {
        let bytes = if query.bytes == 0 { usize::MAX } else { query.bytes };
        Page { rows: Vec::new(), left: query.limit, bytes }
    }

    fn is_full(&self) -> bool {
        self.left == 0 || self.bytes == 0
    }

    /// Takes a row, if there is room; whether there is room for another.
    fn want(&mut self, row: LogRow) -> bool {
        if self.is_full() {
            return false;
        }
        self.left -= 1;
        self.bytes = self.bytes.saturating_sub(row.body.len());
        self.rows.push(row);
        !self.is_full()
    }

    /// Takes rows that come newest first, oldest first.
    fn want_all(&mut self, newest_first: Vec<LogRow>) {
        for row in newest_first.into_iter().rev() {
            if !self.want(row) {
                return;
            }
        }
    }
}

fn matches(query: &LogQuery, peer: &str, flags: u32) -> bool {
    query.peer.as_deref().is_none_or(|wanted| wanted == peer) && (query.any_flag == 0 || flags & query.any_flag != 0)
}

/// The first and the last id that a query can find; `None`: none.
fn range(query: &LogQuery) -> Option<(i64, i64)> {
    crate::queries::range(query.after, query.before)
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|number| number.max(0) as u64)
}

fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    match row.get_ref(column)? {
        ValueRef::Blob(bytes) => Ok(Bytes::copy_from_slice(bytes)),
        other => Err(rusqlite::Error::InvalidColumnType(column, "body".to_owned(), other.data_type())),
    }
}
