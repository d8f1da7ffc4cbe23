//! Bookmarks of rooms: one item for each room (XEP-0402), and the one list of all that came before it (XEP-0048). A
//! [`Bookmark`] is read from and written to both; [`merge`] says what a list that an old client wrote changes.

use crate::{Payload, attr, bad_request, child_text, expect, jid_attr, ns, parse_jid};
use bytes::Bytes;
use linnet_xmpp::{
    Jid, StanzaError,
    xml::{Node, Writer},
};

/// A bookmark of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bookmark {
    /// The room.
    pub room: Jid,
    /// What the user calls it.
    pub name: Option<String>,
    /// Whether clients join it when they start.
    pub autojoin: bool,
    /// The nickname used there.
    pub nick: Option<String>,
    /// The room's password.
    pub password: Option<String>,
    /// What else clients keep with it: the whole `<extensions/>`, canonical under `jabber:client` (XEP-0402 §2). A list
    /// of XEP-0048 does not hold it.
    pub extensions: Option<Bytes>,
}

impl Bookmark {
    /// Reads the payload of an item whose id is the room's address (XEP-0402 §2).
    pub fn of_item(id: &str, node: Node<'_>) -> Result<Bookmark, StanzaError> {
        expect(node, "conference", ns::BOOKMARKS)?;
        let extensions = node.child("extensions", ns::BOOKMARKS).map(|child| child.to_bytes(linnet_xmpp::ns::CLIENT));
        Ok(Bookmark { extensions, ..Bookmark::of(parse_jid(id)?, node) })
    }

    /// The payload of its item; the item's id is [`Bookmark::room`].
    pub fn to_item(&self) -> Bytes {
        let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
        self.write_start(None, ns::BOOKMARKS, &mut out);
        if let Some(extensions) = &self.extensions {
            // They bring their own namespace, so what it is inside of does not matter.
            out.raw(extensions);
        }
        out.close();
        out.finish()
    }

    /// What both forms have.
    fn of(room: Jid, node: Node<'_>) -> Bookmark {
        Bookmark {
            room,
            name: attr(node, "name"),
            autojoin: node.attr("autojoin").is_some_and(|value| matches!(&*value, "true" | "1")),
            nick: child_text(node, "nick", node.ns()),
            password: child_text(node, "password", node.ns()),
            extensions: None,
        }
    }

    fn write_start(&self, jid: Option<&str>, namespace: &str, out: &mut Writer) {
        out.open("conference", namespace).attr_opt("jid", jid).attr_opt("name", self.name.as_deref());
        out.attr_opt("autojoin", self.autojoin.then_some("true"));
        for (name, value) in [("nick", &self.nick), ("password", &self.password)] {
            if let Some(value) = value {
                out.leaf(name, namespace, value);
            }
        }
    }
}

/// `<storage/>`: all bookmarks in one element (XEP-0048).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Storage {
    /// The rooms.
    pub rooms: Vec<Bookmark>,
    /// Everything else in it, bookmarks of web pages above all: canonical under `storage:bookmarks`.
    pub others: Bytes,
}

impl Payload for Storage {
    /// A room twice counts as it stands last. One without an address is left out: there are clients that wrote such, and
    /// all others must still be kept.
    fn read(node: Node<'_>) -> Result<Storage, StanzaError> {
        expect(node, "storage", ns::BOOKMARKS_STORAGE)?;
        let mut rooms: Vec<Bookmark> = Vec::new();
        let mut others = Vec::new();
        for child in node.children() {
            if !child.is("conference", ns::BOOKMARKS_STORAGE) {
                others.extend_from_slice(&child.to_bytes(ns::BOOKMARKS_STORAGE));
            } else if let Ok(Some(room)) = jid_attr(child, "jid") {
                rooms.retain(|bookmark| bookmark.room != room);
                rooms.push(Bookmark::of(room, child));
            }
        }
        Ok(Storage { rooms, others: others.into() })
    }

    fn write(&self, out: &mut Writer) {
        out.open("storage", ns::BOOKMARKS_STORAGE);
        for room in &self.rooms {
            room.write_start(Some(room.room.as_str()), ns::BOOKMARKS_STORAGE, out);
            out.close();
        }
        out.raw(&self.others).close();
    }
}

/// What a list means for the items that there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The item of this bookmark is published.
    Publish(Bookmark),
    /// The item of this room is retracted.
    Retract(Jid),
}

/// What has to happen to `items` so that they say what `list`, written by a client that knows only the list, says: what
/// is the same is left alone, and what only items can hold is kept (XEP-0402 §5.3.2).
pub fn merge(items: &[Bookmark], list: &[Bookmark]) -> Vec<Change> {
    let mut changes = Vec::new();
    for wanted in list {
        let there = items.iter().find(|item| item.room == wanted.room);
        let extensions = there.and_then(|item| item.extensions.clone());
        let merged = Bookmark { extensions, ..wanted.clone() };
        if there != Some(&merged) {
            changes.push(Change::Publish(merged));
        }
    }
    let gone = items.iter().filter(|item| !list.iter().any(|wanted| wanted.room == item.room));
    changes.extend(gone.map(|item| Change::Retract(item.room.clone())));
    changes
}

/// Refuses what cannot be a bookmark's item: the id must be an address, and the payload a bookmark.
pub fn check_item(id: &str, payload: Option<Node<'_>>) -> Result<Bookmark, StanzaError> {
    Bookmark::of_item(id, payload.ok_or_else(|| bad_request("a bookmark's item without a bookmark"))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{parse, read, refused, written};
    use linnet_xmpp::stanza::Condition;

    fn bookmark(room: &str) -> Bookmark {
        let room = Jid::parse(room).unwrap();
        Bookmark { room, name: None, autojoin: false, nick: None, password: None, extensions: None }
    }

    /// XEP-0402 example 5.
    #[test]
    fn items() {
        let xml = "<conference xmlns='urn:xmpp:bookmarks:1' name='The Orcard' autojoin='true'><nick>JC</nick>\
                   <extensions xmlns='urn:xmpp:bookmarks:1'><state xmlns='http://myclient.example/bookmark/state' \
                   minimized='true'/></extensions></conference>";
        let read = Bookmark::of_item("orchard@conference.shakespeare.lit", parse(xml).root()).unwrap();
        assert_eq!((read.nick.as_deref(), read.autojoin), (Some("JC"), true));
        let again = parse(std::str::from_utf8(&read.to_item()).unwrap());
        assert_eq!(Bookmark::of_item("orchard@conference.shakespeare.lit", again.root()).unwrap(), read);
        let least = parse("<conference xmlns='urn:xmpp:bookmarks:1'/>");
        assert_eq!(check_item("a@b", Some(least.root())).unwrap(), bookmark("a@b"));
        let error = check_item("no room@", Some(least.root())).unwrap_err();
        assert_eq!(error.condition, Condition::JidMalformed);
        assert!(check_item("a@b", None).is_err());
    }

    /// XEP-0048 examples 1 and 2.
    #[test]
    fn the_list() {
        let xml = "<storage xmlns='storage:bookmarks'><conference jid='council@conference.underhill.org' \
                   name='Council of Oberon' autojoin='true'><nick>Puck</nick></conference>\
                   <url name='Works' url='http://example.org/'/></storage>";
        assert_eq!(written(&read::<Storage>(xml).unwrap()), xml);
        let odd = "<storage xmlns='storage:bookmarks'><conference/><conference jid='@'/>\
                   <conference jid='a@b' name='1'/><conference jid='A@b' name='2'/></storage>";
        let rooms = read::<Storage>(odd).unwrap().rooms;
        assert_eq!(rooms, [Bookmark { name: Some("2".into()), ..bookmark("a@b") }]);
        assert!(refused::<Storage>("<storage xmlns='storage:rosternotes'/>").is_some());
    }

    #[test]
    fn a_list_changes_only_what_it_says_otherwise() {
        let kept =
            Bookmark { extensions: Some("<extensions xmlns='urn:xmpp:bookmarks:1'/>".into()), ..bookmark("a@b") };
        let items = [kept.clone(), bookmark("c@d"), bookmark("e@f")];
        let named = Bookmark { name: Some("x".into()), ..bookmark("a@b") };
        let list = [named, bookmark("c@d"), bookmark("g@h")];
        let changes = merge(&items, &list);
        let renamed = Bookmark { name: Some("x".into()), ..kept };
        let gone = Change::Retract(Jid::parse("e@f").unwrap());
        assert_eq!(changes, [Change::Publish(renamed), Change::Publish(bookmark("g@h")), gone]);
        assert!(merge(&items[1..], &[bookmark("e@f"), bookmark("c@d")]).is_empty());
    }
}
