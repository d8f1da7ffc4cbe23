//! Whole logins: both ends, each mechanism, and what somebody between them can try.

use super::*;

fn with(mechanism: Mechanism) -> InitiateConfig {
    InitiateConfig { mechanisms: vec![mechanism], ..initiate_config() }
}

#[track_caller]
fn assert_bound(pair: &Pair, address: &str) {
    assert_eq!(pair.client.closed, None);
    assert_eq!(pair.client.bound.as_ref().map(Jid::as_str), Some(address));
    assert_eq!(pair.client.bound, pair.server.bound);
    assert_eq!(pair.client.initiate.deadline(), None);
}

#[test]
fn each_password_mechanism_logs_in_rfc6120_6() {
    for mechanism in ALL.into_iter().filter(|m| matches!(m, Mechanism::Plain | Mechanism::Scram { .. })) {
        let mut pair = Pair::new(with(mechanism), accept_config());
        pair.run();
        assert_bound(&pair, "juliet@capulet.example/balcony");
        assert!(pair.sent.contains(&format!("mechanism='{}'", mechanism.name())), "{}", mechanism.name());
    }
}

#[test]
fn the_best_mechanism_is_taken_where_all_are_allowed() {
    let mut pair = Pair::new(initiate_config(), accept_config());
    pair.run();
    assert_bound(&pair, "juliet@capulet.example/balcony");
    assert!(pair.sent.contains("mechanism='SCRAM-SHA-512-PLUS'"));
}

#[test]
fn a_binding_that_only_one_end_has_is_not_used_xep0440_3() {
    let without_exporter = || {
        let mut secured = secured();
        secured.bindings.exporter = None;
        secured
    };
    for (client, server) in [(secured(), without_exporter()), (without_exporter(), secured())] {
        let mut pair = Pair::new(initiate_config(), accept_config());
        pair.tls = (client, server);
        pair.run();
        assert!(pair.sent.contains("mechanism='SCRAM-SHA-512-PLUS'"));
        assert_bound(&pair, "juliet@capulet.example/balcony");
    }
}

#[test]
fn a_certificate_logs_in_by_external() {
    for authzid in [None, Some("juliet@capulet.example".into())] {
        let login = Login::Certificate { authzid };
        let mut pair = Pair::new(InitiateConfig { login, ..initiate_config() }, accept_config());
        pair.tls.0.certificate = true;
        pair.tls.1.certificate = true;
        pair.run();
        assert_bound(&pair, "juliet@capulet.example/balcony");
    }
    let login = Login::Certificate { authzid: Some("romeo@capulet.example".into()) };
    let mut pair = Pair::new(InitiateConfig { login, ..initiate_config() }, accept_config());
    pair.tls.1.certificate = true;
    pair.run();
    assert_eq!(pair.client.error(), Some(InitiateError::Login { condition: "invalid-authzid".into(), text: None }));
}

#[test]
fn nobody_in_particular_logs_in_by_anonymous_only_where_it_is_allowed() {
    let config = InitiateConfig { login: Login::Anonymous, ..initiate_config() };
    let mut pair =
        Pair::new(config.clone(), AcceptConfig { mechanisms: vec![Mechanism::Anonymous], ..accept_config() });
    pair.run();
    assert_bound(&pair, "anonymous-1@capulet.example/balcony");
    let mut pair = Pair::new(config, accept_config());
    pair.run();
    assert!(matches!(pair.client.error(), Some(InitiateError::NoMechanism { .. })));
}

#[test]
fn a_wrong_password_is_refused_and_the_stream_ends_in_order() {
    for (username, password) in [("juliet", "wrong"), ("nobody", "r0m30myr0m30")] {
        let login = Login::Password { username: username.into(), password: password.into() };
        for mechanism in ALL.into_iter().filter(|m| matches!(m, Mechanism::Plain | Mechanism::Scram { plus: true, .. }))
        {
            let mut pair = Pair::new(InitiateConfig { login: login.clone(), ..with(mechanism) }, accept_config());
            pair.run();
            assert_eq!(
                pair.client.error(),
                Some(InitiateError::Login { condition: "not-authorized".into(), text: None })
            );
            assert_eq!(pair.server.closed, Some(None));
        }
    }
}

#[test]
fn different_tls_at_both_ends_is_found_out_rfc5802_6() {
    let mut pair = Pair::new(initiate_config(), accept_config());
    pair.tls.1.bindings.exporter = Some([8; 32].into());
    pair.tls.1.bindings.server_end_point = Some([8; 32].into());
    pair.run();
    assert_eq!(pair.client.error(), Some(InitiateError::Login { condition: "not-authorized".into(), text: None }));
    assert_eq!(pair.server.bound, None);
}

#[test]
fn an_offer_from_which_plus_was_taken_is_found_out_by_the_server_rfc5802_6() {
    let mut client = Peer::new(initiate_config(), Some(secured()));
    let mut server = Server::new(accept_config(), Some(secured()));
    let hello = client.send("");
    let features = server.send(hello);
    let cut = features.find("<sasl-channel-binding").unwrap()..features.find("<mechanisms").unwrap();
    let mut weakened = features.clone();
    weakened.replace_range(cut, "");
    for hash in ["512", "256", "1"] {
        weakened = weakened.replace(&format!("<mechanism>SCRAM-SHA-{hash}-PLUS</mechanism>"), "");
    }
    let auth = client.send(weakened);
    assert!(auth.contains("mechanism='SCRAM-SHA-512'"), "{auth}");
    let answer = server.send(auth);
    assert!(answer.starts_with("<failure"), "{answer}");
}

#[test]
fn a_signature_of_the_server_that_is_wrong_or_missing_ends_the_login_rfc5802_5() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    for missing in [true, false] {
        let mut client = Peer::new(initiate_config(), Some(secured()));
        let mut server = Server::new(accept_config(), Some(secured()));
        let mut answer = server.send(client.send(""));
        while !answer.starts_with("<success") {
            answer = server.send(client.send(answer));
        }
        let (start, rest) = answer.split_once('>').unwrap();
        let mut data = STANDARD.decode(rest.strip_suffix("</success>").unwrap()).unwrap();
        assert!(data.starts_with(b"v="));
        data[10] = if data[10] == b'A' { b'B' } else { b'A' };
        let data = if missing { String::new() } else { STANDARD.encode(data) };
        assert_eq!(client.send(format!("{start}>{data}</success>")), "</stream:stream>");
        assert_eq!(client.error(), Some(InitiateError::Sasl(crate::sasl::ClientError::ServerNotAuthentic)));
    }
}

#[test]
fn a_domain_of_several_is_logged_in_to() {
    let mut pair = Pair::new(InitiateConfig { domain: OTHER.into(), ..initiate_config() }, accept_config());
    pair.run();
    assert_bound(&pair, "juliet@montague.example/balcony");
}

#[test]
fn the_server_chooses_a_resource_rfc6120_7_6() {
    let mut pair = Pair::new(InitiateConfig { resource: None, ..initiate_config() }, accept_config());
    pair.run();
    assert_bound(&pair, "juliet@capulet.example/chosen");
}

#[test]
fn a_resource_in_use_is_told_rfc6120_7_7_2_2() {
    let mut pair = Pair::new(initiate_config(), accept_config());
    pair.server.backend.bound.insert("juliet@capulet.example/balcony".to_owned());
    pair.run();
    let Some(InitiateError::Bind(error)) = pair.client.error() else { panic!("{:?}", pair.client.error()) };
    assert_eq!(error.condition, Condition::Conflict);
}

#[test]
fn without_tls_only_where_both_ends_allow_it() {
    let plaintext = || AcceptConfig { require_tls: false, steps: steps::ACCEPT[1..].to_vec(), ..accept_config() };
    let mut pair = Pair::new(InitiateConfig { require_tls: false, ..initiate_config() }, plaintext());
    pair.run();
    assert_bound(&pair, "juliet@capulet.example/balcony");
    let mut pair = Pair::new(initiate_config(), plaintext());
    pair.run();
    assert_eq!(pair.client.error(), Some(InitiateError::NoTls));
    assert!(!pair.sent.contains("<auth"));
}

#[test]
fn stanzas_go_both_ways_after_binding_and_both_close_in_order_rfc6120_4_4() {
    let mut pair = Pair::new(initiate_config(), accept_config());
    pair.run();
    pair.server.send("<message to='romeo@montague.example'><body>x</body></message>");
    assert_eq!(pair.server.stanzas.len(), 1);
    pair.client.send("<message from='romeo@montague.example'><body>y</body></message>");
    assert_eq!(pair.client.stanzas.len(), 1);
    pair.client.initiate.close();
    let end = pair.client.send("<message from='romeo@montague.example'><body>z</body></message>");
    assert_eq!(end, "</stream:stream>");
    assert_eq!(pair.client.stanzas.len(), 2, "stanzas still come behind our end tag");
    let answer = pair.server.send(end);
    assert_eq!(answer, "</stream:stream>");
    assert_eq!(pair.client.send(answer), "");
    assert_eq!(pair.client.error(), None);
}

#[test]
fn the_network_may_split_bytes_anywhere_rfc6120_4_1() {
    for pieces in [vec![1], vec![2], vec![3, 1, 7], vec![64, 1], vec![511, 2], vec![1000, 1, 1, 1]] {
        let mut pair = Pair::new(initiate_config(), accept_config());
        pair.pieces = pieces;
        pair.run();
        assert_bound(&pair, "juliet@capulet.example/balcony");
    }
}
