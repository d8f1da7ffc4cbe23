//! kernel/src/offline.rs: a row is on its way to one session at most; a session that catches up gets what is stored and
//! what comes meanwhile, in order, nothing twice and nothing not.

use crate::{ids, message, online, server};
use testkit::Peer;

fn read_messages(peer: &Peer, most: usize, seen: &mut Vec<String>) {
    for _ in 0..most {
        let Some(Ok(xml)) = peer.read() else { return };
        if xml.starts_with("<message") {
            seen.push(xml);
        }
    }
}

#[tokio::test]
async fn catching_up_while_messages_keep_coming_loses_and_repeats_nothing() {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let mut sent = Vec::new();
    for number in 0..300 {
        let id = format!("m{number}");
        romeo.send(&message("juliet@example.com", &id)).await;
        sent.push(id);
    }
    server.settle().await;
    let juliet = server.bind("juliet@example.com/a").await;
    juliet.send("<presence/>").await;
    let mut seen = Vec::new();
    for number in 300..600 {
        let id = format!("m{number}");
        romeo.send(&message("juliet@example.com", &id)).await;
        sent.push(id);
        testkit::quiet().await;
        read_messages(&juliet, 3, &mut seen);
    }
    for _ in 0..20 {
        server.settle().await;
        read_messages(&juliet, 100, &mut seen);
    }
    assert_eq!(ids(&seen), sent);
}

#[tokio::test]
async fn what_another_device_took_meanwhile_does_not_come_twice() {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let mut sent = Vec::new();
    let body = "x".repeat(4096);
    for number in 0..100 {
        let id = format!("m{number}");
        let xml = format!("<message to='juliet@example.com' type='chat' id='{id}'><body>{body}</body></message>");
        romeo.send(&xml).await;
        sent.push(id);
    }
    server.settle().await;
    let slow = server.bind("juliet@example.com/slow").await;
    slow.send("<presence/>").await;
    server.settle().await;
    let quick = server.bind("juliet@example.com/quick").await;
    quick.send("<presence/>").await;
    server.settle().await;
    let (mut slow_seen, mut quick_seen) = (Vec::new(), Vec::new());
    for number in 100..150 {
        let id = format!("m{number}");
        romeo.send(&message("juliet@example.com", &id)).await;
        sent.push(id);
        server.settle().await;
        read_messages(&quick, 1000, &mut quick_seen);
    }
    for _ in 0..200 {
        server.settle().await;
        read_messages(&slow, 1, &mut slow_seen);
    }
    server.settle().await;
    read_messages(&slow, 1000, &mut slow_seen);
    read_messages(&quick, 1000, &mut quick_seen);
    assert_eq!(ids(&slow_seen), sent, "the first session gets all, each once");
    assert_eq!(ids(&quick_seen), sent[100..], "the second one what came while it was there");
}

#[tokio::test]
async fn the_next_session_goes_on_where_the_first_one_broke_off() {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let mut sent = Vec::new();
    for number in 0..200 {
        let id = format!("m{number}");
        romeo.send(&message("juliet@example.com", &id)).await;
        sent.push(id);
    }
    server.settle().await;
    let mut seen = Vec::new();
    for round in 0..10 {
        let juliet = server.bind(&format!("juliet@example.com/{round}")).await;
        juliet.send("<presence/>").await;
        server.settle().await;
        read_messages(&juliet, 15, &mut seen);
        // Taken and not written: it comes again.
        let taken: Vec<_> = std::iter::from_fn(|| juliet.take().and_then(Result::ok)).take(5).collect();
        juliet.end(taken);
        server.settle().await;
    }
    let last = server.bind("juliet@example.com/last").await;
    last.send("<presence/>").await;
    for _ in 0..20 {
        server.settle().await;
        read_messages(&last, 100, &mut seen);
    }
    assert_eq!(ids(&seen), sent);
}
