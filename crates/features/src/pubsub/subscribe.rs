//! What subscribers do: subscribe, unsubscribe, set options, and see what they have (XEP-0060 §5.6, §5.7, §6.1 to §6.4).

use super::{
    access::Host,
    authorize,
    document::{Node, Nodes, Subscription},
    items, limits, notify,
};
use bytes::Bytes;
use kernel::{Turn, access};
use linnet_xeps::{
    Payload,
    forms::{Form, FormType},
    ns,
    pubsub::{Affiliation, SubscriptionState, error, unsupported},
    pubsub_config::SendLast,
    pubsub_options::{Expire, Options, Shows},
};
use linnet_xmpp::{Jid, StanzaError, stanza::Condition, xml::Writer};

/// §6.1.
pub(super) fn subscribe(turn: &mut Turn<'_>, name: &str, jid: &Jid, form: Option<Form>) -> Result<Bytes, StanzaError> {
    let host = Host::of(turn);
    if jid.bare_str() != host.actor.bare_str() {
        return Err(error(Condition::BadRequest, "invalid-jid"));
    }
    let node = host.node(name)?;
    let is_allowed = host.may_subscribe(node, host.actor)?;
    if !node.config.subscribe {
        return Err(unsupported("subscribe"));
    }
    let known = node.subscription(jid).cloned();
    if known.as_ref().is_some_and(|known| known.state == SubscriptionState::Pending) && !is_allowed {
        return Err(error(Condition::NotAuthorized, "pending-subscription"));
    }
    if known.is_none() && node.subscriptions.len() >= limits::SUBSCRIPTIONS {
        return Err(error(Condition::PolicyViolation, "too-many-subscriptions"));
    }
    let mut options = known.as_ref().map_or_else(Options::default, |known| known.options);
    if let Some(form) = &form {
        choose(&host, jid, &mut options, form)?;
    }
    // One that was approved stays so.
    let is_approved = known.as_ref().is_some_and(|known| known.state == SubscriptionState::Subscribed);
    let state = if is_allowed || is_approved { SubscriptionState::Subscribed } else { SubscriptionState::Pending };
    let subscription = Subscription { jid: jid.clone(), state, options };
    if known.as_ref() != Some(&subscription) {
        let mut node = Node::clone(node);
        node.subscriptions.retain(|one| one.jid != *jid);
        node.subscriptions.push(subscription);
        Nodes::put(turn, node);
    }
    if state == SubscriptionState::Pending {
        let owners = authorize::owners(turn, node);
        authorize::ask(turn, node, jid, owners);
    } else if known.is_none() {
        joined(turn, node, jid);
    }
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("pubsub", ns::PUBSUB);
    write_subscription(&mut out, ns::PUBSUB, Some(name), jid, state);
    out.close();
    Ok(out.finish())
}

/// §6.3.5. What a subscriber shows is known of accounts here alone, and to whom he sends presence himself of services alone.
fn choose(host: &Host<'_>, jid: &Jid, options: &mut Options, form: &Form) -> Result<(), StanzaError> {
    options.apply(form, host.kernel.context.now())?;
    let is_known = options.shows == Shows::ALL || access::is_ours(host.kernel, jid);
    if !is_known || (options.expire == Expire::Presence && host.is_account()) {
        return Err(error(Condition::BadRequest, "invalid-options"));
    }
    Ok(())
}

/// §12.5: a subscriber has gone, and with him what lasts only as long as he is there.
pub(super) fn gone(turn: &mut Turn<'_>) {
    let who = turn.actor().clone();
    let is_his = |one: &Subscription| {
        one.options.expire == Expire::Presence && (one.jid == who || one.jid.as_str() == who.bare_str())
    };
    let nodes = Host::of(turn).nodes().iter();
    for node in nodes.filter(|node| node.subscriptions.iter().any(is_his)) {
        let mut node = Node::clone(node);
        node.subscriptions.retain(|one| !is_his(one));
        Nodes::put(turn, node);
    }
}

/// What a new subscription causes: the owners hear of it, the subscriber gets the last item (§6.1.7).
pub(super) fn joined(turn: &mut Turn<'_>, node: &Node, jid: &Jid) {
    if node.config.notify_sub {
        let owners = authorize::owners(turn, node);
        notify::state(turn, &node.name, jid, SubscriptionState::Subscribed, owners);
    }
    if node.config.send_last != SendLast::Never && node.config.persist {
        let (kernel, host) = (turn.kernel.clone(), turn.account.address.clone());
        turn.afterwards(Box::pin(items::send_last(kernel, host, vec![items::Last::of(node)], jid.clone())));
    }
}

/// §6.2.
pub(super) fn unsubscribe(turn: &mut Turn<'_>, name: &str, jid: &Jid) -> Result<Bytes, StanzaError> {
    let host = Host::of(turn);
    let node = host.node(name)?;
    check_subscriber(&host, jid)?;
    if node.subscription(jid).is_none() {
        return Err(error(Condition::UnexpectedRequest, "not-subscribed"));
    }
    let mut node = Node::clone(node);
    node.subscriptions.retain(|one| one.jid != *jid);
    let node = Nodes::put(turn, node);
    if node.config.notify_sub {
        let owners = authorize::owners(turn, &node);
        notify::state(turn, name, jid, SubscriptionState::None, owners);
    }
    Ok(Bytes::new())
}

fn check_subscriber(host: &Host<'_>, jid: &Jid) -> Result<(), StanzaError> {
    if jid.bare_str() == host.actor.bare_str() { Ok(()) } else { Err(Condition::Forbidden.into()) }
}

/// The subscription of an address: §6.3.4.
fn subscription<'a>(node: &'a Node, jid: &Jid, subid: Option<&str>) -> Result<&'a Subscription, StanzaError> {
    let found = node.subscription(jid).ok_or_else(|| error(Condition::UnexpectedRequest, "not-subscribed"))?;
    // There is one subscription for an address, so none has an id.
    if subid.is_some() { Err(error(Condition::NotAcceptable, "invalid-subid")) } else { Ok(found) }
}

/// §6.3.2.
pub(super) fn options(host: &Host<'_>, name: &str, jid: &Jid, subid: Option<&str>) -> Result<Bytes, StanzaError> {
    let node = host.node(name)?;
    check_subscriber(host, jid)?;
    let options = subscription(node, jid, subid)?.options;
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("pubsub", ns::PUBSUB).open("options", ns::PUBSUB).attr("node", name).attr("jid", jid.as_str());
    options.form().write(&mut out);
    out.close().close();
    Ok(out.finish())
}

/// §6.4.
pub(super) fn default_options(host: &Host<'_>, name: Option<&str>) -> Result<Bytes, StanzaError> {
    if let Some(name) = name {
        host.node(name)?;
    }
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("pubsub", ns::PUBSUB).open("default", ns::PUBSUB).attr_opt("node", name);
    Options::default().form().write(&mut out);
    out.close().close();
    Ok(out.finish())
}

/// §6.3.5.
pub(super) fn set_options(
    turn: &mut Turn<'_>,
    name: &str,
    jid: &Jid,
    subid: Option<&str>,
    form: Option<&Form>,
) -> Result<Bytes, StanzaError> {
    let host = Host::of(turn);
    let node = host.node(name)?;
    check_subscriber(&host, jid)?;
    subscription(node, jid, subid)?;
    let form = form.ok_or_else(|| error(Condition::BadRequest, "invalid-options"))?;
    if form.ty == FormType::Cancel {
        return Ok(Bytes::new());
    }
    let mut node = Node::clone(node);
    for one in node.subscriptions.iter_mut().filter(|one| one.jid == *jid) {
        choose(&host, jid, &mut one.options, form)?;
    }
    Nodes::put(turn, node);
    Ok(Bytes::new())
}

/// §5.6.
pub(super) fn subscriptions(host: &Host<'_>, name: Option<&str>) -> Result<Bytes, StanzaError> {
    if let Some(name) = name {
        host.node(name)?;
    }
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("pubsub", ns::PUBSUB).open("subscriptions", ns::PUBSUB).attr_opt("node", name);
    for node in host.nodes().iter().filter(|node| name.is_none_or(|name| *node.name == *name)) {
        for one in node.subscriptions.iter().filter(|one| one.jid.bare_str() == host.actor.bare_str()) {
            write_subscription(&mut out, ns::PUBSUB, Some(&node.name), &one.jid, one.state);
        }
    }
    out.close().close();
    Ok(out.finish())
}

/// §5.7.
pub(super) fn affiliations(host: &Host<'_>, name: Option<&str>) -> Result<Bytes, StanzaError> {
    if let Some(name) = name {
        host.node(name)?;
    }
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("pubsub", ns::PUBSUB).open("affiliations", ns::PUBSUB).attr_opt("node", name);
    for node in host.nodes().iter().filter(|node| name.is_none_or(|name| *node.name == *name)) {
        let affiliation = host.affiliation(node, host.actor);
        if affiliation != Affiliation::None {
            out.open("affiliation", ns::PUBSUB)
                .attr("node", &node.name)
                .attr("affiliation", affiliation.name())
                .close();
        }
    }
    out.close().close();
    Ok(out.finish())
}

pub(super) fn write_subscription(
    out: &mut Writer,
    space: &str,
    node: Option<&str>,
    jid: &Jid,
    state: SubscriptionState,
) {
    out.open("subscription", space).attr_opt("node", node).attr("jid", jid.as_str());
    out.attr("subscription", state.name()).close();
}
