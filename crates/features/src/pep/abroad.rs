//! Contacts at other servers who see an account's presence (XEP-0163 §4.3): what their clients want is learned from the
//! presence that they send, and kept while the account has a session. Their notifications go to their full addresses.

use super::{
    Interests,
    caps::{Names, Told, ask, verified},
    offer,
};
use crate::roster::Roster;
use kernel::{Kernel, Turn, owner::Owner};
use linnet_xmpp::{Jid, Stanza, stanza::Type};
use std::{collections::BTreeMap, sync::Arc};

/// Clients of contacts that are remembered for one account: everybody has some, with two or three devices each.
const CLIENTS: usize = 2000;

/// What clients of contacts want, by their full addresses.
#[derive(Debug, Clone, Default)]
struct Abroad(BTreeMap<Jid, Interests>);

/// Presence has come to the account, perhaps from a contact at another server.
pub(crate) fn present(turn: &mut Turn<'_>) {
    let stanza = turn.stanza;
    let from = turn.actor().clone();
    if turn.kernel.serves(from.domain()) || from.is_bare() {
        return;
    }
    match stanza.ty {
        Type::Available if is_contact(turn, &from) && !turn.account.sessions.is_empty() => told(turn, stanza, &from),
        Type::Unavailable | Type::Error => put(turn, &from, None),
        _ => {}
    }
}

/// Whether the account sees somebody's presence, or he the account's: one comes after the other.
fn is_contact(turn: &Turn<'_>, who: &Jid) -> bool {
    let contact = turn.document::<Roster>().and_then(|roster| roster.contact(&who.bare()));
    contact.is_some_and(|contact| contact.state.from || contact.state.to)
}

/// Whether a contact sees the account's presence.
fn sees(turn: &Turn<'_>, who: &Jid) -> bool {
    let contact = turn.document::<Roster>().and_then(|roster| roster.contact(&who.bare()));
    contact.is_some_and(|contact| contact.state.from)
}

fn known<'a>(turn: &Turn<'a>, who: &Jid) -> Option<&'a Interests> {
    turn.account.held::<Abroad>()?.0.get(who)
}

fn told(turn: &mut Turn<'_>, stanza: &Stanza, from: &Jid) {
    let told = Told::read(stanza);
    let Some((key, told)) = told.and_then(|told| Some((told.node()?, told))) else {
        return put(turn, from, None);
    };
    let key: Box<str> = key.into();
    if known(turn, from).is_some_and(|known| known.key == key) {
        return;
    }
    match verified(&key) {
        Some(nodes) => learned(turn, from, key, nodes),
        None => {
            // Remembered at once, so that the same presence again does not ask again.
            put(turn, from, Some(Interests { key: key.clone(), nodes: Arc::from([]) }));
            let (kernel, account, from) = (turn.kernel.clone(), turn.account.address.clone(), from.clone());
            turn.afterwards(Box::pin(async move {
                match kernel.owner(&account).await {
                    Ok(owner) => learn(&kernel, &owner, from, told, key).await,
                    Err(error) => tracing::error!(%error, %account, "the account could not be read"),
                }
            }));
        }
    }
}

async fn learn(kernel: &Arc<Kernel>, owner: &Arc<Owner>, from: Jid, told: Told, key: Box<str>) {
    let Some(nodes) = ask(kernel, owner, &from, &told, &key).await else { return };
    kernel.act(owner, false, |turn| {
        // It may have gone, or told something else meanwhile.
        if known(turn, &from).is_some_and(|known| known.key == key) {
            learned(turn, &from, key, nodes);
        }
    });
}

/// It is known what a client wants: it gets the last items, if its user sees the account's presence.
fn learned(turn: &mut Turn<'_>, from: &Jid, key: Box<str>, nodes: Names) {
    let interests = Interests { key, nodes };
    if !interests.nodes.is_empty() && sees(turn, from) {
        offer(turn, &interests, from);
    }
    put(turn, from, Some(interests));
}

fn put(turn: &mut Turn<'_>, who: &Jid, interests: Option<Interests>) {
    let held = turn.account.held::<Abroad>();
    if interests.is_none() && held.is_none_or(|held| !held.0.contains_key(who)) {
        return;
    }
    let mut after = held.cloned().unwrap_or_default();
    match interests {
        Some(interests) if after.0.len() < CLIENTS || after.0.contains_key(who) => {
            after.0.insert(who.clone(), interests);
        }
        Some(_) => return,
        None => {
            after.0.remove(who);
        }
    }
    turn.hold(Some(after).filter(|after| !after.0.is_empty()));
}

/// The clients of a contact that want to be told of a node.
pub(super) fn clients(turn: &Turn<'_>, contact: &Jid, node: &str) -> Vec<Jid> {
    let Some(held) = turn.account.held::<Abroad>() else { return Vec::new() };
    let his = held.0.iter().filter(|(who, interests)| who.bare_str() == contact.as_str() && interests.has(node));
    his.map(|(who, _)| who.clone()).collect()
}

/// A contact sees the account from now on: his clients get the last items.
pub(super) fn approved(turn: &mut Turn<'_>, contact: &Jid) {
    let is_his = |who: &Jid| who.bare_str() == contact.as_str();
    let held = turn.account.held::<Abroad>();
    let his: Vec<_> = held.into_iter().flat_map(|held| &held.0).filter(|(who, _)| is_his(who)).collect();
    if his.is_empty() {
        return;
    }
    let his: Vec<_> = his.into_iter().map(|(who, interests)| (who.clone(), interests.clone())).collect();
    let (kernel, account) = (turn.kernel.clone(), turn.account.address.clone());
    // Afterwards, when the roster says that he does.
    turn.afterwards(Box::pin(async move {
        match kernel.owner(&account).await {
            Ok(owner) => kernel.act(&owner, false, |turn| {
                his.iter().for_each(|(who, interests)| offer(turn, interests, who));
            }),
            Err(error) => tracing::error!(%error, %account, "the account could not be read"),
        }
    }));
}

/// A session has ended: the last one takes what was kept with it. Contacts are asked for their presence again when the
/// next one comes.
pub(super) fn ended(turn: &mut Turn<'_>) {
    if turn.account.sessions.len() <= 1 && turn.account.held::<Abroad>().is_some() {
        turn.hold::<Abroad>(None);
    }
}
