//! The promise (docs/internals/delivery.md): what a sender has seen acknowledged survives a loss of power, whatever was
//! not synced is gone, and what was refused does not come back.

use crate::{PING, ids, message, online, quiet, server};
use std::sync::Arc;
use store::{
    StoreError,
    faulty::{Call, Faulty, Moment},
};
use testkit::{FakeContext, Server, settings};

/// Opens the store again, as a new process would.
async fn again(faulty: &Faulty) -> Server {
    Server::start(Arc::new(faulty.clone()), FakeContext::new(8), settings()).await.unwrap()
}

async fn stored_for_juliet(server: &Server) -> Vec<String> {
    let juliet = server.bind("juliet@example.com/a").await;
    juliet.send("<presence/>").await;
    server.settle().await;
    juliet.read_all().into_iter().filter(|xml| xml.starts_with("<message")).collect()
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_loss_of_power() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    for id in ["m1", "m2"] {
        romeo.send(&message("juliet@example.com", id)).await;
    }
    romeo.send(PING).await;
    server.settle().await;
    assert_eq!(ids(&romeo.read_all()), ["ping"]);
    faulty.hold();
    romeo.send(&message("juliet@example.com", "m3")).await;
    romeo.send(PING).await;
    quiet().await;
    assert!(romeo.take().is_none());
    // The process dies with its machine: what it would try again finds no store.
    faulty.fail(Call::Apply, 1, StoreError::Io("no power".into()), Moment::Before);
    faulty.lose_power();
    drop(server);
    let server = again(&faulty).await;
    assert_eq!(ids(&stored_for_juliet(&server).await), ["m1", "m2"]);
}

#[tokio::test]
async fn a_commit_of_unknown_outcome_is_settled_by_the_same_entries_again() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    faulty.fail(Call::Apply, 1, StoreError::Io("for a test".into()), Moment::After);
    romeo.send(&message("juliet@example.com", "m1")).await;
    romeo.send(PING).await;
    server.settle().await;
    assert_eq!(ids(&romeo.read_all()), ["ping"], "no error: it was done");
    assert_eq!(ids(&stored_for_juliet(&server).await), ["m1"], "once");
}

#[tokio::test]
async fn what_was_refused_does_not_come_after_a_loss_of_power() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    for (kth, moment) in [(1, Moment::After), (2, Moment::Before)] {
        faulty.fail(Call::Apply, kth, StoreError::Io("for a test".into()), moment);
    }
    romeo.send(&message("juliet@example.com", "m1")).await;
    server.settle().await;
    assert!(romeo.read_all()[0].contains("internal-server-error"));
    faulty.lose_power();
    drop(server);
    let server = again(&faulty).await;
    assert_eq!(stored_for_juliet(&server).await, Vec::<String>::new());
}

/// The tests above can fail: a store that reports before it has synced loses what was acknowledged.
#[tokio::test]
async fn a_store_that_lies_is_found_out() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    faulty.sync();
    faulty.set_sync_late(true);
    romeo.send(&message("juliet@example.com", "m1")).await;
    romeo.send(PING).await;
    server.settle().await;
    assert_eq!(ids(&romeo.read_all()), ["ping"]);
    faulty.lose_power();
    drop(server);
    let server = again(&faulty).await;
    assert_eq!(stored_for_juliet(&server).await, Vec::<String>::new());
}
