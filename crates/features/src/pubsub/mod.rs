//! Publish-subscribe (XEP-0060): one core for the service `pubsub.DOMAIN`, where everybody with an account may make nodes,
//! and for every account (XEP-0163, in `pep`).
//!
//! `access` says who may do what, `document` how nodes and items are kept, `config` what may be set; `nodes`, `publish`,
//! `items`, `subscribe`, `manage` and `authorize` are the use cases, `notify` tells what happened.
//!
//! `expire` removes what is over, `digest` gathers, `pending` is the command with which owners ask what waits for them.
//!
//! Not done: collections (XEP-0248), several subscriptions of one address and thus ids of subscriptions.

pub(crate) mod access;
pub(crate) mod authorize;
pub(crate) mod config;
mod digest;
pub(crate) mod disco;
pub(crate) mod document;
mod expire;
pub(crate) mod items;
pub(crate) mod known;
mod leave;
pub(crate) mod limits;
mod manage;
mod nodes;
mod notify;
mod pending;
mod publish;
mod subscribe;

pub use document::{Node, Nodes, Stored};
pub use items::{item, newest};
pub(crate) use leave::leave;
pub(crate) use publish::remove;
pub use publish::store;

use access::Host;
use bytes::Bytes;
use kernel::{
    Feature, Hook, Service, Turn,
    hooks::{Ask, At, Handler, Iq, Refusal, Xep},
    jobs::Job,
    service::Part,
};
use linnet_xeps::{
    ns,
    pubsub::{OwnerRequest, Request},
};
use linnet_xmpp::{
    StanzaError,
    stanza::{Condition, Kind, Type},
};
use store::Future;

/// Publish-subscribe.
pub static FEATURE: Feature = Feature {
    name: "pubsub",
    xeps: &[Xep { number: 60, version: "1.30.0", note: "without several subscriptions of one address" }],
    server_features: &[],
    account_features: disco::ACCOUNT,
    stream_features: &[],
    hooks: &[
        Hook::Service(Service {
            label: LABEL,
            identity: ("pubsub", "service", "Publish-Subscribe"),
            features: disco::SERVICE,
            documents: &[Part { type_id: Nodes::type_id, source: Nodes::SOURCE }],
            rooms: None,
            receive: Some(receive),
        }),
        Hook::Document { type_id: Nodes::type_id, source: Nodes::SOURCE },
        Hook::Iq(iq("pubsub", ns::PUBSUB, false, Handler::Now(set))),
        Hook::Iq(iq("pubsub", ns::PUBSUB, true, Handler::Later(read))),
        Hook::Iq(iq("pubsub", ns::PUBSUB_OWNER, false, Handler::Now(own))),
        Hook::Iq(iq("pubsub", ns::PUBSUB_OWNER, true, Handler::Now(own))),
        Hook::Iq(Iq {
            name: "command",
            ns: ns::COMMANDS,
            get: false,
            set: true,
            at: &[At::Own, At::Account, At::Service(LABEL)],
            handler: Handler::Now(pending::answer),
        }),
        Hook::Job(Job { name: "pubsub expiry", every: limits::SWEEP, step: expire::step }),
        Hook::Iq(iq("query", ns::DISCO_ITEMS, true, Handler::Later(|ask| Box::pin(disco::items(ask))))),
        Hook::Iq(Iq {
            name: "query",
            ns: ns::DISCO_INFO,
            get: true,
            set: false,
            at: &[At::Service(LABEL)],
            handler: Handler::Now(disco::service_info),
        }),
    ],
};

/// The service's label.
pub(crate) const LABEL: &str = "pubsub";

const fn iq(name: &'static str, namespace: &'static str, get: bool, handler: Handler) -> Iq {
    Iq { name, ns: namespace, get, set: !get, at: &[At::Own, At::Account, At::Service(LABEL)], handler }
}

/// What anybody asks and what changes something.
fn set(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let stanza = turn.stanza.clone();
    let payload = stanza.payload().ok_or(Condition::BadRequest)?;
    match Request::read(payload, true)? {
        Request::Create { node, configure } => nodes::create(turn, node, configure),
        Request::Publish { node, items, options } => publish::publish(turn, &node, items, options),
        Request::Retract { node, notify, ids } => publish::retract(turn, &node, notify, &ids),
        Request::Subscribe { node, jid, options } => subscribe::subscribe(turn, &node, &jid, options),
        // No subscription has an id here: one that is said means nothing (§6.2.3.1).
        Request::Unsubscribe { node, jid, .. } => subscribe::unsubscribe(turn, &node, &jid),
        Request::Options { node, jid, subid, form } => {
            subscribe::set_options(turn, &node, &jid, subid.as_deref(), form.as_ref())
        }
        _ => Err(Condition::BadRequest.into()),
    }
}

/// What anybody asks and what changes nothing.
fn read(ask: Ask) -> Future<'static, Result<Bytes, StanzaError>> {
    Box::pin(async move {
        let payload = ask.stanza.payload().ok_or(Condition::BadRequest)?;
        let request = Request::read(payload, false)?;
        if let Request::Items { node, max_items, ids, page } = request {
            return items::answer(&ask, &node, items::Wanted { max_items, ids, page }).await;
        }
        let owner = ask.kernel.owner(&ask.owner).await.map_err(|_| Condition::InternalServerError)?;
        let account = owner.lock();
        let host = Host { kernel: &ask.kernel, account: &account, actor: ask.actor() };
        match request {
            Request::Options { node, jid, subid, .. } => subscribe::options(&host, &node, &jid, subid.as_deref()),
            Request::Default { node } => subscribe::default_options(&host, node.as_deref()),
            Request::Subscriptions { node } => subscribe::subscriptions(&host, node.as_deref()),
            Request::Affiliations { node } => subscribe::affiliations(&host, node.as_deref()),
            _ => Err(Condition::BadRequest.into()),
        }
    })
}

/// What owners ask.
fn own(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let stanza = turn.stanza.clone();
    let payload = stanza.payload().ok_or(Condition::BadRequest)?;
    let is_set = stanza.ty == Type::Set;
    match OwnerRequest::read(payload, is_set)? {
        OwnerRequest::Configure { node, form: Some(form) } => nodes::configure(turn, &node, &form),
        OwnerRequest::Configure { .. } if is_set => Err(Condition::BadRequest.into()),
        OwnerRequest::Configure { node, form: None } => nodes::form(turn, Some(&node)),
        OwnerRequest::Default => nodes::form(turn, None),
        OwnerRequest::Delete { node, redirect } => nodes::delete(turn, &node, redirect.as_deref()),
        OwnerRequest::Purge { node } => nodes::purge(turn, &node),
        OwnerRequest::Subscriptions { node, changes } if is_set => manage::set_subscriptions(turn, &node, changes),
        OwnerRequest::Subscriptions { node, .. } => manage::subscriptions(turn, &node),
        OwnerRequest::Affiliations { node, changes } if is_set => manage::set_affiliations(turn, &node, changes),
        OwnerRequest::Affiliations { node, .. } => manage::affiliations(turn, &node),
    }
}

/// Messages to the service: answers of owners. Presence: a subscriber who has gone.
fn receive(turn: &mut Turn<'_>) -> Result<(), Refusal> {
    match turn.stanza.kind {
        Kind::Message if turn.stanza.ty != Type::Error && !authorize::answered(turn)? => {
            Err(StanzaError::new(Condition::ServiceUnavailable).into())
        }
        Kind::Presence if turn.stanza.ty == Type::Unavailable => {
            subscribe::gone(turn);
            Ok(())
        }
        _ => Ok(()),
    }
}
