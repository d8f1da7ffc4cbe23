//! Iqs that are answered beside their lane, because they have to read stored data or take long. Invariants: behind
//! everything that was handed over before, so that one reads one's own writes; a bounded number per session.

use crate::{
    Kernel,
    hooks::{Ask, At, Handler, Iq},
    limits,
    mailbox::Item,
    session::Session,
};
use linnet_xmpp::{Jid, Stanza, StanzaError, stanza::Condition};
use std::sync::{Arc, atomic::Ordering};

impl Kernel {
    /// Answers an iq beside its lane, behind everything that was handed over before, so that one reads one's own writes.
    /// The session's account is locked by the caller.
    pub(crate) fn ask_later(
        self: &Arc<Self>,
        session: &Arc<Session>,
        iq: &'static Iq,
        at: At,
        owner: Jid,
        stanza: &Arc<Stanza>,
    ) {
        let Handler::Later(run) = iq.handler else { return };
        if session.later.fetch_add(1, Ordering::AcqRel) as usize >= limits::LATER {
            session.later.fetch_sub(1, Ordering::AcqRel);
            let text = "too many requests at once; wait for the answers";
            let error = StanzaError::new(Condition::ResourceConstraint).text(text);
            if let Some(reply) = stanza.error(&error) {
                // A session that has gone needs no answer.
                let _ = session.mailbox.push(Item::plain(Arc::new(reply)));
            }
            return;
        }
        let (kernel, stanza, slot) = (self.clone(), stanza.clone(), Slot(session.clone()));
        // Under the account's lock: all that has a smaller id was handed over before.
        let next_row = self.ids.next(self.context.now());
        self.context.spawn(Box::pin(async move {
            kernel.barrier().await;
            let ask = Ask { kernel, stanza: stanza.clone(), at, owner, session: Some(slot.0.clone()), next_row };
            let reply = match run(ask).await {
                Ok(answer) => Some(stanza.result(answer)),
                Err(error) => stanza.error(&error),
            };
            if let Some(mut reply) = reply {
                reply.to = Some(slot.0.address.clone());
                // A session that has gone needs no answer.
                let _ = slot.0.mailbox.push_pulled(Item::plain(Arc::new(reply))).await;
            }
        }));
    }

    /// The same for a request of an owner of ours (`request`); only where somebody waits for the answer, so that their
    /// number is bounded.
    pub(crate) fn answer_owner_later(self: &Arc<Self>, iq: &'static Iq, at: At, owner: Jid, stanza: &Arc<Stanza>) {
        let Handler::Later(run) = iq.handler else { return };
        if !self.is_awaited(stanza) {
            return;
        }
        let (kernel, stanza) = (self.clone(), stanza.clone());
        self.context.spawn(Box::pin(async move {
            kernel.barrier().await;
            let ask = Ask { kernel: kernel.clone(), stanza: stanza.clone(), at, owner, session: None, next_row: 0 };
            let answer = match run(ask).await {
                Ok(answer) => Some(stanza.result(answer)),
                Err(error) => stanza.error(&error),
            };
            if let Some(answer) = answer {
                kernel.answered(&answer);
            }
        }));
    }
}

/// One of the requests that a session may have under way; given back even if the handler panics.
struct Slot(Arc<Session>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.later.fetch_sub(1, Ordering::AcqRel);
    }
}
