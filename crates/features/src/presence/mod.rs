//! Presence and subscriptions (RFC 6121 §3, §4, appendix A): broadcast, probes, directed presence, requests.
//!
//! `table` holds the state tables, `send` what one's own clients say, `receive` what comes from others.

mod receive;
mod send;
mod table;

pub(crate) use send::again;

use crate::{
    blocking::BlockList,
    roster::{Roster, State},
};
use kernel::{Attached, Feature, Hook, Turn};
use linnet_xmpp::{
    Jid, Stanza, ns,
    stanza::{Kind, Type},
};
use std::sync::Arc;

/// Presence.
pub static FEATURE: Feature = Feature {
    name: "presence",
    xeps: &[],
    server_features: &[],
    account_features: &[],
    stream_features: &["<sub xmlns='urn:xmpp:features:pre-approval'/>"],
    hooks: &[
        Hook::Send { kind: Kind::Presence, run: send::send },
        Hook::Receive { kind: Kind::Presence, run: receive::receive },
        Hook::Ended(send::ended),
    ],
};

/// The priority of a presence (§4.7.2.3): 0 where it says nothing, `None` where it says something else than a number
/// from -128 to 127.
fn priority(stanza: &Stanza) -> Option<i8> {
    match stanza.child("priority", ns::CLIENT) {
        None => Some(0),
        Some(node) => node.text().trim().parse().ok(),
    }
}

/// An empty presence in the account's name.
fn from_account(turn: &Turn<'_>, ty: Type) -> Stanza {
    Stanza::new(Kind::Presence, ty, bytes::Bytes::new()).from(turn.account.address.clone())
}

/// Sends a subscription stanza to a contact in the account's name.
pub(crate) fn say(turn: &mut Turn<'_>, ty: Type, to: &Jid) {
    let stanza = from_account(turn, ty);
    turn.emit(stanza, vec![to.bare()]);
}

/// Shows the presence of all available sessions to somebody (§3.1.5, §4.3.2).
pub(crate) fn show_to(turn: &mut Turn<'_>, to: &Jid) {
    for attached in turn.account.available() {
        if let Some(presence) = &attached.presence {
            turn.emit(Stanza::clone(presence), vec![to.clone()]);
        }
    }
}

/// Says to somebody that all available sessions are gone (§2.5.2, §3.2.2; XEP-0191 §3.3).
pub(crate) fn hide_from(turn: &mut Turn<'_>, to: &Jid) {
    for attached in turn.account.available() {
        let mut stanza = from_account(turn, Type::Unavailable);
        stanza.from = Some(attached.session.address.clone());
        turn.emit(stanza, vec![to.clone()]);
    }
}

/// Contacts who see the account's presence and are not blocked.
fn audience(turn: &Turn<'_>) -> Vec<Jid> {
    contacts(turn, |contact| contact.state.from)
}

fn contacts(turn: &Turn<'_>, wanted: impl Fn(&crate::roster::Contact) -> bool) -> Vec<Jid> {
    let Some(roster) = turn.document::<Roster>() else { return Vec::new() };
    let found = roster.contacts().iter().filter(|contact| wanted(contact));
    unblocked(turn, found.map(|contact| contact.jid.clone()).collect())
}

/// Those that the account has not blocked.
pub(crate) fn unblocked(turn: &Turn<'_>, mut jids: Vec<Jid>) -> Vec<Jid> {
    if let Some(list) = turn.document::<BlockList>() {
        jids.retain(|jid| !list.blocks(jid));
    }
    jids
}

/// Ends all subscriptions of an account that is being removed, so that its contacts do not keep them.
pub(crate) fn part_from_all(turn: &mut Turn<'_>) {
    for contact in turn.document::<Roster>().map(Roster::contacts).unwrap_or_default() {
        let State { to, from, pending_out, pending_in, .. } = contact.state;
        if to || pending_out {
            say(turn, Type::Unsubscribe, &contact.jid);
        }
        if from || pending_in {
            say(turn, Type::Unsubscribed, &contact.jid);
        }
    }
}

/// Gives a presence to all available sessions of the account itself.
fn tell_own(turn: &mut Turn<'_>, stanza: &Arc<Stanza>, but: Option<&Attached>) {
    let account = turn.account;
    let but = but.map(|attached| attached.session.id);
    for attached in account.available().filter(|attached| Some(attached.session.id) != but) {
        turn.deliver(attached, stanza.clone(), Some(attached.session.address.clone()));
    }
}
