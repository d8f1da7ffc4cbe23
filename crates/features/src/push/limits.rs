//! The limits of push notifications, with their reasons. What an account can cause follows from them: at most
//! `REGISTRATIONS` notifications in `INTERVAL`, however much is written to it.

use std::time::Duration;

/// Devices of one account; one more takes the place of the one that was enabled longest ago. A person has a handful.
pub(super) const REGISTRATIONS: usize = 10;
/// Bytes of a node's name; pubsub services allow 1023 (XEP-0060 §12.2 leaves it open, RFC 7622 parts are as long).
pub(super) const NODE: usize = 1023;
/// Bytes of the form that goes with every publication: a secret and a few names.
pub(super) const OPTIONS: usize = 4096;
/// Between two notifications of one device. The first wakes it for half a minute, so what comes meanwhile needs none.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);
/// The same for a call, which cannot wait so long.
pub(super) const URGENT_INTERVAL: Duration = Duration::from_secs(1);
/// How long a device with a connection may take to acknowledge a message. A phone that was put to sleep has a connection
/// for minutes and reads nothing from it.
pub(super) const ACKNOWLEDGE: Duration = Duration::from_secs(30);
/// After the first publication that failed for now; doubled with each further one.
pub(super) const BACKOFF: Duration = Duration::from_secs(60);
/// The longest time between two tries.
pub(super) const LONGEST_BACKOFF: Duration = Duration::from_secs(6 * 3600);
/// Publications in a row that failed for now, until the app server counts as gone: two days with these times.
pub(super) const FAILURES: u32 = 16;
/// Between the accounts that are looked at when the server starts, so that it has time for its clients.
pub(super) const START_PAUSE: Duration = Duration::from_millis(10);
/// Rows read to find out at the start whether a device has missed something.
pub(super) const START_ROWS: usize = 50;
