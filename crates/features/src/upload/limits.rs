//! Limits of uploads, with their reasons. Sizes and times that an administrator chooses are in `Settings::files`.

use std::time::Duration;

/// How long a slot waits for its PUT to begin (XEP-0363 §8 recommends so).
pub(super) const SLOT: Duration = Duration::from_secs(300);
/// Slots of one account that wait: somebody chooses many pictures at once.
pub(super) const SLOTS: usize = 64;
/// Files of one account, since asking for a slot reads their rows.
pub(super) const FILES: usize = 20_000;
/// Rows read from the store at once.
pub(super) const PAGE: usize = 500;
/// Bytes of a file's name, as file systems have it.
pub(super) const NAME: usize = 200;
/// Bytes of an ending that is kept when a name is cut.
pub(super) const ENDING: usize = 16;
/// Bytes of a media type with its parameters (RFC 6838 §4.2 allows 127 for each name).
pub(super) const MEDIA: usize = 255;
/// Largest file for a profile, in bytes: "smaller in size" (XEP-0363 §5.2); an avatar in full resolution.
pub(super) const PROFILE_SIZE: u64 = 5 * 1024 * 1024;
/// All files for profiles of an account, in bytes: "a significantly lower overall quota".
pub(super) const PROFILE_QUOTA: u64 = 50 * 1024 * 1024;
/// When to ask again while the disk is full: an administrator needs some minutes.
pub(super) const DISK: Duration = Duration::from_secs(300);
/// The longest time for which a copy may be kept by whoever fetched it.
pub(super) const CACHE: Duration = Duration::from_secs(365 * 24 * 3600);
/// Bytes that are read of a file that is refused, and thrown away: who still sends would see a broken connection in
/// place of the answer. The photos and voice messages that people send; with larger files it is cut off all the same.
pub(super) const DISCARDED: usize = 16 * 1024 * 1024;
/// How often one folder of 256 is looked through for what is over: each comes about once a day.
pub(super) const SWEEP: Duration = Duration::from_secs(300);
