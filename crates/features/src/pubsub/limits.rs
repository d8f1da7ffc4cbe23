//! Every limit of pubsub, with its reason.

/// Nodes of an account: clients use some thirty, OMEMO of old one for each device.
pub(crate) const NODES_OF_ACCOUNT: usize = 500;
/// Nodes of a service: all of them are in memory.
pub(crate) const NODES_OF_SERVICE: usize = 10_000;
/// Nodes of a service that one person has created.
pub(crate) const NODES_OF_ONE: usize = 200;
/// Items of a node, also where `max` is wanted: bookmarks and read states of the busiest.
pub(crate) const ITEMS: u64 = 2000;
/// Subscriptions to a node: they are stored together.
pub(crate) const SUBSCRIPTIONS: usize = 5000;
/// Affiliations of a node.
pub(crate) const AFFILIATIONS: usize = 5000;
/// Bytes of a node's name and of an item's id: a row's key has them both.
pub(crate) const NAME_BYTES: usize = 1023;
/// Bytes of a configuration's texts together.
pub(crate) const CONFIG_BYTES: usize = 16 * 1024;
/// Bytes of a payload. Streams end earlier; OMEMO's bundles and avatars fit.
pub(crate) const PAYLOAD_BYTES: u64 = 1024 * 1024;
/// Bytes of items in one answer; more only if a single item is larger.
pub(crate) const ANSWER_BYTES: usize = 512 * 1024;
/// Notifications that wait for one subscriber; then they go although their time has not come.
pub(crate) const DIGEST: usize = 100;
/// Bytes of such notifications.
pub(crate) const DIGEST_BYTES: usize = 128 * 1024;
/// How long what is over may stay: it is not shown all the same.
pub(crate) const SWEEP: std::time::Duration = std::time::Duration::from_secs(3600);
/// Items read from the store at once.
pub(crate) const PAGE: usize = 100;
