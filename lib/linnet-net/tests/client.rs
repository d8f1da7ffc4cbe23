//! The client against a server in the same process: login in all ways, requests, reconnection, closing, and what it
//! must refuse.

mod server;

use linnet_net::{
    backoff::Backoff,
    client::{Client, Config, Error, Event, Events, RequestError},
    dns::{Resolver, Security, Service, Target},
    tls::{Trust, pin},
};
use linnet_xeps::{Payload, ping::Ping};
use linnet_xmpp::{
    Jid, Stanza,
    sasl::Mechanism,
    stanza::{Condition, Kind, Type},
    stream::{InitiateError, StreamCondition},
};
use server::{Listen, PASSWORD, Reaction, Server, scram};
use std::{net::Ipv4Addr, sync::atomic::Ordering, time::Duration};

fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}

/// The account at a server, found by names that are told beforehand, so that nothing leaves this machine.
fn config(server: &Server, security: Security) -> Config {
    let target = Target { host: "xmpp.linnet.example".into(), port: server.address.port(), security };
    Config {
        resolver: Resolver::offline()
            .service("linnet.example", Service::Client, vec![target])
            .host("xmpp.linnet.example", vec![Ipv4Addr::LOCALHOST.into()]),
        trust: Trust::Roots(vec![server.certificate.clone()]),
        reconnect: Some(Backoff { first: Duration::from_millis(20), most: Duration::from_millis(100) }),
        connect_timeout: Duration::from_secs(5),
        login_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(5),
        ..Config::new(jid("juliet@linnet.example/balcony"), PASSWORD)
    }
}

async fn next(events: &mut Events) -> Event {
    tokio::time::timeout(Duration::from_secs(10), events.next()).await.expect("an event in time").expect("an event")
}

fn message(body: &str) -> Stanza {
    Stanza::new(Kind::Message, Type::Chat, format!("<body>{body}</body>").into()).to(jid("romeo@linnet.example"))
}

fn ping() -> Stanza {
    Stanza::new(Kind::Iq, Type::Get, Ping.to_bytes())
}

fn body(stanza: &Stanza) -> String {
    stanza.child("body", "jabber:client").map(|body| body.text().into_owned()).unwrap_or_default()
}

/// Answers pings and sends messages back.
fn echo(stanza: &Stanza, own: &Jid) -> Vec<Reaction> {
    match stanza.kind {
        Kind::Iq if stanza.ty == Type::Get => vec![Reaction::Send(stanza.result(bytes::Bytes::new()).from(own.bare()))],
        Kind::Message => vec![Reaction::Send(stanza.clone().from(jid("romeo@linnet.example/x")).to(own.clone()))],
        _ => vec![],
    }
}

async fn login_and_talk(listen: Listen, config: impl FnOnce(&Server) -> Config) {
    let server = Server::start(listen, echo).await;
    let (client, mut events) = Client::login(config(&server)).await.unwrap();
    assert_eq!(client.address(), Some(jid("juliet@linnet.example/balcony")));
    client.request(ping()).await.unwrap();
    client.send(message("hello")).await.unwrap();
    let Event::Stanza(stanza) = next(&mut events).await else { panic!("no stanza") };
    assert_eq!(body(&stanza), "hello");
    client.close().await;
    assert!(matches!(next(&mut events).await, Event::Offline { reason: Error::Closed, retry: None }));
    assert!(events.next().await.is_none());
    assert!(client.send(message("too late")).await.is_err());
    assert_eq!(client.request(ping()).await.unwrap_err(), RequestError::Offline);
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn starttls() {
    login_and_talk(Listen::StartTls, |server| config(server, Security::StartTls)).await;
}

#[tokio::test]
async fn direct_tls() {
    login_and_talk(Listen::Direct, |server| config(server, Security::Direct)).await;
}

#[tokio::test]
async fn a_pinned_certificate_is_enough() {
    let pinned =
        |server: &Server| Config { trust: Trust::Pin(pin(&server.certificate)), ..config(server, Security::StartTls) };
    login_and_talk(Listen::StartTls, pinned).await;
}

#[tokio::test]
async fn plaintext_on_loopback_if_wanted() {
    login_and_talk(Listen::Plain, |server| Config { plaintext: true, ..config(server, Security::StartTls) }).await;
}

/// Both kinds of binding data are the same at both ends, else these logins would fail.
#[tokio::test]
async fn every_scram_mechanism() {
    for listen in [Listen::StartTls, Listen::EndPoint] {
        let server = Server::start(listen, echo).await;
        for mechanism in scram() {
            let only = Config { mechanisms: vec![mechanism], ..config(&server, Security::StartTls) };
            let (client, _events) = Client::login(only).await.unwrap();
            client.close().await;
        }
    }
}

#[tokio::test]
async fn plain_over_tls() {
    let server = Server::with_mechanisms(Listen::StartTls, echo, vec![Mechanism::Plain]).await;
    let (client, _events) = Client::login(config(&server, Security::StartTls)).await.unwrap();
    client.close().await;
    let only_scram = Config { mechanisms: scram(), ..config(&server, Security::StartTls) };
    let error = Client::login(only_scram).await.unwrap_err();
    assert!(matches!(error, Error::Stream(InitiateError::NoMechanism { .. })), "{error}");
}

#[tokio::test]
async fn the_next_target_is_tried() {
    let server = Server::start(Listen::Direct, echo).await;
    let nobody = Target { host: "127.0.0.1".into(), port: 1, security: Security::StartTls };
    let lost = Target { host: "nowhere.example".into(), port: 1, security: Security::StartTls };
    let right = Target { host: "127.0.0.1".into(), port: server.address.port(), security: Security::Direct };
    let config = Config { targets: Some(vec![nobody, lost, right]), ..config(&server, Security::Direct) };
    let (client, _events) = Client::login(config).await.unwrap();
    client.close().await;
}

#[tokio::test]
async fn a_wrong_password_is_final() {
    let server = Server::start(Listen::StartTls, echo).await;
    let right = config(&server, Security::StartTls);
    let wrong = Config { login: Config::new(right.jid.clone(), "wrong").login, ..right };
    let (client, mut events) = Client::start(wrong).unwrap();
    let Event::Offline { reason, retry: None } = next(&mut events).await else { panic!("not final") };
    assert!(
        matches!(&reason, Error::Stream(InitiateError::Login { condition, .. }) if &**condition == "not-authorized")
    );
    assert!(reason.to_string().contains("refused the login"), "{reason}");
    assert!(events.next().await.is_none());
    client.close().await;
}

#[tokio::test]
async fn a_strange_certificate_is_refused() {
    for listen in [Listen::StartTls, Listen::Direct] {
        let server = Server::start(listen, echo).await;
        let other = Server::start(listen, echo).await;
        let security = if listen == Listen::Direct { Security::Direct } else { Security::StartTls };
        for trust in [Trust::Roots(vec![other.certificate.clone()]), Trust::Pin(pin(&other.certificate))] {
            let error = Client::login(Config { trust, ..config(&server, security) }).await.unwrap_err();
            assert!(error.to_string().contains("certificate is not to be trusted"), "{error}");
            assert!(error.is_final());
        }
        // Trusted, but of another domain: the name of the host that was told for it does not help.
        let mut config = config(&server, security);
        let target = Target { host: "127.0.0.1".into(), port: server.address.port(), security };
        config.jid = jid("juliet@other.example");
        config.targets = Some(vec![target]);
        let error = Client::login(config).await.unwrap_err();
        assert!(matches!(error, Error::Tls(_)), "{error}");
    }
}

#[tokio::test]
async fn without_tls_nothing_is_told() {
    let server = Server::start(Listen::Plain, echo).await;
    let error = Client::login(config(&server, Security::StartTls)).await.unwrap_err();
    assert_eq!(error, Error::Stream(InitiateError::NoTls));
    assert!(error.is_final());
}

#[tokio::test]
async fn a_broken_connection_comes_back() {
    fn react(stanza: &Stanza, own: &Jid) -> Vec<Reaction> {
        if body(stanza) == "drop" { vec![Reaction::Drop] } else { echo(stanza, own) }
    }
    let server = Server::start(Listen::StartTls, react).await;
    let (client, mut events) = Client::login(config(&server, Security::StartTls)).await.unwrap();
    for round in 1..=3 {
        client.send(message("drop")).await.unwrap();
        let Event::Offline { reason, retry: Some(_) } = next(&mut events).await else { panic!("no retry") };
        assert!(matches!(reason, Error::Lost(_)), "{reason}");
        assert!(matches!(next(&mut events).await, Event::Online { .. }));
        assert_eq!(server.connections.load(Ordering::SeqCst), round + 1);
    }
    client.request(ping()).await.unwrap();
    client.close().await;
}

#[tokio::test]
async fn a_request_does_not_outlive_its_connection() {
    fn react(_: &Stanza, _: &Jid) -> Vec<Reaction> {
        vec![Reaction::Drop]
    }
    let server = Server::start(Listen::StartTls, react).await;
    let (client, _events) = Client::login(config(&server, Security::StartTls)).await.unwrap();
    assert_eq!(client.request(ping()).await.unwrap_err(), RequestError::Offline);
    client.close().await;
}

#[tokio::test]
async fn after_a_conflict_nothing_is_tried_again() {
    fn react(_: &Stanza, _: &Jid) -> Vec<Reaction> {
        vec![Reaction::Fail(StreamCondition::Conflict)]
    }
    let server = Server::start(Listen::StartTls, react).await;
    let (client, mut events) = Client::login(config(&server, Security::StartTls)).await.unwrap();
    client.send(message("x")).await.unwrap();
    let Event::Offline { reason, retry: None } = next(&mut events).await else { panic!("not final") };
    assert!(
        matches!(&reason, Error::Stream(InitiateError::Remote(error)) if error.condition == StreamCondition::Conflict)
    );
}

#[tokio::test]
async fn requests_that_are_refused_or_never_answered() {
    fn react(stanza: &Stanza, own: &Jid) -> Vec<Reaction> {
        let answer = match stanza.to.as_ref().and_then(Jid::local) {
            Some("refuses") => stanza.error(&Condition::ServiceUnavailable.into()),
            // Somebody else answers in his place.
            Some("silent") => Some(stanza.result(bytes::Bytes::new()).from(jid("evil@example.net"))),
            _ => None,
        };
        answer.map(|answer| Reaction::Send(answer.to(own.clone()))).into_iter().collect()
    }
    let server = Server::start(Listen::StartTls, react).await;
    let short = Config { request_timeout: Duration::from_millis(300), ..config(&server, Security::StartTls) };
    let (client, _events) = Client::login(short).await.unwrap();
    let error = client.request(ping().to(jid("refuses@linnet.example"))).await.unwrap_err();
    assert!(matches!(error, RequestError::Refused(error) if error.condition == Condition::ServiceUnavailable));
    let error = client.request(ping().to(jid("silent@linnet.example"))).await.unwrap_err();
    assert_eq!(error, RequestError::Timeout);
    client.close().await;
}

/// RFC 6121 §2.1.6: pushes from others are attacks.
#[tokio::test]
async fn only_the_own_account_pushes_the_roster() {
    fn react(_: &Stanza, own: &Jid) -> Vec<Reaction> {
        let push = |from: Option<Jid>, who: &str| {
            let content = format!("<query xmlns='jabber:iq:roster'><item jid='{who}' subscription='both'/></query>");
            let push = Stanza::new(Kind::Iq, Type::Set, content.into()).id(Some(who)).to(own.clone()).from(from);
            Reaction::Send(push)
        };
        vec![
            push(Some(jid("evil@example.net")), "a@evil.example"),
            push(Some(jid("linnet.example")), "b@evil.example"),
            push(Some(jid("juliet@linnet.example/other")), "c@evil.example"),
            push(None, "first@linnet.example"),
            push(Some(own.bare()), "second@linnet.example"),
        ]
    }
    let server = Server::start(Listen::StartTls, react).await;
    let (client, mut events) = Client::login(config(&server, Security::StartTls)).await.unwrap();
    client.send(message("push")).await.unwrap();
    // The client's own results make the server push again: the first two are enough.
    for who in ["first@linnet.example", "second@linnet.example"] {
        let Event::RosterPush(roster) = next(&mut events).await else { panic!("no push") };
        assert_eq!(roster.items[0].jid, jid(who));
    }
    client.close().await;
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let server = Server::start(Listen::StartTls, |_, _| vec![]).await;
    let mut impatient = config(&server, Security::StartTls);
    impatient.ping_after = Duration::from_millis(100);
    impatient.request_timeout = Duration::from_millis(200);
    let (client, mut events) = Client::login(impatient).await.unwrap();
    assert!(matches!(next(&mut events).await, Event::Offline { reason: Error::Silent, retry: Some(_) }));
    client.close().await;
}

#[tokio::test]
async fn what_was_sent_before_closing_arrives() {
    use std::sync::atomic::AtomicU32;
    static ARRIVED: AtomicU32 = AtomicU32::new(0);
    fn react(stanza: &Stanza, _: &Jid) -> Vec<Reaction> {
        if stanza.kind == Kind::Message {
            ARRIVED.fetch_add(1, Ordering::SeqCst);
        }
        vec![]
    }
    let server = Server::start(Listen::Direct, react).await;
    let (client, events) = Client::login(config(&server, Security::Direct)).await.unwrap();
    drop(events);
    let long = "x".repeat(5000);
    for _ in 0..200 {
        client.send(message(&long)).await.unwrap();
    }
    client.close().await;
    assert_eq!(ARRIVED.load(Ordering::SeqCst), 200);
}
