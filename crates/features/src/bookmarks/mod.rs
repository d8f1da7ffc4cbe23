//! Bookmarks of rooms, the same for clients of three ages: an item for each room (XEP-0402), one list in a node (XEP-0048
//! §3), one list in private XML (XEP-0049). And which chats may disturb, which is said in bookmarks (XEP-0492).
//!
//! The items are what counts. The list in the node is written anew when they change; the list in private XML is made of
//! them when it is asked for. A list that a client writes changes the items that it says otherwise, and no others. That
//! somebody removes the old list, as clients do that have moved to the items, removes no bookmark.

mod document;

pub(crate) use document::{Bookmarks, TABLE};

use crate::pubsub::{self, Node, config::of_node, known::Change};
use bytes::Bytes;
use document::Kept;
use kernel::{Account, Feature, Hook, Turn, hooks::Xep};
use linnet_xeps::{
    Payload,
    bookmarks::{Bookmark, Change as Difference, Storage, merge},
    notify::Notify,
    ns,
    pubsub::Item,
};
use linnet_xmpp::{
    Jid, StanzaError,
    stanza::Condition,
    xml::{Document, Scope},
};

/// Bookmarks.
pub static FEATURE: Feature = Feature {
    name: "bookmarks",
    xeps: &[
        Xep { number: 48, version: "1.2", note: "" },
        Xep { number: 402, version: "1.2.0", note: "" },
        Xep { number: 492, version: "0.2.0", note: "what it says for phones decides about push notifications" },
    ],
    server_features: &[],
    account_features: &[ns::BOOKMARKS_COMPAT, ns::BOOKMARKS_COMPAT_PEP],
    stream_features: &[],
    hooks: &[Hook::Document { type_id: Bookmarks::type_id, source: Bookmarks::SOURCE }],
};

/// The item of the list (XEP-0048 §3).
const LIST_ID: &str = "current";

/// What a user has said of notifications of a chat.
pub(crate) fn notify<'a>(account: &'a Account, chat: &Jid) -> Option<&'a Notify> {
    account.document::<Bookmarks>()?.notify(chat.bare_str())
}

fn latest(turn: &Turn<'_>) -> Bookmarks {
    turn.latest::<Bookmarks>().map(|known| Bookmarks::clone(&known)).unwrap_or_default()
}

/// The bookmark of a room, as the turn leaves it.
pub(crate) fn of_room(turn: &Turn<'_>, room: &Jid) -> Option<Bookmark> {
    latest(turn).bookmarks().into_iter().find(|bookmark| bookmark.room == *room)
}

/// Publishes bookmarks in the account's name, and retracts those of rooms, as its clients would.
///
/// # Errors
/// There are too many.
pub(crate) fn change(turn: &mut Turn<'_>, publish: Vec<Bookmark>, gone: &[Jid]) -> Result<(), StanzaError> {
    let mut after = latest(turn);
    let publish: Vec<Kept> = publish.into_iter().map(|bookmark| after.renewed(bookmark)).collect();
    let ids: Vec<String> = gone.iter().flat_map(|room| after.ids_of(room)).collect();
    after.remove(|kept| ids.contains(&kept.id));
    publish.iter().cloned().for_each(|kept| after.put(kept));
    after.check()?;
    if !ids.is_empty() {
        pubsub::remove(turn, ns::BOOKMARKS, &ids);
    }
    for kept in &publish {
        let item = Item::new(kept.id.clone(), kept.bookmark.to_item());
        pubsub::store(turn, ns::BOOKMARKS, &item, of_node(ns::BOOKMARKS))?;
    }
    if let Some(node) = pubsub::Nodes::latest(turn).get(ns::BOOKMARKS) {
        after.trim(node.capacity());
    }
    let list = after.list();
    turn.set(after);
    write_list(turn, &list)
}

/// The list of all bookmarks, as XEP-0048 has it.
pub(crate) fn list(account: &Account) -> Bytes {
    account.document::<Bookmarks>().map(Bookmarks::list).unwrap_or_default().to_bytes()
}

/// Items of the node of XEP-0402 have changed.
pub(crate) fn items_changed(turn: &mut Turn<'_>, node: &Node, change: &Change<'_>) -> Result<(), StanzaError> {
    let mut after = latest(turn);
    let before = after.list();
    match change {
        Change::Published(item) => {
            after.put(Kept::read(item.id.as_deref().unwrap_or_default(), &item.payload)?);
        }
        Change::Retracted(ids) => after.remove(|kept| ids.contains(&kept.id)),
        Change::Emptied => after.remove(|_| true),
        Change::Configured => {}
    }
    after.trim(node.capacity());
    after.check()?;
    let list = after.list();
    turn.set(after);
    // What the list does not hold may change without it.
    if list == before { Ok(()) } else { write_list(turn, &list) }
}

/// §5.3.1: the list says what the items say.
fn write_list(turn: &mut Turn<'_>, list: &Storage) -> Result<(), StanzaError> {
    let item = Item::new(LIST_ID, list.to_bytes());
    pubsub::store(turn, ns::BOOKMARKS_STORAGE, &item, of_node(ns::BOOKMARKS_STORAGE))
}

/// The node of XEP-0048 has changed.
pub(crate) fn list_changed(turn: &mut Turn<'_>, change: &Change<'_>) -> Result<(), StanzaError> {
    match change {
        Change::Published(item) => take(turn, &read_list(item.payload.clone())?),
        _ => Ok(()),
    }
}

/// A client writes the list into private XML.
pub(crate) fn set_list(turn: &mut Turn<'_>, xml: Bytes) -> Result<(), StanzaError> {
    let list = read_list(xml)?;
    take(turn, &list)?;
    write_list(turn, &latest(turn).list())
}

fn read_list(xml: Bytes) -> Result<Storage, StanzaError> {
    let document = Document::parse(xml, &Scope::new(linnet_xmpp::ns::CLIENT)).map_err(|_| Condition::BadRequest)?;
    Storage::read(document.root())
}

/// §5.3.2: the items that a list says otherwise are published or retracted.
fn take(turn: &mut Turn<'_>, list: &Storage) -> Result<(), StanzaError> {
    let mut after = latest(turn);
    after.others.clone_from(&list.others);
    for difference in merge(&after.bookmarks(), &list.rooms) {
        match difference {
            Difference::Publish(bookmark) => {
                let kept = after.renewed(bookmark);
                let item = Item::new(&kept.id, kept.bookmark.to_item());
                pubsub::store(turn, ns::BOOKMARKS, &item, of_node(ns::BOOKMARKS))?;
                after.put(kept);
            }
            Difference::Retract(room) => {
                let ids = after.ids_of(&room);
                pubsub::remove(turn, ns::BOOKMARKS, &ids);
                after.remove(|kept| kept.bookmark.room == room);
            }
        }
    }
    if let Some(node) = pubsub::Nodes::latest(turn).get(ns::BOOKMARKS) {
        after.trim(node.capacity());
    }
    after.check()?;
    turn.set(after);
    Ok(())
}
