//! Lists of roles (XEP-0045 §8) and affiliations (§9, §10.3 to §10.8): asked for and changed. A change of several items
//! is done whole or not at all.

use super::{
    broadcast::{Note, Presence},
    invite, leave, limits, names,
    occupants::Occupant,
    privileges::{self, Privilege, Standing},
    record::Member,
    room::Room,
};
use bytes::Bytes;
use kernel::Turn;
use linnet_xeps::{
    Payload,
    muc::{Actor, Affiliation, Item, Role, User},
    muc_admin::Admin,
};
use linnet_xmpp::{
    Jid, Stanza, StanzaError, jid,
    stanza::{Condition, Kind, Type},
};
use std::sync::Arc;

/// An iq of `muc#admin` to a room.
pub(super) fn answer(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let stanza = turn.stanza.clone();
    let admin = stanza.payload().ok_or(Condition::BadRequest).map(Admin::read)??;
    let mut room = Room::of(turn)?;
    if stanza.ty == Type::Get {
        return list(turn, &room, &admin);
    }
    if admin.items.len() > limits::ITEMS {
        return Err(StanzaError::new(Condition::PolicyViolation).text("too many items at once"));
    }
    let standing = room.standing_of_person(turn.actor());
    for item in &admin.items {
        if item.reason.as_ref().is_some_and(|reason| reason.len() > limits::REASON_BYTES) {
            return Err(StanzaError::new(Condition::NotAcceptable).text("the reason is too long"));
        }
        match (item.role, item.affiliation) {
            (Some(_), None) => change_role(turn, &mut room, standing, item)?,
            (None, Some(_)) => change_affiliation(turn, &mut room, standing.affiliation, item)?,
            // §17.4.
            _ => return Err(StanzaError::new(Condition::BadRequest).text("an item changes a role or an affiliation")),
        }
    }
    room.save(turn);
    Ok(Bytes::new())
}

/// §8.5, §9.2, §9.5, §9.8, §10.5, §10.8.
fn list(turn: &Turn<'_>, room: &Room, asked: &Admin) -> Result<Bytes, StanzaError> {
    let item = match &asked.items[..] {
        [item] => item,
        _ => return Err(StanzaError::new(Condition::BadRequest).text("one list at a time")),
    };
    let items = match (item.role, item.affiliation) {
        (Some(role), None) => {
            // §9.8: who is moderator is the business of admins.
            let privilege = if role == Role::Moderator { Privilege::Administer } else { Privilege::Moderate };
            room.demand(turn.actor(), privilege)?;
            let occupants = room.live.occupants.iter().filter(|occupant| occupant.role == role);
            occupants.map(|occupant| of_occupant(room, occupant)).collect()
        }
        (None, Some(affiliation)) => {
            let privilege = match affiliation {
                Affiliation::Owner | Affiliation::Admin => Privilege::ReadOfficers,
                Affiliation::Member => Privilege::ReadMembers,
                Affiliation::None => return Err(Condition::BadRequest.into()),
                Affiliation::Outcast => Privilege::Administer,
            };
            room.demand(turn.actor(), privilege)?;
            room.members.with(affiliation).map(|(jid, member)| of_member(jid, member)).collect()
        }
        _ => return Err(Condition::BadRequest.into()),
    };
    Ok(Admin { items }.to_bytes())
}

fn of_occupant(room: &Room, occupant: &Occupant) -> Item {
    Item {
        affiliation: Some(room.affiliation(&occupant.real)),
        role: Some(occupant.role),
        jid: occupant.shown().map(|seat| seat.jid.clone()),
        nick: Some(occupant.nick().to_owned()),
        ..Item::default()
    }
}

fn of_member(jid: &Jid, member: &Member) -> Item {
    Item {
        affiliation: Some(member.affiliation),
        jid: Some(jid.clone()),
        nick: member.nick.as_deref().map(str::to_owned),
        reason: member.reason.as_deref().map(str::to_owned),
        ..Item::default()
    }
}

/// Who acts, as others are told: by nickname, or, if he is not in the room and all may see addresses, by address.
fn actor(turn: &Turn<'_>, room: &Room) -> Option<Actor> {
    let bare = turn.actor().bare();
    let nick = room.live.occupants.of(&bare).next().map(|occupant| occupant.nick().to_owned());
    let jid = (nick.is_none() && room.record.config.is_open_about_addresses()).then_some(bare);
    (nick.is_some() || jid.is_some()).then_some(Actor { jid, nick })
}

fn note(turn: &Turn<'_>, room: &Room, item: &Item, code: Option<u16>) -> Note {
    let actor = code.and_then(|_| actor(turn, room));
    Note { statuses: code.into_iter().collect(), reason: item.reason.clone(), actor, ..Note::default() }
}

/// §8.2 to §8.5, §9.6 to §9.8.
pub(super) fn change_role(
    turn: &mut Turn<'_>,
    room: &mut Room,
    actor: Standing,
    item: &Item,
) -> Result<(), StanzaError> {
    let new = item.role.ok_or(Condition::BadRequest)?;
    if actor.role < Role::Moderator && actor.affiliation < Affiliation::Admin {
        // First of all, so that it does not tell who is here.
        return Err(Condition::Forbidden.into());
    }
    let occupant = match (&item.nick, &item.jid) {
        (Some(nick), _) => room.live.occupants.nick(nick),
        (None, Some(jid)) => room.live.occupants.seat(jid),
        (None, None) => return Err(Condition::BadRequest.into()),
    };
    let occupant = occupant.cloned().ok_or(Condition::ItemNotFound)?;
    let is_self = occupant.real == turn.actor().bare();
    privileges::change_role(actor, room.occupant_standing(&occupant), new, is_self)?;
    if new == Role::None {
        let note = note(turn, room, item, Some(307));
        leave::remove(turn, room, &occupant, &note);
        return Ok(());
    }
    if new != occupant.role {
        let note = note(turn, room, item, None);
        set_role(turn, room, &occupant, new, &note);
        room.remember_voice(&occupant.real, new);
    }
    Ok(())
}

/// An occupant has another role from now on, and all are told.
pub(super) fn set_role(turn: &mut Turn<'_>, room: &mut Room, occupant: &Occupant, new: Role, note: &Note) {
    let was_shown = room.record.config.shows(occupant.role);
    let is_shown = room.record.config.shows(new);
    if was_shown && !is_shown {
        // He disappears for the others, who are not shown occupants with his new role.
        Presence::gone(room, occupant, note).show_others(turn, room);
    }
    let saw_addresses = room.sees_addresses(occupant);
    let changed = room.live.occupants.put(Occupant { role: new, ..occupant.clone() });
    Presence::of(room, &changed, note).show(turn, room);
    if !saw_addresses && room.sees_addresses(&changed) {
        // From now on he sees real addresses (§7.2.4).
        for client in changed.jids() {
            super::broadcast::show_all_to(turn, room, &changed, &client);
        }
    }
}

/// §9.1 to §9.5, §10.3 to §10.8.
fn change_affiliation(
    turn: &mut Turn<'_>,
    room: &mut Room,
    actor: Affiliation,
    item: &Item,
) -> Result<(), StanzaError> {
    let new = item.affiliation.ok_or(Condition::BadRequest)?;
    if actor < Affiliation::Admin {
        return Err(Condition::Forbidden.into());
    }
    let bare = match (&item.jid, &item.nick) {
        (Some(jid), _) => jid.bare(),
        // Clients that know the nickname alone.
        (None, Some(nick)) => room.live.occupants.nick(nick).ok_or(Condition::ItemNotFound)?.real.clone(),
        (None, None) => return Err(Condition::BadRequest.into()),
    };
    if bare.local().is_none() && new >= Affiliation::Admin {
        return Err(StanzaError::new(Condition::NotAcceptable).text("a whole domain runs no room"));
    }
    let old = room.members.get(&bare).map_or(Affiliation::None, |member| member.affiliation);
    let other_owners = room.members.with(Affiliation::Owner).filter(|(jid, _)| **jid != bare).count();
    let is_self = bare == turn.actor().bare();
    privileges::change_affiliation(actor, old, new, is_self, other_owners)?;
    let note = note(turn, room, item, None);
    let member = changed(room, &bare, new, item)?;
    set_affiliation(turn, room, &bare, member, &note)
}

/// What is kept of somebody whose affiliation changes.
fn changed(room: &Room, bare: &Jid, new: Affiliation, item: &Item) -> Result<Option<Member>, StanzaError> {
    if new == Affiliation::None {
        return Ok(None);
    }
    let known = room.members.get(bare).map(|member| Member::clone(member));
    let mut member = known.unwrap_or(Member { affiliation: new, nick: None, key: None, reason: None });
    member.affiliation = new;
    member.reason = item.reason.as_deref().map(Into::into).filter(|_| new == Affiliation::Outcast);
    match item.nick.as_deref().filter(|_| item.jid.is_some()) {
        // §9.1: outcasts have no reserved nicknames.
        _ if new == Affiliation::Outcast => (member.nick, member.key) = (None, None),
        Some("") => (member.nick, member.key) = (None, None),
        Some(nick) => {
            let nick = jid::prepare_resource(nick).map_err(|_| Condition::JidMalformed)?;
            (member.key, member.nick) = (Some(names::key(&nick)?), Some(nick.as_ref().into()));
        }
        None => {}
    }
    Ok(Some(member))
}

/// Sets an affiliation and does what follows from it for who is in the room, or is not.
pub(super) fn set_affiliation(
    turn: &mut Turn<'_>,
    room: &mut Room,
    bare: &Jid,
    member: Option<Member>,
    note: &Note,
) -> Result<(), StanzaError> {
    let old = room.affiliation(bare);
    room.set_member(bare, member)?;
    let new = room.affiliation(bare);
    if old == new {
        return Ok(());
    }
    let is_here = room.live.occupants.of(bare).next().is_some();
    let is_new = old < Affiliation::Member && new == Affiliation::Member;
    if is_new && !is_here && room.record.config.members_only && bare.local().is_some() {
        invite::new_member(turn, room, bare, note.reason.clone());
    }
    show_affiliation(turn, room, bare, old, note);
    Ok(())
}

/// Tells those who see addresses of the new affiliation of somebody who is not here (§9.5, §10.3 to §10.8).
fn show_absent(turn: &mut Turn<'_>, room: &Room, bare: &Jid, note: &Note) {
    let item = Item {
        affiliation: Some(room.affiliation(bare)),
        role: Some(Role::None),
        jid: Some(bare.clone()),
        reason: note.reason.clone(),
        ..Item::default()
    };
    let user = User { item: Some(item), ..User::default() };
    let to = room.live.occupants.iter().filter(|one| room.sees_addresses(one)).flat_map(|one| one.jids()).collect();
    let id = format!("{:016x}", turn.kernel.unique());
    let message = Stanza::new(Kind::Message, Type::Normal, user.to_bytes()).from(room.address.clone());
    turn.emit(message.id(Some(&id)), to);
}

/// Tells all of somebody's new affiliation, with the role that he has by it; who may not be here any more is removed.
pub(super) fn show_affiliation(turn: &mut Turn<'_>, room: &mut Room, bare: &Jid, old: Affiliation, note: &Note) {
    let concerned: Vec<Arc<Occupant>> = if bare.local().is_some() {
        room.live.occupants.of(bare).cloned().collect()
    } else {
        // Those who have an affiliation of their own are not concerned.
        let of_domain = |occupant: &&Arc<Occupant>| {
            occupant.real.domain() == bare.domain() && room.members.get(&occupant.real).is_none()
        };
        room.live.occupants.iter().filter(of_domain).cloned().collect()
    };
    if concerned.is_empty() {
        return show_absent(turn, room, bare, note);
    }
    for occupant in concerned {
        let new = room.affiliation(&occupant.real);
        let code = match new {
            Affiliation::Outcast => Some(301),
            Affiliation::None if room.record.config.members_only => Some(321),
            _ => None,
        };
        if let Some(code) = code {
            let note = Note { statuses: vec![code], actor: actor(turn, room), ..note.clone() };
            leave::remove(turn, room, &occupant, &note);
            continue;
        }
        let role = privileges::role_after(occupant.role, old, new, &room.record.config);
        set_role(turn, room, &occupant, role, note);
    }
}
