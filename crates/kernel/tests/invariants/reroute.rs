//! kernel/src/reroute.rs: what a session that has ended did not take goes to another session or stays in the store, never
//! both and never twice.

use crate::{ids, message, online, quiet, server};
use testkit::{Peer, Server};

fn messages(peer: &Peer) -> Vec<String> {
    peer.read_all().into_iter().filter(|xml| xml.starts_with("<message")).collect()
}

/// Two sessions of juliet: `first` takes messages to the bare address, `second` when `first` has gone.
async fn two(server: &Server) -> (Peer, Peer) {
    let first = server.bind("juliet@example.com/first").await;
    first.send("<presence><priority>5</priority></presence>").await;
    let second = server.bind("juliet@example.com/second").await;
    second.send("<presence><priority>1</priority></presence>").await;
    server.settle().await;
    first.read_all();
    second.read_all();
    (first, second)
}

#[tokio::test]
async fn unwritten_rows_go_to_another_session() {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let (first, second) = two(&server).await;
    for id in ["m1", "m2", "m3", "m4"] {
        romeo.send(&message("juliet@example.com", id)).await;
    }
    server.settle().await;
    assert!(first.read().is_some_and(|read| read.is_ok()), "m1 is written");
    let Some(Ok(taken)) = first.take() else { panic!("m2") };
    first.end(vec![taken]);
    romeo.send(&message("juliet@example.com", "m5")).await;
    server.settle().await;
    assert_eq!(ids(&messages(&second)), ["m2", "m3", "m4", "m5"]);
    second.end(Vec::new());
    server.settle().await;
    let third = online_messages(&server, "juliet@example.com/third").await;
    assert_eq!(third, Vec::<String>::new(), "never twice");
}

/// The messages that a new session gets.
async fn online_messages(server: &Server, address: &str) -> Vec<String> {
    let peer = server.bind(address).await;
    peer.send("<presence/>").await;
    server.settle().await;
    messages(&peer)
}

#[tokio::test]
async fn unwritten_rows_stay_in_the_store() {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let first = online(&server, "juliet@example.com/first").await;
    for id in ["m1", "m2", "m3"] {
        romeo.send(&message("juliet@example.com", id)).await;
    }
    server.settle().await;
    assert!(first.read().is_some_and(|read| read.is_ok()), "m1 is written");
    first.end(Vec::new());
    server.settle().await;
    assert!(romeo.take().is_none(), "the sender hears nothing of it");
    let seen = online_messages(&server, "juliet@example.com/second").await;
    assert_eq!(ids(&seen), ["m2", "m3"]);
    assert!(seen.iter().all(|xml| xml.contains("<delay ")));
    assert_eq!(online_messages(&server, "juliet@example.com/third").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_row_that_another_session_has_goes_nowhere() {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let one = online(&server, "juliet@example.com/one").await;
    let two = online(&server, "juliet@example.com/two").await;
    one.read_all();
    romeo.send(&message("juliet@example.com", "m1")).await;
    server.settle().await;
    assert_eq!(ids(&messages(&one)), ["m1"]);
    two.end(Vec::new());
    server.settle().await;
    assert_eq!(messages(&one), Vec::<String>::new());
    one.end(Vec::new());
    server.settle().await;
    assert_eq!(online_messages(&server, "juliet@example.com/three").await, Vec::<String>::new());
}

#[tokio::test]
async fn what_becomes_durable_after_the_session_has_ended_goes_on() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let (first, second) = two(&server).await;
    faulty.hold();
    romeo.send(&message("juliet@example.com", "m1")).await;
    quiet().await;
    first.end(Vec::new());
    romeo.send(&message("juliet@example.com", "m2")).await;
    quiet().await;
    faulty.release();
    server.settle().await;
    assert_eq!(ids(&messages(&second)), ["m1", "m2"], "in order");
    second.end(Vec::new());
    server.settle().await;
    assert_eq!(online_messages(&server, "juliet@example.com/third").await, Vec::<String>::new());
}

#[tokio::test]
async fn what_may_not_be_stored_is_answered_when_nobody_is_left() {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let first = online(&server, "juliet@example.com/first").await;
    let text = "<message to='juliet@example.com' type='chat' id='n1'><body>now</body><no-store xmlns='urn:xmpp:hints'/></message>";
    romeo.send(text).await;
    server.settle().await;
    first.end(Vec::new());
    server.settle().await;
    let answers = romeo.read_all();
    assert_eq!(ids(&answers), ["n1"]);
    assert!(answers[0].contains("service-unavailable"));
}

const CARBONS: &str = "<iq type='set' id='carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq>";

/// Two sessions of juliet, of which the second gets copies.
async fn two_with_copies(server: &Server) -> (Peer, Peer) {
    let (first, second) = two(server).await;
    second.send(CARBONS).await;
    server.settle().await;
    second.read_all();
    (first, second)
}

#[tokio::test]
async fn what_comes_back_is_not_given_to_who_has_a_copy() {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let (first, second) = two_with_copies(&server).await;
    romeo.send(&message("juliet@example.com", "m1")).await;
    server.settle().await;
    assert_eq!(messages(&second).len(), 1, "a copy");
    romeo.send(&message("juliet@example.com", "m2")).await;
    server.settle().await;
    first.end(Vec::new());
    server.settle().await;
    let came = messages(&second);
    assert_eq!(came.len(), 1, "the copy of m2, and m1 not again: {came:?}");
    second.send("<presence type='unavailable'/>").await;
    second.send("<presence/>").await;
    server.settle().await;
    assert_eq!(messages(&second), Vec::<String>::new());
    second.end(Vec::new());
    server.settle().await;
    assert_eq!(online_messages(&server, "juliet@example.com/third").await, Vec::<String>::new(), "somebody has both");
    assert_eq!(first.session.owner.lock().stored, 0);
}

#[tokio::test]
async fn a_copy_that_nobody_has_read_is_no_delivery() {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let (first, second) = two_with_copies(&server).await;
    romeo.send(&message("juliet@example.com", "m1")).await;
    server.settle().await;
    first.end(Vec::new());
    second.end(Vec::new());
    server.settle().await;
    assert_eq!(ids(&online_messages(&server, "juliet@example.com/third").await), ["m1"]);
}

#[tokio::test]
async fn a_copy_does_not_take_the_message_from_its_session() {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let (first, second) = two_with_copies(&server).await;
    romeo.send(&message("juliet@example.com", "m1")).await;
    server.settle().await;
    assert_eq!(messages(&second).len(), 1);
    assert_eq!(first.session.owner.lock().stored, 1, "its own session has not read it");
    assert_eq!(ids(&messages(&first)), ["m1"]);
    assert_eq!(first.session.owner.lock().stored, 0);
}
