//! What an owner sends on to further accounts: presence, probes, subscription stanzas. Invariants: one at a time and in
//! order per owner, one recipient locked at a time, block list and roster judged at that moment; who causes more than
//! the outbox takes is not read until it has emptied.
//!
//! Whoever puts something in works the outbox off himself once he holds no lock, so that what he sends next cannot
//! overtake it; only where an account has to be loaded does a task of its own go on. A broadcast to an account that is
//! not in memory is not delivered and loads nothing: nobody is there to see it.

use crate::{Kernel, hooks::Notice, limits, origin::Origin, owner::Owner};
use linnet_xmpp::{Jid, Stanza, stanza::Type};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    task::Waker,
};
use store::{MapTable, StoreError, Write};

/// A stanza that an owner sends on, after what caused it is durable.
#[derive(Debug, Clone)]
pub struct Emission {
    /// What, with `from` set.
    pub stanza: Arc<Stanza>,
    /// To whom; each gets it with `to` set to his address.
    pub to: Vec<Jid>,
    /// Its row among the stanzas in transit, if it may not be lost.
    pub(crate) transit: Option<u64>,
    /// What is told beside it.
    pub(crate) notice: Option<Notice>,
    /// Only the last of several counts: a session's broadcast overtakes its own that nobody has got yet.
    pub(crate) latest: bool,
}

/// Stanzas that may not be lost and have not arrived; they belong to the server.
const TRANSIT: MapTable = MapTable("transit");

/// Subscription stanzas change the recipient's roster: a lost one would leave both sides in different states.
pub(crate) fn must_arrive(stanza: &Stanza) -> bool {
    matches!(stanza.ty, Type::Subscribe | Type::Subscribed | Type::Unsubscribe | Type::Unsubscribed)
}

fn key(id: u64) -> Box<str> {
    format!("{id:016x}").into()
}

/// Keeps a stanza until it has arrived.
pub(crate) fn transit(id: u64, stanza: &Stanza) -> Write {
    Write::MapPut { table: TRANSIT, owner: "".into(), key: key(id), second: None, value: stanza.to_bytes() }
}

/// The stanza has arrived: part of its recipient's transaction.
pub(crate) fn arrived(id: u64) -> Write {
    Write::MapRemove { table: TRANSIT, owner: "".into(), key: key(id) }
}

/// The ordered queue of one owner.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Emission>,
    /// Recipients of all that wait.
    recipients: usize,
    running: bool,
    wakers: Vec<Waker>,
}

impl Outbox {
    /// Puts an emission in. True if nobody is working on the outbox: the caller has to, once it holds no lock.
    fn put(&self, emission: Emission) -> bool {
        let mut queue = self.queue.lock();
        queue.recipients += emission.to.len();
        // A broadcast that nobody has got yet is overtaken by the next one of the same session to the same audience.
        match queue.waiting.back_mut() {
            Some(last) if last.replaces(&emission) => {
                let count = emission.to.len();
                last.stanza = emission.stanza;
                queue.recipients -= count;
            }
            _ => queue.waiting.push_back(emission),
        }
        !std::mem::replace(&mut queue.running, true)
    }

    /// The next stanza with its recipient; `None` ends the work.
    fn next(&self) -> Option<(Stanza, Option<u64>, Option<Notice>)> {
        let mut queue = self.queue.lock();
        loop {
            let Some(first) = queue.waiting.front_mut() else {
                *queue = Queue::default();
                return None;
            };
            let Some(to) = first.to.pop() else {
                queue.waiting.pop_front();
                continue;
            };
            let stanza = Stanza::clone(&first.stanza).to(to);
            let (transit, notice) = (first.transit, first.notice.clone());
            queue.recipients -= 1;
            if queue.recipients <= limits::OUTBOX / 2 {
                queue.wakers.drain(..).for_each(Waker::wake);
            }
            return Some((stanza, transit, notice));
        }
    }

    /// Recipients that wait.
    fn recipients(&self) -> usize {
        self.queue.lock().recipients
    }

    /// Whether its sessions should not be read until it has emptied. The waker is woken then.
    pub(crate) fn is_full(&self, waker: &Waker) -> bool {
        let mut queue = self.queue.lock();
        let is_full = queue.recipients > limits::OUTBOX;
        if is_full {
            queue.wakers.push(waker.clone());
        }
        is_full
    }
}

impl Emission {
    fn replaces(&self, next: &Emission) -> bool {
        let is_broadcast = |stanza: &Stanza| matches!(stanza.ty, Type::Available | Type::Unavailable);
        self.notice.is_none()
            && next.notice.is_none()
            && self.latest
            && next.latest
            && is_broadcast(&self.stanza)
            && is_broadcast(&next.stanza)
            && self.stanza.from == next.stanza.from
            && self.to == next.to
    }
}

fn origin<'a>(owner: &'a Arc<Owner>, transit: Option<u64>, notice: Option<&'a Notice>) -> Origin<'a> {
    match notice {
        Some(notice) => Origin::Notice(owner, notice),
        None => Origin::Owner(owner, transit),
    }
}

impl Kernel {
    /// Puts an emission into its owner's outbox. True if the caller has to [`Kernel::settle`] it.
    pub(crate) fn emit(&self, owner: &Owner, emission: Emission) -> bool {
        let idle = owner.outbox.put(emission);
        if idle {
            self.outboxes.fetch_add(1, Ordering::AcqRel);
        }
        idle
    }

    /// How many recipients wait for what an owner sends on. An account is not read while there are too many; a service
    /// has no sessions and asks for itself.
    pub fn recipients_waiting(&self, owner: &Jid) -> usize {
        self.owners.find(owner.bare_str()).map_or(0, |owner| owner.outbox.recipients())
    }

    /// Works off the outboxes of owners, and of those whose outboxes fill up by it. Call it without any lock.
    pub(crate) fn settle(self: &Arc<Self>, kicked: Vec<Arc<Owner>>) {
        let mut work = VecDeque::from(kicked);
        while let Some(owner) = work.pop_front() {
            self.empty(&owner, &mut work);
        }
    }

    fn empty(self: &Arc<Self>, owner: &Arc<Owner>, work: &mut VecDeque<Arc<Owner>>) {
        while let Some((stanza, transit, notice)) = owner.outbox.next() {
            if transit.is_none() && notice.is_none() && self.reaches_nobody(&stanza) {
                continue;
            }
            match self.try_route(origin(owner, transit, notice.as_ref()), stanza) {
                Ok(kicked) => work.extend(kicked),
                Err(stanza) => {
                    let (kernel, owner) = (self.clone(), owner.clone());
                    self.context.spawn(Box::pin(async move {
                        kernel.route(origin(&owner, transit, notice.as_ref()), *stanza).await;
                        let mut work = VecDeque::new();
                        kernel.empty(&owner, &mut work);
                        kernel.settle(work.into());
                    }));
                    return;
                }
            }
        }
        self.outboxes.fetch_sub(1, Ordering::AcqRel);
    }

    fn reaches_nobody(&self, stanza: &Stanza) -> bool {
        let is_presence = matches!(stanza.ty, Type::Available | Type::Unavailable | Type::Probe);
        let to = stanza.to.as_ref();
        is_presence && self.is_local_account(to) && to.is_some_and(|to| self.owners.find(to.bare_str()).is_none())
    }

    /// Sends on what was in transit when the server stopped.
    pub(crate) async fn resume_transit(self: &Arc<Self>) -> Result<(), StoreError> {
        for row in self.store.map_rows(TRANSIT, "", None, usize::MAX).await? {
            let (Ok(id), Some(stanza)) = (u64::from_str_radix(&row.key, 16), Stanza::from_bytes(row.value)) else {
                tracing::error!(key = %row.key, "a stanza in transit cannot be read");
                continue;
            };
            let (Some(from), Some(to)) = (stanza.from.clone(), stanza.to.clone()) else { continue };
            let owner = self.owner(&from).await?;
            let (stanza, to) = (Arc::new(stanza), vec![to]);
            let emission = Emission { stanza, to, transit: Some(id), notice: None, latest: false };
            if self.emit(&owner, emission) {
                self.settle(vec![owner]);
            }
        }
        Ok(())
    }
}
