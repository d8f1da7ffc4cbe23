//! One-to-one chat: pairs of sessions, a fixed number of messages in flight in each, bodies of 100 bytes.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Pending, Run, Scenario, Subject};
use crate::figure::{Figure, percentile_ms};
use crate::session::{is_error, refused};
use crate::setup;
use crate::window::Gauge;
use crate::wire::Wire;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "chat",
    about: "Pairs of clients: one sends messages with 100-byte bodies to the other's bare address, which answers nothing; \
            100 pairs with 1 message in flight each, or 50 pairs with 10. `no-store` messages carry the hint of XEP-0334, \
            `stored` ones do not and are archived by servers that archive.",
    variants: &[
        "TLS, no-store, 1 in flight",
        "TLS, no-store, 10 in flight",
        "plain TCP, no-store, 1 in flight",
        "plain TCP, no-store, 10 in flight",
        "TLS, stored, 1 in flight",
        "TLS, stored, 10 in flight",
    ],
    on_relay: &[
        "TLS, no-store, 1 in flight",
        "TLS, no-store, 10 in flight",
        "plain TCP, no-store, 1 in flight",
        "plain TCP, no-store, 10 in flight",
    ],
    run,
};

/// Digits of a message's id, which is counted up in place.
const ID_DIGITS: usize = 8;

fn run(run: Run, variant: &'static str) -> Pending {
    Box::pin(async move {
        let (pairs, in_flight) = if variant.ends_with("10 in flight") { (50, 10) } else { (100, 1) };
        let (tls, stored) = (variant.starts_with("TLS"), variant.contains("stored"));
        let gauge = Arc::new(Gauge::default());
        let mut ready = Vec::with_capacity(pairs);
        for number in 0..pairs {
            ready.push(Pair::open(&run, number, tls, stored).await?);
        }
        let mut workers = JoinSet::new();
        for pair in ready {
            workers.spawn(pair.talk(in_flight, gauge.clone()));
        }
        let mut seen = run.window.watch(run.pid, gauge, workers).await?;
        let rate = Figure::more("messages per server-CPU-s", seen.count / seen.cpu_s);
        Ok(vec![
            if variant == "TLS, no-store, 1 in flight" { rate.goal_relay(0.5).goal_peer(5.0) } else { rate },
            Figure::more("messages/s (wall)", seen.count / seen.wall_s),
            Figure::less("p50 ms", percentile_ms(&mut seen.times, 0.5)),
            Figure::less("p99 ms", percentile_ms(&mut seen.times, 0.99)),
        ])
    })
}

/// A sender and its receiver, both online.
pub(super) struct Pair {
    sender: Wire,
    receiver: Wire,
    /// The message, with a number of `ID_DIGITS` from `id_at` on.
    message: Vec<u8>,
    id_at: usize,
}

impl Pair {
    /// Logs pair number `number` in: the accounts twice that number and the next.
    pub(super) async fn open(run: &Run, number: usize, tls: bool, stored: bool) -> io::Result<Self> {
        let (sender, receiver) = match &run.subject {
            Subject::Relay(relay) => relay.pair(number).await?,
            Subject::Server(target) => (
                target.online(&setup::user(number * 2), tls).await?,
                target.online(&setup::user(number * 2 + 1), tls).await?,
            ),
        };
        let head = format!("<message to='u{}@localhost' type='chat' id='", number * 2 + 1);
        let hint = if stored { "" } else { "<no-store xmlns='urn:xmpp:hints'/>" };
        let rest = format!("'><body>{}</body>{hint}</message>", "0123456789".repeat(10));
        let message = [head.as_bytes(), &[b'0'; ID_DIGITS], rest.as_bytes()].concat();
        Ok(Self { sender, receiver, message, id_at: head.len() })
    }

    /// Sends `count` messages, `in_flight` at a time, and leaves when all have arrived.
    pub(super) async fn send_all(mut self, count: usize, in_flight: usize) -> io::Result<()> {
        for begin in (0..count).step_by(in_flight) {
            let burst = in_flight.min(count - begin);
            for number in begin..begin + burst {
                self.number(number as u64);
                self.sender.send(&self.message).await?;
            }
            self.receive(burst).await?;
        }
        setup::end(self.sender).await?;
        setup::end(self.receiver).await
    }

    /// Keeps `in_flight` messages under way until the gauge says stop; returns how long each took in the window.
    async fn talk(mut self, in_flight: usize, gauge: Arc<Gauge>) -> io::Result<Vec<Duration>> {
        let (mut times, mut sent, mut numbers) = (Vec::new(), VecDeque::with_capacity(in_flight), 0..);
        let mut wanted = in_flight;
        loop {
            let mut burst = Vec::with_capacity(wanted * self.message.len());
            for number in numbers.by_ref().take(wanted) {
                self.number(number);
                burst.extend_from_slice(&self.message);
                sent.push_back(Instant::now());
            }
            self.sender.send(&burst).await?;
            let stopping = gauge.stopping();
            wanted = self.receive(if stopping { sent.len() } else { 1 }).await?;
            gauge.add(wanted as u64);
            for began in sent.drain(..wanted) {
                if gauge.recording() {
                    times.push(began.elapsed());
                }
            }
            if stopping {
                return Ok(times);
            }
        }
    }

    /// Waits for at least `least` messages and returns how many came.
    async fn receive(&mut self, least: usize) -> io::Result<usize> {
        let mut got = 0;
        while got < least {
            let item = tokio::select! {
                biased;
                item = self.receiver.item() => item?,
                // Nothing should come back to the sender; if something does it tells what went wrong.
                answer = self.sender.item() => match answer? {
                    error if is_error(error) => return Err(refused("message", error)),
                    _ => continue,
                },
            };
            got += usize::from(is_message(item));
            while let Some(item) = self.receiver.item_at_hand() {
                got += usize::from(is_message(item));
            }
        }
        Ok(got)
    }

    fn number(&mut self, number: u64) {
        let digits = format!("{number:0ID_DIGITS$}");
        self.message[self.id_at..self.id_at + ID_DIGITS].copy_from_slice(&digits.as_bytes()[..ID_DIGITS]);
    }
}

fn is_message(item: &[u8]) -> bool {
    item.trim_ascii_start().starts_with(b"<message")
}
