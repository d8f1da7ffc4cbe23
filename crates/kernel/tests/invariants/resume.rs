//! kernel/src/resume.rs and the window of kernel/src/mailbox.rs: what is counted is durable, what is not acknowledged is
//! not lost, nothing comes twice, and one connection has the session.

use crate::{PING, ids, message, online, server, state};
use kernel::{Session, limits};
use linnet_xmpp::stream::{Control, NotResumed, Signal, StreamCondition};
use std::{sync::Arc, task::Waker, time::Duration};
use testkit::{Peer, Server, quiet};

pub(crate) const JULIET: &str = "juliet@example.com/phone";

pub(crate) fn enable(peer: &Peer) -> String {
    match peer.control(Control::Enable { resume: true, max: None }) {
        Ok(Some(Signal::Enabled(Some((id, _))))) => id.into(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn handled(peer: &Peer) -> u32 {
    match peer.control(Control::Request) {
        Ok(Some(Signal::Handled(count))) => count,
        other => panic!("{other:?}"),
    }
}

/// romeo, and juliet with stream management.
pub(crate) async fn pair() -> (Server, Peer, Peer, String) {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let juliet = online(&server, JULIET).await;
    let id = enable(&juliet);
    (server, romeo, juliet, id)
}

pub(crate) async fn tell(server: &Server, from: &Peer, names: &[&str]) {
    for name in names {
        from.send(&message(JULIET, name)).await;
    }
    server.settle().await;
}

#[tokio::test]
async fn what_is_counted_is_the_durable_prefix() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    enable(&romeo);
    romeo.send(PING).await;
    assert_eq!(handled(&romeo), 1);
    faulty.hold();
    romeo.send(&message("juliet@example.com", "m")).await;
    romeo.send(&state("juliet@example.com", "s")).await;
    romeo.send(PING).await;
    quiet().await;
    assert_eq!(handled(&romeo), 1, "a message that is not durable is not counted, nor is what comes behind it");
    assert_eq!(server.kernel.acknowledgement(&romeo.session, Waker::noop()), None);
    faulty.release();
    server.settle().await;
    let told = server.kernel.acknowledgement(&romeo.session, Waker::noop());
    assert_eq!(told, Some(Signal::Handled(4)), "the rest follows unasked");
    assert_eq!(server.kernel.acknowledgement(&romeo.session, Waker::noop()), None);
    romeo.send(PING).await;
    assert_eq!(server.kernel.acknowledgement(&romeo.session, Waker::noop()), None, "nobody has asked about that");
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_in_order_and_once() {
    let (server, romeo, juliet, id) = pair().await;
    tell(&server, &romeo, &["a", "b", "c"]).await;
    assert_eq!(ids(&juliet.read_all()), ["a", "b", "c"]);
    assert_eq!(juliet.control(Control::Handled(1)), Ok(None));
    juliet.cut();
    tell(&server, &romeo, &["d"]).await;
    let (juliet, counted) = server.resume(JULIET, &id, 2).await.unwrap();
    assert_eq!(counted, 0);
    tell(&server, &romeo, &["e"]).await;
    assert_eq!(ids(&juliet.read_all()), ["c", "d", "e"]);
    assert_eq!(juliet.control(Control::Handled(5)), Ok(None), "the count goes on from the client's");
    let too_high = juliet.control(Control::Handled(6)).unwrap_err();
    assert_eq!(too_high.condition, StreamCondition::UndefinedCondition);
    juliet.cut();
    let (juliet, _) = server.resume(JULIET, &id, 5).await.unwrap();
    assert_eq!(juliet.read_all(), Vec::<String>::new());
}

#[tokio::test]
async fn what_was_not_acknowledged_is_stored_when_the_session_ends() {
    let (server, romeo, juliet, _) = pair().await;
    tell(&server, &romeo, &["a", "b", "c"]).await;
    juliet.read_all();
    juliet.control(Control::Handled(1)).unwrap();
    juliet.end(Vec::new());
    server.settle().await;
    let next = server.bind("juliet@example.com/next").await;
    next.send("<presence/>").await;
    server.settle().await;
    let messages: Vec<String> = next.read_all().into_iter().filter(|xml| xml.starts_with("<message")).collect();
    assert_eq!(ids(&messages), ["b", "c"]);
}

#[tokio::test]
async fn a_detached_session_stays_until_its_time_is_over() {
    let (server, romeo, juliet, id) = pair().await;
    romeo.send("<presence to='juliet@example.com/phone'/>").await;
    juliet.send("<presence to='romeo@example.com/a'/>").await;
    server.settle().await;
    romeo.read_all();
    juliet.cut();
    server.pass(Duration::from_secs(limits::RESUMABLE_SECONDS - 1)).await;
    assert_eq!(romeo.read_all(), Vec::<String>::new(), "juliet is still there for others");
    // A second cut gives it all its time again.
    let (juliet, _) = server.resume(JULIET, &id, 0).await.unwrap();
    juliet.read_all();
    juliet.cut();
    server.pass(Duration::from_secs(limits::RESUMABLE_SECONDS - 1)).await;
    assert_eq!(romeo.read_all(), Vec::<String>::new());
    tell(&server, &romeo, &["late"]).await;
    server.pass(Duration::from_secs(2)).await;
    assert!(romeo.read_all().iter().any(|xml| xml.contains("type='unavailable'")));
    assert_eq!(server.resume(JULIET, &id, 0).await.err(), Some(NotResumed::Unknown(Some(0))));
    let next = online_with_messages(&server, "juliet@example.com/next").await;
    assert_eq!(ids(&next), ["late"]);
}

async fn online_with_messages(server: &Server, address: &str) -> Vec<String> {
    let next = server.bind(address).await;
    next.send("<presence/>").await;
    server.settle().await;
    next.read_all().into_iter().filter(|xml| xml.starts_with("<message")).collect()
}

#[tokio::test]
async fn a_new_connection_takes_the_session_from_the_old_one() {
    let (server, romeo, old, id) = pair().await;
    old.send(PING).await;
    let (new, counted) = server.resume(JULIET, &id, 0).await.unwrap();
    assert_eq!(counted, 1);
    old.send(PING).await;
    assert_eq!(handled(&new), 1, "what the old connection says does not count any more");
    let Some(Err(Some(conflict))) = old.take() else { panic!("the old connection goes on") };
    assert_eq!(conflict.condition, StreamCondition::Conflict);
    old.cut();
    tell(&server, &romeo, &["a"]).await;
    assert_eq!(ids(&new.read_all()), ["ping", "a"]);
    let of = |peer: &Peer| -> Arc<Session> { peer.session.clone() };
    assert_eq!(of(&old).id, of(&new).id);
}

#[tokio::test]
async fn what_the_old_connection_sent_is_durable_before_the_new_one_hears_of_it() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let id = enable(&romeo);
    faulty.hold();
    romeo.send(&message("juliet@example.com", "m")).await;
    romeo.cut();
    let server = Arc::new(server);
    let resuming = tokio::spawn({
        let server = server.clone();
        async move { server.resume("romeo@example.com/a", &id, 0).await.map(|(_, counted)| counted) }
    });
    quiet().await;
    assert!(!resuming.is_finished());
    faulty.release();
    assert_eq!(resuming.await.unwrap(), Ok(1), "the client need not send it again");
}

#[tokio::test]
async fn nobody_else_resumes_a_session() {
    let (server, romeo, juliet, id) = pair().await;
    juliet.cut();
    assert_eq!(server.resume("romeo@example.com/a", &id, 0).await.err(), Some(NotResumed::Unknown(None)));
    assert_eq!(server.resume(JULIET, "other", 0).await.err(), Some(NotResumed::Unknown(None)));
    assert_eq!(server.resume(JULIET, &id, 9).await.err(), Some(NotResumed::TooHigh { handled: 9, sent: 0 }));
    let plain = server.bind("juliet@example.com/plain").await;
    let Ok(Some(Signal::Enabled(None))) = plain.control(Control::Enable { resume: false, max: None }) else { panic!() };
    assert_eq!(plain.control(Control::Enable { resume: true, max: None }), Ok(Some(Signal::Failed)));
    plain.cut();
    server.settle().await;
    tell(&server, &romeo, &["a"]).await;
    assert!(server.resume(JULIET, &id, 0).await.is_ok());
}

#[tokio::test]
async fn a_replaced_or_overflowing_session_cannot_be_resumed() {
    let (server, romeo, juliet, id) = pair().await;
    juliet.cut();
    let again = online(&server, JULIET).await;
    assert_eq!(server.resume(JULIET, &id, 0).await.err(), Some(NotResumed::Unknown(Some(0))));
    let id = enable(&again);
    again.cut();
    let large = "x".repeat(64 * 1024);
    for _ in 0..2 * limits::MAILBOX_BYTES / large.len() {
        romeo.send(&format!("<message to='{JULIET}' type='chat'><body>{large}</body></message>")).await;
        server.settle().await;
    }
    assert_eq!(server.resume(JULIET, &id, 0).await.err(), Some(NotResumed::Unknown(Some(0))), "its mailbox was full");
}

#[tokio::test]
async fn sessions_left_behind_lock_nobody_out() {
    let (server, _) = server(&["juliet"]).await;
    for number in 0..limits::SESSIONS {
        let left = server.bind(&format!("juliet@example.com/{number}")).await;
        enable(&left);
        left.cut();
    }
    server.bind("juliet@example.com/next").await;
}

#[tokio::test]
async fn a_client_that_acknowledges_nothing_is_sent_no_more_than_the_window() {
    let (server, romeo, juliet, _) = pair().await;
    let mut seen = 0;
    for number in 0..limits::WINDOW_STANZAS + 10 {
        romeo.send(&message(JULIET, &format!("m{number}"))).await;
        if number % 100 == 0 {
            server.settle().await;
            seen += juliet.read_all().len();
        }
    }
    server.settle().await;
    seen += juliet.read_all().len();
    assert_eq!(seen, limits::WINDOW_STANZAS);
    juliet.control(Control::Handled(limits::WINDOW_STANZAS as u32)).unwrap();
    assert_eq!(juliet.read_all().len(), 10);
}

#[tokio::test]
async fn the_client_is_asked_once_until_it_answers() {
    let (server, romeo, juliet, _) = pair().await;
    assert!(!juliet.session.mailbox.asks(), "nothing was sent");
    tell(&server, &romeo, &["a"]).await;
    juliet.read_all();
    assert!(juliet.session.mailbox.asks());
    assert!(!juliet.session.mailbox.asks());
    juliet.control(Control::Handled(0)).unwrap();
    assert!(juliet.session.mailbox.asks(), "it has still something");
    juliet.control(Control::Handled(1)).unwrap();
    assert!(!juliet.session.mailbox.asks());
}

#[tokio::test]
async fn while_nobody_looks_the_latest_presence_and_state_wait_for_a_real_message() {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let juliet = online(&server, JULIET).await;
    juliet.control(Control::Active(false)).unwrap();
    for show in ["away", "dnd"] {
        romeo.send(&format!("<presence to='{JULIET}' id='{show}'><show>{show}</show></presence>")).await;
    }
    romeo.send(&state(JULIET, "s1")).await;
    romeo.send(&state(JULIET, "s2")).await;
    server.settle().await;
    assert_eq!(juliet.read_all(), Vec::<String>::new());
    tell(&server, &romeo, &["a"]).await;
    assert_eq!(ids(&juliet.read_all()), ["dnd", "s2", "a"]);
    romeo.send(&state(JULIET, "s3")).await;
    server.settle().await;
    assert_eq!(juliet.read_all(), Vec::<String>::new(), "after the message it is quiet again");
    juliet.control(Control::Active(true)).unwrap();
    assert_eq!(ids(&juliet.read_all()), ["s3"]);
    romeo.send(&state(JULIET, "s4")).await;
    server.settle().await;
    assert_eq!(ids(&juliet.read_all()), ["s4"]);
}

pub(crate) async fn died(server: Server, faulty: &store::faulty::Faulty) -> Server {
    faulty.lose_power();
    drop(server);
    Server::start(Arc::new(faulty.clone()), testkit::FakeContext::new(9), testkit::settings()).await.unwrap()
}

#[tokio::test]
async fn after_a_crash_the_client_is_told_what_had_an_effect() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let idle = online(&server, "romeo@example.com/idle").await;
    let (id, idle) = (enable(&romeo), enable(&idle));
    romeo.send(PING).await;
    for name in ["m1", "m2"] {
        romeo.send(&message("juliet@example.com", name)).await;
    }
    romeo.send(PING).await;
    server.settle().await;
    let server = died(server, &faulty).await;
    let resume = async |address: &str, id: &str| server.resume(address, id, 0).await.err();
    assert_eq!(resume("romeo@example.com/a", &id).await, Some(NotResumed::Unknown(Some(3))));
    assert_eq!(resume("romeo@example.com/a", &idle).await, Some(NotResumed::Unknown(Some(0))), "nothing had an effect");
    assert_eq!(resume(JULIET, &id).await, Some(NotResumed::Unknown(None)), "it is somebody else's");
    let forged = format!("{}{}", &id[..id.len() - 1], if id.ends_with('A') { 'B' } else { 'A' });
    assert_eq!(resume("romeo@example.com/a", &forged).await, Some(NotResumed::Unknown(None)));
    server.pass(Duration::from_secs((limits::COUNTED_MINUTES + 1) * 60)).await;
    let late = server.resume("romeo@example.com/a", &id, 0).await.err();
    assert_eq!(late, Some(NotResumed::Unknown(None)), "too old");
}

#[tokio::test]
async fn a_count_is_written_with_what_it_counts() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let id = enable(&romeo);
    romeo.send(&message("juliet@example.com", "m1")).await;
    server.settle().await;
    faulty.hold();
    romeo.send(&message("juliet@example.com", "m2")).await;
    quiet().await;
    faulty.fail(store::faulty::Call::Apply, 1, store::StoreError::Io("no power".into()), store::faulty::Moment::Before);
    let server = died(server, &faulty).await;
    let failed = server.resume("romeo@example.com/a", &id, 0).await.err();
    assert_eq!(failed, Some(NotResumed::Unknown(Some(1))));
    assert_eq!(ids(&online_with_messages(&server, JULIET).await), ["m1"]);
}

#[tokio::test]
async fn a_refused_batch_counts_what_was_done() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let id = enable(&romeo);
    romeo.send(&message("juliet@example.com", "m1")).await;
    server.settle().await;
    let refused = store::StoreError::Refused("for a test".into());
    faulty.fail(store::faulty::Call::Apply, 1, refused, store::faulty::Moment::Before);
    romeo.send(&message("juliet@example.com", "m2")).await;
    server.settle().await;
    let server = died(server, &faulty).await;
    let failed = server.resume("romeo@example.com/a", &id, 0).await.err();
    assert_eq!(failed, Some(NotResumed::Unknown(Some(2))));
}

/// Bodies in the log of an account, oldest first.
async fn logged(server: &Server, account: &str) -> Vec<String> {
    let query = store::LogQuery { limit: 100, ..Default::default() };
    let rows = server.store.log_rows(store::LogTable("messages"), account, query).await.unwrap();
    let text = |row: store::LogRow| String::from_utf8(row.body.to_vec()).unwrap();
    rows.into_iter().map(|row| crate::between(&text(row), "<body>", "</body>").to_owned()).collect()
}

#[tokio::test]
async fn what_is_sent_again_after_a_lost_acknowledgement_is_kept_once() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    for name in ["m1", "m2"] {
        romeo.send(&message("juliet@example.com", name)).await;
    }
    romeo.send(&message("romeo@example.com", "note")).await;
    server.settle().await;
    romeo.end(Vec::new());
    for crash in [false, true] {
        if crash {
            let server = died(server, &faulty).await;
            return again(&server).await;
        }
        again(&server).await;
    }

    async fn again(server: &Server) {
        let romeo = online(server, "romeo@example.com/b").await;
        for name in ["m1", "m2"] {
            romeo.send(&message("juliet@example.com", name)).await;
        }
        romeo.send(&message("romeo@example.com", "note")).await;
        romeo.send(PING).await;
        server.settle().await;
        assert!(romeo.read_all().iter().any(|xml| xml.contains("id='ping'")));
        assert_eq!(logged(server, "romeo@example.com").await, ["m1", "m2", "note"]);
        assert_eq!(logged(server, "juliet@example.com").await, ["m1", "m2"]);
        romeo.end(Vec::new());
    }
}

#[tokio::test]
async fn what_only_looks_like_a_repetition_is_a_new_message() {
    let (server, _) = server(&["romeo", "juliet"]).await;
    let send = async |peer: &Peer, id: &str, body: &str| {
        let id = if id.is_empty() { String::new() } else { format!("id='{id}'") };
        peer.send(&format!("<message to='juliet@example.com' type='chat' {id}><body>{body}</body></message>")).await;
    };
    let first = online(&server, "romeo@example.com/a").await;
    send(&first, "1", "a").await;
    send(&first, "1", "a").await;
    send(&first, "", "b").await;
    server.settle().await;
    assert_eq!(
        logged(&server, "juliet@example.com").await,
        ["a", "a", "b"],
        "on one stream a client knows what it does"
    );
    let second = online(&server, "romeo@example.com/b").await;
    send(&second, "1", "other").await;
    send(&second, "", "b").await;
    server.settle().await;
    assert_eq!(logged(&server, "juliet@example.com").await, ["a", "a", "b", "other", "b"]);
    server.pass(Duration::from_secs(limits::COUNTED_MINUTES * 60 + 1)).await;
    let third = online(&server, "romeo@example.com/c").await;
    send(&third, "1", "other").await;
    server.settle().await;
    assert_eq!(logged(&server, "juliet@example.com").await.len(), 6, "a week later it is meant");
}

#[tokio::test]
async fn a_count_does_not_overtake_the_error_of_what_failed() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let id = enable(&romeo);
    romeo.send(&message("juliet@example.com", "m1")).await;
    server.settle().await;
    faulty.fail(store::faulty::Call::Apply, 1, store::StoreError::Full, store::faulty::Moment::Before);
    romeo.send(&message("juliet@example.com", "m2")).await;
    romeo.send(PING).await;
    server.settle().await;
    assert_eq!(handled(&romeo), 1, "who does not know that m2 failed must not take it for safe");
    assert_eq!(server.kernel.acknowledgement(&romeo.session, Waker::noop()), None);
    let answers = romeo.read_all();
    assert_eq!(ids(&answers), ["m2", "ping"]);
    assert!(answers[0].contains("type='error'"), "{answers:?}");
    let told = server.kernel.acknowledgement(&romeo.session, Waker::noop());
    assert_eq!(told, Some(Signal::Handled(3)), "once the error is on its way, all is handled");
    romeo.cut();
    let (_, handled) = server.resume("romeo@example.com/a", &id, 2).await.unwrap();
    assert_eq!(handled, 3);
}

#[tokio::test]
async fn a_session_that_owes_an_error_is_not_resumed_and_no_count_covers_what_failed() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let id = enable(&romeo);
    let other = online(&server, "romeo@example.com/b").await;
    let other_id = enable(&other);
    for peer in [&romeo, &other] {
        peer.send(&message("juliet@example.com", "m1")).await;
        server.settle().await;
        faulty.fail(store::faulty::Call::Apply, 1, store::StoreError::Full, store::faulty::Moment::Before);
        peer.send(&message("juliet@example.com", "m2")).await;
        server.settle().await;
        server.pass(Duration::from_millis(limits::REFUSING_MS + 1)).await;
        peer.send(&message("juliet@example.com", "m3")).await;
        server.settle().await;
    }
    romeo.cut();
    assert_eq!(server.resume("romeo@example.com/a", &id, 0).await.err(), Some(NotResumed::Unknown(Some(1))));
    let server = died(server, &faulty).await;
    for (address, id) in [("romeo@example.com/a", &id), ("romeo@example.com/b", &other_id)] {
        assert_eq!(server.resume(address, id, 0).await.err(), Some(NotResumed::Unknown(Some(1))), "{address}");
    }
}
