//! Errors of objects in the words of the store, and whether a disk was full lately.

use crate::limits;
use object_store::Error;
use parking_lot::Mutex;
use std::{error::Error as StdError, io, time::Instant};
use store::StoreError;

/// Whether there is no such object. A name whose parent is a file has none either.
pub(crate) fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::NotFound { .. })
        || io_error(error).is_some_and(|error| matches!(error.kind(), io::ErrorKind::NotADirectory))
}

/// What went wrong.
pub(crate) fn told(error: Error) -> StoreError {
    match io_error(&error) {
        Some(io) => told_io(io),
        None => StoreError::Io(error.to_string()),
    }
}

/// What went wrong with a file.
pub(crate) fn told_io(error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        _ => StoreError::Io(error.to_string()),
    }
}

/// The operating system's word at the bottom of an error.
fn io_error(error: &Error) -> Option<&io::Error> {
    let mut next: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(inner) = next {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return Some(io);
        }
        next = inner.source();
    }
    None
}

/// Remembers that a write found no room, also where the system's count of free bytes says otherwise (quotas).
#[derive(Debug, Default)]
pub(crate) struct Fullness(Mutex<Option<Instant>>);

impl Fullness {
    /// Passes an outcome on.
    pub(crate) fn note<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(outcome, Err(StoreError::Full)) {
            *self.0.lock() = Some(Instant::now());
        }
        outcome
    }

    /// Something was removed.
    pub(crate) fn forget(&self) {
        *self.0.lock() = None;
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match *self.0.lock() {
            Some(since) if since.elapsed() < limits::FULL => Err(StoreError::Full),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_recognised_below_other_words() {
        let inner = io::Error::from(io::ErrorKind::StorageFull);
        let error = Error::Generic { store: "LocalFileSystem", source: Box::new(inner) };
        assert_eq!(told(error), StoreError::Full);
        let other = Error::Generic { store: "S3", source: "no".into() };
        assert!(matches!(told(other), StoreError::Io(_)));
        let fullness = Fullness::default();
        assert_eq!(fullness.check(), Ok(()));
        let _: Result<(), _> = fullness.note(Err(StoreError::Full));
        assert_eq!(fullness.check(), Err(StoreError::Full));
        fullness.forget();
        assert_eq!(fullness.check(), Ok(()));
    }
}
