//! What became of stanzas for other servers, by their ids, so that an administrator can say why one did not arrive. In
//! memory, and only of the last ones: a restart forgets it.

use crate::limits;
use linnet_xmpp::{Jid, Stanza, stanza::Kind};
use parking_lot::Mutex;
use std::{collections::VecDeque, fmt, time::SystemTime};

/// What happened to a stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It is in an archive here.
    Archived,
    /// It waits for a stream to its domain.
    Queued,
    /// The connection has taken its last byte.
    Sent,
    /// The other server has said that it has it (XEP-0198).
    Acknowledged,
    /// Its sender was told that it does not arrive; why.
    Bounced(Box<str>),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Archived => f.write_str("archived"),
            Event::Queued => f.write_str("queued"),
            Event::Sent => f.write_str("sent"),
            Event::Acknowledged => f.write_str("acknowledged by the other server"),
            Event::Bounced(why) => write!(f, "bounced: {why}"),
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When.
    pub at: SystemTime,
    /// The stanza's id.
    pub id: Box<str>,
    /// Who sent it.
    pub from: Jid,
    /// To whom.
    pub to: Jid,
    /// What.
    pub event: Event,
}

/// The last events.
#[derive(Debug, Default)]
pub(crate) struct Traces(Mutex<VecDeque<Entry>>);

impl Traces {
    /// Notes what happened to a message that has an id.
    pub(crate) fn note(&self, at: SystemTime, stanza: &Stanza, event: impl FnOnce() -> Event) {
        let (Kind::Message, Some(id), Some(from), Some(to)) = (stanza.kind, &stanza.id, &stanza.from, &stanza.to)
        else {
            return;
        };
        if id.len() > limits::TRACE_ID {
            return;
        }
        let entry = Entry { at, id: id.clone(), from: from.clone(), to: to.clone(), event: event() };
        let mut entries = self.0.lock();
        if entries.len() >= limits::TRACES {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    /// What is known of a stanza with this id, in order.
    pub(crate) fn of(&self, id: &str) -> Vec<Entry> {
        self.0.lock().iter().filter(|entry| *entry.id == *id).cloned().collect()
    }
}

impl crate::Kernel {
    /// What became of messages to other servers with this id, in order; only of the last some thousand events.
    pub fn trace(&self, id: &str) -> Vec<Entry> {
        self.traces.of(id)
    }
}
