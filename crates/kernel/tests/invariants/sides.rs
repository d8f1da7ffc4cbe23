//! kernel/src/sides.rs: a message between two accounts is one body with a row for each; taking it leaves both in their
//! archives, and what the recipient refused is in neither.

use crate::{message, online};
use std::sync::Arc;
use store::{LogQuery, LogTable, Store, faulty::Faulty, memory::Memory};
use testkit::{FakeContext, PASSWORD, Server, settings};

const LOG: LogTable = LogTable("messages");

async fn start() -> (Server, Memory, Faulty) {
    let memory = Memory::new();
    let faulty = Faulty::over_memory(memory.clone());
    let server = Server::start(Arc::new(faulty.clone()), FakeContext::new(7), settings()).await.unwrap();
    for account in ["romeo@example.com", "juliet@example.com"] {
        server.account(account, PASSWORD).await;
    }
    (server, memory, faulty)
}

/// Flags and ids of the rows in the log of an account.
async fn rows(memory: &Memory, owner: &str) -> Vec<(u32, u64)> {
    let query = LogQuery { limit: 100, ..LogQuery::default() };
    let rows = memory.log_rows(LOG, owner, query).await.unwrap();
    rows.into_iter().map(|row| (row.flags, row.id)).collect()
}

fn flags(rows: &[(u32, u64)]) -> Vec<u32> {
    rows.iter().map(|(flags, _)| *flags).collect()
}

#[tokio::test]
async fn both_sides_keep_one_body_and_taking_it_leaves_it_to_both() {
    let (server, memory, _) = start().await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let juliet = online(&server, "juliet@example.com/a").await;
    romeo.send(&message("juliet@example.com", "m1")).await;
    server.settle().await;
    assert_eq!(memory.log_body_count(), 1);
    assert_eq!(flags(&rows(&memory, "juliet@example.com").await), [3], "archived, and nobody has taken it");
    assert_eq!(flags(&rows(&memory, "romeo@example.com").await), [2], "archived");
    assert_eq!(juliet.read_all().len(), 1);
    server.settle().await;
    assert_eq!(flags(&rows(&memory, "juliet@example.com").await), [2]);
    assert_eq!(memory.log_body_count(), 1);
}

#[tokio::test]
async fn a_message_to_oneself_is_one_row() {
    let (server, memory, _) = start().await;
    let romeo = online(&server, "romeo@example.com/a").await;
    romeo.send(&message("romeo@example.com", "note")).await;
    server.settle().await;
    assert_eq!(flags(&rows(&memory, "romeo@example.com").await), [3]);
    romeo.read_all();
    server.settle().await;
    assert_eq!(flags(&rows(&memory, "romeo@example.com").await), [2]);
}

#[tokio::test]
async fn what_was_refused_or_could_not_be_stored_is_in_no_archive() {
    let (server, memory, faulty) = start().await;
    let romeo = online(&server, "romeo@example.com/a").await;
    romeo.send(&message("nobody@example.com", "m1")).await;
    server.settle().await;
    faulty.set_full(true);
    romeo.send(&message("juliet@example.com", "m2")).await;
    server.settle().await;
    let answers = romeo.read_all();
    assert_eq!(answers.iter().filter(|xml| xml.contains(" type='error'")).count(), 2, "{answers:?}");
    assert!(rows(&memory, "romeo@example.com").await.is_empty());
    assert!(rows(&memory, "juliet@example.com").await.is_empty());
}
