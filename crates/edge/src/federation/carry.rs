//! Empties one queue of the kernel's: connects, sends, waits and tries again, and bounces what has waited too long. One
//! task for each queue that has something; it ends when nothing waits and the stream is closed.

use super::{
    Federation,
    dial::{DialError, Dialed, Wanted, dial},
    traffic::{Event, Traffic},
};
use kernel::remote::Link;
use linnet_xmpp::stream::{StreamCondition, StreamError, server::Pair};
use std::{
    future::poll_fn,
    sync::Arc,
    time::{Duration, SystemTime},
};

pub(super) async fn carry(federation: Arc<Federation>, link: Arc<Link>) {
    let pair = Pair { local: link.local.clone(), remote: link.remote.clone() };
    let mut stopping = federation.stopping.subscribe();
    loop {
        let work = Box::pin(attempt(&federation, &link, &pair));
        let dialed = tokio::select! {
            dialed = work => dialed,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        if let Some(mut traffic) = dialed {
            traffic.links.push(link.clone());
            run(&federation, traffic).await;
            federation.ended(&pair);
            if *stopping.borrow() {
                return;
            }
        }
        if link.rest() {
            return;
        }
    }
}

/// Tries once, when the time has come. `None`: it failed, and what cannot wait any more was bounced.
async fn attempt(federation: &Arc<Federation>, link: &Arc<Link>, pair: &Pair) -> Option<Box<Traffic>> {
    if let Some((error, wait)) = federation.hindrance(pair) {
        give_up(federation, link, &error).await;
        return wait_out(federation, link, pair, &error, wait).await;
    }
    let mut steps = Vec::new();
    match patiently(federation, link, dial(federation, pair, &Wanted::Stanzas, &mut steps)).await {
        Ok(Dialed::Ready(traffic)) => {
            federation.succeeded(pair, steps);
            Some(traffic)
        }
        Ok(Dialed::Verdict(_)) => None,
        Err(error) => {
            tracing::info!(to = &*pair.remote, from = &*pair.local, reason = %error, "no stream to another server");
            let wait = federation.failed(pair, error.clone(), steps);
            give_up(federation, link, &error).await;
            wait_out(federation, link, pair, &error, wait).await
        }
    }
}

/// Waits for a connection; what has waited too long is bounced meanwhile.
async fn patiently<T>(federation: &Arc<Federation>, link: &Link, dialing: impl Future<Output = T>) -> T {
    let mut dialing = std::pin::pin!(dialing);
    let text = format!("{} has not answered in time", link.remote);
    loop {
        let due = link.next_due(federation.settings.keep);
        let wait = due.map_or(LOOK, |due| due.duration_since(SystemTime::now()).unwrap_or_default().min(LOOK));
        match tokio::time::timeout(wait.max(SHORTEST), &mut dialing).await {
            Ok(done) => return done,
            Err(_) => federation.kernel.bounce_expired(link, federation.settings.keep, &text).await,
        }
    }
}

/// How often is looked for what has waited too long while a connection is being made.
const LOOK: Duration = Duration::from_secs(5);
/// Not more often than this.
const SHORTEST: Duration = Duration::from_millis(10);

/// What does not bear waiting goes back, or away.
async fn give_up(federation: &Arc<Federation>, link: &Link, error: &DialError) {
    federation.kernel.drop_passing(link);
    if error.is_final() {
        federation.kernel.bounce_all(link, &error.bounce(&link.remote)).await;
    } else {
        bounce_expired(federation, link, error).await;
    }
}

async fn bounce_expired(federation: &Arc<Federation>, link: &Link, error: &DialError) {
    let text = super::sentence(&link.remote, error);
    federation.kernel.bounce_expired(link, federation.settings.keep, &text).await;
}

/// Waits for the next attempt while something waits for it, and bounces what has waited too long meanwhile.
async fn wait_out(
    federation: &Arc<Federation>,
    link: &Link,
    pair: &Pair,
    error: &DialError,
    wait: Duration,
) -> Option<Box<Traffic>> {
    let until = SystemTime::now() + wait;
    while link.waiting().0 > 0 {
        let now = SystemTime::now();
        let left = until.duration_since(now).unwrap_or_default();
        if left.is_zero() || federation.hindrance(pair).is_none() {
            break;
        }
        let due = link.next_due(federation.settings.keep).and_then(|due| due.duration_since(now).ok());
        let nap = due.unwrap_or(left).min(left).max(SHORTEST);
        federation.rest(pair, nap).await;
        bounce_expired(federation, link, error).await;
    }
    None
}

/// Lets a stream run to its end.
async fn run(federation: &Arc<Federation>, mut traffic: Box<Traffic>) {
    let mut stopping = federation.stopping.subscribe();
    let mut told = false;
    loop {
        let event = tokio::select! {
            event = poll_fn(|cx| traffic.poll(cx)) => event,
            _ = stopping.wait_for(|stop| *stop), if !told => {
                told = true;
                let text = "the server is stopping";
                traffic.close(Some(StreamError::new(StreamCondition::SystemShutdown).text(text)));
                continue;
            }
        };
        if let Event::Ended(error) = event {
            if let Some(error) = error {
                tracing::debug!(%error, "a stream to another server ended");
            }
            return traffic.finish().await;
        }
    }
}
