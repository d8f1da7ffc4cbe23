//! Messages from one occupant to another (XEP-0045 §7.5).

use super::{privileges::Privilege, room::Room, speak};
use kernel::Turn;
use linnet_xeps::{Payload, muc::User};
use linnet_xmpp::{
    Jid, StanzaError,
    stanza::{Condition, Type},
};

/// To all clients of the occupant that the message addresses (§7.2.8).
pub(super) fn message(turn: &mut Turn<'_>) -> Result<(), StanzaError> {
    if turn.stanza.ty == Type::Groupchat {
        return Err(Condition::BadRequest.into());
    }
    let room = Room::of(turn)?;
    let sender = room.occupant(turn.actor())?;
    let nick = turn.stanza.to.as_ref().and_then(Jid::resource).unwrap_or_default();
    let recipient = room.live.occupants.nick(nick).ok_or(Condition::ItemNotFound)?;
    if !room.occupant_standing(&sender).may(Privilege::SpeakPrivately, &room.record.config) {
        return Err(Condition::Forbidden.into());
    }
    let mut message = speak::from_occupant(turn, &room, &sender);
    message.edit(|_| false, &User::default().to_bytes());
    // What was acknowledged is not lost: it is in nobody's archive until it has come.
    turn.emit_surely(&message, recipient.jids());
    Ok(())
}
