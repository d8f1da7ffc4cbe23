//! The command with which owners ask for all wishes to subscribe that wait for them (XEP-0060 §8.7).

use super::{access::Host, authorize, document::Node};
use bytes::Bytes;
use kernel::{Turn, hooks::Ask};
use linnet_xeps::{
    Payload,
    commands::{Action, Actions, Command, Problem, Status},
    disco::{Item, Items},
    forms::{Field, FieldType, Form, FormType},
    ns,
    pubsub::{Affiliation, SubscriptionState},
};
use linnet_xmpp::{Jid, StanzaError, stanza::Condition};
use std::sync::Arc;

const GET_PENDING: &str = "http://jabber.org/protocol/pubsub#get-pending";

/// The commands that there are at a service and at an account (XEP-0050 §2.2).
pub(super) fn items(ask: &Ask) -> Items {
    let name = Some("Wishes to subscribe that wait for you".into());
    let items = vec![Item { jid: ask.owner.clone(), node: Some(GET_PENDING.into()), name }];
    Items { node: Some(ns::COMMANDS.into()), items }
}

/// Asks for a node, then sends a message for each wish. A run keeps no state, so whatever its session is called is right.
pub(super) fn answer(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let stanza = turn.stanza.clone();
    let request = Command::read(stanza.payload().ok_or(Condition::BadRequest)?)?;
    if request.node != GET_PENDING {
        return Err(Condition::ItemNotFound.into());
    }
    let session = request.session.clone().unwrap_or_else(|| format!("{:016x}", turn.kernel.unique()));
    let answer = match (request.action.unwrap_or(Action::Execute), &request.form) {
        (Action::Cancel, _) => request.answer(&session, Status::Canceled),
        (Action::Prev | Action::Next, _) => return Err(Problem::BadAction.error()),
        (Action::Execute, None) => choice(turn, &request, &session)?,
        (Action::Complete, None) => return Err(Problem::BadPayload.error()),
        (_, Some(form)) if form.ty == FormType::Cancel => request.answer(&session, Status::Canceled),
        (_, Some(form)) => {
            send(turn, form.value("pubsub#node").ok_or_else(|| Problem::BadPayload.error())?)?;
            request.answer(&session, Status::Completed)
        }
    };
    Ok(answer.to_bytes())
}

/// §8.7.2: the actor's nodes for which somebody waits.
fn choice(turn: &Turn<'_>, request: &Command, session: &str) -> Result<Command, StanzaError> {
    let host = Host::of(turn);
    let owned: Vec<&Arc<Node>> =
        host.nodes().iter().filter(|node| host.affiliation(node, host.actor) == Affiliation::Owner).collect();
    // §8.7.3.3. An account owns its nodes, also where there are none.
    let is_host = host.is_account() && host.may_create();
    if owned.is_empty() && !is_host {
        return Err(Condition::Forbidden.into());
    }
    let waiting = owned.into_iter().filter(|node| waiting(node).next().is_some());
    let field = Field::new(FieldType::ListSingle, "pubsub#node").label("Node");
    let field = waiting.fold(field, |field, node| field.option(&node.name, &node.name));
    let form = Form::of(FormType::Form, ns::PUBSUB_SUBSCRIBE_AUTHORIZATION).field(field);
    let actions = Actions { execute: Some(Action::Complete), complete: true, ..Actions::default() };
    Ok(request.answer(session, Status::Executing).actions(actions).form(form))
}

fn waiting(node: &Node) -> impl Iterator<Item = &Jid> {
    node.subscriptions.iter().filter(|one| one.state == SubscriptionState::Pending).map(|one| &one.jid)
}

/// §8.7.4: to the one who asks.
fn send(turn: &mut Turn<'_>, name: &str) -> Result<(), StanzaError> {
    let host = Host::of(turn);
    let node = host.owned(name)?;
    let owner = host.actor.clone();
    for jid in waiting(node) {
        authorize::ask(turn, node, jid, vec![owner.clone()]);
    }
    Ok(())
}
