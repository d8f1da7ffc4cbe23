//! The way of a stanza, from top to bottom: admit, load, then under the owners' locks the sender's side (guard, rewrite,
//! send) and the recipient's side (guard, rewrite, record, receive, copy, notify; or iq), and the effects are handed over before
//! the locks are let go. So later stanzas see the new state at once (RFC 6120 §10.1), and no order is lost.
//!
//! Everything between load and hand-over is synchronous. Invariant: a stanza that a hook panics on is answered with
//! internal-server-error and changes nothing.

use crate::{
    Kernel,
    account::Account,
    effects::{Delivery, Effects},
    hooks::{At, Iq, Onward, Refusal, Side},
    mailbox::Item,
    origin::Origin,
    outbox,
    owner::{Owner, lock_two},
    peer,
    remote::{self, Departure},
    service::Service,
    session::Session,
    sides,
    turn::{Changes, Turn},
};
use linnet_xmpp::{
    Jid, Stanza, StanzaError,
    stanza::{Condition, Kind, Rejected, Type},
    stream::{StreamCondition, StreamError},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use store::{LogIndex, Write};

/// Whom a stanza addresses.
enum Target {
    /// The sender's own account, or one of its sessions.
    Own,
    /// Another account here, or one of its sessions.
    Account,
    /// The server.
    Server,
    /// A service here, or one of its rooms.
    Service(&'static Service),
    /// Somebody elsewhere.
    Remote,
}

/// An owner and its account, locked by the caller.
type Locked<'a> = (&'a Arc<Owner>, &'a mut Account);

/// What the hooks of both sides decided.
#[derive(Default)]
pub(crate) struct Passage {
    out: Option<Changes>,
    pub(crate) inward: Option<Changes>,
    /// Of the sender's account, once it is known what became of a message.
    pub(crate) sent: Option<Changes>,
    /// The rows of a message in the logs of both sides.
    pub(crate) rows: Vec<LogIndex>,
    /// What is logged, if the recipient's side takes it.
    pub(crate) append: Option<Write>,
    /// By what a message is known again, if its sender named it.
    pub(crate) hash: Option<u64>,
    /// It came on an earlier stream already, and nothing follows from it.
    pub(crate) repeated: bool,
    /// The row by which it is known that it came.
    pub(crate) row: u64,
    pub(crate) reply: Option<Stanza>,
    /// Where it goes, if that is elsewhere.
    pub(crate) departure: Option<Departure>,
    pub(crate) later: Option<(&'static Iq, At, Jid)>,
}

impl Kernel {
    /// Takes what a session's stream gave on a connection, and counts it if stream management is on; what comes from a
    /// connection that was replaced does not count. Waits only while an account is loaded.
    pub async fn handle(
        self: &Arc<Self>,
        session: &Arc<Session>,
        connection: u32,
        stanza: Result<Stanza, Box<Rejected>>,
    ) {
        let mut stanza = stanza;
        while let Err(back) = self.try_handle(session, connection, stanza) {
            if let Err(error) = self.load(&session.owner, &back).await {
                let refused = self.try_handle(session, connection, Err(Box::new(Rejected { stanza: *back, error })));
                debug_assert!(refused.is_ok(), "a refusal needs no other account");
                return;
            }
            stanza = Ok(*back);
        }
    }

    /// The same at once, if it need not wait; else gives the stanza back, for [`Kernel::handle`].
    pub fn try_handle(
        self: &Arc<Self>,
        session: &Arc<Session>,
        connection: u32,
        stanza: Result<Stanza, Box<Rejected>>,
    ) -> Result<(), Box<Stanza>> {
        let kicked = self.counted(session, connection, |kernel| match stanza {
            Ok(stanza) => match kernel.admit(session, stanza) {
                Some(stanza) => kernel.try_route(Origin::Session(session), stanza),
                None => Ok(Vec::new()),
            },
            Err(rejected) => Ok(kernel.refuse(session, &rejected.stanza, &rejected.error)),
        })?;
        session.owner.pace.take();
        self.settle(kicked);
        Ok(())
    }

    /// Stamps `from` (the stream, which knows its own, stamped `xml:lang`). A session that claims to be somebody else is
    /// ended (RFC 6120 §8.1.2.1).
    fn admit(self: &Arc<Self>, session: &Arc<Session>, mut stanza: Stanza) -> Option<Stanza> {
        let own = &session.address;
        if let Some(from) = &stanza.from
            && from != own
            && from.as_str() != own.bare_str()
        {
            let text = "the 'from' of a stanza must be your own address";
            session.mailbox.close(Some(StreamError::new(StreamCondition::InvalidFrom).text(text)));
            return None;
        }
        stanza.from = Some(own.clone());
        Some(stanza)
    }

    /// Answers with an error, in the order of the lane. Returns the owners whose outboxes the caller has to settle.
    fn refuse(self: &Arc<Self>, session: &Arc<Session>, stanza: &Stanza, error: &StanzaError) -> Vec<Arc<Owner>> {
        let Some(mut reply) = stanza.error(error) else { return Vec::new() };
        reply.to = Some(session.address.clone());
        let delivery = Delivery { session: session.clone(), item: Item::plain(Arc::new(reply)) };
        let effects = Effects { deliveries: [delivery].into_iter().collect(), ..Effects::default() };
        let _order = session.owner.lock();
        self.hand_over(effects, &[&session.owner], None)
    }

    pub(crate) async fn route(self: &Arc<Self>, origin: Origin<'_>, stanza: Stanza) {
        let mut stanza = stanza;
        loop {
            match self.try_route(origin, stanza) {
                Ok(kicked) => return self.settle(kicked),
                Err(back) => stanza = *back,
            }
            if let Err(error) = self.load(origin.owner(), &stanza).await {
                match (stanza.error(&error), origin) {
                    (answer, Origin::Elsewhere(_, Some(_), _)) => self.answer_to_elsewhere(answer),
                    (Some(answer), _) => self.answered(&answer),
                    (None, _) => {}
                }
                return;
            }
        }
    }

    /// Loads the owners that a stanza concerns.
    async fn load(&self, sender: &Owner, stanza: &Stanza) -> Result<(), StanzaError> {
        let recipient = stanza.to.as_ref().filter(|to| self.has_owner(to)).map(Jid::bare);
        let failed = |error, address: &Jid| {
            tracing::error!(%error, account = %address, "an account could not be loaded");
            let text = "your or your contact's data cannot be read at the moment";
            StanzaError::new(Condition::InternalServerError).text(text)
        };
        for address in std::iter::once(sender.address.clone()).chain(recipient) {
            self.owner(&address).await.map_err(|error| failed(error, &address))?;
        }
        let must_recall = self.must_recall(&sender.lock(), stanza);
        if must_recall {
            self.recall(sender).await.map_err(|error| failed(error, &sender.address))?;
        }
        Ok(())
    }

    pub(crate) fn is_local_account(&self, to: Option<&Jid>) -> bool {
        to.is_some_and(|to| to.local().is_some() && self.serves(to.domain()))
    }

    fn target(&self, origin: Origin<'_>, to: Option<&Jid>) -> Target {
        let is_own =
            |to: &Jid| !matches!(origin, Origin::Elsewhere(..)) && origin.owner().address.as_str() == to.bare_str();
        match to {
            None => Target::Own,
            Some(to) if is_own(to) => Target::Own,
            Some(to) if !self.serves(to.domain()) => match self.service(to.domain()) {
                Some(hosted) => Target::Service(hosted.service),
                None => Target::Remote,
            },
            Some(to) if to.local().is_none() => Target::Server,
            Some(_) => Target::Account,
        }
    }

    /// Routes if both owners are loaded, and returns the owners whose outboxes the caller has to settle; else gives the
    /// stanza back.
    pub(crate) fn try_route(
        self: &Arc<Self>,
        origin: Origin<'_>,
        stanza: Stanza,
    ) -> Result<Vec<Arc<Owner>>, Box<Stanza>> {
        let sender = origin.owner();
        let target = self.target(origin, stanza.to.as_ref());
        let recipient = match (&target, &stanza.to) {
            (Target::Account | Target::Service(_), Some(to)) if self.has_owner(to) => {
                match self.owners.loaded(to.bare_str()) {
                    Some(recipient) => Some(recipient),
                    None => return Err(Box::new(stanza)),
                }
            }
            _ => None,
        };
        let stanza = Arc::new(stanza);
        let done = match (&recipient, origin) {
            (Some(recipient), Origin::Session(_)) => {
                let (mut a, mut b) = lock_two(sender, recipient);
                let fresh = !sender.is_stale() && !recipient.is_stale() && !self.must_recall(&a, &stanza);
                fresh.then(|| self.pass(origin, &target, &stanza, Some((sender, &mut *a)), Some((recipient, &mut *b))))
            }
            (Some(recipient), Origin::Owner(..) | Origin::Notice(..) | Origin::Elsewhere(..)) => {
                let mut b = recipient.lock();
                let fresh = !recipient.is_stale();
                fresh.then(|| self.pass(origin, &target, &stanza, None, Some((recipient, &mut *b))))
            }
            (None, _) => {
                let mut a = sender.lock();
                let is_new = matches!(target, Target::Own) && self.must_recall(&a, &stanza);
                let fresh = !sender.is_stale() && !is_new;
                fresh.then(|| self.pass(origin, &target, &stanza, Some((sender, &mut *a)), None))
            }
        };
        done.ok_or_else(|| Box::new(Arc::unwrap_or_clone(stanza)))
    }

    /// Runs the hooks of both sides and hands the effects over. The owners given are locked by the caller.
    fn pass<'a>(
        self: &Arc<Self>,
        origin: Origin<'_>,
        target: &Target,
        stanza: &Arc<Stanza>,
        mut sender: Option<Locked<'a>>,
        mut recipient: Option<Locked<'a>>,
    ) -> Vec<Arc<Owner>> {
        let decided = catch_unwind(AssertUnwindSafe(|| {
            let out = sender.as_ref().map(|(_, account)| &**account);
            let inward = recipient.as_ref().map(|(_, account)| &**account);
            let mut passage = Passage::default();
            let result = self.decide(origin, target, stanza, out, inward, &mut passage);
            (passage, result)
        }));
        let (passage, result) = decided.unwrap_or_else(|_| {
            tracing::error!(kind = ?stanza.kind, "a feature panicked; the stanza is answered with an error");
            (Passage::default(), Err(Refusal::Error(StanzaError::new(Condition::InternalServerError))))
        });
        let mut effects = Effects::default();
        for changes in [passage.out, passage.sent].into_iter().flatten() {
            if let Some((owner, account)) = &mut sender {
                changes.apply(owner, account, &mut effects);
            }
        }
        if result.is_ok() {
            effects.writes.extend(passage.append);
            let sent = sender.as_mut().and_then(|(_, account)| account.sent.as_mut());
            if let (Some(sent), Some(hash), true) = (sent, passage.hash, passage.row != 0) {
                sent.note(passage.row, hash);
            }
        }
        if let (Some(changes), true) = (passage.inward, result.is_ok()) {
            // A stanza to one's own account changes the sender's.
            if let Some((owner, account)) = recipient.as_mut().or(sender.as_mut()) {
                changes.apply(owner, account, &mut effects);
            }
        }
        let later = passage.later;
        let reply = match result {
            Ok(()) => passage.reply,
            Err(Refusal::Silent) => None,
            Err(Refusal::Error(error)) => stanza.error(&error),
        };
        match (reply, origin) {
            (Some(mut reply), Origin::Session(session)) => {
                reply.to = Some(session.address.clone());
                let item = Item::plain(Arc::new(reply));
                effects.deliveries.push(Delivery { session: session.clone(), item });
            }
            (Some(reply), Origin::Owner(..)) if reply.kind == Kind::Iq => effects.answer = Some(reply),
            (Some(reply), Origin::Elsewhere(_, Some(_), _)) => peer::answer(&mut effects, reply),
            _ => {}
        }
        match origin {
            Origin::Owner(_, Some(id)) => effects.writes.push(outbox::arrived(id)),
            Origin::Elsewhere(_, _, row) => effects.writes.extend(remote::bounced(row)),
            _ => {}
        }
        if let Some(departure) = passage.departure {
            let kept = (departure.row != 0).then(|| remote::keep(departure.row, self.context.now(), &departure.stanza));
            effects.writes.extend(kept);
            effects.departures.push(departure);
        }
        let cause = origin.cause(stanza);
        let kicked = match (sender.map(|(owner, _)| owner), recipient.map(|(owner, _)| owner)) {
            (Some(a), Some(b)) => self.hand_over(effects, &[a, b], cause),
            (Some(a), None) | (None, Some(a)) => self.hand_over(effects, &[a], cause),
            (None, None) => Vec::new(),
        };
        if let Some((iq, at, owner)) = later {
            match origin {
                Origin::Session(session) => self.ask_later(session, iq, at, owner, stanza),
                Origin::Owner(..) | Origin::Notice(..) => self.answer_owner_later(iq, at, owner, stanza),
                Origin::Elsewhere(_, peer, _) => self.answer_elsewhere(peer, iq, at, owner, stanza),
            }
        }
        kicked
    }

    fn decide(
        self: &Arc<Self>,
        origin: Origin<'_>,
        target: &Target,
        stanza: &Arc<Stanza>,
        sender: Option<&Account>,
        recipient: Option<&Account>,
        passage: &mut Passage,
    ) -> Result<(), Refusal> {
        let mut current = stanza.clone();
        if let (Some(account), Some(session)) = (sender, origin.session()) {
            match self.send_side(account, session, &mut current, passage) {
                Ok(Onward::Forward) => {}
                Ok(Onward::Done) => return Ok(()),
                Err(refusal) => return Err(refusal),
            }
        }
        // What the sender's side decided stays, whatever the recipient's side says.
        if let Origin::Notice(_, notice) = origin {
            return match (target, recipient.or(sender)) {
                (Target::Account | Target::Own, Some(account)) => self.notice(account, notice, &current, passage),
                _ => Ok(()),
            };
        }
        match (target, recipient.or(sender)) {
            (Target::Service(service), _) => self.to_service(service, recipient, origin, &current, passage),
            (Target::Remote, Some(account)) if self.remotes.is_open() => {
                self.elsewhere(account, origin, &current, passage)
            }
            (Target::Remote, _) => Err(sides::unreachable(&current)),
            (Target::Server, Some(account)) => self.server(account, origin, &current, passage),
            (Target::Own, Some(account)) if is_for_the_account(&current) => {
                self.iq(At::Own, account, origin, &current, passage)
            }
            (Target::Account, Some(account)) if current.kind == Kind::Iq && is_bare(&current) => {
                self.guard(Side::In, account, &current)?;
                self.iq(At::Account, account, origin, &current, passage)
            }
            (_, Some(account)) => {
                let result = self.receive_side(account, sender, origin, &mut current, passage);
                if passage.repeated {
                    return Ok(());
                }
                if let (Kind::Message, Target::Account, Some(sender)) = (current.kind, target, sender) {
                    self.sent(sender, origin, &current, &result, passage);
                }
                self.append(&current, passage);
                result
            }
            (_, None) => Ok(()),
        }
    }

    /// guard, rewrite, send.
    fn send_side(
        self: &Arc<Self>,
        account: &Account,
        session: &Arc<Session>,
        stanza: &mut Arc<Stanza>,
        passage: &mut Passage,
    ) -> Result<Onward, Refusal> {
        self.guard_of(Side::Out, account, stanza, Some(session.id))?;
        self.rewrite(Side::Out, account, stanza);
        let Some(send) = self.hooks.send[stanza.kind as usize] else { return Ok(Onward::Forward) };
        let before = stanza.clone();
        let mut turn = Turn::new(self, account, &before, Side::Out, At::Own, Some(session.id));
        let onward = send(&mut turn, stanza)?;
        passage.out = Some(turn.into_changes());
        Ok(onward)
    }

    pub(crate) fn guard(self: &Arc<Self>, side: Side, account: &Account, stanza: &Arc<Stanza>) -> Result<(), Refusal> {
        self.guard_of(side, account, stanza, None)
    }

    fn guard_of(
        self: &Arc<Self>,
        side: Side,
        account: &Account,
        stanza: &Arc<Stanza>,
        session: Option<u64>,
    ) -> Result<(), Refusal> {
        let guards = &self.hooks.guards[stanza.kind as usize];
        if guards.is_empty() {
            return Ok(());
        }
        let turn = Turn::new(self, account, stanza, side, At::Account, session);
        guards.iter().try_for_each(|guard| guard(&turn))
    }

    pub(crate) fn rewrite(&self, side: Side, account: &Account, stanza: &mut Arc<Stanza>) {
        for rewrite in &self.hooks.rewrites[stanza.kind as usize] {
            if let Some(changed) = rewrite(self, account, side, stanza) {
                *stanza = Arc::new(changed);
            }
        }
    }

    /// A stanza to our domain.
    fn server(
        self: &Arc<Self>,
        account: &Account,
        origin: Origin<'_>,
        stanza: &Arc<Stanza>,
        passage: &mut Passage,
    ) -> Result<(), Refusal> {
        let to_a_resource = stanza.to.as_ref().is_some_and(|to| to.resource().is_some());
        match stanza.kind {
            Kind::Iq if to_a_resource => Err(absent(stanza)),
            Kind::Iq => self.iq(At::Server, account, origin, stanza, passage),
            Kind::Message => Err(absent(stanza)),
            Kind::Presence => Ok(()),
        }
    }
}

/// Whether a stanza to the sender's own account is a request to the server on its behalf.
fn is_for_the_account(stanza: &Stanza) -> bool {
    stanza.kind == Kind::Iq && stanza.to.as_ref().is_none_or(Jid::is_bare)
}

pub(crate) fn is_bare(stanza: &Stanza) -> bool {
    stanza.to.as_ref().is_some_and(Jid::is_bare)
}

/// What the sender gets for a stanza to nobody: an error for requests and messages, nothing for presence
/// (RFC 6121 §8.5.1; `stanza.error` gives none for what may not be answered).
pub(crate) fn absent(stanza: &Stanza) -> Refusal {
    match stanza.kind {
        Kind::Presence => Refusal::Silent,
        Kind::Message if stanza.ty == Type::Headline => Refusal::Silent,
        Kind::Message | Kind::Iq => StanzaError::new(Condition::ServiceUnavailable).into(),
    }
}
