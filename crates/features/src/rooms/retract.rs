//! Messages that are taken back: by their author (XEP-0424), or by a moderator (XEP-0425). All are told, and in the
//! archive stays a tombstone with the same id; who enters later is not given it.

use super::{broadcast, limits, occupants::Occupant, privileges::Privilege, room::Room};
use crate::messages;
use bytes::Bytes;
use kernel::{Kernel, Turn, hooks::Ask};
use linnet_xeps::{
    Payload,
    moderation::{Moderate, Moderated, Retract, Retracted},
    ns,
    stanza_id::StanzaId,
};
use linnet_xmpp::{
    Jid, Stanza, StanzaError,
    stanza::{Condition, Kind, Type},
    xml::Writer,
};
use std::sync::Arc;
use store::{LogIndex, LogQuery, LogRow, StoreError, Write};

/// An occupant may have taken back what he said: then it becomes a tombstone. What somebody else said is left alone, and so
/// is what cannot be found: clients look for themselves (XEP-0424 §5).
pub(super) fn by_author(turn: &mut Turn<'_>, room: &Room, author: &Occupant, message: &Stanza) {
    let retract = message.child("retract", ns::RETRACT).and_then(|node| Retract::read(node).ok());
    let Some(row) = retract.and_then(|retract| messages::row_of(turn.kernel, &retract.id)) else { return };
    let tombstone = Retracted { id: message.id.as_deref().map(str::to_owned), stamp: turn.now(), moderated: None };
    let (kernel, address, author) = (turn.kernel.clone(), room.address.clone(), author.real.clone());
    turn.afterwards(Box::pin(async move {
        let found = find(&kernel, &address, row).await;
        match found.map(|found| found.filter(|found| *found.peer == *author.as_str())) {
            Ok(Some(found)) => bury(&kernel, &address, &found, &tombstone),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, room = %address, "a message that was taken back could not be read"),
        }
    }));
}

/// A moderator takes back what somebody said.
pub(super) async fn moderate(ask: Ask) -> Result<Bytes, StanzaError> {
    let moderate = ask.stanza.payload().ok_or(Condition::BadRequest).map(Moderate::read)??;
    if moderate.reason.as_ref().is_some_and(|reason| reason.len() > limits::REASON_BYTES) {
        return Err(StanzaError::new(Condition::NotAcceptable).text("the reason is too long"));
    }
    let owner = ask.kernel.owner(&ask.owner).await.map_err(|_| Condition::InternalServerError)?;
    // Once before anything is told of what is there, and once more with what is true by then.
    moderator(&Room::open(&owner.lock()).ok_or(Condition::ItemNotFound)?, ask.actor())?;
    let row = messages::row_of(&ask.kernel, &moderate.id).ok_or(Condition::ItemNotFound)?;
    let found = find(&ask.kernel, &ask.owner, row).await.map_err(|error| {
        tracing::error!(%error, room = %ask.owner, "a message could not be read");
        StanzaError::from(Condition::InternalServerError)
    })?;
    let found = found.ok_or(Condition::ItemNotFound)?;
    let mut result = Err(Condition::ItemNotFound.into());
    ask.kernel.act(&owner, false, |turn| {
        let Some(mut room) = Room::open(turn.account) else { return };
        result = moderator(&room, ask.actor()).map(|by| {
            let tombstone = tell(turn, &mut room, ask.actor(), by, &moderate);
            turn_into_tombstone(turn, &found, &tombstone);
            room.save(turn);
        });
    });
    // The answer comes when it is durable.
    ask.kernel.barrier().await;
    result.map(|()| Bytes::new())
}

/// Whether somebody may moderate, and as whom others know him.
fn moderator(room: &Room, actor: &Jid) -> Result<Arc<Occupant>, StanzaError> {
    room.demand(actor, Privilege::Moderate)?;
    let bare = actor.bare();
    let role = room.standing_of_person(actor).role;
    let occupant = room.live.occupants.of(&bare).find(|occupant| occupant.role == role).cloned();
    occupant.ok_or_else(|| Condition::Forbidden.into())
}

/// Tells all, in the words of both versions, and keeps it.
fn tell(turn: &mut Turn<'_>, room: &mut Room, actor: &Jid, by: Arc<Occupant>, moderate: &Moderate) -> Retracted {
    let moderated =
        Moderated { by: by.address.clone(), occupant_id: by.id.to_string(), reason: moderate.reason.clone() };
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    Retract { id: moderate.id.clone(), moderated: Some(moderated.clone()) }.write(&mut out);
    moderated.write_old(&moderate.id, &mut out);
    let id = format!("{:016x}", turn.kernel.unique());
    let message = Stanza::new(Kind::Message, Type::Groupchat, out.finish()).from(room.address.clone());
    let mut message = message.id(Some(&id));
    if room.record.config.archive {
        let flags = messages::ARCHIVED | messages::PLAYED;
        let row = turn.append(messages::LOG, actor, flags, message.to_bytes());
        room.live.last_row = row;
        let stanza_id = StanzaId { id: messages::shown_id(turn.kernel, row), by: room.address.clone() };
        message.edit(|_| false, &stanza_id.to_bytes());
    }
    turn.emit(message, broadcast::listeners(&room.live.occupants));
    Retracted { id: Some(id), stamp: turn.now(), moderated: Some(moderated) }
}

/// A row of a room's archive that is no tombstone.
async fn find(kernel: &Kernel, room: &Jid, row: u64) -> Result<Option<LogRow>, StoreError> {
    kernel.barrier().await;
    let (after, before) = (row.checked_sub(1), row.checked_add(1));
    let query = LogQuery { after, before, any_flag: messages::ARCHIVED, limit: 1, ..LogQuery::default() };
    let found = kernel.store.log_rows(messages::LOG, room.as_str(), query).await?.pop();
    Ok(found.filter(|found| found.flags & messages::PLAYED != 0 && found.id == row))
}

fn bury(kernel: &Arc<Kernel>, room: &Jid, row: &LogRow, tombstone: &Retracted) {
    let Some(owner) = kernel.find_owner(room.as_str()) else { return };
    kernel.act(&owner, false, |turn| turn_into_tombstone(turn, row, tombstone));
}

/// The row gets another body: who said it and when stays, what was said does not.
fn turn_into_tombstone(turn: &mut Turn<'_>, row: &LogRow, tombstone: &Retracted) {
    let Some(mut message) = Stanza::from_bytes(row.body.clone()) else {
        return tracing::error!(id = row.id, "a stored message cannot be read");
    };
    message.edit(|node| !node.is("occupant-id", ns::OCCUPANT_ID), &tombstone.to_bytes());
    // Text that stands beside the elements is content too.
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    message.children().for_each(|node| {
        out.node(node);
    });
    message.set_inner(out.finish());
    let owner: Box<str> = turn.account.address.as_str().into();
    let (table, ids) = (messages::LOG, Some(vec![row.id]));
    turn.write(Write::LogClearFlags { table, owner: owner.clone(), ids, flags: u32::MAX });
    let rows = vec![LogIndex { owner, id: row.id, peer: row.peer.clone(), flags: messages::ARCHIVED }];
    turn.write(Write::LogAppend { table, rows, body: message.to_bytes() });
}
