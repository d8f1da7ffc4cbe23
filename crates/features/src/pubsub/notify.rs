//! Notifications (XEP-0060 §7.1.2.1, §12): to whom they go, and what is in them. They are sent on by the owner of the
//! nodes, once what they tell is durable; block lists are asked where they arrive, access when they are sent.

use super::{access::Host, digest, document::Node};
use crate::{pep, presence, roster::Roster};
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
use std::time::Duration;

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
    let wants = |jid: &Jid| host.may_read(node, jid).is_ok();
    let wanted: Vec<_> = node.in_force(turn.now()).filter(|one| one.options.deliver && wants(&one.jid)).collect();
    let told = presence::unblocked(turn, wanted.iter().map(|one| one.jid.clone()).collect());
    if host.is_account() {
        // XEP-0060 §9.1: who sees the presence is subscribed; what he wants his client has said. Once is enough.
        let roster = turn.account.document::<Roster>().map(Roster::contacts).unwrap_or_default();
        let contacts = roster.iter().filter(|contact| contact.state.from).map(|contact| &contact.jid);
        let contacts = contacts.filter(|jid| wants(jid) && !told.contains(jid)).cloned().collect();
        let contacts = presence::unblocked(turn, contacts);
        if !told.contains(&turn.account.address) {
            pep::tell_own(turn, &stanza, &node.name);
        }
        pep::tell(turn, &stanza, &node.name, contacts);
    }
    let shows = |jid: &Jid| wanted.iter().find(|one| one.jid == *jid).map_or(Shows::ALL, |one| one.options.shows);
    let patience = |jid: &Jid| wanted.iter().find(|one| one.jid == *jid && one.options.digest);
    let (later, at_once): (Vec<_>, Vec<_>) = told.into_iter().partition(|jid| patience(jid).is_some());
    for jid in later {
        let wait = Duration::from_millis(patience(&jid).map_or(0, |one| one.options.digest_ms));
        digest::keep(turn, node, jid, event.clone(), wait);
    }
    let (always, sometimes): (Vec<_>, Vec<_>) = at_once.into_iter().partition(|jid| shows(jid) == Shows::ALL);
    for jid in sometimes {
        pep::tell_while(turn, &stanza, shows(&jid), jid);
    }
    turn.emit(stanza, always);
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
