//! Messages to all occupants (XEP-0045 §7.4): from whom they come, what is taken out, and that all get the same.

use super::{
    broadcast::{self, is_the_rooms},
    limits,
    occupants::Occupant,
    privileges::Privilege,
    retract,
    room::Room,
    subject, wake,
};
use crate::{archive, messages};
use kernel::Turn;
use linnet_xeps::{Payload, stanza_id::StanzaId};
use linnet_xmpp::{
    Stanza, StanzaError,
    stanza::{Class, Condition},
    xml::Writer,
};

/// A message of type groupchat to the room.
pub(super) fn to_all(turn: &mut Turn<'_>) -> Result<(), StanzaError> {
    let mut room = Room::of(turn)?;
    let occupant = room.occupant(turn.actor())?;
    if turn.kernel.recipients_waiting(&room.address) > limits::WAITING {
        let text = "too much is being said in this room; wait a moment";
        return Err(StanzaError::new(Condition::ResourceConstraint).class(Class::Wait).text(text));
    }
    if subject::is_one(turn.stanza) {
        subject::change(turn, &mut room, &occupant)?;
    } else {
        if !room.occupant_standing(&occupant).may(Privilege::Speak, &room.record.config) {
            return Err(Condition::Forbidden.into());
        }
        say(turn, &mut room, &occupant);
    }
    room.save(turn);
    Ok(())
}

/// Gives what an occupant says to everybody, and keeps it.
fn say(turn: &mut Turn<'_>, room: &mut Room, occupant: &Occupant) {
    let message = from_occupant(turn, room, occupant);
    let is_kept = archive::is_worth_keeping(&message);
    if is_kept {
        retract::by_author(turn, room, occupant, &message);
        wake::absent(turn, room, &message);
    }
    give(turn, room, occupant, message, is_kept.then_some(messages::ARCHIVED | messages::PLAYED));
}

/// Gives a message to everybody, and keeps it with these flags.
pub(super) fn give(turn: &mut Turn<'_>, room: &mut Room, occupant: &Occupant, message: Stanza, flags: Option<u32>) {
    let mut message = message;
    if let Some(flags) = flags.filter(|_| room.record.config.archive && !room.is_locked) {
        let row = turn.append(messages::LOG, &occupant.real, flags, message.to_bytes());
        if flags & messages::PLAYED != 0 {
            room.live.last_row = row;
        }
        let id = StanzaId { id: messages::shown_id(turn.kernel, row), by: room.address.clone() };
        message.edit(|_| false, &id.to_bytes());
    }
    let to = broadcast::listeners(&room.live.occupants);
    turn.emit(message, to);
}

/// The turn's stanza as it comes from an occupant: without what only rooms may say, and with his id (XEP-0421 §3.2).
pub(super) fn from_occupant(turn: &Turn<'_>, room: &Room, occupant: &Occupant) -> Stanza {
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    broadcast::write_occupant_id(&occupant.id, &mut out);
    let mut message = Stanza::clone(turn.stanza).from(occupant.address.clone()).to(None);
    message.edit(|node| is_the_rooms(node, &room.address), &out.finish());
    if message.id.is_none() {
        // §7.4: a message that can be referred to.
        message = message.id(Some(&format!("{:016x}", turn.kernel.unique())));
    }
    message
}
