//! Owners look at and change the subscriptions and affiliations of a node (XEP-0060 §8.8, §8.9).

use super::{access::Host, authorize, document::Node, limits, subscribe::write_subscription};
use bytes::Bytes;
use kernel::Turn;
use linnet_xeps::{
    ns,
    pubsub::{Affiliation, SubscriptionState, error},
};
use linnet_xmpp::{Jid, StanzaError, stanza::Condition, xml::Writer};

/// §8.8.1.
pub(super) fn subscriptions(turn: &Turn<'_>, name: &str) -> Result<Bytes, StanzaError> {
    let node = Host::of(turn).owned(name)?;
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("pubsub", ns::PUBSUB_OWNER).open("subscriptions", ns::PUBSUB_OWNER).attr("node", name);
    for one in &node.subscriptions {
        write_subscription(&mut out, ns::PUBSUB_OWNER, None, &one.jid, one.state);
    }
    out.close().close();
    Ok(out.finish())
}

/// §8.8.2: all changes or none.
pub(super) fn set_subscriptions(
    turn: &mut Turn<'_>,
    name: &str,
    changes: Vec<(Jid, SubscriptionState, Option<String>)>,
) -> Result<Bytes, StanzaError> {
    let host = Host::of(turn);
    let node = host.owned(name)?;
    let mut real = Vec::new();
    for (jid, state, subid) in changes {
        if subid.is_some() {
            return Err(error(Condition::NotAcceptable, "invalid-subid"));
        }
        if state == SubscriptionState::Unconfigured {
            return Err(StanzaError::new(Condition::NotAcceptable).text("subscriptions need no configuration here"));
        }
        let before = node.subscription(&jid).map_or(SubscriptionState::None, |one| one.state);
        if before != state {
            real.push((jid, state));
        }
    }
    if node.subscriptions.len() + real.len() > limits::SUBSCRIPTIONS {
        return Err(error(Condition::PolicyViolation, "too-many-subscriptions"));
    }
    if !real.is_empty() {
        authorize::change(turn, node, &real);
    }
    Ok(Bytes::new())
}

/// §8.9.1.
pub(super) fn affiliations(turn: &Turn<'_>, name: &str) -> Result<Bytes, StanzaError> {
    let host = Host::of(turn);
    let node = host.owned(name)?;
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("pubsub", ns::PUBSUB_OWNER).open("affiliations", ns::PUBSUB_OWNER).attr("node", name);
    let mut write = |jid: &Jid, affiliation: Affiliation| {
        out.open("affiliation", ns::PUBSUB_OWNER)
            .attr("jid", jid.as_str())
            .attr("affiliation", affiliation.name())
            .close();
    };
    if host.is_account() {
        write(&turn.account.address, Affiliation::Owner);
    }
    node.affiliations.iter().for_each(|(jid, affiliation)| write(jid, *affiliation));
    out.close().close();
    Ok(out.finish())
}

/// §8.9.2: all changes or none. Somebody has to own the node afterwards.
pub(super) fn set_affiliations(
    turn: &mut Turn<'_>,
    name: &str,
    changes: Vec<(Jid, Affiliation)>,
) -> Result<Bytes, StanzaError> {
    let host = Host::of(turn);
    let mut node = Node::clone(host.owned(name)?);
    let mut decided = Vec::new();
    for (jid, affiliation) in changes {
        let bare = jid.bare();
        if host.is_account() && bare == turn.account.address {
            if affiliation != Affiliation::Owner {
                return Err(StanzaError::new(Condition::NotAcceptable).text("an account owns its nodes"));
            }
            continue;
        }
        node.set_affiliation(&bare, affiliation);
        // §8.7.4: who is banned loses his subscriptions, and who may read needs no approval any more.
        let his = node.subscriptions.iter().filter(|one| one.jid.bare_str() == bare.as_str());
        match affiliation {
            Affiliation::Outcast => decided.extend(his.map(|one| (one.jid.clone(), SubscriptionState::None))),
            Affiliation::Owner | Affiliation::Publisher | Affiliation::Member => {
                let pending = his.filter(|one| one.state == SubscriptionState::Pending);
                decided.extend(pending.map(|one| (one.jid.clone(), SubscriptionState::Subscribed)));
            }
            Affiliation::PublishOnly | Affiliation::None => {}
        }
    }
    let has_owner = node.affiliations.iter().any(|(_, affiliation)| *affiliation == Affiliation::Owner);
    if !host.is_account() && !has_owner {
        return Err(StanzaError::new(Condition::NotAcceptable).text("a node needs an owner"));
    }
    if node.affiliations.len() > limits::AFFILIATIONS {
        return Err(StanzaError::new(Condition::ResourceConstraint).text("there are too many affiliations"));
    }
    authorize::change(turn, &node, &decided);
    Ok(Bytes::new())
}
