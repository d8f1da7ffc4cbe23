//! Limits of what comes over HTTP, with their reasons.

use std::time::Duration;

/// A body that rests for so long is given up: a phone that changes its network takes less.
pub(crate) const REST: Duration = Duration::from_secs(30);
/// Bytes per second that a body must come with over its whole time, beyond the first rest: the slowest mobile networks
/// manage more, and nobody occupies a place with one byte every half minute.
pub(crate) const RATE: u64 = 1024;
