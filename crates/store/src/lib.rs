//! The shapes in which Linnet stores things.
//!
//! Features declare tables by shape and write no SQL. A back end keeps these shapes, each row belonging to an *owner*
//! (the bare address of an account, a room or a service, as text):
//!
//! - accounts: who exists, with a value;
//! - [`DocTable`]: one value per owner;
//! - [`MapTable`]: rows by key per owner, with a sequence and optionally a second, indexed key;
//! - [`NumberTable`]: numbers by number per owner, cheap to write often;
//! - [`LogTable`]: rows appended in the order of their ids, by owner, peer and id; one body may serve several rows.
//!
//! Large contents are [`Blobs`], a back end of its own beside the store.
//!
//! All writing goes through [`Store::apply`]: one durable transaction. Everything an owner has is found by the owner
//! alone, so export, deletion and moving to another back end are generic.

mod blob;
mod check;
pub mod contract;
pub mod faulty;
pub mod memory;
mod memory_blobs;
mod recent;
pub mod search;

pub use blob::{BlobNames, BlobReader, BlobWriter, Blobs, MAX_BLOB_NAME, check_blob_name, is_blob_name};
pub use check::{MAX_ID, MAX_KEY_BYTES, MAX_VALUE_BYTES, check_batch};
pub use memory_blobs::MemoryBlobs;
pub use recent::Recent;

use bytes::Bytes;
use search::Search;
use std::pin::Pin;

/// A boxed future; cheap beside a query.
pub type Future<'a, T> = Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

/// A table of one value per owner, by a name that is unique among tables and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocTable(pub &'static str);
/// A table of rows by key per owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MapTable(pub &'static str);
/// A table of numbers by number per owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NumberTable(pub &'static str);
/// A log per owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogTable(pub &'static str);

/// A row of a [`MapTable`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapRow {
    /// The key, unique per owner and table.
    pub key: Box<str>,
    /// Grows with each put, is never used again, may have gaps (a row that is put again moves to the end).
    pub sequence: u64,
    /// The second key, indexed over all owners of the table.
    pub second: Option<Box<str>>,
    /// The value.
    pub value: Bytes,
}

/// An owner and its account's value.
pub type OwnedValue = (Box<str>, Bytes);
/// An owner and one of its rows.
pub type OwnedRow = (Box<str>, MapRow);

/// A row of a [`LogTable`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Ascending within the process' whole life: microseconds since 1970, made unique.
    pub id: u64,
    /// The other side (a bare address).
    pub peer: Box<str>,
    /// Meaning is the feature's; a row whose flags become 0 is removed.
    pub flags: u32,
    /// The stanza.
    pub body: Bytes,
}

/// Which rows of a log.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Only ids greater than this.
    pub after: Option<u64>,
    /// Only ids smaller than this.
    pub before: Option<u64>,
    /// Only this peer.
    pub peer: Option<Box<str>>,
    /// Only rows that have at least one of these flags; 0: all.
    pub any_flag: u32,
    /// Newest first.
    pub backwards: bool,
    /// At most so many rows.
    pub limit: usize,
    /// No further row once their bodies have so many bytes together; 0: no such limit. There is always one.
    pub bytes: usize,
}

impl LogQuery {
    /// Takes rows up to the limit of bytes, for back ends that step through what they find.
    ///
    /// # Errors
    /// The first one met.
    pub fn take<E>(&self, rows: impl Iterator<Item = Result<LogRow, E>>) -> Result<Vec<LogRow>, E> {
        let mut left = if self.bytes == 0 { usize::MAX } else { self.bytes };
        let mut taken = Vec::new();
        for row in rows {
            let row = row?;
            left = left.saturating_sub(row.body.len());
            taken.push(row);
            if left == 0 {
                break;
            }
        }
        Ok(taken)
    }
}

/// Which rows of a [`MapTable`] that share a second key.
#[derive(Debug, Clone, Default)]
pub struct MapQuery {
    /// The second key.
    pub second: Box<str>,
    /// Only sequences greater than this.
    pub after: Option<u64>,
    /// Only sequences smaller than this.
    pub before: Option<u64>,
    /// Newest first.
    pub backwards: bool,
    /// At most so many rows.
    pub limit: usize,
}

/// The flag that few of many rows have: rows with it are found and counted without reading the others.
pub const INDEXED_FLAG: u32 = 1;

/// Part of an [`Entry`] that must hold, else nothing of the entry is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The account exists.
    AccountExists(Box<str>),
    /// The account does not exist.
    AccountAbsent(Box<str>),
    /// The row exists.
    MapExists(MapTable, Box<str>, Box<str>),
    /// The row does not exist.
    MapAbsent(MapTable, Box<str>, Box<str>),
    /// The row does not exist, or its value begins with these bytes.
    MapBegins(MapTable, Box<str>, Box<str>, Bytes),
    /// The owner has fewer rows than this in the table.
    MapFewerThan(MapTable, Box<str>, u64),
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Creates or replaces an account's value.
    AccountPut {
        /** Bare address. */
        owner: Box<str>,
        /** Value. */
        value: Bytes,
    },
    /// Removes an account and every row of every table that it owns; also for an owner that has rows and no account.
    AccountRemove {
        /** Bare address. */
        owner: Box<str>,
    },
    /// Creates or replaces.
    DocPut {
        /** Table. */
        table: DocTable,
        /** Owner. */
        owner: Box<str>,
        /** Value. */
        value: Bytes,
    },
    /// Removes if there.
    DocRemove {
        /** Table. */
        table: DocTable,
        /** Owner. */
        owner: Box<str>,
    },
    /// Creates or replaces a row; it gets the next sequence number.
    MapPut {
        /** Table. */
        table: MapTable,
        /** Owner. */
        owner: Box<str>,
        /** Key. */
        key: Box<str>,
        /** Second key. */
        second: Option<Box<str>>,
        /** Value. */
        value: Bytes,
    },
    /// Removes if there.
    MapRemove {
        /** Table. */
        table: MapTable,
        /** Owner. */
        owner: Box<str>,
        /** Key. */
        key: Box<str>,
    },
    /// Removes all rows of an owner in a table.
    MapClear {
        /** Table. */
        table: MapTable,
        /** Owner. */
        owner: Box<str>,
    },
    /// Removes the rows of an owner with this second key, but for those that were put last.
    MapTrim {
        /** Table. */
        table: MapTable,
        /** Owner. */
        owner: Box<str>,
        /** Second key. */
        second: Box<str>,
        /** How many stay. */
        keep: u64,
    },
    /// Creates or replaces a number. Neither key nor value is greater than [`MAX_ID`].
    NumberPut {
        /** Table. */
        table: NumberTable,
        /** Owner. */
        owner: Box<str>,
        /** Key. */
        key: u64,
        /** Value. */
        value: u64,
    },
    /// Removes if there.
    NumberRemove {
        /** Table. */
        table: NumberTable,
        /** Owner. */
        owner: Box<str>,
        /** Key. */
        key: u64,
    },
    /// Removes the owner's numbers that are smaller than this one.
    NumbersBelow {
        /** Table. */
        table: NumberTable,
        /** Owner. */
        owner: Box<str>,
        /** The smallest value that stays. */
        value: u64,
    },
    /// Appends one body with a row for each owner named. The body goes when its last row goes. An id that is in the
    /// owner's log already is refused.
    LogAppend {
        /** Table. */
        table: LogTable,
        /** One row per owner. */
        rows: Vec<LogIndex>,
        /** The stanza. */
        body: Bytes,
    },
    /// Lets indexes that are filled behind the commits come as far as a body: its rows are found by peer and by text
    /// without reading all others. What is found is the same before and after. A step that comes too late is passed
    /// over.
    LogIndex {
        /** Table. */
        table: LogTable,
        /** All bodies up to this number, of what [`Store::log_unindexed`] gave. */
        up_to: u64,
        /** The texts that bodies have, by number: [`search::folded`] of what [`search::Search::text`] says of them. */
        texts: Vec<(u64, Box<str>)>,
    },
    /// Clears flags of rows; rows without flags left are removed. Ids that are not there are passed over.
    LogClearFlags {
        /** Table. */
        table: LogTable,
        /** Owner. */
        owner: Box<str>,
        /** Which rows; `None`: all. */
        ids: Option<Vec<u64>>,
        /** Bits to clear. */
        flags: u32,
    },
}

/// An owner's row of an appended body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogIndex {
    /// Whose log.
    pub owner: Box<str>,
    /// The id; the caller makes ids ascend.
    pub id: u64,
    /// The other side.
    pub peer: Box<str>,
    /// Not 0.
    pub flags: u32,
}

/// What is done together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Ascending over all entries of all batches of a process; makes `apply` idempotent.
    pub id: u64,
    /// All must hold at its turn in the batch.
    pub conditions: Vec<Condition>,
    /// In order.
    pub writes: Vec<Write>,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Durable.
    Done,
    /// A condition did not hold; nothing was changed.
    ConditionFailed,
}

/// Why the store cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// No space left.
    Full,
    /// Input or output failed, the file is read-only or damaged: nothing can be written.
    Io(String),
    /// This batch or row is refused (too large, constraint): others may go on.
    Refused(String),
}

/// Bodies that indexes do not have yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unindexed {
    /// How far an index comes with them; 0: there is nothing to do.
    pub up_to: u64,
    /// Those of the table asked for, each with its number, in the order in which they were appended.
    pub bodies: Vec<(u64, Bytes)>,
}

/// What [`Store::load`] reads of an owner beside the account's value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Documents.
    pub docs: Vec<DocTable>,
    /// All rows of maps.
    pub maps: Vec<MapTable>,
    /// Sizes of all rows with at least one of the flags.
    pub logs: Vec<(LogTable, u32)>,
    /// Reads also what belongs to no account; its value is empty then.
    pub without_account: bool,
}

/// What [`Store::load`] has read, in the order in which it was wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The account's value.
    pub account: Bytes,
    /// Documents.
    pub docs: Vec<Option<Bytes>>,
    /// Rows in the order of their sequence.
    pub maps: Vec<Vec<MapRow>>,
    /// Sizes.
    pub logs: Vec<LogSize>,
}

/// How much some rows of a log are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogSize {
    /// How many.
    pub rows: u64,
    /// The bytes of their bodies.
    pub bytes: u64,
}

/// Rows read at once by a search without an index.
const SCAN: usize = 256;

/// A back end. Reads see all that `apply` has reported done.
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    /// Applies entries in order in one durable transaction: after `Ok`, everything that is `Done` survives a crash and
    /// a loss of power. After `Err` nothing of the batch may be assumed; the same entries, with the same ids, may be
    /// applied again, whole or one by one, and are not done twice: what had been done before reports its outcome again.
    /// That memory covers the last batch that did something; an older id is refused.
    fn apply(&self, batch: Vec<Entry>) -> Future<'_, Result<Vec<Outcome>, StoreError>>;
    /// An account's value.
    fn account(&self, owner: &str) -> Future<'_, Result<Option<Bytes>, StoreError>>;
    /// All that a server keeps in memory of an account, in one turn; `None` if there is no such account. Back ends whose
    /// reads have to travel do better than this: a login is little else.
    fn load<'a>(&'a self, owner: &'a str, wanted: &'a Wanted) -> Future<'a, Result<Option<Loaded>, StoreError>> {
        Box::pin(async move {
            let account = self.account(owner).await?.or_else(|| wanted.without_account.then(Bytes::new));
            let Some(account) = account else { return Ok(None) };
            let mut loaded = Loaded { account, ..Loaded::default() };
            for table in &wanted.docs {
                loaded.docs.push(self.doc(*table, owner).await?);
            }
            for table in &wanted.maps {
                loaded.maps.push(self.map_rows(*table, owner, None, usize::MAX).await?);
            }
            for (table, flags) in &wanted.logs {
                loaded.logs.push(self.log_size(*table, owner, *flags).await?);
            }
            Ok(Some(loaded))
        })
    }
    /// Accounts in order of their address, after the one given.
    fn accounts(&self, after: Option<&str>, limit: usize) -> Future<'_, Result<Vec<OwnedValue>, StoreError>>;
    /// How many accounts there are.
    fn account_count(&self) -> Future<'_, Result<u64, StoreError>>;
    /// A document.
    fn doc(&self, table: DocTable, owner: &str) -> Future<'_, Result<Option<Bytes>, StoreError>>;
    /// A row by its key.
    fn map_row(&self, table: MapTable, owner: &str, key: &str) -> Future<'_, Result<Option<MapRow>, StoreError>>;
    /// An owner's rows in order of their sequence; `after`: only those with a greater sequence.
    fn map_rows(
        &self,
        table: MapTable,
        owner: &str,
        after: Option<u64>,
        limit: usize,
    ) -> Future<'_, Result<Vec<MapRow>, StoreError>>;
    /// Rows of any owner by second key, in order of their sequence: (owner, row).
    fn map_second(&self, table: MapTable, second: &str, limit: usize) -> Future<'_, Result<Vec<OwnedRow>, StoreError>>;
    /// An owner's rows with a second key, in the order of their sequence.
    fn map_group(&self, table: MapTable, owner: &str, query: MapQuery) -> Future<'_, Result<Vec<MapRow>, StoreError>>;
    /// How many rows of an owner have this second key.
    fn map_group_count(&self, table: MapTable, owner: &str, second: &str) -> Future<'_, Result<u64, StoreError>>;
    /// A number by its key.
    fn number(&self, table: NumberTable, owner: &str, key: u64) -> Future<'_, Result<Option<u64>, StoreError>>;
    /// Rows of a log.
    fn log_rows(&self, table: LogTable, owner: &str, query: LogQuery) -> Future<'_, Result<Vec<LogRow>, StoreError>>;
    /// How many rows with at least one of the flags.
    fn log_count(&self, table: LogTable, owner: &str, any_flag: u32) -> Future<'_, Result<u64, StoreError>>;
    /// How many rows with at least one of the flags, and the bytes of their bodies.
    fn log_size(&self, table: LogTable, owner: &str, any_flag: u32) -> Future<'_, Result<LogSize, StoreError>>;
    /// Rows of a log in which all words of a search are.
    ///
    /// Back ends with an index do better than this, which reads the log from one end to the other.
    fn log_search<'a>(
        &'a self,
        table: LogTable,
        owner: &'a str,
        query: LogQuery,
        search: Search,
    ) -> Future<'a, Result<Vec<LogRow>, StoreError>> {
        Box::pin(async move {
            let mut found = Vec::new();
            let (limit, mut page) = (query.limit, LogQuery { limit: SCAN, ..query.clone() });
            loop {
                let rows = self.log_rows(table, owner, page.clone()).await?;
                let Some(last) = rows.last() else { break };
                *(if query.backwards { &mut page.before } else { &mut page.after }) = Some(last.id);
                found.extend(rows.into_iter().filter(|row| search.finds(row)));
            }
            found.truncate(limit);
            let taken: Result<_, std::convert::Infallible> = query.take(found.into_iter().map(Ok));
            Ok(taken.unwrap_or_default())
        })
    }
    /// Up to `limit` bodies that the indexes of a log do not have, once there are at least so many; none where a back end
    /// has no such index.
    fn log_unindexed(
        &self,
        _table: LogTable,
        _at_least: usize,
        _limit: usize,
    ) -> Future<'_, Result<Unindexed, StoreError>> {
        Box::pin(std::future::ready(Ok(Unindexed::default())))
    }
    /// The largest log id and the largest entry id ever stored, both 0 in a new store.
    fn high_water(&self) -> Future<'_, Result<(u64, u64), StoreError>>;
    /// Writes all out (a checkpoint, where the back end has such a thing) and closes files.
    fn close(&self) -> Future<'_, Result<(), StoreError>>;
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::Full => f.write_str("no space left on the disk"),
            StoreError::Io(text) => write!(f, "the database cannot be used: {text}"),
            StoreError::Refused(text) => write!(f, "the database refused a change: {text}"),
        }
    }
}
impl std::error::Error for StoreError {}
