//! What service discovery tells of services, accounts and nodes (XEP-0060 §5.1 to §5.5).

use super::{access::Host, document::Node, items, pending};
use crate::discovery;
use bytes::Bytes;
use kernel::{
    Turn,
    access::{self, Action},
    hooks::{Ask, At},
};
use linnet_xeps::{
    Payload, datetime,
    disco::{Identity, Info, Item, Items},
    ns, pubsub_config,
};
use linnet_xmpp::{StanzaError, stanza::Condition};

/// What a service and an account can do alike (§10).
macro_rules! features {
    ($($more:literal),*) => {
        &[
            "http://jabber.org/protocol/commands",
            "http://jabber.org/protocol/pubsub",
            "http://jabber.org/protocol/pubsub#access-authorize",
            "http://jabber.org/protocol/pubsub#access-open",
            "http://jabber.org/protocol/pubsub#access-whitelist",
            "http://jabber.org/protocol/pubsub#config-node",
            "http://jabber.org/protocol/pubsub#config-node-max",
            "http://jabber.org/protocol/pubsub#create-and-configure",
            "http://jabber.org/protocol/pubsub#create-nodes",
            "http://jabber.org/protocol/pubsub#delete-items",
            "http://jabber.org/protocol/pubsub#delete-nodes",
            "http://jabber.org/protocol/pubsub#get-pending",
            "http://jabber.org/protocol/pubsub#instant-nodes",
            "http://jabber.org/protocol/pubsub#item-ids",
            "http://jabber.org/protocol/pubsub#leased-subscription",
            "http://jabber.org/protocol/pubsub#manage-subscriptions",
            "http://jabber.org/protocol/pubsub#member-affiliation",
            "http://jabber.org/protocol/pubsub#meta-data",
            "http://jabber.org/protocol/pubsub#modify-affiliations",
            "http://jabber.org/protocol/pubsub#multi-items",
            "http://jabber.org/protocol/pubsub#outcast-affiliation",
            "http://jabber.org/protocol/pubsub#persistent-items",
            "http://jabber.org/protocol/pubsub#publish",
            "http://jabber.org/protocol/pubsub#publish-only-affiliation",
            "http://jabber.org/protocol/pubsub#publish-options",
            "http://jabber.org/protocol/pubsub#publisher-affiliation",
            "http://jabber.org/protocol/pubsub#purge-nodes",
            "http://jabber.org/protocol/pubsub#retract-items",
            "http://jabber.org/protocol/pubsub#retrieve-affiliations",
            "http://jabber.org/protocol/pubsub#retrieve-default",
            "http://jabber.org/protocol/pubsub#retrieve-default-sub",
            "http://jabber.org/protocol/pubsub#retrieve-items",
            "http://jabber.org/protocol/pubsub#retrieve-subscriptions",
            "http://jabber.org/protocol/pubsub#rsm",
            "http://jabber.org/protocol/pubsub#subscribe",
            "http://jabber.org/protocol/pubsub#subscription-notifications",
            "http://jabber.org/protocol/pubsub#subscription-options",
            "http://jabber.org/protocol/rsm",
            $($more),*
        ]
    };
}

/// Of the service.
pub(super) const SERVICE: &[&str] = features!();

/// Of accounts (XEP-0163 §6.1).
pub(crate) const ACCOUNT: &[&str] = features!(
    "http://jabber.org/protocol/pubsub#access-presence",
    "http://jabber.org/protocol/pubsub#access-roster",
    "http://jabber.org/protocol/pubsub#auto-create",
    "http://jabber.org/protocol/pubsub#auto-subscribe",
    "http://jabber.org/protocol/pubsub#filtered-notifications",
    "http://jabber.org/protocol/pubsub#last-published",
    "http://jabber.org/protocol/pubsub#presence-subscribe"
);

/// What a node is (§5.3, §5.4).
pub(crate) fn info(turn: &Turn<'_>, name: &str) -> Result<Info, StanzaError> {
    let host = Host::of(turn);
    let node = host.node(name)?;
    host.may_subscribe(node, host.actor)?;
    let created = datetime::format(node.created);
    let form = pubsub_config::meta_data(&node.config, &node.creator, &created, node.subscriptions.len());
    Ok(Info {
        node: Some(name.to_owned()),
        identities: vec![Identity::new("pubsub", "leaf", &node.config.title)],
        features: vec![ns::DISCO_INFO.into(), ns::DISCO_ITEMS.into(), ns::PUBSUB.into()],
        forms: vec![form],
    })
}

/// The nodes of a service or account that the asker may know of (§5.2), or the items of one (§5.5).
pub(super) async fn items(ask: Ask) -> Result<Bytes, StanzaError> {
    let payload = ask.stanza.payload().ok_or(Condition::BadRequest)?;
    let question = Items::read(payload)?;
    let visible = {
        let owner = ask.kernel.owner(&ask.owner).await.map_err(|_| Condition::InternalServerError)?;
        let account = owner.lock();
        // As in `discovery`: to strangers an account tells nothing.
        if ask.at == At::Account && !access::may(&ask.kernel, ask.actor(), Action::ReadPresence, &account) {
            return Err(Condition::ServiceUnavailable.into());
        }
        let host = Host { kernel: &ask.kernel, account: &account, actor: ask.actor() };
        let is_visible = |node: &&std::sync::Arc<Node>| host.may_subscribe(node, host.actor).is_ok();
        let item = |node: &std::sync::Arc<Node>| Item {
            jid: ask.owner.clone(),
            node: Some(node.name.to_string()),
            name: Some(node.config.title.clone()).filter(|title| !title.is_empty()),
        };
        host.nodes().iter().filter(is_visible).map(item).collect()
    };
    match question.node.as_deref() {
        None => Ok(Items { node: None, items: visible }.to_bytes()),
        Some(ns::COMMANDS) => Ok(pending::items(&ask).to_bytes()),
        Some(name) => Ok(items::names(&ask, name).await?.to_bytes()),
    }
}

/// What the service is, or one of its nodes.
pub(super) fn service_info(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let payload = turn.stanza.payload().ok_or(Condition::BadRequest)?;
    let info = match Info::read(payload)?.node {
        None => discovery::service_info(turn).ok_or(Condition::ItemNotFound)?,
        Some(name) => info(turn, &name)?,
    };
    Ok(info.to_bytes())
}
