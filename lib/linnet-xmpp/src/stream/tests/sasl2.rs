//! SASL 2 on the server's side, alone with bytes: what is asked inline, in which order things are told, and what is
//! refused (XEP-0388, XEP-0386, XEP-0484, XEP-0480, XEP-0509, XEP-0478).

use super::*;
use crate::sasl::{TokenMechanism, token_message};
use base64::{Engine as _, engine::general_purpose::STANDARD};

const STEPS: [&dyn AcceptStep; 6] =
    [&steps::Sasl2, &steps::StreamManagement, &steps::ClientState, &steps::Fast, &steps::Limits, &steps::Pipelining];
const PLAIN: &str = "<initial-response>AGp1bGlldAByMG0zMG15cjBtMzA=</initial-response>";
const WRONG: &str = "<initial-response>AGp1bGlldAB3cm9uZw==</initial-response>";

pub(super) fn modern() -> AcceptConfig {
    let mut config = accept_config();
    config.steps.extend(STEPS);
    config
}

fn in_tls() -> Server {
    let mut server = Server::new(modern(), Some(secured()));
    server.send(HEADER);
    server
}

fn authenticate(mechanism: &str, inner: &str) -> String {
    format!("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'>{inner}</authenticate>")
}

fn refused(condition: &str) -> String {
    format!("<failure xmlns='urn:xmpp:sasl:2'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>")
}

fn token(mechanism: TokenMechanism, token: &str) -> String {
    let data = token_message(mechanism, "juliet", token, &secured().bindings).unwrap();
    format!("<initial-response>{}</initial-response><user-agent id='{DEVICE}'/>", STANDARD.encode(data))
}

/// What is advertised behind `HEADER`.
fn features() -> String {
    let mut server = Server::new(modern(), Some(secured()));
    let sent = server.send(HEADER);
    sent[sent.find("<stream:features>").unwrap()..].to_owned()
}

fn version() -> String {
    let features = features();
    let (_, rest) = features.split_once("<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='").unwrap();
    rest.split_once('\'').unwrap().0.to_owned()
}

#[test]
fn all_that_can_be_asked_for_is_advertised() {
    let features = features();
    for part in [
        "<authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-SHA-512-PLUS</mechanism>",
        "<inline><bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:sm:3'/><feature var='urn:xmpp:csi:0'/>\
         <feature var='urn:xmpp:carbons:2'/></inline></bind><sm xmlns='urn:xmpp:sm:3'/><fast xmlns='urn:xmpp:fast:0'>\
         <mechanism>HT-SHA-256-EXPR</mechanism><mechanism>HT-SHA-256-ENDP</mechanism>\
         <mechanism>HT-SHA-256-NONE</mechanism></fast></inline>",
        "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>",
        "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10240</max-bytes></limits>",
    ] {
        assert!(features.contains(part), "{part}\n{features}");
    }
    assert_eq!(features.matches("<sasl-channel-binding").count(), 1);
    // In the clear there is nothing of it.
    let clear = Server::new(modern(), None).send(HEADER);
    assert!(!clear.contains("urn:xmpp:sasl:2") && !clear.contains("urn:xmpp:iap:0") && clear.contains("max-bytes"));
}

#[test]
fn a_login_alone_is_followed_by_features_without_a_new_header_xep0388_2_6_1() {
    let mut server = in_tls();
    let answer = server.send(authenticate("PLAIN", PLAIN));
    let (success, features) = answer.split_once("<stream:features>").unwrap();
    assert_eq!(
        success,
        "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>juliet@capulet.example</authorization-identifier>\
         <more xmlns='urn:example:more'/></success>"
    );
    assert!(features.contains("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"), "{features}");
    assert!(features.contains("<max-bytes>65536</max-bytes>") && !features.contains("urn:xmpp:sasl:2"), "{features}");
    server.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    assert_eq!(server.bound.unwrap().as_str(), "juliet@capulet.example/chosen");
}

#[test]
fn binding_and_what_goes_with_it_take_one_exchange_xep0386_3_2() {
    let mut server = in_tls();
    let inner = format!(
        "{PLAIN}<user-agent id='{DEVICE}'><software>S</software><device>D</device></user-agent>\
         <bind xmlns='urn:xmpp:bind:0'><tag>Awesome</tag><enable xmlns='urn:xmpp:carbons:2'/>\
         <enable xmlns='urn:xmpp:sm:3' resume='true'/><inactive xmlns='urn:xmpp:csi:0'/></bind>"
    );
    let answer = server.send(authenticate("PLAIN", &inner) + "<message/>");
    let (success, features) = answer.split_once("<stream:features>").unwrap();
    assert_eq!(
        success,
        "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>juliet@capulet.example/Awesome/1\
         </authorization-identifier><bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:sm:3' id='an-id' \
         resume='true' max='60'/><enable xmlns='urn:xmpp:carbons:2'/></bound><more xmlns='urn:example:more'/></success>"
    );
    assert!(!features.contains("xmpp-bind") && features.contains("max-bytes"), "{features}");
    assert!(
        !features.contains("urn:xmpp:sm:3") && features.contains("urn:xmpp:csi:0"),
        "what it has it is not offered"
    );
    assert_eq!(server.bound.unwrap().as_str(), "juliet@capulet.example/Awesome/1");
    assert_eq!(server.stanzas.len(), 1);
    let Some(Need::Enter(entry)) = server.backend.asked.last() else { panic!("{:?}", server.backend.asked) };
    assert_eq!(entry.bind.as_ref().unwrap().controls[1], Control::Active(false));
    let agent = Agent { id: Some(DEVICE.into()), software: Some("S".into()), device: Some("D".into()) };
    assert_eq!((entry.proof, &entry.agent), (Proof::Password, &agent));
}

#[test]
fn going_on_with_a_session_goes_before_binding_xep0386_3_2() {
    let mut server = in_tls();
    let resume = |id, h| format!("{PLAIN}<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='{h}'/>");
    let answer = server.send(authenticate("PLAIN", &(resume("known", 2) + "<bind xmlns='urn:xmpp:bind:0'/>")));
    assert!(answer.contains("balcony</authorization-identifier><resumed xmlns='urn:xmpp:sm:3' previd='known' h='7'/>"));
    assert!(!answer.contains("<bound"), "{answer}");
    let mut server = in_tls();
    let answer = server.send(authenticate("PLAIN", &(resume("old", 2) + "<bind xmlns='urn:xmpp:bind:0'/>")));
    assert!(answer.contains("<failed xmlns='urn:xmpp:sm:3'><item-not-found"), "{answer}");
    assert!(answer.contains("<bound xmlns='urn:xmpp:bind:0'/>") && server.bound.is_some(), "{answer}");
    assert!(answer.contains("<sm xmlns='urn:xmpp:sm:3'/>"), "what it has not it is offered: {answer}");
    let mut server = in_tls();
    server.send(authenticate("PLAIN", &resume("known", 9)));
    assert_eq!(server.condition(), Some(StreamCondition::UndefinedCondition));
}

#[test]
fn scram_takes_two_turns_and_tells_the_hash_of_the_offer_xep0474_6_1() {
    let mut server = in_tls();
    let first = format!("<initial-response>{}</initial-response>", STANDARD.encode("n,,n=juliet,r=abc"));
    let answer = server.send(authenticate("SCRAM-SHA-1", &first));
    let data = answer.strip_prefix("<challenge xmlns='urn:xmpp:sasl:2'>").unwrap().split_once('<').unwrap().0;
    let data = String::from_utf8(STANDARD.decode(data).unwrap()).unwrap();
    assert!(data.contains(",h="), "{data}");
    assert_eq!(server.send("<abort xmlns='urn:xmpp:sasl:2'/>"), refused("aborted"));
    assert!(server.send(authenticate("PLAIN", PLAIN)).starts_with("<success"));
}

#[test]
fn nothing_comes_between_xep0388_2_4() {
    let first = format!("<initial-response>{}</initial-response>", STANDARD.encode("n,,n=juliet,r=abc"));
    let first = authenticate("SCRAM-SHA-1", &first);
    for other in [" ", "<message/>", &first, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>"] {
        let mut server = in_tls();
        server.send(&first);
        server.send(other);
        assert_eq!(server.condition(), Some(StreamCondition::PolicyViolation), "{other}");
    }
}

#[test]
fn a_second_login_ends_the_stream_xep0388_4_8() {
    for bind in ["", "<bind xmlns='urn:xmpp:bind:0'/>"] {
        let mut server = in_tls();
        server.send(authenticate("PLAIN", &(PLAIN.to_owned() + bind)));
        server.send(authenticate("PLAIN", PLAIN));
        assert_eq!(server.condition(), Some(StreamCondition::NotAuthorized));
    }
}

#[test]
fn what_is_wrong_is_refused_and_the_stream_goes_on() {
    for (mechanism, inner, condition) in [
        ("PLAIN", WRONG, "not-authorized"),
        ("ANONYMOUS", "", "invalid-mechanism"),
        ("", "", "invalid-mechanism"),
        ("PLAIN", "<initial-response>%</initial-response>", "incorrect-encoding"),
        ("PLAIN", "<initial-response><a xmlns='b'/></initial-response>", "malformed-request"),
        ("PLAIN", "<initial-response>AGE=</initial-response>", "malformed-request"),
        ("PLAIN", "<resume xmlns='urn:xmpp:sm:3' previd='x'/>", "malformed-request"),
        ("PLAIN", "<fast xmlns='urn:xmpp:fast:0'/>", "invalid-mechanism"),
    ] {
        let mut server = in_tls();
        assert_eq!(server.send(authenticate(mechanism, inner)), refused(condition), "{mechanism} {inner}");
        assert!(server.send(authenticate("PLAIN", PLAIN)).starts_with("<success"), "{mechanism} {inner}");
    }
    let mut server = in_tls();
    assert_eq!(server.send("<authenticate xmlns='urn:xmpp:sasl:2'/>"), refused("malformed-request"));
    assert_eq!(server.send("<response xmlns='urn:xmpp:sasl:2'/>"), refused("malformed-request"));
    server.send(authenticate("PLAIN", WRONG));
    assert_eq!(server.condition(), Some(StreamCondition::PolicyViolation), "three were enough");
    let mut clear = Server::new(modern(), None);
    clear.send(HEADER);
    assert_eq!(clear.send(authenticate("PLAIN", PLAIN)), refused("encryption-required"));
}

#[test]
fn who_says_who_he_is_must_be_that_one_xep0388_2_3() {
    let mut server = Server::new(modern(), Some(secured()));
    server.send(HEADER.replace("to=", "from='romeo@capulet.example' to="));
    assert_eq!(server.send(authenticate("PLAIN", PLAIN)), refused("invalid-authzid"));
    assert!(!server.backend.asked.iter().any(|need| matches!(need, Need::Enter(_))));
}

#[test]
fn a_token_logs_in_at_once_xep0484_3_4() {
    for mechanism in TokenMechanism::ALL {
        let mut server = in_tls();
        let inner = token(mechanism, TOKEN) + "<fast xmlns='urn:xmpp:fast:0'/><bind xmlns='urn:xmpp:bind:0'/>";
        let answer = server.send(authenticate(mechanism.name(), &inner));
        assert!(answer.starts_with("<success xmlns='urn:xmpp:sasl:2'><additional-data>"), "{answer}");
        assert!(server.bound.is_some());
        let Some(Need::Enter(entry)) = server.backend.asked.last() else { panic!("{:?}", server.backend.asked) };
        assert_eq!(entry.proof, Proof::Token);
    }
    let mut server = in_tls();
    let fast = "<fast xmlns='urn:xmpp:fast:0'/>";
    let wrong = token(TokenMechanism::Unbound, "another") + fast;
    assert_eq!(server.send(authenticate("HT-SHA-256-NONE", &wrong)), refused("not-authorized"));
    let unsaid = token(TokenMechanism::Unbound, TOKEN);
    assert_eq!(server.send(authenticate("HT-SHA-256-NONE", &unsaid)), refused("malformed-request"));
    // A proof of one mechanism is none of another.
    let mut server = in_tls();
    let other = token(TokenMechanism::Unbound, TOKEN) + fast;
    assert_eq!(server.send(authenticate("HT-SHA-256-EXPR", &other)), refused("not-authorized"));
    assert_eq!(server.send(authenticate("HT-SHA-256-UNIQ", &other)), refused("invalid-mechanism"));
}

#[test]
fn the_login_may_come_in_the_segment_of_the_header_xep0509() {
    let login = |version: &str| {
        let inner = format!("{PLAIN}<config-version xmlns='urn:xmpp:iap:0' scheme='opaque' value='{version}'/>");
        format!("{HEADER}{}", authenticate("PLAIN", &inner))
    };
    let mut server = Server::new(modern(), Some(secured()));
    let answer = server.send(login(&version()));
    assert!(answer.contains("<success") && answer.contains("</stream:features><success"), "{answer}");
    // Features that have changed since are no failed login, however often.
    let mut server = Server::new(modern(), Some(secured()));
    let answer = server.send(login("b2xk"));
    let mismatch = "<failure xmlns='urn:xmpp:sasl:2'><aborted xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>\
                    <config-version-mismatch xmlns='urn:xmpp:iap:0'/></failure>";
    assert!(answer.ends_with(mismatch), "{answer}");
    for _ in 0..5 {
        let stale = login("b2xk");
        assert_eq!(server.send(&stale[HEADER.len()..]), mismatch);
    }
    assert!(server.send(&login(&version())[HEADER.len()..]).starts_with("<success"));
}

#[test]
fn keys_that_are_wanted_are_taken_before_success_xep0480() {
    let mut server = in_tls();
    server.backend.upgrades = true;
    let wanted = "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>\
                  <upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-BLOOP</upgrade>";
    let answer = server.send(authenticate("PLAIN", &format!("{PLAIN}{wanted}")));
    assert_eq!(answer, "<continue xmlns='urn:xmpp:sasl:2'><tasks><task>UPGR-SCRAM-SHA-256</task></tasks></continue>");
    assert!(server.bound.is_none());
    let answer = server.send("<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-256'/>");
    assert_eq!(
        answer,
        "<task-data xmlns='urn:xmpp:sasl:2'><salt xmlns='urn:xmpp:scram-upgrade:0' iterations='4096'>\
         b3RoZXIgc2FsdCBvZiAxNg==</salt></task-data>"
    );
    let salted = sasl::salted_password(Hash::Sha256, "r0m30myr0m30", b"other salt of 16", 4096).unwrap();
    let data = STANDARD.encode(salted);
    let answer = server.send(format!(
        "<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>{data}</hash></task-data>"
    ));
    assert!(answer.starts_with("<success"), "{answer}");
}

#[test]
fn an_upgrade_that_goes_wrong_is_a_failed_login() {
    let wanted = "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>";
    let next = "<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-256'/>";
    for wrong in [
        "<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-512'/>".to_owned(),
        format!("{next}{next}"),
        "<task-data xmlns='urn:xmpp:sasl:2'/>".to_owned(),
        format!(
            "{next}<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>AAAA</hash></task-data>"
        ),
        "<response xmlns='urn:xmpp:sasl:2'/>".to_owned(),
    ] {
        let mut server = in_tls();
        server.backend.upgrades = true;
        server.send(authenticate("PLAIN", &format!("{PLAIN}{wanted}")));
        assert!(server.send(&wrong).ends_with(&refused("malformed-request")), "{wrong}");
        assert!(server.bound.is_none() && server.closed.is_none());
    }
}
