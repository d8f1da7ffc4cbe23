//! What a room tells its occupants: presence of each other (XEP-0045 §7.2.2), with as much of real addresses as each may
//! see, and messages of its own.

use super::{
    occupants::{Occupant, Occupants, Seat},
    room::Room,
};
use bytes::Bytes;
use kernel::Turn;
use linnet_xeps::{
    Payload,
    muc::{Actor, Affiliation, Destroy, Item, Role, User},
    ns,
};
use linnet_xmpp::{
    Jid, Stanza,
    stanza::{Kind, Type},
    xml::{Node, Writer},
};

/// What is said beside role and affiliation when an occupant's presence is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Note {
    /// Codes for everybody.
    pub(super) statuses: Vec<u16>,
    /// Codes for himself, beside 110.
    pub(super) own: Vec<u16>,
    /// The new nickname, where it changes.
    pub(super) nick: Option<String>,
    /// Why.
    pub(super) reason: Option<String>,
    /// Who did it.
    pub(super) actor: Option<Actor>,
    /// The end of the room.
    pub(super) destroy: Option<Destroy>,
    /// The id of the client's presence that is passed on.
    pub(super) id: Option<Box<str>>,
}

impl Note {
    /// With a code for everybody.
    pub(super) fn code(code: u16) -> Note {
        Note { statuses: vec![code], ..Note::default() }
    }
}

/// An occupant's presence.
pub(super) struct Presence<'a> {
    pub(super) occupant: &'a Occupant,
    pub(super) affiliation: Affiliation,
    /// Available, or unavailable.
    pub(super) ty: Type,
    /// What his client says with it.
    pub(super) content: &'a Bytes,
    pub(super) lang: Option<&'a str>,
    pub(super) note: &'a Note,
}

impl<'a> Presence<'a> {
    /// As his client has said it.
    pub(super) fn of(room: &Room, occupant: &'a Occupant, note: &'a Note) -> Presence<'a> {
        static NOTHING: Bytes = Bytes::new();
        let shown = occupant.shown();
        Presence {
            occupant,
            affiliation: room.affiliation(&occupant.real),
            ty: Type::Available,
            content: shown.map_or(&NOTHING, |seat| &seat.presence),
            lang: shown.and_then(|seat| seat.lang.as_deref()),
            note,
        }
    }

    /// That he is gone, without what his client says.
    pub(super) fn gone(room: &Room, occupant: &'a Occupant, note: &'a Note) -> Presence<'a> {
        static NOTHING: Bytes = Bytes::new();
        Presence { ty: Type::Unavailable, content: &NOTHING, lang: None, ..Presence::of(room, occupant, note) }
    }

    /// The stanza, for those who see addresses or those who do not, for others or for himself.
    pub(super) fn stanza(&self, with_address: bool, is_own: bool) -> Stanza {
        let (occupant, note) = (self.occupant, self.note);
        let changes_nick = note.nick.is_some();
        let is_gone = self.ty == Type::Unavailable && !changes_nick;
        let shown = occupant.shown().filter(|_| with_address && note.destroy.is_none());
        let mut statuses = note.statuses.clone();
        if is_own {
            statuses.push(110);
            statuses.extend(&note.own);
        }
        let user = User {
            item: Some(Item {
                affiliation: Some(if note.destroy.is_some() { Affiliation::None } else { self.affiliation }),
                role: Some(if is_gone { Role::None } else { occupant.role }),
                jid: shown.map(|seat| seat.jid.clone()),
                nick: note.nick.clone(),
                reason: note.reason.clone(),
                actor: note.actor.clone(),
            }),
            statuses,
            destroy: note.destroy.clone(),
            ..User::default()
        };
        let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
        out.raw(self.content);
        user.write(&mut out);
        write_occupant_id(&occupant.id, &mut out);
        let stanza = Stanza::new(Kind::Presence, self.ty, out.finish()).from(occupant.address.clone());
        let mut stanza = stanza.id(note.id.as_deref());
        stanza.lang = self.lang.map(Into::into);
        stanza
    }

    /// Sends it to all others who may see it, and to his own clients.
    pub(super) fn show(&self, turn: &mut Turn<'_>, room: &Room) {
        self.show_others(turn, room);
        self.show_own(turn, room, self.occupant.jids());
    }

    /// To all others, if others see occupants with his role.
    pub(super) fn show_others(&self, turn: &mut Turn<'_>, room: &Room) {
        if !room.record.config.shows(self.occupant.role) {
            return;
        }
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for other in room.live.occupants.iter().filter(|other| other.key != self.occupant.key) {
            let to = if room.sees_addresses(other) { &mut with } else { &mut without };
            to.extend(other.seats.iter().map(|seat| seat.jid.clone()));
        }
        if !with.is_empty() {
            turn.emit(self.stanza(true, false), with);
        }
        if !without.is_empty() {
            turn.emit(self.stanza(false, false), without);
        }
    }

    /// To clients of his own.
    pub(super) fn show_own(&self, turn: &mut Turn<'_>, room: &Room, to: Vec<Jid>) {
        turn.emit(self.stanza(room.sees_addresses(self.occupant), true), to);
    }
}

/// Shows a client who is in the room: all others of whom presence is shown (§7.2.2).
pub(super) fn show_all_to(turn: &mut Turn<'_>, room: &Room, newcomer: &Occupant, to: &Jid) {
    let with_address = room.sees_addresses(newcomer);
    let note = Note::default();
    let others: Vec<_> = room.live.occupants.iter().filter(|other| other.key != newcomer.key).cloned().collect();
    for other in others.iter().filter(|other| room.record.config.shows(other.role)) {
        turn.emit(Presence::of(room, other, &note).stanza(with_address, false), vec![to.clone()]);
    }
}

/// A message of the room itself to all clients in it.
pub(super) fn tell(turn: &mut Turn<'_>, room: &Room, ty: Type, content: Bytes) {
    let id = format!("{:016x}", turn.kernel.unique());
    let stanza = Stanza::new(Kind::Message, ty, content).from(room.address.clone()).id(Some(&id));
    turn.emit(stanza, listeners(&room.live.occupants));
}

/// All clients that are not being given what was said before.
pub(super) fn listeners(occupants: &Occupants) -> Vec<Jid> {
    let seats = occupants.iter().flat_map(|occupant| &occupant.seats);
    seats.filter(|seat| !seat.reads).map(|seat: &Seat| seat.jid.clone()).collect()
}

/// `<occupant-id/>` (XEP-0421 §3).
pub(super) fn write_occupant_id(id: &str, out: &mut Writer) {
    out.open("occupant-id", ns::OCCUPANT_ID).attr("id", id).close();
}

/// Whether an element is one that only rooms may write, or that is for the room and nobody else (§17.3).
pub(super) fn is_the_rooms(node: Node<'_>, room: &Jid) -> bool {
    let by =
        |name: &str| node.attr(name).is_some_and(|by| Jid::parse(&by).is_ok_and(|by| by.bare_str() == room.as_str()));
    match (node.ns(), node.name()) {
        (ns::MUC | ns::MUC_USER | ns::OCCUPANT_ID, _) => true,
        (ns::STANZA_ID, "stanza-id") => by("by"),
        (ns::DELAY, "delay") => by("from"),
        ("urn:xmpp:hats:0", "hats") => true,
        _ => false,
    }
}

/// What of a presence others get to see.
pub(super) fn content_of(stanza: &Stanza, room: &Jid) -> Bytes {
    let mut stanza = stanza.clone();
    stanza.edit(|node| is_the_rooms(node, room), &[]);
    if stanza.inner().len() > super::limits::PRESENCE_BYTES {
        stanza.edit(|node| node.ns() != linnet_xmpp::ns::CLIENT, &[]);
    }
    if stanza.inner().len() > super::limits::PRESENCE_BYTES {
        return Bytes::new();
    }
    // A copy, so that nothing larger is held in memory for it.
    Bytes::copy_from_slice(stanza.inner())
}
