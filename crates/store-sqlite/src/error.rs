//! SQLite's errors in the three kinds that the store knows, and in plain words when the database is opened.

use rusqlite::ErrorCode;
use std::fmt;
use std::path::{Path, PathBuf};
use store::StoreError;

/// SQLITE_IOERR_SHMSIZE: the index of the write-ahead log could not grow. On a full disk this comes before SQLITE_FULL.
const IOERR_SHMSIZE: i32 = 10 | (19 << 8);

/// Which kind of failure this is. The text holds no data, only SQLite's message.
pub(crate) fn store_error(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error() {
        Some(code) if code.extended_code == IOERR_SHMSIZE => StoreError::Full,
        Some(code) => match code.code {
            ErrorCode::DiskFull => StoreError::Full,
            ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch => {
                StoreError::Refused(error.to_string())
            }
            _ => StoreError::Io(error.to_string()),
        },
        None => StoreError::Io(error.to_string()),
    }
}

/// What is said to whoever calls after the store was closed.
pub(crate) fn closed() -> StoreError {
    StoreError::Io("it is closed".to_owned())
}

/// Why the database cannot be opened. `Display` is one line with the remedy.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The data directory is not there, or is a file.
    NoDirectory(PathBuf),
    /// Permissions, or a read-only file system.
    NotWritable(PathBuf, String),
    /// Another process has the data directory.
    InUse {
        /// The data directory.
        directory: PathBuf,
        /// Its process id, where it could be read.
        process: Option<u32>,
    },
    /// The file is something else than a database of this program.
    NotADatabase(PathBuf, String),
    /// The file is a database, but parts are wrong or missing.
    Damaged(PathBuf, String),
    /// A newer version has changed the database.
    Newer {
        /// The file.
        file: PathBuf,
        /// The number of its last migration.
        found: u32,
        /// The last one known here.
        known: u32,
    },
    /// No space left.
    Full(PathBuf),
    /// Anything else.
    Io(PathBuf, String),
}

impl OpenError {
    pub(crate) fn io(path: &Path, error: &std::io::Error) -> OpenError {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                OpenError::NotWritable(path.into(), error.to_string())
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => OpenError::Full(path.into()),
            _ => OpenError::Io(path.into(), error.to_string()),
        }
    }

    pub(crate) fn sqlite(path: &Path, error: &rusqlite::Error) -> OpenError {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => OpenError::NotADatabase(path.into(), text),
            Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged(path.into(), text),
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                OpenError::NotWritable(path.into(), text)
            }
            Some(ErrorCode::DiskFull) => OpenError::Full(path.into()),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                OpenError::InUse { directory: path.parent().unwrap_or(path).into(), process: None }
            }
            _ => OpenError::Io(path.into(), text),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::NoDirectory(path) => {
                write!(f, "there is no data directory {}: create it or name another one", path.display())
            }
            OpenError::NotWritable(path, text) => write!(
                f,
                "{} cannot be written ({text}): give the server's user write permission, or name another data directory",
                path.display()
            ),
            OpenError::InUse { directory, process } => {
                write!(f, "the data directory {} is in use by another server", directory.display())?;
                if let Some(process) = process {
                    write!(f, " (process {process})")?;
                }
                f.write_str(": stop it first, or name another data directory")
            }
            OpenError::NotADatabase(path, text) => write!(
                f,
                "{} is not a database of this server ({text}): restore it from a backup, or move it away to start anew",
                path.display()
            ),
            OpenError::Damaged(path, text) => write!(
                f,
                "the database {} is damaged ({text}): restore it from a backup, or rescue what is left with \
                 `sqlite3 linnet.db .recover`",
                path.display()
            ),
            OpenError::Newer { file, found, known } => write!(
                f,
                "the database {} was used by a newer version (its schema is {found}, this version knows {known}): \
                 start the newer version, or restore a backup from before the upgrade",
                file.display()
            ),
            OpenError::Full(path) => {
                write!(f, "no space is left on the disk of {}: free some and start again", path.display())
            }
            OpenError::Io(path, text) => write!(f, "{} cannot be used: {text}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}
