//! Nodes of accounts that mean something to the server: when their items change, the features that keep something in step
//! with them hear of it in the same turn.

use super::{access::Host, document::Node};
use crate::{avatars, bookmarks};
use kernel::Turn;
use linnet_xeps::{ns, pubsub::Item};
use linnet_xmpp::StanzaError;

/// What happened to the items of a node.
#[derive(Debug)]
pub(crate) enum Change<'a> {
    /// This one was published.
    Published(&'a Item),
    /// Those with these ids were retracted.
    Retracted(&'a [String]),
    /// All are gone: it was purged, or deleted.
    Emptied,
    /// It has another configuration, and may keep fewer.
    Configured,
}

/// Tells the features whose node it is. An error refuses the change.
pub(super) fn changed(turn: &mut Turn<'_>, node: &Node, change: &Change<'_>) -> Result<(), StanzaError> {
    if !Host::of(turn).is_account() {
        return Ok(());
    }
    match &*node.name {
        ns::BOOKMARKS => bookmarks::items_changed(turn, node, change),
        ns::BOOKMARKS_STORAGE => bookmarks::list_changed(turn, change),
        ns::AVATAR_METADATA => avatars::metadata_changed(turn, change),
        ns::AVATAR_DATA => avatars::data_changed(turn, change),
        _ => Ok(()),
    }
}
