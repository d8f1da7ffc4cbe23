//! Stream management (XEP-0198): what is counted for a session, and how it outlives its connection. Invariants: what
//! `<a/>` counts is the prefix of the client's stanzas that is durable, and it never goes back; a session has one
//! connection at most, and what comes from one that was replaced does not count; a session whose connection broke goes
//! on, is replaced, or ends when its time is over, and then gives back what was not acknowledged.
//!
//! All of it is in memory; what was handled is in the store too (`counts.rs`), and a server that is stopped keeps the
//! sessions that wait (`keep.rs`).

use crate::{
    Kernel, counts,
    effects::Effects,
    hooks::{At, Side},
    limits,
    mailbox::{HeadKind, Item, TooHigh},
    owner::Owner,
    reroute,
    session::Session,
    turn::Turn,
};
use hashbrown::HashMap;
use linnet_xmpp::{
    Jid, Stanza,
    stanza::{Kind, Type},
    stream::{Control, NotResumed, Resumed, Signal, StreamError, too_high},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Weak, atomic::Ordering},
    task::Waker,
    time::{Duration, Instant, UNIX_EPOCH},
};
use store::LogQuery;

/// The counts and the state of a session with stream management.
#[derive(Debug)]
pub(crate) struct Managed {
    /// For how long the client may resume it, if it may.
    resumable: Option<Duration>,
    state: State,
    /// Whether the server was restarted since it had a connection.
    is_restored: bool,
    /// Whether a task waits for the end of the session's time.
    is_timed: bool,
    /// Stanzas that came, modulo 2^32.
    received: u32,
    /// Of those with an entry that is not known to be durable: the lane's count that includes it, and how many stanzas
    /// had come before.
    unsettled: VecDeque<(u64, u32)>,
    /// The lane's counts that include entries that failed and whose error the client may not have been sent.
    failed: VecDeque<u64>,
    /// The count that was sent last, and the one at the last question.
    told: u32,
    owed: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Attached,
    /// The connection broke; until then another may come.
    Detached(Instant),
    Over,
}

impl Managed {
    /// How many of the client's stanzas are durable, without a gap.
    fn handled(&mut self, session: &Session) -> u32 {
        let done = self.done(session);
        while self.unsettled.front().is_some_and(|(count, _)| *count <= done) {
            self.unsettled.pop_front();
        }
        self.unsettled.front().map_or(self.received, |(_, before)| *before)
    }

    /// How many of the lane's entries are done, up to the first that failed and whose error still waits to be sent: a
    /// client that is told of the count before it is told of the error would take the stanza for safe.
    fn done(&mut self, session: &Session) -> u64 {
        let (_, done) = session.lane.counts();
        let untold = session.mailbox.failures() as usize;
        while self.failed.len() > untold {
            self.failed.pop_front();
        }
        self.failed.front().map_or(done, |failed| done.min(failed - 1))
    }

    fn answer(&mut self, session: &Session) -> Signal {
        self.told = self.handled(session);
        Signal::Handled(self.told)
    }
}

/// What of a session's counts is kept over a restart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    /// For how long its client may resume it.
    pub(crate) max: Duration,
    /// What is left of it.
    pub(crate) left: Duration,
    /// Stanzas that came.
    pub(crate) handled: u32,
}

impl Session {
    /// The server is stopping: ends the session, or its connection alone if the client may resume it afterwards. Call it
    /// without any lock.
    pub fn stop(&self, error: StreamError) {
        let managed = self.managed.lock();
        match managed.as_ref().and_then(|managed| managed.resumable) {
            Some(_) => self.mailbox.suspend(error),
            None => self.mailbox.close(Some(error)),
        }
    }

    /// What is to be kept of its counts, if it waits for its client. Everything that came is durable.
    pub(crate) fn kept(&self, now: Instant) -> Option<Kept> {
        let managed = self.managed.lock();
        let managed = managed.as_ref().filter(|_| !self.owes_error())?;
        let (max, handled) = (managed.resumable?, managed.received);
        match managed.state {
            State::Detached(until) => Some(Kept { max, left: until.saturating_duration_since(now), handled }),
            // Its connection does not end, for nobody reads.
            State::Attached if self.mailbox.is_suspended() => Some(Kept { max, left: max, handled }),
            State::Attached | State::Over => None,
        }
    }

    /// Whether a stanza of its client could not be made durable and the error has not left the mailbox.
    pub(crate) fn owes_error(&self) -> bool {
        self.refused.load(Ordering::Acquire) != self.mailbox.told()
    }

    /// The next entry of the lane has failed, and the error is in the mailbox. Call it without any lock, before the lane
    /// counts the entry as done.
    pub(crate) fn note_failure(&self) {
        if let Some(managed) = &mut *self.managed.lock() {
            let (_, done) = self.lane.counts();
            managed.failed.push_back(done + 1);
        }
    }
}

impl Kernel {
    /// Hands a stanza over and counts it. `Err`: it has to be handed over again, and is not counted.
    pub(crate) fn counted<E>(
        self: &Arc<Self>,
        session: &Session,
        connection: u32,
        hand_over: impl FnOnce(&Arc<Self>) -> Result<Vec<Arc<Owner>>, E>,
    ) -> Result<Vec<Arc<Owner>>, E> {
        let mut managed = session.managed.lock();
        let Some(counts) = &mut *managed else {
            drop(managed);
            return hand_over(self);
        };
        // Under the lock, so that a resumption knows all that was counted, and nothing is counted after it.
        if session.mailbox.connection() != connection {
            return Ok(Vec::new());
        }
        let (before, _) = session.lane.counts();
        if counts.resumable.is_some() {
            session.counting.store(counts.received.wrapping_add(1), Ordering::Release);
        }
        let kicked = hand_over(self)?;
        let (after, _) = session.lane.counts();
        if after > before && counts.done(session) < after {
            counts.handled(session);
            counts.unsettled.push_back((after, counts.received));
        }
        counts.received = counts.received.wrapping_add(1);
        Ok(kicked)
    }

    /// Does what the client says about its session. The answer is to be written before anything else; an error ends
    /// the stream.
    pub fn control(
        &self,
        session: &Arc<Session>,
        connection: u32,
        control: Control,
    ) -> Result<Option<Signal>, StreamError> {
        if session.mailbox.connection() != connection {
            return Ok(None);
        }
        match control {
            Control::Active(active) => {
                session.mailbox.quiet(self.hooks.can_wait.filter(|_| !active));
                Ok(None)
            }
            Control::Enable { resume, max } => Ok(Some(self.enable(session, resume, max))),
            Control::Request => {
                let mut managed = session.managed.lock();
                let Some(managed) = &mut *managed else { return Ok(Some(Signal::Failed)) };
                managed.owed = managed.received;
                Ok(Some(managed.answer(session)))
            }
            Control::Handled(_) if session.managed.lock().is_none() => Ok(Some(Signal::Failed)),
            Control::Handled(handled) => {
                let acknowledged = session.mailbox.acknowledge(connection, handled);
                let rows = acknowledged.map_err(|TooHigh(sent)| too_high(handled, sent))?;
                self.written(session, &rows);
                Ok(None)
            }
        }
    }

    fn enable(&self, session: &Session, resume: bool, max: Option<Duration>) -> Signal {
        let mut managed = session.managed.lock();
        if managed.is_some() {
            return Signal::Failed;
        }
        let longest = Duration::from_secs(limits::RESUMABLE_SECONDS);
        let resumable = resume.then(|| max.unwrap_or(longest).min(longest));
        *managed = Some(Box::new(Managed {
            resumable,
            state: State::Attached,
            is_restored: false,
            is_timed: false,
            received: 0,
            unsettled: VecDeque::new(),
            failed: VecDeque::new(),
            told: 0,
            owed: 0,
        }));
        session.mailbox.keep();
        Signal::Enabled(resumable.map(|max| (self.resumption_id(&session.address, session.id), max)))
    }

    /// The count that is to be sent unasked: the client has asked for it, and more of what came before its question has
    /// become durable. The waker is woken when there may be one.
    pub fn acknowledgement(&self, session: &Session, waker: &Waker) -> Option<Signal> {
        let mut managed = session.managed.lock();
        let managed = managed.as_mut()?;
        // Modulo 2^32, and what was told may be more than what is owed.
        if managed.owed.wrapping_sub(managed.told).cast_signed() <= 0 {
            return None;
        }
        session.lane.wait(waker);
        let told = managed.told;
        let answer = managed.answer(session);
        (managed.told != told).then_some(answer)
    }

    /// A connection has ended. `orderly`: the stream was closed, or the session was ended; else a session that can be
    /// resumed waits for its client. `unwritten`: what the connection had taken and not written, in order.
    pub fn part(self: &Arc<Self>, session: &Arc<Session>, connection: u32, orderly: bool, unwritten: Vec<Item>) {
        if self.is_over(session, connection, orderly) {
            return self.end(session, unwritten);
        }
        reroute::now(self, unwritten.into_iter().map(|item| (session.clone(), item)).collect());
        self.tell_detached(session);
        // Under the lock, and not once another connection has begun to take the session over: that needs the stanzas.
        let managed = session.managed.lock();
        let waits = managed.as_ref().is_some_and(|managed| matches!(managed.state, State::Detached(_)));
        if waits && session.mailbox.connection() == connection {
            session.mailbox.shrink(self.hooks.archived);
        }
    }

    /// The counts of a session that was kept over a restart; it waits for its client.
    pub(crate) fn restore_counts(self: &Arc<Self>, session: &Arc<Session>, kept: Kept) {
        let until = self.context.instant() + kept.left;
        *session.managed.lock() = Some(Box::new(Managed {
            resumable: Some(kept.max),
            state: State::Detached(until),
            is_restored: true,
            is_timed: true,
            received: kept.handled,
            unsettled: VecDeque::new(),
            failed: VecDeque::new(),
            told: kept.handled,
            owed: kept.handled,
        }));
        session.detached.store(true, Ordering::Release);
        self.context.spawn(Box::pin(end_in_time(Arc::downgrade(self), self.context.clone(), session.clone())));
    }

    /// Runs what features do when a session waits for its client. Call it without any lock.
    fn tell_detached(self: &Arc<Self>, session: &Arc<Session>) {
        if self.hooks.detached.is_empty() || !session.is_detached() {
            return;
        }
        self.tell(session, &self.hooks.detached);
    }

    /// Lets hooks act for a session that has sent nothing.
    fn tell(self: &Arc<Self>, session: &Arc<Session>, hooks: &[fn(&mut Turn<'_>)]) {
        let owner = &session.owner;
        let kicked = {
            let mut account = owner.lock();
            let none = Stanza::new(Kind::Presence, Type::Unavailable, bytes::Bytes::new());
            let none = Arc::new(none.from(session.address.clone()));
            let mut turn = Turn::new(self, &account, &none, Side::Out, At::Own, Some(session.id));
            hooks.iter().for_each(|hook| hook(&mut turn));
            let mut effects = Effects::default();
            turn.into_changes().apply(owner, &mut account, &mut effects);
            self.hand_over(effects, &[owner], None)
        };
        self.settle(kicked);
    }

    /// Whether the session ends with its connection.
    fn is_over(self: &Arc<Self>, session: &Arc<Session>, connection: u32, orderly: bool) -> bool {
        let mut managed = session.managed.lock();
        let Some(managed) = &mut *managed else { return true };
        if session.mailbox.connection() != connection {
            return false;
        }
        let orderly = orderly && !session.mailbox.is_suspended();
        if orderly || managed.resumable.is_none() || session.mailbox.is_closed() {
            managed.state = State::Over;
            if !session.mailbox.is_closed() && session.counting.load(Ordering::Acquire) != 0 {
                // The client has ended its stream. Beside everything else: what is left behind is swept in time.
                let writes = vec![counts::forget(session)];
                self.enqueue(Effects { writes, ..Effects::default() }, &[], None, None);
            }
            return true;
        }
        self.detach_managed(session, managed);
        false
    }

    fn detach_managed(self: &Arc<Self>, session: &Arc<Session>, managed: &mut Managed) {
        let max = managed.resumable.unwrap_or_default();
        managed.state = State::Detached(self.context.instant() + max);
        session.detached.store(true, Ordering::Release);
        if !std::mem::replace(&mut managed.is_timed, true) {
            self.context.spawn(Box::pin(end_in_time(Arc::downgrade(self), self.context.clone(), session.clone())));
        }
    }

    /// Ends a session that waits for its client, because it cannot wait any more. Call it without any lock.
    pub(crate) fn end_if_detached(self: &Arc<Self>, session: &Arc<Session>) {
        if let Some(managed) = &mut *session.managed.lock() {
            match managed.state {
                State::Detached(_) => managed.state = State::Over,
                State::Attached | State::Over => return,
            }
        } else {
            return;
        }
        self.end(session, Vec::new());
    }

    /// Ends all sessions of an account that wait for their clients. Call it without any lock.
    pub(crate) fn end_detached(self: &Arc<Self>, owner: &Owner) {
        let sessions: Vec<_> = owner.lock().sessions.iter().map(|attached| attached.session.clone()).collect();
        sessions.iter().for_each(|session| self.end_if_detached(session));
    }

    /// Goes on with a session of the same account on a new connection (XEP-0198 §5). Gives the number of that connection.
    pub(crate) async fn resume(
        self: &Arc<Self>,
        username: Option<&str>,
        domain: &str,
        id: &str,
        handled: u32,
    ) -> Result<(Resumed, (Arc<Session>, u32)), NotResumed> {
        let bare = username.and_then(|username| Jid::new(Some(username), domain, None).ok());
        let bare = bare.ok_or(NotResumed::Unknown(None))?;
        let number = self.session_of(&bare, id).ok_or(NotResumed::Unknown(None))?;
        let session =
            self.find_owner(bare.as_str()).and_then(|owner| Some(owner.lock().session(number)?.session.clone()));
        let resumed = match &session {
            Some(session) => self.resume_session(session, handled).await,
            None => Err(NotResumed::Unknown(None)),
        };
        if let (Some(session), Err(NotResumed::Unknown(Some(_)))) = (&session, &resumed) {
            self.end_if_detached(session);
        }
        let Err(NotResumed::Unknown(None)) = resumed else { return resumed };
        let handled = self.handled_by(&bare, number).await.map_err(|error| {
            tracing::error!(%error, account = %bare, "a count of stanzas could not be read");
            NotResumed::Fault
        })?;
        Err(NotResumed::Unknown(handled))
    }

    async fn resume_session(
        self: &Arc<Self>,
        session: &Arc<Session>,
        handled: u32,
    ) -> Result<(Resumed, (Arc<Session>, u32)), NotResumed> {
        let connection = self.take_over(session, handled)?;
        // What came on the old connection is counted as durable, or the client would send it again.
        self.barrier().await;
        self.fill(session).await?;
        let resumed = self.attach_again(session, connection)?;
        if resumed.1 {
            self.tell_restored(session);
        }
        Ok((resumed.0, (session.clone(), connection)))
    }

    /// Reads what the mailbox has the ids alone of.
    async fn fill(&self, session: &Session) -> Result<(), NotResumed> {
        let Some((table, _)) = self.hooks.offline else { return Ok(()) };
        let mut found = HashMap::new();
        for id in session.mailbox.missing() {
            let query = LogQuery { after: Some(id - 1), before: Some(id + 1), limit: 1, ..LogQuery::default() };
            let rows = self.store.log_rows(table, session.owner.address.as_str(), query).await.map_err(|error| {
                tracing::error!(%error, account = %session.owner.address, "stored messages could not be read");
                NotResumed::Fault
            })?;
            for row in rows {
                let head = HeadKind::Late(row.flags, UNIX_EPOCH + Duration::from_micros(row.id));
                if let Some(stanza) = Stanza::from_bytes(row.body) {
                    found.insert(id, Item { stanza: Arc::new(stanza), to: None, head, row: id });
                }
            }
        }
        session.mailbox.fill(found);
        Ok(())
    }

    /// The session has a connection again. Says also whether it is the first one after a restart.
    fn attach_again(&self, session: &Arc<Session>, connection: u32) -> Result<(Resumed, bool), NotResumed> {
        let mut managed = session.managed.lock();
        let managed = managed.as_mut().ok_or(NotResumed::Unknown(None))?;
        let is_mine = session.mailbox.connection() == connection && matches!(managed.state, State::Detached(_));
        if !is_mine || session.mailbox.is_closed() {
            return Err(NotResumed::Unknown(None));
        }
        let handled = managed.handled(session);
        if handled != managed.received {
            // A stanza was refused, and the client is not told of it: it has to send that again, and all behind it. On
            // another stream, where what had an effect is known again.
            return Err(NotResumed::Unknown(Some(handled)));
        }
        managed.state = State::Attached;
        session.detached.store(false, Ordering::Release);
        managed.told = managed.handled(session);
        managed.owed = managed.told;
        session.mailbox.rewind();
        // The client says anew whether somebody looks at it (XEP-0352 §5).
        session.mailbox.quiet(None);
        let resumed = Resumed { address: session.address.clone(), handled: managed.told };
        Ok((resumed, std::mem::take(&mut managed.is_restored)))
    }

    /// What features remember of a session is gone with a restart.
    fn tell_restored(self: &Arc<Self>, session: &Arc<Session>) {
        self.tell(session, &self.hooks.restored);
    }

    /// Takes the session from the connection that it has, if there still is one, and notes what the client has handled.
    fn take_over(self: &Arc<Self>, session: &Arc<Session>, handled: u32) -> Result<u32, NotResumed> {
        let mut managed = session.managed.lock();
        let managed = managed.as_mut().ok_or(NotResumed::Unknown(None))?;
        if managed.state == State::Over || session.mailbox.is_closed() {
            return Err(NotResumed::Unknown(None));
        }
        let acknowledged = session.mailbox.acknowledge(session.mailbox.connection(), handled);
        let rows = acknowledged.map_err(|TooHigh(sent)| NotResumed::TooHigh { handled, sent })?;
        let connection = session.mailbox.take_over();
        // Until the resumption is complete: if nobody goes on with it, the session waits again.
        self.detach_managed(session, managed);
        self.written(session, &rows);
        Ok(connection)
    }
}

/// Ends the session when its time is over. One task for each session that was ever detached, until it is attached again
/// when the task looks.
async fn end_in_time(kernel: Weak<Kernel>, context: Arc<dyn crate::Context>, session: Arc<Session>) {
    loop {
        let wait = {
            let mut managed = session.managed.lock();
            let Some(managed) = &mut *managed else { return };
            match managed.state {
                State::Detached(_) if session.mailbox.is_closed() => Duration::ZERO,
                State::Detached(until) => until.saturating_duration_since(context.instant()),
                State::Attached | State::Over => {
                    managed.is_timed = false;
                    return;
                }
            }
        };
        if wait.is_zero() {
            let Some(kernel) = kernel.upgrade() else { return };
            return kernel.end_if_detached(&session);
        }
        context.sleep(wait).await;
    }
}

/// What a feature says can wait (`Hook::CanWait`).
pub(crate) type CanWait = fn(&Stanza) -> bool;
