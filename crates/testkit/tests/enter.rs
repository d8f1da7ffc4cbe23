//! A login by SASL 2 as the kernel and the features see it: what is asked for inline is done, in order.

use linnet_xmpp::{
    Jid, ns,
    stream::{Agent, Answer, BindRequest, Control, Entered, Entry, Need, Proof},
    xml::{Document, Scope},
};
use testkit::{Peer, Server};

fn document(xml: &str) -> Document {
    Document::parse(xml.to_owned().into(), &Scope::new(ns::CLIENT)).expect("well-formed")
}

fn entry(device: Option<&str>, tag: &str) -> Entry {
    let bind = BindRequest { tag: Some(tag.to_owned()), controls: Vec::new(), payloads: Vec::new() };
    Entry {
        username: Some("juliet".into()),
        domain: "example.com".into(),
        proof: Proof::Password,
        agent: Agent { id: device.map(Into::into), ..Agent::default() },
        resume: None,
        bind: Some(bind),
        request: document("<authenticate xmlns='urn:xmpp:sasl:2'/>"),
    }
}

async fn enter(server: &Server, entry: Entry) -> (Entered, Option<Peer>) {
    let (answer, session) = server.kernel.answer(Need::Enter(Box::new(entry))).await;
    let Answer::Entered(Ok(entered)) = answer else { panic!("{answer:?}") };
    (*entered, session.map(|(session, connection)| Peer::new(server.kernel.clone(), session, connection)))
}

fn text(entered: &Entered) -> String {
    String::from_utf8(entered.bound.clone().expect("bound").to_vec()).expect("UTF-8")
}

#[tokio::test]
async fn the_resource_is_the_tag_and_a_name_that_stays_with_the_device_xep0386_3_2_1() {
    let server = Server::with_accounts(&["juliet"]).await;
    let address = |entered: &Entered| entered.address.clone().expect("an address");
    let first = address(&enter(&server, entry(Some("device-1"), "Tag")).await.0);
    let again = address(&enter(&server, entry(Some("device-1"), "Tag")).await.0);
    let other = address(&enter(&server, entry(Some("device-2"), "Tag")).await.0);
    let unsaid =
        [address(&enter(&server, entry(None, "Tag")).await.0), address(&enter(&server, entry(None, "Tag")).await.0)];
    assert_eq!(first, again);
    assert!(first.resource().unwrap().starts_with("Tag/") && !first.as_str().contains("device-1"), "{first}");
    assert!(first != other && unsaid[0] != unsaid[1]);
    // What may not stand in an address does not.
    let odd = address(&enter(&server, entry(Some("device-1"), "\u{7}")).await.0);
    assert!(!odd.resource().unwrap().contains('/'), "{odd}");
}

#[tokio::test]
async fn a_device_has_one_session_xep0386_3_2() {
    let server = Server::with_accounts(&["juliet"]).await;
    let (_, old) = enter(&server, entry(Some("device"), "one")).await;
    let (_, new) = enter(&server, entry(Some("device"), "another tag")).await;
    let ended = old.expect("a session").read().expect("its end").expect_err("its end").expect("an error");
    assert_eq!(ended.condition.name(), "conflict");
    assert!(new.expect("a session").read().is_none());
}

#[tokio::test]
async fn carbons_stream_management_and_the_archive_s_state_go_with_binding() {
    let server = Server::with_accounts(&["juliet", "romeo"]).await;
    let romeo = server.bind("romeo@example.com/r").await;
    let other = server.bind("juliet@example.com/other").await;
    other.send("<presence><priority>1</priority></presence>").await;
    romeo.send("<message type='chat' to='juliet@example.com'><body>before</body></message>").await;
    server.settle().await;
    let mut wanted = entry(None, "c");
    let bind = wanted.bind.as_mut().unwrap();
    bind.controls.push(Control::Enable { resume: true, max: None });
    bind.payloads.push(document("<enable xmlns='urn:xmpp:carbons:2'/>"));
    bind.payloads.push(document("<enable xmlns='urn:example:unknown'/>"));
    let (entered, session) = enter(&server, wanted).await;
    let bound = text(&entered);
    assert!(bound.contains("<enabled xmlns='urn:xmpp:sm:3'") && bound.contains("<start id='"), "{bound}");
    let id = bound.split_once("<end id='").unwrap().1.split_once('\'').unwrap().0.to_owned();
    let before = other.read_all().concat();
    assert!(before.contains("before") && before.contains(&id), "{before}\n{bound}");
    romeo.send("<message type='chat' to='juliet@example.com'><body>after</body></message>").await;
    server.settle().await;
    let copies = session.expect("a session").read_all().concat();
    assert!(
        copies.contains("urn:xmpp:carbons:2") && copies.contains("after") && !copies.contains("before"),
        "{copies}"
    );
}

#[tokio::test]
async fn a_session_goes_on_and_nothing_is_bound_xep0386_3_2() {
    let server = Server::with_accounts(&["juliet"]).await;
    let mut wanted = entry(Some("device"), "tag");
    wanted.bind.as_mut().unwrap().controls.push(Control::Enable { resume: true, max: None });
    let (entered, session) = enter(&server, wanted).await;
    let id = text(&entered).split_once(" id='").unwrap().1.split_once('\'').unwrap().0.to_owned();
    session.expect("a session").cut();
    for (id, goes_on) in [(id.as_str(), true), ("another", false)] {
        let again = Entry { resume: Some((id.to_owned(), 0)), ..entry(Some("device"), "tag") };
        let (entered, session) = enter(&server, again).await;
        assert_eq!(entered.resumed.expect("an answer").is_ok(), goes_on);
        assert_eq!(entered.bound.is_some(), !goes_on);
        assert!(session.is_some());
    }
}

#[tokio::test]
async fn who_was_disabled_meanwhile_gets_no_session() {
    let server = Server::with_accounts(&["juliet"]).await;
    let juliet = Jid::parse("juliet@example.com").unwrap();
    features::accounts::set_disabled(&server.kernel, &juliet, true).await.unwrap();
    let (answer, session) = server.kernel.answer(Need::Enter(Box::new(entry(None, "t")))).await;
    assert!(matches!(answer, Answer::Entered(Err(linnet_xmpp::sasl::Failure::AccountDisabled))), "{answer:?}");
    assert!(session.is_none());
}

#[tokio::test]
async fn what_is_in_the_archive_does_not_come_again_xep0386_3_2() {
    let server = Server::with_accounts(&["juliet", "romeo"]).await;
    let romeo = server.bind("romeo@example.com/r").await;
    romeo.send("<message type='chat' to='juliet@example.com'><body>archived</body></message>").await;
    let hint = "<no-permanent-store xmlns='urn:xmpp:hints'/>";
    romeo.send(&format!("<message type='chat' to='juliet@example.com'><body>once</body>{hint}</message>")).await;
    server.settle().await;
    let (_, session) = enter(&server, entry(Some("device"), "tag")).await;
    let session = session.expect("a session");
    session.send("<presence/>").await;
    server.settle().await;
    let came = session.read_all().concat();
    assert!(came.contains("once") && !came.contains("archived"), "{came}");
    assert_eq!(session.session.owner.lock().stored, 0);
}
