//! Logins: from TCP connect over STARTTLS and SCRAM to a bound resource, 32 at a time. On the relay: the handshake alone.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Pending, Run, Scenario, Subject};
use crate::figure::{Figure, percentile_ms};
use crate::setup::{self, USERS};
use crate::window::Gauge;
use crate::wire::Wire;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "login",
    about: "32 clients at a time connect, log in with SCRAM-SHA-1, bind a resource and leave; accounts take turns. \
            The relay does the TLS handshake and nothing else.",
    variants: &["STARTTLS + SCRAM", "plain TCP + SCRAM"],
    on_relay: &["STARTTLS + SCRAM"],
    run,
};

/// Logins under way at any moment.
const AT_ONCE: usize = 32;

fn run(run: Run, variant: &'static str) -> Pending {
    Box::pin(async move {
        let tls = variant == "STARTTLS + SCRAM";
        let (gauge, next, subject) = (Arc::new(Gauge::default()), Arc::new(AtomicUsize::new(0)), Arc::new(run.subject));
        let mut workers = JoinSet::new();
        for _ in 0..AT_ONCE {
            workers.spawn(worker(subject.clone(), tls, next.clone(), gauge.clone()));
        }
        let mut seen = run.window.watch(run.pid, gauge, workers).await?;
        let cpu = Figure::less("server-CPU ms per login", seen.cpu_s * 1000.0 / seen.count);
        Ok(vec![
            if tls { cpu.goal_value(0.5).goal_peer(7.0) } else { cpu },
            Figure::more("logins/s (wall)", seen.count / seen.wall_s),
            Figure::less("p50 ms", percentile_ms(&mut seen.times, 0.5)),
            Figure::less("p99 ms", percentile_ms(&mut seen.times, 0.99)),
        ])
    })
}

async fn worker(
    subject: Arc<Subject>,
    tls: bool,
    next: Arc<AtomicUsize>,
    gauge: Arc<Gauge>,
) -> io::Result<Vec<Duration>> {
    let mut times = Vec::new();
    while !gauge.stopping() {
        let began = Instant::now();
        let wire = enter(&subject, tls, next.fetch_add(1, Relaxed)).await?;
        gauge.add(1);
        if gauge.recording() {
            times.push(began.elapsed());
        }
        // Leaving must not hold up the next login; its cost falls into the same window.
        tokio::spawn(setup::end(wire));
    }
    Ok(times)
}

async fn enter(subject: &Subject, tls: bool, number: usize) -> io::Result<Wire> {
    match subject {
        Subject::Server(target) => target.login(&setup::user(number % USERS), tls).await,
        Subject::Relay(relay) => relay.end().await,
    }
}
