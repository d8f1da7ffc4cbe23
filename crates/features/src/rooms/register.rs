//! Registering with a room (XEP-0045 §7.10): one becomes a member, and one's nickname is reserved. Where membership means
//! something (members-only, moderated), only who has it already may register a nickname.

use super::{admin, broadcast::Note, names, record::Member, room::Room};
use bytes::Bytes;
use kernel::Turn;
use linnet_xeps::{
    Payload,
    forms::{Field, FieldType, Form, FormType},
    muc::Affiliation,
    ns,
    register::Register,
};
use linnet_xmpp::{
    StanzaError, jid,
    stanza::{Condition, Type},
};

const NICK: &str = "muc#register_roomnick";

/// An iq of `jabber:iq:register` to a room.
pub(super) fn answer(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let stanza = turn.stanza.clone();
    if turn.account.address.local().is_none() {
        return Err(StanzaError::new(Condition::ServiceUnavailable).text("one registers with rooms"));
    }
    let payload = stanza.payload().ok_or(Condition::BadRequest)?;
    let room = Room::of(turn)?;
    let bare = turn.actor().bare();
    let affiliation = room.affiliation(&bare);
    let config = &room.record.config;
    let is_restricted = config.members_only || config.moderated;
    if affiliation == Affiliation::Outcast || affiliation == Affiliation::None && is_restricted {
        return Err(Condition::NotAllowed.into());
    }
    let asked = Register::read(payload)?;
    match stanza.ty {
        Type::Get => Ok(form(&room, &bare)),
        _ if asked.remove => remove(turn, room, &bare),
        _ => register(turn, room, &bare, &asked),
    }
}

fn form(room: &Room, bare: &linnet_xmpp::Jid) -> Bytes {
    let mut register = Register::default();
    if let Some(nick) = room.reserved_nick(bare) {
        register.registered = true;
        register = register.field("username", nick);
    }
    let field = Field::new(FieldType::TextSingle, NICK).label("Nickname").required();
    let field = match room.reserved_nick(bare) {
        Some(nick) => field.value(nick),
        None => field,
    };
    let form = Form::of(FormType::Form, ns::MUC_REGISTER)
        .title("Registration")
        .instruction("The nickname will be yours in this room.")
        .field(field);
    Register { form: Some(form), ..register }.to_bytes()
}

fn register(
    turn: &mut Turn<'_>,
    mut room: Room,
    bare: &linnet_xmpp::Jid,
    asked: &Register,
) -> Result<Bytes, StanzaError> {
    let form = asked.form.as_ref().ok_or(Condition::BadRequest)?;
    if form.ty != FormType::Submit || form.form_type() != Some(ns::MUC_REGISTER) {
        return Err(StanzaError::new(Condition::BadRequest).text("not the form of a registration"));
    }
    let nick = form.value(NICK).ok_or(Condition::BadRequest)?;
    let nick = jid::prepare_resource(nick).map_err(|_| Condition::JidMalformed)?;
    let key = names::key(&nick)?;
    let known = room.members.get(bare).map(|member| Member::clone(member));
    let old = room.affiliation(bare);
    let new = old.max(Affiliation::Member);
    let reason = known.and_then(|known| known.reason);
    let member = Member { affiliation: new, nick: Some(nick.as_ref().into()), key: Some(key), reason };
    room.set_member(bare, Some(member))?;
    if new != old {
        admin::show_affiliation(turn, &mut room, bare, old, &Note::default());
    }
    room.save(turn);
    Ok(Bytes::new())
}

/// The nickname is given back; who became a member by registering is none any more.
fn remove(turn: &mut Turn<'_>, mut room: Room, bare: &linnet_xmpp::Jid) -> Result<Bytes, StanzaError> {
    let Some(member) = room.members.get(bare).map(|member| Member::clone(member)) else {
        return Err(Condition::RegistrationRequired.into());
    };
    let config = &room.record.config;
    let (old, stays) =
        (member.affiliation, member.affiliation > Affiliation::Member || config.members_only || config.moderated);
    room.set_member(bare, stays.then_some(Member { nick: None, key: None, ..member }))?;
    if !stays {
        admin::show_affiliation(turn, &mut room, bare, old, &Note::default());
    }
    room.save(turn);
    Ok(Bytes::new())
}
