//! kernel/src/commit.rs: entries are applied and performed in the order handed over, each after it is durable; one that
//! failed is answered with an error and changes nothing.

use crate::{PING, ids, message, online, quiet, server, state};
use std::time::Duration;
use store::{
    StoreError,
    faulty::{Call, Moment},
};

#[tokio::test]
async fn deliveries_come_after_their_writes_are_durable() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let juliet = online(&server, "juliet@example.com/a").await;
    faulty.hold();
    romeo.send(&message("juliet@example.com", "m1")).await;
    quiet().await;
    assert!(juliet.take().is_none(), "delivered before it is durable");
    faulty.release();
    server.settle().await;
    assert_eq!(ids(&juliet.read_all()), ["m1"]);
}

#[tokio::test]
async fn what_writes_nothing_does_not_overtake_what_does() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let juliet = online(&server, "juliet@example.com/a").await;
    faulty.hold();
    romeo.send(&message("juliet@example.com", "m1")).await;
    romeo.send(&state("juliet@example.com", "s1")).await;
    quiet().await;
    assert!(juliet.take().is_none());
    faulty.release();
    server.settle().await;
    assert_eq!(ids(&juliet.read_all()), ["m1", "s1"]);
}

#[tokio::test]
async fn what_writes_nothing_waits_for_nobody_elses_writes() {
    let (server, faulty) = server(&["romeo", "juliet", "nurse", "tybalt"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let juliet = online(&server, "juliet@example.com/a").await;
    let tybalt = online(&server, "tybalt@example.com/a").await;
    faulty.hold();
    tybalt.send(&message("nurse@example.com", "m1")).await;
    romeo.send(&state("juliet@example.com", "s1")).await;
    assert_eq!(ids(&juliet.read_all()), ["s1"]);
    faulty.release();
}

#[tokio::test]
async fn two_devices_see_one_order() {
    let (server, faulty) = server(&["romeo", "tybalt", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let tybalt = online(&server, "tybalt@example.com/a").await;
    let one = online(&server, "juliet@example.com/a").await;
    let two = online(&server, "juliet@example.com/b").await;
    one.read_all();
    faulty.hold();
    let mut sent = Vec::new();
    for number in 0..40 {
        let id = format!("m{number}");
        let sender = if number % 3 == 0 { &romeo } else { &tybalt };
        let xml = if number % 4 == 1 { state("juliet@example.com", &id) } else { message("juliet@example.com", &id) };
        sender.send(&xml).await;
        sent.push(id);
        if number % 7 == 0 {
            faulty.release_one();
            quiet().await;
        }
    }
    faulty.release();
    server.settle().await;
    let seen = one.read_all();
    assert_eq!(ids(&seen), sent);
    assert_eq!(ids(&two.read_all()), ids(&seen));
}

#[tokio::test]
async fn a_ping_is_answered_after_earlier_messages_are_durable() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    faulty.hold();
    romeo.send(&message("juliet@example.com", "m1")).await;
    romeo.send(PING).await;
    quiet().await;
    assert!(romeo.take().is_none(), "answered too early");
    faulty.release();
    server.settle().await;
    assert_eq!(ids(&romeo.read_all()), ["ping"]);
}

fn roster_set(id: &str, jid: &str) -> String {
    format!("<iq type='set' id='{id}'><query xmlns='jabber:iq:roster'><item jid='{jid}'/></query></iq>")
}

const ROSTER: &str = "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>";

#[tokio::test]
async fn a_failing_entry_answers_its_sender_and_spoils_only_what_was_computed_on_it() {
    let (server, faulty) = server(&["romeo", "juliet", "tybalt", "nurse"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let tybalt = online(&server, "tybalt@example.com/a").await;
    let juliet = online(&server, "juliet@example.com/a").await;
    let error = || StoreError::Refused("for a test".into());
    faulty.hold();
    // Fills the store's hands, so that what follows is one batch.
    tybalt.send(&message("nurse@example.com", "first")).await;
    quiet().await;
    romeo.send(&roster_set("r1", "bill@example.com")).await;
    romeo.send(&roster_set("r2", "bob@example.com")).await;
    tybalt.send(&message("juliet@example.com", "other")).await;
    romeo.send(PING).await;
    // The batch is refused as a whole, then its first entry alone.
    faulty.fail(Call::Apply, 2, error(), Moment::Before);
    faulty.fail(Call::Apply, 3, error(), Moment::Before);
    faulty.release();
    server.settle().await;
    let answers = romeo.read_all();
    assert_eq!(ids(&answers), ["r1", "r2", "ping"], "each in its place");
    assert!(answers[0].contains("type='error'") && answers[1].contains("type='error'"), "{answers:?}");
    assert!(answers[2].contains("type='result'"));
    assert_eq!(ids(&juliet.read_all()), ["other"]);
    romeo.send(ROSTER).await;
    server.settle().await;
    assert!(romeo.read_all()[0].contains("<query xmlns='jabber:iq:roster'/>"), "what is in memory is what is stored");
    romeo.send(&roster_set("r3", "bill@example.com")).await;
    server.settle().await;
    assert!(romeo.read_all().iter().any(|xml| xml.contains("id='r3' type='result'")));
}

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let juliet = online(&server, "juliet@example.com/a").await;
    faulty.set_full(true);
    romeo.send(&message("juliet@example.com", "m1")).await;
    romeo.send(&state("juliet@example.com", "s1")).await;
    server.settle().await;
    let answers = romeo.read_all();
    assert_eq!(ids(&answers), ["m1"]);
    assert!(answers[0].contains("<error type='wait'><resource-constraint"), "{answers:?}");
    assert_eq!(ids(&juliet.read_all()), ["s1"], "what needs no room goes on");
    // There is room again, but the store is not tried with each stanza.
    faulty.set_full(false);
    romeo.send(&message("juliet@example.com", "m2")).await;
    server.settle().await;
    assert!(romeo.read_all()[0].contains("resource-constraint"));
    server.pass(Duration::from_millis(kernel::limits::REFUSING_MS)).await;
    romeo.send(&message("juliet@example.com", "m3")).await;
    server.settle().await;
    assert_eq!(romeo.read_all(), Vec::<String>::new());
    assert_eq!(ids(&juliet.read_all()), ["m3"], "what was refused does not come");
}

#[tokio::test]
async fn reads_that_fail_are_answered_and_forgotten() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    faulty.fail(Call::Read, 1, StoreError::Io("for a test".into()), Moment::Before);
    romeo.send(&message("juliet@example.com", "m1")).await;
    server.settle().await;
    assert!(romeo.read_all()[0].contains("internal-server-error"));
    romeo.send(&message("juliet@example.com", "m2")).await;
    server.settle().await;
    assert_eq!(romeo.read_all(), Vec::<String>::new());
    let juliet = server.bind("juliet@example.com/a").await;
    juliet.send("<presence/>").await;
    server.settle().await;
    assert_eq!(ids(&juliet.read_all())[0], "m2");
}
