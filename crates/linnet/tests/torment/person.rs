//! Somebody who uses our client library: writes to others all the time, and keeps what every device keeps: what comes
//! live and what the archive has, told apart by stanza-ids.

use crate::{DEVICES, USERS, server::PASSWORD};
use linnet_net::{
    backoff::Backoff,
    client::{Client, Config, Event as Happened, Events},
    dns::{Security, Target},
    tls::Trust,
};
use linnet_xmpp::{
    Jid, Stanza, ns,
    sasl::{Hash, Mechanism},
    stanza::{Kind, Type},
    xml::Node,
};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use testkit::{Random, history::Event};
use tokio::{sync::mpsc, task::JoinHandle};

const MAM: &str = "urn:xmpp:mam:2";
const FORWARD: &str = "urn:xmpp:forward:0";
const SID: &str = "urn:xmpp:sid:0";
/// Everything that must happen happens within this.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all share.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) history: Mutex<Vec<Event>>,
    /// How often our client sent a message again in a new session.
    pub(crate) resent: AtomicUsize,
    pub(crate) resumed: AtomicUsize,
    pub(crate) is_over: AtomicBool,
    /// Devices whose messages are all acknowledged, at the end.
    settled: AtomicUsize,
    message: AtomicU64,
}

impl Shared {
    fn note(&self, event: Event) {
        self.history.lock().expect("nobody panicked").push(event);
    }
}

/// A device.
pub(crate) struct Person {
    task: JoinHandle<()>,
}

struct Device {
    account: &'static str,
    name: String,
    client: Client,
    shared: Arc<Shared>,
    /// The newest id of the archive pages read so far.
    cursor: Option<String>,
    is_reading: bool,
    has_read: bool,
    waiting: usize,
    pages: mpsc::UnboundedSender<Option<(Option<String>, bool)>>,
}

/// How far a device is when all is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Talking,
    /// Everything that it has sent is acknowledged.
    Settled,
    /// So it is with all others, and it reads what is behind its last page.
    Reading,
    Done,
}

fn jid(text: &str) -> Jid {
    Jid::parse(text).expect("an address")
}

fn config(account: &str, resource: &str, address: SocketAddr) -> Config {
    let target = Target { host: address.ip().to_string().into(), port: address.port(), security: Security::Direct };
    Config {
        targets: Some(vec![target]),
        trust: Trust::Anything,
        // The one that costs least: the load is to be messages.
        mechanisms: vec![Mechanism::Scram { hash: Hash::Sha256, plus: false }],
        reconnect: Some(Backoff { first: Duration::from_millis(30), most: Duration::from_millis(150) }),
        ..Config::new(jid(&format!("{account}@example.com/{resource}")), PASSWORD)
    }
}

fn id_of(stanza: &Stanza) -> Option<u64> {
    stanza.id.as_deref()?.parse().ok()
}

impl Person {
    pub(crate) fn start(
        account: &'static str,
        number: usize,
        address: SocketAddr,
        shared: &Arc<Shared>,
        seed: u64,
    ) -> Person {
        let (client, events) = Client::start(config(account, &number.to_string(), address)).expect("no files to read");
        let (pages, answers) = mpsc::unbounded_channel();
        let device = Device {
            account,
            name: format!("{account}/{number}"),
            client,
            shared: shared.clone(),
            cursor: None,
            is_reading: false,
            has_read: false,
            waiting: 0,
            pages,
        };
        Person { task: tokio::spawn(device.run(events, answers, Random::new(seed))) }
    }

    /// Waits until everything is acknowledged and the archive is read to its end.
    pub(crate) async fn finish(self) {
        tokio::time::timeout(PATIENCE, self.task).await.expect("all ends in time").expect("nobody panicked");
    }
}

impl Device {
    async fn run(
        mut self,
        mut events: Events,
        mut answers: mpsc::UnboundedReceiver<Option<(Option<String>, bool)>>,
        mut random: Random,
    ) {
        let mut end = End::Talking;
        loop {
            let is_over = self.shared.is_over.load(Ordering::SeqCst);
            let pause = if is_over { 50 } else { random.below(25) };
            tokio::select! {
                biased;
                happened = events.next() => {
                    self.happened(happened.expect("it connects again and again")).await;
                }
                Some(page) = answers.recv() => self.page(page),
                () = tokio::time::sleep(Duration::from_millis(pause)) => {
                    if is_over {
                        end = self.go_to_the_end(end);
                    } else {
                        self.say(&mut random).await;
                    }
                    if end == End::Done {
                        break;
                    }
                }
            }
        }
        self.shared.note(Event::Synced { account: self.account.to_owned(), device: self.name.clone() });
        self.client.close().await;
    }

    /// One step of the end, while nothing else happens. An archive is read to its end when nobody has anything to add to it.
    fn go_to_the_end(&mut self, end: End) -> End {
        let is_settled = self.client.address().is_some() && self.waiting == 0;
        match end {
            End::Talking if is_settled => {
                self.shared.settled.fetch_add(1, Ordering::SeqCst);
                End::Settled
            }
            End::Settled if self.shared.settled.load(Ordering::SeqCst) == DEVICES * USERS.len() && !self.is_reading => {
                self.has_read = false;
                self.read_archive();
                End::Reading
            }
            End::Reading if self.has_read && is_settled => End::Done,
            End::Reading if self.client.address().is_some() => {
                if !self.has_read {
                    self.read_archive();
                }
                end
            }
            _ => end,
        }
    }

    async fn happened(&mut self, happened: Happened) {
        match happened {
            Happened::Online { resumed: true, .. } => {
                self.shared.resumed.fetch_add(1, Ordering::SeqCst);
            }
            Happened::Online { .. } => {
                self.shared.note(Event::Ended { account: self.account.to_owned() });
                self.shared.note(Event::Began { device: self.name.clone() });
                self.has_read = false;
                let carbons = "<enable xmlns='urn:xmpp:carbons:2'/>".into();
                let carbons = Stanza::new(Kind::Iq, Type::Set, carbons).id(Some("carbons"));
                // Whoever is offline again by now comes back here.
                let _ = self.client.send(carbons).await;
                let _ = self.client.send(Stanza::new(Kind::Presence, Type::Available, bytes::Bytes::new())).await;
                self.read_archive();
            }
            Happened::Acknowledged(stanza) => {
                self.waiting -= 1;
                self.shared.note(Event::Acknowledged { id: id_of(&stanza).expect("a message of ours") });
            }
            Happened::Resent(_) => {
                self.shared.resent.fetch_add(1, Ordering::SeqCst);
            }
            Happened::Stanza(stanza) if stanza.kind == Kind::Message => self.message(&stanza),
            Happened::Unacknowledged(stanza) => panic!("given up: {stanza:?}"),
            _ => {}
        }
    }

    async fn say(&mut self, random: &mut Random) {
        if self.client.address().is_none() || self.waiting > 300 {
            return;
        }
        for _ in 0..random.below(6) {
            let to = USERS[random.below(USERS.len() as u64) as usize];
            if to == self.account {
                continue;
            }
            let id = self.shared.message.fetch_add(1, Ordering::SeqCst) + 1;
            let stanza = Stanza::new(Kind::Message, Type::Chat, format!("<body>{id}</body>").into());
            let stanza = stanza.to(jid(&format!("{to}@example.com"))).id(Some(&id.to_string()));
            let sender = self.name.clone();
            self.shared.note(Event::Sent { sender, to: to.to_owned(), id, kept: true });
            if self.client.send(stanza).await.is_ok() {
                self.waiting += 1;
            }
        }
    }

    /// Asks for the page behind the last one.
    fn read_archive(&mut self) {
        if std::mem::replace(&mut self.is_reading, true) {
            return;
        }
        let after = self.cursor.as_ref().map(|id| format!("<after>{id}</after>")).unwrap_or_default();
        let (client, pages) = (self.client.clone(), self.pages.clone());
        tokio::spawn(async move {
            let page = page(&client, &after).await;
            // The device has ended.
            let _ = pages.send(page);
        });
    }

    fn page(&mut self, page: Option<(Option<String>, bool)>) {
        self.is_reading = false;
        if let Some((last, complete)) = page {
            self.cursor = last.or(self.cursor.take());
            self.has_read = complete;
            if !complete {
                self.read_archive();
            }
        }
    }

    fn message(&mut self, stanza: &Stanza) {
        let (account, device) = (self.account.to_owned(), self.name.clone());
        if let Some((id, stanza_id)) = result(stanza) {
            return self.shared.note(Event::Fetched { account, device, id, stanza_id });
        }
        let copy = ["sent", "received"].into_iter().find_map(|name| stanza.child(name, "urn:xmpp:carbons:2"));
        let Some(copy) = copy else {
            let Some(id) = id_of(stanza) else { return };
            if stanza.ty == Type::Error {
                return self.shared.note(Event::Refused { id });
            }
            let stanza_id = own_id(stanza.children(), &account);
            return self.shared.note(Event::Received { account, device, id, stanza_id });
        };
        let inner = copy.child("forwarded", FORWARD).and_then(|forwarded| forwarded.child("message", ns::CLIENT));
        let Some(inner) = inner else { return };
        if let Some(id) = inner.attr("id").and_then(|id| id.parse().ok()) {
            let stanza_id = own_id(inner.children(), &account);
            self.shared.note(Event::Copied { account, device, id, stanza_id });
        }
    }
}

/// The id that the account's own server gave.
fn own_id<'a>(mut children: impl Iterator<Item = Node<'a>>, account: &str) -> String {
    let by = format!("{account}@example.com");
    let id = children.find(|child| child.is("stanza-id", SID) && child.attr("by").is_some_and(|other| *other == *by));
    id.and_then(|id| id.attr("id")).map(|id| id.into_owned()).unwrap_or_default()
}

/// A message of an archive page: its number, and its id there.
fn result(stanza: &Stanza) -> Option<(u64, String)> {
    let result = stanza.child("result", MAM)?;
    let message = result.child("forwarded", FORWARD)?.child("message", ns::CLIENT)?;
    Some((message.attr("id")?.parse().ok()?, result.attr("id")?.into_owned()))
}

/// Reads a page: the id of its last message, and whether it was the last page. `None`: not this time.
async fn page(client: &Client, after: &str) -> Option<(Option<String>, bool)> {
    let query =
        format!("<query xmlns='{MAM}'><set xmlns='http://jabber.org/protocol/rsm'>{after}<max>100</max></set></query>");
    let answer = client.request(Stanza::new(Kind::Iq, Type::Set, query.into())).await.ok()?;
    let fin = answer.child("fin", MAM)?;
    let last = fin.child("set", "http://jabber.org/protocol/rsm").and_then(|set| set.child("last", set.ns()));
    let is_complete = fin.attr("complete").is_some_and(|complete| *complete == *"true");
    Some((last.map(|last| last.text().into_owned()), is_complete))
}

/// Somebody new reads all of an account's archive.
pub(crate) async fn read_archive(account: &'static str, address: SocketAddr, shared: &Arc<Shared>) {
    let (client, mut events) = Client::login(config(account, "new", address)).await.expect("nothing is in the way now");
    let reading = tokio::spawn(async move {
        let mut cursor = None;
        loop {
            let after: Option<String> = cursor.take();
            let after = after.map(|id| format!("<after>{id}</after>")).unwrap_or_default();
            let (last, complete) = page(&client, &after).await.expect("a page");
            if complete {
                return client.close().await;
            }
            cursor = last;
        }
    });
    while let Some(happened) = events.next().await {
        if let Happened::Stanza(stanza) = happened
            && let Some((id, stanza_id)) = result(&stanza)
        {
            shared.note(Event::Archived { account: account.to_owned(), id, stanza_id });
        }
    }
    reading.await.expect("nobody panicked");
}
