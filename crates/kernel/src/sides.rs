//! Both sides of a message or presence that goes to an account: what the recipient's account does with it, and what the
//! sender's does once it is known whether the recipient's took it. Both keep their rows of the same body.

use crate::{
    Kernel,
    account::Account,
    hooks::{At, Refusal, Side},
    limits, mailbox,
    origin::Origin,
    outbox,
    remote::Departure,
    route::{Passage, absent},
    trace::Event,
    turn::Turn,
};
use linnet_xmpp::{
    Stanza, StanzaError,
    stanza::{Condition, Kind, Type},
};
use std::sync::Arc;
use store::{LogIndex, Write};

impl Kernel {
    /// guard, rewrite, record, receive, copy, notify.
    pub(crate) fn receive_side(
        self: &Arc<Self>,
        account: &Account,
        sender: Option<&Account>,
        origin: Origin<'_>,
        stanza: &mut Arc<Stanza>,
        passage: &mut Passage,
    ) -> Result<(), Refusal> {
        self.guard(Side::In, account, stanza)?;
        if !account.exists {
            return Err(absent(stanza));
        }
        self.rewrite(Side::In, account, stanza);
        let session = origin.session().map(|session| session.id);
        let mut turn = Turn::new(self, account, stanza, Side::In, At::Account, session);
        let flags = if stanza.kind == Kind::Message { self.flags(&turn) } else { 0 };
        if flags != 0 && self.came_before(sender, origin, stanza, passage) {
            passage.repeated = true;
            return Ok(());
        }
        let row = self.record(&mut turn, flags)?;
        let id = row.as_ref().map_or(0, |row| row.id);
        if let Some(receive) = self.hooks.receive[stanza.kind as usize] {
            receive(&mut turn, id)?;
        }
        if stanza.kind == Kind::Message {
            self.hooks.copies.iter().for_each(|copy| copy(&mut turn, id, None));
        }
        if id != 0 {
            self.hooks.notify.iter().for_each(|notify| notify(&mut turn, id));
        }
        passage.rows.extend(row);
        passage.inward = Some(turn.into_changes());
        Ok(())
    }

    /// The flags of the recipient's row of a message; of one to oneself there is one row for both sides. 0: no row.
    fn flags(&self, turn: &Turn<'_>) -> u32 {
        let Some((_, flags_of)) = self.hooks.record else { return 0 };
        let mut flags = flags_of(turn);
        if let (true, Some(session)) = (turn.actor().bare_str() == turn.account.address.as_str(), turn.session) {
            let id = Some(session.session.id);
            flags |= flags_of(&Turn::new(turn.kernel, turn.account, turn.stanza, Side::Out, At::Own, id));
        }
        flags
    }

    /// The recipient's row of a message.
    fn record(&self, turn: &mut Turn<'_>, flags: u32) -> Result<Option<LogIndex>, Refusal> {
        let Some((table, _)) = self.hooks.record.filter(|_| flags != 0) else { return Ok(None) };
        let is_stored = self.hooks.offline.is_some_and(|(log, mask)| log == table && flags & mask != 0);
        let bytes = turn.account.stored_bytes + u64::from(mailbox::size(turn.stanza));
        if is_stored && (turn.account.stored >= limits::STORED || bytes > limits::STORED_BYTES) {
            // XEP-0160 §2, step 3.
            let text = "too many messages are waiting for this account";
            return Err(StanzaError::new(Condition::ServiceUnavailable).text(text).into());
        }
        Ok(Some(turn.row(flags, is_stored)))
    }

    /// What the sender's own account keeps of a message to another account, and which of its sessions get a copy.
    pub(crate) fn sent(
        self: &Arc<Self>,
        account: &Account,
        origin: Origin<'_>,
        stanza: &Arc<Stanza>,
        result: &Result<(), Refusal>,
        passage: &mut Passage,
    ) {
        let Some(session) = origin.session().filter(|_| account.exists) else { return };
        let mut turn = Turn::new(self, account, stanza, Side::Out, At::Own, Some(session.id));
        let flags = self.hooks.record.filter(|_| result.is_ok()).map_or(0, |(_, flags_of)| flags_of(&turn));
        let keeps = flags != 0 && (passage.hash.is_some() || !self.came_before(Some(account), origin, stanza, passage));
        let row = keeps.then(|| turn.row(flags, false));
        let refused = match result {
            Err(Refusal::Error(error)) => Some(error),
            _ => None,
        };
        let id = row.as_ref().map_or(0, |row| row.id);
        self.hooks.copies.iter().for_each(|copy| copy(&mut turn, id, refused));
        passage.rows.extend(row);
        passage.sent = Some(turn.into_changes());
    }
}

impl Kernel {
    /// Writes a message into the logs of those whose rows it has.
    pub(crate) fn append(&self, stanza: &Stanza, passage: &mut Passage) {
        if let (Some((table, _)), false) = (self.hooks.record, passage.rows.is_empty()) {
            let (rows, body) = (std::mem::take(&mut passage.rows), stanza.to_bytes());
            passage.row = rows.last().map_or(0, |row| row.id);
            passage.append = Some(Write::LogAppend { table, rows, body });
        }
    }

    /// A stanza to another server: the sender's account keeps and copies it as it does with one to an account here. What
    /// must arrive gets a row of its own until it has: requests for subscriptions and their answers, and of messages those
    /// that clients sent (a room's are in the room's archive) and a feature names.
    pub(crate) fn elsewhere(
        self: &Arc<Self>,
        account: &Account,
        origin: Origin<'_>,
        stanza: &Arc<Stanza>,
        passage: &mut Passage,
    ) -> Result<(), Refusal> {
        let is_message = stanza.kind == Kind::Message;
        if stanza.to.as_ref().is_some_and(|to| !self.federates(to.domain())) {
            return match unreachable(stanza) {
                Refusal::Silent => Err(Refusal::Silent),
                Refusal::Error(_) => {
                    let text = "this server does not talk to that domain";
                    Err(StanzaError::new(Condition::NotAllowed).text(text).into())
                }
            };
        }
        let is_kept = match stanza.kind {
            Kind::Presence => outbox::must_arrive(stanza),
            Kind::Message if origin.session().is_some() => self.hooks.depart.is_some_and(|is_such| is_such(stanza)),
            _ => false,
        };
        if is_message && is_kept && self.came_before(Some(account), origin, stanza, passage) {
            passage.repeated = true;
            return Ok(());
        }
        let row = if is_kept { self.ids.next(self.context.now()) } else { 0 };
        passage.departure = Some(Departure { stanza: stanza.clone(), row });
        if is_message && origin.session().is_some() {
            self.sent(account, origin, stanza, &Ok(()), passage);
            if !passage.rows.is_empty() {
                self.traces.note(self.context.now(), stanza, || Event::Archived);
            }
            self.append(stanza, passage);
        }
        Ok(())
    }
}

/// What the sender gets for a stanza to another server where there is no way to any.
pub(crate) fn unreachable(stanza: &Stanza) -> Refusal {
    if stanza.kind == Kind::Presence && stanza.ty != Type::Subscribe {
        return Refusal::Silent;
    }
    StanzaError::new(Condition::RemoteServerNotFound).into()
}
