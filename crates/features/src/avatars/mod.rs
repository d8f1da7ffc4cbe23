//! Avatars: nodes (XEP-0084) and the photo of the vCard (XEP-0153) are one and the same (XEP-0398).
//!
//! The image is in the nodes alone. A vCard is stored without its photo, which is published instead; whoever asks for the
//! vCard gets the image of the nodes in it, if he may read them (XEP-0398 §5.2). Which image is shown is in memory with the
//! account, so that its hash goes into presence; there, too, only for those who may read it.

use crate::{
    marks, presence,
    pubsub::{self, Node, Nodes, access::Host, config, known::Change},
};
use bytes::Bytes;
use kernel::{
    Attached, Feature, Hook, Turn,
    account::Document,
    hooks::{Ask, Source, Xep},
};
use linnet_xeps::{
    Payload,
    avatar::{Data, Info, Metadata, Photo, Update, id_of},
    ns,
    pubsub::Item,
    pubsub_config::AccessModel,
};
use linnet_xmpp::{
    Jid, Stanza, StanzaError,
    xml::{self, Scope},
};
use std::{any::TypeId, sync::Arc};
use store::{DocTable, StoreError, Write};

/// Avatars.
pub static FEATURE: Feature = Feature {
    name: "avatars",
    xeps: &[
        Xep { number: 84, version: "1.1.4", note: "" },
        Xep { number: 153, version: "1.1.1", note: "" },
        Xep { number: 398, version: "1.0.0", note: "" },
    ],
    server_features: &[],
    account_features: &[ns::PEP_VCARD_CONVERSION],
    stream_features: &[],
    hooks: &[Hook::Document { type_id: TypeId::of::<Avatar>, source: Source::Doc(TABLE, decode) }],
};

/// Which image an account shows: its id and, behind a space, its media type; empty where it shows none any more.
const TABLE: DocTable = DocTable("avatar");

/// Bytes of an image's id and media type: the one is 40, the other a few words.
const NAME_BYTES: usize = 128;

/// Which image an account shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Avatar {
    /// It never showed one.
    #[default]
    Unknown,
    /// It shows none any more.
    Disabled,
    /// This one.
    Shown {
        /// Its hash.
        id: Box<str>,
        media_type: Box<str>,
    },
}

fn decode(value: Option<Bytes>) -> Document {
    let avatar = value.map_or(Avatar::Unknown, |value| {
        let shown = std::str::from_utf8(&value).ok().and_then(|text| text.split_once(' '));
        shown.map_or(Avatar::Disabled, |(id, ty)| Avatar::Shown { id: id.into(), media_type: ty.into() })
    });
    Arc::new(avatar)
}

impl Avatar {
    fn latest(turn: &Turn<'_>) -> Arc<Avatar> {
        turn.latest().unwrap_or_default()
    }

    /// The image in the data node, as the metadata say (XEP-0398 §3.1).
    fn of(metadata: &Metadata) -> Avatar {
        let is_sound = |info: &&Info| {
            let is_name = |text: &str| !text.is_empty() && text.len() <= NAME_BYTES && !text.contains(' ');
            is_name(&info.id) && info.media_type.len() <= NAME_BYTES
        };
        let own = metadata.own().filter(is_sound);
        own.map_or(Avatar::Disabled, |info| Avatar::Shown {
            id: info.id.as_str().into(),
            media_type: info.media_type.as_str().into(),
        })
    }

    fn is(&self, wanted: &str) -> bool {
        matches!(self, Avatar::Shown { id, .. } if **id == *wanted)
    }

    fn encode(&self) -> Bytes {
        match self {
            Avatar::Shown { id, media_type } => format!("{id} {media_type}").into(),
            Avatar::Disabled | Avatar::Unknown => Bytes::new(),
        }
    }
}

/// The metadata node has changed.
pub(crate) fn metadata_changed(turn: &mut Turn<'_>, change: &Change<'_>) -> Result<(), StanzaError> {
    match change {
        Change::Published(item) => {
            let document = parse(&item.payload);
            // What cannot be read shows nothing.
            let metadata = document.and_then(|document| Metadata::read(document.root()).ok()).unwrap_or_default();
            show(turn, Avatar::of(&metadata));
        }
        _ => hide(turn, change),
    }
    Ok(())
}

/// The data node has changed.
pub(crate) fn data_changed(turn: &mut Turn<'_>, change: &Change<'_>) -> Result<(), StanzaError> {
    if !matches!(change, Change::Published(_)) {
        hide(turn, change);
    }
    Ok(())
}

/// Items are gone, perhaps the avatar's.
fn hide(turn: &mut Turn<'_>, change: &Change<'_>) {
    let known = Avatar::latest(turn);
    let is_gone = match change {
        Change::Retracted(ids) => ids.iter().any(|id| known.is(id)),
        Change::Emptied => matches!(*known, Avatar::Shown { .. }),
        Change::Published(_) | Change::Configured => false,
    };
    if is_gone {
        show(turn, Avatar::Disabled);
    }
}

fn parse(xml: &Bytes) -> Option<xml::Document> {
    xml::Document::parse(xml.clone(), &Scope::new(linnet_xmpp::ns::CLIENT)).ok()
}

/// From now on the account shows this one, or none. Who sees its presence hears of it (XEP-0153 §3.1).
fn show(turn: &mut Turn<'_>, avatar: Avatar) {
    if *Avatar::latest(turn) == avatar {
        return;
    }
    let owner = turn.account.address.as_str().into();
    turn.write(Write::DocPut { table: TABLE, owner, value: avatar.encode() });
    turn.set(avatar);
    let account = turn.account;
    for session in account.available().filter(|session| !session.has(marks::NO_PHOTO)) {
        if let Some(told) = session.presence.as_ref().and_then(|presence| with_hash(turn, presence, None)) {
            presence::again(turn, session, told);
        }
    }
}

/// A session's presence as it is told to all who see it (XEP-0398 §4): with the hash, unless it says itself that there is
/// no photo.
pub(crate) fn tell(turn: &mut Turn<'_>, session: &Attached, presence: &Arc<Stanza>) -> Arc<Stanza> {
    let is_hidden = says_no_photo(presence);
    if session.has(marks::NO_PHOTO) != is_hidden {
        turn.mark(session, marks::NO_PHOTO, is_hidden);
    }
    let told = if is_hidden { None } else { with_hash(turn, presence, None) };
    told.map_or_else(|| presence.clone(), Arc::new)
}

/// The same for presence that goes to somebody directly: into a room, too.
pub(crate) fn tell_one(turn: &Turn<'_>, presence: &Arc<Stanza>, to: &Jid) -> Arc<Stanza> {
    let told = if says_no_photo(presence) { None } else { with_hash(turn, presence, Some(to)) };
    told.map_or_else(|| presence.clone(), Arc::new)
}

fn update(presence: &Stanza) -> Option<Update> {
    Update::read(presence.child("x", ns::VCARD_UPDATE)?).ok()
}

fn says_no_photo(presence: &Stanza) -> bool {
    update(presence) == Some(Update::NoPhoto)
}

/// The presence with the hash of the avatar in place of what it said; `None` where that is right already, or there is
/// nothing to tell. `to`: who gets it; `None`: everybody who sees the account's presence.
fn with_hash(turn: &Turn<'_>, presence: &Stanza, to: Option<&Jid>) -> Option<Stanza> {
    let wanted = match &*Avatar::latest(turn) {
        Avatar::Unknown => return None,
        Avatar::Disabled => Update::NoPhoto,
        Avatar::Shown { id, .. } if is_visible(turn, to) => Update::Photo(id.to_string()),
        Avatar::Shown { .. } => return None,
    };
    if update(presence).as_ref() == Some(&wanted) {
        return None;
    }
    let mut told = presence.clone();
    told.edit(|node| node.is("x", ns::VCARD_UPDATE), &wanted.to_bytes());
    Some(told)
}

/// Whether somebody may read the avatar, or everybody who sees the presence (XEP-0398 §7).
fn is_visible(turn: &Turn<'_>, to: Option<&Jid>) -> bool {
    let nodes = Nodes::latest(turn);
    let may_read = |node: &Node| match to {
        Some(to) => Host::of(turn).may_read(node, to).is_ok(),
        None => matches!(node.config.access, AccessModel::Open | AccessModel::Presence),
    };
    both(&nodes).is_some_and(|nodes| nodes.into_iter().all(|node| may_read(node)))
}

/// The nodes of metadata and data, if both are there.
fn both(nodes: &Nodes) -> Option<[&Arc<Node>; 2]> {
    Some([nodes.get(ns::AVATAR_METADATA)?, nodes.get(ns::AVATAR_DATA)?])
}

/// The photo that belongs into the vCard that somebody asks for.
///
/// # Errors
/// The store could not be read.
pub(crate) async fn photo(ask: &Ask) -> Result<Option<Photo>, StoreError> {
    let owner = ask.kernel.owner(&ask.owner).await?;
    let found = {
        let account = owner.lock();
        let host = Host { kernel: &ask.kernel, account: &account, actor: ask.actor() };
        let may_read = |node: &&Arc<Node>| host.may_read(node, ask.actor()).is_ok();
        match (account.document::<Avatar>(), both(host.nodes())) {
            (Some(Avatar::Shown { id, media_type }), Some(nodes)) if nodes.iter().all(may_read) => {
                Some((nodes[1].clone(), id.to_string(), media_type.to_string()))
            }
            _ => None,
        }
    };
    let Some((node, id, media_type)) = found else { return Ok(None) };
    let item = pubsub::item(&ask.kernel, &ask.owner, &node, &id).await?;
    let data = item.and_then(|item| Data::read(parse(&item.payload)?.root()).ok());
    // XEP-0398 §3.1: one whose id is not its hash is none.
    let data = data.filter(|data| id_of(&data.image).eq_ignore_ascii_case(&id));
    Ok(data.map(|data| Photo { media_type: Some(media_type), image: data.image }))
}

/// Takes the photo out of a vCard that an account stores, and publishes it (XEP-0398 §3.2); one without a photo disables the
/// avatar. Returns what is left of the vCard.
///
/// # Errors
/// The image is too large for its node, or there are too many nodes.
pub(crate) fn take(turn: &mut Turn<'_>, vcard: Bytes) -> Result<Bytes, StanzaError> {
    let Some(document) = parse(&vcard) else { return Ok(vcard) };
    let root = document.root();
    match Photo::of_vcard(root) {
        Some(photo) => {
            publish(turn, &photo)?;
            Ok(Photo::put(None, &vcard))
        }
        None => {
            // A photo that is elsewhere is none of the nodes'.
            let is_elsewhere =
                root.child("PHOTO", ns::VCARD).is_some_and(|photo| photo.child("EXTVAL", ns::VCARD).is_some());
            if !is_elsewhere && matches!(*Avatar::latest(turn), Avatar::Shown { .. }) {
                let id = format!("{:016x}", turn.kernel.unique());
                let item = Item::new(id, Metadata::default().to_bytes());
                pubsub::store(turn, ns::AVATAR_METADATA, &item, config::open())?;
                show(turn, Avatar::Disabled);
            }
            Ok(vcard)
        }
    }
}

/// XEP-0398 §3.2. A vCard is for everybody, so nodes that have to be made are.
fn publish(turn: &mut Turn<'_>, photo: &Photo) -> Result<(), StanzaError> {
    let id = id_of(&photo.image);
    if Avatar::latest(turn).is(&id) {
        return Ok(());
    }
    let data = Data { image: photo.image.clone() };
    let media_type = photo.media_type.clone().unwrap_or_else(|| guess(&photo.image).into());
    let bytes = u32::try_from(photo.image.len()).unwrap_or(u32::MAX);
    let info = Info { id: id.clone(), bytes, media_type, width: None, height: None, url: None };
    let metadata = Metadata { infos: vec![info] };
    let item = |payload| Item::new(&id, payload);
    pubsub::store(turn, ns::AVATAR_DATA, &item(data.to_bytes()), config::open())?;
    pubsub::store(turn, ns::AVATAR_METADATA, &item(metadata.to_bytes()), config::open())?;
    show(turn, Avatar::of(&metadata));
    Ok(())
}

/// The media type of an image by its first bytes, for vCards that do not say it.
fn guess(image: &[u8]) -> &'static str {
    match image {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_as_it_was_written() {
        let shown = Avatar::Shown { id: "a1".into(), media_type: "image/png".into() };
        for avatar in [shown, Avatar::Disabled] {
            assert_eq!(decode(Some(avatar.encode())).downcast_ref::<Avatar>(), Some(&avatar));
        }
        assert_eq!(decode(None).downcast_ref::<Avatar>(), Some(&Avatar::Unknown));
        let odd = |id: &str| Metadata {
            infos: vec![Info { id: id.into(), bytes: 1, media_type: "t".into(), width: None, height: None, url: None }],
        };
        assert_eq!(Avatar::of(&odd("a b")), Avatar::Disabled);
        assert_eq!(Avatar::of(&odd(&"a".repeat(200))), Avatar::Disabled);
        assert!(Avatar::of(&odd("a")).is("a"));
    }

    #[test]
    fn media_types() {
        assert_eq!(guess(b"\x89PNG\r\n"), "image/png");
        assert_eq!(guess(b"\xff\xd8\xff\xe0"), "image/jpeg");
        assert_eq!(guess(b"RIFF1234WEBPVP8 "), "image/webp");
        assert_eq!(guess(b""), "application/octet-stream");
    }
}
