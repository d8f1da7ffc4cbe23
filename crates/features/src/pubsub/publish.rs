//! Publishing and retracting items (XEP-0060 §7).

use super::{
    access::Host,
    document::{self, Node, Nodes, Stored, item_key, items_of},
    known::{self, Change},
    limits, nodes, notify,
};
use bytes::Bytes;
use kernel::Turn;
use linnet_xeps::{
    forms::Form,
    ns,
    pubsub::{Item, error, unsupported},
    pubsub_config::{Config, ItemReply},
};
use linnet_xmpp::{StanzaError, stanza::Condition, xml::Writer};
use std::sync::Arc;
use store::Write;

/// §7.1.
pub(super) fn publish(
    turn: &mut Turn<'_>,
    name: &str,
    mut items: Vec<Item>,
    options: Option<Form>,
) -> Result<Bytes, StanzaError> {
    let host = Host::of(turn);
    if items.len() > 1 {
        return Err(StanzaError::new(Condition::BadRequest).text("one item at a time (XEP-0060 §7.1.1)"));
    }
    if options.as_ref().is_some_and(|form| form.form_type() != Some(ns::PUBLISH_OPTIONS)) {
        return Err(StanzaError::new(Condition::BadRequest).text("the options are not publish-options"));
    }
    let mut item = items.pop();
    let node = match host.nodes().get(name) {
        Some(node) => {
            if !host.may_publish(node) {
                return Err(Condition::Forbidden.into());
            }
            if let Some(form) = &options
                && host.configured(&node.config, form, true)? != node.config
            {
                return Err(nodes::precondition_not_met());
            }
            check(node, item.as_ref())?;
            node.clone()
        }
        // XEP-0163 §3: an account's node is made by what is published to it.
        None if host.is_account() && host.may_create() => {
            let config = match &options {
                Some(form) => host.configured(&host.default_config(Some(name)), form, true)?,
                None => host.default_config(Some(name)),
            };
            let node = nodes::new(turn, name, config)?;
            check(&node, item.as_ref())?;
            Nodes::put(turn, node)
        }
        None if host.is_account() => return Err(Condition::Forbidden.into()),
        None => return Err(Condition::ItemNotFound.into()),
    };
    if let Some(item) = &mut item {
        item.id.get_or_insert_with(|| format!("{:016x}", turn.kernel.unique()));
    }
    if let (Some(id), false) = (item.as_ref().and_then(|item| item.id.as_deref()), host.may_replace(&node)) {
        require_own(turn, &node, id);
    }
    keep(turn, &node, item.as_ref());
    if let Some(item) = &item {
        known::changed(turn, &node, &Change::Published(item))?;
    }
    tell(turn, &node, item.as_ref());
    Ok(published(name, item.as_ref()))
}

/// Publishes as the account itself: what other features keep in its nodes. The node is made with `config` if it is not
/// there; one that is there stays as its owner has set it up. The item has an id. What a client's publication would cause
/// beside notifications is the caller's business.
///
/// # Errors
/// There are too many nodes, or the node takes no such item.
pub fn store(turn: &mut Turn<'_>, name: &str, item: &Item, config: Config) -> Result<(), StanzaError> {
    let known = Nodes::latest(turn).get(name).cloned();
    let node = match known {
        Some(node) => node,
        None => {
            let node = nodes::new(turn, name, config)?;
            Nodes::put(turn, node)
        }
    };
    check(&node, Some(item))?;
    keep(turn, &node, Some(item));
    tell(turn, &node, Some(item));
    Ok(())
}

/// Tells subscribers of an item.
fn tell(turn: &mut Turn<'_>, node: &Node, item: Option<&Item>) {
    let publisher = (node.config.item_reply == ItemReply::Publisher).then(|| turn.actor().bare_str().to_owned());
    let told = item.map(|item| notify::told(node, Item { publisher, ..item.clone() }));
    notify::tell(turn, node, notify::items(&node.name, told.as_slice()));
}

/// An item that is there already must be the actor's own (§4.1).
fn require_own(turn: &mut Turn<'_>, node: &Node, id: &str) {
    let (owner, key) = (turn.account.address.as_str().into(), item_key(&node.name, id));
    let own = Stored::beginning(turn.actor().bare_str());
    turn.require_or(store::Condition::MapBegins(items_of(&node.name), owner, key, own), Condition::Forbidden.into());
}

/// Removes items as the account itself, and says so.
pub(crate) fn remove(turn: &mut Turn<'_>, name: &str, ids: &[String]) {
    let Some(node) = Nodes::latest(turn).get(name).cloned() else { return };
    let_go(turn, &node, ids);
    notify::tell(turn, &node, notify::retracted(name, ids));
}

/// Removes items whose time is over.
pub(super) fn expire(turn: &mut Turn<'_>, node: &Node, ids: &[String]) {
    let_go(turn, node, ids);
    if let Err(error) = known::changed(turn, node, &Change::Retracted(ids)) {
        tracing::error!(?error, node = %node.name, "what follows from expired items could not be done");
    }
    if node.config.notify_retract {
        notify::tell(turn, node, notify::retracted(&node.name, ids));
    }
}

fn let_go(turn: &mut Turn<'_>, node: &Node, ids: &[String]) {
    node.changed();
    for id in ids {
        let owner = turn.account.address.as_str().into();
        turn.write(Write::MapRemove { table: items_of(&node.name), owner, key: item_key(&node.name, id) });
    }
}

/// §7.1.3: whether an item, or none, is what the node takes.
fn check(node: &Node, item: Option<&Item>) -> Result<(), StanzaError> {
    let config = &node.config;
    match item {
        None if config.persist || config.deliver_payloads => Err(error(Condition::BadRequest, "item-required")),
        None => Ok(()),
        Some(_) if !config.persist && !config.deliver_payloads => Err(error(Condition::BadRequest, "item-forbidden")),
        Some(item) if item.payload.is_empty() && config.deliver_payloads => {
            Err(error(Condition::BadRequest, "payload-required"))
        }
        Some(item) if item.payload.len() as u64 > config.max_payload => {
            Err(error(Condition::NotAcceptable, "payload-too-big"))
        }
        Some(item) if item.id.as_ref().is_some_and(|id| id.len() > limits::NAME_BYTES) => {
            Err(StanzaError::new(Condition::NotAcceptable).text("the id of the item is too long"))
        }
        Some(_) => Ok(()),
    }
}

/// Stores an item, if the node keeps any, and lets the oldest go.
fn keep(turn: &mut Turn<'_>, node: &Arc<Node>, item: Option<&Item>) {
    node.published();
    let Some(item) = item.filter(|_| node.config.persist) else { return };
    let stored = Stored {
        id: item.id.clone().unwrap_or_default(),
        publisher: turn.actor().bare_str().to_owned(),
        published: turn.now(),
        payload: item.payload.clone(),
    };
    let owner = turn.account.address.clone();
    turn.write(stored.put(&owner, &node.name));
    turn.write(document::trim(&owner, &node.name, node.capacity()));
}

/// §7.1.2: the answer, with the item's id.
fn published(name: &str, item: Option<&Item>) -> Bytes {
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("pubsub", ns::PUBSUB).open("publish", ns::PUBSUB).attr("node", name);
    if let Some(item) = item {
        out.open("item", ns::PUBSUB).attr_opt("id", item.id.as_deref()).close();
    }
    out.close().close();
    out.finish()
}

/// §7.2. Owners may, and everybody else who may publish, what is his own. What is not there is item-not-found, as the store
/// says; to others than owners it is forbidden, like what is somebody else's.
pub(super) fn retract(turn: &mut Turn<'_>, name: &str, notify: bool, ids: &[String]) -> Result<Bytes, StanzaError> {
    let host = Host::of(turn);
    let node = host.node(name)?;
    if !host.may_publish(node) {
        return Err(Condition::Forbidden.into());
    }
    if ids.is_empty() {
        return Err(error(Condition::BadRequest, "item-required"));
    }
    if !node.config.persist {
        return Err(unsupported("persistent-items"));
    }
    for id in ids {
        let owner = turn.account.address.as_str().into();
        let condition = store::Condition::MapExists(items_of(name), owner, item_key(name, id));
        turn.require_or(condition, Condition::ItemNotFound.into());
        if !host.may_replace(node) {
            require_own(turn, node, id);
        }
    }
    let_go(turn, node, ids);
    known::changed(turn, node, &Change::Retracted(ids))?;
    if notify || node.config.notify_retract {
        notify::tell(turn, node, notify::retracted(name, ids));
    }
    Ok(Bytes::new())
}
