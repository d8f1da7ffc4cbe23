//! The kernel's invariants, one test each, on a server with all features in the same thread. The store is one that can
//! hold commits open, fail, and lose what is not synced.

mod commit;
mod history;
mod jobs;
mod keep;
mod lane;
mod mailbox;
mod offline;
mod owner;
mod power;
mod request;
mod reroute;
mod resume;
mod service;
mod sides;

use std::sync::Arc;
use store::faulty::Faulty;
use testkit::{DOMAIN, FakeContext, PASSWORD, Peer, Server, quiet, settings};

/// A server on a store with faults, with accounts by their local parts.
async fn server(names: &[&str]) -> (Server, Faulty) {
    let faulty = Faulty::new();
    let server = Server::start(Arc::new(faulty.clone()), FakeContext::new(7), settings()).await.unwrap();
    for name in names {
        server.account(&format!("{name}@{DOMAIN}"), PASSWORD).await;
    }
    (server, faulty)
}

/// A session that has sent presence and read what came of it.
async fn online(server: &Server, address: &str) -> Peer {
    let peer = server.bind(address).await;
    peer.send("<presence/>").await;
    server.settle().await;
    peer.read_all();
    peer
}

/// A message with a body, which is kept.
fn message(to: &str, body: &str) -> String {
    format!("<message to='{to}' type='chat' id='{body}'><body>{body}</body></message>")
}

/// A chat state, which is not.
fn state(to: &str, id: &str) -> String {
    format!(
        "<message to='{to}' type='chat' id='{id}'><active xmlns='http://jabber.org/protocol/chatstates'/></message>"
    )
}

const PING: &str = "<iq type='get' id='ping'><ping xmlns='urn:xmpp:ping'/></iq>";

/// The ids of stanzas, in order.
fn ids(stanzas: &[String]) -> Vec<&str> {
    stanzas.iter().map(|xml| between(xml, " id='", "'")).collect()
}

/// What stands behind `start` and before `end`.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = text.split_once(start).map_or("", |(_, rest)| rest);
    rest.split_once(end).map_or("", |(found, _)| found)
}
