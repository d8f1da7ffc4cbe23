//! Who sends stanzas from elsewhere: a stream of another server, or a component. Its stanzas come in one order, like a
//! session's; answers go back through the queue for its domain.

use crate::{
    Kernel,
    effects::Effects,
    hooks::{Ask, At, Handler, Iq},
    lane::Lane,
    limits,
    origin::Origin,
    pace::Pace,
    remote::Departure,
};
use linnet_xmpp::{
    Jid, Stanza, StanzaError,
    stanza::{Condition, Kind, Rejected, Type},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Waker,
    time::Duration,
};

/// One ordered stream of stanzas from elsewhere.
#[derive(Debug, Default)]
pub struct Peer {
    /// The order of what it sends.
    pub lane: Lane,
    /// Requests that are being worked on beside the lane.
    later: AtomicU32,
    pace: Pace,
}

impl Kernel {
    /// Takes a stanza whose addresses its stream has proved, if nothing has to be loaded for it; else gives it back, for
    /// [`Kernel::handle_remote`].
    pub fn try_handle_remote(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        stanza: Result<Stanza, Box<Rejected>>,
    ) -> Result<(), Box<Stanza>> {
        peer.pace.take();
        let stanza = match stanza {
            Ok(stanza) => stanza,
            Err(rejected) => {
                if let Some(answer) = rejected.stanza.error(&rejected.error) {
                    self.depart(Departure { stanza: Arc::new(answer), row: 0 });
                }
                return Ok(());
            }
        };
        if self.is_for_nobody(&stanza) {
            return Ok(());
        }
        let anchor = stanza.to.as_ref().and_then(|to| self.loaded_owner(to.domain()));
        let Some(anchor) = anchor else { return Err(Box::new(stanza)) };
        let kicked = self.try_route(Origin::Elsewhere(&anchor, Some(peer), 0), stanza)?;
        self.settle(kicked);
        Ok(())
    }

    /// The same with loading.
    pub async fn handle_remote(self: &Arc<Self>, peer: &Arc<Peer>, stanza: Stanza) {
        self.from_elsewhere(Some(peer), 0, stanza).await;
    }

    /// Presence for an account that is not in memory: nobody is there to see it, and nothing is loaded for it.
    fn is_for_nobody(&self, stanza: &Stanza) -> bool {
        let is_broadcast = matches!(stanza.ty, Type::Available | Type::Unavailable);
        let to = stanza.to.as_ref();
        let is_away = |to: &Jid| self.is_local_account(Some(to)) && self.find_owner(to.bare_str()).is_none();
        is_broadcast && stanza.kind == Kind::Presence && to.is_some_and(is_away)
    }

    /// Whether the peer's stream should not be read now. The waker is woken when that has changed.
    pub fn should_wait_remote(&self, peer: &Peer, waker: &Waker) -> bool {
        peer.lane.is_full(waker) || (self.commit.is_over() && peer.lane.pending() > 0 && peer.lane.wait(waker))
    }

    /// How long the peer's stream should not be read, because it sends too fast. `per_second`: 0 for no limit.
    pub fn pace_remote(&self, peer: &Peer, per_second: u32) -> Option<Duration> {
        peer.pace.wait(per_second, || self.context.instant())
    }

    /// Answers an iq from elsewhere beside its lane.
    pub(crate) fn answer_elsewhere(
        self: &Arc<Self>,
        peer: Option<&Arc<Peer>>,
        iq: &'static Iq,
        at: At,
        owner: Jid,
        stanza: &Arc<Stanza>,
    ) {
        let (Handler::Later(run), Some(peer)) = (iq.handler, peer) else { return };
        if peer.later.fetch_add(1, Ordering::AcqRel) as usize >= limits::LATER_REMOTE {
            peer.later.fetch_sub(1, Ordering::AcqRel);
            let text = "too many requests at once; wait for the answers";
            let error = StanzaError::new(Condition::ResourceConstraint).text(text);
            return self.answer_to_elsewhere(stanza.error(&error));
        }
        let (kernel, stanza, slot) = (self.clone(), stanza.clone(), Slot(peer.clone()));
        self.context.spawn(Box::pin(async move {
            kernel.barrier().await;
            let ask = Ask { kernel: kernel.clone(), stanza: stanza.clone(), at, owner, session: None, next_row: 0 };
            let answer = match run(ask).await {
                Ok(answer) => Some(stanza.result(answer)),
                Err(error) => stanza.error(&error),
            };
            kernel.answer_to_elsewhere(answer);
            drop(slot);
        }));
    }

    pub(crate) fn answer_to_elsewhere(self: &Arc<Self>, answer: Option<Stanza>) {
        if let Some(answer) = answer {
            self.depart(Departure { stanza: Arc::new(answer), row: 0 });
        }
    }
}

/// One of the requests that a peer may have under way; given back even if the handler panics.
struct Slot(Arc<Peer>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.later.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The effects of an answer to elsewhere.
pub(crate) fn answer(effects: &mut Effects, answer: Stanza) {
    effects.departures.push(Departure { stanza: Arc::new(answer), row: 0 });
}
