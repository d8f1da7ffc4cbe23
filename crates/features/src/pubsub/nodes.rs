//! Making and removing nodes, their configuration, and emptying them (XEP-0060 §8.1 to §8.5).

use super::{
    access::Host,
    document::{self, Node, Nodes},
    known::{self, Change},
    limits, notify,
};
use bytes::Bytes;
use kernel::Turn;
use linnet_xeps::{
    Payload,
    forms::{Form, FormType},
    ns,
    pubsub::{Affiliation, error, unsupported},
    pubsub_config::Config,
};
use linnet_xmpp::{StanzaError, stanza::Condition, xml::Writer};

/// §8.1.
pub(super) fn create(turn: &mut Turn<'_>, name: Option<String>, form: Option<Form>) -> Result<Bytes, StanzaError> {
    let host = Host::of(turn);
    if !host.may_create() {
        return Err(Condition::Forbidden.into());
    }
    let is_instant = name.is_none();
    let name = name.unwrap_or_else(|| format!("{:016x}", turn.kernel.unique()));
    if host.nodes().get(&name).is_some() {
        return Err(Condition::Conflict.into());
    }
    let config = host.default_config(Some(&name));
    let config = match &form {
        Some(form) => host.configured(&config, form, false)?,
        None => config,
    };
    add(turn, &name, config)?;
    if !is_instant {
        return Ok(Bytes::new());
    }
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("pubsub", ns::PUBSUB).open("create", ns::PUBSUB).attr("node", &name).close().close();
    Ok(out.finish())
}

/// A node that the actor makes; he may.
pub(super) fn new(turn: &Turn<'_>, name: &str, config: Config) -> Result<Node, StanzaError> {
    let host = Host::of(turn);
    let nodes = Nodes::latest(turn);
    if name.len() > limits::NAME_BYTES {
        return Err(StanzaError::new(Condition::NotAcceptable).text("the name of the node is too long"));
    }
    let creator = host.actor.bare();
    let limit = if host.is_account() { limits::NODES_OF_ACCOUNT } else { limits::NODES_OF_SERVICE };
    let is_too_many =
        !host.is_account() && nodes.iter().filter(|node| node.creator == creator).count() >= limits::NODES_OF_ONE;
    if nodes.len() >= limit || is_too_many {
        return Err(StanzaError::new(Condition::ResourceConstraint).text("there are too many nodes"));
    }
    let mut node = Node::new(name, creator.clone(), turn.now(), config);
    if !host.is_account() {
        node.set_affiliation(&creator, Affiliation::Owner);
    }
    Ok(node)
}

fn add(turn: &mut Turn<'_>, name: &str, config: Config) -> Result<(), StanzaError> {
    let node = new(turn, name, config)?;
    Nodes::put(turn, node);
    Ok(())
}

/// §8.2.2 and §8.3.
pub(super) fn form(turn: &Turn<'_>, name: Option<&str>) -> Result<Bytes, StanzaError> {
    let host = Host::of(turn);
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("pubsub", ns::PUBSUB_OWNER);
    match name {
        Some(name) => {
            let node = host.owned(name)?;
            out.open("configure", ns::PUBSUB_OWNER).attr("node", name);
            node.config.form().write(&mut out);
        }
        None => {
            out.open("default", ns::PUBSUB_OWNER);
            host.default_config(None).form().write(&mut out);
        }
    }
    out.close().close();
    Ok(out.finish())
}

/// §8.2.4 to §8.2.6.
pub(super) fn configure(turn: &mut Turn<'_>, name: &str, form: &Form) -> Result<Bytes, StanzaError> {
    let host = Host::of(turn);
    let node = host.owned(name)?;
    if form.ty == FormType::Cancel {
        return Ok(Bytes::new());
    }
    let mut node = Node::clone(node);
    node.config = host.configured(&node.config, form, false)?;
    turn.write(document::trim(&turn.account.address, name, node.capacity()));
    node.changed();
    let node = Nodes::put(turn, node);
    known::changed(turn, &node, &Change::Configured)?;
    if node.config.notify_config {
        let event = notify::event(|out| {
            out.open("configuration", ns::PUBSUB_EVENT).attr("node", name);
            if node.config.deliver_payloads {
                node.config.result().write(out);
            }
            out.close();
        });
        notify::tell(turn, &node, event);
    }
    Ok(Bytes::new())
}

/// §8.4.
pub(super) fn delete(turn: &mut Turn<'_>, name: &str, redirect: Option<&str>) -> Result<Bytes, StanzaError> {
    let host = Host::of(turn);
    let node = host.owned(name)?;
    Nodes::remove(turn, &[name.into()]);
    node.changed();
    known::changed(turn, node, &Change::Emptied)?;
    if node.config.notify_delete {
        let event = notify::event(|out| {
            out.open("delete", ns::PUBSUB_EVENT).attr("node", name);
            if let Some(uri) = redirect {
                out.open("redirect", ns::PUBSUB_EVENT).attr("uri", uri).close();
            }
            out.close();
        });
        notify::tell(turn, node, event);
    }
    Ok(Bytes::new())
}

/// §8.5.
pub(super) fn purge(turn: &mut Turn<'_>, name: &str) -> Result<Bytes, StanzaError> {
    let node = Host::of(turn).owned(name)?;
    if !node.config.persist {
        return Err(unsupported("persistent-items"));
    }
    turn.write(document::trim(&turn.account.address, name, 0));
    node.changed();
    known::changed(turn, node, &Change::Emptied)?;
    if node.config.notify_retract {
        let event = notify::event(|out| {
            out.open("purge", ns::PUBSUB_EVENT).attr("node", name).close();
        });
        notify::tell(turn, node, event);
    }
    Ok(Bytes::new())
}

/// The error for preconditions that a node does not meet (§7.1.5).
pub(super) fn precondition_not_met() -> StanzaError {
    error(Condition::Conflict, "precondition-not-met")
}
