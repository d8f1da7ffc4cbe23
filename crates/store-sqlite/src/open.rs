//! Opening the data directory: the lock, the file's creation, the checks and the settings of each connection.

use crate::Options;
use crate::error::OpenError;
use crate::migrations::{APPLICATION_ID, MIGRATIONS, Migration, MigrationError, migrate};
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The database, in the data directory.
const DATABASE: &str = "linnet.db";
/// Locked while a server has the directory; holds its process id.
const LOCK: &str = "linnet.lock";
/// Every SQLite 3 file begins so.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// A database up to this size is checked whole at each start, which takes a few milliseconds.
const QUICK_CHECK_BYTES: u64 = 2 * 1024 * 1024;
/// How long a connection waits for another one's lock. Locks are held for moments only, by this process' own threads.
const BUSY: Duration = Duration::from_secs(5);
/// The page cache of the writer. It holds the pages that one batch changes and the upper levels of the trees.
const WRITER_CACHE_KIB: u32 = 2048;
/// The page cache of each reader: the operating system keeps the rest.
const READER_CACHE_KIB: u32 = 512;
/// Statements kept prepared; there are fewer.
const STATEMENTS: usize = 64;

/// An opened data directory.
pub(crate) struct Opened {
    pub(crate) file: PathBuf,
    pub(crate) writer: Connection,
    /// Holds the lock until it is dropped.
    pub(crate) lock: File,
}

/// Locks the directory, creates the database if there is none, checks it and brings its schema up to date.
pub(crate) fn open(directory: &Path, options: &Options) -> Result<Opened, OpenError> {
    open_with(directory, options, MIGRATIONS)
}

fn open_with(directory: &Path, options: &Options, migrations: &[Migration]) -> Result<Opened, OpenError> {
    match std::fs::metadata(directory) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(OpenError::NoDirectory(directory.into())),
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(OpenError::NoDirectory(directory.into())),
        Err(error) => return Err(OpenError::io(directory, &error)),
    }
    let lock = lock(directory)?;
    let file = directory.join(DATABASE);
    if !file.try_exists().map_err(|error| OpenError::io(&file, &error))? {
        create(directory, &file, migrations)?;
    }
    check_header(&file)?;
    sync_log(&file)?;
    let writer = check_and_migrate(&file, migrations).map_err(|error| refine(&file, error))?;
    if let Some(bytes) = options.max_bytes {
        let limited = page_size(&writer).and_then(|size| {
            let pages = i64::try_from(bytes / size).unwrap_or(i64::MAX);
            writer.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
        });
        limited.map_err(|error| OpenError::sqlite(&file, &error))?;
    }
    Ok(Opened { file, writer, lock })
}

/// A connection that only reads.
pub(crate) fn reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    settle(&connection, READER_CACHE_KIB)?;
    Ok(connection)
}

/// A connection that writes, or checkpoints.
pub(crate) fn writer(file: &Path, cache_kib: u32) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    settle(&connection, cache_kib)?;
    // Checkpoints are made by a thread of their own; and a transaction is done when it is on the disk.
    connection.execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = FULL;")?;
    Ok(connection)
}

/// Bytes in a page of the database.
pub(crate) fn page_size(connection: &Connection) -> rusqlite::Result<u64> {
    let size: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    Ok(size.unsigned_abs().max(512))
}

fn settle(connection: &Connection, cache_kib: u32) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(&format!(
        "PRAGMA cache_size = -{cache_kib}; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; \
         PRAGMA trusted_schema = OFF;"
    ))
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join(LOCK);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = private(&mut options).open(&path).map_err(|error| OpenError::io(directory, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let process = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(OpenError::InUse { directory: directory.into(), process });
        }
        Err(TryLockError::Error(error)) => return Err(OpenError::io(&path, &error)),
    }
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(|error| OpenError::io(&path, &error))?;
    Ok(file)
}

/// Only the server's own user may read what is in the files.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Builds a new database under another name and gives it its own when it is whole and on the disk. So a file by the
/// name of the database is never half made, and an empty one is a damaged one.
fn create(directory: &Path, file: &Path, migrations: &[Migration]) -> Result<(), OpenError> {
    let log = with_suffix(file, "-wal");
    if log.exists() {
        return Err(OpenError::Damaged(file.into(), format!("it is missing, but {} is there", log.display())));
    }
    let new = with_suffix(file, ".new");
    for leftover in [new.clone(), with_suffix(&new, "-wal"), with_suffix(&new, "-shm"), with_suffix(&new, "-journal")] {
        match std::fs::remove_file(&leftover) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(OpenError::io(&leftover, &error)),
            _ => {}
        }
    }
    let io = |error: std::io::Error| OpenError::io(file, &error);
    private(OpenOptions::new().write(true).create_new(true)).open(&new).map_err(io)?;
    let built = || -> Result<(), Failure> {
        let mut connection = Connection::open_with_flags(&new, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA page_size = 4096; PRAGMA journal_mode = WAL;")?;
        migrate(&mut connection, migrations)?;
        connection.close().map_err(|(_, error)| error)?;
        Ok(())
    };
    built().map_err(|error| refine(file, error))?;
    File::open(&new).and_then(|file| file.sync_all()).map_err(io)?;
    std::fs::rename(&new, file).map_err(io)?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(io)
}

fn check_header(file: &Path) -> Result<(), OpenError> {
    let io = |error: std::io::Error| OpenError::io(file, &error);
    let mut opened = OpenOptions::new().read(true).write(true).open(file).map_err(io)?;
    if opened.metadata().map_err(io)?.len() == 0 {
        return Err(OpenError::Damaged(file.into(), "it is empty".to_owned()));
    }
    let mut start = [0; MAGIC.len()];
    match opened.read_exact(&mut start) {
        Ok(()) if start == *MAGIC => Ok(()),
        Ok(()) => Err(OpenError::NotADatabase(file.into(), "it does not begin as one".to_owned())),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Err(OpenError::NotADatabase(file.into(), "it is too short".to_owned()))
        }
        Err(error) => Err(io(error)),
    }
}

/// After a kill, transactions in the log may be whole without having been synced. They will be read, so they must stay.
fn sync_log(file: &Path) -> Result<(), OpenError> {
    let log = with_suffix(file, "-wal");
    match File::open(&log).and_then(|log| log.sync_all()) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(OpenError::io(&log, &error)),
        _ => Ok(()),
    }
}

/// What goes wrong between opening the file and having it ready.
enum Failure {
    Sqlite(rusqlite::Error),
    Migration(MigrationError),
    Foreign(i32),
    Check(String),
    ReadOnly,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Failure::Sqlite(error)
    }
}

impl From<MigrationError> for Failure {
    fn from(error: MigrationError) -> Self {
        Failure::Migration(error)
    }
}

fn refine(file: &Path, failure: Failure) -> OpenError {
    match failure {
        Failure::Sqlite(error) | Failure::Migration(MigrationError::Sqlite(error)) => OpenError::sqlite(file, &error),
        Failure::Migration(MigrationError::Newer { found, known }) => {
            OpenError::Newer { file: file.into(), found, known }
        }
        Failure::Migration(MigrationError::Changed(number)) => {
            OpenError::NotADatabase(file.into(), format!("migration {number} differs from this version's"))
        }
        Failure::Foreign(id) => OpenError::NotADatabase(file.into(), format!("its application id is {id:#x}")),
        Failure::Check(text) => {
            // Its first line only names the database.
            OpenError::Damaged(file.into(), text.lines().last().unwrap_or("the check failed").to_owned())
        }
        Failure::ReadOnly => OpenError::NotWritable(file.into(), "it is read-only".to_owned()),
    }
}

fn check_and_migrate(file: &Path, migrations: &[Migration]) -> Result<Connection, Failure> {
    let mut connection = writer(file, WRITER_CACHE_KIB)?;
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if id != APPLICATION_ID {
        return Err(Failure::Foreign(id));
    }
    if connection.is_readonly(rusqlite::MAIN_DB)? {
        return Err(Failure::ReadOnly);
    }
    let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
    if pages.unsigned_abs() * page_size(&connection)? <= QUICK_CHECK_BYTES {
        let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return Err(Failure::Check(found));
        }
    }
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Failure::Check(format!("its journal mode is {mode}")));
    }
    migrate(&mut connection, migrations)?;
    Ok(connection)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
