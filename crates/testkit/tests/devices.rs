//! Tokens (XEP-0484) as the kernel and the features see them: given, replaced, revoked; and the list of clients
//! (XEP-0494).

use linnet_xmpp::{
    Jid, ns,
    sasl::{ChannelBindings, Failure, Hash, MIN_ITERATIONS, ScramKeys, TokenMechanism, TokenProof, token_message},
    stream::{Agent, Answer, BindRequest, Entry, Need, Proof},
    xml::{Document, Scope},
};
use std::time::Duration;
use testkit::{Peer, Server};

const DAY: Duration = Duration::from_secs(24 * 3600);
const FAST: &str = "<fast xmlns='urn:xmpp:fast:0'/>";
const WANTED: &str = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>";

fn juliet() -> Jid {
    Jid::parse("juliet@example.com").unwrap()
}

/// Logs a device in that has proved who it is, and gives its session and the token that it got.
async fn enter(server: &Server, device: &str, proof: Proof, inner: &str) -> (Peer, Option<String>) {
    let request = format!("<authenticate xmlns='urn:xmpp:sasl:2'>{inner}</authenticate>");
    let entry = Entry {
        username: Some("juliet".into()),
        domain: "example.com".into(),
        proof,
        agent: Agent { id: Some(device.into()), software: Some("Software".into()), device: None },
        resume: None,
        bind: Some(BindRequest::default()),
        request: Document::parse(request.into(), &Scope::new(ns::CLIENT)).unwrap(),
    };
    let (answer, session) = server.kernel.answer(Need::Enter(Box::new(entry))).await;
    let Answer::Entered(Ok(entered)) = answer else { panic!("{answer:?}") };
    let (session, connection) = session.expect("a session");
    let token = (!entered.more.is_empty()).then(|| {
        let document = Document::parse(entered.more.clone(), &Scope::new(ns::CLIENT)).unwrap();
        document.root().attr("token").unwrap().into_owned()
    });
    (Peer::new(server.kernel.clone(), session, connection), token)
}

/// Whether a token is taken.
async fn check(server: &Server, device: &str, mechanism: TokenMechanism, token: &str) -> Result<(), Failure> {
    let bindings = ChannelBindings { exporter: Some([1; 32].into()), server_end_point: None };
    let message = token_message(mechanism, "juliet", token, &bindings).unwrap();
    let proof = TokenProof::read(mechanism, &message, &bindings).unwrap();
    let need = Need::Token { username: "juliet".into(), domain: "example.com".into(), device: device.into(), proof };
    match server.kernel.answer(need).await.0 {
        Answer::Token(answer) => answer.map(|_| ()),
        other => panic!("{other:?}"),
    }
}

async fn works(server: &Server, token: &str) -> Result<(), Failure> {
    check(server, "phone", TokenMechanism::Unbound, token).await
}

/// A device that has logged in by its password and got a token.
async fn given() -> (Server, String) {
    let server = Server::with_accounts(&["juliet"]).await;
    let (_, token) = enter(&server, "phone", Proof::Password, WANTED).await;
    (server, token.expect("a token"))
}

#[tokio::test]
async fn a_token_belongs_to_its_device_and_mechanism_xep0484_3_4() {
    let (server, token) = given().await;
    assert_eq!(works(&server, "another").await, Err(Failure::NotAuthorized));
    assert_eq!(check(&server, "tablet", TokenMechanism::Unbound, &token).await, Err(Failure::NotAuthorized));
    assert_eq!(check(&server, "phone", TokenMechanism::Exporter, &token).await, Err(Failure::NotAuthorized));
    for _ in 0..3 {
        assert_eq!(works(&server, &token).await, Ok(()));
    }
}

#[tokio::test]
async fn a_token_is_replaced_each_day_and_stays_until_its_successor_is_used_xep0484_3_5() {
    let (server, first) = given().await;
    works(&server, &first).await.unwrap();
    assert_eq!(enter(&server, "phone", Proof::Token, FAST).await.1, None, "not yet due");
    server.pass(DAY).await;
    let lost = enter(&server, "phone", Proof::Token, FAST).await.1.expect("a new token");
    // The client never got it: the one before goes on, and another is given in place of the lost one.
    assert_eq!(works(&server, &first).await, Ok(()));
    let second = enter(&server, "phone", Proof::Token, FAST).await.1.expect("a new token");
    assert_eq!(works(&server, &lost).await, Err(Failure::NotAuthorized));
    assert_eq!(works(&server, &second).await, Ok(()));
    assert_eq!(works(&server, &second).await, Ok(()));
}

#[tokio::test]
async fn a_token_whose_successor_was_used_locks_the_device_out() {
    let (server, first) = given().await;
    works(&server, &first).await.unwrap();
    server.pass(DAY).await;
    let (session, second) = enter(&server, "phone", Proof::Token, FAST).await;
    works(&server, &second.clone().unwrap()).await.unwrap();
    assert_eq!(works(&server, &first).await, Err(Failure::CredentialsExpired));
    assert_eq!(works(&server, &second.unwrap()).await, Err(Failure::NotAuthorized), "nor does the new one count");
    assert!(session.take().is_some_and(|taken| taken.is_err()), "its session is ended");
    // With the password it begins anew.
    let (_, third) = enter(&server, "phone", Proof::Password, WANTED).await;
    assert_eq!(works(&server, &third.unwrap()).await, Ok(()));
}

#[tokio::test]
async fn a_token_expires() {
    let (server, token) = given().await;
    server.pass(29 * DAY).await;
    assert_eq!(works(&server, &token).await, Ok(()));
    server.pass(DAY).await;
    assert_eq!(works(&server, &token).await, Err(Failure::CredentialsExpired));
}

#[tokio::test]
async fn a_client_takes_its_token_back_xep0484_3_6() {
    let (server, token) = given().await;
    works(&server, &token).await.unwrap();
    server.pass(DAY).await;
    let invalidate = "<fast xmlns='urn:xmpp:fast:0' invalidate='true'/>";
    assert_eq!(enter(&server, "phone", Proof::Token, invalidate).await.1, None);
    assert_eq!(works(&server, &token).await, Err(Failure::NotAuthorized));
    let (_, token) = enter(&server, "phone", Proof::Token, &format!("{invalidate}{WANTED}")).await;
    assert_eq!(works(&server, &token.unwrap()).await, Ok(()));
}

#[tokio::test]
async fn a_new_password_and_the_administrator_end_all_tokens() {
    let (server, token) = given().await;
    features::accounts::set_password(&server.kernel, &juliet(), "another").await.unwrap();
    assert_eq!(works(&server, &token).await, Err(Failure::NotAuthorized));
    let (_, token) = enter(&server, "phone", Proof::Password, WANTED).await;
    features::accounts::set_disabled(&server.kernel, &juliet(), true).await.unwrap();
    features::accounts::set_disabled(&server.kernel, &juliet(), false).await.unwrap();
    assert_eq!(works(&server, &token.unwrap()).await, Err(Failure::NotAuthorized));
    let (_, token) = enter(&server, "phone", Proof::Password, WANTED).await;
    features::accounts::remove(&server.kernel, &juliet()).await.unwrap();
    assert_eq!(works(&server, &token.unwrap()).await, Err(Failure::NotAuthorized));
}

#[tokio::test]
async fn tokens_outlive_a_restart_and_unknown_mechanisms_get_none() {
    let (server, token) = given().await;
    let odd = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-MD5-NONE'/>";
    assert_eq!(enter(&server, "other", Proof::Password, odd).await.1, None);
    server.kernel.stop().await.unwrap();
    let again = Server::start(server.store.clone(), server.context.clone(), testkit::settings()).await.unwrap();
    assert_eq!(works(&again, &token).await, Ok(()));
}

#[tokio::test]
async fn an_account_has_so_many_devices_and_no_more() {
    let (server, token) = given().await;
    for number in 0..100 {
        enter(&server, &format!("device-{number}"), Proof::Password, "").await.0.end(Vec::new());
    }
    assert_eq!(works(&server, &token).await, Err(Failure::NotAuthorized), "the oldest made room");
    let rows = server.store.map_rows(store::MapTable("devices"), "juliet@example.com", None, 1000).await.unwrap();
    assert_eq!(rows.len(), 100);
    assert!(rows.iter().all(|row| !row.key.contains("device-")), "ids are not kept");
}

async fn ask(peer: &Peer, server: &Server, iq: &str) -> String {
    peer.read_all();
    peer.send(iq).await;
    server.settle().await;
    peer.read_all().concat()
}

#[tokio::test]
async fn clients_are_listed_and_lose_access_xep0494() {
    let (server, token) = given().await;
    works(&server, &token).await.unwrap();
    let tablet = enter(&server, "tablet", Proof::Password, "").await.0;
    let old = server.bind("juliet@example.com/old").await;
    let list = "<iq type='get' id='l'><list xmlns='urn:xmpp:cam:0'/></iq>";
    let listed = ask(&old, &server, list).await;
    assert_eq!(listed.matches("<client ").count(), 3, "{listed}");
    assert_eq!(listed.matches("<password/>").count(), 3, "{listed}");
    assert_eq!(listed.matches("<fast/>").count(), 1, "{listed}");
    assert!(listed.contains("<software>Software</software>") && !listed.contains("phone"), "{listed}");
    let id = |with: &str| {
        let client = listed.split("<client ").find(|client| client.contains(with)).unwrap();
        client.split_once("id='").unwrap().1.split_once('\'').unwrap().0.to_owned()
    };
    let revoke = |id: &str| format!("<iq type='set' id='r'><revoke xmlns='urn:xmpp:cam:0' id='{id}'/></iq>");
    let answer = ask(&old, &server, &revoke("nobody")).await;
    assert!(answer.contains("item-not-found"), "{answer}");
    let answer = ask(&old, &server, &revoke(&id("<fast/>"))).await;
    assert!(answer.contains("service-unavailable") && answer.contains("password-reset-required"), "{answer}");
    assert_eq!(works(&server, &token).await, Err(Failure::NotAuthorized));
    assert!(tablet.read().is_none(), "others stay");
    let other = server.bind("juliet@example.com/other").await;
    let foreign =
        ask(&other, &server, "<iq type='get' id='l' to='example.com'><list xmlns='urn:xmpp:cam:0'/></iq>").await;
    assert!(foreign.contains("type='error'"), "{foreign}");
}

#[tokio::test]
async fn whoever_asks_gets_the_answer_before_the_end() {
    let server = Server::with_accounts(&["juliet"]).await;
    let phone = enter(&server, "phone", Proof::Password, "").await.0;
    let listed = ask(&phone, &server, "<iq type='get' id='l'><list xmlns='urn:xmpp:cam:0'/></iq>").await;
    let id = listed.split_once("id='").unwrap().1.split_once("id='").unwrap().1.split_once('\'').unwrap().0;
    let answer =
        ask(&phone, &server, &format!("<iq type='set' id='r'><revoke xmlns='urn:xmpp:cam:0' id='{id}'/></iq>")).await;
    assert!(answer.contains("password-reset-required"), "{answer}\n{listed}");
    server.pass(Duration::from_secs(1)).await;
    assert!(phone.take().is_some_and(|taken| taken.is_err()));
}

#[tokio::test]
async fn devices_that_nobody_has_seen_are_forgotten() {
    let (server, _) = given().await;
    let old = server.bind("juliet@example.com/old").await;
    let list = "<iq type='get' id='l'><list xmlns='urn:xmpp:cam:0'/></iq>";
    let session = server.kernel.find_owner("juliet@example.com").unwrap().lock().sessions[0].session.clone();
    server.kernel.end(&session, Vec::new());
    server.pass(90 * DAY).await;
    let listed = ask(&old, &server, list).await;
    assert_eq!(listed.matches("<client ").count(), 1, "{listed}");
}

#[tokio::test]
async fn keys_with_too_few_iterations_are_replaced_xep0480() {
    // Servers under test hash with one iteration.
    let server = Server::with_accounts(&["juliet"]).await;
    let (username, domain) = ("juliet".to_owned(), Box::<str>::from("example.com"));
    let wanted = vec![Hash::Sha256];
    let ask = || Need::Upgrades { username: username.clone(), domain: domain.clone(), wanted: wanted.clone() };
    let Answer::Upgrades(upgrades) = server.kernel.answer(ask()).await.0 else { panic!("no upgrades") };
    assert_eq!((upgrades.len(), upgrades[0].iterations), (1, MIN_ITERATIONS));
    let keys = ScramKeys::derive(Hash::Sha256, "pencil", &upgrades[0].salt, MIN_ITERATIONS).unwrap();
    let give = Need::Upgrade { username: username.clone(), domain: domain.clone(), keys: keys.clone() };
    assert!(matches!(server.kernel.answer(give).await.0, Answer::Upgraded(Ok(()))));
    let need = Need::Keys { username: username.clone(), domain: domain.clone(), hash: Hash::Sha256 };
    let Answer::Keys(Ok((known, Ok(())))) = server.kernel.answer(need).await.0 else { panic!("no keys") };
    assert!(known == keys);
    assert!(matches!(server.kernel.answer(ask()).await.0, Answer::Upgrades(left) if left.is_empty()));
}
