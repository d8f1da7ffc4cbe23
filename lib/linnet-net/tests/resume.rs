//! Stream management as an application sees it: what is acknowledged, what is sent again, and where a session goes on,
//! against servers whose every word the test says.

use linnet_net::{
    backoff::Backoff,
    client::{Client, Config, Event, Events, RequestError},
    dns::{Security, Target},
};
use linnet_xeps::{Payload, ping::Ping};
use linnet_xmpp::{
    Jid, Stanza,
    sasl::Mechanism,
    stanza::{Kind, Type},
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const HEADER: &str = "<?xml version='1.0'?><stream:stream from='a.example' id='x' version='1.0' xml:lang='en' \
     xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
const PLAIN: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>";
const BIND: &str =
    "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/></stream:features>";
const BOUND: &str =
    "<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>me@a.example/r</jid></bind></iq>";
const ENABLED: &str = "<enabled xmlns='urn:xmpp:sm:3' id='s1' resume='true'/>";

/// The server's side of a connection.
struct Line {
    tcp: TcpStream,
    read: String,
}

impl Line {
    /// Takes a connection and logs it in, up to the features behind it.
    async fn accept(listener: &TcpListener) -> Line {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut line = Line { tcp, read: String::new() };
        line.expect("<stream:stream").await;
        line.say(&[HEADER, PLAIN].concat()).await;
        line.expect("</auth>").await;
        line.say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>").await;
        line.expect("<stream:stream").await;
        line.say(&[HEADER, BIND].concat()).await;
        line
    }

    /// The same, and binds and counts.
    async fn accept_new(listener: &TcpListener, enabled: &str) -> Line {
        let mut line = Line::accept(listener).await;
        line.bind(enabled).await;
        line
    }

    async fn bind(&mut self, enabled: &str) {
        self.expect("</iq>").await;
        self.say(BOUND).await;
        self.expect("<enable xmlns='urn:xmpp:sm:3' resume='true'/>").await;
        self.say(enabled).await;
    }

    async fn say(&mut self, xml: &str) {
        self.tcp.write_all(xml.as_bytes()).await.unwrap();
    }

    /// Reads up to a text; gives what came before it.
    async fn expect(&mut self, text: &str) -> String {
        loop {
            if let Some((before, rest)) = self.read.split_once(text) {
                let (before, rest) = (before.to_owned(), rest.to_owned());
                self.read = rest;
                return before;
            }
            let mut buffer = [0; 4096];
            let read = tokio::time::timeout(Duration::from_secs(10), self.tcp.read(&mut buffer));
            let read = read.await.unwrap_or_else(|_| panic!("no {text} in {}", self.read)).unwrap();
            assert!(read > 0, "the client hung up before {text}: {}", self.read);
            self.read.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn config(listener: &TcpListener) -> Config {
    let port = listener.local_addr().unwrap().port();
    Config {
        targets: Some(vec![Target { host: "127.0.0.1".into(), port, security: Security::StartTls }]),
        plaintext: true,
        mechanisms: vec![Mechanism::Plain],
        reconnect: Some(Backoff { first: Duration::from_millis(10), most: Duration::from_millis(50) }),
        ..Config::new(Jid::parse("me@a.example/r").unwrap(), "pencil")
    }
}

fn message(id: &str) -> Stanza {
    let to = Jid::parse("you@a.example").unwrap();
    Stanza::new(Kind::Message, Type::Chat, "<body>x</body>".into()).to(to).id(Some(id))
}

async fn next(events: &mut Events) -> Event {
    tokio::time::timeout(Duration::from_secs(10), events.next()).await.expect("an event in time").expect("an event")
}

/// The next event as a word or two.
async fn told(events: &mut Events) -> String {
    let id = |stanza: Stanza| stanza.id.unwrap_or_default();
    match next(events).await {
        Event::Online { resumed, .. } => format!("online {resumed}"),
        Event::Offline { retry, .. } => format!("offline {}", retry.is_some()),
        Event::Acknowledged(stanza) => format!("acknowledged {}", id(stanza)),
        Event::Resent(stanza) => format!("resent {}", id(stanza)),
        Event::Unacknowledged(stanza) => format!("unacknowledged {}", id(stanza)),
        Event::Stanza(stanza) => format!("stanza {}", id(stanza)),
        other => panic!("{other:?}"),
    }
}

async fn expect(events: &mut Events, all: &[&str]) {
    for one in all {
        assert_eq!(told(events).await, *one);
    }
}

#[tokio::test]
async fn a_broken_session_goes_on_and_what_was_lost_on_the_way_is_sent_again() {
    let listener = listener().await;
    let (client, mut events) = Client::start(config(&listener)).unwrap();
    let mut line = Line::accept_new(&listener, ENABLED).await;
    expect(&mut events, &["online false"]).await;
    line.say("<message id='in1' from='you@a.example/x'/><r xmlns='urn:xmpp:sm:3'/>").await;
    line.expect("<a xmlns='urn:xmpp:sm:3' h='1'/>").await;
    client.send(message("m1")).await.unwrap();
    line.expect("id='m1'").await;
    line.expect("<r xmlns='urn:xmpp:sm:3'/>").await;
    line.say("<a xmlns='urn:xmpp:sm:3' h='1'/>").await;
    expect(&mut events, &["stanza in1", "acknowledged m1"]).await;
    client.send(message("m2")).await.unwrap();
    line.expect("id='m2'").await;
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.request(Stanza::new(Kind::Iq, Type::Get, Ping.to_bytes())).await }
    });
    line.expect("<iq ").await;
    drop(line);
    let mut line = Line::accept(&listener).await;
    line.expect("<resume xmlns='urn:xmpp:sm:3' previd='s1' h='1'/>").await;
    line.say("<resumed xmlns='urn:xmpp:sm:3' previd='s1' h='1'/>").await;
    line.expect("id='m2'").await;
    let id = line.expect("<r xmlns='urn:xmpp:sm:3'/>").await;
    let id = id.split_once("<iq id='").unwrap().1.split_once('\'').unwrap().0;
    line.say(&format!("<a xmlns='urn:xmpp:sm:3' h='3'/><iq type='result' id='{id}'/>")).await;
    expect(&mut events, &["offline true", "online true", "acknowledged m2"]).await;
    assert!(asked.await.unwrap().is_ok(), "a request goes on with its session");
}

#[tokio::test]
async fn a_new_session_sends_again_what_failed_does_not_cover() {
    let listener = listener().await;
    let (client, mut events) = Client::start(config(&listener)).unwrap();
    let mut line = Line::accept_new(&listener, ENABLED).await;
    expect(&mut events, &["online false"]).await;
    for id in ["m1", "m2", "m3"] {
        client.send(message(id)).await.unwrap();
        line.expect(&format!("id='{id}'")).await;
    }
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.request(Stanza::new(Kind::Iq, Type::Get, Ping.to_bytes())).await }
    });
    line.expect("<iq ").await;
    drop(line);
    let mut line = Line::accept(&listener).await;
    line.expect("<resume xmlns='urn:xmpp:sm:3' previd='s1' h='0'/>").await;
    line.say(
        "<failed xmlns='urn:xmpp:sm:3' h='2'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
    )
    .await;
    line.bind(&ENABLED.replace("s1", "s2")).await;
    let again = line.expect("</message>").await;
    assert!(again.contains("id='m3'"), "{again}");
    expect(&mut events, &["offline true", "online false", "acknowledged m1", "acknowledged m2", "resent m3"]).await;
    line.say("<a xmlns='urn:xmpp:sm:3' h='1'/>").await;
    expect(&mut events, &["acknowledged m3"]).await;
    assert_eq!(asked.await.unwrap().unwrap_err(), RequestError::Offline);
}

#[tokio::test]
async fn closing_waits_for_acknowledgements_and_says_what_was_handled() {
    let listener = listener().await;
    let (client, mut events) = Client::start(config(&listener)).unwrap();
    let mut line = Line::accept_new(&listener, ENABLED).await;
    expect(&mut events, &["online false"]).await;
    client.send(message("m1")).await.unwrap();
    let closing = tokio::spawn(async move { client.close().await });
    line.expect("id='m1'").await;
    line.expect("<r xmlns='urn:xmpp:sm:3'/>").await;
    line.say("<a xmlns='urn:xmpp:sm:3' h='0'/><a xmlns='urn:xmpp:sm:3' h='1'/>").await;
    assert_eq!(line.expect("</stream:stream>").await, "<a xmlns='urn:xmpp:sm:3' h='0'/>");
    line.say("</stream:stream>").await;
    closing.await.unwrap();
    expect(&mut events, &["acknowledged m1", "offline false"]).await;
}

#[tokio::test]
async fn what_nobody_acknowledged_is_told_at_the_end() {
    let listener = listener().await;
    let (client, mut events) = Client::start(Config { reconnect: None, ..config(&listener) }).unwrap();
    let mut line = Line::accept_new(&listener, ENABLED).await;
    expect(&mut events, &["online false"]).await;
    client.send(message("m1")).await.unwrap();
    line.expect("id='m1'").await;
    drop(line);
    expect(&mut events, &["unacknowledged m1", "offline false"]).await;
}

#[tokio::test]
async fn a_server_that_counts_too_much_is_left() {
    let listener = listener().await;
    let (_client, mut events) = Client::start(Config { reconnect: None, ..config(&listener) }).unwrap();
    let mut line = Line::accept_new(&listener, ENABLED).await;
    expect(&mut events, &["online false"]).await;
    line.say("<a xmlns='urn:xmpp:sm:3' h='1'/>").await;
    line.expect("<handled-count-too-high ").await;
    expect(&mut events, &["offline false"]).await;
}

#[tokio::test]
async fn the_session_is_resumed_where_the_server_wants_it() {
    let (listener, other) = (listener().await, listener().await);
    let (_client, mut events) = Client::start(config(&listener)).unwrap();
    let place = other.local_addr().unwrap();
    let line = Line::accept_new(&listener, &ENABLED.replace(" id", &format!(" location='{place}' id"))).await;
    expect(&mut events, &["online false"]).await;
    // Sooner, and the client has not read <enabled/> yet.
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(line);
    let mut line = Line::accept(&other).await;
    line.expect("<resume ").await;
    line.say("<resumed xmlns='urn:xmpp:sm:3' previd='s1' h='0'/>").await;
    expect(&mut events, &["offline true", "online true"]).await;
    // Where nobody answers any more, the usual places follow.
    drop((line, other));
    Line::accept(&listener).await.expect("<resume ").await;
}

#[tokio::test]
async fn who_does_not_want_it_gets_none_of_it() {
    let listener = listener().await;
    let (client, mut events) = Client::start(Config { stream_management: false, ..config(&listener) }).unwrap();
    let mut line = Line::accept(&listener).await;
    line.expect("</iq>").await;
    line.say(BOUND).await;
    expect(&mut events, &["online false"]).await;
    client.send(message("m1")).await.unwrap();
    let sent = line.expect("</message>").await;
    assert!(!sent.contains("urn:xmpp:sm:3"), "{sent}");
}
