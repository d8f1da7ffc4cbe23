//! Both sides of a login by SASL 2: what is asked for in one exchange, and in one segment; tokens, upgrades, and what
//! happens when something of it is not taken.

use super::{sasl2::modern, *};
use crate::sasl::{ClientError, TokenMechanism};

/// Everything that a client may want, as for the first time.
fn inline() -> Inline {
    Inline {
        agent: Agent { id: Some(DEVICE.into()), software: Some("S".into()), device: None },
        bind: Some(InlineBind {
            tag: Some("Tag".into()),
            payloads: vec![
                ("urn:xmpp:sm:3", Managed::request_to_enable(None)),
                ("urn:xmpp:carbons:2", Bytes::from_static(b"<enable xmlns='urn:xmpp:carbons:2'/>")),
                ("urn:example:unknown", Bytes::from_static(b"<unknown xmlns='urn:example:unknown'/>")),
            ],
        }),
        wants_token: true,
        ..Inline::default()
    }
}

fn with(inline: Inline) -> InitiateConfig {
    InitiateConfig { inline: Some(inline), ..initiate_config() }
}

/// With a session to go on with.
fn resuming(id: &str, inline: Inline) -> InitiateConfig {
    let address = Jid::parse("juliet@capulet.example/balcony").unwrap();
    InitiateConfig { resumption: Some(Resumption { id: id.into(), handled: 2, address }), ..with(inline) }
}

fn token(secret: &str) -> Option<Token> {
    Some(Token { secret: secret.into(), mechanism: TokenMechanism::Exporter })
}

/// A client that was here before: it has a token and knows the features.
fn again() -> Inline {
    let mut first = Pair::new(with(inline()), modern());
    first.run();
    let version = first.client.welcome.unwrap().features_version;
    assert!(version.is_some());
    Inline { token: token(TOKEN), features_version: version, ..inline() }
}

fn in_tls(pair: &mut Pair) -> usize {
    pair.run();
    // Two before TLS: header, starttls.
    pair.trips - 2
}

#[test]
fn a_session_takes_one_exchange() {
    let mut pair = Pair::new(with(inline()), modern());
    assert_eq!(in_tls(&mut pair), 3, "header, two messages of SCRAM");
    assert_eq!(pair.client.bound, pair.server.bound);
    assert_eq!(pair.client.bound.unwrap().as_str(), "juliet@capulet.example/Tag/1");
    let welcome = pair.client.welcome.unwrap();
    let max = Some(Duration::from_secs(60));
    assert_eq!(welcome.enabled(), Some(Enabled { id: Some("an-id".into()), max, location: None }));
    assert!(welcome.has("urn:xmpp:carbons:2") && !welcome.has("urn:example:unknown"));
    assert!(!pair.sent.contains("urn:example:unknown"), "what is not offered is not asked for");
    assert!(welcome.bound().unwrap().child("enable", "urn:xmpp:carbons:2").is_some());
    assert!(
        pair.sent.contains("SCRAM-SHA-512-PLUS")
            && pair.sent.contains("<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>")
    );
}

#[test]
fn bytes_may_be_split_anywhere() {
    for size in 1..8 {
        let mut pair = Pair::new(with(again()), modern());
        pair.pieces = vec![size, 1];
        pair.run();
        assert!(pair.client.bound.is_some() && pair.client.bound == pair.server.bound);
    }
}

#[test]
fn with_a_token_and_known_features_it_takes_one_trip_xep0509() {
    let mut pair = Pair::new(with(again()), modern());
    assert_eq!(in_tls(&mut pair), 1);
    assert_eq!(pair.client.bound.as_ref().unwrap().as_str(), "juliet@capulet.example/Tag/1");
    let mut pair = Pair::new(resuming("known", again()), modern());
    assert_eq!(in_tls(&mut pair), 1);
    assert!(pair.client.welcome.unwrap().is_by_token);
    assert_eq!(pair.client.outcome, Outcome::Resumed(7));
    assert_eq!(pair.client.bound.unwrap().as_str(), "juliet@capulet.example/balcony");
}

#[test]
fn features_that_have_changed_cost_one_trip_more_xep0509_2_2() {
    let mut config = modern();
    config.mechanisms.remove(0);
    let mut pair = Pair::new(with(again()), config);
    assert_eq!(in_tls(&mut pair), 2);
    assert!(pair.client.bound.is_some());
}

#[test]
fn a_session_that_is_over_is_followed_by_another() {
    let mut pair = Pair::new(resuming("old", again()), modern());
    pair.run();
    let welcome = pair.client.welcome.unwrap();
    assert_eq!((welcome.resumed(), pair.client.outcome), (None, Outcome::Failed(None)));
    assert!(welcome.bound().is_some() && pair.client.bound.is_some());
}

#[test]
fn a_token_that_is_not_taken_gives_way_to_the_password_xep0484_4_1() {
    for version in [again().features_version, None] {
        let mut pair = Pair::new(with(Inline { token: token("old"), features_version: version, ..inline() }), modern());
        pair.run();
        assert!(pair.client.bound.is_some());
        assert_eq!(pair.sent.matches("HT-SHA-256-EXPR'><initial-response>").count(), 1);
    }
    // Without a password that is the end.
    let login = Login::Password { username: "juliet".into(), password: "".into() };
    let config = InitiateConfig { login, ..with(Inline { token: token("old"), ..inline() }) };
    let mut pair = Pair::new(config, modern());
    pair.run();
    let error = Some(InitiateError::Login { condition: "not-authorized".into(), text: None });
    assert_eq!(pair.client.error(), error);
}

#[test]
fn a_server_that_does_not_know_the_token_is_not_trusted() {
    let mut client = Peer::new(with(Inline { token: token(TOKEN), ..inline() }), Some(secured()));
    client.send("");
    client.send(HEADER);
    client.send(
        "<stream:features><authentication xmlns='urn:xmpp:sasl:2'><mechanism>PLAIN</mechanism><inline>\
         <fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR</mechanism></fast></inline></authentication>\
         </stream:features>",
    );
    client.send(
        "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>juliet@capulet.example\
         </authorization-identifier></success>",
    );
    assert_eq!(client.error(), Some(InitiateError::Sasl(ClientError::ServerNotAuthentic)));
}

#[test]
fn without_binding_inline_it_follows_as_ever() {
    let mut pair = Pair::new(with(Inline { bind: None, ..inline() }), modern());
    pair.run();
    assert_eq!(pair.client.bound.as_ref().unwrap().as_str(), "juliet@capulet.example/balcony");
    assert!(pair.client.welcome.unwrap().bound().is_none());
}

#[test]
fn old_servers_and_old_clients_are_as_ever() {
    let mut pair = Pair::new(with(inline()), accept_config());
    pair.run();
    assert!(pair.client.bound.is_some() && pair.client.welcome.is_none());
    let mut pair = Pair::new(initiate_config(), modern());
    pair.run();
    assert!(pair.client.bound.is_some() && pair.client.welcome.is_none());
}

#[test]
fn better_keys_are_given_where_the_server_wants_them_xep0480() {
    let weak = Mechanism::Scram { hash: Hash::Sha1, plus: true };
    let mut pair = Pair::new(InitiateConfig { mechanisms: vec![weak], ..with(inline()) }, modern());
    pair.server.backend.upgrades = true;
    pair.run();
    assert!(pair.client.bound.is_some());
    let given = |need: &&Need| matches!(need, Need::Upgrade { .. });
    assert_eq!(pair.server.backend.asked.iter().filter(given).count(), 2, "{:?}", pair.server.backend.asked);
    // Not where somebody could listen.
    let weak = Mechanism::Scram { hash: Hash::Sha1, plus: false };
    let mut pair = Pair::new(InitiateConfig { mechanisms: vec![weak], ..with(inline()) }, modern());
    pair.server.backend.upgrades = true;
    pair.run();
    assert!(pair.client.bound.is_some() && !pair.sent.contains("UPGR-"));
}

/// Somebody takes the strong mechanisms out of what the server offers.
#[test]
fn a_weakened_offer_is_noticed_xep0474_6_2() {
    for (inline, element) in [(Some(inline()), "authentication"), (None, "mechanisms")] {
        let config = InitiateConfig { inline, ..initiate_config() };
        let mut client = Peer::new(config, Some(Secured::default()));
        let mut server = Server::new(modern(), Some(Secured::default()));
        let header = client.send("");
        let answer = {
            server.drive(header.as_bytes());
            String::from_utf8(std::mem::take(&mut server.written)).unwrap()
        };
        assert!(answer.contains(element));
        let weakened = answer.replace("<mechanism>SCRAM-SHA-512</mechanism>", "");
        assert_ne!(weakened, answer);
        let first = client.send(weakened);
        server.drive(first.as_bytes());
        let challenge = String::from_utf8(std::mem::take(&mut server.written)).unwrap();
        client.send(challenge);
        assert_eq!(client.error(), Some(InitiateError::Sasl(ClientError::Downgrade)), "{element}");
    }
}

/// XEP-0440 §3, rules 4 and 5.
#[test]
fn binding_that_was_taken_out_is_noticed() {
    for features in [
        "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/>\
         </sasl-channel-binding><authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-SHA-1</mechanism></authentication>",
        "<authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-SHA-1-PLUS</mechanism></authentication>",
    ] {
        let mut client = Peer::new(with(inline()), Some(secured()));
        client.send("");
        client.send(HEADER);
        client.send(format!("<stream:features>{features}</stream:features>"));
        assert_eq!(client.error(), Some(InitiateError::Downgrade), "{features}");
    }
}
