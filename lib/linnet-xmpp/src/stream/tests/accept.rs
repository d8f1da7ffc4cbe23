//! What the server's side answers to each wrong move of a client, byte for byte where the specification says how.

use super::*;

pub(super) const REPLY: &str = "<?xml version='1.0'?><stream:stream from='capulet.example' id='#' version='1.0' xml:lang='en' \
     xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
pub(super) const AUTH: &str =
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGp1bGlldAByMG0zMG15cjBtMzA=</auth>";
const WRONG: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGp1bGlldAB3cm9uZw==</auth>";
pub(super) const BIND: &str =
    "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>balcony</resource></bind></iq>";

fn sasl_failure(condition: &str) -> String {
    format!("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{condition}/></failure>")
}

/// A stream error of ours without its text, and the end tag.
#[track_caller]
pub(super) fn assert_error(answer: &str, condition: &str) {
    let start = format!("<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>");
    assert!(answer.starts_with(&start), "{answer}");
    assert!(answer.ends_with("</stream:error></stream:stream>"), "{answer}");
    assert_eq!(answer.matches("</stream:stream>").count(), 1, "{answer}");
}

#[test]
fn bad_xml_inside_the_stream_is_answered_with_its_condition_rfc6120_4_9_3() {
    for (bytes, condition) in [
        ("<message><body></message>", "not-well-formed"),
        ("<presence id='a' id='b'/>", "not-well-formed"),
        ("<foo:bar/>", "bad-namespace-prefix"),
        ("<foo:message xmlns:foo='jabber:client'/>", "bad-namespace-prefix"),
        ("<!-- x --><presence/>", "restricted-xml"),
        ("<?php x ?><presence/>", "restricted-xml"),
        ("<message><body>&nbsp;</body></message>", "restricted-xml"),
    ] {
        let mut server = Server::in_session();
        assert_error(&server.send(bytes), condition);
        assert_eq!(server.stanzas.len(), 0);
    }
    let mut server = Server::in_session();
    assert_error(&server.send(b"<message><body>\xff</body></message>"), "unsupported-encoding");
}

#[test]
fn what_is_sent_before_tls_is_refused() {
    let before = |bytes: &str| {
        let mut server = Server::new(accept_config(), None);
        server.send(HEADER);
        (server.send(bytes), server)
    };
    let (answer, server) = before(AUTH);
    assert_eq!(answer, sasl_failure("encryption-required"), "RFC 6120 §6.5.4");
    assert!(server.closed.is_none() && server.backend.asked.is_empty());
    assert_error(&before("<message/>").0, "not-authorized");
    assert_error(&before(BIND).0, "not-authorized");
    assert_error(&before("<compress xmlns='http://jabber.org/protocol/compress'/>").0, "unsupported-stanza-type");
}

#[test]
fn bytes_behind_starttls_are_thrown_away_rfc6120_5_4_3_3() {
    let mut server = Server::new(accept_config(), None);
    server.send(HEADER);
    let injected = format!("{STARTTLS}{HEADER}{AUTH}<iq type='get' id='i'><ping xmlns='urn:xmpp:ping'/></iq><half");
    assert_eq!(server.send(&injected), "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert!(server.start_tls);
    assert_eq!(server.send(AUTH), "", "nor what comes before the handshake");
    server.accept.secured(secured());
    assert_eq!(server.send(""), "");
    assert!(server.send(HEADER).contains("<mechanism>PLAIN</mechanism>"));
    assert!(server.backend.asked.is_empty());
}

#[test]
fn half_an_element_before_starttls_does_not_reach_into_tls() {
    let mut server = Server::new(accept_config(), None);
    server.send(HEADER);
    server.send(&STARTTLS[..20]);
    server.send(&STARTTLS[20..]);
    server.accept.secured(secured());
    assert!(server.send(HEADER).starts_with(REPLY));
}

#[test]
fn starttls_inside_tls_fails_and_closes_rfc6120_5_4_2_2() {
    for mut server in [Server::in_tls(), Server::logged_in(), Server::in_session()] {
        assert_eq!(server.send(STARTTLS), "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>");
        assert_eq!(server.condition(), None);
    }
}

#[test]
fn base64_is_decoded_strictly_rfc6120_6_5_5() {
    for text in ["!!!not base64!!!", "AGE=AGI=", "AGFhY", "AGE", "AGF=", "AA==\n", "==", "A"] {
        let mut server = Server::in_tls();
        let answer =
            server.send(format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{text}</auth>"));
        assert_eq!(answer, sasl_failure("incorrect-encoding"), "{text}");
    }
    let mut server = Server::in_tls();
    let answer = server.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>=</auth>");
    assert_eq!(answer, sasl_failure("malformed-request"), "'=' is data of length zero");
}

#[test]
fn mechanisms_that_are_not_offered_are_invalid_rfc6120_6_5_7() {
    for attribute in ["mechanism='X-NO-SUCH'", "mechanism='EXTERNAL'", "mechanism='ANONYMOUS'", "mechanism='plain'", ""]
    {
        let mut server = Server::in_tls();
        let answer = server.send(format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' {attribute}>AA==</auth>"));
        assert_eq!(answer, sasl_failure("invalid-mechanism"), "{attribute}");
    }
}

#[test]
fn the_steps_of_sasl_out_of_turn_are_refused() {
    let mut server = Server::in_tls();
    assert_eq!(
        server.send("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>eHg=</response>"),
        sasl_failure("malformed-request")
    );
    assert_eq!(server.send("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"), sasl_failure("aborted"));
    let mut server = Server::in_tls();
    assert_error(&server.send("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"), "unsupported-stanza-type");
}

const SCRAM: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>\
     biwsbj1qdWxpZXQscj1hYmNkZWZnaGlqa2xtbm9wcXJzdHV2</auth>";

#[test]
fn an_exchange_can_be_aborted_rfc6120_6_4_4() {
    let mut server = Server::in_tls();
    assert!(server.send(SCRAM).starts_with("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"));
    assert_eq!(server.send("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"), sasl_failure("aborted"));
    assert!(server.send(AUTH).starts_with("<success"));
}

#[test]
fn a_second_auth_replaces_the_exchange_rfc6120_6_4_2() {
    let mut server = Server::in_tls();
    server.send(SCRAM);
    assert!(server.send(AUTH).starts_with("<success"));
}

#[test]
fn too_many_failed_logins_close_the_stream_rfc6120_6_4_5() {
    let mut server = Server::in_tls();
    assert_eq!(server.send(WRONG), sasl_failure("not-authorized"));
    assert_eq!(server.send(WRONG), sasl_failure("not-authorized"));
    let last = server.send(WRONG);
    let error = last.strip_prefix(&*sasl_failure("not-authorized")).unwrap();
    assert_error(error, "policy-violation");
    assert_eq!(server.send(AUTH), "", "nothing more is read");
}

#[test]
fn a_failure_of_the_server_does_not_count_against_the_client() {
    let mut server = Server::in_tls();
    server.backend.silent = true;
    for _ in 0..5 {
        assert_eq!(server.send(AUTH), "");
        server.accept.answer(Answer::Verified(Err(Failure::TemporaryAuthFailure)));
        assert_eq!(server.send(""), sasl_failure("temporary-auth-failure"));
    }
    assert!(server.closed.is_none());
}

#[test]
fn unknown_names_get_the_same_answers_as_wrong_passwords_rfc6120_13_11() {
    let mut server = Server::in_tls();
    let unknown =
        server.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AG5vYm9keQB3cm9uZw==</auth>");
    assert_eq!(unknown, server.send(WRONG));
}

#[test]
fn a_second_login_is_refused_rfc6120_4_9_3_12() {
    for mut server in [Server::logged_in(), Server::in_session()] {
        assert_error(&server.send(AUTH), "not-authorized");
    }
}

#[test]
fn who_logs_in_must_be_who_the_header_says_rfc6120_6_4_6() {
    let romeo = HEADER.replace("to=", "from='romeo@capulet.example' to=");
    let mut server = Server::new(accept_config(), Some(secured()));
    server.send(&romeo);
    assert_error(&server.send(AUTH), "invalid-from");
    let mut server = Server::in_tls();
    server.send(AUTH);
    let answer = server.send(&romeo);
    assert!(answer.contains("<invalid-from "), "{answer}");
    let mut server = Server::new(accept_config(), None);
    server.send(&romeo);
    server.send(STARTTLS);
    server.accept.secured(secured());
    server.send(HEADER);
    assert!(server.send(AUTH).starts_with("<success"), "what was said in the clear does not count");
}

#[test]
fn a_login_counts_only_at_its_own_domain() {
    let mut server = Server::in_tls();
    server.send(AUTH);
    let answer = server.send(HEADER.replace(DOMAIN, OTHER));
    assert!(answer.contains("<not-authorized "), "{answer}");
    assert_eq!(server.condition(), Some(StreamCondition::NotAuthorized));
}

#[test]
fn stanzas_before_login_close_the_stream_rfc6120_4_9_3_12() {
    for stanza in [
        "<message to='romeo@capulet.example'><body>x</body></message>",
        "<presence/>",
        "<iq type='get' id='1'><query xmlns='jabber:iq:auth'/></iq>",
        BIND,
        "<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
    ] {
        let mut server = Server::in_tls();
        assert_error(&server.send(stanza), "not-authorized");
        assert!(server.stanzas.is_empty() && server.backend.asked.is_empty());
    }
}

#[test]
fn stanzas_before_binding_close_the_stream_rfc6120_7_1() {
    for stanza in [
        "<message to='romeo@capulet.example'/>",
        "<presence/>",
        "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
    ] {
        let mut server = Server::logged_in();
        assert_error(&server.send(stanza), "not-authorized");
    }
}

#[test]
fn elements_that_nobody_takes_are_unsupported_rfc6120_4_9_3_24() {
    for element in [
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'/>",
        "<note/>",
        "<message xmlns='jabber:server'/>",
        "<message xmlns='urn:x'/>",
        "<stream:features/>",
    ] {
        for mut server in [Server::in_tls(), Server::logged_in(), Server::in_session()] {
            assert_error(&server.send(element), "unsupported-stanza-type");
        }
    }
}

#[test]
fn a_second_header_closes_the_stream_rfc6120_4_2() {
    for second in [
        HEADER.to_owned(),
        HEADER.replace("<?xml version='1.0'?>", ""),
        HEADER.replace("<?xml version='1.0'?>", "").replace("'>", "'></stream:stream>"),
    ] {
        for mut server in [Server::in_tls(), Server::in_session()] {
            let answer = server.send(&second);
            assert!(answer.contains("<stream:error>"), "{second}: {answer}");
            assert!(server.condition().is_some());
        }
    }
}

#[test]
fn binding_answers_with_the_full_address_rfc6120_7_7_1() {
    let mut server = Server::logged_in();
    let answer = server.send(BIND);
    assert_eq!(
        answer,
        "<iq id='b' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>juliet@capulet.example/balcony</jid></bind></iq>"
    );
    assert_eq!(server.accept.bound(), server.bound.as_ref());
    assert_eq!(server.accept.deadline(), None);
}

#[test]
fn a_resource_is_made_where_none_is_asked_for_rfc6120_7_6() {
    let mut server = Server::logged_in();
    server.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    assert!(matches!(server.backend.asked.last(), Some(Need::Bind { resource: None, .. })));
    assert_eq!(server.bound.unwrap().resource(), Some("chosen"));
}

#[test]
fn a_refused_resource_is_a_stanza_error_and_can_be_tried_again_rfc6120_7_7_3() {
    let mut server = Server::logged_in();
    server.backend.bound.insert("juliet@capulet.example/balcony".to_owned());
    let answer = server.send(BIND);
    assert!(
        answer.starts_with("<iq id='b' type='error'>")
            && answer.contains("<conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"),
        "{answer}"
    );
    let answer =
        server.send("<iq type='set' id='e'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource/></bind></iq>");
    assert!(answer.contains("<bad-request "), "{answer}");
    let answer = server.send("<iq type='get' id='g'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    assert!(answer.contains("<bad-request "), "{answer}");
    assert!(server.bound.is_none() && server.closed.is_none());
    server.send(BIND.replace("balcony", "garden"));
    assert_eq!(server.bound.unwrap().resource(), Some("garden"));
}

#[test]
fn one_stream_binds_once_rfc6120_7_6_2_2() {
    let mut server = Server::in_session();
    let answer = server.send(BIND.replace("balcony", "second"));
    assert!(answer.starts_with("<iq id='b' type='error'>") && answer.contains("<not-allowed "), "{answer}");
    assert!(server.stanzas.is_empty());
}

#[test]
fn the_old_session_request_is_answered_before_and_after_binding_rfc3921_3() {
    let session = "<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>";
    for mut server in [Server::logged_in(), Server::in_session()] {
        assert_eq!(server.send(session), "<iq id='s' type='result'/>");
        assert!(server.stanzas.is_empty());
    }
    let mut server = Server::in_session();
    server.send(session.replace("type", "to='romeo@montague.example' type"));
    assert_eq!(server.stanzas.len(), 1, "what is for somebody else is not ours");
}

#[test]
fn white_space_is_a_keepalive_rfc6120_4_6_1() {
    let mut server = Server::new(accept_config(), None);
    server.send(HEADER);
    assert_eq!(server.send(" \n\t ".repeat(50)), "");
    for mut server in [Server::in_tls(), Server::logged_in(), Server::in_session()] {
        assert_eq!(server.send(" \n\t\r".repeat(5000)), "");
        assert!(server.closed.is_none());
    }
}

#[test]
fn the_end_tag_is_answered_after_all_that_came_before_rfc6120_4_4() {
    let mut server = Server::in_session();
    let messages = "<message to='romeo@montague.example'><body>x</body></message>".repeat(50);
    assert_eq!(server.send(format!("{messages}</stream:stream>")), "</stream:stream>");
    assert_eq!(server.stanzas.len(), 50);
    assert_eq!(server.condition(), None);
    assert_eq!(server.send("<presence/>"), "");
    for mut server in [Server::in_tls(), Server::logged_in()] {
        assert_eq!(server.send("</stream:stream>"), "</stream:stream>");
        assert_eq!(server.condition(), None);
    }
}

#[test]
fn our_own_end_comes_behind_the_stanzas_and_is_said_once() {
    let mut server = Server::in_session();
    server.accept.close(Some(StreamError::new(StreamCondition::SystemShutdown)));
    server.accept.close(None);
    let answer = server.send("<presence/>");
    assert_eq!(
        answer,
        "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    );
    assert!(server.stanzas.is_empty());
    let mut server = Server::in_session();
    server.accept.close(None);
    assert_eq!(server.send(""), "</stream:stream>");
    let mut server = Server::new(accept_config(), None);
    server.accept.close(None);
    assert_eq!(server.send(""), "", "no stream was opened");
    let mut server = Server::new(accept_config(), None);
    server.accept.close(Some(StreamError::new(StreamCondition::ResourceConstraint)));
    assert!(server.send("").starts_with(REPLY));
}

#[test]
fn the_login_has_a_deadline_that_nothing_extends() {
    let spaces = " ".repeat(100);
    for (tls, head, trickle) in
        [(false, "", ""), (false, "", &*spaces), (false, "", HEADER), (true, HEADER, &spaces), (true, HEADER, AUTH)]
    {
        let mut server = Server::new(accept_config(), tls.then(secured));
        assert_eq!(server.accept.deadline(), Some(start() + Duration::from_secs(60)));
        server.send(head);
        for second in 0..59 {
            server.now += Duration::from_secs(1);
            server.send(trickle.get(second..=second).unwrap_or_default());
        }
        assert_eq!(server.closed, None);
        let answer = server.wait(Duration::from_secs(1));
        assert_error(answer.strip_prefix(REPLY).unwrap_or(&answer), "policy-violation");
        assert_eq!(server.accept.deadline(), None);
    }
    let mut server = Server::in_session();
    assert_eq!(server.wait(Duration::from_secs(86_400)), "");
    assert!(server.closed.is_none());
}

#[test]
fn the_deadline_ends_a_handshake_and_an_open_question_too() {
    let mut server = Server::new(accept_config(), None);
    server.send(HEADER);
    server.send(STARTTLS);
    assert_eq!(server.wait(Duration::from_secs(60)), "", "no bytes in the clear inside a handshake");
    assert_eq!(server.condition(), Some(StreamCondition::PolicyViolation));
    let mut server = Server::in_tls();
    server.backend.silent = true;
    server.send(AUTH);
    assert_error(&server.wait(Duration::from_secs(60)), "policy-violation");
    server.accept.answer(Answer::Verified(Ok("juliet".to_owned())));
    assert_eq!(server.send(""), "", "the answer comes too late");
}

#[test]
fn nothing_happens_while_a_question_is_open() {
    let mut server = Server::in_tls();
    server.backend.silent = true;
    assert_eq!(server.send(format!("{AUTH}{HEADER}")), "");
    assert_eq!(server.send(&BIND[..30]), "");
    assert_eq!(server.send(&BIND[30..]), "");
    server.backend.silent = false;
    server.accept.answer(Answer::Verified(Ok("juliet".to_owned())));
    let answer = server.send("<presence/>");
    assert!(answer.starts_with("<success"), "{answer}");
    assert_eq!(server.bound.as_ref().unwrap().resource(), Some("balcony"));
    assert_eq!(server.stanzas.len(), 1);
}

#[test]
fn what_is_sent_ahead_of_an_answer_is_bounded() {
    let mut server = Server::in_tls();
    server.backend.silent = true;
    server.send(AUTH);
    for _ in 0..100 {
        server.send(" ".repeat(1000));
    }
    assert_eq!(server.condition(), Some(StreamCondition::PolicyViolation));
}

#[test]
fn an_answer_of_the_wrong_kind_is_an_error_of_the_server() {
    let mut server = Server::in_tls();
    server.backend.silent = true;
    server.send(AUTH);
    server.accept.answer(Answer::Bound(Err(Condition::Conflict.into())));
    assert_error(&server.send(""), "internal-server-error");
}

#[test]
fn elements_are_limited_before_and_after_login_rfc6120_13_12() {
    let mut server = Server::in_tls();
    let answer = server
        .send(format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{}", "QUFB".repeat(3000)));
    assert_error(&answer, "policy-violation");
    let mut server = Server::new(accept_config(), None);
    let answer = server.send(format!("<stream:stream {}", " ".repeat(20_000)));
    assert_error(answer.strip_prefix(REPLY).unwrap(), "policy-violation");
    let mut server = Server::in_session();
    server.send(format!("<message><body>{}</body></message>", "x".repeat(60_000)));
    assert_eq!(server.stanzas.len(), 1);
    let answer = server.send(format!("<message><body>{}", "x".repeat(66_000)));
    assert_error(&answer, "policy-violation");
}

#[test]
fn stanzas_inherit_the_language_of_the_stream_rfc6120_4_7_4() {
    let mut server = Server::in_tls();
    server.send(AUTH);
    server.send(HEADER.replace("to=", "xml:lang='de-CH' to="));
    server.send(BIND);
    server.send("<message/><message xml:lang='it'/>");
    let langs: Vec<_> = server.stanzas.iter().map(|stanza| stanza.as_ref().unwrap().lang.as_deref()).collect();
    assert_eq!(langs, [Some("de-CH"), Some("it")]);
}

#[test]
fn prefixes_of_the_header_are_in_force_inside_the_stream() {
    let mut server = Server::in_tls();
    server.send(AUTH);
    server.send(HEADER.replace("xmlns=", "xmlns:x='urn:x' xmlns="));
    server.send(BIND);
    server.send("<message><x:y/></message>");
    let message = server.stanzas.pop().unwrap().unwrap();
    assert!(message.child("y", "urn:x").is_some());
}

#[test]
fn a_stanza_that_cannot_be_used_goes_out_with_its_error() {
    let mut server = Server::in_session();
    server.send("<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>");
    assert!(server.stanzas.pop().unwrap().is_err());
    assert!(server.closed.is_none());
}

#[test]
fn a_bound_stream_keeps_nothing_but_what_it_needs() {
    assert!(size_of::<Accept>() <= 184, "{}", size_of::<Accept>());
    let mut server = Server::in_session();
    server.send("<message/><message>");
    server.send("</message>");
    assert_eq!(server.accept.kept(), 0);
    server.send("<mess");
    assert!(server.accept.kept() >= 5);
}
