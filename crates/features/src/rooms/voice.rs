//! Asking for voice (XEP-0045 §7.13) and giving it to who has asked (§8.6).

use super::{admin, privileges::Privilege, room::Room};
use kernel::Turn;
use linnet_xeps::{
    Payload,
    forms::{Field, FieldType, Form, FormType},
    muc::{Item, Role},
    ns,
};
use linnet_xmpp::{
    Stanza, StanzaError,
    stanza::{Condition, Kind, Type},
};

const ALLOW: &str = "muc#request_allow";

/// A form of `muc#request` from an occupant: his wish, or a moderator's answer.
pub(super) fn form(turn: &mut Turn<'_>, form: &Form) -> Result<(), StanzaError> {
    if form.ty != FormType::Submit {
        return Ok(());
    }
    let mut room = Room::of(turn)?;
    let occupant = room.occupant(turn.actor())?;
    if form.find(ALLOW).is_none() {
        return ask(turn, &room, &occupant, form);
    }
    let standing = room.occupant_standing(&occupant);
    if !standing.may(Privilege::Moderate, &room.record.config) {
        return Err(Condition::Forbidden.into());
    }
    if form.boolean(ALLOW)? == Some(true) {
        let nick = form.value("muc#roomnick").map(str::to_owned);
        let asked = nick.as_deref().and_then(|nick| room.live.occupants.nick(nick));
        // He may have got it meanwhile, or may be gone.
        if asked.is_some_and(|asked| asked.role == Role::Visitor) {
            let item = Item { nick, role: Some(Role::Participant), ..Item::default() };
            admin::change_role(turn, &mut room, standing, &item)?;
        }
        room.save(turn);
    }
    Ok(())
}

/// Shows the wish to all moderators.
fn ask(
    turn: &mut Turn<'_>,
    room: &Room,
    occupant: &super::occupants::Occupant,
    form: &Form,
) -> Result<(), StanzaError> {
    if form.value("muc#role") != Some(Role::Participant.name()) {
        return Err(StanzaError::new(Condition::BadRequest).text("one asks for the role of participant"));
    }
    // Who speaks needs not ask.
    if occupant.role != Role::Visitor {
        return Err(Condition::NotAllowed.into());
    }
    let field = |ty, var: &str, label: &str, value: &str| Field::new(ty, var).label(label).value(value);
    let form = Form::of(FormType::Form, ns::MUC_REQUEST)
        .title("Voice request")
        .instruction("To let this person speak, check \"Let this person speak\" and submit.")
        .field(
            field(FieldType::ListSingle, "muc#role", "Requested role", "participant")
                .option("Participant", "participant"),
        )
        .field(field(FieldType::JidSingle, "muc#jid", "User", turn.actor().as_str()))
        .field(field(FieldType::TextSingle, "muc#roomnick", "Nickname", occupant.nick()))
        .field(field(FieldType::Boolean, ALLOW, "Let this person speak", "false"));
    let id = format!("{:016x}", turn.kernel.unique());
    let message = Stanza::new(Kind::Message, Type::Normal, form.to_bytes()).from(room.address.clone()).id(Some(&id));
    let moderators = room.live.occupants.iter().filter(|one| one.role == Role::Moderator);
    let to = moderators.flat_map(|one| one.jids()).collect();
    turn.emit(message, to);
    Ok(())
}
