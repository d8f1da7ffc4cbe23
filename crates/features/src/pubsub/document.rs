//! The nodes of an account or service as they are kept: with configuration, affiliations and subscriptions in memory, a
//! row each in the store; the items in the store alone, a row each, those of a node under one second key.

use crate::{
    bookmarks,
    codec::{Decoder, Encoder},
};
use bytes::Bytes;
use kernel::{Turn, account::Document, hooks::Source};
use linnet_xeps::{
    ns,
    pubsub::{Affiliation, Item, SubscriptionState},
    pubsub_config::{AccessModel, Config, ItemReply, PublishModel, SendLast},
    pubsub_options::{Expire, Options, Shows},
};
use linnet_xmpp::Jid;
use std::{
    any::TypeId,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use store::{MapRow, MapTable, Write};

/// Nodes by name.
pub(super) const NODES: MapTable = MapTable("pubsub-nodes");
/// Items by node and id.
const ITEMS: MapTable = MapTable("pubsub-items");

/// Where the items of a node are: those of bookmarks have a table of their own, since they are in memory with their account.
pub(crate) fn items_of(node: &str) -> MapTable {
    if matches!(node, ns::BOOKMARKS | ns::BOOKMARKS_STORAGE) { bookmarks::TABLE } else { ITEMS }
}

/// All nodes of an account or service.
#[derive(Debug, Default, Clone)]
pub struct Nodes(BTreeMap<Box<str>, Arc<Node>>);

/// A node.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name.
    pub name: Box<str>,
    /// Who made it.
    pub creator: Jid,
    /// When.
    pub created: SystemTime,
    /// How it is set up.
    pub config: Config,
    /// By bare address, in order; of an account's nodes without the account itself, which owns them all.
    pub affiliations: Vec<(Jid, Affiliation)>,
    /// One for each address.
    pub subscriptions: Vec<Subscription>,
    counts: Arc<Counts>,
}

/// What has happened to a node's items since it was loaded: whoever reads items without the lock sees by it that they are
/// new still.
#[derive(Debug, Default)]
pub(super) struct Counts {
    changes: AtomicU64,
    publications: AtomicU64,
}

impl Counts {
    /// Items that were published.
    pub(super) fn publications(&self) -> u64 {
        self.publications.load(Ordering::Acquire)
    }
}

/// A subscription: pending or in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Bare or full.
    pub jid: Jid,
    /// Its state.
    pub state: SubscriptionState,
    /// Its options.
    pub options: Options,
}

impl Nodes {
    /// What [`kernel::Hook::Document`] says of them.
    pub(crate) const SOURCE: Source = Source::Map(NODES, decode_all);

    pub(crate) const NONE: &Nodes = &Nodes(BTreeMap::new());

    /// As the turn leaves them.
    pub(crate) fn latest(turn: &Turn<'_>) -> Arc<Nodes> {
        turn.latest().unwrap_or_default()
    }

    pub(crate) fn type_id() -> TypeId {
        TypeId::of::<Nodes>()
    }

    /// The node with this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Node>> {
        self.0.get(name)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.0.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Keeps a node as it is now, in memory and in the store, beside what the turn has changed before.
    pub(crate) fn put(turn: &mut Turn<'_>, node: Node) -> Arc<Node> {
        let (node, owner) = (Arc::new(node), turn.account.address.as_str());
        turn.write(Write::MapPut {
            table: NODES,
            owner: owner.into(),
            key: node.name.clone(),
            second: node.expires().then(|| bucket(owner, &node.name).into()),
            value: node.encode(),
        });
        let mut nodes = Nodes::clone(&Nodes::latest(turn));
        nodes.0.insert(node.name.clone(), node.clone());
        turn.set(nodes);
        node
    }

    /// Removes nodes with all that is in them.
    pub(crate) fn remove(turn: &mut Turn<'_>, names: &[Box<str>]) {
        let mut nodes = Nodes::clone(&Nodes::latest(turn));
        let owner = turn.account.address.clone();
        for name in names {
            nodes.0.remove(name);
            turn.write(Write::MapRemove { table: NODES, owner: owner.as_str().into(), key: name.clone() });
            turn.write(trim(&owner, name, 0));
        }
        turn.set(nodes);
    }
}

fn decode_all(rows: Vec<MapRow>) -> Document {
    let node = |row: MapRow| Some((row.key.clone(), Arc::new(Node::decode(&row)?)));
    Arc::new(Nodes(rows.into_iter().filter_map(node).collect()))
}

impl Node {
    pub(crate) fn new(name: &str, creator: Jid, created: SystemTime, config: Config) -> Node {
        let (affiliations, subscriptions) = (Vec::new(), Vec::new());
        Node { name: name.into(), creator, created, config, affiliations, subscriptions, counts: Arc::default() }
    }

    pub(crate) fn subscription(&self, jid: &Jid) -> Option<&Subscription> {
        self.subscriptions.iter().find(|subscription| subscription.jid == *jid)
    }

    /// The subscriptions in force.
    pub(crate) fn in_force(&self, now: SystemTime) -> impl Iterator<Item = &Subscription> {
        let is =
            move |one: &&Subscription| one.state == SubscriptionState::Subscribed && !one.options.expire.is_over(now);
        self.subscriptions.iter().filter(is)
    }

    /// Whether one of somebody's addresses has a subscription in force.
    pub(crate) fn is_subscribed(&self, bare: &str, now: SystemTime) -> bool {
        self.in_force(now).any(|one| one.jid.bare_str() == bare)
    }

    /// Whether it has something whose time will be over.
    fn expires(&self) -> bool {
        let ends = |one: &Subscription| matches!(one.options.expire, Expire::At(_));
        self.config.expire_seconds != Config::MAX || self.subscriptions.iter().any(ends)
    }

    pub(crate) fn set_affiliation(&mut self, bare: &Jid, affiliation: Affiliation) {
        let place = self.place(bare.as_str());
        match place {
            Ok(place) if affiliation == Affiliation::None => {
                self.affiliations.remove(place);
            }
            Ok(place) => self.affiliations[place].1 = affiliation,
            Err(_) if affiliation == Affiliation::None => {}
            Err(place) => self.affiliations.insert(place, (bare.clone(), affiliation)),
        }
    }

    /// How a bare address stands to it.
    pub(crate) fn affiliation(&self, bare: &str) -> Affiliation {
        self.place(bare).map_or(Affiliation::None, |place| self.affiliations[place].1)
    }

    fn place(&self, bare: &str) -> Result<usize, usize> {
        self.affiliations.binary_search_by(|(jid, _)| jid.as_str().cmp(bare))
    }

    /// Counts a change of the items.
    pub(crate) fn changed(&self) {
        self.counts.changes.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn changes(&self) -> u64 {
        self.counts.changes.load(Ordering::Acquire)
    }

    /// Counts a publication, which is a change.
    pub(crate) fn published(&self) {
        self.changed();
        self.counts.publications.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// How many items are kept.
    pub(crate) fn capacity(&self) -> u64 {
        if self.config.persist { self.config.max_items.min(super::limits::ITEMS) } else { 0 }
    }

    fn encode(&self) -> Bytes {
        let config = &self.config;
        let flags = [
            config.persist,
            config.deliver_payloads,
            config.deliver_notifications,
            config.subscribe,
            config.notify_config,
            config.notify_delete,
            config.notify_retract,
            config.notify_sub,
            config.headlines,
        ];
        let bits = flags.iter().enumerate().fold(0, |bits, (at, flag)| bits | u64::from(*flag) << at);
        let mut out = Encoder::default().byte(VERSION).text(self.creator.as_str()).number(seconds(self.created));
        out = [&config.title, &config.description, &config.ty, &config.language]
            .iter()
            .fold(out, |out, text| out.text(text));
        out = out.byte(config.access as u8).byte(config.publish as u8).byte(config.send_last as u8);
        out = out.byte(config.item_reply as u8).number(bits);
        out = [config.max_items, config.expire_seconds, config.max_payload]
            .iter()
            .fold(out, |out, value| out.number(*value));
        out = config.groups.iter().fold(out.number(config.groups.len() as u64), |out, group| out.text(group));
        out = out.number(self.affiliations.len() as u64);
        out = self
            .affiliations
            .iter()
            .fold(out, |out, (jid, affiliation)| out.text(jid.as_str()).byte(*affiliation as u8));
        out = out.number(self.subscriptions.len() as u64);
        let subscription = |mut out: Encoder, one: &Subscription| {
            let Options { deliver, digest, digest_ms, expire, shows } = one.options;
            let end = match expire {
                Expire::Never => NEVER,
                Expire::Presence => PRESENCE,
                Expire::At(end) => seconds(end),
            };
            out = out.text(one.jid.as_str()).byte(one.state as u8).byte(u8::from(deliver)).byte(u8::from(digest));
            out.number(digest_ms).number(end).byte(shows.0)
        };
        self.subscriptions.iter().fold(out, subscription).finish()
    }

    pub(super) fn decode(row: &MapRow) -> Option<Node> {
        let mut value = Decoder(&row.value);
        if value.byte()? != VERSION {
            return None;
        }
        let creator = Jid::parse(value.text()?).ok()?;
        let created = UNIX_EPOCH + Duration::from_secs(value.number()?);
        let [title, description, ty, language] =
            [value.text()?, value.text()?, value.text()?, value.text()?].map(str::to_owned);
        let access = *AccessModel::ALL.get(usize::from(value.byte()?))?;
        let publish = *PublishModel::ALL.get(usize::from(value.byte()?))?;
        let send_last = *SendLast::ALL.get(usize::from(value.byte()?))?;
        let item_reply = *ItemReply::ALL.get(usize::from(value.byte()?))?;
        let bits = value.number()?;
        let flag = |at: u32| bits & 1 << at != 0;
        let [max_items, expire_seconds, max_payload] = [value.number()?, value.number()?, value.number()?];
        let groups = list(&mut value, |value| value.text().map(str::to_owned))?;
        let config = Config {
            title,
            description,
            ty,
            language,
            access,
            groups,
            publish,
            max_items,
            persist: flag(0),
            expire_seconds,
            deliver_payloads: flag(1),
            deliver_notifications: flag(2),
            subscribe: flag(3),
            notify_config: flag(4),
            notify_delete: flag(5),
            notify_retract: flag(6),
            notify_sub: flag(7),
            headlines: flag(8),
            max_payload,
            send_last,
            item_reply,
        };
        let mut node = Node::new(&row.key, creator, created, config);
        node.affiliations = list(&mut value, |value| {
            Some((Jid::parse(value.text()?).ok()?, *Affiliation::ALL.get(usize::from(value.byte()?))?))
        })?;
        node.affiliations.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        node.subscriptions = list(&mut value, |value| {
            let jid = Jid::parse(value.text()?).ok()?;
            let state = *SubscriptionState::ALL.get(usize::from(value.byte()?))?;
            let (deliver, digest, digest_ms) = (value.byte()? != 0, value.byte()? != 0, value.number()?);
            let expire = match value.number()? {
                NEVER => Expire::Never,
                PRESENCE => Expire::Presence,
                end => Expire::At(UNIX_EPOCH + Duration::from_secs(end)),
            };
            let options = Options { deliver, digest, digest_ms, expire, shows: Shows(value.byte()?) };
            Some(Subscription { jid, state, options })
        })?;
        Some(node)
    }
}

/// The form in which nodes are stored.
const VERSION: u8 = 1;

/// In place of the moment at which a subscription ends.
const NEVER: u64 = u64::MAX;
const PRESENCE: u64 = u64::MAX - 1;

/// The buckets in which nodes are found that have something whose time will be over.
pub(super) fn bucket_named(number: u8) -> String {
    format!("{number:02x}")
}

fn bucket(owner: &str, node: &str) -> String {
    let bytes = owner.bytes().chain(node.bytes());
    bucket_named(bytes.fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte)))
}

fn list<T>(value: &mut Decoder<'_>, mut one: impl FnMut(&mut Decoder<'_>) -> Option<T>) -> Option<Vec<T>> {
    let count = value.number()?;
    (0..count).map(|_| one(value)).collect()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// An item as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its id.
    pub id: String,
    /// Who published it, bare.
    pub publisher: String,
    /// When.
    pub published: SystemTime,
    /// One canonical element under `jabber:client`; empty where there is none.
    pub payload: Bytes,
}

/// The second key of a node's items. A line break is in no address.
pub(crate) fn group(owner: &Jid, node: &str) -> Box<str> {
    format!("{}\n{node}", owner.bare_str()).into()
}

/// The key of an item: the length keeps node and id apart, whatever is in them.
pub(crate) fn item_key(node: &str, id: &str) -> Box<str> {
    format!("{}:{node}{id}", node.len()).into()
}

/// Keeps the newest items of a node.
pub(crate) fn trim(owner: &Jid, node: &str, keep: u64) -> Write {
    Write::MapTrim { table: items_of(node), owner: owner.bare_str().into(), second: group(owner, node), keep }
}

impl Stored {
    pub(crate) fn put(&self, owner: &Jid, node: &str) -> Write {
        let value =
            Encoder::default().byte(VERSION).text(&self.publisher).number(seconds(self.published)).bytes(&self.payload);
        Write::MapPut {
            table: items_of(node),
            owner: owner.bare_str().into(),
            key: item_key(node, &self.id),
            second: Some(group(owner, node)),
            value: value.finish(),
        }
    }

    pub(crate) fn read(node: &str, row: &MapRow) -> Option<Stored> {
        let id = row.key.strip_prefix(&*item_key(node, ""))?.to_owned();
        let mut value = Decoder(&row.value);
        if value.byte()? != VERSION {
            return None;
        }
        let publisher = value.text()?.to_owned();
        let published = UNIX_EPOCH + Duration::from_secs(value.number()?);
        Some(Stored { id, publisher, published, payload: row.value.slice_ref(value.bytes()?) })
    }

    /// What the stored form of all items of a publisher begins with.
    pub(super) fn beginning(publisher: &str) -> Bytes {
        Encoder::default().byte(VERSION).text(publisher).finish()
    }

    /// As it is told.
    pub(crate) fn shown(&self, config: &Config) -> Item {
        let publisher = (config.item_reply == ItemReply::Publisher).then(|| self.publisher.clone());
        Item { id: Some(self.id.clone()), payload: self.payload.clone(), publisher }
    }

    /// Whether its time is over.
    pub(crate) fn is_expired(&self, config: &Config, now: SystemTime) -> bool {
        let age = now.duration_since(self.published).unwrap_or_default().as_secs();
        config.expire_seconds != Config::MAX && age > config.expire_seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_items_are_read_as_they_were_written() {
        let jid = |text| Jid::parse(text).unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut node = Node::new("n", jid("a@b"), now, super::super::config::of_account());
        node.config.groups = vec!["Friends".into()];
        node.config.title = "Title".into();
        node.set_affiliation(&jid("x@d"), Affiliation::Member);
        node.set_affiliation(&jid("c@d"), Affiliation::Outcast);
        node.set_affiliation(&jid("m@d"), Affiliation::Owner);
        node.set_affiliation(&jid("x@d"), Affiliation::Publisher);
        node.set_affiliation(&jid("m@d"), Affiliation::None);
        node.set_affiliation(&jid("nobody@d"), Affiliation::None);
        assert_eq!(node.affiliations.len(), 2);
        assert_eq!((node.affiliation("x@d"), node.affiliation("m@d")), (Affiliation::Publisher, Affiliation::None));
        for expire in [Expire::Never, Expire::Presence, Expire::At(now)] {
            let (state, options) =
                (SubscriptionState::Pending, Options { deliver: false, expire, shows: Shows(5), ..Options::default() });
            node.subscriptions.push(Subscription { jid: jid("c@d/e"), state, options });
        }
        assert!(node.expires());
        let row = MapRow { key: "n".into(), sequence: 1, second: None, value: node.encode() };
        let again = Node::decode(&row).unwrap();
        assert_eq!(again.config, node.config);
        assert_eq!((again.affiliations, again.subscriptions), (node.affiliations, node.subscriptions));
        assert_eq!((again.created, again.creator), (node.created, node.creator));

        let item = Stored { id: "1".into(), publisher: "a@b".into(), published: now, payload: "<a xmlns='b'/>".into() };
        let Write::MapPut { key, value, .. } = item.put(&jid("a@b"), "n") else { panic!("a row") };
        assert!(value.starts_with(&Stored::beginning("a@b")));
        assert!(!value.starts_with(&Stored::beginning("a@")) && !value.starts_with(&Stored::beginning("a@bc")));
        assert_eq!(Stored::read("n", &MapRow { key, sequence: 1, second: None, value }), Some(item));
        assert_ne!(item_key("ab", "c"), item_key("a", "bc"));
    }
}
