//! How many people outside of its roster an account may write to.

use kernel::Settings;
use std::{sync::Arc, time::Duration};
use store::memory::Memory;
use testkit::{FakeContext, PASSWORD, Peer, Server, settings};

/// What came in answer to a stanza.
async fn answer(server: &Server, peer: &Peer, xml: &str) -> String {
    peer.send(xml).await;
    server.settle().await;
    peer.read_all().concat()
}

#[tokio::test]
async fn who_writes_to_too_many_strangers_is_told_to_wait() {
    let settings = Settings { strangers_per_hour: 2, ..settings() };
    let server = Server::start(Arc::new(Memory::new()), FakeContext::new(5), settings).await.unwrap();
    for name in ["romeo", "a", "b", "c", "d"] {
        server.account(&format!("{name}@example.com"), PASSWORD).await;
    }
    let romeo = server.bind("romeo@example.com/orchard").await;
    let to = |name: &str| format!("<message to='{name}@example.com' type='chat' id='{name}'><body>x</body></message>");
    assert_eq!(answer(&server, &romeo, &to("a")).await, "");
    let subscribe = "<presence to='b@example.com' type='subscribe'/>";
    assert_eq!(answer(&server, &romeo, subscribe).await, "");
    let refused = answer(&server, &romeo, &to("c")).await;
    assert!(refused.contains("type='wait'") && refused.contains("<resource-constraint"), "{refused}");
    let refused = answer(&server, &romeo, "<presence to='d@example.com' type='subscribe'/>").await;
    assert!(refused.contains("<resource-constraint"), "{refused}");
    // Those he has written to, those in his roster, and the server go on.
    assert_eq!(answer(&server, &romeo, &to("a")).await, "");
    assert_eq!(answer(&server, &romeo, &to("b")).await, "");
    let reply =
        answer(&server, &romeo, "<iq type='get' id='p' to='example.com'><ping xmlns='urn:xmpp:ping'/></iq>").await;
    assert!(reply.contains("type='result'"), "{reply}");
    server.pass(Duration::from_secs(1800)).await;
    assert_eq!(answer(&server, &romeo, &to("c")).await, "");
}
