//! kernel/src/owner.rs: an owner is loaded once at a time, new state counts at once, and one that is pinned is never
//! evicted.

use crate::{ids, message, online, quiet, server};
use kernel::limits;
use std::sync::Arc;
use testkit::jid;

#[tokio::test]
async fn an_owner_is_loaded_once() {
    let (server, _) = server(&["juliet"]).await;
    let address = jid("juliet@example.com");
    let (one, two) = tokio::join!(server.kernel.owner(&address), server.kernel.owner(&address));
    assert!(Arc::ptr_eq(&one.unwrap(), &two.unwrap()));
}

#[tokio::test]
async fn new_state_counts_before_it_is_durable() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    let juliet = online(&server, "juliet@example.com/a").await;
    faulty.hold();
    juliet
        .send("<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='romeo@example.com'/></block></iq>")
        .await;
    romeo.send(&message("juliet@example.com", "m1")).await;
    quiet().await;
    assert!(juliet.take().is_none() && romeo.take().is_none(), "answered before it is durable");
    faulty.release();
    server.settle().await;
    assert_eq!(ids(&juliet.read_all()), ["b"]);
    assert!(romeo.read_all()[0].contains("service-unavailable"));
}

/// Loads many accounts that nobody needs.
async fn crowd(server: &testkit::Server) {
    for number in 0..2 * limits::IDLE_OWNERS {
        server.kernel.owner(&jid(&format!("nobody{number}@example.com"))).await.unwrap();
    }
}

#[tokio::test]
async fn owners_that_are_held_or_have_sessions_stay() {
    let (server, _) = server(&["romeo", "juliet", "nurse"]).await;
    let held = server.kernel.owner(&jid("nurse@example.com")).await.unwrap();
    let romeo = online(&server, "romeo@example.com/a").await;
    server.kernel.owner(&jid("juliet@example.com")).await.unwrap();
    crowd(&server).await;
    let found = |address: &str| server.kernel.find_owner(address);
    assert!(Arc::ptr_eq(&found("nurse@example.com").unwrap(), &held));
    assert!(Arc::ptr_eq(&found("romeo@example.com").unwrap(), &romeo.session.owner));
    let gone = (0..2 * limits::IDLE_OWNERS).filter(|number| found(&format!("nobody{number}@example.com")).is_none());
    assert!(gone.count() >= limits::IDLE_OWNERS / 2, "nobody was evicted");
}

#[tokio::test]
async fn an_owner_with_an_entry_under_way_stays() {
    let (server, faulty) = server(&["romeo", "juliet"]).await;
    let romeo = online(&server, "romeo@example.com/a").await;
    server.kernel.owner(&jid("juliet@example.com")).await.unwrap();
    faulty.hold();
    romeo.send(&message("juliet@example.com", "m1")).await;
    quiet().await;
    let before = Arc::downgrade(&server.kernel.find_owner("juliet@example.com").unwrap());
    // Those who are loaded now would wait for the commit; what is in memory already is enough to sweep the table.
    let crowd = async {
        tokio::select! {
            () = crowd(&server) => {}
            () = quiet() => {}
        }
    };
    crowd.await;
    faulty.release();
    crowd_and_settle(&server).await;
    assert!(before.upgrade().is_none_or(|owner| owner.lock().stored == 1));
    let juliet = server.bind("juliet@example.com/a").await;
    juliet.send("<presence/>").await;
    server.settle().await;
    assert_eq!(ids(&juliet.read_all())[0], "m1");
}

async fn crowd_and_settle(server: &testkit::Server) {
    crowd(server).await;
    server.settle().await;
}
