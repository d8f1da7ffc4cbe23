//! The SQLite back end: one file, one writer thread, a few reading threads and a checkpoint thread.
//!
//! Invariant: only the writer thread changes the database, one batch per transaction, and answers after the commit has
//! been synced. A reader that starts after the answer sees it.

mod changes;
mod checkpoint;
mod error;
mod late;
mod migrations;
mod open;
mod queries;
mod readers;
mod writer;

pub use error::OpenError;

use crate::readers::Readers;
use crate::writer::{Job, Writer};
use bytes::Bytes;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use store::{
    DocTable, Entry, Future, Loaded, LogQuery, LogRow, LogSize, LogTable, MapQuery, MapRow, MapTable, NumberTable,
    Outcome, OwnedRow, OwnedValue, Store, StoreError, Unindexed, Wanted, search::Search,
};
use tokio::sync::oneshot;

/// How to use the database.
#[derive(Debug, Clone)]
pub struct Options {
    /// At most so many reading threads, each with a connection; they come with the need and go when idle.
    pub readers: usize,
    /// The database may not grow beyond this; `None`: until the disk is full.
    pub max_bytes: Option<u64>,
    /// When the write-ahead log has this size, the writer stops until the log has been written to the database.
    pub max_log_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { readers: 4, max_bytes: None, max_log_bytes: 64 * 1024 * 1024 }
    }
}

/// A store in the file `linnet.db` of a data directory.
///
/// Dropping it waits for what was queued and closes the files, as [`Store::close`] does without blocking the caller.
pub struct Sqlite {
    readers: Readers,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Sqlite {
    /// Opens the database in an existing data directory, and creates it if there is none.
    ///
    /// # Errors
    /// [`OpenError`], in plain words with the remedy.
    pub fn open(directory: &Path) -> Result<Sqlite, OpenError> {
        Sqlite::open_with(directory, &Options::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`Sqlite::open`].
    pub fn open_with(directory: &Path, options: &Options) -> Result<Sqlite, OpenError> {
        let opened = open::open(directory, options)?;
        let file = opened.file.clone();
        let readers = Readers::new(file.clone(), options.readers);
        let (jobs, queue) = mpsc::channel();
        let writer = Writer::new(opened, readers.clone(), options.max_log_bytes)
            .map_err(|error| OpenError::sqlite(&file, &error))?;
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run(&queue));
        let thread = thread.map_err(|error| OpenError::io(&file, &error))?;
        Ok(Sqlite { readers, jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) })
    }

    async fn job<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.jobs.lock().as_ref().is_some_and(|jobs| jobs.send(job(answer)).is_ok());
        if !sent {
            return Err(error::closed());
        }
        answered.await.unwrap_or_else(|_| Err(error::closed()))
    }
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sqlite")
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.jobs.lock().take();
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the writer has been reported by its thread; here is nothing left to do about it.
            let _ = thread.join();
        }
    }
}

impl Store for Sqlite {
    fn apply(&self, batch: Vec<Entry>) -> Future<'_, Result<Vec<Outcome>, StoreError>> {
        Box::pin(self.job(|answer| Job::Apply(batch, answer)))
    }

    fn account(&self, owner: &str) -> Future<'_, Result<Option<Bytes>, StoreError>> {
        let owner = owner.to_owned();
        self.readers.read(move |connection| queries::account(connection, &owner))
    }

    fn load<'a>(&'a self, owner: &'a str, wanted: &'a Wanted) -> Future<'a, Result<Option<Loaded>, StoreError>> {
        let (owner, wanted) = (owner.to_owned(), wanted.clone());
        self.readers.read(move |connection| queries::load(connection, &owner, &wanted))
    }

    fn accounts(&self, after: Option<&str>, limit: usize) -> Future<'_, Result<Vec<OwnedValue>, StoreError>> {
        let after = after.map(str::to_owned);
        self.readers.read(move |connection| queries::accounts(connection, after.as_deref(), limit))
    }

    fn account_count(&self) -> Future<'_, Result<u64, StoreError>> {
        self.readers.read(queries::account_count)
    }

    fn doc(&self, table: DocTable, owner: &str) -> Future<'_, Result<Option<Bytes>, StoreError>> {
        let owner = owner.to_owned();
        self.readers.read(move |connection| queries::doc(connection, table, &owner))
    }

    fn map_row(&self, table: MapTable, owner: &str, key: &str) -> Future<'_, Result<Option<MapRow>, StoreError>> {
        let (owner, key) = (owner.to_owned(), key.to_owned());
        self.readers.read(move |connection| queries::map_row(connection, table, &owner, &key))
    }

    fn map_rows(
        &self,
        table: MapTable,
        owner: &str,
        after: Option<u64>,
        limit: usize,
    ) -> Future<'_, Result<Vec<MapRow>, StoreError>> {
        let owner = owner.to_owned();
        self.readers.read(move |connection| queries::map_rows(connection, table, &owner, after, limit))
    }

    fn map_second(&self, table: MapTable, second: &str, limit: usize) -> Future<'_, Result<Vec<OwnedRow>, StoreError>> {
        let second = second.to_owned();
        self.readers.read(move |connection| queries::map_second(connection, table, &second, limit))
    }

    fn map_group(&self, table: MapTable, owner: &str, query: MapQuery) -> Future<'_, Result<Vec<MapRow>, StoreError>> {
        let owner = owner.to_owned();
        self.readers.read(move |connection| queries::map_group(connection, table, &owner, &query))
    }

    fn map_group_count(&self, table: MapTable, owner: &str, second: &str) -> Future<'_, Result<u64, StoreError>> {
        let (owner, second) = (owner.to_owned(), second.to_owned());
        self.readers.read(move |connection| queries::map_group_count(connection, table, &owner, &second))
    }

    fn number(&self, table: NumberTable, owner: &str, key: u64) -> Future<'_, Result<Option<u64>, StoreError>> {
        let owner = owner.to_owned();
        self.readers.read(move |connection| queries::number_of(connection, table, &owner, key))
    }

    fn log_rows(&self, table: LogTable, owner: &str, query: LogQuery) -> Future<'_, Result<Vec<LogRow>, StoreError>> {
        let owner = owner.to_owned();
        self.readers.read(move |connection| queries::log_rows(connection, table, &owner, &query))
    }

    fn log_search<'a>(
        &'a self,
        table: LogTable,
        owner: &'a str,
        query: LogQuery,
        search: Search,
    ) -> Future<'a, Result<Vec<LogRow>, StoreError>> {
        let owner = owner.to_owned();
        self.readers.read(move |connection| late::by_words(connection, table, &owner, &query, &search))
    }

    fn log_unindexed(
        &self,
        table: LogTable,
        at_least: usize,
        limit: usize,
    ) -> Future<'_, Result<Unindexed, StoreError>> {
        self.readers.read(move |connection| late::unindexed(connection, table, at_least, limit))
    }

    fn log_count(&self, table: LogTable, owner: &str, any_flag: u32) -> Future<'_, Result<u64, StoreError>> {
        let owner = owner.to_owned();
        self.readers.read(move |connection| queries::log_count(connection, table, &owner, any_flag))
    }

    fn log_size(&self, table: LogTable, owner: &str, any_flag: u32) -> Future<'_, Result<LogSize, StoreError>> {
        let owner = owner.to_owned();
        self.readers.read(move |connection| queries::log_size(connection, table, &owner, any_flag))
    }

    fn high_water(&self) -> Future<'_, Result<(u64, u64), StoreError>> {
        self.readers.read(queries::high_water)
    }

    fn close(&self) -> Future<'_, Result<(), StoreError>> {
        Box::pin(async {
            let closed = self.job(Job::Close).await;
            self.jobs.lock().take();
            closed
        })
    }
}
