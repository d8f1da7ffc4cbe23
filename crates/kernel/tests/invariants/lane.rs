//! kernel/src/lane.rs: what a lane hands over is performed in order, and it is bounded.

use crate::{between, ids, message, online, quiet, server};
use kernel::{Feature, Hook, Turn, hooks::Refusal, limits};
use linnet_xmpp::stanza::Kind;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Wake, Waker},
};
use store::memory::Memory;
use testkit::{FEATURES, FakeContext, PASSWORD, Server, settings};

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_lane_with_too_much_that_is_not_durable_is_not_read() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let juliet = online(&server, "juliet@example.com/a").await;
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    faulty.hold();
    for number in 0..limits::LANE_STANZAS {
        assert!(!server.kernel.should_wait(&romeo.session, &waker), "{number}");
        romeo.send(&message("juliet@example.com", &format!("m{number}"))).await;
    }
    assert!(server.kernel.should_wait(&romeo.session, &waker));
    assert!(!server.kernel.should_wait(&juliet.session, &waker), "others go on");
    assert_eq!(romeo.session.lane.pending(), limits::LANE_STANZAS as u64);
    quiet().await;
    assert_eq!(woken.0.load(Ordering::SeqCst), 0);
    faulty.release();
    server.settle().await;
    assert!(woken.0.load(Ordering::SeqCst) > 0, "whoever waits is woken");
    assert!(!server.kernel.should_wait(&romeo.session, &waker));
    assert_eq!(romeo.session.lane.pending(), 0);
    assert_eq!(juliet.read_all().len(), limits::LANE_STANZAS);
}

#[tokio::test]
async fn a_lane_is_done_only_with_what_is_durable() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    server.bind("juliet@example.com/a").await;
    faulty.hold();
    romeo.send(&message("juliet@example.com", "m1")).await;
    quiet().await;
    romeo.send(&message("juliet@example.com", "m2")).await;
    quiet().await;
    assert_eq!(romeo.session.lane.pending(), 2);
    faulty.release_one();
    quiet().await;
    assert_eq!(romeo.session.lane.pending(), 1);
    faulty.release();
    server.settle().await;
    assert_eq!(romeo.session.lane.pending(), 0);
}

fn panics(turn: &Turn<'_>) -> Result<(), Refusal> {
    assert_ne!(turn.stanza.id.as_deref(), Some("bomb"), "for a test");
    Ok(())
}

static BOMB: Feature = Feature {
    name: "bomb",
    xeps: &[],
    server_features: &[],
    account_features: &[],
    stream_features: &[],
    hooks: &[Hook::Guard { kinds: &[Kind::Message], run: panics }],
};

#[tokio::test]
async fn a_panic_in_a_hook_costs_one_stanza() {
    let all: Vec<&'static Feature> = FEATURES.iter().copied().chain([&BOMB]).collect();
    let (store, context) = (Arc::new(Memory::new()), FakeContext::new(1));
    let server = Server::start_with(store, context, settings(), Vec::leak(all)).await.unwrap();
    for name in ["romeo", "juliet"] {
        server.account(&format!("{name}@example.com"), PASSWORD).await;
    }
    let romeo = online(&server, "romeo@example.com/a").await;
    let juliet = online(&server, "juliet@example.com/a").await;
    for id in ["m1", "bomb", "m2"] {
        romeo.send(&message("juliet@example.com", id)).await;
    }
    server.settle().await;
    assert_eq!(ids(&juliet.read_all()), ["m1", "m2"]);
    let answers = romeo.read_all();
    assert_eq!(ids(&answers), ["bomb"]);
    assert_eq!(between(&answers[0], "<error type='", "'"), "cancel");
    assert!(answers[0].contains("internal-server-error"), "{answers:?}");
}
