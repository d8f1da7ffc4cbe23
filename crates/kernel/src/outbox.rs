//! What an owner sends on to further accounts: presence broadcasts, probes, subscription stanzas. Invariant: one at a
//! time and in order per owner, one recipient locked at a time, block list and roster judged at that moment.
//!
//! A broadcast to an account that is not in memory is not delivered and loads nothing: nobody is there to see it.

use crate::{Kernel, owner::Owner, route::Origin};
use linnet_xmpp::{Jid, Stanza, stanza::Type};
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc};

/// A stanza that an owner sends on, after what caused it is durable.
#[derive(Debug, Clone)]
pub struct Emission {
    /// What, with `from` set.
    pub stanza: Arc<Stanza>,
    /// To whom; each gets it with `to` set to his address.
    pub to: Vec<Jid>,
}

/// The ordered queue of one owner.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Emission>,
    running: bool,
}

impl Kernel {
    /// Puts an emission into its owner's outbox, and sees that somebody works on it.
    pub(crate) fn emit(self: &Arc<Self>, owner: Arc<Owner>, emission: Emission) {
        let mut queue = owner.outbox.queue.lock();
        queue.waiting.push_back(emission);
        if !std::mem::replace(&mut queue.running, true) {
            drop(queue);
            let kernel = self.clone();
            self.context.spawn(Box::pin(async move { kernel.empty_outbox(&owner).await }));
        }
    }

    async fn empty_outbox(self: &Arc<Self>, owner: &Arc<Owner>) {
        loop {
            let emission = {
                let mut queue = owner.outbox.queue.lock();
                match queue.waiting.pop_front() {
                    Some(emission) => emission,
                    None => {
                        queue.running = false;
                        queue.waiting = VecDeque::new();
                        return;
                    }
                }
            };
            for to in emission.to {
                let mut stanza = Stanza::clone(&emission.stanza);
                let present = self.owners.find(to.bare_str()).is_some();
                let needs_an_owner = !matches!(stanza.ty, Type::Available | Type::Unavailable | Type::Probe);
                stanza.to = Some(to);
                if present || needs_an_owner || !self.is_local_account(stanza.to.as_ref()) {
                    self.route(Origin::Owner(owner), stanza).await;
                }
            }
        }
    }
}
