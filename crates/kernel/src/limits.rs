//! Every limit of the kernel, with its reason.

/// Stanzas of one lane that are handed over but not yet durable; then its socket is not read. Two full batches: enough
/// to keep the store busy while one is being written.
pub const LANE_STANZAS: usize = 256;
/// Bytes of one lane that are handed over but not yet durable.
pub const LANE_BYTES: usize = 1024 * 1024;
/// Bytes of all lanes that are not yet durable and performed; above it no lane with something pending is read.
pub const COMMIT_BYTES: usize = 64 * 1024 * 1024;
/// Entries in one transaction: holds the median wait near one synchronous write (see docs/internals/performance.md).
pub const BATCH_ENTRIES: usize = 512;
/// Bytes in one transaction.
pub const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Delivery notes wait at most so long for a transaction of their own; the promise of delivery is one second.
pub const NOTE_DELAY_MS: u64 = 500;
/// After the disk was full or failed, writes are refused so long before the next try.
pub const REFUSING_MS: u64 = 1000;

/// Stanzas that wait for one session; a reader this slow is disconnected, the content is stored.
pub const MAILBOX_ITEMS: usize = 8192;
/// Bytes that wait for one session.
pub const MAILBOX_BYTES: usize = 1024 * 1024;
/// Bytes of answers pulled from the store that wait for one session; the task that reads waits for room.
pub const PULLED_BYTES: usize = 64 * 1024;

/// Stanzas that a session's client has been sent and has not acknowledged (XEP-0198); then nothing more is sent. Several
/// minutes of the liveliest room.
pub const WINDOW_STANZAS: usize = 2000;
/// Bytes that it has been sent and has not acknowledged.
pub const WINDOW_BYTES: usize = 1024 * 1024;
/// How long a session without a connection waits for its client: a tunnel, a change of networks. What is stored is not
/// lost when it ends.
pub const RESUMABLE_SECONDS: u64 = 600;
/// After a restart of the server a session waits for its client at least so long.
pub const RESTARTED_SECONDS: u64 = 60;
/// Bytes of kept sessions in one transaction.
pub const KEPT_BYTES: usize = 1024 * 1024;
/// How long it is known how many stanzas of a session were handled that could be resumed and has gone: a week, as long as
/// a message that is sent again is recognized.
pub const COUNTED_MINUTES: u64 = 7 * 24 * 60;
/// Rows of an account's log among which a message that is sent again is looked for: several times what a client sends
/// before it has to be told that it arrived.
pub const RECENT_ROWS: usize = 512;
/// Stanzas held back from a client that nobody looks at (XEP-0352); then they go after all.
pub const HELD_STANZAS: usize = 500;

/// Sessions of one account. A person has a handful; a hundred is a fault or an attack.
pub const SESSIONS: usize = 100;
/// Entities that one session has sent directed presence to (RFC 6121 §4.6.3 demands that they are remembered).
pub const DIRECTED: usize = 1000;
/// Messages kept for an account that nobody has read (XEP-0160 §3: then the sender gets an error).
pub const STORED: u32 = 10_000;
/// Bytes of the messages kept for an account that nobody has read; then the sender gets an error as well. Far more than
/// people write in a holiday, and no way to fill a disk.
pub const STORED_BYTES: u64 = 32 * 1024 * 1024;
/// Copies of messages on their way that an account remembers, so that nobody gets such a message twice: as much as all
/// windows of a handful of sessions hold.
pub const COPIES: usize = 8192;
/// Clients of an account of which it is remembered how far they have read the archive.
pub const READERS: u64 = 50;
/// Messages read from the store at once for a session that comes online.
pub const OFFLINE_PAGE: usize = 50;
/// Answers that leave the lane and are being worked on, for one session.
pub const LATER: usize = 32;
/// Rows that one step of a job reads or changes: a batch of the commit, so that it delays nobody longer than one.
pub const JOB_ROWS: usize = 512;
/// Jobs begin so long after the start at the latest: who restarts daily wants them too.
pub const FIRST_JOB_SECONDS: u64 = 60;
/// While more is waiting to be written than should, jobs look again after this.
pub const JOB_PAUSE_MS: u64 = 50;
/// Accounts without sessions that stay loaded before the table of owners is swept.
pub const IDLE_OWNERS: usize = 2048;
/// Recipients that wait in one account's outbox; above it its sessions are not read. Several broadcasts of the largest
/// roster.
pub const OUTBOX: usize = 10_000;
/// How long an owner waits for the answer to a question of its own: a phone that sleeps, a server far away.
pub const REQUEST_SECONDS: u64 = 60;
/// Questions of one account that are open at once: one for each client of a large roster that comes online.
pub const REQUESTS_OF_ONE: u32 = 1000;
/// Questions of all owners that are open at once; each takes well under 1 KiB.
pub const REQUESTS: usize = 20_000;
/// Stanzas that the sessions of one account may send in a second, if the administrator says nothing: more than any person
/// or honest program, and little enough that one account does not fill a disk in an hour.
pub const STANZAS_PER_SECOND: u32 = 5000;
/// People outside of its roster whom one account may write to in an hour, if the administrator says nothing.
pub const STRANGERS_PER_HOUR: u32 = 200;

/// Bytes that wait for one pair of domains: some thousand messages, written to while the other server restarts.
pub const LINK_BYTES: usize = 4 * 1024 * 1024;
/// What a stanza that waits for another server takes beside its content, about.
pub const PARCEL: usize = 200;
/// Pairs of domains in memory before those are forgotten for which nothing waits.
pub const IDLE_LINKS: usize = 4096;
/// How long a request waits for another server: whoever asked has given up then.
pub const REMOTE_REQUEST_SECONDS: u64 = 60;
/// Requests of one stream from elsewhere that are worked on beside it: it carries those of many people.
pub const LATER_REMOTE: usize = 256;
/// Events that are remembered of messages to other servers: about 2 MiB.
pub const TRACES: usize = 8192;
/// Longest id of a stanza that is traced.
pub const TRACE_ID: usize = 128;
