//! Relays for calls, which others run, with credentials that are good for some hours (XEP-0215).
//!
//! Not done: pushes, since what is configured does not change while the server runs.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use kernel::{
    Feature, Hook, Relay, Turn,
    hooks::{At, Handler, Iq, Xep},
};
use linnet_xeps::{
    Payload,
    external::{Credentials, Service, Services},
    ns,
};
use linnet_xmpp::{StanzaError, stanza::Condition, xml::Node};
use sha1::Sha1;
use std::time::UNIX_EPOCH;

/// Where to find them.
pub static FEATURE: Feature = Feature {
    name: "relays",
    xeps: &[Xep { number: 215, version: "1.0.0", note: "nothing is pushed" }],
    server_features: &[ns::EXTERNAL_SERVICES],
    account_features: &[],
    stream_features: &[],
    hooks: &[Hook::Iq(iq("services", services)), Hook::Iq(iq("credentials", credentials))],
};

const fn iq(name: &'static str, run: fn(&mut Turn<'_>) -> Result<Bytes, StanzaError>) -> Iq {
    let handler = Handler::Now(run);
    Iq { name, ns: ns::EXTERNAL_SERVICES, get: true, set: false, at: &[At::Server], handler }
}

/// §3.1, §3.2.
fn services(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let wanted = Services::read(payload(turn)?)?.kind;
    let is_wanted = |relay: &&Relay| wanted.as_ref().is_none_or(|kind| *kind == relay.kind);
    let relays = &turn.kernel.settings.relays.services;
    let services = relays.iter().filter(is_wanted).map(|relay| service(turn, relay)).collect();
    Ok(Services { kind: wanted, services }.to_bytes())
}

/// §3.3.
fn credentials(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let asked = Credentials::read(payload(turn)?)?.services;
    let is_asked = |relay: &&Relay| {
        asked.iter().any(|asked| {
            asked.host == relay.host && asked.kind == relay.kind && asked.port.is_none_or(|port| port == relay.port)
        })
    };
    let relays = &turn.kernel.settings.relays.services;
    let services: Vec<_> = relays.iter().filter(is_asked).map(|relay| service(turn, relay)).collect();
    if services.is_empty() { Err(Condition::ItemNotFound.into()) } else { Ok(Credentials { services }.to_bytes()) }
}

fn payload<'a>(turn: &'a Turn<'_>) -> Result<Node<'a>, StanzaError> {
    turn.stanza.payload().ok_or_else(|| Condition::BadRequest.into())
}

/// A relay as the client sees it. Only people of ours get credentials: a relay's traffic is paid for.
fn service(turn: &Turn<'_>, relay: &Relay) -> Service {
    let settings = &turn.kernel.settings.relays;
    let is_relay = relay.kind.starts_with("turn");
    let asker = turn.stanza.from.as_ref().filter(|from| kernel::access::is_ours(turn.kernel, from));
    let secret = settings.secret.as_ref().filter(|_| is_relay);
    // To the second, as the name says it.
    let expires = turn.now() + settings.credentials;
    let made = secret.zip(asker).map(|(secret, asker)| {
        let until = expires.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        password(secret, format!("{until}:{}", asker.bare()))
    });
    Service {
        kind: relay.kind.clone(),
        host: relay.host.clone(),
        port: Some(relay.port),
        transport: Some(relay.transport.clone()),
        expires: made.as_ref().map(|_| expires),
        credentials: made,
        restricted: is_relay,
    }
}

/// Name and password as TURN servers compute them too (draft-uberti-behave-turn-rest-00 §2.2).
fn password(secret: &str, name: String) -> (String, String) {
    // HMAC takes keys of every length.
    let code =
        Hmac::<Sha1>::new_from_slice(secret.as_bytes()).map(|mac| mac.chain_update(&name).finalize().into_bytes());
    let password = code.map_or_else(|_| String::new(), |code| STANDARD.encode(code));
    (name, password)
}

#[cfg(test)]
mod tests {
    /// Computed with `printf NAME | openssl dgst -sha1 -hmac north -binary | base64`.
    #[test]
    fn a_relay_computes_the_same() {
        let (name, password) = super::password("north", "1767268800:juliet@example.com".to_owned());
        assert_eq!((&*name, &*password), ("1767268800:juliet@example.com", "MZXsgOPVr9k28iI3XzDjpBNN/vQ="));
    }
}
