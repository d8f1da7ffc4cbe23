//! What owners do (XEP-0045 §10): configure a room, for the first time or later, and end it.

use super::{
    admin,
    broadcast::{self, Note, Presence},
    config::Config,
    leave,
    privileges::Privilege,
    record::Member,
    room::Room,
};
use bytes::Bytes;
use kernel::Turn;
use linnet_xeps::{
    Payload,
    forms::{Field, FieldType, Form, FormType},
    muc::{Affiliation, Destroy, Role, User},
    muc_admin::Owner,
    ns,
};
use linnet_xmpp::{
    Jid, StanzaError,
    stanza::{Condition, Type},
};

const ADMINS: &str = "muc#roomconfig_roomadmins";
const OWNERS: &str = "muc#roomconfig_roomowners";

/// An iq of `muc#owner` to a room.
pub(super) fn answer(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let stanza = turn.stanza.clone();
    let asked = stanza.payload().ok_or(Condition::BadRequest).map(Owner::read)??;
    let room = Room::of(turn)?;
    room.demand(turn.actor(), Privilege::Own)?;
    match (stanza.ty, asked) {
        (Type::Get, _) => Ok(Owner::Configure(form(&room)).to_bytes()),
        (_, Owner::Question) => Err(Condition::BadRequest.into()),
        (_, Owner::Destroy(how)) => destroy(turn, room, &how),
        (_, Owner::Configure(form)) => match form.ty {
            FormType::Submit => configure(turn, room, &form),
            // §10.1.3: a room that was never configured comes to nothing.
            FormType::Cancel if room.is_locked => destroy(turn, room, &Destroy::default()),
            FormType::Cancel => Ok(Bytes::new()),
            _ => Err(Condition::BadRequest.into()),
        },
    }
}

fn form(room: &Room) -> Form {
    let list = |var: &str, label: &str, affiliation| {
        let values = room.members.with(affiliation).map(|(jid, _)| jid.as_str().to_owned()).collect();
        Field { values, ..Field::new(FieldType::JidMulti, var).label(label) }
    };
    let name = room.address.local().unwrap_or_default();
    let form = room.record.config.form(name);
    form.field(list(ADMINS, "Admins", Affiliation::Admin)).field(list(OWNERS, "Owners", Affiliation::Owner))
}

fn configure(turn: &mut Turn<'_>, mut room: Room, form: &Form) -> Result<Bytes, StanzaError> {
    if form.form_type().is_some_and(|ty| ty != ns::MUC_ROOMCONFIG) {
        return Err(StanzaError::new(Condition::BadRequest).text("not the form of a room's configuration"));
    }
    let old = room.record.config.clone();
    // Who fills in a form of his own without having looked at ours means rooms as they are elsewhere where he says
    // nothing; who says nothing at all (§10.1.2) takes what is offered.
    let is_partial = room.is_locked && form.form_type().is_some() && form.find("muc#roomconfig_membersonly").is_none();
    let base = if is_partial { Config::plain() } else { old.clone() };
    let new = base.apply(form)?;
    room.edit().config = new.clone();
    officers(turn, &mut room, form)?;
    let was_locked = std::mem::replace(&mut room.is_locked, false);
    if !was_locked && (old != new || room.has_new_members()) {
        follow(turn, &mut room, &old, &new);
    }
    room.save(turn);
    Ok(Bytes::new())
}

/// The full lists of admins and owners, where the form has them (§10.2).
fn officers(turn: &mut Turn<'_>, room: &mut Room, form: &Form) -> Result<(), StanzaError> {
    // Owners are added first and removed last: at no time there is none.
    for (var, affiliation) in [(OWNERS, Affiliation::Owner), (ADMINS, Affiliation::Admin)] {
        if form.find(var).is_none() {
            continue;
        }
        let wanted: Vec<Jid> = form.jids(var).map_err(|_| Condition::NotAcceptable)?.iter().map(Jid::bare).collect();
        if affiliation == Affiliation::Owner && wanted.is_empty() {
            return Err(StanzaError::new(Condition::NotAcceptable).text("a room has an owner"));
        }
        let (is_there, present) = (
            |room: &Room, jid: &Jid| room.members.get(jid).map(|member| Member::clone(member)),
            room.members.with(affiliation).map(|(jid, _)| jid.clone()).collect::<Vec<_>>(),
        );
        for jid in wanted.iter().filter(|jid| !present.contains(jid)) {
            if jid.local().is_none() {
                return Err(Condition::NotAcceptable.into());
            }
            let known = is_there(room, jid);
            // Who is on both lists is owner.
            if affiliation == Affiliation::Admin
                && known.as_ref().is_some_and(|known| known.affiliation == Affiliation::Owner)
            {
                continue;
            }
            let member = known.unwrap_or(Member { affiliation, nick: None, key: None, reason: None });
            admin::set_affiliation(turn, room, jid, Some(Member { affiliation, ..member }), &Note::default())?;
        }
        for jid in present.iter().filter(|jid| !wanted.contains(jid)) {
            // §10.2: an owner becomes admin, an admin member where that means something (§10.7).
            let less = match affiliation {
                Affiliation::Owner => Affiliation::Admin,
                _ if room.record.config.members_only => Affiliation::Member,
                _ => Affiliation::None,
            };
            let member = is_there(room, jid).map(|member| Member { affiliation: less, ..member });
            let member = member.filter(|_| less != Affiliation::None);
            admin::set_affiliation(turn, room, jid, member, &Note::default())?;
        }
    }
    Ok(())
}

/// What a new configuration means for who is in the room.
fn follow(turn: &mut Turn<'_>, room: &mut Room, old: &Config, new: &Config) {
    if new.members_only && !old.members_only {
        let occupants: Vec<_> = room.live.occupants.iter().cloned().collect();
        for occupant in
            occupants.iter().filter(|one| room.affiliation(&one.real) < Affiliation::Member).collect::<Vec<_>>()
        {
            leave::remove(turn, room, occupant, &Note::code(322));
        }
    }
    if old.moderated && !new.moderated {
        // Everybody speaks now.
        let visitors: Vec<_> = room.live.occupants.iter().filter(|one| one.role == Role::Visitor).cloned().collect();
        for visitor in visitors {
            admin::set_role(turn, room, &visitor, Role::Participant, &Note::default());
        }
        room.live.voices = Default::default();
    }
    // §10.2.1.
    let mut codes = Vec::new();
    if old.public_log != new.public_log {
        codes.push(if new.public_log { 170 } else { 171 });
    }
    if old.is_open_about_addresses() != new.is_open_about_addresses() {
        codes.push(if new.is_open_about_addresses() { 172 } else { 173 });
    }
    let private = |config: &Config| {
        let mut config = config.clone();
        config.public_log = false;
        config.hide_addresses();
        config
    };
    if private(old) != private(new) || codes.is_empty() {
        codes.push(104);
    }
    broadcast::tell(turn, room, Type::Groupchat, User::of(&codes).to_bytes());
}

/// §10.9: each occupant is told once, by his own presence.
fn destroy(turn: &mut Turn<'_>, mut room: Room, how: &Destroy) -> Result<Bytes, StanzaError> {
    let note = Note { destroy: Some(how.clone()), ..Note::default() };
    let occupants: Vec<_> = room.live.occupants.iter().cloned().collect();
    for occupant in &occupants {
        Presence::gone(&room, occupant, &note).show_own(turn, &room, occupant.jids());
        room.live.occupants.remove(&occupant.key);
    }
    room.destroy();
    room.save(turn);
    Ok(Bytes::new())
}
