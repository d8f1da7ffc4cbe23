//! What was said before somebody entered (XEP-0045 §7.2.13, §7.2.14): read from the room's archive beside the lane. What
//! is said meanwhile comes behind it, for it is in the archive too; then the subject, and from then on what is live.

use super::{limits, occupants::Occupant, room::Room, subject};
use crate::messages;
use kernel::{Kernel, Turn};
use linnet_xeps::{Payload, delay::Delay, muc::History, ns, stanza_id::StanzaId};
use linnet_xmpp::{Jid, Stanza, xml::Node};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use store::{LogQuery, LogRow, StoreError};

/// How much somebody gets.
#[derive(Debug, Clone, Copy)]
struct Measure {
    stanzas: usize,
    chars: usize,
    since: Option<SystemTime>,
}

impl Measure {
    /// The least of what the client asks for and what the room gives.
    fn of(wanted: Option<History>, usual: u32, now: SystemTime) -> Measure {
        let wanted = wanted.unwrap_or_default();
        let least = |wanted: Option<u64>, most: usize| wanted.map_or(most, |wanted| most.min(wanted as usize));
        let seconds = wanted.seconds.and_then(|seconds| now.checked_sub(Duration::from_secs(seconds)));
        let is_limited = wanted.since.is_some() || wanted.seconds.is_some();
        // Who says since when wants all of it, not the usual number.
        let most = if is_limited && usual > 0 { limits::MAX_HISTORY } else { usual.min(limits::MAX_HISTORY) };
        Measure {
            stanzas: least(wanted.max_stanzas, most as usize),
            chars: least(wanted.max_chars, limits::HISTORY_BYTES),
            since: wanted.since.max(seconds),
        }
    }
}

/// Begins to give a client what it wants; at the end stands the subject.
pub(super) fn begin(turn: &mut Turn<'_>, room: &mut Room, client: &Jid, wanted: Option<History>) {
    let config = &room.record.config;
    let measure = Measure::of(wanted, config.history, turn.now());
    // A room that is not stored has no archive yet, and one that was just made nothing in it.
    let is_empty = room.is_locked || room.live.is_new && room.live.last_row == 0;
    if !config.archive || is_empty || measure.stanzas == 0 || measure.chars == 0 {
        return subject::show(turn, room, client);
    }
    set_reads(room, client, true);
    let (kernel, address, client) = (turn.kernel.clone(), room.address.clone(), client.clone());
    let known = room.live.last_row;
    turn.afterwards(Box::pin(async move {
        if let Err(error) = give(&kernel, &address, &client, measure, known).await {
            tracing::error!(%error, room = %address, "the history of a room could not be read");
            finish(&kernel, &address, &client, Vec::new(), u64::MAX);
        }
    }));
}

fn set_reads(room: &mut Room, client: &Jid, reads: bool) {
    let Some(occupant) = room.live.occupants.seat(client) else { return };
    let mut occupant = Occupant::clone(occupant);
    occupant.seats.iter_mut().filter(|seat| seat.jid == *client).for_each(|seat| seat.reads = reads);
    room.live.occupants.put(occupant);
}

/// Reads until nothing was said while it read. `known`: the last row when the client came.
async fn give(kernel: &Arc<Kernel>, room: &Jid, client: &Jid, measure: Measure, known: u64) -> Result<(), StoreError> {
    kernel.barrier().await;
    let (mut rows, newest) = newest(kernel, room, measure).await?;
    let mut last = known.max(newest);
    // Ends: each time round is one message that came within the time of one read.
    for _ in 0..100 {
        let Some(missing) = finish(kernel, room, client, std::mem::take(&mut rows), last) else { return Ok(()) };
        kernel.barrier().await;
        rows = since(kernel, room, missing).await?;
        last = rows.last().map_or(missing, |row| row.id);
    }
    finish(kernel, room, client, Vec::new(), u64::MAX);
    Ok(())
}

/// Sends rows, and the subject if nothing was said since the last of them; else says after which row something was.
fn finish(kernel: &Arc<Kernel>, address: &Jid, client: &Jid, rows: Vec<LogRow>, last: u64) -> Option<u64> {
    let owner = kernel.loaded_owner(address.as_str()).or_else(|| kernel.find_owner(address.as_str()))?;
    let mut missing = None;
    kernel.act(&owner, false, |turn| {
        let Some(mut room) = Room::open(turn.account) else { return };
        let is_here = room.live.occupants.seat(client).and_then(|occupant| occupant.seat(client));
        if !is_here.is_some_and(|seat| seat.reads) {
            return;
        }
        for row in rows {
            show(turn, &room, &row, client);
        }
        if room.live.last_row > last {
            missing = Some(last);
            return;
        }
        subject::show(turn, &room, client);
        set_reads(&mut room, client, false);
        room.save(turn);
    });
    missing
}

/// What belongs to the measure, and the newest row that was read.
async fn newest(kernel: &Kernel, room: &Jid, measure: Measure) -> Result<(Vec<LogRow>, u64), StoreError> {
    let micros = |time: SystemTime| u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros());
    let query = LogQuery {
        after: measure.since.map(|time| micros(time).unwrap_or(u64::MAX).saturating_sub(1)),
        any_flag: messages::PLAYED,
        backwards: true,
        limit: measure.stanzas,
        bytes: measure.chars,
        ..LogQuery::default()
    };
    let mut left = measure.chars;
    let rows = kernel.store.log_rows(messages::LOG, room.as_str(), query).await?;
    let newest = rows.first().map_or(0, |row| row.id);
    let fits = |row: &LogRow| {
        let fits = row.body.len() <= left;
        left = left.saturating_sub(row.body.len());
        fits
    };
    let mut rows: Vec<_> = rows.into_iter().take_while(fits).collect();
    rows.reverse();
    Ok((rows, newest))
}

async fn since(kernel: &Kernel, room: &Jid, after: u64) -> Result<Vec<LogRow>, StoreError> {
    let query = LogQuery {
        after: Some(after),
        any_flag: messages::PLAYED,
        limit: limits::MAX_HISTORY as usize,
        ..LogQuery::default()
    };
    kernel.store.log_rows(messages::LOG, room.as_str(), query).await
}

/// One message of the past, with the time when it came, unless it says itself when it was first said (§7.9).
fn show(turn: &mut Turn<'_>, room: &Room, row: &LogRow, client: &Jid) {
    let Some(mut message) = Stanza::from_bytes(row.body.clone()) else {
        return tracing::error!(id = row.id, room = %room.address, "a stored message cannot be read");
    };
    let mut added = Vec::new();
    if !message.children().any(|node: Node<'_>| node.is("delay", ns::DELAY)) {
        let stamp = UNIX_EPOCH + Duration::from_micros(row.id);
        added.extend_from_slice(&Delay { from: Some(room.address.clone()), stamp, reason: None }.to_bytes());
    }
    let id = StanzaId { id: messages::shown_id(turn.kernel, row.id), by: room.address.clone() };
    added.extend_from_slice(&id.to_bytes());
    message.edit(|_| false, &added);
    turn.emit(message, vec![client.clone()]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_what_is_asked_for_and_what_is_given() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let of = |wanted| Measure::of(Some(wanted), 20, now);
        assert_eq!(Measure::of(None, 20, now).stanzas, 20);
        assert_eq!(of(History { max_stanzas: Some(5), ..History::default() }).stanzas, 5);
        assert_eq!(of(History { max_stanzas: Some(500), ..History::default() }).stanzas, 20);
        assert_eq!(of(History { max_chars: Some(0), ..History::default() }).chars, 0);
        let recent = of(History { seconds: Some(180), since: Some(UNIX_EPOCH), ..History::default() });
        assert_eq!(recent.since, Some(now - Duration::from_secs(180)));
        assert_eq!(recent.stanzas, limits::MAX_HISTORY as usize);
        assert_eq!(Measure::of(Some(History { since: Some(now), ..History::default() }), 0, now).stanzas, 0);
    }
}
