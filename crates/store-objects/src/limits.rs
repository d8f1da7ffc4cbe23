//! Limits of blobs, with their reasons.

use std::time::Duration;

/// Bytes of one write to a folder: a system call on a thread of the blocking pool is worth it, and memory stays small.
pub(crate) const PART_LOCAL: usize = 256 * 1024;
/// Bytes of one part in S3, which takes none below 5 MiB but the last, and 10,000 of them: 64 GiB.
pub(crate) const PART_S3: usize = 6 * 1024 * 1024 + 512 * 1024;
/// Bytes read from a file at once.
pub(crate) const READ: u64 = 128 * 1024;
/// What is left free of a disk, for the database: it needs room to remove anything at all.
pub(crate) const SPARE: u64 = 64 * 1024 * 1024;
/// How long a disk counts as full after a write has failed for it.
pub(crate) const FULL: Duration = Duration::from_secs(60);
/// A half-written file that nobody has written to for so long was left behind: an upload that rests is ended long before.
pub(crate) const UNFINISHED: Duration = Duration::from_secs(3600);
/// A connection to a service of S3.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);
/// One request to it, a part at most.
pub(crate) const REQUEST: Duration = Duration::from_secs(120);
