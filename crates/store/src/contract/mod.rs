//! The contract that every back end fulfils, as a suite that its tests run.
//!
//! Panics where a back end breaks it, as tests do; needs no runtime.

pub mod blobs;
mod entries;
mod logs;
mod search;
mod shapes;

use crate::{
    DocTable, Entry, LogIndex, LogQuery, LogRow, LogTable, MapRow, MapTable, NumberTable, Outcome, Store, StoreError,
    Write,
};
use bytes::Bytes;
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

/// A store under test.
pub struct Subject {
    /// The store, new and empty.
    pub store: Arc<dyn Store>,
    /// How many log bodies it keeps: not to be seen through [`Store`], but they must go with their last row.
    pub log_bodies: Box<dyn Fn() -> u64>,
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.store.fmt(f)
    }
}

/// Runs every case, each on a new store.
///
/// # Panics
/// Where the store breaks the contract; the name of the case was printed before.
pub fn run(make: impl Fn() -> Subject) {
    for (name, case) in entries::CASES.iter().chain(shapes::CASES).chain(logs::CASES).chain(search::CASES) {
        eprintln!("contract: {name}");
        let subject = make();
        case(&Bench { subject: &subject, next_id: Cell::new(1) });
        block_on(subject.store.close()).unwrap();
    }
}

/// Runs a future to its end on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

type Case = (&'static str, fn(&Bench<'_>));

/// A store with short words for what the cases do.
struct Bench<'a> {
    subject: &'a Subject,
    next_id: Cell<u64>,
}

impl Bench<'_> {
    fn id(&self) -> u64 {
        self.next_id.replace(self.next_id.get() + 1)
    }

    fn entry(&self, writes: Vec<Write>) -> Entry {
        Entry { id: self.id(), conditions: Vec::new(), writes }
    }

    fn try_apply(&self, batch: &[Entry]) -> Result<Vec<Outcome>, StoreError> {
        block_on(self.subject.store.apply(batch.to_vec()))
    }

    fn apply(&self, batch: &[Entry]) -> Vec<Outcome> {
        self.try_apply(batch).unwrap()
    }

    /// One entry without conditions.
    fn write(&self, writes: Vec<Write>) {
        assert_eq!(self.apply(&[self.entry(writes)]), [Outcome::Done]);
    }

    fn account(&self, owner: &str) -> Option<Bytes> {
        block_on(self.subject.store.account(owner)).unwrap()
    }

    fn accounts(&self, after: Option<&str>, limit: usize) -> Vec<(Box<str>, Bytes)> {
        block_on(self.subject.store.accounts(after, limit)).unwrap()
    }

    fn account_count(&self) -> u64 {
        block_on(self.subject.store.account_count()).unwrap()
    }

    fn doc(&self, table: DocTable, owner: &str) -> Option<Bytes> {
        block_on(self.subject.store.doc(table, owner)).unwrap()
    }

    fn row(&self, table: MapTable, owner: &str, key: &str) -> Option<MapRow> {
        block_on(self.subject.store.map_row(table, owner, key)).unwrap()
    }

    fn rows(&self, table: MapTable, owner: &str) -> Vec<MapRow> {
        block_on(self.subject.store.map_rows(table, owner, None, usize::MAX)).unwrap()
    }

    /// The keys of an owner's rows, in order.
    fn keys(&self, table: MapTable, owner: &str) -> Vec<String> {
        self.rows(table, owner).into_iter().map(|row| row.key.into()).collect()
    }

    /// (owner, key) of the rows with a second key, in order.
    fn second(&self, table: MapTable, second: &str) -> Vec<(String, String)> {
        let rows = block_on(self.subject.store.map_second(table, second, usize::MAX)).unwrap();
        rows.into_iter().map(|(owner, row)| (owner.into(), row.key.into())).collect()
    }

    fn number(&self, table: NumberTable, owner: &str, key: u64) -> Option<u64> {
        block_on(self.subject.store.number(table, owner, key)).unwrap()
    }

    fn log(&self, table: LogTable, owner: &str, query: LogQuery) -> Vec<LogRow> {
        block_on(self.subject.store.log_rows(table, owner, query)).unwrap()
    }

    /// The ids that a query finds, in order.
    fn ids(&self, table: LogTable, owner: &str, query: LogQuery) -> Vec<u64> {
        self.log(table, owner, query).into_iter().map(|row| row.id).collect()
    }

    /// All ids of an owner.
    fn all_ids(&self, table: LogTable, owner: &str) -> Vec<u64> {
        self.ids(table, owner, LogQuery { limit: usize::MAX, ..LogQuery::default() })
    }

    fn log_count(&self, table: LogTable, owner: &str, any_flag: u32) -> u64 {
        block_on(self.subject.store.log_count(table, owner, any_flag)).unwrap()
    }

    fn high_water(&self) -> (u64, u64) {
        block_on(self.subject.store.high_water()).unwrap()
    }

    fn log_bodies(&self) -> u64 {
        (self.subject.log_bodies)()
    }
}

const DOC: DocTable = DocTable("contract.doc");
const DOC_B: DocTable = DocTable("contract.b");
const MAP: MapTable = MapTable("contract.map");
const MAP_B: MapTable = MapTable("contract.b");
const LOG: LogTable = LogTable("contract.log");
const LOG_B: LogTable = LogTable("contract.b");

fn account_put(owner: &str, value: &'static str) -> Write {
    Write::AccountPut { owner: owner.into(), value: Bytes::from_static(value.as_bytes()) }
}

fn account_remove(owner: &str) -> Write {
    Write::AccountRemove { owner: owner.into() }
}

fn doc_put(table: DocTable, owner: &str, value: &'static str) -> Write {
    Write::DocPut { table, owner: owner.into(), value: Bytes::from_static(value.as_bytes()) }
}

fn map_put(table: MapTable, owner: &str, key: &str, second: Option<&str>) -> Write {
    let value = Bytes::from(format!("value of {key}"));
    Write::MapPut { table, owner: owner.into(), key: key.into(), second: second.map(Into::into), value }
}

fn map_remove(table: MapTable, owner: &str, key: &str) -> Write {
    Write::MapRemove { table, owner: owner.into(), key: key.into() }
}

/// Rows are (owner, id, peer, flags).
fn append(table: LogTable, rows: &[(&str, u64, &str, u32)], body: &'static str) -> Write {
    let rows = rows.iter().map(|(owner, id, peer, flags)| LogIndex {
        owner: (*owner).into(),
        id: *id,
        peer: (*peer).into(),
        flags: *flags,
    });
    Write::LogAppend { table, rows: rows.collect(), body: Bytes::from_static(body.as_bytes()) }
}

fn clear(table: LogTable, owner: &str, ids: Option<&[u64]>, flags: u32) -> Write {
    Write::LogClearFlags { table, owner: owner.into(), ids: ids.map(<[u64]>::to_vec), flags }
}
