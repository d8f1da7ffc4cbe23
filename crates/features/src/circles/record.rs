//! What is stored of circles, all of it at their domain: a row for each circle, and a row for each account that is not in
//! step with them.

use super::limits;
use crate::codec::{Decoder, Encoder};
use linnet_xmpp::Jid;
use std::collections::BTreeMap;
use store::{MapRow, MapTable, Write};

/// Circles by id.
pub(super) const CIRCLES: MapTable = MapTable("circles");
/// Accounts that have to be brought in step, by address. One byte: whether it was tried, and there was no room.
pub(super) const WORK: MapTable = MapTable("circle-work");

/// A circle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Circle {
    /// Its name, which is a group in the rosters of its members; no other circle of the domain has it.
    pub(super) name: Box<str>,
    /// Who is in it, and what each is called.
    pub(super) members: BTreeMap<Jid, Box<str>>,
    /// The group chats that they share, and what each is called in bookmarks.
    pub(super) rooms: BTreeMap<Jid, Box<str>>,
}

const VERSION: u8 = 1;

impl Circle {
    pub(super) fn put(&self, domain: &str, id: u64) -> Write {
        let encoder = Encoder::default().byte(VERSION).text(&self.name).number(self.members.len() as u64);
        let encoder = self.members.iter().fold(encoder, |encoder, (jid, name)| encoder.text(jid.as_str()).text(name));
        let encoder = encoder.number(self.rooms.len() as u64);
        let encoder = self.rooms.iter().fold(encoder, |encoder, (jid, name)| encoder.text(jid.as_str()).text(name));
        let (owner, key) = (domain.into(), key(id));
        Write::MapPut { table: CIRCLES, owner, key, second: None, value: encoder.finish() }
    }

    pub(super) fn remove(domain: &str, id: u64) -> Write {
        Write::MapRemove { table: CIRCLES, owner: domain.into(), key: key(id) }
    }

    /// With its id.
    pub(super) fn read(row: &MapRow) -> Option<(u64, Circle)> {
        let id = u64::from_str_radix(&row.key, 16).ok()?;
        let mut value = Decoder(&row.value);
        if value.byte()? != VERSION {
            return None;
        }
        let name = value.text()?.into();
        let mut members = BTreeMap::new();
        for _ in 0..value.number()? {
            members.insert(Jid::parse(value.text()?).ok()?, value.text()?.into());
        }
        let mut rooms = BTreeMap::new();
        // The first circles had none, and said nothing of them.
        for _ in 0..value.number().unwrap_or_default() {
            rooms.insert(Jid::parse(value.text()?).ok()?, value.text()?.into());
        }
        Some((id, Circle { name, members, rooms }))
    }
}

pub(super) fn key(id: u64) -> Box<str> {
    format!("{id:016x}").into()
}

/// A name without spaces around it, if it is one: a line, and not longer than `limits::NAME` bytes.
pub(super) fn name(text: &str) -> Option<&str> {
    let text = text.trim();
    let is_name = !text.is_empty() && text.len() <= limits::NAME && !text.chars().any(char::is_control);
    is_name.then_some(text)
}

/// An account has to be brought in step.
pub(super) fn work(domain: &str, account: &Jid, was_full: bool) -> Write {
    let value = Encoder::default().byte(was_full.into()).finish();
    Write::MapPut { table: WORK, owner: domain.into(), key: account.bare_str().into(), second: None, value }
}

/// It is in step.
pub(super) fn done(domain: &str, account: &str) -> Write {
    Write::MapRemove { table: WORK, owner: domain.into(), key: account.into() }
}

/// Whether there was no room when it was tried.
pub(super) fn was_full(row: &MapRow) -> bool {
    row.value.first() == Some(&1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_read_as_it_was_written() {
        let members = ["romeo", "juliet"].map(|name| (Jid::parse(&format!("{name}@b")).unwrap(), name.into()));
        let rooms = [(Jid::parse("balcony@rooms.b").unwrap(), "Balcony".into())].into();
        let circle = Circle { name: "Verona".into(), members: members.into(), rooms };
        let Write::MapPut { key, value, .. } = circle.put("b", 0xab) else { panic!("a row") };
        let row = MapRow { key, sequence: 1, second: None, value };
        assert_eq!(Circle::read(&row), Some((0xab, circle)));
    }

    #[test]
    fn names_are_lines() {
        assert_eq!(name(" The Capulets "), Some("The Capulets"));
        for wrong in ["", "  ", "a\nb", "a\u{7}", &"x".repeat(limits::NAME + 1)] {
            assert_eq!(name(wrong), None, "{wrong:?}");
        }
    }
}
