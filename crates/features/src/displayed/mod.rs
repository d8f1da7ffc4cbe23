//! How far chats were read, on all devices of an account (XEP-0490): items of a private node, published by clients, or by
//! the server from a message that says it beside a chat marker (§4.5).

use crate::pubsub;
use kernel::{
    Feature, Hook, Turn,
    hooks::{Onward, Refusal, Xep},
};
use linnet_xeps::{Payload, displayed::Displayed, ns, pubsub::Item};
use linnet_xmpp::{
    Stanza,
    stanza::{Kind, Type},
};
use std::sync::Arc;

/// Read states.
pub static FEATURE: Feature = Feature {
    name: "displayed",
    xeps: &[Xep { number: 490, version: "1.0.1", note: "" }],
    server_features: &[],
    account_features: &[ns::DISPLAYED_ASSIST],
    stream_features: &[],
    hooks: &[Hook::Send { kind: Kind::Message, run: take }],
};

/// §4.5.3: what is only for the account's own devices is taken out before anything else sees it (§5.2), and published under
/// the address that the message goes to.
fn take(turn: &mut Turn<'_>, stanza: &mut Arc<Stanza>) -> Result<Onward, Refusal> {
    let Some(node) = stanza.child("displayed", ns::DISPLAYED) else { return Ok(Onward::Forward) };
    if let (Some(to), false) = (&stanza.to, stanza.ty == Type::Error) {
        Displayed::read(node)?;
        let item = Item::new(to.as_str(), node.to_bytes(linnet_xmpp::ns::CLIENT));
        pubsub::store(turn, ns::DISPLAYED, &item, pubsub::config::of_node(ns::DISPLAYED))?;
    }
    Arc::make_mut(stanza).edit(|node| node.is("displayed", ns::DISPLAYED), &[]);
    Ok(Onward::Forward)
}
