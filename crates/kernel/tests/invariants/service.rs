//! Services: their states are owners like accounts, and rooms of them too.

use super::{ids, settings};
use bytes::Bytes;
use kernel::{
    Feature, Hook, Service, Turn,
    hooks::{At, Handler, Iq, Refusal, Source},
    service::Part,
};
use linnet_xmpp::{Stanza, StanzaError, stanza::Kind};
use std::{any::TypeId, sync::Arc};
use store::{DocTable, Write, faulty::Faulty};
use testkit::{DOMAIN, FEATURES, FakeContext, PASSWORD, Server};

const COUNT: DocTable = DocTable("test-count");
struct Count(u64);
struct Occupants(Vec<String>);

static ECHO: Feature = Feature {
    name: "echo",
    xeps: &[],
    server_features: &[],
    account_features: &[],
    stream_features: &[],
    hooks: &[
        Hook::Service(Service {
            label: "echo",
            identity: ("test", "echo", "Echo"),
            features: &["urn:test:echo"],
            documents: COUNTED,
            rooms: Some(COUNTED),
            receive: Some(receive),
        }),
        Hook::Service(Service {
            label: "mute",
            identity: ("test", "mute", "Mute"),
            features: &[],
            documents: &[],
            rooms: None,
            receive: None,
        }),
        Hook::Iq(Iq {
            name: "count",
            ns: "urn:test:echo",
            get: false,
            set: true,
            at: &[At::Service("echo")],
            handler: Handler::Now(count),
        }),
    ],
};

const COUNTED: &[Part] = &[Part { type_id: || TypeId::of::<Count>(), source: Source::Doc(COUNT, read) }];

fn read(value: Option<Bytes>) -> Arc<dyn std::any::Any + Send + Sync> {
    Arc::new(Count(value.and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok()).unwrap_or(0)))
}

fn count(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let count = turn.document::<Count>().map_or(0, |count| count.0) + 1;
    let owner = turn.account.address.as_str().into();
    turn.write(Write::DocPut { table: COUNT, owner, value: count.to_string().into() });
    turn.set(Count(count));
    Ok(format!("<count xmlns='urn:test:echo'>{count}</count>").into())
}

/// Who sends presence is in; a message goes to all who are.
fn receive(turn: &mut Turn<'_>) -> Result<(), Refusal> {
    let mut occupants = turn.account.held::<Occupants>().map_or(Vec::new(), |occupants| occupants.0.clone());
    if turn.stanza.kind == Kind::Presence {
        occupants.push(turn.actor().to_string());
        turn.hold(Some(Occupants(occupants)));
    } else {
        let echo = Stanza::clone(turn.stanza).from(turn.account.address.clone());
        turn.emit(echo, occupants.iter().map(|jid| testkit::jid(jid)).collect());
    }
    Ok(())
}

async fn start() -> (Server, Faulty) {
    let features: Vec<&'static Feature> = FEATURES.iter().copied().chain([&ECHO]).collect();
    let faulty = Faulty::new();
    let features = Box::leak(features.into_boxed_slice());
    let server = Server::start_with(Arc::new(faulty.clone()), FakeContext::new(7), settings(), features).await.unwrap();
    server.account(&format!("romeo@{DOMAIN}"), PASSWORD).await;
    (server, faulty)
}

async fn ask(server: &Server, peer: &testkit::Peer, to: &str) -> String {
    peer.send(&format!("<iq type='set' id='c' to='{to}'><count xmlns='urn:test:echo'/></iq>")).await;
    server.settle().await;
    peer.read_all().join("")
}

#[tokio::test]
async fn each_address_of_a_service_has_a_state_that_lasts() {
    let (server, _) = start().await;
    let romeo = server.bind("romeo@example.com/a").await;
    for (to, expected) in [
        ("echo.example.com", ">1<"),
        ("echo.example.com", ">2<"),
        ("room@echo.example.com", ">1<"),
        ("mute.example.com", "service-unavailable"),
        ("room@mute.example.com", "item-not-found"),
        ("other.example.com", "remote-server-not-found"),
    ] {
        assert!(ask(&server, &romeo, to).await.contains(expected), "{to}");
    }
    server.kernel.find_owner("echo.example.com").unwrap().make_stale();
    assert!(ask(&server, &romeo, "echo.example.com").await.contains(">3<"), "read back from the store");
}

#[tokio::test]
async fn a_failed_write_of_a_room_is_answered_and_leaves_who_is_in_it() {
    let (server, faulty) = start().await;
    let romeo = server.bind("romeo@example.com/a").await;
    romeo.send("<presence to='room@echo.example.com/nick'/>").await;
    server.settle().await;
    faulty.set_full(true);
    assert!(ask(&server, &romeo, "room@echo.example.com").await.contains("resource-constraint"));
    faulty.set_full(false);
    server.pass(std::time::Duration::from_secs(5)).await;
    assert!(ask(&server, &romeo, "room@echo.example.com").await.contains(">1<"), "nothing was counted");
    romeo.send("<message to='room@echo.example.com' type='groupchat' id='m'><body>hi</body></message>").await;
    server.settle().await;
    assert_eq!(ids(&romeo.read_all()), ["m"]);
}

#[tokio::test]
async fn discovery_lists_the_services_of_the_domain() {
    let (server, _) = start().await;
    let romeo = server.bind("romeo@example.com/a").await;
    romeo
        .send("<iq type='get' id='1' to='example.com'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>")
        .await;
    romeo
        .send("<iq type='get' id='2' to='mute.example.com'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
        .await;
    romeo.send("<message to='mute.example.com' id='3'><body>hello</body></message>").await;
    server.settle().await;
    let answers = romeo.read_all();
    assert!(answers[0].contains("jid='echo.example.com'") && answers[0].contains("jid='mute.example.com'"));
    assert!(answers[1].contains("<identity category='test' type='mute' name='Mute'/>"), "{}", answers[1]);
    assert!(answers[2].contains("service-unavailable"));
}
