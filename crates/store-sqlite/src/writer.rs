//! The writer thread: takes batches in order, one transaction each, and keeps the write-ahead log in bounds.

use crate::changes::{Changes, Counters, Numbers};
use crate::checkpoint::{Checkpoint, Checkpointer, checkpoint};
use crate::error::store_error;
use crate::open::{Opened, page_size};
use crate::readers::Readers;
use rusqlite::Connection;
use std::fs::File;
use std::sync::mpsc::Receiver;
use store::{Entry, Outcome, StoreError, check_batch};
use tokio::sync::oneshot;

/// So much of the log is left to the next checkpoint.
const CHECKPOINT_BYTES: u64 = 4 * 1024 * 1024;

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the thread is asked to do.
pub(crate) enum Job {
    Apply(Vec<Entry>, Answer<Vec<Outcome>>),
    Close(Answer<()>),
}

/// The thread's state.
pub(crate) struct Writer {
    connection: Connection,
    numbers: Numbers,
    /// What the database holds; `None` after a failure, when it has to be read again.
    counters: Option<Counters>,
    readers: Readers,
    checkpointer: Checkpointer,
    /// In pages.
    checkpoint_at: u64,
    /// In pages.
    max_log: u64,
    /// After a reader was in the way, the next try is made at this size.
    restart_at: u64,
    lock: File,
}

impl Writer {
    pub(crate) fn new(opened: Opened, readers: Readers, max_log_bytes: u64) -> rusqlite::Result<Writer> {
        let page = page_size(&opened.writer)?;
        let max_log = (max_log_bytes / page).max(1);
        // What a burst has made of the file is given back to the disk.
        opened.writer.pragma_update(None, "journal_size_limit", i64::try_from(max_log_bytes).unwrap_or(i64::MAX))?;
        let counters = Counters::read(&opened.writer)?;
        Ok(Writer {
            connection: opened.writer,
            numbers: Numbers::default(),
            counters: Some(counters),
            readers,
            checkpointer: Checkpointer::new(opened.file),
            checkpoint_at: (CHECKPOINT_BYTES / page).min(max_log),
            max_log,
            restart_at: max_log,
            lock: opened.lock,
        })
    }

    /// Works until it is closed or nobody can ask any more.
    pub(crate) fn run(mut self, queue: &Receiver<Job>) {
        while let Ok(job) = queue.recv() {
            match job {
                Job::Apply(batch, answer) => {
                    // Whoever asked may have gone; what was asked is done all the same.
                    let done = self.apply(&batch);
                    let full = done.as_ref().is_err_and(|error| *error == StoreError::Full);
                    let _ = answer.send(done);
                    if full { self.make_room() } else { self.tend_log() }
                }
                Job::Close(answer) => {
                    let _ = answer.send(self.close());
                    return;
                }
            }
        }
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the database was not closed in order");
        }
    }

    fn apply(&mut self, batch: &[Entry]) -> Result<Vec<Outcome>, StoreError> {
        check_batch(batch)?;
        if batch.iter().all(|entry| entry.conditions.is_empty() && entry.writes.is_empty()) {
            return Ok(vec![Outcome::Done; batch.len()]);
        }
        let done = self.transaction(batch);
        if done.is_err() {
            self.numbers.forget();
            self.counters = None;
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "rollback failed");
            }
        }
        done
    }

    fn transaction(&mut self, batch: &[Entry]) -> Result<Vec<Outcome>, StoreError> {
        let execute =
            |sql| self.connection.prepare_cached(sql).and_then(|mut sql| sql.execute([])).map_err(store_error);
        execute("BEGIN IMMEDIATE")?;
        let before = match self.counters.take() {
            Some(counters) => counters,
            None => Counters::read(&self.connection).map_err(store_error)?,
        };
        let mut counters = before;
        let high = counters.recent.high();
        let mut outcomes = Vec::with_capacity(batch.len());
        let (connection, numbers) = (&self.connection, &mut self.numbers);
        let mut changes = Changes { connection, numbers, counters: &mut counters };
        for entry in batch {
            outcomes.push(match changes.counters.recent.outcome(entry.id)? {
                Some(known) => known,
                None => one(&mut changes, entry).map_err(store_error)?,
            });
        }
        counters.recent.note(batch, &outcomes);
        if counters.recent.high() > high {
            counters.write(&self.connection).map_err(store_error)?;
        }
        execute("COMMIT")?;
        self.counters = Some(counters);
        Ok(outcomes)
    }

    /// Between two batches: wakes the checkpoint thread, and stops for the log to begin anew when it is too long.
    fn tend_log(&mut self) {
        let Ok(log) = checkpoint(&self.connection, Checkpoint::Noop) else { return };
        if log.pages < self.max_log {
            self.restart_at = self.max_log;
        }
        if log.pages >= self.restart_at {
            match checkpoint(&self.connection, Checkpoint::Restart) {
                Ok(log) if log.busy => {
                    tracing::warn!(pages = log.pages, "a reader keeps the write-ahead log from beginning anew");
                    self.restart_at = log.pages + self.checkpoint_at;
                }
                Ok(_) => self.restart_at = self.max_log,
                Err(error) => {
                    tracing::warn!(%error, "checkpoint failed");
                    self.restart_at = log.pages + self.checkpoint_at;
                }
            }
        } else if log.pages - log.copied.min(log.pages) >= self.checkpoint_at {
            self.checkpointer.wake();
        }
    }

    /// The disk is full: what the log takes is given back, if its content finds room in the database.
    fn make_room(&self) {
        if let Err(error) = checkpoint(&self.connection, Checkpoint::Truncate) {
            tracing::debug!(%error, "no room could be made");
        }
    }

    fn close(self) -> Result<(), StoreError> {
        let Writer { connection, readers, mut checkpointer, lock, .. } = self;
        readers.close();
        checkpointer.stop();
        let written = checkpoint(&connection, Checkpoint::Truncate).map(drop);
        // The last connection removes the log. The lock goes after it.
        let closed = connection.close().map_err(|(_, error)| error);
        drop(lock);
        written.and(closed).map_err(store_error)
    }
}

fn one(changes: &mut Changes<'_>, entry: &Entry) -> rusqlite::Result<Outcome> {
    for condition in &entry.conditions {
        if !changes.holds(condition)? {
            return Ok(Outcome::ConditionFailed);
        }
    }
    for write in &entry.writes {
        changes.write(write)?;
    }
    Ok(Outcome::Done)
}
