//! To which sessions a message goes: RFC 6121 §8.5.2, §8.5.3, summed up in its table 1 (§8.5.4).

use crate::pubsub;
use kernel::{Attached, Turn, hooks::Refusal};
use linnet_xmpp::{
    Jid, StanzaError, ns,
    stanza::{Condition, Type},
};

/// The session that the full address of the turn's stanza names, if it is here.
fn named<'a>(turn: &Turn<'a>) -> Option<&'a Attached> {
    let to = turn.stanza.to.as_ref()?;
    turn.account.resource(to.resource()?)
}

/// Whether the message goes to the account, or to a session that is here.
pub(super) fn matches_or_is_bare(turn: &Turn<'_>) -> bool {
    turn.stanza.to.as_ref().is_none_or(Jid::is_bare) || named(turn).is_some()
}

pub(super) fn deliver(turn: &mut Turn<'_>, row: u64) -> Result<(), Refusal> {
    if is_own(turn) && pubsub::authorize::answered(turn)? {
        return Ok(());
    }
    if let Some(attached) = named(turn) {
        // D: to the session named, whatever its priority.
        turn.deliver_row(attached, row);
        return Ok(());
    }
    let is_bare = matches_or_is_bare(turn);
    match (turn.stanza.ty, is_bare) {
        (Type::Chat, _) | (Type::Normal, true) => to_most_available(turn, row),
        (Type::Headline, true) => {
            to_all(turn, row);
            Ok(())
        }
        (Type::Error, _) | (Type::Headline, false) => Err(Refusal::Silent),
        _ => Err(StanzaError::new(Condition::ServiceUnavailable).into()),
    }
}

/// Whether it is from the account to itself: so owners answer who may subscribe to their nodes (XEP-0060 §8.6).
fn is_own(turn: &Turn<'_>) -> bool {
    turn.stanza.to.as_ref().is_none_or(Jid::is_bare) && turn.actor().bare_str() == turn.account.address.as_str()
}

/// A for headlines: every session that takes messages.
fn to_all(turn: &mut Turn<'_>, row: u64) {
    let account = turn.account;
    for attached in account.sessions.iter().filter(|attached| attached.takes_messages()) {
        turn.deliver_row(attached, row);
    }
}

/// M: every session of the highest priority; O where there is none. What may not be stored is refused then, if it says
/// something that its sender will miss.
fn to_most_available(turn: &mut Turn<'_>, row: u64) -> Result<(), Refusal> {
    let account = turn.account;
    let takers = || account.sessions.iter().filter(|attached| attached.takes_messages());
    let Some(highest) = takers().map(|attached| attached.priority).max() else {
        if row == 0 && turn.stanza.child("body", ns::CLIENT).is_some() {
            return Err(StanzaError::new(Condition::ServiceUnavailable).into());
        }
        return Ok(());
    };
    for attached in takers().filter(|attached| attached.priority == highest) {
        turn.deliver_row(attached, row);
    }
    Ok(())
}
