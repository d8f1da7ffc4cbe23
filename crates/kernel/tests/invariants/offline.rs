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

/// Asks for the archive as a client does that wants to know what is newest.
async fn reads_the_archive(server: &testkit::Server, peer: &Peer) -> usize {
    peer.send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>").await;
    server.settle().await;
    let read = peer.read_all();
    assert!(read.iter().any(|xml| xml.contains("complete='true'")), "{read:?}");
    read.iter().filter(|xml| xml.contains("<result")).count()
}

/// The bodies that come to a session by its initial presence.
async fn at_presence(server: &testkit::Server, peer: &Peer) -> Vec<String> {
    peer.send("<presence/>").await;
    server.settle().await;
    let read = peer.read_all();
    read.iter().map(|xml| crate::between(xml, "<body>", "</body>").to_owned()).filter(|body| !body.is_empty()).collect()
}

#[tokio::test]
async fn who_reads_the_archive_is_not_flooded_with_it() {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let tell = async |name: &str| {
        romeo.send(&message("juliet@example.com", name)).await;
        server.settle().await;
    };
    tell("m1").await;
    let reader = server.bind("juliet@example.com/reader").await;
    assert_eq!(reads_the_archive(&server, &reader).await, 1);
    assert_eq!(reader.session.owner.lock().stored, 1, "to read the archive takes nothing from others");
    tell("m2").await;
    assert_eq!(at_presence(&server, &reader).await, ["m2"], "what came after it was read");
    assert_eq!(reader.session.owner.lock().stored, 0, "nobody else is given what this one knows");
    reader.end(Vec::new());
    tell("m3").await;
    let reader = server.bind("juliet@example.com/reader").await;
    assert_eq!(at_presence(&server, &reader).await, ["m3"]);
    reads_the_archive(&server, &reader).await;
    reader.end(Vec::new());
    // It reads the archive after its presence; the server knows it by now.
    let other = server.bind("juliet@example.com/other").await;
    tell("m4").await;
    let reader = server.bind("juliet@example.com/reader").await;
    reads_the_archive(&server, &reader).await;
    reader.end(Vec::new());
    tell("m5").await;
    let reader = server.bind("juliet@example.com/reader").await;
    assert_eq!(at_presence(&server, &reader).await, ["m5"], "it read m4 when it was here before");
    assert_eq!(at_presence(&server, &other).await, Vec::<String>::new());
}

#[tokio::test]
async fn who_does_not_read_the_archive_is_given_everything() {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    romeo.send(&message("juliet@example.com", "m1")).await;
    server.settle().await;
    let reader = server.bind("juliet@example.com/reader").await;
    reads_the_archive(&server, &reader).await;
    reader.end(Vec::new());
    let other = server.bind("juliet@example.com/other").await;
    other
        .send(
            "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'>\
        <field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>\
        <field var='with'><value>romeo@example.com</value></field></x></query></iq>",
        )
        .await;
    server.settle().await;
    other.read_all();
    assert_eq!(at_presence(&server, &other).await, ["m1"], "one conversation is not the archive");
}

#[tokio::test]
async fn what_waits_for_an_account_is_bounded_in_bytes() {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let body = "x".repeat(900_000);
    let text = format!("<message to='juliet@example.com' type='chat' id='m'><body>{body}</body></message>");
    let most = kernel::limits::STORED_BYTES / 900_000;
    for _ in 0..=most {
        romeo.send(&text).await;
        server.settle().await;
    }
    let refused = romeo.read_all();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains("<service-unavailable"), "XEP-0160 §2");
    let juliet = server.bind("juliet@example.com/a").await;
    let mut came = Vec::new();
    juliet.send("<presence/>").await;
    while came.len() < most as usize {
        server.settle().await;
        read_messages(&juliet, 1, &mut came);
    }
    juliet.send("<presence type='unavailable'/>").await;
    server.settle().await;
    romeo.send(&text).await;
    server.settle().await;
    assert_eq!(romeo.read_all(), Vec::<String>::new(), "there is room again");
}
