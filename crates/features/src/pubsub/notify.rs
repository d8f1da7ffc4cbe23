//! Notifications (XEP-0060 §7.1.2.1, §12): to whom they go, and what is in them. They are sent on by the owner of the
//! nodes, once what they tell is durable; block lists are asked where they arrive, access when they are sent.

use super::{
    access::Host,
    digest,
    document::{Node, Subscription},
};
use crate::{blocking::BlockList, pep, presence, roster::Roster};
use bytes::Bytes;
use kernel::Turn;
use linnet_xeps::{
    ns,
    pubsub::{Item, SubscriptionState},
    pubsub_options::Shows,
};
use linnet_xmpp::{
    Jid, Stanza,
    stanza::{Kind, Type},
    xml::Writer,
};
use std::{collections::HashSet, time::Duration};

/// The content of a notification.
pub(super) fn event(write: impl FnOnce(&mut Writer)) -> Bytes {
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("event", ns::PUBSUB_EVENT);
    write(&mut out);
    out.close();
    out.finish()
}

/// That items were published.
pub(super) fn items(node: &str, items: &[Item]) -> Bytes {
    event(|out| {
        out.open("items", ns::PUBSUB_EVENT).attr("node", node);
        items.iter().for_each(|item| item.write(ns::PUBSUB_EVENT, out));
        out.close();
    })
}

/// An item as subscribers get it.
pub(super) fn told(node: &Node, item: Item) -> Item {
    Item { payload: if node.config.deliver_payloads { item.payload } else { Bytes::new() }, ..item }
}

/// That items are gone.
pub(super) fn retracted(node: &str, ids: &[String]) -> Bytes {
    event(|out| {
        out.open("items", ns::PUBSUB_EVENT).attr("node", node);
        for id in ids {
            out.open("retract", ns::PUBSUB_EVENT).attr("id", id).close();
        }
        out.close();
    })
}

/// A message from the owner of the nodes.
pub(super) fn message(turn: &Turn<'_>, ty: Type, content: Bytes) -> Stanza {
    let id = format!("{:016x}", turn.kernel.unique());
    Stanza::new(Kind::Message, ty, content).from(turn.account.address.clone()).id(Some(&id))
}

/// The type of a node's notifications.
pub(super) fn ty(node: &Node) -> Type {
    if node.config.headlines { Type::Headline } else { Type::Normal }
}

/// Tells all who are to be told of something that happened to a node.
pub(super) fn tell(turn: &mut Turn<'_>, node: &Node, event: Bytes) {
    if !node.config.deliver_notifications {
        return;
    }
    let host = Host::of(turn);
    let stanza = message(turn, ty(node), event.clone());
    let blocked = turn.document::<BlockList>();
    // Who is subscribed may read, unless the node has been closed to him.
    let is_told = |one: &&Subscription| {
        one.options.deliver
            && host.may_subscribe(node, &one.jid).is_ok()
            && blocked.is_none_or(|list| !list.blocks(&one.jid))
    };
    let told: Vec<_> = node.in_force(turn.now()).filter(is_told).collect();
    if host.is_account() {
        tell_contacts(turn, &host, node, &stanza, &told);
    }
    let mut at_once = Vec::new();
    for Subscription { jid, options, .. } in told {
        if options.digest {
            digest::keep(turn, node, jid.clone(), event.clone(), Duration::from_millis(options.digest_ms));
        } else if options.shows != Shows::ALL {
            pep::tell_while(turn, &stanza, options.shows, jid.clone());
        } else {
            at_once.push(jid.clone());
        }
    }
    turn.emit(stanza, at_once);
}

/// XEP-0060 §9.1: who sees an account's presence is subscribed; what he wants his client has said. Those who are told
/// because they have subscribed are not told twice.
fn tell_contacts(turn: &mut Turn<'_>, host: &Host<'_>, node: &Node, stanza: &Stanza, told: &[&Subscription]) {
    let told: HashSet<&str> = told.iter().map(|one| one.jid.as_str()).collect();
    let roster = turn.account.document::<Roster>().map(Roster::contacts).unwrap_or_default();
    let contacts = roster.iter().filter(|contact| contact.state.from).map(|contact| &contact.jid);
    let is_told = |jid: &&Jid| !told.contains(jid.as_str()) && host.may_read(node, jid).is_ok();
    let contacts = presence::unblocked(turn, contacts.filter(is_told).cloned().collect());
    if !told.contains(turn.account.address.as_str()) {
        pep::tell_own(turn, stanza, &node.name);
    }
    pep::tell(turn, stanza, &node.name, contacts);
}

/// Tells an address that its subscription has another state (§12.2).
pub(super) fn state(turn: &mut Turn<'_>, node: &str, jid: &Jid, state: SubscriptionState, to: Vec<Jid>) {
    let event = event(|out| {
        out.open("subscription", ns::PUBSUB_EVENT).attr("node", node).attr("jid", jid.as_str());
        out.attr("subscription", state.name()).close();
    });
    let stanza = message(turn, Type::Headline, event);
    turn.emit(stanza, to);
}
