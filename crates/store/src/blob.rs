//! The shape of large contents: bytes by name, written once and read in pieces, never held whole in memory.
//!
//! Blobs are beside the [`Store`](crate::Store), not in it: what they mean, to whom they belong and when they go is in
//! rows of the feature that wrote them. A blob without a row is nobody's, and its feature removes it.

use crate::{Future, StoreError};
use bytes::Bytes;
use std::{fmt, ops::Range};

/// Longest name of a blob, in bytes.
pub const MAX_BLOB_NAME: usize = 200;

/// A back end for blobs. Names are of letters, digits, `-`, `_` and `/` between parts ([`is_blob_name`]); others are
/// refused.
pub trait Blobs: Send + Sync + fmt::Debug + 'static {
    /// Begins to write a blob. Nothing of it is to be seen before [`BlobWriter::finish`]; what is dropped before leaves
    /// nothing behind.
    fn write<'a>(&'a self, name: &'a str) -> Future<'a, Result<Box<dyn BlobWriter>, StoreError>>;
    /// How many bytes a blob has; `None` if there is none of this name.
    fn size<'a>(&'a self, name: &'a str) -> Future<'a, Result<Option<u64>, StoreError>>;
    /// Begins to read these bytes of a blob; `None` if there is none of this name. A range beyond its end is cut.
    fn read<'a>(
        &'a self,
        name: &'a str,
        range: Range<u64>,
    ) -> Future<'a, Result<Option<Box<dyn BlobReader>>, StoreError>>;
    /// Removes a blob, if it is there.
    fn remove<'a>(&'a self, name: &'a str) -> Future<'a, Result<(), StoreError>>;
    /// Begins to list the names of all blobs in a folder (`ab` has `ab/cd`) or in all of them, in no order. What is
    /// written or removed meanwhile may be in it or not.
    fn list(&self, folder: Option<&str>) -> Box<dyn BlobNames>;
    /// Whether so many bytes more find room, as far as can be known before they are written: [`StoreError::Full`].
    fn room(&self, bytes: u64) -> Result<(), StoreError>;
    /// Removes what writers left behind that ended with the process, or could not clean up.
    fn tidy(&self) -> Future<'_, Result<(), StoreError>>;
}

/// A blob being written.
pub trait BlobWriter: Send {
    /// Appends bytes. After an error the writer is of no use any more.
    fn append(&mut self, bytes: Bytes) -> Future<'_, Result<(), StoreError>>;
    /// Makes the blob durable, and then to be seen, whole, in place of one that had the name before.
    fn finish(self: Box<Self>) -> Future<'static, Result<(), StoreError>>;
}

/// A blob being read.
pub trait BlobReader: Send {
    /// The next piece; `None` at the end.
    fn next(&mut self) -> Future<'_, Result<Option<Bytes>, StoreError>>;
}

/// Names of blobs, being listed.
pub trait BlobNames: Send {
    /// The next name; `None` at the end.
    fn next(&mut self) -> Future<'_, Result<Option<Box<str>>, StoreError>>;
}

/// Whether a blob may have this name: parts of ASCII letters, digits, `-` and `_`, none empty, with `/` between them.
pub fn is_blob_name(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= MAX_BLOB_NAME && name.split('/').all(is_part)
}

/// Refuses what is no name.
///
/// # Errors
/// [`StoreError::Refused`].
pub fn check_blob_name(name: &str) -> Result<(), StoreError> {
    if is_blob_name(name) { Ok(()) } else { Err(StoreError::Refused("a blob cannot have this name".into())) }
}
