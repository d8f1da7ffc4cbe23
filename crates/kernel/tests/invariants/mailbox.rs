//! kernel/src/mailbox.rs: bounded, first in first out; one that overflows ends its own session, and what was in it goes
//! back to its account.

use crate::{ids, online, server};
use kernel::limits;
use linnet_xmpp::stream::StreamCondition;

const SIZE: usize = 64 * 1024;

fn large(to: &str, id: &str) -> String {
    format!("<message to='{to}' type='chat' id='{id}'><body>{}</body></message>", "x".repeat(SIZE))
}

#[tokio::test]
async fn an_overflow_ends_only_its_own_session() {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let slow = online(&server, "juliet@example.com/slow").await;
    let quick = online(&server, "juliet@example.com/quick").await;
    let mut sent = Vec::new();
    let mut seen = Vec::new();
    for number in 0..2 * limits::MAILBOX_BYTES / SIZE {
        let id = format!("m{number}");
        romeo.send(&large("juliet@example.com", &id)).await;
        server.settle().await;
        seen.extend(quick.read_all());
        sent.push(id);
    }
    let Some(Err(Some(error))) = slow.take() else { panic!("the slow session goes on") };
    assert_eq!(error.condition, StreamCondition::ResourceConstraint);
    slow.end(Vec::new());
    server.settle().await;
    seen.extend(quick.read_all());
    seen.retain(|xml| xml.starts_with("<message"));
    assert_eq!(ids(&seen), sent);
}

#[tokio::test]
async fn what_an_overflowed_session_did_not_take_is_there_at_the_next_login() {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let slow = online(&server, "juliet@example.com/slow").await;
    let mut sent = Vec::new();
    for number in 0..2 * limits::MAILBOX_BYTES / SIZE {
        let id = format!("m{number}");
        romeo.send(&large("juliet@example.com", &id)).await;
        server.settle().await;
        sent.push(id);
    }
    slow.end(Vec::new());
    server.settle().await;
    assert!(romeo.take().is_none(), "nobody else notices");
    let juliet = server.bind("juliet@example.com/next").await;
    juliet.send("<presence/>").await;
    let mut seen = Vec::new();
    for _ in 0..sent.len() {
        server.settle().await;
        seen.extend(juliet.read_all());
    }
    seen.retain(|xml| xml.starts_with("<message"));
    assert_eq!(ids(&seen), sent, "all, in order, none twice");
}

#[tokio::test]
async fn what_is_stored_is_pulled_as_the_reader_reads() {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    for number in 0..20 {
        romeo.send(&large("juliet@example.com", &format!("m{number}"))).await;
    }
    server.settle().await;
    let juliet = server.bind("juliet@example.com/a").await;
    juliet.send("<presence/>").await;
    server.settle().await;
    let mut at_once = 0;
    while juliet.take().is_some() {
        at_once += 1;
    }
    assert!(at_once <= 2 + limits::PULLED_BYTES / SIZE, "{at_once} were read from the store at once");
}
