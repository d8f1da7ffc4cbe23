//! What an owner asks others: an iq in the name of an account or of the server, whose answer is awaited. Invariants: an
//! answer counts only with its id, from the address that was asked and to the address that asked; a bounded number is
//! open, each for a bounded time; who stops waiting leaves nothing behind.
//!
//! The question goes through the outbox of its owner like everything that he sends on, so it comes after what he sent
//! before. Sessions, accounts and services of ours answer it, and whoever is reached from here.

use crate::{Kernel, limits, outbox::Emission, owner::Owner};
use bytes::Bytes;
use hashbrown::HashMap;
use linnet_xmpp::{
    Jid, Stanza, StanzaError,
    stanza::{Condition, Kind, Type},
};
use parking_lot::Mutex;
use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use store::StoreError;
use tokio::sync::oneshot;

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unanswered {
    /// The answer was an error.
    Error(StanzaError),
    /// Nothing came in time (`limits::REQUEST_SECONDS`).
    TimedOut,
    /// The asker, or the server as a whole, waits for too many answers already.
    TooMany,
    /// The asker could not be read from the store.
    Fault(StoreError),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unanswered::Error(error) => error.fmt(f),
            Unanswered::TimedOut => f.write_str("no answer in time"),
            Unanswered::TooMany => f.write_str("too many requests are open"),
            Unanswered::Fault(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Unanswered {}

/// All questions that are open, by id.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    open: Mutex<HashMap<Box<str>, Question>>,
}

#[derive(Debug)]
struct Question {
    asker: Jid,
    asked: Jid,
    answer: oneshot::Sender<Stanza>,
}

/// A question that somebody waits for; gone from the table when he stops.
struct Waiting {
    kernel: Arc<Kernel>,
    owner: Arc<Owner>,
    id: Box<str>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.kernel.requests.open.lock().remove(&self.id);
        self.owner.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Kernel {
    /// Sends an iq in the name of an account or of a domain of ours, and waits for the result. Not under a lock.
    /// `from`: an account, a domain, or somebody in a room of ours; `ty`: get or set; `payload`: one canonical element.
    ///
    /// # Errors
    /// Everything that is no result: an error in answer, none in time, or too many questions open.
    pub async fn request(
        self: &Arc<Self>,
        from: &Jid,
        to: Jid,
        ty: Type,
        payload: Bytes,
    ) -> Result<Stanza, Unanswered> {
        let owner = self.owner(from).await.map_err(Unanswered::Fault)?;
        let id: Box<str> = format!("ask-{:016x}", self.unique()).into();
        let stanza = Stanza::new(Kind::Iq, ty, payload).from(from.clone()).id(Some(&id));
        let (_waiting, answer) = self.open(owner.clone(), id, from.clone(), to.clone())?;
        let emission = Emission { stanza: Arc::new(stanza), to: vec![to], transit: None, notice: None, latest: false };
        if self.emit(&owner, emission) {
            self.settle(vec![owner]);
        }
        let answer = tokio::select! {
            answer = answer => answer.map_err(|_| Unanswered::TimedOut)?,
            () = self.context.sleep(Duration::from_secs(limits::REQUEST_SECONDS)) => return Err(Unanswered::TimedOut),
        };
        match answer.ty {
            Type::Result => Ok(answer),
            _ => Err(Unanswered::Error(error_of(&answer))),
        }
    }

    fn open(
        self: &Arc<Self>,
        owner: Arc<Owner>,
        id: Box<str>,
        asker: Jid,
        asked: Jid,
    ) -> Result<(Waiting, oneshot::Receiver<Stanza>), Unanswered> {
        let (answer, receiver) = oneshot::channel();
        let mut open = self.requests.open.lock();
        // The server asks for all its accounts.
        let is_server = owner.address.local().is_none();
        let is_busy = !is_server && owner.requests.load(Ordering::Acquire) >= limits::REQUESTS_OF_ONE;
        if is_busy || open.len() >= limits::REQUESTS {
            return Err(Unanswered::TooMany);
        }
        owner.requests.fetch_add(1, Ordering::AcqRel);
        open.insert(id.clone(), Question { asker, asked, answer });
        drop(open);
        Ok((Waiting { kernel: self.clone(), owner, id }, receiver))
    }

    /// Whether somebody waits for the answer to this iq of an owner of ours.
    pub(crate) fn is_awaited(&self, stanza: &Stanza) -> bool {
        let open = self.requests.open.lock();
        let question = stanza.id.as_ref().and_then(|id| open.get(id));
        question.is_some_and(|question| stanza.from.as_ref() == Some(&question.asker))
    }

    /// An iq result or error has come for an owner of ours: whoever waits for it gets it; of nobody's, nothing follows. May
    /// be called under locks.
    pub(crate) fn answered(&self, stanza: &Stanza) {
        let mut open = self.requests.open.lock();
        let Some(id) = &stanza.id else { return };
        // A client may leave out the address of its own account.
        let to = stanza.to.as_ref().map_or_else(|| stanza.from.as_ref().map(Jid::bare_str), |to| Some(to.as_str()));
        let fits =
            |question: &Question| to == Some(question.asker.as_str()) && stanza.from.as_ref() == Some(&question.asked);
        if open.get(id).is_some_and(fits)
            && let Some(question) = open.remove(id)
        {
            // Who stopped waiting at this moment needs no answer.
            let _ = question.answer.send(stanza.clone());
        }
    }
}

/// The error that a stanza of type error carries; undefined-condition where it says none (RFC 6120 §8.3.2).
fn error_of(stanza: &Stanza) -> StanzaError {
    StanzaError::read(stanza).unwrap_or_else(|| Condition::UndefinedCondition.into())
}
