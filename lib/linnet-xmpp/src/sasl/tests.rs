//! The vectors, and what has to be refused on either side.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::*;

pub(super) const DOMAIN: &str = "example.com";
const SHA256: Mechanism = Mechanism::Scram { hash: Hash::Sha256, plus: false };
const SHA256_PLUS: Mechanism = Mechanism::Scram { hash: Hash::Sha256, plus: true };

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let list = value[key].as_array().unwrap_or_else(|| panic!("{key}"));
    assert!(!list.is_empty(), "{key}");
    list
}

fn published() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/scram.json")).unwrap()
}

fn bytes(hex: &str) -> Box<[u8]> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// Both bindings, as TLS 1.3 gives them.
pub(super) fn bindings() -> ChannelBindings {
    ChannelBindings { exporter: Some([7; 32].into()), server_end_point: Some([8; 32].into()) }
}

/// The value of an attribute in a message.
fn attribute(message: &str, name: char) -> &str {
    message.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('=')).unwrap()
}

/// Plays one recorded exchange, once on either side.
fn replay(case: &Value, bindings: &ChannelBindings) {
    let mechanism = Mechanism::named(text(case, "mechanism")).unwrap();
    let Mechanism::Scram { hash, plus } = mechanism else { panic!("{case}") };
    let (first, server_first) = (text(case, "client_first"), text(case, "server_first"));
    let (last, server_final) = (text(case, "client_final"), text(case, "server_final"));
    let (username, password) = (text(case, "username"), text(case, "password"));
    let client_nonce = attribute(first, 'r');
    let server_nonce = attribute(server_first, 'r').strip_prefix(client_nonce).unwrap();
    let salt = STANDARD.decode(attribute(server_first, 's')).unwrap();
    let keys = ScramKeys::derive(hash, password, &salt, case["iterations"].as_u64().unwrap() as u32).unwrap();
    assert_eq!(STANDARD.encode(&keys.stored_key), text(case, "stored_key_b64"), "{case}");
    assert_eq!(STANDARD.encode(&keys.server_key), text(case, "server_key_b64"), "{case}");
    assert!(keys.verify(password) && !keys.verify("pencils"));

    let mut server = Server::new(mechanism, DOMAIN, bindings.clone(), plus, server_nonce.to_owned());
    let ServerStep::Keys { username: asked, hash: of } = server.response(Some(first.as_bytes())) else { panic!() };
    assert_eq!((asked.as_str(), of), (username, hash));
    let ServerStep::Challenge(challenge) = server.keys(keys, Ok(())) else { panic!() };
    assert_eq!(challenge, server_first.as_bytes());
    let ServerStep::Done { username: Some(who), data: Some(data) } = server.response(Some(last.as_bytes())) else {
        panic!("{case}")
    };
    assert_eq!((who.as_str(), data.as_slice()), (username, server_final.as_bytes()));

    let types: Vec<&str> = case["cb_type"].as_str().into_iter().collect();
    let mut client =
        Client::new(mechanism, username, password, bindings.clone(), &types, plus, client_nonce.to_owned());
    assert_eq!(client.initial(), first.as_bytes());
    assert_eq!(client.challenge(server_first.as_bytes()).unwrap(), last.as_bytes(), "{case}");
    assert_eq!(client.success(Some(server_final.as_bytes())), Ok(()));
}

#[test]
fn published_vectors() {
    for case in list(&published(), "vectors") {
        replay(case, &ChannelBindings::default());
    }
}

#[test]
fn vectors_of_another_implementation() {
    let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/scram-scramp.json")).unwrap();
    for case in list(&vectors, "vectors") {
        let data = case["cb_data_hex"].as_str().map(bytes);
        let (exporter, server_end_point) = match case["cb_type"].as_str() {
            Some("tls-exporter") => (data, None),
            Some("tls-server-end-point") => (None, data),
            _ => (None, None),
        };
        replay(case, &ChannelBindings { exporter, server_end_point });
    }
}

#[test]
fn saslprep() {
    for case in list(&published(), "saslprep") {
        let prepared = prepare_password(text(case, "input"));
        assert_eq!(prepared.as_deref().ok(), case["output"].as_str(), "{case}");
    }
    // Newer than Unicode 3.2: allowed, and not changed.
    assert_eq!(prepare_password("\u{1f970}").as_deref(), Ok("\u{1f970}"));
    for refused in ["", "\u{ad}", "\u{7f}", "\u{e000}", "\u{5d0}a\u{5d0}"] {
        assert_eq!(prepare_password(refused), Err(BadPassword), "{refused:?}");
        assert_eq!(ScramKeys::derive(Hash::Sha1, refused, b"salt", 1), Err(BadPassword));
    }
}

/// What the server says to a first message of SCRAM.
fn first(mechanism: Mechanism, message: &[u8], offers_plus: bool) -> Result<String, Failure> {
    let mut server = Server::new(mechanism, DOMAIN, bindings(), offers_plus, "server".to_owned());
    match server.response(Some(message)) {
        ServerStep::Keys { username, .. } => Ok(username),
        ServerStep::Failed(failure) => Err(failure),
        step => panic!("{step:?}"),
    }
}

#[test]
fn usernames() {
    let vectors = published();
    for case in list(&vectors, "username_escaping") {
        let message = format!("n,,n={},r=nonce", text(case, "sent"));
        assert_eq!(first(SHA256, message.as_bytes(), false).as_deref(), Ok(text(case, "name")), "{case}");
        let mut client =
            Client::new(SHA256, text(case, "name"), "p", ChannelBindings::default(), &[], false, "nonce".to_owned());
        assert_eq!(client.initial(), message.as_bytes());
    }
    for name in list(&vectors, "invalid_username_escapes") {
        let message = format!("n,,n={},r=nonce", name.as_str().unwrap());
        assert_eq!(first(SHA256, message.as_bytes(), false), Err(Failure::MalformedRequest), "{name}");
    }
    // Names are localparts.
    for (sent, known) in [("Romeo", "romeo"), ("\u{3a3}", "\u{3c3}"), ("I\u{ad}X", "ix"), ("\u{aa}", "a")] {
        assert_eq!(first(SHA256, format!("n,,n={sent},r=x").as_bytes(), false).as_deref(), Ok(known));
    }
    for refused in ["a b", "a@b", "a/b", "\u{7}", "\u{ad}"] {
        let message = format!("n,,n={refused},r=x");
        assert_eq!(first(SHA256, message.as_bytes(), false), Err(Failure::NotAuthorized), "{refused:?}");
    }
}

#[test]
fn first_messages() {
    use Failure::{InvalidAuthzid, MalformedRequest, NotAuthorized};
    for (message, failure) in [
        ("", MalformedRequest),
        ("n", MalformedRequest),
        ("n,", MalformedRequest),
        ("n,,", MalformedRequest),
        ("z,,n=a,r=b", MalformedRequest),
        ("N,,n=a,r=b", MalformedRequest),
        ("nn,,n=a,r=b", MalformedRequest),
        ("p=,,n=a,r=b", MalformedRequest),
        ("p=a_b,,n=a,r=b", MalformedRequest),
        ("n,x,n=a,r=b", MalformedRequest),
        ("n,a=,n=a,r=b", MalformedRequest),
        ("n,a=x=y,n=a,r=b", MalformedRequest),
        ("n,,n=,r=b", MalformedRequest),
        ("n,,n=a", MalformedRequest),
        ("n,,n=a,r=", MalformedRequest),
        ("n,,n=a,r=b c", MalformedRequest),
        ("n,,n=a,r=\u{e4}", MalformedRequest),
        ("n,,r=b,n=a", MalformedRequest),
        ("n,,m=x,n=a,r=b", MalformedRequest),
        ("n,,n=a,m=x,r=b", MalformedRequest),
        ("n,,n=a,r=b,m=x", MalformedRequest),
        ("n,,n=a,r=b,r=c", MalformedRequest),
        ("n,,n=a,r=b,", MalformedRequest),
        ("n,,n=a,r=b,x", MalformedRequest),
        ("n,,n=a,r=b,x=", MalformedRequest),
        ("n,,n=a,r=b,1=x", MalformedRequest),
        ("n,,n=a\0b,r=b", MalformedRequest),
        ("n,a=b@example.com,n=a,r=b", InvalidAuthzid),
        ("n,a=example.com,n=a,r=b", InvalidAuthzid),
        ("n,a=a@example.com/x,n=a,r=b", InvalidAuthzid),
        ("n,a=a,n=a,r=b", InvalidAuthzid),
        ("n,a=@,n=a,r=b", InvalidAuthzid),
        ("p=tls-exporter,,n=a,r=b", NotAuthorized),
        ("p=tls-unique,,n=a,r=b", NotAuthorized),
    ] {
        assert_eq!(first(SHA256, message.as_bytes(), false), Err(failure), "{message:?}");
    }
    assert_eq!(first(SHA256, b"n,,n=\xff,r=b", false), Err(MalformedRequest));
    for message in ["n,,n=a,r=b", "y,,n=a,r=b", "n,a=A@example.com,n=a,r=b", "n,,n=a,r=b,x=1,y==,z=\u{e4}"] {
        assert_eq!(first(SHA256, message.as_bytes(), false).as_deref(), Ok("a"), "{message:?}");
    }
}

/// RFC 5802 §6: the flag against what was offered and which mechanism it is.
#[test]
fn channel_binding_flags() {
    for (mechanism, flag, fine) in [
        (SHA256, "n", true),
        (SHA256, "y", false),
        (SHA256, "p=tls-exporter", false),
        (SHA256_PLUS, "n", false),
        (SHA256_PLUS, "y", false),
        (SHA256_PLUS, "p=tls-exporter", true),
        (SHA256_PLUS, "p=tls-server-end-point", true),
        (SHA256_PLUS, "p=tls-unique", false),
        (SHA256_PLUS, "p=no-such-binding", false),
    ] {
        let result = first(mechanism, format!("{flag},,n=a,r=b").as_bytes(), true);
        assert_eq!(result.as_deref(), if fine { Ok("a") } else { Err(&Failure::NotAuthorized) }, "{flag}");
    }
    // A type that this connection has no data for.
    let tls12 = ChannelBindings { exporter: None, ..bindings() };
    let mut server = Server::new(SHA256_PLUS, DOMAIN, tls12, true, "s".to_owned());
    let step = server.response(Some(b"p=tls-exporter,,n=a,r=b"));
    assert!(matches!(step, ServerStep::Failed(Failure::NotAuthorized)));
}

/// Changes the final message of an exchange that would succeed; gives what the server says.
fn last(mechanism: Mechanism, proved: Result<(), Failure>, change: impl Fn(&str) -> String) -> Result<(), Failure> {
    let Mechanism::Scram { hash, plus } = mechanism else { panic!() };
    let mut server = Server::new(mechanism, DOMAIN, bindings(), plus, "server".to_owned());
    let types = ["tls-exporter"];
    let mut client = Client::new(
        mechanism,
        "romeo",
        "pencil",
        if plus { bindings() } else { ChannelBindings::default() },
        &types,
        plus,
        "client".to_owned(),
    );
    assert!(matches!(server.response(Some(&client.initial())), ServerStep::Keys { .. }));
    let keys = ScramKeys::derive(hash, "pencil", b"salt", MIN_ITERATIONS).unwrap();
    let ServerStep::Challenge(challenge) = server.keys(keys, proved) else { panic!() };
    let answer = String::from_utf8(client.challenge(&challenge).unwrap()).unwrap();
    match server.response(Some(change(&answer).as_bytes())) {
        ServerStep::Done { .. } => Ok(()),
        ServerStep::Failed(failure) => Err(failure),
        step => panic!("{step:?}"),
    }
}

#[test]
fn final_messages() {
    use Failure::{AccountDisabled, MalformedRequest, NotAuthorized};
    let field = |message: &str, name: char, value: &str| {
        message.replace(&format!("{name}={}", attribute(message, name)), &format!("{name}={value}"))
    };
    for mechanism in [SHA256, SHA256_PLUS] {
        assert_eq!(last(mechanism, Ok(()), str::to_owned), Ok(()));
        for refusal in [Err(NotAuthorized), Err(AccountDisabled)] {
            assert_eq!(last(mechanism, refusal, str::to_owned), refusal, "what was said of a right proof");
            let wrong = |m: &str| field(m, 'p', &STANDARD.encode([0; 32]));
            assert_eq!(
                last(mechanism, refusal, wrong),
                Err(NotAuthorized),
                "a disabled account is not told to anybody"
            );
        }
        let refused = |failure, change: &dyn Fn(&str) -> String| {
            assert_eq!(last(mechanism, Ok(()), change), Err(failure), "{}", change("c=C,r=R,p=P"));
        };
        refused(NotAuthorized, &|m| field(m, 'p', &STANDARD.encode([0; 32])));
        refused(NotAuthorized, &|m| field(m, 'p', &STANDARD.encode("xxx")));
        refused(NotAuthorized, &|m| field(m, 'r', "clientserverx"));
        refused(NotAuthorized, &|m| field(m, 'r', "client"));
        refused(NotAuthorized, &|m| field(m, 'c', &STANDARD.encode("y,,")));
        refused(NotAuthorized, &|m| field(m, 'c', &STANDARD.encode("p=tls-exporter,,wrong")));
        refused(NotAuthorized, &|m| field(m, 'c', &STANDARD.encode("n,,x")));
        refused(NotAuthorized, &|m| m.replace(",p=", ",x=1,p="));
        refused(MalformedRequest, &|m| field(m, 'p', ""));
        refused(MalformedRequest, &|m| field(m, 'p', "!"));
        refused(MalformedRequest, &|m| field(m, 'c', "biw"));
        refused(MalformedRequest, &|m| m.replace(",p=", ",m=1,p="));
        refused(MalformedRequest, &|m| format!("{m},x=1"));
        refused(MalformedRequest, &|m| m[..m.find(",p=").unwrap_or(0)].to_owned());
        refused(MalformedRequest, &|_| "e=other-error".to_owned());
        refused(MalformedRequest, &|_| String::new());
    }
}

#[test]
fn decoys() {
    let secret = [1; 32];
    let decoy = |name| ScramKeys::decoy(Hash::Sha256, name, &secret, 4096);
    assert_eq!(decoy("a"), decoy("a"));
    assert_ne!(decoy("a").salt, decoy("b").salt);
    assert_ne!(decoy("a").salt, ScramKeys::decoy(Hash::Sha256, "a", &[2; 32], 4096).salt);
    for hash in [Hash::Sha1, Hash::Sha256, Hash::Sha512] {
        let keys = ScramKeys::decoy(hash, "a", &secret, 4096);
        let sizes = (keys.salt.len(), keys.stored_key.len(), keys.server_key.len(), keys.iterations);
        assert_eq!(sizes, (DECOY_SALT, hash.size(), hash.size(), 4096));
        assert!(!keys.verify("pencil"));
    }
}

fn single(mechanism: Mechanism, message: &[u8]) -> ServerStep {
    Server::new(mechanism, DOMAIN, ChannelBindings::default(), false, "s".to_owned()).response(Some(message))
}

#[test]
fn plain() {
    use Failure::{InvalidAuthzid, MalformedRequest, NotAuthorized};
    for (message, failure) in [
        (&b""[..], MalformedRequest),
        (b"abcdef", MalformedRequest),
        (b"\0a", MalformedRequest),
        (b"\0a\0", MalformedRequest),
        (b"\0\0b", MalformedRequest),
        (b"\0a\0b\0c\0", MalformedRequest),
        (b"\0\xff\xfe\0\xff", MalformedRequest),
        (b"\0a b\0c", NotAuthorized),
        (b"\0a\0\x07", NotAuthorized),
        (b"b@example.com\0a\0c", InvalidAuthzid),
        (b"a@example.net\0a\0c", InvalidAuthzid),
        (b"a\0a\0c", InvalidAuthzid),
    ] {
        let step = single(Mechanism::Plain, message);
        assert!(matches!(step, ServerStep::Failed(f) if f == failure), "{message:?}: {step:?}");
    }
    for message in [&b"\0Juliet\0p w"[..], b"juliet@example.com\0juliet\0p w", b"Juliet@EXAMPLE.com.\0juliet\0p w"] {
        let mut server = Server::new(Mechanism::Plain, DOMAIN, bindings(), true, "s".to_owned());
        let step = server.response(Some(message));
        assert!(!format!("{step:?}").contains("p w"));
        let ServerStep::Verify { username, password } = step else { panic!() };
        assert_eq!((username.as_str(), password.as_str()), ("juliet", "p w"));
        let step = server.verified(Ok(username));
        assert!(matches!(step, ServerStep::Done { username: Some(name), data: None } if name == "juliet"));
    }
    let mut server = Server::new(Mechanism::Plain, DOMAIN, bindings(), true, "s".to_owned());
    assert!(matches!(server.response(None), ServerStep::Challenge(data) if data.is_empty()));
    assert!(matches!(server.response(Some(b"\0a\0b")), ServerStep::Verify { .. }));
    let step = server.verified(Err(Failure::AccountDisabled));
    assert!(matches!(step, ServerStep::Failed(Failure::AccountDisabled)));

    let mut client = Client::new(Mechanism::Plain, "a", "b", bindings(), &[], false, "c".to_owned());
    assert_eq!((client.initial().as_slice(), client.success(None)), (&b"\0a\0b"[..], Ok(())));
    assert_eq!(client.challenge(b""), Err(ClientError::BadChallenge));
}

#[test]
fn external() {
    let run = |message: &[u8], holder: &str| {
        let mut server = Server::new(Mechanism::External, DOMAIN, bindings(), true, "s".to_owned());
        match server.response(Some(message)) {
            ServerStep::Certificate { .. } => match server.verified(Ok(holder.to_owned())) {
                ServerStep::Done { username, .. } => Ok(username.unwrap()),
                ServerStep::Failed(failure) => Err(failure),
                step => panic!("{step:?}"),
            },
            ServerStep::Failed(failure) => Err(failure),
            step => panic!("{step:?}"),
        }
    };
    assert_eq!(run(b"", "romeo").as_deref(), Ok("romeo"));
    assert_eq!(run(b"romeo@example.com", "romeo").as_deref(), Ok("romeo"));
    assert_eq!(run(b"Other.Example", "other.example").as_deref(), Ok("other.example"));
    assert_eq!(run(b"juliet@example.com", "romeo"), Err(Failure::InvalidAuthzid));
    assert_eq!(run(b"example.com", "romeo"), Err(Failure::InvalidAuthzid));
    assert_eq!(run(b"other.example", "evil.example"), Err(Failure::InvalidAuthzid));
    assert_eq!(run(b"a\0b", "a"), Err(Failure::MalformedRequest));
    assert_eq!(run(b"\xff", "a"), Err(Failure::MalformedRequest));
}

#[test]
fn anonymous() {
    for message in [&b""[..], b"sirhc", "\u{e4}".repeat(255).as_bytes()] {
        let step = single(Mechanism::Anonymous, message);
        assert!(matches!(step, ServerStep::Done { username: None, data: None }));
    }
    for message in [&b"\xff"[..], b"a\0", "\u{e4}".repeat(256).as_bytes()] {
        let step = single(Mechanism::Anonymous, message);
        assert!(matches!(step, ServerStep::Failed(Failure::MalformedRequest)));
    }
}

/// Calls out of turn are refused, by the caller's fault or the client's.
#[test]
fn out_of_turn() {
    let keys = || ScramKeys::decoy(Hash::Sha256, "a", &[0; 32], 4096);
    let new = || Server::new(SHA256, DOMAIN, bindings(), false, "s".to_owned());
    let ours = |step| assert!(matches!(step, ServerStep::Failed(Failure::TemporaryAuthFailure)), "{step:?}");
    let theirs = |step| assert!(matches!(step, ServerStep::Failed(Failure::MalformedRequest)), "{step:?}");
    ours(new().keys(keys(), Ok(())));
    ours(new().verified(Ok("a".to_owned())));
    let mut server = new();
    server.response(Some(b"n,,n=a,r=b"));
    theirs(server.response(Some(b"n,,n=a,r=b")));
    let mut server = new();
    server.response(Some(b"n,,n=a,r=b"));
    ours(server.keys(ScramKeys::decoy(Hash::Sha1, "a", &[0; 32], 4096), Ok(())));
    theirs(server.response(Some(b"x")));
    // Asked for once, an initial response that is empty again is one.
    let mut server = new();
    assert!(matches!(server.response(None), ServerStep::Challenge(_)));
    theirs(server.response(None));
}

#[test]
fn names() {
    for mechanism in Mechanism::ALL {
        assert_eq!(Mechanism::named(mechanism.name()), Some(mechanism));
    }
    assert_eq!(Mechanism::named("scram-sha-1"), None);
    assert_eq!(Failure::named("not-authorized"), Some(Failure::NotAuthorized));
    assert_eq!(Failure::named("temporary-auth-failure"), Some(Failure::TemporaryAuthFailure));
    assert_eq!(Failure::named("bad-protocol"), None);
    assert!(Hash::Sha1 < Hash::Sha256 && Hash::Sha256 < Hash::Sha512);
}

#[test]
fn choice() {
    let all: Vec<&str> = Mechanism::ALL.iter().map(|m| m.name()).collect();
    let none = ChannelBindings::default();
    let choose = |offered: &[&str], bindings: &ChannelBindings, types: &[&str], plain| {
        Client::choose(offered, bindings, types, plain).map(Mechanism::name)
    };
    assert_eq!(choose(&all, &bindings(), &["tls-exporter"], true), Some("SCRAM-SHA-512-PLUS"));
    assert_eq!(choose(&all, &bindings(), &[], true), Some("SCRAM-SHA-512-PLUS"));
    assert_eq!(choose(&all, &bindings(), &["tls-unique"], true), Some("SCRAM-SHA-512"));
    assert_eq!(choose(&all, &none, &["tls-exporter"], true), Some("SCRAM-SHA-512"));
    let some = ["PLAIN", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "EXTERNAL"];
    assert_eq!(choose(&some, &bindings(), &[], true), Some("SCRAM-SHA-1-PLUS"));
    assert_eq!(choose(&some, &none, &[], true), Some("SCRAM-SHA-256"));
    assert_eq!(choose(&["PLAIN", "DIGEST-MD5"], &none, &[], true), Some("PLAIN"));
    assert_eq!(choose(&["PLAIN", "EXTERNAL", "ANONYMOUS"], &none, &[], false), None);
}

#[test]
fn client_flags() {
    let initial = |mechanism, bindings: ChannelBindings, types: &[&str], plus| {
        let mut client = Client::new(mechanism, "a", "b", bindings, types, plus, "c".to_owned());
        String::from_utf8(client.initial()).unwrap()
    };
    let tls12 = || ChannelBindings { exporter: None, ..bindings() };
    assert_eq!(initial(SHA256, ChannelBindings::default(), &[], false), "n,,n=a,r=c");
    assert_eq!(initial(SHA256, ChannelBindings::default(), &[], true), "n,,n=a,r=c");
    assert_eq!(initial(SHA256, bindings(), &[], false), "y,,n=a,r=c");
    // No type in common: `y` would be refused.
    assert_eq!(initial(SHA256, bindings(), &["tls-unique"], true), "n,,n=a,r=c");
    let both = ["tls-server-end-point", "tls-exporter"];
    assert_eq!(initial(SHA256_PLUS, bindings(), &both, true), "p=tls-exporter,,n=a,r=c");
    assert_eq!(initial(SHA256_PLUS, tls12(), &both, true), "p=tls-server-end-point,,n=a,r=c");
    assert_eq!(initial(SHA256_PLUS, bindings(), &[], true), "p=tls-server-end-point,,n=a,r=c");
}

#[test]
fn what_a_client_refuses() {
    use ClientError::*;
    let client = |password: &str| {
        Client::new(SHA256, "a", password, ChannelBindings::default(), &[], false, "client".to_owned())
    };
    for (challenge, error) in [
        ("", BadChallenge),
        ("r=client,s=c2FsdA==,i=4096", BadChallenge),
        ("r=clienX,s=c2FsdA==,i=4096", BadChallenge),
        ("r=clientx,s=c2FsdA=,i=4096", BadChallenge),
        ("r=clientx,s=,i=4096", BadChallenge),
        ("r=clientx,i=4096,s=c2FsdA==", BadChallenge),
        ("m=x,r=clientx,s=c2FsdA==,i=4096", BadChallenge),
        ("r=clientx,s=c2FsdA==,i=4096,m=x", BadChallenge),
        ("r=clientx,s=c2FsdA==,i=04096", BadChallenge),
        ("r=clientx,s=c2FsdA==,i=-1", BadChallenge),
        ("r=clientx,s=c2FsdA==,i=99999999999999999999", BadChallenge),
        ("r=clientx,s=c2FsdA==,i=4095", IterationsTooFew),
        ("r=clientx,s=c2FsdA==,i=1", IterationsTooFew),
        ("r=clientx,s=c2FsdA==,i=10000001", IterationsTooMany),
        ("r=clientx,s=c2FsdA==,i=4294971392", IterationsTooMany),
    ] {
        assert_eq!(client("p").challenge(challenge.as_bytes()), Err(error), "{challenge}");
    }
    let challenge = b"r=clientx,s=c2FsdA==,i=4096,x=1";
    assert_eq!(client("\u{7}").challenge(challenge), Err(BadPassword));
    assert_eq!(client("p").success(Some(b"v=AAAA")), Err(ServerNotAuthentic), "before any challenge");
    for end in [None, Some(&b""[..]), Some(b"v=AAAA"), Some(b"v="), Some(b"x"), Some(b"e=other-error")] {
        let mut client = client("p");
        assert!(client.challenge(challenge).is_ok());
        assert_eq!(client.success(end), Err(ServerNotAuthentic), "{end:?}");
    }
    // The server's last message as a challenge: an error, after which no success counts.
    let mut client = client("p");
    assert!(client.challenge(challenge).is_ok());
    assert_eq!(client.challenge(b"e=invalid-proof"), Ok(Vec::new()));
    assert_eq!(client.success(None), Err(ServerNotAuthentic));
}

/// The signature may come as a challenge, and success then without data (RFC 4422 §3.6).
#[test]
fn signature_as_challenge() {
    let vectors = published();
    let case = &list(&vectors, "vectors")[1];
    let nonce = attribute(text(case, "client_first"), 'r').to_owned();
    let mut client = Client::new(SHA256, "user", "pencil", ChannelBindings::default(), &[], false, nonce);
    assert!(client.challenge(text(case, "server_first").as_bytes()).is_ok());
    assert_eq!(client.challenge(text(case, "server_final").as_bytes()), Ok(Vec::new()));
    assert_eq!(client.success(None), Ok(()));
}

#[test]
fn nothing_secret_is_printed() {
    let keys = ScramKeys::derive(Hash::Sha1, "pencil", b"salt", 1).unwrap();
    assert_eq!(format!("{keys:?}"), "ScramKeys { hash: Sha1, .. }");
    let client = Client::new(SHA256, "a", "pencil", bindings(), &[], false, "c".to_owned());
    assert!(!format!("{client:?}").contains("pencil"));
}
