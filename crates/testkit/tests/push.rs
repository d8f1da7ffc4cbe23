//! Push notifications (XEP-0357) where connections break: sessions that wait for their clients, clients that take nothing
//! from their connection, and the start of the server.

use linnet_xmpp::stream::{Control, Signal};
use std::{sync::Arc, time::Duration};
use store::memory::Memory;
use testkit::{FakeContext, PASSWORD, Peer, Server, settings};

const ENABLE: &str = "<iq type='set' id='e'><enable xmlns='urn:xmpp:push:0' jid='app@example.com/push' node='n'/></iq>";

/// The app server, and a phone of Juliet's with stream management that has enabled push; with what it resumes by.
async fn phone(server: &Server) -> (Peer, Peer, String) {
    let app = server.bind("app@example.com/push").await;
    let phone = server.bind("juliet@example.com/phone").await;
    let control = Control::Enable { resume: true, max: None };
    let Ok(Some(Signal::Enabled(Some((id, _))))) = phone.control(control) else { panic!("not enabled") };
    phone.send("<presence/>").await;
    phone.send(ENABLE).await;
    server.settle().await;
    let come = phone.read_all();
    assert!(come.iter().any(|stanza| stanza.contains("type='result'")), "{come:?}");
    phone.control(Control::Handled(come.len() as u32)).unwrap();
    (app, phone, id.to_string())
}

/// The notifications that have come, each answered with a result.
async fn pushes(server: &Server, app: &Peer) -> usize {
    server.settle().await;
    let come = app.read_all();
    for push in &come {
        assert!(push.contains("<publish node='n'>"), "{push}");
        let id = testkit::stanza(push).unwrap().id.unwrap();
        app.send(&format!("<iq type='result' to='example.com' id='{id}'/>")).await;
    }
    server.settle().await;
    come.len()
}

async fn write(server: &Server, from: &Peer, body: &str) {
    from.send(&format!("<message to='juliet@example.com' type='chat'><body>{body}</body></message>")).await;
    server.settle().await;
}

async fn server() -> Server {
    Server::with_accounts(&["romeo", "juliet", "app"]).await
}

#[tokio::test]
async fn a_session_that_waits_for_its_client_is_woken() {
    let server = server().await;
    let romeo = server.bind("romeo@example.com/orchard").await;
    let (app, phone, id) = phone(&server).await;
    write(&server, &romeo, "one").await;
    assert_eq!(phone.read_all().len(), 1);
    phone.control(Control::Handled(3)).unwrap();
    phone.cut();
    assert_eq!(pushes(&server, &app).await, 0, "it had everything");
    write(&server, &romeo, "two").await;
    assert_eq!(pushes(&server, &app).await, 1);
    // It comes back in time: nothing more is to be said.
    write(&server, &romeo, "three").await;
    let (phone, _) = server.resume("juliet@example.com/phone", &id, 3).await.unwrap();
    server.pass(Duration::from_secs(10)).await;
    assert_eq!(pushes(&server, &app).await, 0);
    assert_eq!(phone.read_all().len(), 2);
    phone.control(Control::Handled(5)).unwrap();
    server.pass(Duration::from_secs(60)).await;
    assert_eq!(pushes(&server, &app).await, 0);
}

#[tokio::test]
async fn what_the_client_had_not_acknowledged_when_its_connection_broke_wakes_it() {
    let server = server().await;
    let romeo = server.bind("romeo@example.com/orchard").await;
    let (app, phone, _) = phone(&server).await;
    write(&server, &romeo, "one").await;
    phone.read_all();
    assert_eq!(pushes(&server, &app).await, 0);
    phone.cut();
    server.pass(Duration::from_secs(2)).await;
    assert_eq!(pushes(&server, &app).await, 1);
    // The end of its time says nothing new.
    server.pass(Duration::from_secs(700)).await;
    assert_eq!(pushes(&server, &app).await, 0);
}

#[tokio::test]
async fn a_client_that_takes_nothing_from_its_connection_is_woken_after_a_while() {
    let server = server().await;
    let romeo = server.bind("romeo@example.com/orchard").await;
    let (app, phone, _) = phone(&server).await;
    write(&server, &romeo, "one").await;
    phone.read_all();
    phone.control(Control::Handled(3)).unwrap();
    server.pass(Duration::from_secs(31)).await;
    assert_eq!(pushes(&server, &app).await, 0, "it has acknowledged the message");
    write(&server, &romeo, "two").await;
    phone.read_all();
    server.pass(Duration::from_secs(29)).await;
    assert_eq!(pushes(&server, &app).await, 0);
    server.pass(Duration::from_secs(2)).await;
    assert_eq!(pushes(&server, &app).await, 1);
}

#[tokio::test]
async fn a_client_that_keeps_up_is_not_woken_however_much_comes() {
    let server = server().await;
    let romeo = server.bind("romeo@example.com/orchard").await;
    let (app, phone, _) = phone(&server).await;
    let mut handled = 2;
    for body in 0..20 {
        write(&server, &romeo, &body.to_string()).await;
        server.pass(Duration::from_secs(5)).await;
        handled += phone.read_all().len() as u32;
        phone.control(Control::Handled(handled)).unwrap();
        assert_eq!(pushes(&server, &app).await, 0);
    }
    // It stops reading, and more comes: half a minute after the first.
    for _ in 0..6 {
        write(&server, &romeo, "still there?").await;
        server.pass(Duration::from_secs(5)).await;
        assert_eq!(pushes(&server, &app).await, 0);
    }
    server.pass(Duration::from_secs(30)).await;
    assert_eq!(pushes(&server, &app).await, 1);
}

#[tokio::test]
async fn another_device_that_is_there_changes_nothing() {
    let server = server().await;
    let romeo = server.bind("romeo@example.com/orchard").await;
    let (app, phone, _) = phone(&server).await;
    let desktop = server.bind("juliet@example.com/desktop").await;
    desktop.send("<presence/>").await;
    phone.end(Vec::new());
    server.settle().await;
    assert_eq!(pushes(&server, &app).await, 0);
    write(&server, &romeo, "one").await;
    assert_eq!(pushes(&server, &app).await, 1);
    // What the desktop writes is no news to the phone's user.
    server.pass(Duration::from_secs(10)).await;
    desktop.send("<message to='romeo@example.com' type='chat'><body>I am</body></message>").await;
    desktop.send("<message to='juliet@example.com' type='chat'><body>a note</body></message>").await;
    server.pass(Duration::from_secs(10)).await;
    assert_eq!(pushes(&server, &app).await, 0);
}

#[tokio::test]
async fn at_the_start_a_device_with_messages_that_it_does_not_know_of_is_notified_once() {
    let (memory, context) = (Memory::new(), FakeContext::new(3));
    let start = async |accounts: bool| {
        let server = Server::start(Arc::new(memory.clone()), context.clone(), settings()).await.unwrap();
        if accounts {
            for name in ["romeo", "juliet", "app"] {
                server.account(&format!("{name}@example.com"), PASSWORD).await;
            }
        }
        server
    };
    let first = start(true).await;
    let romeo = first.bind("romeo@example.com/orchard").await;
    let (app, phone, _) = phone(&first).await;
    phone.end(Vec::new());
    app.end(Vec::new());
    first.pass(Duration::from_secs(1)).await;
    write(&first, &romeo, "one").await;
    // The app server is not there, and the server stops before the next try.
    first.pass(Duration::from_secs(1)).await;
    first.kernel.stop().await.unwrap();
    drop(first);

    let second = start(false).await;
    let app = second.bind("app@example.com/push").await;
    // Tries are apart, whoever begins them; the accounts are looked at one by one.
    let mut notified = 0;
    for _ in 0..5 {
        second.pass(Duration::from_secs(30)).await;
        notified += pushes(&second, &app).await;
    }
    assert_eq!(notified, 1);
    app.end(Vec::new());
    second.kernel.stop().await.unwrap();
    drop(second);

    let third = start(false).await;
    let app = third.bind("app@example.com/push").await;
    for _ in 0..5 {
        third.pass(Duration::from_secs(30)).await;
    }
    assert_eq!(pushes(&third, &app).await, 0, "it was told already");
}
