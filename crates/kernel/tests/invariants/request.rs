//! What an owner asks others: an answer counts only with its id, from whom was asked and to who asked.

use crate::online;
use kernel::{Kernel, request::Unanswered};
use linnet_xmpp::{
    Stanza,
    stanza::{Condition, Type},
};
use std::{sync::Arc, time::Duration};
use testkit::{Peer, Server, jid, quiet};
use tokio::task::JoinHandle;

const PING: &str = "<ping xmlns='urn:xmpp:ping'/>";

type Asked = JoinHandle<Result<Stanza, Unanswered>>;

async fn ask(server: &Server, from: &str, to: &str, payload: &'static str) -> Asked {
    let (kernel, from, to): (Arc<Kernel>, _, _) = (server.kernel.clone(), jid(from), jid(to));
    let asked = tokio::spawn(async move { kernel.request(&from, to, Type::Get, payload.into()).await });
    quiet().await;
    asked
}

/// The one request that has come, and its id.
fn question(peer: &Peer) -> (Stanza, String) {
    let come = peer.read_all();
    assert_eq!(come.len(), 1, "{come:?}");
    let stanza = testkit::stanza(&come[0]).unwrap();
    let id = stanza.id.clone().unwrap().to_string();
    (stanza, id)
}

#[tokio::test]
async fn a_session_answers_the_account_the_server_and_a_contact() {
    let server = Server::with_accounts(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/orchard").await;
    for asker in ["romeo@example.com", "example.com"] {
        let asked = ask(&server, asker, "romeo@example.com/orchard", PING).await;
        let (stanza, id) = question(&romeo);
        assert_eq!(stanza.from.unwrap().as_str(), asker);
        romeo.send(&format!("<iq to='{asker}' type='result' id='{id}'><x xmlns='urn:example'/></iq>")).await;
        let answer = asked.await.unwrap().unwrap();
        assert!(answer.child("x", "urn:example").is_some());
    }
    // A client may leave out its own account's address.
    let asked = ask(&server, "romeo@example.com", "romeo@example.com/orchard", PING).await;
    let (_, id) = question(&romeo);
    romeo.send(&format!("<iq type='result' id='{id}'/>")).await;
    assert!(asked.await.unwrap().is_ok());
    // Who may not see his presence hears that nobody is there.
    let asked = ask(&server, "juliet@example.com", "romeo@example.com/orchard", PING).await;
    let refused = asked.await.unwrap().unwrap_err();
    assert!(matches!(refused, Unanswered::Error(error) if error.condition == Condition::ServiceUnavailable));
    romeo.send("<presence to='juliet@example.com'/>").await;
    let asked = ask(&server, "juliet@example.com", "romeo@example.com/orchard", PING).await;
    let (_, id) = question(&romeo);
    romeo
        .send(&format!(
            "<iq to='juliet@example.com' type='error' id='{id}'><error type='cancel'>\
         <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        ))
        .await;
    let refused = asked.await.unwrap().unwrap_err();
    assert!(matches!(refused, Unanswered::Error(error) if error.condition == Condition::ItemNotFound));
}

#[tokio::test]
async fn answers_of_others_with_other_ids_or_to_others_do_not_count() {
    let server = Server::with_accounts(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/orchard").await;
    let phone = online(&server, "romeo@example.com/phone").await;
    let juliet = online(&server, "juliet@example.com/balcony").await;
    romeo.read_all();
    let asked = ask(&server, "romeo@example.com", "romeo@example.com/orchard", PING).await;
    let (_, id) = question(&romeo);
    juliet.send(&format!("<iq to='romeo@example.com' type='result' id='{id}'/>")).await;
    phone.send(&format!("<iq to='romeo@example.com' type='result' id='{id}'/>")).await;
    romeo.send("<iq to='romeo@example.com' type='result' id='ask-other'/>").await;
    romeo.send(&format!("<iq to='example.com' type='result' id='{id}'/>")).await;
    romeo.send(&format!("<iq to='juliet@example.com' type='result' id='{id}'/>")).await;
    server.settle().await;
    assert!(!asked.is_finished());
    assert!(juliet.read_all().is_empty() && phone.read_all().is_empty(), "answers to accounts go to nobody else");
    romeo.send(&format!("<iq type='result' id='{id}'/>")).await;
    assert!(asked.await.unwrap().is_ok());
}

#[tokio::test]
async fn who_does_not_answer_in_time_or_leaves_does_not_keep_the_asker_waiting() {
    let server = Server::with_accounts(&["romeo"]).await;
    let romeo = online(&server, "romeo@example.com/orchard").await;
    let asked = ask(&server, "romeo@example.com", "romeo@example.com/orchard", PING).await;
    let (_, id) = question(&romeo);
    server.pass(Duration::from_secs(59)).await;
    assert!(!asked.is_finished());
    server.pass(Duration::from_secs(1)).await;
    assert_eq!(asked.await.unwrap().unwrap_err(), Unanswered::TimedOut);
    romeo.send(&format!("<iq type='result' id='{id}'/>")).await;
    // A session that ends with the question in its mailbox.
    let asked = ask(&server, "romeo@example.com", "romeo@example.com/orchard", PING).await;
    romeo.end(Vec::new());
    let refused = asked.await.unwrap().unwrap_err();
    assert!(matches!(refused, Unanswered::Error(error) if error.condition == Condition::ServiceUnavailable));
}

#[tokio::test]
async fn the_server_and_accounts_answer_in_the_lane_and_beside_it() {
    const DISCO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    const VCARD: &str = "<vCard xmlns='vcard-temp'/>";
    const ROSTER: &str = "<query xmlns='jabber:iq:roster'/>";
    let server = Server::with_accounts(&["romeo", "juliet"]).await;
    for (to, payload) in [
        ("example.com", PING),
        ("example.com", DISCO),
        ("romeo@example.com", DISCO),
        ("romeo@example.com", ROSTER),
        ("romeo@example.com", VCARD),
    ] {
        let answer = ask(&server, "romeo@example.com", to, payload).await.await.unwrap();
        assert!(answer.is_ok(), "{to} {payload} {answer:?}");
    }
    for (to, payload, condition) in [
        ("juliet@example.com", ROSTER, Condition::Forbidden),
        ("juliet@example.com", VCARD, Condition::ServiceUnavailable),
        ("nobody@example.com", PING, Condition::ServiceUnavailable),
        ("juliet@example.net", PING, Condition::RemoteServerNotFound),
    ] {
        let refused = ask(&server, "romeo@example.com", to, payload).await.await.unwrap().unwrap_err();
        assert!(matches!(refused, Unanswered::Error(ref error) if error.condition == condition), "{to} {refused:?}");
    }
}

#[tokio::test]
async fn a_bounded_number_is_open() {
    let server = Server::with_accounts(&["romeo"]).await;
    let _romeo = online(&server, "romeo@example.com/orchard").await;
    let mut open = Vec::new();
    for _ in 0..kernel::limits::REQUESTS_OF_ONE {
        open.push(ask(&server, "romeo@example.com", "romeo@example.com/orchard", PING).await);
    }
    let one_more = ask(&server, "romeo@example.com", "romeo@example.com/orchard", PING).await;
    assert_eq!(one_more.await.unwrap().unwrap_err(), Unanswered::TooMany);
    // Who gives up waiting makes room.
    open.pop().unwrap().abort();
    quiet().await;
    assert!(!ask(&server, "romeo@example.com", "romeo@example.com/orchard", PING).await.is_finished());
}
