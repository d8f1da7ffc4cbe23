//! A private group on a phone: what its members miss wakes them as they have set it, and they read it when they come.

use linnet_xmpp::stream::{Control, Signal};
use std::time::Duration;
use testkit::{Peer, Server};

const ROOM: &str = "family@rooms.example.com";
const ENABLE: &str = "<iq type='set' id='e'><enable xmlns='urn:xmpp:push:0' jid='app@example.com/push' node='n'/></iq>";

async fn join(server: &Server, peer: &Peer, nick: &str) {
    let x = "<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>";
    peer.send(&format!("<presence to='{ROOM}/{nick}'>{x}</presence>")).await;
    server.settle().await;
}

async fn say(server: &Server, peer: &Peer, words: &str) {
    peer.send(&format!("<message to='{ROOM}' type='groupchat' id='{words}'><body>{words}</body></message>")).await;
    server.settle().await;
}

/// The notifications that come until no more do, each answered with a result; those of one device are some seconds apart.
async fn pushes(server: &Server, app: &Peer) -> usize {
    let mut count = 0;
    loop {
        server.pass(Duration::from_secs(20)).await;
        let come = app.read_all();
        if come.is_empty() {
            return count;
        }
        count += come.len();
        for push in &come {
            assert!(push.contains("<publish node='n'>"), "{push}");
            let id = testkit::stanza(push).unwrap().id.unwrap();
            app.send(&format!("<iq type='result' to='example.com' id='{id}'/>")).await;
        }
    }
}

/// A private group of Romeo's with Juliet as member, who has a phone with push; with what the phone resumes by.
async fn group() -> (Server, Peer, Peer, Peer, String) {
    let server = Server::with_accounts(&["romeo", "juliet", "app"]).await;
    let app = server.bind("app@example.com/push").await;
    let romeo = server.bind("romeo@example.com/orchard").await;
    join(&server, &romeo, "Romeo").await;
    let accept = "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>";
    romeo.send(&format!("<iq type='set' id='o' to='{ROOM}'>{accept}</iq>")).await;
    let invite = "<x xmlns='http://jabber.org/protocol/muc#user'><invite to='juliet@example.com'/></x>";
    romeo.send(&format!("<message to='{ROOM}'>{invite}</message>")).await;
    server.settle().await;
    let phone = server.bind("juliet@example.com/phone").await;
    let control = Control::Enable { resume: true, max: None };
    let Ok(Some(Signal::Enabled(Some((id, _))))) = phone.control(control) else { panic!("not enabled") };
    phone.send("<presence/>").await;
    phone.send(ENABLE).await;
    join(&server, &phone, "Juliet").await;
    phone.read_all();
    assert_eq!(pushes(&server, &app).await, 0);
    (server, app, romeo, phone, id.to_string())
}

fn bodies(come: &[String]) -> Vec<String> {
    let body = |xml: &String| Some(xml.split("<body>").nth(1)?.split("</body>").next()?.to_owned());
    come.iter().filter_map(body).collect()
}

#[tokio::test]
async fn a_member_who_is_not_inside_is_woken_and_reads_all_in_order() {
    let (server, app, romeo, phone, _) = group().await;
    say(&server, &romeo, "here").await;
    assert_eq!(bodies(&phone.read_all()), ["here"]);
    assert_eq!(pushes(&server, &app).await, 0, "she is there");
    // The phone is away for longer than it can be resumed.
    phone.cut();
    server.pass(Duration::from_secs(3600)).await;
    pushes(&server, &app).await;
    say(&server, &romeo, "one").await;
    assert_eq!(pushes(&server, &app).await, 1);
    say(&server, &romeo, "two").await;
    say(&server, &romeo, "three").await;
    assert_eq!(pushes(&server, &app).await, 1, "much news is one notification");
    let phone = server.bind("juliet@example.com/phone").await;
    phone.send("<presence/>").await;
    server.settle().await;
    assert!(bodies(&phone.read_all()).is_empty(), "nothing of a room comes to who has not entered");
    phone.send(&format!("<iq type='set' id='m' to='{ROOM}'><query xmlns='urn:xmpp:mam:2'/></iq>")).await;
    server.settle().await;
    assert_eq!(bodies(&phone.read_all()), ["here", "one", "two", "three"]);
    // Her nickname was kept for her.
    join(&server, &romeo, "Juliet").await;
    assert!(romeo.read_all().iter().any(|xml| xml.contains("<conflict")));
    join(&server, &phone, "Juliet").await;
    assert!(phone.read_all().iter().any(|xml| xml.contains("code='110'")));
}

#[tokio::test]
async fn a_session_that_waits_for_its_client_stays_inside_and_is_woken() {
    let (server, app, romeo, phone, id) = group().await;
    let handled = 1000;
    phone.cut();
    say(&server, &romeo, "one").await;
    assert_eq!(pushes(&server, &app).await, 1);
    romeo.read_all();
    let Err(_) = server.resume("juliet@example.com/phone", &id, handled).await else { panic!("too many") };
    let (phone, _) = server.resume("juliet@example.com/phone", &id, 0).await.unwrap();
    assert!(bodies(&phone.read_all()).ends_with(&["one".to_owned()]));
    assert!(romeo.read_all().is_empty(), "she has not left");
}

#[tokio::test]
async fn who_wants_to_hear_of_mentions_alone_hears_of_mentions_alone() {
    let (server, app, romeo, phone, _) = group().await;
    let bookmark = "<conference xmlns='urn:xmpp:bookmarks:1' autojoin='true'><extensions>\
                    <notify xmlns='urn:xmpp:notification-settings:1'><on-mention/></notify></extensions></conference>";
    phone
        .send(&format!(
            "<iq type='set' id='b'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
             <publish node='urn:xmpp:bookmarks:1'><item id='{ROOM}'>{bookmark}</item></publish></pubsub></iq>"
        ))
        .await;
    server.settle().await;
    assert!(phone.read_all().iter().any(|xml| xml.contains("type='result'")));
    phone.end(Vec::new());
    server.settle().await;
    pushes(&server, &app).await;
    say(&server, &romeo, "dinner").await;
    assert_eq!(pushes(&server, &app).await, 0);
    say(&server, &romeo, "juliet, dinner").await;
    assert_eq!(pushes(&server, &app).await, 1);
}

#[tokio::test]
async fn who_is_no_member_any_more_hears_nothing() {
    let (server, app, romeo, phone, _) = group().await;
    phone.end(Vec::new());
    let items = "<item affiliation='none' jid='juliet@example.com'/>";
    let query = format!("<query xmlns='http://jabber.org/protocol/muc#admin'>{items}</query>");
    romeo.send(&format!("<iq type='set' id='r' to='{ROOM}'>{query}</iq>")).await;
    server.settle().await;
    pushes(&server, &app).await;
    say(&server, &romeo, "gone").await;
    assert_eq!(pushes(&server, &app).await, 0);
}
