//! The bits that features keep per session, all in one place so that no two are the same.

use kernel::Mark;

/// Has asked for the roster and gets pushes of it (RFC 6121 §2.1.6).
pub(crate) const INTERESTED: Mark = Mark(1);
/// Has asked for the block list and gets pushes of it (XEP-0191 §3.3).
pub(crate) const BLOCK_LIST: Mark = Mark(1 << 1);
/// Fetches stored messages itself (XEP-0013 §2.2).
pub(crate) const FETCHES: Mark = Mark(1 << 2);
/// Gets copies of what the other sessions send and receive (XEP-0280 §4).
pub(crate) const CARBONS: Mark = Mark(1 << 3);
/// Wants no avatar to be shown (XEP-0153 §4.1: an empty photo).
pub(crate) const NO_PHOTO: Mark = Mark(1 << 4);
