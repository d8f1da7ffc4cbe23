//! Idle sessions: resident memory of 1,000 clients that are online and say nothing.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::{Pending, Run, Scenario};
use crate::figure::Figure;
use crate::process;
use crate::setup::{self, USERS};

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "idle",
    about: "1,000 accounts log in, send presence and stay silent; memory is read 8 s after the start and 8 s after the last login.",
    variants: &["TLS", "plain TCP"],
    on_relay: &[],
    run,
};

/// Time for the server to give back what logins took.
const SETTLE: Duration = Duration::from_secs(8);

fn run(run: Run, variant: &'static str) -> Pending {
    Box::pin(async move {
        let tls = variant == "TLS";
        // What starting took is given back too before it can be mistaken for free room.
        tokio::time::sleep(SETTLE).await;
        let before = process::tree(run.pid)?;
        let sessions = Arc::new(Mutex::new(Vec::with_capacity(USERS)));
        let kept = sessions.clone();
        setup::each((0..USERS).map(setup::user), run.server()?, move |target, name| {
            let kept = kept.clone();
            async move {
                let wire = target.online(&name, tls).await?;
                kept.lock().await.push(wire);
                Ok::<_, io::Error>(())
            }
        })
        .await?;
        let at_once = process::tree(run.pid)?;
        tokio::time::sleep(SETTLE).await;
        let settled = process::tree(run.pid)?;
        let count = sessions.lock().await.len() as f64;
        let (absolute, times) = if tls { (16.0, 4.0) } else { (8.0, 8.0) };
        Ok(vec![
            Figure::less("KiB RSS per session, settled", (settled.rss_kib - before.rss_kib) / count)
                .goal_value(absolute)
                .goal_peer(times),
            Figure::less("KiB RSS per session, at once", (at_once.rss_kib - before.rss_kib) / count),
            Figure::less("CPU % while idle", (settled.cpu_s - at_once.cpu_s) / SETTLE.as_secs_f64() * 100.0),
        ])
    })
}
