//! What happened last with each pair of domains, for the administrator and for when to try again.

use super::{
    DialError, Federation,
    dial::{Dialed, Wanted, dial},
    sentence,
};
use crate::{context, limits};
use kernel::remote::{Status, Step};
use linnet_net::backoff::Backoff;
use linnet_xmpp::stream::server::Pair;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::Notify;

/// What was learnt on the way to a server, in order.
pub(crate) type Steps = Vec<Step>;

/// One pair of domains.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Failures in a row.
    failures: u32,
    /// Before this nothing is tried.
    retry: Option<(Instant, SystemTime)>,
    /// What went wrong last.
    pub(super) error: Option<DialError>,
    /// The way of the last attempt.
    steps: Steps,
    /// A stream of ours is open.
    outgoing: bool,
    /// Streams of theirs that are open.
    incoming: usize,
    /// Why they were not let in.
    refused: Option<String>,
    /// Woken when the other server comes to us: then it can be reached again.
    came: Arc<Notify>,
}

impl Federation {
    /// What went wrong last and how long to wait before the next attempt, if there is something to wait for.
    pub(super) fn hindrance(&self, pair: &Pair) -> Option<(DialError, Duration)> {
        let states = self.states.lock();
        let state = states.get(pair)?;
        let (retry, _) = state.retry?;
        let wait = retry.saturating_duration_since(Instant::now());
        (!wait.is_zero()).then(|| state.error.clone().map(|error| (error, wait)))?
    }

    /// Waits, unless the other server comes to us before.
    pub(super) async fn rest(&self, pair: &Pair, wait: Duration) {
        let came = self.states.lock().entry(pair.clone()).or_default().came.clone();
        // Whichever comes first.
        let _ = tokio::time::timeout(wait, came.notified()).await;
    }

    /// An attempt failed: says how long to wait.
    pub(super) fn failed(&self, pair: &Pair, error: DialError, steps: Steps) -> Duration {
        let mut states = self.states.lock();
        if states.len() >= limits::FEDERATION_STATES && !states.contains_key(pair) {
            let now = Instant::now();
            states.retain(|_, state| state.is_remarkable(now));
        }
        let state = states.entry(pair.clone()).or_default();
        let backoff = Backoff { first: limits::FEDERATION_FIRST_RETRY, most: limits::FEDERATION_LAST_RETRY };
        let wait = backoff.wait(state.failures, context::random);
        state.failures = state.failures.saturating_add(1);
        state.retry = Some((Instant::now() + wait, SystemTime::now() + wait));
        state.error = Some(error);
        state.steps = steps;
        wait
    }

    /// A stream of ours works.
    pub(super) fn succeeded(&self, pair: &Pair, steps: Steps) {
        let mut states = self.states.lock();
        let state = states.entry(pair.clone()).or_default();
        state.failures = 0;
        state.retry = None;
        state.error = None;
        state.outgoing = true;
        state.steps = steps;
    }

    /// It has ended.
    pub(super) fn ended(&self, pair: &Pair) {
        if let Some(state) = self.states.lock().get_mut(pair) {
            state.outgoing = false;
        }
    }

    /// The other server was not let in. Who comes with a domain that is not its own cannot fill the table.
    pub(super) fn refused(&self, pair: &Pair, why: &str) {
        let mut states = self.states.lock();
        if states.len() < limits::FEDERATION_STATES || states.contains_key(pair) {
            states.entry(pair.clone()).or_default().refused = Some(why.to_owned());
        }
    }

    /// The other server has come to us and proved itself.
    pub(super) fn came(&self, pair: &Pair) {
        let mut states = self.states.lock();
        let state = states.entry(pair.clone()).or_default();
        state.incoming += 1;
        state.refused = None;
        state.failures = 0;
        state.retry = None;
        state.came.notify_waiters();
    }

    /// Such a stream has ended.
    pub(super) fn left(&self, pair: &Pair) {
        let mut states = self.states.lock();
        let Some(state) = states.get_mut(pair) else { return };
        state.incoming = state.incoming.saturating_sub(1);
        if states.len() > limits::FEDERATION_STATES / 2 {
            let now = Instant::now();
            states.retain(|_, state| state.is_remarkable(now));
        }
    }

    /// What is known of all other servers, or of one, in order.
    pub(super) fn statuses(&self, domain: Option<&str>) -> Vec<Status> {
        let mut all: BTreeMap<(Box<str>, Box<str>), Status> = BTreeMap::new();
        let is_wanted = |remote: &str| domain.is_none_or(|domain| domain == remote);
        for (pair, state) in self.states.lock().iter().filter(|(pair, _)| is_wanted(&pair.remote)) {
            let status = all.entry((pair.remote.clone(), pair.local.clone())).or_default();
            status.outgoing = state.outgoing;
            status.incoming = state.incoming;
            status.steps = state.steps.clone();
            status.error = state.error.as_ref().map(|error| sentence(&pair.remote, error));
            status.refused = state.refused.clone();
            status.retry = state.retry.map(|(_, at)| at).filter(|at| *at > SystemTime::now());
        }
        for link in self.kernel.links().iter().filter(|link| is_wanted(&link.remote)) {
            let status = all.entry((link.remote.clone(), link.local.clone())).or_default();
            (status.waiting, status.bytes) = link.waiting();
        }
        let named = |((remote, local), status)| Status { remote, local, ..status };
        all.into_iter().map(named).collect()
    }

    /// Connects now, and hangs up again.
    pub(super) async fn test(self: Arc<Self>, domain: String) -> (Steps, Result<(), String>) {
        let main = self.kernel.settings.domains.first().map_or("localhost", |main| main.domain());
        let pair = Pair { local: main.into(), remote: domain.into() };
        let mut steps = Vec::new();
        let dialing = Box::pin(dial(&self, &pair, &Wanted::Stanzas, &mut steps));
        let dialed = tokio::time::timeout(limits::FEDERATION_TEST, dialing).await;
        let outcome = match dialed {
            Ok(Ok(Dialed::Ready(mut traffic))) => {
                traffic.close(None);
                traffic.finish().await;
                Ok(())
            }
            Ok(Ok(Dialed::Verdict(_))) => Ok(()),
            Ok(Err(error)) => Err(sentence(&pair.remote, &error)),
            Err(_) => Err(format!("{} has not answered in time", pair.remote)),
        };
        (steps, outcome)
    }
}

impl State {
    /// Whether something would be lost if it were forgotten.
    fn is_remarkable(&self, now: Instant) -> bool {
        self.outgoing || self.incoming > 0 || self.retry.is_some_and(|(retry, _)| retry > now)
    }
}
