//! The list, asked for and changed (XEP-0191 §3.2 to §3.4).

use super::{BlockList, ENTRIES, TABLE};
use crate::{marks, presence, reports, roster::Roster};
use bytes::Bytes;
use kernel::Turn;
use linnet_xeps::{
    Payload,
    blocking::{Block, BlockList as Listing, Unblock},
};
use linnet_xmpp::{
    Jid, Stanza, StanzaError,
    stanza::{Condition, Kind, Type},
};
use std::sync::Arc;
use store::Write;

pub(super) fn list(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let list = own(turn)?;
    if let Some(session) = turn.session {
        turn.mark(session, marks::BLOCK_LIST, true);
    }
    Ok(Listing { jids: list.jids.clone() }.to_bytes())
}

pub(super) fn block(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let list = own(turn)?;
    let wanted: Block = read(turn)?;
    if wanted.jids.iter().any(|jid| jid.bare_str() == turn.account.address.as_str()) {
        return Err(StanzaError::new(Condition::NotAcceptable).text("you cannot block yourself"));
    }
    let after = BlockList::of(list.jids.iter().chain(&wanted.jids).cloned().collect());
    if after.jids.len() > ENTRIES {
        return Err(StanzaError::new(Condition::ResourceConstraint).text("your block list is full"));
    }
    // §3.3: contacts who see the user are told that he is gone.
    for contact in watchers(turn, |jid| after.blocks(jid) && !list.blocks(jid)) {
        presence::hide_from(turn, &contact);
        for attached in &turn.account.sessions {
            turn.set_directed(attached, contact.clone(), false);
        }
    }
    store(turn, after);
    push(turn, wanted.to_bytes());
    let stanza = turn.stanza.clone();
    if let Some(block) = stanza.payload() {
        reports::take(turn, block);
    }
    Ok(Bytes::new())
}

pub(super) fn unblock(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let list = own(turn)?;
    let wanted: Unblock = read(turn)?;
    let mut after = list.clone();
    if wanted.jids.is_empty() {
        after.jids.clear();
    } else {
        let unwanted = BlockList::of(wanted.jids.clone());
        after.jids.retain(|jid| !unwanted.has(jid.as_str()));
    }
    // §3.4: they see him again.
    for contact in watchers(turn, |jid| list.blocks(jid) && !after.blocks(jid)) {
        presence::show_to(turn, &contact);
    }
    store(turn, after);
    push(turn, wanted.to_bytes());
    Ok(Bytes::new())
}

fn own<'a>(turn: &Turn<'a>) -> Result<&'a BlockList, StanzaError> {
    turn.document().ok_or_else(|| Condition::ServiceUnavailable.into())
}

fn read<T: Payload>(turn: &Turn<'_>) -> Result<T, StanzaError> {
    turn.stanza.payload().ok_or_else(|| StanzaError::new(Condition::BadRequest)).and_then(T::read)
}

/// Those who see the user's presence: by his roster, or because he showed it to them directly.
fn watchers(turn: &Turn<'_>, wanted: impl Fn(&Jid) -> bool) -> Vec<Jid> {
    let contacts = turn.document::<Roster>().into_iter().flat_map(Roster::contacts);
    let subscribed = contacts.filter(|contact| contact.state.from).map(|contact| contact.jid.clone());
    let directed = turn.account.sessions.iter().flat_map(|attached| attached.directed.iter().cloned());
    let mut found: Vec<Jid> = subscribed.chain(directed).filter(|jid| wanted(jid)).collect();
    found.sort();
    found.dedup();
    found
}

fn store(turn: &mut Turn<'_>, list: BlockList) {
    let owner = turn.account.address.as_str().into();
    turn.write(Write::DocPut { table: TABLE, owner, value: list.encode() });
    turn.set(list);
}

/// To every session that has asked for the list (§3.3).
fn push(turn: &mut Turn<'_>, payload: Bytes) {
    let id = format!("block-{:016x}", turn.kernel.unique());
    let stanza = Arc::new(Stanza::new(Kind::Iq, Type::Set, payload).id(Some(&id)));
    let account = turn.account;
    for attached in account.marked(marks::BLOCK_LIST) {
        turn.deliver(attached, stanza.clone(), Some(attached.session.address.clone()));
    }
}
