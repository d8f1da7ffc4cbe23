//! Stream management and client state on the server's side of a stream.

use super::{
    steps::{ClientState, StreamManagement},
    *,
};
use std::time::Duration;

const RESUME: &str = "<resume xmlns='urn:xmpp:sm:3' previd='known' h='2'/>";

fn config() -> AcceptConfig {
    let mut config = accept_config();
    config.steps.extend([&StreamManagement as &dyn AcceptStep, &ClientState]);
    config
}

fn logged_in() -> Server {
    let mut server = Server::new(config(), Some(secured()));
    server.send(HEADER);
    server.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGp1bGlldAByMG0zMG15cjBtMzA=</auth>");
    let features = server.send(HEADER);
    assert!(features.contains("<sm xmlns='urn:xmpp:sm:3'/><csi xmlns='urn:xmpp:csi:0'/>"), "{features}");
    server
}

fn bound() -> Server {
    let mut server = logged_in();
    server.send(
        "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>",
    );
    server
}

#[test]
fn what_a_client_says_of_its_session_comes_out_in_order_xep0198_4_xep0352_4() {
    let mut server = bound();
    let said = server.send(
        "<enable xmlns='urn:xmpp:sm:3' resume='1' max='60'/><message/><r xmlns='urn:xmpp:sm:3'/>\
         <a xmlns='urn:xmpp:sm:3' h='4294967295'/><inactive xmlns='urn:xmpp:csi:0'/><active xmlns='urn:xmpp:csi:0'/>",
    );
    assert_eq!(said, "");
    assert_eq!(server.stanzas.len(), 1);
    let max = Some(Duration::from_secs(60));
    let enable = Control::Enable { resume: true, max };
    let (handled, active) = (Control::Handled(u32::MAX), |active| Control::Active(active));
    assert_eq!(server.controls, [enable, Control::Request, handled, active(false), active(true)]);
}

#[test]
fn a_session_is_resumed_in_place_of_binding_xep0198_5() {
    let mut server = logged_in();
    assert_eq!(server.send(RESUME), "<resumed xmlns='urn:xmpp:sm:3' previd='known' h='7'/>");
    assert_eq!(server.bound.as_ref().unwrap().as_str(), "juliet@capulet.example/balcony");
    server.send("<message/>");
    assert_eq!(server.stanzas.len(), 1);
}

#[test]
fn after_a_resumption_that_failed_one_can_bind_xep0198_5() {
    let mut server = logged_in();
    let failed = "<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>";
    assert_eq!(server.send(RESUME.replace("known", "other")), failed);
    assert!(server.send(RESUME.replace("'2'", "'two'")).contains("bad-request"));
    server.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    assert!(server.bound.is_some());
}

#[test]
fn who_has_handled_too_much_is_cut_off_xep0198_4() {
    let mut server = logged_in();
    let end = server.send(RESUME.replace("'2'", "'9'"));
    assert!(
        end.contains("<handled-count-too-high xmlns='urn:xmpp:sm:3' h='9' send-count='2'/></stream:error>"),
        "{end}"
    );
    assert_eq!(server.condition(), Some(StreamCondition::UndefinedCondition));
}

#[test]
fn at_the_wrong_time_it_fails_and_the_stream_goes_on_xep0198_3() {
    let failed =
        "<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>";
    assert_eq!(logged_in().send("<enable xmlns='urn:xmpp:sm:3'/>"), failed);
    assert_eq!(bound().send(RESUME), failed);
    let mut before = Server::new(config(), Some(secured()));
    before.send(HEADER);
    assert_eq!(before.send(RESUME), failed);
}

#[test]
fn a_count_that_is_none_ends_the_stream() {
    for wrong in ["h='abc'", "h='-1'", "", "h='4294967296'", "h='+1'"] {
        let mut server = bound();
        server.send(format!("<a xmlns='urn:xmpp:sm:3' {wrong}/>"));
        assert_eq!(server.condition(), Some(StreamCondition::BadFormat), "{wrong}");
    }
}
