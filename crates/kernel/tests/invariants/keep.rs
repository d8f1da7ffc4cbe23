//! kernel/src/keep.rs and kernel/src/mailbox/waiting.rs: a session that waits is the same after a planned restart, and keeps
//! no more in memory than it must.

use crate::{
    PING, ids, online,
    resume::{JULIET, died, enable, handled, pair, tell},
    server, state,
};
use kernel::limits;
use linnet_xmpp::stream::{Control, NotResumed, StreamCondition};
use std::time::Duration;
use testkit::{Peer, Server};

/// The server is stopped in order and started again.
async fn restarted(server: Server, faulty: &store::faulty::Faulty) -> Server {
    server.kernel.stop().await.unwrap();
    died(server, faulty).await
}

#[tokio::test]
async fn a_planned_restart_keeps_sessions() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let juliet = online(&server, JULIET).await;
    let id = enable(&juliet);
    juliet.send("<iq type='set' id='carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq>").await;
    juliet.send("<presence><status>here</status><priority>3</priority></presence>").await;
    server.settle().await;
    juliet.read_all();
    juliet.control(Control::Handled(2)).unwrap();
    tell(&server, &romeo, &["m1", "m2"]).await;
    assert_eq!(ids(&juliet.read_all()), ["m1", "m2"]);
    juliet.control(Control::Handled(3)).unwrap();
    // Not in the archive, not in the log, and in the log alone.
    romeo.send(&state(JULIET, "s3")).await;
    let hint = "<no-permanent-store xmlns='urn:xmpp:hints'/>";
    romeo.send(&format!("<message to='{JULIET}' type='chat' id='m4'><body>m4</body>{hint}</message>")).await;
    server.settle().await;
    juliet.session.stop(linnet_xmpp::stream::StreamError::new(StreamCondition::SystemShutdown));
    assert!(matches!(juliet.read(), Some(Err(Some(error))) if error.condition == StreamCondition::SystemShutdown));
    server.kernel.part(&juliet.session, juliet.connection, true, Vec::new());
    tell(&server, &romeo, &["m5"]).await;
    romeo.end(Vec::new());
    let server = restarted(server, &faulty).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    tell(&server, &romeo, &["m6"]).await;
    assert_eq!(server.resume(JULIET, &id, 99).await.err(), Some(NotResumed::TooHigh { handled: 99, sent: 4 }));
    let (juliet, handled) = server.resume(JULIET, &id, 3).await.unwrap();
    assert_eq!(handled, 2);
    let came: Vec<String> = juliet.read_all().into_iter().filter(|xml| xml.starts_with("<message")).collect();
    assert_eq!(ids(&came), ["m2", "s3", "m4", "m5", "m6"]);
    assert_eq!(came.iter().filter(|xml| xml.contains("<stanza-id")).count(), 3, "{came:?}");
    juliet.control(Control::Handled(3 + juliet_count(&came))).unwrap();
    assert_eq!(handled_after(&juliet, PING).await, 3);
    let account = juliet.session.owner.lock();
    let attached = account.session(juliet.session.id).unwrap();
    assert_eq!(attached.priority, 3);
    assert!(attached.presence.as_ref().is_some_and(|presence| presence.child("status", "jabber:client").is_some()));
    assert_eq!(account.stored, 0);
}

fn juliet_count(came: &[String]) -> u32 {
    came.len() as u32
}

async fn handled_after(peer: &Peer, xml: &str) -> u32 {
    peer.send(xml).await;
    handled(peer)
}

#[tokio::test]
async fn a_kept_session_that_nobody_resumes_gives_back_what_it_had() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let juliet = online(&server, JULIET).await;
    let id = enable(&juliet);
    tell(&server, &romeo, &["m1"]).await;
    assert_eq!(ids(&juliet.read_all()), ["m1"]);
    juliet.cut();
    let server = restarted(server, &faulty).await;
    let other = online(&server, "juliet@example.com/other").await;
    assert_eq!(ids(&other.read_all()), Vec::<&str>::new(), "it is on its way to the phone");
    server.pass(Duration::from_secs(limits::RESUMABLE_SECONDS + 1)).await;
    let came: Vec<String> = other.read_all().into_iter().filter(|xml| xml.starts_with("<message")).collect();
    assert_eq!(ids(&came), ["m1"]);
    assert!(server.resume(JULIET, &id, 0).await.is_err());
}

#[tokio::test]
async fn what_the_archive_has_is_read_from_it_when_a_session_goes_on() {
    let (server, romeo, juliet, id) = pair().await;
    tell(&server, &romeo, &["m1", "m2"]).await;
    assert_eq!(ids(&juliet.read_all()), ["m1", "m2"]);
    juliet.cut();
    assert!(!juliet.session.mailbox.has(|item| item.stanza.child("body", "jabber:client").is_some()), "ids alone");
    tell(&server, &romeo, &["m3"]).await;
    let (juliet, _) = server.resume(JULIET, &id, 1).await.unwrap();
    assert_eq!(ids(&juliet.read_all()), ["m2", "m3"]);
}
