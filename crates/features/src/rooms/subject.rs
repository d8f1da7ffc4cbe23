//! The subject (XEP-0045 §8.1, §7.2.15).

use super::{broadcast, limits, occupants::Occupant, privileges::Privilege, record::Subject, room::Room, speak};
use crate::messages;
use kernel::Turn;
use linnet_xeps::{Payload, delay::Delay};
use linnet_xmpp::{
    Jid, Stanza, StanzaError, ns,
    stanza::{Condition, Kind, Type},
    xml::Writer,
};

/// Whether a message changes the subject: it has one, and neither words nor a thread.
pub(super) fn is_one(stanza: &Stanza) -> bool {
    let has = |name: &str| stanza.child(name, ns::CLIENT).is_some();
    has("subject") && !has("body") && !has("thread")
}

/// Sets the subject and tells everybody.
///
/// # Errors
/// forbidden, or not-acceptable for one that is too long.
pub(super) fn change(turn: &mut Turn<'_>, room: &mut Room, occupant: &Occupant) -> Result<(), StanzaError> {
    if !room.occupant_standing(occupant).may(Privilege::ChangeSubject, &room.record.config) {
        return Err(Condition::Forbidden.into());
    }
    let mut out = Writer::new(ns::CLIENT);
    turn.stanza.children().filter(|node| node.is("subject", ns::CLIENT)).for_each(|node| {
        out.node(node);
    });
    let content = out.finish();
    if content.len() > limits::SUBJECT_BYTES {
        return Err(StanzaError::new(Condition::NotAcceptable).text("the subject is too long"));
    }
    let at = turn.now();
    let (nick, occupant_id) = (occupant.nick().to_owned(), occupant.id.to_string());
    room.edit().subject = Some(Subject { content: bytes::Bytes::copy_from_slice(&content), nick, occupant_id, at });
    let message = speak::from_occupant(turn, room, occupant);
    // It is in the archive (XEP-0313 §6.1.2), and not among what is played to who enters (§7.2.13).
    speak::give(turn, room, occupant, message, Some(messages::ARCHIVED));
    Ok(())
}

/// Tells one client the subject, or that there is none: the end of entering.
pub(super) fn show(turn: &mut Turn<'_>, room: &Room, to: &Jid) {
    let mut out = Writer::new(ns::CLIENT);
    let mut from = room.address.clone();
    match &room.record.subject {
        None => {
            out.open("subject", ns::CLIENT).close();
        }
        Some(subject) => {
            from = room.address.with_resource(&subject.nick).unwrap_or(from);
            out.raw(&subject.content);
            Delay { from: Some(room.address.clone()), stamp: subject.at, reason: None }.write(&mut out);
            broadcast::write_occupant_id(&subject.occupant_id, &mut out);
        }
    }
    let id = format!("{:016x}", turn.kernel.unique());
    let message = Stanza::new(Kind::Message, Type::Groupchat, out.finish()).from(from).id(Some(&id));
    turn.emit(message, vec![to.clone()]);
}
