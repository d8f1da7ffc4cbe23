//! A session is a client's resource that is bound: its address, its mailbox and its lane. The connection loop binds it,
//! hands its stanzas to the kernel, takes items from its mailbox, says what was written, and ends it.

use crate::{
    Kernel,
    account::Attached,
    effects::Effects,
    hooks::{At, Side},
    lane::Lane,
    limits,
    mailbox::{Item, Mailbox},
    owner::Owner,
    reroute,
    turn::Turn,
};
use linnet_xmpp::{
    Jid, Stanza, StanzaError,
    stanza::{Condition, Kind, Type},
    stream::{Answer, Need, StreamCondition, StreamError},
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

/// A bound resource.
#[derive(Debug)]
pub struct Session {
    /// The full address.
    pub address: Jid,
    /// Unique while the process lives.
    pub id: u64,
    /// What waits for it.
    pub mailbox: Mailbox,
    /// The order of what it sends.
    pub lane: Lane,
    /// Its account.
    pub owner: Arc<Owner>,
    pub(crate) later: AtomicU32,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

impl Kernel {
    /// Answers what a stream needs to know. With the answer to `Need::Bind` comes the session that was made.
    pub async fn answer(self: &Arc<Self>, need: Need) -> (Answer, Option<Arc<Session>>) {
        for hook in &self.hooks.stream {
            if let Some(answer) = hook(self.clone(), need.clone()).await {
                return (answer, None);
            }
        }
        if let Need::Bind { username, domain, resource } = &need {
            return match self.bind(username.as_deref(), domain, resource.as_deref()).await {
                Ok(session) => (Answer::Bound(Ok(session.address.clone())), Some(session)),
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
        loop {
            let owner = self.owner(&bare).await.map_err(|error| {
                tracing::error!(%error, account = %bare, "an account could not be loaded");
                StanzaError::new(Condition::InternalServerError).text("your account cannot be read at the moment")
            })?;
            let session = Arc::new(Session {
                address: address.clone(),
                id: NEXT.fetch_add(1, Ordering::Relaxed),
                mailbox: Mailbox::default(),
                lane: Lane::default(),
                owner: owner.clone(),
                later: AtomicU32::new(0),
            });
            let mut account = owner.lock();
            if owner.is_stale() {
                continue;
            }
            if !account.exists && username.is_some() {
                return Err(StanzaError::new(Condition::NotAllowed).text("this account does not exist any more"));
            }
            if account.sessions.len() >= limits::SESSIONS {
                let text = "this account has too many sessions; close some first";
                return Err(StanzaError::new(Condition::ResourceConstraint).text(text));
            }
            if let Some(older) = account.resource(&resource) {
                let text = "the same resource was bound by another connection of yours";
                older.session.mailbox.close(Some(StreamError::new(StreamCondition::Conflict).text(text)));
            }
            account.sessions.push(Attached {
                session: session.clone(),
                presence: None,
                priority: 0,
                directed: Vec::new(),
                marks: 0,
            });
            return Ok(session);
        }
    }

    /// A name that nobody can guess, for resources and anonymous users.
    fn random_name(&self) -> String {
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
        let landed: Vec<u64> = rows.iter().copied().filter(|row| account.land(*row)).collect();
        account.stored = account.stored.saturating_sub(landed.len() as u32);
        drop(account);
        if let Some((table, flags)) = self.hooks.offline {
            self.note(table, session.owner.address.as_str(), flags, &landed);
        }
    }

    /// Whether the session's socket should not be read now: its lane is full, or the whole server has too much that is
    /// not yet durable and this lane is part of it. The waker is woken when the lane moves.
    pub fn should_wait(&self, session: &Session, waker: &std::task::Waker) -> bool {
        session.lane.is_full(waker) || (self.commit.is_over() && session.lane.pending() > 0 && session.lane.wait(waker))
    }

    /// Ends a session: tells features, takes it off its account, and gives what it did not take back to the account.
    /// `unwritten`: what the connection loop had taken and not written, in order.
    pub fn end(self: &Arc<Self>, session: &Arc<Session>, unwritten: Vec<Item>) {
        let owner = &session.owner;
        {
            let mut account = owner.lock();
            if account.session(session.id).is_none() {
                return;
            }
            let mut gone = Stanza::new(Kind::Presence, Type::Unavailable, bytes::Bytes::new());
            gone.from = Some(session.address.clone());
            let gone = Arc::new(gone);
            let mut turn = Turn::new(self, &account, &gone, Side::Out, At::Own, Some(session.id));
            for hook in &self.hooks.ended {
                hook(&mut turn);
            }
            let changes = turn.into_changes();
            let mut effects = Effects::default();
            changes.apply(owner, &mut account, &mut effects);
            account.sessions.retain(|attached| attached.session.id != session.id);
            if account.sessions.is_empty() {
                account.sessions = Vec::new();
            }
            if account.catching_up == Some(session.id) {
                account.catching_up = None;
            }
            self.hand_over(effects, &[owner], None);
        }
        let mut items = unwritten;
        items.extend(session.mailbox.drain());
        reroute::take_back(self, owner, session, items);
    }
}
