//! A session is a client's resource that is bound: its address, its mailbox and its lane. The connection loop binds it,
//! hands its stanzas to the kernel, takes items from its mailbox, says what was written, and ends it.

use crate::{
    Account, Kernel,
    account::Attached,
    effects::Effects,
    hooks::{At, Side},
    lane::Lane,
    limits,
    mailbox::{Item, Mailbox},
    offline::stop_catching_up,
    owner::Owner,
    reroute,
    resume::Managed,
    turn::Turn,
};
use linnet_xmpp::{
    Jid, Stanza, StanzaError,
    stanza::{Condition, Kind, Type},
    stream::{Agent, Answer, Entry, Need, Proof, StreamCondition, StreamError},
};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::Waker,
    time::SystemTime,
};

/// A bound resource.
#[derive(Debug)]
pub struct Session {
    /// The full address.
    pub address: Jid,
    /// Unique among all sessions that the server ever had; ascends in the order of binding, among the ids of rows.
    pub id: u64,
    /// What waits for it.
    pub mailbox: Mailbox,
    /// The order of what it sends.
    pub lane: Lane,
    /// Its account.
    pub owner: Arc<Owner>,
    /// When it was bound.
    pub since: SystemTime,
    /// How its client has proved who it is.
    pub proof: Proof,
    /// What the client said of itself, where it did.
    pub agent: Option<Box<Agent>>,
    pub(crate) later: AtomicU32,
    /// What its client knows from the archive: rows with smaller ids.
    pub(crate) known: AtomicU64,
    /// Whether it waits for its client (`resume`).
    pub(crate) detached: AtomicBool,
    /// What the stanza that is being handed over counts as, if that has to be durable with it; else 0.
    pub(crate) counting: AtomicU32,
    /// Stanzas of its client that could not be made durable.
    pub(crate) refused: AtomicU32,
    /// With stream management. Taken before any owner's lock.
    pub(crate) managed: Mutex<Option<Box<Managed>>>,
}

/// A session that was just made.
#[derive(Debug, Clone)]
pub struct Bound {
    /// The session.
    pub session: Arc<Session>,
    /// Rows with smaller ids were made before, those with greater ones go to the session as they do to any.
    pub next_row: u64,
    /// What is to be said about it, canonical XML.
    pub(crate) signals: Vec<u8>,
}

impl Session {
    /// The id of the client's installation, if it said one.
    pub fn device(&self) -> Option<&str> {
        self.agent.as_ref()?.id.as_deref()
    }

    /// Whether its connection broke and it waits for its client: who has something for it should wake that up.
    pub fn is_detached(&self) -> bool {
        self.detached.load(Ordering::Acquire)
    }
}

/// The sessions that a new one takes the place of.
fn replaced(account: &Account, new: &Session) -> Vec<Arc<Session>> {
    let is_same =
        |old: &&Arc<Session>| old.address == new.address || (old.device().is_some() && old.device() == new.device());
    account.sessions.iter().map(|attached| &attached.session).filter(is_same).cloned().collect()
}

impl Kernel {
    /// Answers what a stream needs to know. With the answer to `Need::Bind` comes the session that was
    /// made, with that to `Need::Resume` the one that goes on, and the number of this connection.
    pub async fn answer(self: &Arc<Self>, need: Need) -> (Answer, Option<(Arc<Session>, u32)>) {
        for hook in &self.hooks.stream {
            if let Some(answer) = hook(self.clone(), need.clone()).await {
                return (answer, None);
            }
        }
        if let Need::Resume { username, domain, id, handled } = &need {
            let resumed = self.resume(username.as_deref(), domain, id, *handled).await;
            let (resumed, session) = match resumed {
                Ok((resumed, session)) => (Ok(resumed), Some(session)),
                Err(error) => (Err(error), None),
            };
            return (Answer::Resumed(resumed), session);
        }
        if let Need::Enter(entry) = need {
            return self.enter(*entry).await;
        }
        if let Need::Bind { username, domain, resource } = &need {
            return match self.bind(username.as_deref(), domain, resource.as_deref()).await {
                Ok(session) => (Answer::Bound(Ok(session.address.clone())), Some((session, 0))),
                Err(error) => (Answer::Bound(Err(error)), None),
            };
        }
        let failure = linnet_xmpp::sasl::Failure::TemporaryAuthFailure;
        let answer = match need {
            Need::Keys { .. } => Answer::Keys(Err(failure)),
            Need::SignUp { .. } => Answer::SignedUp(Err(Condition::NotAllowed.into())),
            _ => Answer::Verified(Err(failure)),
        };
        (answer, None)
    }

    /// Makes a session. An older one with the same resource is ended with a conflict (RFC 6120 §7.7.2.2).
    async fn bind(
        self: &Arc<Self>,
        username: Option<&str>,
        domain: &str,
        resource: Option<&str>,
    ) -> Result<Arc<Session>, StanzaError> {
        let local = match username {
            Some(username) => username.to_owned(),
            None => self.random_name(),
        };
        let bad = |_| StanzaError::new(Condition::BadRequest).text("this resource is not allowed (RFC 7622 §3.4)");
        let bare = Jid::new(Some(&local), domain, None).map_err(bad)?;
        let resource = resource.map_or_else(|| self.random_name(), str::to_owned);
        let address = bare.with_resource(&resource).map_err(bad)?;
        Ok(self.attach(address, username.is_some(), None).await?.session)
    }

    /// Makes a session with this address. Older ones with the same resource or of the same installation of a client are
    /// ended with a conflict (RFC 6120 §7.7.2.2, XEP-0386 §3.2). `known`: an account must exist. `entry`: what is wanted
    /// with it at once.
    pub(crate) async fn attach(
        self: &Arc<Self>,
        address: Jid,
        known: bool,
        entry: Option<&Entry>,
    ) -> Result<Bound, StanzaError> {
        let bare = address.bare();
        let mut freed = false;
        loop {
            let owner = self.owner(&bare).await.map_err(|error| {
                tracing::error!(%error, account = %bare, "an account could not be loaded");
                StanzaError::new(Condition::InternalServerError).text("your account cannot be read at the moment")
            })?;
            let session = Arc::new(Session {
                address: address.clone(),
                since: self.context.now(),
                proof: entry.map_or(Proof::Password, |entry| entry.proof),
                agent: entry
                    .map(|entry| &entry.agent)
                    .filter(|agent| **agent != Agent::default())
                    .cloned()
                    .map(Box::new),
                id: self.ids.next(self.context.now()),
                mailbox: Mailbox::default(),
                lane: Lane::default(),
                owner: owner.clone(),
                later: AtomicU32::new(0),
                known: AtomicU64::new(0),
                detached: AtomicBool::new(false),
                counting: AtomicU32::new(0),
                refused: AtomicU32::new(0),
                managed: Mutex::new(None),
            });
            let signals = self.begin(&session, entry);
            let mut account = owner.lock();
            if owner.is_stale() {
                continue;
            }
            if !account.exists && known {
                return Err(StanzaError::new(Condition::NotAllowed).text("this account does not exist any more"));
            }
            if account.sessions.len() >= limits::SESSIONS {
                drop(account);
                // A client that never resumes what it leaves behind is not locked out by it.
                if !std::mem::replace(&mut freed, true) {
                    self.end_detached(&owner);
                    continue;
                }
                let text = "this account has too many sessions; close some first";
                return Err(StanzaError::new(Condition::ResourceConstraint).text(text));
            }
            for admit in &self.hooks.admit {
                admit(&account)?;
            }
            let mut kicked = Vec::new();
            for older in replaced(&account, &session) {
                let text = "the same resource was bound by another connection of yours";
                older.mailbox.close(Some(StreamError::new(StreamCondition::Conflict).text(text)));
                // At once: what it says at its end must not come after what the new session says.
                kicked.extend(self.detach(&mut account, &older, Vec::new()));
            }
            account.value = None;
            account.sessions.push(Attached {
                session: session.clone(),
                presence: None,
                priority: 0,
                directed: Vec::new(),
                marks: 0,
                remembered: Vec::new(),
                waits_for_stored: false,
            });
            if let Some(entry) = entry {
                kicked.extend(self.offer_payloads(&mut account, &session, entry));
            }
            // Of rows that come from now on, the session has learnt; of earlier ones it has not.
            let next_row = self.ids.next(self.context.now());
            let has_unread = account.stored > 0;
            drop(account);
            if entry.is_some() {
                // It reads the archive (XEP-0386 §3.2): what is in there by now needs no other delivery.
                session.known.store(next_row, Ordering::Release);
                if has_unread {
                    self.pass_over(session.clone());
                }
            }
            self.settle(kicked);
            return Ok(Bound { session, next_row, signals });
        }
    }

    /// A name that nobody can guess, for resources and anonymous users.
    pub(crate) fn random_name(&self) -> String {
        let mut random = [0; 8];
        self.context.random(&mut random);
        random.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The connection loop calls this with the rows of the items that its socket has accepted.
    pub fn written(&self, session: &Session, rows: &[u64]) {
        if rows.is_empty() {
            return;
        }
        let mut account = session.owner.lock();
        let landed: Vec<u64> = rows.iter().copied().filter(|row| account.arrived(*row, session.id)).collect();
        drop(account);
        if !landed.is_empty() {
            self.note(&session.owner, &landed);
        }
    }

    /// Whether the session's socket should not be read now: its lane or its account's outbox is full, or the whole server
    /// has too much that is not yet durable and this lane is part of it. The waker is woken when that has changed.
    pub fn should_wait(&self, session: &Session, waker: &Waker) -> bool {
        session.lane.is_full(waker)
            || session.owner.outbox.is_full(waker)
            || (self.commit.is_over() && session.lane.pending() > 0 && session.lane.wait(waker))
    }

    /// How long the session's socket should not be read, because the sessions of its account send too fast.
    pub fn pace(&self, session: &Session) -> Option<std::time::Duration> {
        session.owner.pace.wait(self.settings.stanzas_per_second, || self.context.instant())
    }

    /// Ends a session: tells features, takes it off its account, and gives what it did not take back to the account.
    /// `unwritten`: what the connection loop had taken and not written, in order.
    pub fn end(self: &Arc<Self>, session: &Arc<Session>, unwritten: Vec<Item>) {
        let owner = &session.owner;
        let kicked = {
            let mut account = owner.lock();
            self.detach(&mut account, session, unwritten)
        };
        self.settle(kicked);
    }

    /// Takes a session off its account, under the account's lock, if it is still there. Returns the owners whose outboxes
    /// the caller has to settle.
    fn detach(
        self: &Arc<Self>,
        account: &mut Account,
        session: &Arc<Session>,
        unwritten: Vec<Item>,
    ) -> Vec<Arc<Owner>> {
        let owner = &session.owner;
        let mut effects = Effects::default();
        if account.session(session.id).is_some() {
            let mut gone = Stanza::new(Kind::Presence, Type::Unavailable, bytes::Bytes::new());
            gone.from = Some(session.address.clone());
            let gone = Arc::new(gone);
            let mut turn = Turn::new(self, account, &gone, Side::Out, At::Own, Some(session.id));
            for hook in &self.hooks.ended {
                hook(&mut turn);
            }
            turn.into_changes().apply(owner, account, &mut effects);
            account.sessions.retain(|attached| attached.session.id != session.id);
            account.forget_copies(0, session.id);
            if account.sessions.is_empty() {
                account.sessions = Vec::new();
            }
            stop_catching_up(account, session, &mut effects);
        }
        let mut items = unwritten;
        items.extend(session.mailbox.drain());
        let mut back = Effects::default();
        reroute::take_back(self, account, owner, session, items, &mut back);
        // At once: it is older than all that is still on its way to durability.
        let mut kicked = Vec::new();
        let returned = self.perform(back, &mut kicked);
        if !returned.is_empty() {
            reroute::later(self, returned);
        }
        kicked.extend(self.hand_over(effects, &[owner], None));
        kicked
    }

    /// Ends all sessions of an account with an error, at once: their contacts are told, and what they did not take goes
    /// back to the account.
    pub fn expel(self: &Arc<Self>, owner: &Arc<Owner>, error: &StreamError) {
        let mut kicked = Vec::new();
        {
            let mut account = owner.lock();
            let sessions: Vec<_> = account.sessions.iter().map(|attached| attached.session.clone()).collect();
            for session in sessions {
                session.mailbox.close(Some(error.clone()));
                kicked.extend(self.detach(&mut account, &session, Vec::new()));
            }
        }
        self.settle(kicked);
    }

    /// Runs something of a feature's on an account, as if a stanza of the account itself had come: what it leaves in the
    /// turn is done. `vanish`: the account is being removed, and takes nothing more.
    pub fn act(self: &Arc<Self>, owner: &Arc<Owner>, vanish: bool, run: impl FnOnce(&mut Turn<'_>)) {
        let kicked = {
            let mut account = owner.lock();
            let stanza = Stanza::new(Kind::Presence, Type::Unavailable, bytes::Bytes::new());
            let stanza = Arc::new(stanza.from(owner.address.clone()));
            let mut turn = Turn::new(self, &account, &stanza, Side::Out, At::Own, None);
            run(&mut turn);
            let mut effects = Effects::default();
            turn.into_changes().apply(owner, &mut account, &mut effects);
            account.exists &= !vanish;
            self.hand_over(effects, &[owner], None)
        };
        self.settle(kicked);
    }

    /// Makes writes of an account durable that come from none of its lanes, in the order of everything else that concerns
    /// it. The account is loaded anew before its next stanza.
    pub async fn apply_to(
        self: &Arc<Self>,
        owner: &Arc<Owner>,
        conditions: Vec<store::Condition>,
        writes: Vec<store::Write>,
    ) -> Result<store::Outcome, store::StoreError> {
        self.keep_and(owner, conditions, writes, Owner::make_stale).await
    }

    /// As [`Kernel::apply_to`], for writes that concern nothing that is in memory.
    pub async fn keep(
        self: &Arc<Self>,
        owner: &Arc<Owner>,
        conditions: Vec<store::Condition>,
        writes: Vec<store::Write>,
    ) -> Result<store::Outcome, store::StoreError> {
        self.keep_and(owner, conditions, writes, |_| ()).await
    }

    async fn keep_and(
        self: &Arc<Self>,
        owner: &Arc<Owner>,
        conditions: Vec<store::Condition>,
        writes: Vec<store::Write>,
        then: fn(&Owner),
    ) -> Result<store::Outcome, store::StoreError> {
        let (asked, answer) = tokio::sync::oneshot::channel();
        {
            let _order = owner.lock();
            let effects = Effects { conditions, writes, ..Effects::default() };
            self.enqueue(effects, &[owner], None, Some(asked));
            then(owner);
        }
        answer.await.unwrap_or_else(|_| Err(store::StoreError::Io("the server is stopping".into())))
    }
}
