//! Logging in again: a token and the resumption of a session inline, in one round trip after TLS, 32 at a time.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Pending, Run, Scenario};
use crate::figure::{Figure, percentile_ms};
use crate::session::Target;
use crate::setup;
use crate::window::Gauge;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "login again",
    about: "32 clients lose their connections again and again, and each time go on with their session: SASL 2, token and \
            resumption in one round trip after TLS. Servers without all of these are left out.",
    variants: &["STARTTLS + token + resume", "plain TCP + token + resume"],
    on_relay: &[],
    run,
};

/// Devices, one account each.
const AT_ONCE: usize = 32;

fn run(run: Run, variant: &'static str) -> Pending {
    Box::pin(async move {
        let tls = variant.starts_with("STARTTLS");
        let target = run.server()?.clone();
        let gauge = Arc::new(Gauge::default());
        let mut workers = JoinSet::new();
        for number in 0..AT_ONCE {
            workers.spawn(worker(target.clone(), tls, number, gauge.clone()));
        }
        let mut seen = run.window.watch(run.pid, gauge, workers).await?;
        Ok(vec![
            Figure::less("server-CPU ms per login", seen.cpu_s * 1000.0 / seen.count),
            Figure::more("logins/s (wall)", seen.count / seen.wall_s),
            Figure::less("p50 ms", percentile_ms(&mut seen.times, 0.5)),
            Figure::less("p99 ms", percentile_ms(&mut seen.times, 0.99)),
        ])
    })
}

async fn worker(target: Arc<Target>, tls: bool, number: usize, gauge: Arc<Gauge>) -> io::Result<Vec<Duration>> {
    let mut times = Vec::new();
    let (mut wire, device) = target.introduce(&setup::user(number), tls).await?;
    while !gauge.stopping() {
        // The connection breaks; nobody says so to the server.
        drop(wire);
        let began = Instant::now();
        wire = target.come_back(&device, tls).await?;
        gauge.add(1);
        if gauge.recording() {
            times.push(began.elapsed());
        }
    }
    setup::end(wire).await?;
    Ok(times)
}
