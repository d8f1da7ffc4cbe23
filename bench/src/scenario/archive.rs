//! Reading archives (XEP-0313) from end to end, in pages of 50.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::chat::Pair;
use super::{Pending, Run, Scenario};
use crate::figure::{Figure, percentile_ms};
use crate::pages::{Pages, Query};
use crate::session::Target;
use crate::setup;
use crate::window::Gauge;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "archive",
    about: "20 accounts with 1,000 archived messages each read their archives over TLS from the first page to the last, \
            again and again, 50 messages a page.",
    variants: &["pages of 50"],
    on_relay: &[],
    run,
};

/// Pairs of accounts; both sides of a pair read.
const PAIRS: usize = 10;
/// Messages in each archive.
const MESSAGES: usize = 1000;

fn run(run: Run, _variant: &'static str) -> Pending {
    Box::pin(async move {
        let target = run.server()?.clone();
        let mut filling = JoinSet::new();
        for number in 0..PAIRS {
            filling.spawn(Pair::open(&run, number, true, true).await?.send_all(MESSAGES, 20));
        }
        setup::finish(filling).await?;
        let gauge = Arc::new(Gauge::default());
        let mut workers = JoinSet::new();
        for number in 0..2 * PAIRS {
            workers.spawn(read(target.clone(), number, gauge.clone()));
        }
        let mut seen = run.window.watch(run.pid, gauge, workers).await?;
        Ok(vec![
            Figure::more("messages read per server-CPU-s", seen.count / seen.cpu_s)
                .goal_value(150_000.0)
                .goal_peer(12.0),
            Figure::more("messages read/s (wall)", seen.count / seen.wall_s),
            Figure::less("p50 ms per page", percentile_ms(&mut seen.times, 0.5)),
            Figure::less("p99 ms per page", percentile_ms(&mut seen.times, 0.99)),
        ])
    })
}

/// Reads one archive until the gauge says stop; returns how long each page took in the window.
async fn read(target: Arc<Target>, number: usize, gauge: Arc<Gauge>) -> io::Result<Vec<Duration>> {
    let mut pages = Pages::new(target.login(&setup::user(number), true).await?);
    let (mut times, mut last, mut read) = (Vec::new(), None, 0);
    while !gauge.stopping() {
        let began = Instant::now();
        let page = pages.read(&last.take().map_or(Query::First, Query::After)).await?;
        gauge.add(page.messages as u64);
        read += page.messages;
        if gauge.recording() {
            times.push(began.elapsed());
        }
        if page.is_complete {
            if read != MESSAGES {
                return Err(io::Error::other(format!("{read} messages in an archive of {MESSAGES}")));
            }
            read = 0;
        } else {
            last = page.last;
        }
    }
    setup::end(pages.into_wire()).await?;
    Ok(times)
}
