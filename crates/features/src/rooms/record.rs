//! What lasts of a room: its configuration and subject, one value; its affiliations, a row each, with the nicknames that
//! are reserved; and its row in the list of the service.

use super::config::Config;
use crate::codec::{Decoder, Encoder};
use bytes::Bytes;
use kernel::{account::Document, hooks::Source, service::Part};
use linnet_xeps::muc::Affiliation;
use linnet_xmpp::Jid;
use std::{
    any::TypeId,
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use store::{DocTable, MapRow, MapTable, Write};

/// A room's configuration and subject.
const ROOM: DocTable = DocTable("room");
/// Affiliations by bare address; the second key is the address too, so that somebody's rooms are found.
pub(super) const MEMBERS: MapTable = MapTable("room-members");
/// Rooms of a service by local part. The second key of those that are listed is [`listed`].
pub(super) const INDEX: MapTable = MapTable("rooms");

/// What is kept in memory of each room.
pub(super) const PARTS: &[Part] = &[
    Part { type_id: TypeId::of::<Stored>, source: Source::Doc(ROOM, Stored::decode) },
    Part { type_id: TypeId::of::<Members>, source: Source::Map(MEMBERS, Members::decode) },
];

/// What is stored of a room; none where there is no such room.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored(pub(super) Option<Arc<Record>>);

/// A room's configuration and subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// When it was made.
    pub(super) created: SystemTime,
    /// How it is.
    pub(super) config: Config,
    /// What it talks about, once somebody has said.
    pub(super) subject: Option<Subject>,
}

/// A subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    /// Its elements, canonical: one for each language.
    pub(super) content: Bytes,
    /// The nickname of who set it.
    pub(super) nick: String,
    /// His id (XEP-0421).
    pub(super) occupant_id: String,
    /// When.
    pub(super) at: SystemTime,
}

/// Affiliations by bare address or domain. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub(super) struct Members(Arc<BTreeMap<Jid, Arc<Member>>>);

/// Somebody with an affiliation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// His affiliation; not none.
    pub(super) affiliation: Affiliation,
    /// The nickname that is his.
    pub(super) nick: Option<Box<str>>,
    /// The form in which it is compared.
    pub(super) key: Option<Box<str>>,
    /// Why it was given.
    pub(super) reason: Option<Box<str>>,
}

/// The form in which rooms are stored.
const VERSION: u8 = 1;

impl Stored {
    fn decode(value: Option<Bytes>) -> Document {
        Arc::new(Stored(value.and_then(|value| Record::decode(&value)).map(Arc::new)))
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Record {
    pub(super) fn new(created: SystemTime, config: Config) -> Record {
        Record { created, config, subject: None }
    }

    pub(super) fn put(&self, room: &Jid) -> Write {
        Write::DocPut { table: ROOM, owner: room.as_str().into(), value: self.encode() }
    }

    fn encode(&self) -> Bytes {
        let mut out = Encoder::default().byte(VERSION).number(seconds(self.created));
        let values: Vec<_> = self.config.values().collect();
        out = out.number(values.len() as u64);
        for (var, values) in &values {
            out = values.iter().fold(out.text(var).number(values.len() as u64), |out, value| out.text(value));
        }
        match &self.subject {
            None => out.byte(0).finish(),
            Some(subject) => {
                let out = out.byte(1).bytes(&subject.content).text(&subject.nick).text(&subject.occupant_id);
                out.number(seconds(subject.at)).finish()
            }
        }
    }

    fn decode(value: &[u8]) -> Option<Record> {
        let mut value = Decoder(value);
        if value.byte()? != VERSION {
            return None;
        }
        let created = UNIX_EPOCH + Duration::from_secs(value.number()?);
        let mut config = Config::plain();
        for _ in 0..value.number()? {
            let var = value.text()?;
            let count = value.number()?;
            let values = (0..count).map(|_| value.text().map(str::to_owned)).collect::<Option<Vec<_>>>()?;
            config.restore(var, &values);
        }
        let subject = match value.byte()? {
            0 => None,
            _ => Some(Subject {
                content: Bytes::copy_from_slice(value.bytes()?),
                nick: value.text()?.to_owned(),
                occupant_id: value.text()?.to_owned(),
                at: UNIX_EPOCH + Duration::from_secs(value.number()?),
            }),
        };
        Some(Record { created, config, subject })
    }
}

impl Members {
    fn decode(rows: Vec<MapRow>) -> Document {
        let member = |row: MapRow| {
            let mut value = Decoder(&row.value);
            let affiliation = *Affiliation::ALL.get(usize::from(value.byte()?))?;
            let mut text = || value.text().map(|text| (!text.is_empty()).then(|| text.into()));
            let (nick, reason): (Option<Box<str>>, _) = (text()?, text()?);
            let key = nick.as_deref().and_then(|nick| super::names::key(nick).ok());
            Some((Jid::parse(&row.key).ok()?, Arc::new(Member { affiliation, nick, key, reason })))
        };
        Arc::new(Members(Arc::new(rows.into_iter().filter_map(member).collect())))
    }

    pub(super) fn get(&self, bare: &Jid) -> Option<&Arc<Member>> {
        self.0.get(bare)
    }

    /// How somebody stands to the room: by his address, or else by his domain (§9.2).
    pub(super) fn affiliation(&self, bare: &Jid) -> Affiliation {
        let found = self.0.get(bare).or_else(|| bare.local().and_then(|_| self.0.get(&bare.domain_jid())));
        found.map_or(Affiliation::None, |member| member.affiliation)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Jid, &Arc<Member>)> {
        self.0.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Who has an affiliation.
    pub(super) fn with(&self, affiliation: Affiliation) -> impl Iterator<Item = (&Jid, &Arc<Member>)> {
        self.0.iter().filter(move |(_, member)| member.affiliation == affiliation)
    }

    /// Whom a nickname belongs to, in the form in which it is compared.
    pub(super) fn holder(&self, key: &str) -> Option<&Jid> {
        self.0.iter().find(|(_, member)| member.key.as_deref() == Some(key)).map(|(jid, _)| jid)
    }

    pub(super) fn set(&mut self, bare: Jid, member: Option<Member>) {
        let members = Arc::make_mut(&mut self.0);
        match member {
            Some(member) => members.insert(bare, Arc::new(member)),
            None => members.remove(&bare),
        };
    }

    /// The row of somebody as he is now.
    pub(super) fn write(&self, room: &Jid, bare: &Jid) -> Write {
        let (table, owner, key) = (MEMBERS, room.as_str().into(), bare.as_str().into());
        let Some(member) = self.0.get(bare) else { return Write::MapRemove { table, owner, key } };
        let value = Encoder::default()
            .byte(member.affiliation as u8)
            .text(member.nick.as_deref().unwrap_or_default())
            .text(member.reason.as_deref().unwrap_or_default())
            .finish();
        Write::MapPut { table, owner, key, second: Some(bare.as_str().into()), value }
    }
}

/// The second key of the rooms that a service lists.
pub(super) fn listed(service: &str) -> Box<str> {
    format!("{service}\nlisted").into()
}

/// A room's row in the list of its service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its name for people.
    pub(super) name: String,
    /// It stays when nobody is in it.
    pub(super) persistent: bool,
}

impl Entry {
    pub(super) fn put(room: &Jid, config: &Config) -> Write {
        let value = Encoder::default().byte(u8::from(config.persistent)).text(&config.name).finish();
        Write::MapPut {
            table: INDEX,
            owner: room.domain().into(),
            key: room.local().unwrap_or_default().into(),
            second: config.public.then(|| listed(room.domain())),
            value,
        }
    }

    pub(super) fn remove(room: &Jid) -> Write {
        Write::MapRemove { table: INDEX, owner: room.domain().into(), key: room.local().unwrap_or_default().into() }
    }

    pub(super) fn read(row: &MapRow) -> Option<Entry> {
        let mut value = Decoder(&row.value);
        Some(Entry { persistent: value.byte()? != 0, name: value.text()?.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_read_as_they_were_written() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut record = Record::new(now, Config { max_occupants: 77, ..Config::group() });
        assert_eq!(Record::decode(&record.encode()), Some(record.clone()));
        let content = "<subject>Fire Burn and Cauldron Bubble!</subject>".into();
        record.subject = Some(Subject { content, nick: "witch".into(), occupant_id: "1".into(), at: now });
        assert_eq!(Record::decode(&record.encode()), Some(record));
    }

    #[test]
    fn members_are_read_as_they_were_written() {
        let jid = |text: &str| Jid::parse(text).unwrap();
        let mut members = Members::default();
        let member = Member {
            affiliation: Affiliation::Admin,
            nick: Some("Witch".into()),
            key: None,
            reason: Some("Why".into()),
        };
        members.set(jid("a@b"), Some(member));
        let outcast = Member { affiliation: Affiliation::Outcast, nick: None, key: None, reason: None };
        members.set(jid("bad.example"), Some(outcast));
        let row = |bare: &str| {
            let Write::MapPut { key, second, value, .. } = members.write(&jid("r@s"), &jid(bare)) else {
                panic!("a row")
            };
            MapRow { key, sequence: 1, second, value }
        };
        let read = Members::decode(vec![row("a@b"), row("bad.example")]);
        let read = read.downcast_ref::<Members>().unwrap();
        assert_eq!(read.affiliation(&jid("a@b")), Affiliation::Admin);
        assert_eq!(read.affiliation(&jid("anybody@bad.example")), Affiliation::Outcast);
        assert_eq!(read.affiliation(&jid("c@d")), Affiliation::None);
        assert_eq!(read.holder("witch"), Some(&jid("a@b")));
        assert!(matches!(members.write(&jid("r@s"), &jid("c@d")), Write::MapRemove { .. }));
    }
}
