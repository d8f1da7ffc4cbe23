//! Connections that are reset under load: what our client, with stream management, loses, gets twice or in the wrong order.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use linnet_net::backoff::Backoff;
use linnet_net::client::{Client, Config, Event, Events};
use linnet_net::dns::{Security, Target as Place};
use linnet_net::tls::Trust;
use linnet_xmpp::sasl::{Hash, Mechanism};
use linnet_xmpp::stanza::{Kind, Type};
use linnet_xmpp::{Jid, Stanza};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{Pending, Run, Scenario};
use crate::figure::Figure;
use crate::session::Target;
use crate::setup;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "resets",
    about: "20 pairs of clients of our library, with stream management (XEP-0198), over TLS: one sends numbered messages \
            that are archived, and 80 times one of the 40 connections is cut without a word, on both sides. Counted is \
            what the server had acknowledged and nobody received, what came twice and what came out of order.",
    variants: &["80 under load, archived"],
    on_relay: &[],
    run,
};

const PAIRS: usize = 20;
const RESETS: usize = 80;
const BETWEEN_RESETS: Duration = Duration::from_millis(50);
const BETWEEN_MESSAGES: Duration = Duration::from_millis(2);
/// When nothing has come for so long, nothing more will.
const QUIET: Duration = Duration::from_secs(5);

/// What is known of one pair.
#[derive(Default)]
struct Pair {
    is_over: AtomicBool,
    sent: AtomicU64,
    acknowledged: Mutex<Vec<u64>>,
    received: Mutex<Vec<u64>>,
    last: Mutex<Option<Instant>>,
}

type Lines = Arc<Mutex<Vec<JoinHandle<()>>>>;

fn run(run: Run, _variant: &'static str) -> Pending {
    Box::pin(async move {
        let target = run.server()?.clone();
        let (address, lines) = proxy(target.address).await?;
        let mut pairs = Vec::new();
        let mut tasks = Vec::new();
        for number in 0..PAIRS {
            let pair = Arc::new(Pair::default());
            let [from, to] = [setup::user(2 * number), setup::user(2 * number + 1)];
            tasks.push(tokio::spawn(receive(config(&target, &to, address)?, pair.clone())));
            tasks.push(tokio::spawn(send(config(&target, &from, address)?, jid(&target, &to)?, pair.clone())));
            pairs.push(pair);
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        for number in 0..RESETS {
            tokio::time::sleep(BETWEEN_RESETS).await;
            cut(&lines, number);
        }
        for pair in &pairs {
            pair.is_over.store(true, Relaxed);
        }
        wait_for_quiet(&pairs).await;
        tasks.iter().for_each(JoinHandle::abort);
        let [mut lost, mut twice, mut reordered, mut acknowledged] = [0.0; 4];
        for pair in &pairs {
            let found = pair.count();
            acknowledged += found[0];
            lost += found[1];
            twice += found[2];
            reordered += found[3];
        }
        Ok(vec![
            Figure::less("messages lost", lost).goal_value(0.0),
            Figure::less("messages doubled", twice).goal_value(0.0),
            Figure::less("messages out of order", reordered).goal_value(0.0),
            Figure::more("messages acknowledged", acknowledged),
        ])
    })
}

impl Pair {
    /// Acknowledged, lost, doubled, out of order.
    fn count(&self) -> [f64; 4] {
        let acknowledged = self.acknowledged.lock().expect("no panic under the lock").clone();
        let received = self.received.lock().expect("no panic under the lock").clone();
        let first: std::collections::BTreeSet<u64> = received.iter().copied().collect();
        let lost = acknowledged.iter().filter(|id| !first.contains(id)).count();
        let mut newest = 0;
        let mut reordered = 0;
        let mut seen = std::collections::BTreeSet::new();
        for id in &received {
            if seen.insert(*id) {
                reordered += usize::from(*id < newest);
                newest = newest.max(*id);
            }
        }
        [acknowledged.len(), lost, received.len() - first.len(), reordered].map(|count| count as f64)
    }
}

fn jid(target: &Target, user: &str) -> io::Result<Jid> {
    Jid::new(Some(user), &target.domain, None).map_err(|error| io::Error::other(format!("{error:?}")))
}

fn config(target: &Target, user: &str, address: SocketAddr) -> io::Result<Config> {
    let place = Place { host: address.ip().to_string().into(), port: address.port(), security: Security::StartTls };
    let resource = jid(target, user)?.with_resource("reset").map_err(|error| io::Error::other(format!("{error:?}")))?;
    Ok(Config {
        targets: Some(vec![place]),
        trust: Trust::Anything,
        mechanisms: vec![Mechanism::Scram { hash: Hash::Sha1, plus: false }],
        reconnect: Some(Backoff { first: Duration::from_millis(50), most: Duration::from_millis(500) }),
        ..Config::new(resource, &target.password)
    })
}

fn start(config: Config) -> (Client, Events) {
    Client::start(config).expect("no certificates have to be read")
}

async fn come(client: &Client) {
    // Whoever is offline again by now comes back here.
    let _ = client.send(Stanza::new(Kind::Presence, Type::Available, bytes::Bytes::new())).await;
}

async fn receive(config: Config, pair: Arc<Pair>) {
    let (client, mut events) = start(config);
    while let Some(event) = events.next().await {
        match event {
            Event::Online { resumed: false, .. } => come(&client).await,
            Event::Stanza(stanza) if stanza.kind == Kind::Message && stanza.ty == Type::Chat => {
                let id: Option<u64> = stanza.id.as_deref().and_then(|id| id.parse().ok());
                pair.received.lock().expect("no panic under the lock").extend(id);
                *pair.last.lock().expect("no panic under the lock") = Some(Instant::now());
            }
            _ => {}
        }
    }
}

async fn send(config: Config, to: Jid, pair: Arc<Pair>) {
    let (client, mut events) = start(config);
    let mut next = tokio::time::interval(BETWEEN_MESSAGES);
    // What was missed while there was no connection is not made up for.
    next.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::Online { resumed: false, .. }) => come(&client).await,
                Some(Event::Acknowledged(stanza)) => {
                    let id: Option<u64> = stanza.id.as_deref().and_then(|id| id.parse().ok());
                    pair.acknowledged.lock().expect("no panic under the lock").extend(id);
                    *pair.last.lock().expect("no panic under the lock") = Some(Instant::now());
                }
                Some(_) => {}
                None => return,
            },
            _ = next.tick(), if !pair.is_over.load(Relaxed) && client.address().is_some() => {
                let id = pair.sent.fetch_add(1, Relaxed) + 1;
                let body = format!("<body>{}</body>", "x".repeat(100)).into();
                let message = Stanza::new(Kind::Message, Type::Chat, body).to(to.clone()).id(Some(&id.to_string()));
                // Not sent, not acknowledged.
                let _ = client.send(message).await;
            }
        }
    }
}

async fn wait_for_quiet(pairs: &[Arc<Pair>]) {
    let begin = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let last = pairs.iter().filter_map(|pair| *pair.last.lock().expect("no panic under the lock")).max();
        if last.unwrap_or(begin).max(begin).elapsed() > QUIET {
            return;
        }
    }
}

/// Carries bytes to the server; what it gives can be cut.
async fn proxy(server: SocketAddr) -> io::Result<(SocketAddr, Lines)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let lines = Lines::default();
    let all = lines.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let line = tokio::spawn(async move {
                let mut client = client;
                if let Ok(mut server) = TcpStream::connect(server).await {
                    // However it ends, both sockets are closed.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                }
            });
            let mut lines = all.lock().expect("no panic under the lock");
            lines.retain(|line| !line.is_finished());
            lines.push(line);
        }
    });
    Ok((address, lines))
}

/// Cuts one of the connections, another each time.
fn cut(lines: &Lines, number: usize) {
    let mut lines = lines.lock().expect("no panic under the lock");
    lines.retain(|line| !line.is_finished());
    if !lines.is_empty() {
        let place = number * 7 % lines.len();
        lines.swap_remove(place).abort();
    }
}
