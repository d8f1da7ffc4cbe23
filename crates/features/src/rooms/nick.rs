//! Changing the nickname (XEP-0045 §7.6).

use super::{
    broadcast::{self, Note, Presence},
    enter,
    occupants::{Occupant, Seat},
    room::Room,
};
use kernel::Turn;
use linnet_xmpp::{
    StanzaError,
    stanza::{Condition, Type},
};

/// All clients of the occupant change with him.
///
/// # Errors
/// conflict where the nickname is somebody else's, or one's own under which one is here too.
pub(super) fn change(
    turn: &mut Turn<'_>,
    room: &mut Room,
    occupant: &Occupant,
    nick: &str,
    key: Box<str>,
) -> Result<(), StanzaError> {
    let (stanza, actor) = (turn.stanza.clone(), turn.actor().clone());
    let is_here = room.live.occupants.key(&key).is_some_and(|other| other.key != occupant.key);
    if is_here || room.is_taken(&key, &occupant.real) {
        return Err(Condition::Conflict.into());
    }
    let mut renamed = occupant.clone();
    renamed.address = room.address.with_resource(nick).map_err(|_| Condition::JidMalformed)?;
    renamed.key = key;
    let reads = occupant.seat(&actor).is_some_and(|seat| seat.reads);
    renamed.put(Seat {
        jid: actor,
        presence: broadcast::content_of(&stanza, &room.address),
        lang: stanza.lang.clone(),
        reads,
    });
    let leaving = Note { nick: Some(nick.to_owned()), ..Note::code(303) };
    Presence { ty: Type::Unavailable, ..Presence::gone(room, occupant, &leaving) }.show(turn, room);
    room.live.occupants.remove(&occupant.key);
    let renamed = room.live.occupants.put(renamed);
    enter::keep_nick(room, &renamed);
    let note = Note { id: stanza.id.clone(), ..Note::default() };
    Presence::of(room, &renamed, &note).show(turn, room);
    Ok(())
}
