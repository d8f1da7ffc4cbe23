//! Approval of subscriptions by owners, who answer a form that comes in a message (XEP-0060 §8.6).

use super::{
    access::Host,
    document::{Node, Nodes},
    notify, subscribe,
};
use kernel::Turn;
use linnet_xeps::{
    Payload,
    forms::{Field, FieldType, Form, FormType},
    ns,
    pubsub::{Affiliation, SubscriptionState},
};
use linnet_xmpp::{
    Jid, StanzaError,
    stanza::{Condition, Type},
};

/// The addresses of a node's owners.
pub(super) fn owners(turn: &Turn<'_>, node: &Node) -> Vec<Jid> {
    if Host::of(turn).is_account() {
        return vec![turn.account.address.clone()];
    }
    let owners = node.affiliations.iter().filter(|(_, affiliation)| *affiliation == Affiliation::Owner);
    owners.map(|(jid, _)| jid.clone()).collect()
}

/// Asks owners whether somebody may subscribe.
pub(super) fn ask(turn: &mut Turn<'_>, node: &Node, jid: &Jid, owners: Vec<Jid>) {
    let form = Form::of(FormType::Form, ns::PUBSUB_SUBSCRIBE_AUTHORIZATION)
        .title("A wish to subscribe")
        .field(Field::new(FieldType::TextSingle, "pubsub#node").label("Node").value(&*node.name))
        .field(Field::new(FieldType::JidSingle, "pubsub#subscriber_jid").label("Subscriber").value(jid.as_str()))
        .field(Field::new(FieldType::Boolean, "pubsub#allow").label("Allow it?").value("false"));
    let stanza = notify::message(turn, Type::Normal, form.to_bytes());
    turn.emit(stanza, owners);
}

/// Whether a message is an owner's answer; if so, it has been taken.
pub(crate) fn answered(turn: &mut Turn<'_>) -> Result<bool, StanzaError> {
    let Some(form) = turn.stanza.child("x", ns::DATA_FORMS).and_then(|node| Form::read(node).ok()) else {
        return Ok(false);
    };
    if form.form_type() != Some(ns::PUBSUB_SUBSCRIBE_AUTHORIZATION) || form.ty != FormType::Submit {
        return Ok(false);
    }
    let host = Host::of(turn);
    let node = host.owned(form.value("pubsub#node").unwrap_or_default())?;
    let (Some(jid), Some(allow)) = (form.jid("pubsub#subscriber_jid")?, form.boolean("pubsub#allow")?) else {
        return Err(Condition::BadRequest.into());
    };
    if node.subscription(&jid).is_none_or(|one| one.state != SubscriptionState::Pending) {
        // §8.6: the wish was taken back, or another owner has answered.
        return Ok(true);
    }
    let state = if allow { SubscriptionState::Subscribed } else { SubscriptionState::None };
    change(turn, node, &[(jid, state)]);
    Ok(true)
}

/// Gives subscriptions other states in an owner's name, and tells the subscribers (§12.2).
pub(super) fn change(turn: &mut Turn<'_>, node: &Node, changes: &[(Jid, SubscriptionState)]) {
    use super::document::Subscription;
    use linnet_xeps::pubsub_options::Options;

    let mut new = Node::clone(node);
    for (jid, state) in changes {
        let options = node.subscription(jid).map_or_else(Options::default, |one| one.options);
        new.subscriptions.retain(|one| one.jid != *jid);
        if *state != SubscriptionState::None {
            new.subscriptions.push(Subscription { jid: jid.clone(), state: *state, options });
        }
    }
    let new = Nodes::put(turn, new);
    for (jid, state) in changes {
        notify::state(turn, &node.name, jid, *state, vec![jid.clone()]);
        if *state == SubscriptionState::Subscribed {
            subscribe::joined(turn, &new, jid);
        }
    }
}
