//! Presence: circles of 21 in which every change of one member goes to 20 contacts.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Pending, Run, Scenario};
use crate::figure::{Figure, percentile_ms};
use crate::session::{Target, until};
use crate::setup::{self, GROUPS, MEMBERS};
use crate::window::Gauge;
use crate::wire::Wire;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "presence",
    about: "8 circles of 21 accounts with mutual subscriptions, over TLS: in each circle 4 members change their status, \
            and the next 4 do so when all contacts have seen it; own reflections are not counted.",
    variants: &["update to 20 contacts"],
    on_relay: &[],
    run,
};

/// Members of a circle whose changes are under way at any moment.
const AT_ONCE: usize = 4;

fn run(run: Run, _variant: &'static str) -> Pending {
    Box::pin(async move {
        let gauge = Arc::new(Gauge::default());
        let mut workers = JoinSet::new();
        for group in 0..GROUPS {
            let members = online(run.server()?, group).await?;
            workers.spawn(circle(group, members, gauge.clone()));
        }
        let mut seen = run.window.watch(run.pid, gauge, workers).await?;
        Ok(vec![
            Figure::more("presences delivered per server-CPU-s", seen.count / seen.cpu_s).goal_peer(4.0),
            Figure::more("presences delivered/s (wall)", seen.count / seen.wall_s),
            Figure::less("p50 ms until all have it", percentile_ms(&mut seen.times, 0.5)),
            Figure::less("p99 ms until all have it", percentile_ms(&mut seen.times, 0.99)),
        ])
    })
}

async fn online(target: &Arc<Target>, group: usize) -> io::Result<Vec<Wire>> {
    let mut members = Vec::with_capacity(MEMBERS);
    for member in 0..MEMBERS {
        members.push(target.online(&setup::friend(group, member), true).await?);
    }
    Ok(members)
}

async fn circle(group: usize, mut members: Vec<Wire>, gauge: Arc<Gauge>) -> io::Result<Vec<Duration>> {
    let mut times = Vec::new();
    for round in 0.. {
        if gauge.stopping() {
            break;
        }
        let status = format!("circle {group} round {round};");
        let show = ["away", "chat", "dnd", "xa"][round % 4];
        let stanza = format!("<presence><show>{show}</show><status>{status}</status></presence>");
        let began = Instant::now();
        for turn in 0..AT_ONCE {
            members[(round * AT_ONCE + turn) % MEMBERS].send(stanza.as_bytes()).await?;
        }
        for wire in &mut members {
            // The speakers see their own change too (RFC 6121 §4.4.2), so everybody gets the same number.
            for _ in 0..AT_ONCE {
                until(wire, "presence", status.as_bytes()).await?;
            }
        }
        gauge.add((AT_ONCE * (MEMBERS - 1)) as u64);
        if gauge.recording() {
            times.push(began.elapsed());
        }
    }
    Ok(times)
}
