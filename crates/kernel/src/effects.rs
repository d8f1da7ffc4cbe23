//! What one stanza causes, on both sides: writes, deliveries, and what its owners send on. Invariant: all of it is done
//! or none; deliveries are performed after the writes are durable, in the order in which effects were handed over.

use crate::{
    Kernel,
    account::InFlight,
    lane::Lane,
    mailbox::{self, HeadKind, Item},
    outbox::Emission,
    owner::Owner,
    peer::Peer,
    remote::Departure,
    session::Session,
};
use linnet_xmpp::{Stanza, StanzaError, stream::StreamError};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};
use store::{Condition, Future, Write};

/// The effects of one stanza.
#[derive(Debug, Default)]
pub struct Effects {
    /// What must hold for the writes.
    pub conditions: Vec<Condition>,
    /// What the sender is told if that does not hold; conflict where nothing is said.
    pub unmet: Option<StanzaError>,
    /// What becomes durable, in one transaction.
    pub writes: Vec<Write>,
    /// What is written beside it, and whose failure fails nothing else.
    pub notes: Vec<Write>,
    /// Documents in memory were changed, so a failure means that they are not what is stored.
    pub changes_documents: bool,
    /// What is put into mailboxes then.
    pub deliveries: SmallVec<[Delivery; 2]>,
    /// Rows of which it has turned out that a session has them.
    pub(crate) arrived: Vec<(Arc<Owner>, u64)>,
    /// What owners send on then, each through its own outbox.
    pub emissions: Vec<(Arc<Owner>, Emission)>,
    /// What goes to other servers then.
    pub(crate) departures: Vec<Departure>,
    /// Sessions that are ended then.
    pub endings: Vec<(Arc<Session>, StreamError)>,
    /// Sessions that begin to catch up with stored messages then.
    pub catch_up: Vec<Arc<Session>>,
    /// What answers the question of an owner.
    pub(crate) answer: Option<Stanza>,
    /// What begins then, beside all lanes.
    pub tasks: Vec<Task>,
}

/// Work of a feature's that begins when what caused it is durable, and never if it failed.
pub struct Task(Mutex<Future<'static, ()>>);

impl Task {
    pub(crate) fn new(task: Future<'static, ()>) -> Task {
        Task(Mutex::new(task))
    }

    pub(crate) fn into_future(self) -> Future<'static, ()> {
        self.0.into_inner()
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Task")
    }
}

/// An item for a session's mailbox.
#[derive(Debug)]
pub struct Delivery {
    /// Whose mailbox.
    pub session: Arc<Session>,
    /// What.
    pub item: Item,
}

impl Delivery {
    /// The item's row on its way to the session.
    pub(crate) fn flight(&self) -> InFlight {
        InFlight { row: self.item.row, session: self.session.id, size: mailbox::size(&self.item.stanza) }
    }
}

impl Effects {
    /// Whether something has to be durable first.
    pub fn writes_something(&self) -> bool {
        !self.writes.is_empty() || !self.conditions.is_empty()
    }

    /// Roughly the bytes held.
    pub fn size(&self) -> usize {
        let writes: usize = self.writes.iter().map(write_size).sum();
        writes + self.deliveries.iter().map(|delivery| delivery.item.size()).sum::<usize>() + 200
    }
}

fn write_size(write: &Write) -> usize {
    match write {
        Write::AccountPut { value, .. } | Write::DocPut { value, .. } | Write::MapPut { value, .. } => {
            value.len() + 100
        }
        Write::LogAppend { body, rows, .. } => body.len() + 100 * rows.len(),
        Write::LogIndex { texts, .. } => 100 + texts.iter().map(|(_, text)| text.len() + 20).sum::<usize>(),
        Write::LogClearFlags { ids, .. } => 100 + ids.as_ref().map_or(0, |ids| ids.len() * 8),
        _ => 100,
    }
}

/// Who sent a stanza, in whose lane it is.
#[derive(Debug, Clone)]
pub(crate) enum Sender {
    /// A session here.
    Session(Arc<Session>),
    /// A stream from elsewhere.
    Peer(Arc<Peer>),
}

/// Who gets the error if the effects cannot be made durable.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    pub(crate) sender: Sender,
    pub(crate) stanza: Arc<Stanza>,
}

impl Cause {
    pub(crate) fn session(&self) -> Option<&Arc<Session>> {
        match &self.sender {
            Sender::Session(session) => Some(session),
            Sender::Peer(_) => None,
        }
    }

    pub(crate) fn lane(&self) -> &Lane {
        match &self.sender {
            Sender::Session(session) => &session.lane,
            Sender::Peer(peer) => &peer.lane,
        }
    }

    /// The stanza could not be made durable; the sender is told later ([`Cause::refuse`]).
    pub(crate) fn note_refusal(&self) {
        if let Sender::Session(session) = &self.sender {
            session.refused.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Tells the sender that the stanza could not be made durable.
    pub(crate) fn refuse(&self, kernel: &Arc<Kernel>, error: &StanzaError) {
        let answer = self.stanza.error(error);
        match &self.sender {
            Sender::Session(session) => {
                let told = answer.is_some_and(|answer| {
                    let item = Item { head: HeadKind::Failure, ..Item::plain(Arc::new(answer)) };
                    session.mailbox.push(item).is_ok()
                });
                // A sender that has gone, or to whom nothing may be said, needs no answer.
                match told {
                    true => session.note_failure(),
                    false => drop(session.refused.fetch_sub(1, Ordering::AcqRel)),
                }
            }
            Sender::Peer(_) => {
                if let Some(answer) = answer {
                    kernel.answer_to_elsewhere(Some(answer));
                }
            }
        }
    }
}
