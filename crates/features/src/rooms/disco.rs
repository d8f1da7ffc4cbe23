//! What service discovery tells of the service, its rooms and who is in them (XEP-0045 §6), and of reserved nicknames
//! (§7.12).

use super::{
    limits,
    record::{Entry, INDEX, listed},
    room::{Live, Room},
};
use crate::discovery;
use bytes::Bytes;
use kernel::{Kernel, Turn, hooks::Ask};
use linnet_xeps::{
    Payload,
    disco::{Identity, Info, Item, Items},
    forms::{Field, Form, FormType},
    muc::Affiliation,
    ns, rsm,
};
use linnet_xmpp::{Jid, StanzaError, stanza::Condition, xml::Writer};
use store::{MapQuery, MapRow};

/// Of the service.
pub(super) const SERVICE: &[&str] =
    &[ns::MUC, ns::MUC_STABLE_ID, ns::MUC_UNIQUE, ns::OCCUPANT_ID, ns::REGISTER, ns::RSM, ns::PING];

/// Of each room, beside what follows from its configuration.
const ROOM: &[&str] = &[
    ns::DISCO_INFO,
    ns::DISCO_ITEMS,
    ns::FULLTEXT,
    ns::MAM,
    ns::MAM_EXTENDED,
    ns::MODERATE,
    ns::MODERATE_0,
    ns::MUC,
    ns::MUC_REGISTER,
    ns::MUC_REQUEST,
    ns::MUC_ROOMCONFIG,
    ns::MUC_ROOMINFO,
    ns::MUC_SELF_PING,
    ns::MUC_STABLE_ID,
    ns::OCCUPANT_ID,
    ns::PING,
    ns::REGISTER,
    ns::RETRACT,
    ns::RETRACT_TOMBSTONE,
    ns::STANZA_ID,
];

/// The node of somebody's reserved nickname (§7.12).
const NICK: &str = "x-roomuser-item";
/// The node of what may be sent (§18.1.1).
const TRAFFIC: &str = "http://jabber.org/protocol/muc#traffic";

/// disco#info of the service or of a room.
pub(super) fn info(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let question = turn.stanza.payload().ok_or(Condition::BadRequest).map(Info::read)??;
    if turn.account.address.local().is_none() {
        return match question.node {
            None => Ok(discovery::service_info(turn).ok_or(Condition::ItemNotFound)?.to_bytes()),
            Some(_) => Err(Condition::ItemNotFound.into()),
        };
    }
    let room = Room::of(turn)?;
    match question.node.as_deref() {
        None => Ok(of_room(turn, &room).to_bytes()),
        Some(NICK) => {
            let nick = room.reserved_nick(&turn.actor().bare());
            let identities = nick.map(|nick| Identity::new("conference", "text", nick)).into_iter().collect();
            Ok(Info { node: question.node, identities, ..Info::default() }.to_bytes())
        }
        // Everything may be sent.
        Some(TRAFFIC) => Err(Condition::ServiceUnavailable.into()),
        Some(_) => Err(Condition::ItemNotFound.into()),
    }
}

/// §6.4.
fn of_room(turn: &Turn<'_>, room: &Room) -> Info {
    let config = &room.record.config;
    let fallback = room.address.local().unwrap_or_default();
    let name = if config.name.is_empty() { fallback } else { &config.name };
    let mut features: Vec<String> = ROOM.iter().copied().chain(config.features()).map(str::to_owned).collect();
    features.sort();
    let mut form = Form::of(FormType::Result, ns::MUC_ROOMINFO);
    form.fields.extend(config.info());
    let number = room.live.occupants.len().to_string();
    form = form.field(Field::untyped("muc#roominfo_occupants", number));
    // What a closed room talks about is its members' business (§14.4).
    let is_inside =
        room.affiliation(&turn.actor().bare()) >= Affiliation::Member || room.occupant(turn.actor()).is_ok();
    if let Some(subject) =
        room.record.subject.as_ref().filter(|_| is_inside || !config.members_only && !config.protected)
    {
        form = form.field(Field::untyped("muc#roominfo_subject", text_of(&subject.content)));
    }
    Info { node: None, identities: vec![Identity::new("conference", "text", name)], features, forms: vec![form] }
}

/// The words of the first subject.
fn text_of(content: &Bytes) -> String {
    use linnet_xmpp::{
        Stanza,
        stanza::{Kind, Type},
    };
    let message = Stanza::new(Kind::Message, Type::Groupchat, content.clone());
    message.payload().map(|subject| subject.text().into_owned()).unwrap_or_default()
}

/// disco#items of the service (§6.3) or of a room (§6.5).
pub(super) async fn items(ask: Ask) -> Result<Bytes, StanzaError> {
    let payload = ask.stanza.payload().ok_or(Condition::BadRequest)?;
    let question = Items::read(payload)?;
    if question.node.is_some() {
        return Err(Condition::ItemNotFound.into());
    }
    if ask.owner.local().is_some() {
        return occupants(&ask).await;
    }
    let wanted = payload.child("set", ns::RSM).map(rsm::Wanted::read).transpose()?;
    rooms(&ask, wanted).await
}

/// Who is in a room: for those who are in it themselves.
async fn occupants(ask: &Ask) -> Result<Bytes, StanzaError> {
    let owner = ask.kernel.owner(&ask.owner).await.map_err(|_| Condition::InternalServerError)?;
    let account = owner.lock();
    let room = Room::open(&account).ok_or(Condition::ItemNotFound)?;
    if room.is_locked && room.affiliation(&ask.actor().bare()) != Affiliation::Owner {
        return Err(Condition::ItemNotFound.into());
    }
    let mut items = Items::default();
    if room.occupant(ask.actor()).is_ok() {
        let shown = room.live.occupants.iter().filter(|occupant| room.record.config.shows(occupant.role));
        items.items.extend(shown.map(|occupant| Item { jid: occupant.address.clone(), node: None, name: None }));
    }
    Ok(items.to_bytes())
}

/// The rooms that are listed, in pages.
async fn rooms(ask: &Ask, wanted: Option<rsm::Wanted>) -> Result<Bytes, StanzaError> {
    let (kernel, service) = (&ask.kernel, ask.owner.as_str());
    let fault = |error| {
        tracing::error!(%error, service, "the list of rooms could not be read");
        StanzaError::from(Condition::InternalServerError)
    };
    let asked = wanted.clone().unwrap_or_default();
    if asked.index.is_some() {
        return Err(StanzaError::new(Condition::FeatureNotImplemented).text("pages are not found by their index"));
    }
    let mut query = MapQuery { second: listed(service), backwards: asked.before.is_some(), ..MapQuery::default() };
    for (id, is_after) in [(asked.after.as_deref(), true), (asked.before.as_deref().filter(|id| !id.is_empty()), false)]
    {
        let Some(id) = id else { continue };
        let local =
            Jid::parse(id).ok().and_then(|jid| jid.local().map(str::to_owned)).ok_or(Condition::ItemNotFound)?;
        let row = kernel.store.map_row(INDEX, service, &local).await.map_err(fault)?.ok_or(Condition::ItemNotFound)?;
        *(if is_after { &mut query.after } else { &mut query.before }) = Some(row.sequence);
    }
    let most = asked.max.map_or(limits::PAGE, |max| limits::PAGE.min(max as usize));
    query.limit = most + 1;
    let mut rows = kernel.store.map_group(INDEX, service, query.clone()).await.map_err(fault)?;
    let is_all = rows.len() <= most && asked.after.is_none() && asked.before.is_none();
    rows.truncate(most);
    if query.backwards {
        rows.reverse();
    }
    let items: Vec<Item> = rows.iter().filter_map(|row| item(kernel, service, row)).collect();
    let ends = items.first().zip(items.last()).map(|(first, last)| (first.jid.to_string(), last.jid.to_string()));
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("query", ns::DISCO_ITEMS);
    for item in &items {
        out.open("item", ns::DISCO_ITEMS).attr("jid", item.jid.as_str()).attr_opt("name", item.name.as_deref()).close();
    }
    if wanted.is_some() || !is_all {
        let count = kernel.store.map_group_count(INDEX, service, &listed(service)).await.map_err(fault)?;
        rsm::Page { ends, count: Some(count) }.write(&mut out);
    }
    out.close();
    Ok(out.finish())
}

fn item(kernel: &Kernel, service: &str, row: &MapRow) -> Option<Item> {
    let entry = Entry::read(row)?;
    let jid = Jid::new(Some(&row.key), service, None).ok()?;
    // One that does not stay is there while somebody is in it.
    let is_alive = || kernel.find_owner(jid.as_str()).is_some_and(|owner| owner.lock().held::<Live>().is_some());
    let name = (!entry.name.is_empty()).then_some(entry.name);
    (entry.persistent || is_alive()).then(|| Item { name, node: None, jid: jid.clone() })
}

/// `<unique/>` (XEP-0307): a name that no room has.
pub(super) fn unique(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    if turn.account.address.local().is_some() {
        return Err(Condition::ServiceUnavailable.into());
    }
    let name = format!("{:016x}{:016x}", turn.kernel.unique(), turn.kernel.unique());
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.leaf("unique", ns::MUC_UNIQUE, &name);
    Ok(out.finish())
}
