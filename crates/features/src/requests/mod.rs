//! Iqs from one client to another (RFC 6121 §8.5.3): to the session named, if its user lets the sender see that he is
//! there.

use kernel::{
    Feature, Hook, Turn,
    hooks::{Refusal, Relation},
};
use linnet_xmpp::{
    Jid, StanzaError,
    stanza::{Condition, Kind, Type},
};

/// Iqs between clients.
pub static FEATURE: Feature = Feature {
    name: "requests",
    xeps: &[],
    server_features: &[],
    account_features: &[],
    stream_features: &[],
    hooks: &[Hook::Receive { kind: Kind::Iq, run: receive }],
};

/// A request from somebody who may not see the user's presence is answered as if the session were not there (§8.5.3.1);
/// answers always come through, and so does what the server itself asks.
fn receive(turn: &mut Turn<'_>, _row: u64) -> Result<(), Refusal> {
    let (account, stanza) = (turn.account, turn.stanza.clone());
    let is_request = matches!(stanza.ty, Type::Get | Type::Set);
    let resource = stanza.to.as_ref().and_then(Jid::resource);
    let named = resource.and_then(|resource| account.resource(resource));
    let visible = named.filter(|attached| {
        let actor = turn.actor();
        // A room that the session is in passes on what others in it ask.
        let directed = || attached.directed.iter().any(|to| to.same_bare(actor));
        let server = || actor.local().is_none() && actor.as_str() == account.address.domain();
        !is_request || turn.relation() >= Relation::Subscriber || directed() || server()
    });
    match visible {
        Some(attached) => turn.deliver(attached, stanza, None),
        None if is_request => return Err(StanzaError::new(Condition::ServiceUnavailable).into()),
        None => {}
    }
    Ok(())
}
