//! The bookmarks that circles give their members: of the group chats that they share, joined by clients when they start.
//! What was given is kept beside, so that a bookmark that the user has changed is his own, and one that he has removed does
//! not come back.

use crate::{
    bookmarks,
    codec::{Decoder, Encoder},
};
use kernel::{Kernel, Turn};
use linnet_xeps::bookmarks::Bookmark;
use linnet_xmpp::{Jid, StanzaError};
use std::collections::BTreeMap;
use store::{MapRow, MapTable, StoreError, Write};

/// Of an account, by room. The value: the name in the bookmark that was given; none where the user had one himself.
const GIVEN: MapTable = MapTable("circle-bookmarks");

/// Names by room.
pub(super) type Given = BTreeMap<Jid, Option<Box<str>>>;

/// What an account was given.
pub(super) async fn given(kernel: &Kernel, account: &Jid) -> Result<Given, StoreError> {
    let rows = kernel.store.map_rows(GIVEN, account.bare_str(), None, usize::MAX).await?;
    Ok(rows.iter().filter_map(read).collect())
}

fn read(row: &MapRow) -> Option<(Jid, Option<Box<str>>)> {
    let name = Decoder(&row.value).text()?;
    Some((Jid::parse(&row.key).ok()?, (!name.is_empty()).then(|| name.into())))
}

fn put(account: &Jid, room: &Jid, name: Option<&str>) -> Write {
    let value = Encoder::default().text(name.unwrap_or_default()).finish();
    Write::MapPut { table: GIVEN, owner: account.as_str().into(), key: room.as_str().into(), second: None, value }
}

fn bookmark(room: &Jid, name: &str) -> Bookmark {
    let (room, name) = (room.clone(), Some(name.to_owned()));
    Bookmark { room, name, autojoin: true, nick: None, password: None, extensions: None }
}

/// Gives and takes back. `wanted`: the names of rooms by address.
///
/// # Errors
/// The account has no room for more; nothing is given and nothing noted.
pub(super) fn settle(turn: &mut Turn<'_>, wanted: &BTreeMap<Jid, Box<str>>, given: &Given) -> Result<(), StanzaError> {
    let account = turn.account.address.clone();
    let (mut publish, mut gone, mut writes) = (Vec::new(), Vec::new(), Vec::new());
    for (room, name) in wanted {
        let known = bookmarks::of_room(turn, room);
        let is_ours = match given.get(room) {
            None => known.is_none(),
            Some(Some(old)) if old != name => known == Some(bookmark(room, old)),
            Some(_) => continue,
        };
        if is_ours {
            publish.push(bookmark(room, name));
        }
        writes.push(put(&account, room, is_ours.then_some(name)));
    }
    for (room, old) in given.iter().filter(|(room, _)| !wanted.contains_key(*room)) {
        let known = bookmarks::of_room(turn, room);
        if known.is_some() && known == old.as_deref().map(|old| bookmark(room, old)) {
            gone.push(room.clone());
        }
        writes.push(Write::MapRemove { table: GIVEN, owner: account.as_str().into(), key: room.as_str().into() });
    }
    if !publish.is_empty() || !gone.is_empty() {
        bookmarks::change(turn, publish, &gone)?;
    }
    writes.into_iter().for_each(|write| turn.write(write));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_read_as_it_was_written() {
        let (account, room) = (Jid::parse("a@b").unwrap(), Jid::parse("room@rooms.b").unwrap());
        for name in [None, Some("Choir")] {
            let Write::MapPut { key, value, .. } = put(&account, &room, name) else { panic!("a row") };
            let row = MapRow { key, sequence: 1, second: None, value };
            assert_eq!(read(&row), Some((room.clone(), name.map(Into::into))));
        }
    }
}
