//! Personal eventing (XEP-0163): accounts as pubsub services. The nodes are those of `pubsub`; here is what they have beyond
//! it: who sees an account's presence is subscribed, gets what his client asks for with `+notify` (XEP-0060 §9.2), and the
//! last items when it comes online.
//!
//! What a client wants is remembered with its session (`caps`), so a notification goes to the account of the contact, and
//! there to those sessions that want it. What clients of contacts at other servers want is kept with the account itself
//! (`abroad`).

mod abroad;
mod caps;

pub(crate) use abroad::present;
pub(crate) use caps::told;

use crate::{
    blocking::BlockList,
    pubsub::{Node, Nodes, access::Host, items},
    roster::Roster,
};
use kernel::{
    Attached, Feature, Hook, Turn,
    hooks::{Notice, Xep},
};
use linnet_xeps::{pubsub_config::SendLast, pubsub_options::Shows};
use linnet_xmpp::{
    Jid, Stanza,
    stanza::{Kind, Type},
};
use std::sync::Arc;

/// Personal eventing.
pub static FEATURE: Feature = Feature {
    name: "pep",
    xeps: &[
        Xep { number: 163, version: "1.2.2", note: "" },
        Xep { number: 172, version: "1.1", note: "a node like others" },
        Xep { number: 222, version: "1.0", note: "" },
        Xep { number: 223, version: "1.1.1", note: "" },
        Xep { number: 292, version: "0.12.0", note: "a node like others" },
    ],
    server_features: &[],
    account_features: &[],
    stream_features: &[],
    hooks: &[Hook::Notice(notice), Hook::Ended(abroad::ended), Hook::Restored(restored)],
};

/// The nodes that a session's client wants notifications of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interests {
    /// What its presence said of its capabilities.
    key: Box<str>,
    /// Names, in order; shared by all clients that are alike.
    nodes: Arc<[Box<str>]>,
}

impl Interests {
    pub(crate) fn has(&self, node: &str) -> bool {
        self.nodes.binary_search_by(|name| (**name).cmp(node)).is_ok()
    }
}

/// What one account tells another.
enum Word {
    /// To a contact: the stanza is a notification of this node.
    Event(Box<str>),
    /// To a contact: this session, which sent the stanza, wants the last items of these nodes.
    Wants(Interests),
    /// To a contact: from now on he sees this account.
    Approved,
    /// To a subscriber: the stanza is a notification for sessions that show one of these.
    While(Shows),
}

fn wants(session: &Attached, node: &str) -> bool {
    session.presence.is_some() && session.remembered::<Interests>().is_some_and(|interests| interests.has(node))
}

/// Tells contacts what happened to a node, where they want to know.
pub(crate) fn tell(turn: &mut Turn<'_>, stanza: &Stanza, node: &str, contacts: Vec<Jid>) {
    let (here, abroad): (Vec<_>, Vec<_>) = contacts.into_iter().partition(|jid| turn.kernel.serves(jid.domain()));
    let clients = abroad.iter().flat_map(|contact| abroad::clients(turn, contact, node)).collect();
    turn.emit(stanza.clone(), clients);
    turn.emit_with(stanza.clone(), here, Arc::new(Word::Event(node.into())));
}

/// Tells a subscriber, as long as he shows what he said (XEP-0060 §16.4.2).
pub(crate) fn tell_while(turn: &mut Turn<'_>, stanza: &Stanza, shows: Shows, subscriber: Jid) {
    turn.emit_with(stanza.clone(), vec![subscriber], Arc::new(Word::While(shows)));
}

/// Tells the account's own sessions that want to know.
pub(crate) fn tell_own(turn: &mut Turn<'_>, stanza: &Stanza, node: &str) {
    let (account, stanza) = (turn.account, Arc::new(stanza.clone()));
    for session in account.sessions.iter().filter(|session| wants(session, node)) {
        turn.deliver(session, stanza.clone(), Some(session.session.address.clone()));
    }
}

/// What a session wants is known: it gets the last items of its own account's nodes and of its contacts'.
fn greet(turn: &mut Turn<'_>, session: &Attached, interests: &Interests) {
    if interests.nodes.is_empty() {
        return;
    }
    let address = session.session.address.clone();
    offer(turn, interests, &address);
    let blocked = turn.document::<BlockList>();
    let contacts = turn.document::<Roster>().map(Roster::contacts).unwrap_or_default();
    let contacts = contacts.iter().filter(|contact| contact.state.to).map(|contact| contact.jid.clone());
    let contacts = contacts.filter(|jid| blocked.is_none_or(|list| !list.blocks(jid))).collect();
    ask(turn, address, interests.clone(), contacts);
}

/// Asks accounts for the last items that a session wants.
fn ask(turn: &mut Turn<'_>, session: Jid, interests: Interests, accounts: Vec<Jid>) {
    let stanza = Stanza::new(Kind::Presence, Type::Available, bytes::Bytes::new()).from(session);
    turn.emit_with(stanza, accounts, Arc::new(Word::Wants(interests)));
}

/// Sends the last items of the account's nodes to a session that wants them and may have them.
fn offer(turn: &mut Turn<'_>, interests: &Interests, to: &Jid) {
    let host = Host { actor: to, ..Host::of(turn) };
    let nodes = turn.document::<Nodes>().unwrap_or(Nodes::NONE);
    let is_offered = |node: &&Arc<Node>| {
        let config = &node.config;
        config.send_last == SendLast::OnPresence
            && config.persist
            && config.deliver_notifications
            && interests.has(&node.name)
            && host.may_read(node, to).is_ok()
    };
    let wanted: Vec<_> = nodes.iter().filter(is_offered).map(|node| items::Last::of(node)).collect();
    if !wanted.is_empty() {
        let (kernel, account) = (turn.kernel.clone(), turn.account.address.clone());
        turn.afterwards(Box::pin(items::send_last(kernel, account, wanted, to.clone())));
    }
}

/// A contact sees the account from now on.
pub(crate) fn approved(turn: &mut Turn<'_>, contact: &Jid) {
    if !turn.kernel.serves(contact.domain()) {
        return abroad::approved(turn, &contact.bare());
    }
    if turn.document::<Nodes>().is_some_and(|nodes| nodes.iter().next().is_some()) {
        let stanza =
            Stanza::new(Kind::Presence, Type::Available, bytes::Bytes::new()).from(turn.account.address.clone());
        turn.emit_with(stanza, vec![contact.bare()], Arc::new(Word::Approved));
    }
}

/// What an available session shows; `None`: that it is there.
fn show(session: &Attached) -> Option<String> {
    let node = session.presence.as_ref()?.child("show", linnet_xmpp::ns::CLIENT)?;
    Some(node.text().into_owned())
}

/// What a session's client wants is found out anew.
fn restored(turn: &mut Turn<'_>) {
    let presence = turn.session.and_then(|session| Some((session, session.presence.clone()?)));
    if let Some((session, presence)) = presence {
        told(turn, session, &presence);
    }
}

/// What another account says.
fn notice(turn: &mut Turn<'_>, notice: &Notice) -> bool {
    let Some(word) = notice.downcast_ref::<Word>() else { return false };
    let account = turn.account;
    match word {
        Word::Event(node) => {
            let stanza = turn.stanza.clone();
            for session in account.sessions.iter().filter(|session| wants(session, node)) {
                turn.deliver(session, stanza.clone(), Some(session.session.address.clone()));
            }
        }
        Word::While(shows) => {
            let stanza = turn.stanza.clone();
            let resource = stanza.to.as_ref().and_then(Jid::resource);
            let is_meant = |session: &&Attached| resource.is_none() || session.session.address.resource() == resource;
            for session in account.available().filter(is_meant).filter(|session| shows.has(show(session).as_deref())) {
                turn.deliver(session, stanza.clone(), Some(session.session.address.clone()));
            }
        }
        Word::Wants(interests) => {
            let actor = turn.actor().clone();
            offer(turn, interests, &actor);
        }
        Word::Approved => {
            let to = turn.actor().bare();
            for session in account.available() {
                if let Some(interests) = session.remembered::<Interests>().filter(|known| !known.nodes.is_empty()) {
                    ask(turn, session.session.address.clone(), interests.clone(), vec![to.clone()]);
                }
            }
        }
    }
    true
}
