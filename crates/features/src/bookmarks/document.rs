//! The bookmarks of an account as they are in memory, read from the items of their nodes. A list that changes some of them is
//! compared with them in the lane, without a word to the store.

use crate::pubsub::Stored;
use bytes::Bytes;
use kernel::{account::Document, hooks::Source};
use linnet_xeps::{
    Payload,
    bookmarks::{Bookmark, Storage, check_item},
    notify::Notify,
    ns,
};
use linnet_xmpp::{
    Jid, StanzaError,
    stanza::Condition,
    xml::{self, Scope},
};
use std::{any::TypeId, sync::Arc};
use store::{MapRow, MapTable};

/// The items of both nodes.
pub(crate) const TABLE: MapTable = MapTable("bookmarks");

/// Bytes of all bookmarks of an account, which are in memory with it: some thousand without extensions.
const BYTES: usize = 256 * 1024;

/// The bookmarks of an account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bookmarks {
    /// In the order of publication.
    kept: Vec<Kept>,
    /// What else is in the list ([`Storage::others`]).
    pub(super) others: Bytes,
}

/// A bookmark with its item.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    /// The id of its item: the room's address as a client wrote it.
    pub(super) id: String,
    pub(super) bookmark: Bookmark,
    notify: Option<Notify>,
}

impl Kept {
    /// Of a published item (XEP-0402 §2).
    pub(super) fn read(id: &str, payload: &Bytes) -> Result<Kept, StanzaError> {
        let document = parse(payload);
        let bookmark = check_item(id, document.as_ref().map(|document| document.root()))?;
        Ok(Kept::new(id.to_owned(), bookmark))
    }

    fn new(id: String, bookmark: Bookmark) -> Kept {
        let extensions = bookmark.extensions.as_ref().and_then(parse);
        let notify = extensions.and_then(|extensions| {
            let node = extensions.root().child("notify", ns::NOTIFICATION_SETTINGS)?;
            Notify::read(node).ok()
        });
        Kept { id, bookmark, notify }
    }

    fn size(&self) -> usize {
        let Bookmark { room, name, nick, password, extensions, .. } = &self.bookmark;
        let texts = [name, nick, password].into_iter().flatten().map(String::len).sum::<usize>();
        self.id.len() + room.as_str().len() + texts + extensions.as_ref().map_or(0, Bytes::len)
    }
}

fn parse(xml: &Bytes) -> Option<xml::Document> {
    xml::Document::parse(xml.clone(), &Scope::new(linnet_xmpp::ns::CLIENT)).ok()
}

impl Bookmarks {
    pub(super) const SOURCE: Source = Source::Map(TABLE, decode);

    pub(super) fn type_id() -> TypeId {
        TypeId::of::<Bookmarks>()
    }

    pub(super) fn notify(&self, room: &str) -> Option<&Notify> {
        self.kept.iter().find(|kept| kept.bookmark.room.as_str() == room)?.notify.as_ref()
    }

    pub(super) fn bookmarks(&self) -> Vec<Bookmark> {
        self.kept.iter().map(|kept| kept.bookmark.clone()).collect()
    }

    /// As XEP-0048 has them.
    pub(super) fn list(&self) -> Storage {
        let plain = |bookmark| Bookmark { extensions: None, ..bookmark };
        Storage { rooms: self.bookmarks().into_iter().map(plain).collect(), others: self.others.clone() }
    }

    /// A bookmark under the id that its room's has already, or else under the room's address.
    pub(super) fn renewed(&self, bookmark: Bookmark) -> Kept {
        let id = self.ids_of(&bookmark.room).pop().unwrap_or_else(|| bookmark.room.to_string());
        Kept::new(id, bookmark)
    }

    pub(super) fn ids_of(&self, room: &Jid) -> Vec<String> {
        self.kept.iter().filter(|kept| kept.bookmark.room == *room).map(|kept| kept.id.clone()).collect()
    }

    pub(super) fn put(&mut self, kept: Kept) {
        self.remove(|known| known.id == kept.id);
        self.kept.push(kept);
    }

    pub(super) fn remove(&mut self, which: impl Fn(&Kept) -> bool) {
        self.kept.retain(|kept| !which(kept));
    }

    /// Lets the oldest go, as the store does.
    pub(super) fn trim(&mut self, keep: u64) {
        let gone = self.kept.len().saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
        self.kept.drain(..gone);
    }

    /// Whether there is room for all of them.
    pub(super) fn check(&self) -> Result<(), StanzaError> {
        let bytes = self.others.len() + self.kept.iter().map(Kept::size).sum::<usize>();
        if bytes > BYTES {
            return Err(StanzaError::new(Condition::ResourceConstraint).text("there are too many bookmarks"));
        }
        Ok(())
    }
}

fn decode(rows: Vec<MapRow>) -> Document {
    let mut bookmarks = Bookmarks::default();
    for row in rows {
        if let Some(item) = Stored::read(ns::BOOKMARKS, &row) {
            bookmarks.kept.extend(Kept::read(&item.id, &item.payload).ok());
        } else if let Some(item) = Stored::read(ns::BOOKMARKS_STORAGE, &row)
            && let Some(document) = parse(&item.payload)
            && let Ok(list) = Storage::read(document.root())
        {
            bookmarks.others = list.others;
        }
    }
    Arc::new(bookmarks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;
    use store::Write;

    fn row(node: &str, id: &str, payload: &'static str) -> MapRow {
        let payload = Bytes::from_static(payload.as_bytes());
        let item = Stored { id: id.into(), publisher: "a@b".into(), published: UNIX_EPOCH, payload };
        let Write::MapPut { key, value, .. } = item.put(&Jid::parse("a@b").unwrap(), node) else { panic!("a row") };
        MapRow { key, sequence: 1, second: None, value }
    }

    #[test]
    fn rows_of_both_nodes_become_bookmarks() {
        let rows = vec![
            row(
                ns::BOOKMARKS,
                "Room@muc.example",
                "<conference xmlns='urn:xmpp:bookmarks:1'><extensions><notify xmlns='urn:xmpp:notification-settings:1'>\
                 <never/></notify></extensions></conference>",
            ),
            row(ns::BOOKMARKS, "other@muc.example", "<conference xmlns='urn:xmpp:bookmarks:1' name='x'/>"),
            row(ns::BOOKMARKS_STORAGE, "current", "<storage xmlns='storage:bookmarks'><url url='u'/></storage>"),
        ];
        let document = decode(rows);
        let mut bookmarks = document.downcast_ref::<Bookmarks>().unwrap().clone();
        let room = Jid::parse("room@muc.example").unwrap();
        assert_eq!(bookmarks.ids_of(&room), ["Room@muc.example"]);
        assert_eq!(bookmarks.notify("room@muc.example").map(|notify| notify.settings.len()), Some(1));
        assert!(bookmarks.notify("other@muc.example").is_none());
        let list = bookmarks.list();
        assert_eq!((list.rooms.len(), list.rooms[0].extensions.is_none()), (2, true));
        assert!(!list.others.is_empty());
        bookmarks.trim(1);
        assert_eq!(bookmarks.bookmarks().len(), 1);
        assert!(bookmarks.check().is_ok());
        bookmarks.others = vec![b' '; BYTES].into();
        assert!(bookmarks.check().is_err());
    }
}
