//! Entering a room (XEP-0045 §7.2), and creating one by entering (§10.1).

use super::{
    broadcast::{self, Note, Presence},
    config::Config,
    history, leave, limits, names, nick,
    occupants::{Occupant, Seat},
    record::{INDEX, Member, Record},
    room::{self, Room},
};
use kernel::{Turn, access};
use linnet_xeps::{
    Payload,
    muc::{Affiliation, Destroy, Item, Join, Role, User},
    ns,
};
use linnet_xmpp::{
    Jid, Stanza, StanzaError,
    stanza::{Class, Condition, Kind, Type},
};
use store::Condition as StoreCondition;

/// Available presence: somebody enters, changes his nickname or says something new of himself.
pub(super) fn presence(turn: &mut Turn<'_>) -> Result<(), StanzaError> {
    let stanza = turn.stanza.clone();
    let join = stanza.child("x", ns::MUC).map(Join::read).transpose()?;
    // §7.2.1.
    let nick = stanza.to.as_ref().and_then(Jid::resource).ok_or(Condition::JidMalformed)?;
    let key = names::key(nick)?;
    let Some(mut room) = Room::open(turn.account) else {
        return match join {
            Some(join) => create(turn, &key, join),
            None => {
                not_here(turn);
                Ok(())
            }
        };
    };
    match (room.live.occupants.seat(turn.actor()).cloned(), join) {
        (Some(occupant), join) if occupant.nick() == nick => {
            again(turn, &mut room, &occupant, join);
            room.save(turn);
        }
        (Some(occupant), _) => {
            nick::change(turn, &mut room, &occupant, nick, key)?;
            room.save(turn);
        }
        (None, Some(join)) => {
            admit(turn, &room, &key, &join)?;
            enter(turn, room, &key, join, Note::default());
        }
        (None, None) => not_here(turn),
    }
    Ok(())
}

/// §7.2.18: presence of somebody who believes to be here: he is told that he is not.
fn not_here(turn: &mut Turn<'_>) {
    let item = Item {
        affiliation: Some(Affiliation::None),
        role: Some(Role::None),
        reason: Some("You are not in the room.".into()),
        ..Item::default()
    };
    let user = User { item: Some(item), ..User::of(&[110, 307, 333]) };
    let (from, to) = (turn.stanza.to.clone(), turn.actor().clone());
    let kick = Stanza::new(Kind::Presence, Type::Unavailable, user.to_bytes()).from(from);
    turn.emit(kick, vec![to]);
}

/// §10.1.1: the room is its creator's, and locked until he has configured it.
fn create(turn: &mut Turn<'_>, key: &str, join: Join) -> Result<(), StanzaError> {
    let actor = turn.actor().clone();
    if !access::is_ours(turn.kernel, &actor) {
        return Err(Condition::NotAllowed.into());
    }
    let record = Record::new(turn.now(), Config::group());
    let address = turn.account.address.clone();
    let few = StoreCondition::MapFewerThan(INDEX, address.domain().into(), limits::ROOMS);
    let text = "there are too many rooms";
    turn.require_or(few, StanzaError::new(Condition::ResourceConstraint).text(text));
    let room = Room::create(address, actor.bare(), record);
    enter(turn, room, key, join, Note { own: vec![201], ..Note::default() });
    Ok(())
}

/// Whether somebody may enter (§7.2.5 to §7.2.10).
fn admit(turn: &Turn<'_>, room: &Room, key: &str, join: &Join) -> Result<(), StanzaError> {
    let (config, bare) = (&room.record.config, turn.actor().bare());
    let affiliation = room.affiliation(&bare);
    if affiliation == Affiliation::Outcast {
        return Err(Condition::Forbidden.into());
    }
    if room.is_locked && affiliation != Affiliation::Owner {
        return Err(Condition::ItemNotFound.into());
    }
    if config.members_only && affiliation < Affiliation::Member {
        return Err(Condition::RegistrationRequired.into());
    }
    if config.protected && join.password.as_deref() != Some(&config.secret) {
        return Err(Condition::NotAuthorized.into());
    }
    let known = room.live.occupants.key(key).filter(|occupant| occupant.real == bare);
    let is_full = match known {
        Some(occupant) => occupant.seats.len() >= limits::SEATS,
        None => is_full(room, affiliation),
    };
    if is_full {
        return Err(StanzaError::new(Condition::ServiceUnavailable).class(Class::Wait));
    }
    // §7.2.8.
    if room.is_taken(key, &bare) { Err(Condition::Conflict.into()) } else { Ok(()) }
}

/// §7.2.9.
fn is_full(room: &Room, affiliation: Affiliation) -> bool {
    let most = match room.record.config.max_occupants {
        0 => limits::OCCUPANTS,
        most => most as usize,
    };
    let extra = if affiliation >= Affiliation::Admin { limits::BEYOND_FULL } else { 0 };
    room.live.occupants.len() >= most + extra
}

/// §7.1: the others, himself, what was said, the subject.
fn enter(turn: &mut Turn<'_>, mut room: Room, key: &str, join: Join, mut note: Note) {
    let (stanza, actor) = (turn.stanza.clone(), turn.actor().clone());
    let bare = actor.bare();
    let known = room.live.occupants.key(key).cloned();
    let wanted = stanza.to.clone().unwrap_or_else(|| room.address.clone());
    let role = room.role_of(&bare, key);
    let seat = Seat {
        jid: actor.clone(),
        presence: broadcast::content_of(&stanza, &room.address),
        lang: stanza.lang.clone(),
        reads: false,
    };
    let mut occupant = match &known {
        Some(known) => Occupant::clone(known),
        None => Occupant {
            address: wanted.clone(),
            key: key.into(),
            real: bare.clone(),
            role,
            id: room::occupant_id(turn.kernel, &room.address, &bare),
            seats: Vec::new(),
        },
    };
    if occupant.address != wanted {
        // He is here already under this nickname, written in another way.
        note.own.push(210);
    }
    occupant.put(seat);
    let occupant = room.live.occupants.put(occupant);
    note.id = stanza.id.clone();
    show_entry(turn, &room, &occupant, &actor, note);
    history::begin(turn, &mut room, &actor, join.history);
    keep_nick(&mut room, &occupant);
    room.save(turn);
}

/// In a private group the nickname under which a member is known stays his while he is away.
pub(super) fn keep_nick(room: &mut Room, occupant: &Occupant) {
    let member = room.members.get(&occupant.real).filter(|_| room.record.config.members_only && !room.is_locked);
    let Some(member) = member.filter(|member| member.nick.as_deref() != Some(occupant.nick())) else { return };
    let (nick, key) = (Some(occupant.nick().into()), Some(occupant.key.clone()));
    let member = Member { nick, key, ..Member::clone(member) };
    // Nobody else has it, or he would not be here under it.
    let _ = room.set_member(&occupant.real, Some(member));
}

fn show_entry(turn: &mut Turn<'_>, room: &Room, occupant: &Occupant, actor: &Jid, note: Note) {
    broadcast::show_all_to(turn, room, occupant, actor);
    let for_others = Note { id: note.id.clone(), ..Note::default() };
    let presence = Presence::of(room, occupant, &for_others);
    presence.show_others(turn, room);
    let other_clients: Vec<_> = occupant.jids().into_iter().filter(|jid| jid != actor).collect();
    presence.show_own(turn, room, other_clients);
    let config = &room.record.config;
    let mut own = Note { own: Vec::new(), ..note };
    own.own.extend(config.is_open_about_addresses().then_some(100));
    own.own.extend(config.public_log.then_some(170));
    own.own.extend(note.own);
    Presence { note: &own, ..presence }.show_own(turn, room, vec![actor.clone()]);
}

/// Presence of somebody who is here, under the same nickname: what he says of himself changes (§7.7), and if he enters
/// once more he gets everything again (§17.3).
fn again(turn: &mut Turn<'_>, room: &mut Room, occupant: &Occupant, join: Option<Join>) {
    let (stanza, actor) = (turn.stanza.clone(), turn.actor().clone());
    let presence = broadcast::content_of(&stanza, &room.address);
    let said = occupant.seat(&actor).map(|seat| seat.presence.clone());
    // What it is being given goes on.
    let reads = occupant.seat(&actor).is_some_and(|seat| seat.reads);
    let mut changed = occupant.clone();
    changed.put(Seat { jid: actor.clone(), presence: presence.clone(), lang: stanza.lang.clone(), reads });
    let changed = room.live.occupants.put(changed);
    let note = Note { id: stanza.id.clone(), ..Note::default() };
    match join {
        None => Presence::of(room, &changed, &note).show(turn, room),
        Some(join) => {
            broadcast::show_all_to(turn, room, &changed, &actor);
            let shown = Presence::of(room, &changed, &note);
            if said != Some(presence) {
                shown.show_others(turn, room);
            }
            let own = Note {
                own: room.record.config.is_open_about_addresses().then_some(100).into_iter().collect(),
                ..note.clone()
            };
            Presence { note: &own, ..shown }.show_own(turn, room, vec![actor.clone()]);
            history::begin(turn, room, &actor, join.history);
        }
    }
}

/// Presence of type unavailable (§7.14); of somebody who is not here it means nothing (§17.3).
pub(super) fn unavailable(turn: &mut Turn<'_>) {
    let Some(mut room) = Room::open(turn.account) else { return };
    let actor = turn.actor().clone();
    if let Some(occupant) = room.live.occupants.seat(&actor).cloned() {
        let mut status = Stanza::clone(turn.stanza);
        status.set_inner(broadcast::content_of(turn.stanza, &room.address));
        // §10.1.3: with its creator goes a room that was never configured.
        let ends = room.is_locked && room.live.occupants.len() == 1 && occupant.seats.len() == 1;
        let note = Note { destroy: ends.then(Destroy::default), ..Note::default() };
        leave::one(turn, &mut room, &occupant, &actor, &status, &note);
        room.save(turn);
    }
}
