//! What the client's side makes of servers that are old, slow, broken, or not who they should be.

use super::*;

const REPLY: &str = "<?xml version='1.0'?><stream:stream from='capulet.example' id='x' version='1.0' xml:lang='en' \
     xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
const PLAIN: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>";
pub(super) const BIND: &str = "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>";
pub(super) const BOUND: &str = "<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>juliet@capulet.example/b</jid></bind></iq>";

fn in_tls() -> Peer {
    let mut peer = Peer::new(initiate_config(), Some(secured()));
    peer.send("");
    peer
}

/// Logged in, with the features behind it.
pub(super) fn logged_in(features: &str) -> (Peer, String) {
    logged_in_with(initiate_config(), features)
}

pub(super) fn logged_in_with(config: InitiateConfig, features: &str) -> (Peer, String) {
    let mut peer = Peer::new(config, Some(secured()));
    peer.send("");
    peer.send(format!("{REPLY}{PLAIN}"));
    peer.send("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    let sent = peer.send(format!("{REPLY}{features}"));
    (peer, sent)
}

#[test]
fn the_header_says_who_we_are_only_inside_tls_rfc6120_4_7_1() {
    let hello = Peer::new(initiate_config(), None).send("");
    assert_eq!(
        hello,
        "<?xml version='1.0'?><stream:stream to='capulet.example' version='1.0' xml:lang='it' \
         xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
    );
    let hello = Peer::new(initiate_config(), Some(secured())).send("");
    assert!(hello.contains(" from='juliet@capulet.example' to='capulet.example' "), "{hello}");
}

#[test]
fn a_server_without_tls_gets_no_password_rfc6120_13_9_4() {
    let mut peer = Peer::new(initiate_config(), None);
    peer.send("");
    assert_eq!(peer.send(format!("{REPLY}{PLAIN}")), "</stream:stream>");
    assert_eq!(peer.error(), Some(InitiateError::NoTls));
}

#[test]
fn refused_tls_ends_the_stream_rfc6120_5_4_2_2() {
    let mut peer = Peer::new(initiate_config(), None);
    peer.send("");
    let offer = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";
    assert_eq!(peer.send(format!("{REPLY}{offer}")), STARTTLS);
    peer.send("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>");
    assert_eq!(peer.error(), Some(InitiateError::NoTls));
}

#[test]
fn bytes_behind_proceed_are_thrown_away_rfc6120_5_4_3_3() {
    let mut peer = Peer::new(initiate_config(), None);
    peer.send("");
    let offer = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";
    peer.send(format!("{REPLY}{offer}"));
    peer.send(format!("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>{REPLY}{PLAIN}"));
    assert!(peer.start_tls);
    peer.initiate.secured(secured());
    assert!(!peer.send("").contains("<auth"));
    assert!(peer.send(format!("{REPLY}{PLAIN}")).contains("mechanism='PLAIN'"));
}

#[test]
fn mechanisms_that_may_not_be_used_end_the_login() {
    let mut peer = in_tls();
    peer.send(format!("{REPLY}{}", PLAIN.replace("PLAIN", "DIGEST-MD5")));
    assert_eq!(peer.error(), Some(InitiateError::NoMechanism { offered: vec!["DIGEST-MD5".into()] }));
    let mut peer = in_tls();
    peer.send(format!("{REPLY}<stream:features/>"));
    assert_eq!(peer.error(), Some(InitiateError::NoMechanism { offered: vec![] }));
}

#[test]
fn types_without_a_mechanism_for_them_are_a_downgrade_xep0440_3() {
    let list = "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/></sasl-channel-binding>";
    let features = PLAIN.replace("<mechanisms", &format!("{list}<mechanisms"));
    let mut peer = in_tls();
    assert_eq!(peer.send(format!("{REPLY}{features}")), "</stream:stream>");
    assert_eq!(peer.error(), Some(InitiateError::Downgrade));
    let mut peer = in_tls();
    let features = features
        .replace("tls-exporter", "x-dummy")
        .replace("PLAIN", "SCRAM-SHA-1-PLUS</mechanism><mechanism>SCRAM-SHA-1");
    peer.send(format!("{REPLY}{features}"));
    assert_eq!(peer.error(), Some(InitiateError::Downgrade));
}

#[test]
fn a_failure_is_told_with_its_condition_and_words_rfc6120_6_5() {
    let mut peer = in_tls();
    peer.send(format!("{REPLY}{PLAIN}"));
    let failure = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><account-disabled/><text xml:lang='en'>Call us.</text></failure>";
    assert_eq!(peer.send(failure), "</stream:stream>");
    assert_eq!(
        peer.error(),
        Some(InitiateError::Login { condition: "account-disabled".into(), text: Some("Call us.".into()) })
    );
}

#[test]
fn a_server_that_does_not_know_the_password_is_found_out_rfc5802_5() {
    let scram = |answer: &str| {
        let mut peer = in_tls();
        peer.send(format!("{REPLY}{}", PLAIN.replace("PLAIN", "SCRAM-SHA-256")));
        peer.send(answer);
        peer
    };
    let peer = scram("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    assert!(matches!(peer.error(), Some(InitiateError::Sasl(_))), "success out of turn");
    let peer =
        scram("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>cj1ub3RvdXJzLHM9QUFBQSxpPTQwOTY=</challenge>");
    assert!(matches!(peer.error(), Some(InitiateError::Sasl(_))), "a nonce that is not ours");
    let peer = scram("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>!</challenge>");
    assert!(matches!(peer.error(), Some(InitiateError::Sasl(_))), "no base 64");
}

#[test]
fn stream_errors_are_told_rfc6120_4_9() {
    let error = "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
        <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Who?</text></stream:error></stream:stream>";
    let mut peer = in_tls();
    assert_eq!(peer.send(format!("{REPLY}{error}")), "</stream:stream>");
    let told = StreamError::new(StreamCondition::HostUnknown).text("Who?");
    assert_eq!(peer.error(), Some(InitiateError::Remote(told)));
    let mut peer = in_tls();
    peer.send(format!("{REPLY}{}", error.replace("host-unknown", "of-the-future")));
    let Some(InitiateError::Remote(error)) = peer.error() else { panic!() };
    assert_eq!(error.condition, StreamCondition::UndefinedCondition, "RFC 6120 §4.9.2");
}

#[test]
fn what_breaks_the_protocol_is_answered_with_a_stream_error() {
    for (bytes, condition) in [
        ("<!DOCTYPE x>".to_owned(), StreamCondition::RestrictedXml),
        (REPLY.replace("jabber:client", "jabber:server"), StreamCondition::InvalidNamespace),
        (REPLY.replace("version='1.0' xml", "version='0.1' xml"), StreamCondition::UnsupportedVersion),
        (format!("{REPLY}<message/>"), StreamCondition::UnsupportedStanzaType),
        (format!("{REPLY}{PLAIN}<bogus/>"), StreamCondition::UnsupportedStanzaType),
    ] {
        let mut peer = in_tls();
        let sent = peer.send(&bytes);
        assert!(
            sent.ends_with("</stream:error></stream:stream>") && sent.contains(condition.name()),
            "{bytes}: {sent}"
        );
        let Some(InitiateError::Local(error)) = peer.error() else { panic!("{bytes}: {:?}", peer.error()) };
        assert_eq!(error.condition, condition, "{bytes}");
    }
}

#[test]
fn the_end_of_the_stream_before_binding_is_an_error() {
    let mut peer = in_tls();
    assert_eq!(peer.send(format!("{REPLY}</stream:stream>")), "</stream:stream>");
    assert_eq!(peer.error(), Some(InitiateError::Ended));
}

#[test]
fn a_session_is_asked_for_only_where_it_is_not_optional_rfc3921_3() {
    let session = "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></stream:features>";
    let (mut peer, sent) = logged_in(&BIND.replace("</stream:features>", session));
    assert_eq!(
        sent,
        "<iq id='bind' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>balcony</resource></bind></iq>"
    );
    assert_eq!(
        peer.send(BOUND),
        "<iq id='session' type='set'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>"
    );
    assert_eq!(peer.bound, None);
    peer.send("<presence from='juliet@capulet.example/other'/><iq type='result' id='session'/>");
    assert_eq!(peer.bound.as_ref().map(Jid::as_str), Some("juliet@capulet.example/b"));
    let optional = session.replace("/></str", "><optional/></session></str");
    let (mut peer, _) = logged_in(&BIND.replace("</stream:features>", &optional));
    assert_eq!(peer.send(BOUND), "");
    assert!(peer.bound.is_some());
}

#[test]
fn a_server_that_offers_no_binding_or_binds_nonsense_is_left() {
    let (peer, _) = logged_in("<stream:features/>");
    let Some(InitiateError::Local(error)) = peer.error() else { panic!() };
    assert_eq!(error.condition, StreamCondition::UnsupportedFeature);
    for nonsense in ["@", "juliet@capulet.example"] {
        let (mut peer, _) = logged_in(BIND);
        peer.send(BOUND.replace("juliet@capulet.example/b", nonsense));
        assert_eq!(peer.bound, None);
    }
}

#[test]
fn a_silent_server_is_left_after_the_timeout() {
    let mut peer = in_tls();
    assert_eq!(peer.initiate.deadline(), Some(start() + Duration::from_secs(30)));
    assert_eq!(peer.wait(Duration::from_secs(29)), "");
    assert_eq!(peer.wait(Duration::from_secs(1)), "</stream:stream>");
    assert_eq!(peer.error(), Some(InitiateError::Timeout));
    let (mut peer, _) = logged_in(BIND);
    peer.send(BOUND);
    assert_eq!(peer.initiate.deadline(), None);
    peer.wait(Duration::from_secs(86_400));
    peer.initiate.close();
    assert_eq!(peer.send(""), "</stream:stream>");
    assert_eq!(peer.initiate.deadline(), Some(peer.now + Duration::from_secs(30)), "a reasonable time (RFC 6120 §4.4)");
    assert_eq!(peer.wait(Duration::from_secs(30)), "");
    assert_eq!(peer.error(), None);
}

#[test]
fn a_password_is_never_shown() {
    let shown = format!("{:?}", initiate_config());
    assert!(shown.contains("juliet") && !shown.contains("r0m30"), "{shown}");
    let need = Need::Verify { username: "juliet".to_owned(), domain: DOMAIN.into(), password: "r0m30".to_owned() };
    assert!(!format!("{need:?}").contains("r0m30"));
}
