//! A data directory for a test, removed at its end.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The directory.
pub(crate) struct Directory(PathBuf);

impl Directory {
    /// An empty one.
    pub(crate) fn new() -> Directory {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("linnet-store-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Directory(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The database file.
    #[allow(dead_code, reason = "not every test binary needs it")]
    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("linnet.db")
    }

    /// What a query counts in the database.
    #[allow(dead_code, reason = "not every test binary needs it")]
    pub(crate) fn count(&self, sql: &str) -> u64 {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = rusqlite::Connection::open_with_flags(self.file(), flags).unwrap();
        connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
