//! A step that only these tests have: all that it takes is this file and one line in the configuration.

use super::{
    accept::{AUTH, BIND},
    steps::{AcceptLogin, AcceptStep, Bits, Progress, Then},
    *,
};
use crate::xml::{Document, Node, Writer};

/// Counts as a login without SASL, and answers `<echo/>` at any time after that.
#[derive(Debug)]
struct Echo;

const ECHO: &str = "<echo xmlns='urn:example:echo'/>";

impl AcceptStep for Echo {
    fn needs(&self) -> Bits {
        Bits::TLS
    }
    fn forbids(&self) -> Bits {
        Bits::NONE
    }
    fn advertise(&self, _login: &AcceptLogin, features: &mut Writer) {
        features.open("echo", "urn:example:echo").close();
    }
    fn takes(&self, element: Node<'_>) -> bool {
        element.ns() == "urn:example:echo"
    }
    fn element(&self, login: &mut AcceptLogin, _element: Document) -> Progress<StreamError> {
        login.username = Some("romeo".to_owned());
        Progress::write(ECHO).set(Bits::AUTHENTICATED).and(Then::Features)
    }
    fn untimely(&self, _bits: Bits, _element: Document) -> Progress<StreamError> {
        StreamCondition::PolicyViolation.into()
    }
    fn after_bound(&self, address: &Jid, _element: Document) -> Progress<StreamError> {
        Progress::write(format!("<echo xmlns='urn:example:echo'>{address}</echo>"))
    }
}

fn server() -> Server {
    let mut config = accept_config();
    config.steps.push(&Echo);
    let mut server = Server::new(config, Some(secured()));
    assert!(server.send(HEADER).ends_with("<echo xmlns='urn:example:echo'/></stream:features>"));
    server
}

#[test]
fn a_step_can_log_in_without_a_restart_and_have_features_sent_again_rfc6120_4_3_4() {
    let mut server = server();
    let answer = server.send(ECHO);
    assert!(answer.starts_with("<echo xmlns='urn:example:echo'/><stream:features><bind "), "{answer}");
    assert!(!answer.contains("mechanisms"), "{answer}");
    server.send(BIND);
    assert_eq!(server.bound.as_ref().map(Jid::as_str), Some("romeo@capulet.example/balcony"));
}

#[test]
fn a_step_can_take_elements_between_stanzas_after_binding() {
    let mut server = server();
    server.send(AUTH);
    server.send(HEADER);
    server.send(BIND);
    let answer = server.send(format!("<message/>{ECHO}<message/>"));
    assert_eq!(answer, "<echo xmlns='urn:example:echo'>juliet@capulet.example/balcony</echo>");
    assert_eq!(server.stanzas.len(), 2);
}

#[test]
fn a_step_gets_nothing_before_its_time() {
    let mut config = accept_config();
    config.steps.push(&Echo);
    let mut server = Server::new(config, None);
    assert!(!server.send(HEADER).contains("echo"));
    server.send(ECHO);
    assert_eq!(server.condition(), Some(StreamCondition::PolicyViolation));
}
