//! Stream headers and features as the server's side sends them, and which headers of clients it refuses.

use super::{
    accept::{AUTH, REPLY, assert_error},
    *,
};

/// The answer to a first header: our header, then an error.
#[track_caller]
fn refused(header: &str, condition: &str) -> String {
    let mut server = Server::new(accept_config(), None);
    let answer = server.send(header);
    let at = answer.find("<stream:error>").unwrap_or_else(|| panic!("{answer}"));
    assert_error(&answer[at..], condition);
    assert_eq!(server.condition().unwrap().name(), condition);
    answer[..at].to_owned()
}

#[test]
fn only_starttls_is_offered_before_tls_rfc6120_5_3_1() {
    let answer = Server::new(accept_config(), None).send(HEADER);
    let features =
        "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>";
    assert_eq!(answer, format!("{REPLY}{features}"));
}

#[test]
fn starttls_is_not_required_where_the_configuration_does_not_require_it() {
    let config = AcceptConfig { require_tls: false, mechanisms: vec![Mechanism::Plain], ..accept_config() };
    let answer = Server::new(config, None).send(HEADER);
    let starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    let mechanisms = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>";
    assert_eq!(answer, format!("{REPLY}<stream:features>{starttls}{mechanisms}</stream:features>"));
}

#[test]
fn binding_types_are_advertised_beside_plus_mechanisms_xep0440_2() {
    let answer = Server::new(accept_config(), Some(secured())).send(HEADER);
    let features = "<stream:features><sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/>\
        <channel-binding type='tls-server-end-point'/></sasl-channel-binding><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
        <mechanism>SCRAM-SHA-512-PLUS</mechanism><mechanism>SCRAM-SHA-256-PLUS</mechanism><mechanism>SCRAM-SHA-1-PLUS</mechanism>\
        <mechanism>SCRAM-SHA-512</mechanism><mechanism>SCRAM-SHA-256</mechanism><mechanism>SCRAM-SHA-1</mechanism>\
        <mechanism>PLAIN</mechanism></mechanisms></stream:features>";
    assert_eq!(answer, format!("{REPLY}{features}"));
}

#[test]
fn plus_is_not_offered_without_binding_data_and_external_only_with_a_certificate() {
    let bare = Secured { bindings: ChannelBindings::default(), certificate: true };
    let answer = Server::new(accept_config(), Some(bare)).send(HEADER);
    assert!(!answer.contains("PLUS") && !answer.contains("sasl-channel-binding"), "{answer}");
    assert!(answer.contains("<mechanism>EXTERNAL</mechanism>"), "{answer}");
}

#[test]
fn after_login_bind_and_the_optional_session_are_offered_rfc6120_7_4() {
    let mut server = Server::in_tls();
    server.send(AUTH);
    let features = "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>\
        <session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session></stream:features>";
    assert_eq!(server.send(HEADER), format!("{REPLY}{features}"));
}

#[test]
fn each_header_gets_a_fresh_id_rfc6120_4_7_3() {
    let id = |server: &mut Server| {
        server.drive(HEADER.as_bytes());
        let text = String::from_utf8(std::mem::take(&mut server.written)).unwrap();
        text.split_once(" id='").unwrap().1.split_once('\'').unwrap().0.to_owned()
    };
    let mut server = Server::new(accept_config(), None);
    let first = id(&mut server);
    server.send(STARTTLS);
    server.accept.secured(secured());
    let second = id(&mut server);
    server.send(AUTH);
    let third = id(&mut server);
    assert!(first != second && second != third && first != third);
}

#[test]
fn from_is_answered_as_a_bare_address_rfc6120_4_7_2() {
    let header = HEADER.replace("to=", "from='Juliet@Capulet.example/x' xml:lang='de' to=");
    let answer = Server::new(accept_config(), None).send(header);
    assert!(
        answer.contains(" from='capulet.example' to='juliet@capulet.example' id='#' version='1.0' xml:lang='en'"),
        "{answer}"
    );
    refused(&HEADER.replace("to=", "from='@@' to="), "invalid-from");
    let answer = Server::new(accept_config(), None).send(HEADER.replace("to=", "from='' to="));
    assert!(answer.starts_with(REPLY), "{answer}");
}

#[test]
fn the_lower_version_is_answered_rfc6120_4_7_5() {
    for version in ["1.0", "1.5", "2.0", "11.0"] {
        let answer =
            Server::new(accept_config(), None).send(HEADER.replace("version='1.0' ", &format!("version='{version}' ")));
        assert!(answer.starts_with(REPLY) && answer.ends_with("</stream:features>"), "{version}: {answer}");
    }
    assert_eq!(refused(&HEADER.replace("version='1.0' ", "version='0.9' "), "unsupported-version"), REPLY);
    let unversioned = refused(&HEADER.replace("version='1.0' ", ""), "unsupported-version");
    assert_eq!(unversioned, REPLY.replace(" version='1.0' xml", " xml"), "rule 4: no version to whom shows none");
}

#[test]
fn a_host_that_is_not_served_is_unknown_rfc6120_4_9_3_6() {
    assert_eq!(refused(&HEADER.replace(DOMAIN, "no-such-host.invalid"), "host-unknown"), REPLY);
    assert_eq!(refused(&HEADER.replace("to='capulet.example' ", ""), "host-unknown"), REPLY);
    assert_eq!(refused(&HEADER.replace(DOMAIN, "juliet@capulet.example"), "host-unknown"), REPLY);
    assert_eq!(refused(&HEADER.replace(DOMAIN, ""), "improper-addressing"), REPLY);
    assert_eq!(refused(&HEADER.replace(DOMAIN, "@@//..&amp;"), "improper-addressing"), REPLY);
    let answer = Server::new(accept_config(), None).send(HEADER.replace(DOMAIN, "Montague.Example"));
    assert!(answer.contains(" from='montague.example' "), "{answer}");
}

#[test]
fn wrong_namespaces_and_prefixes_are_told_apart_rfc6120_4_9_3_2_and_10() {
    assert_eq!(refused(&HEADER.replace(crate::ns::STREAM, "urn:wrong"), "invalid-namespace"), REPLY);
    assert_eq!(refused(&HEADER.replace("jabber:client", "jabber:nothing"), "invalid-namespace"), REPLY);
    assert_eq!(refused(&HEADER.replace("jabber:client", "jabber:server"), "invalid-namespace"), REPLY);
    assert_eq!(
        refused(
            &HEADER.replace("stream:stream", "foobar:stream").replace("xmlns:stream", "xmlns:foobar"),
            "bad-namespace-prefix"
        ),
        REPLY
    );
    assert_eq!(refused(&HEADER.replace("<stream:stream", "<stream:other"), "bad-format"), REPLY);
}

#[test]
fn bad_xml_before_the_header_is_answered_with_header_and_error_rfc6120_4_9_1_2() {
    for (bytes, condition) in [
        ("<!DOCTYPE stream [<!ENTITY a 'x'>]>", "restricted-xml"),
        ("<?xml version='1.0' encoding='ISO-8859-1'?>", "unsupported-encoding"),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not-well-formed"),
    ] {
        let header = HEADER.trim_start_matches("<?xml version='1.0'?>");
        assert_eq!(refused(&format!("{bytes}{header}"), condition), REPLY, "{bytes}");
    }
    let mut server = Server::new(accept_config(), None);
    let utf16: Vec<u8> = "\u{feff}<?xml version='1.0'?>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let answer = server.send(utf16);
    assert!(answer.starts_with(REPLY), "{answer}");
    assert!(server.condition().is_some());
}
