//! The checkpoint thread: copies the write-ahead log into the database while the writer goes on.

use crate::error::store_error;
use crate::open;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;

/// Its page cache; a checkpoint reads the log, not pages.
const CACHE_KIB: u32 = 64;

/// How far the log has grown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogState {
    /// Another connection was in the way.
    pub(crate) busy: bool,
    /// Pages in the log.
    pub(crate) pages: u64,
    /// Those of them that have been copied to the database.
    pub(crate) copied: u64,
}

/// What `PRAGMA wal_checkpoint` can be asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Checkpoint {
    /// Only tells the state.
    Noop,
    /// Copies what can be copied without making anyone wait.
    Passive,
    /// Copies all and lets the log begin anew; waits for readers.
    Restart,
    /// The same, and empties the file.
    Truncate,
}

/// Makes a checkpoint on this thread.
pub(crate) fn checkpoint(connection: &Connection, kind: Checkpoint) -> rusqlite::Result<LogState> {
    let sql = match kind {
        Checkpoint::Noop => "PRAGMA wal_checkpoint(NOOP)",
        Checkpoint::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Checkpoint::Restart => "PRAGMA wal_checkpoint(RESTART)",
        Checkpoint::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    connection.prepare_cached(sql)?.query_row([], |row| {
        let pages: i64 = row.get(1)?;
        let copied: i64 = row.get(2)?;
        // -1 where there is no log.
        Ok(LogState { busy: row.get::<_, i64>(0)? != 0, pages: pages.max(0) as u64, copied: copied.max(0) as u64 })
    })
}

/// The thread. It is started by the first call.
pub(crate) struct Checkpointer {
    file: PathBuf,
    thread: Option<(SyncSender<()>, JoinHandle<()>)>,
}

impl Checkpointer {
    pub(crate) fn new(file: PathBuf) -> Checkpointer {
        Checkpointer { file, thread: None }
    }

    /// Asks for a checkpoint; nothing to do if one is waiting already.
    pub(crate) fn wake(&mut self) {
        if self.thread.is_none() {
            // Room for one: a checkpoint under way may have missed the newest pages, two waiting are one.
            let (wake, woken) = mpsc::sync_channel(1);
            let file = self.file.clone();
            let run = move || {
                let mut connection = None;
                while woken.recv().is_ok() {
                    run_once(&mut connection, &file);
                }
            };
            match std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(run) {
                Ok(thread) => self.thread = Some((wake, thread)),
                Err(error) => tracing::warn!(%error, "no thread for checkpoints; the writer will make them"),
            }
        }
        if let Some((wake, _)) = &self.thread {
            let _ = wake.try_send(());
        }
    }

    /// Waits for the checkpoint under way and ends the thread.
    pub(crate) fn stop(&mut self) {
        if let Some((wake, thread)) = self.thread.take() {
            drop(wake);
            let _ = thread.join();
        }
    }
}

fn run_once(connection: &mut Option<Connection>, file: &std::path::Path) {
    let done = match connection.take().map_or_else(|| open::writer(file, CACHE_KIB), Ok) {
        Ok(opened) => checkpoint(&opened, Checkpoint::Passive).map(|_| *connection = Some(opened)),
        Err(error) => Err(error),
    };
    if let Err(error) = done {
        // Nothing is lost by it: the log still holds everything, and the writer will report what it meets itself.
        tracing::warn!(error = %store_error(error), "checkpoint failed");
    }
}
