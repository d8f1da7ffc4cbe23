//! Leaving a room, of one's own accord (XEP-0045 §7.14), because one is made to (§8.2, §9.1, §9.4, §10.2), or because one
//! cannot be reached (§11.1, §18.1.2).

use super::{
    broadcast::{Note, Presence},
    occupants::Occupant,
    room::Room,
};
use kernel::Turn;
use linnet_xmpp::{
    Jid, Stanza, StanzaError,
    stanza::{Condition, Type},
};

/// One client of an occupant leaves; with the last of them he does. `last_words`: an unavailable presence.
pub(super) fn one(
    turn: &mut Turn<'_>,
    room: &mut Room,
    occupant: &Occupant,
    client: &Jid,
    last_words: &Stanza,
    note: &Note,
) {
    let presence = Presence {
        content: last_words.inner(),
        lang: last_words.lang.as_deref(),
        ..Presence::gone(room, occupant, note)
    };
    presence.show_own(turn, room, vec![client.clone()]);
    let mut rest = occupant.clone();
    rest.seats.retain(|seat| seat.jid != *client);
    if rest.seats.is_empty() {
        presence.show_others(turn, room);
        room.live.occupants.remove(&occupant.key);
        return;
    }
    let was_shown = occupant.shown().is_some_and(|seat| seat.jid == *client);
    let rest = room.live.occupants.put(rest);
    if was_shown {
        Presence::of(room, &rest, &Note::default()).show(turn, room);
    }
}

/// An occupant is removed with all his clients. He learns it first, then the others (§8.2, §9.1).
pub(super) fn remove(turn: &mut Turn<'_>, room: &mut Room, occupant: &Occupant, note: &Note) {
    let presence = Presence::gone(room, occupant, note);
    presence.show_own(turn, room, occupant.jids());
    presence.show_others(turn, room);
    room.live.occupants.remove(&occupant.key);
}

/// A stanza came back from a client: if it cannot be reached it is out of the room (§18.1.2), and everybody is told that
/// it was a fault (§11.1).
pub(super) fn bounced(turn: &mut Turn<'_>) {
    let is_gone = StanzaError::read(turn.stanza).is_some_and(|error| {
        matches!(
            error.condition,
            Condition::Gone
                | Condition::ItemNotFound
                | Condition::RecipientUnavailable
                | Condition::Redirect
                | Condition::RemoteServerNotFound
                | Condition::RemoteServerTimeout
        )
    });
    let Some(mut room) = Room::open(turn.account).filter(|_| is_gone) else { return };
    let actor = turn.actor().clone();
    if let Some(occupant) = room.live.occupants.seat(&actor).cloned() {
        let silent = Stanza::new(linnet_xmpp::stanza::Kind::Presence, Type::Unavailable, bytes::Bytes::new());
        one(turn, &mut room, &occupant, &actor, &silent, &Note::code(333));
        room.save(turn);
    }
}
