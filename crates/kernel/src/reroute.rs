//! What was meant for a session that has ended goes back to its account: stored rows stay for the next session that
//! takes messages, others follow the rules for an absent resource (RFC 6121 §8.5).

use crate::{
    Account, Attached, Kernel,
    effects::{Delivery, Effects},
    mailbox::{HeadKind, Item},
    offline::want_stored,
    outbox::Emission,
    owner::Owner,
    session::Session,
};
use linnet_xmpp::stanza::{Condition, Kind, Type};
use std::sync::Arc;

/// What a session did not take.
pub(crate) type Returned = Vec<(Arc<Session>, Item)>;

/// Takes items back on a task of its own, for a caller that holds locks.
pub(crate) fn later(kernel: &Arc<Kernel>, returned: Returned) {
    let kernel2 = kernel.clone();
    kernel.context.spawn(Box::pin(async move { now(&kernel2, returned) }));
}

/// Takes items back. Call it without any lock. What goes to another session goes at once, for it is older than all that
/// is still on its way to durability.
pub(crate) fn now(kernel: &Arc<Kernel>, mut returned: Returned) {
    while !returned.is_empty() {
        let mut kicked = Vec::new();
        for (session, item) in std::mem::take(&mut returned) {
            let owner = session.owner.clone();
            let mut effects = Effects::default();
            let mut account = owner.lock();
            take_back(kernel, &mut account, &owner, &session, vec![item], &mut effects);
            // Ends: a session whose mailbox is closed inherits nothing.
            returned.extend(kernel.perform(effects, &mut kicked));
            drop(account);
            // Nobody is there who would notice that its mailbox is full.
            if session.mailbox.is_closed() {
                kernel.end_if_detached(&session);
            }
        }
        kernel.settle(kicked);
    }
}

/// Rows of effects that failed never existed: they are on no way. Call it without any lock.
pub(crate) fn unreserve(effects: Effects) {
    for Delivery { session, item } in effects.deliveries {
        if item.row != 0 {
            let mut account = session.owner.lock();
            account.give_up(item.row, session.id);
            account.forget_copies(item.row, session.id);
        }
    }
}

/// Gives what a session did not take to the other sessions of the account that take messages, in order; what nobody
/// takes stays in the store or is answered as for an absent resource.
pub(crate) fn take_back(
    kernel: &Kernel,
    account: &mut Account,
    owner: &Arc<Owner>,
    from: &Arc<Session>,
    items: Vec<Item>,
    effects: &mut Effects,
) {
    for item in items {
        // Of a copy the original is with whom it was for; a row that is not given up another session has or carries.
        if item.row != 0 && (item.head == HeadKind::Copy || !account.give_up(item.row, from.id)) {
            continue;
        }
        let Some(heir) = heir(kernel, account, from, &item) else {
            if item.row != 0 && account.has_come_as_copy(item.row) {
                effects.arrived.push((owner.clone(), item.row));
            }
            refuse(account, owner, from, &item, effects);
            continue;
        };
        if item.is_stored() {
            // It reads it from the log itself.
            want_stored(account, heir.id, effects);
            continue;
        }
        let delivery = Delivery { session: heir, item };
        if delivery.item.row != 0 {
            account.in_flight.push(delivery.flight());
        }
        effects.deliveries.push(delivery);
    }
}

/// The available session of highest priority that takes a message in place of the one that has gone. A stored message,
/// or one that was sent to the full address of the session (RFC 6121 §8.5.3.2.1), goes on; one without a row to the bare
/// address has gone to the others already.
fn heir(kernel: &Kernel, account: &Account, gone: &Session, item: &Item) -> Option<Arc<Session>> {
    let stanza = &item.stanza;
    let was_for_it_alone = item.row != 0 || stanza.to.as_ref().is_some_and(|to| !to.is_bare());
    if stanza.kind != Kind::Message || !matches!(stanza.ty, Type::Normal | Type::Chat) || !was_for_it_alone {
        return None;
    }
    let needs = |other: &&Attached| kernel.needs(account, &other.session, item.row, item.head.flags());
    let heir = others(account, gone).filter(needs).max_by_key(|attached| attached.priority);
    heir.map(|attached| attached.session.clone())
}

fn others<'a>(account: &'a Account, gone: &'a Session) -> impl Iterator<Item = &'a Attached> {
    account
        .sessions
        .iter()
        .filter(|other| other.takes_messages() && other.session.id != gone.id && !other.session.mailbox.is_closed())
}

/// A request to a session that has gone is answered, and so is a message that nobody has; the rest is dropped, as it
/// would have been had the session gone a moment earlier.
fn refuse(account: &Account, owner: &Arc<Owner>, gone: &Session, item: &Item, effects: &mut Effects) {
    let stanza = &item.stanza;
    let is_lost = match stanza.kind {
        Kind::Iq => matches!(stanza.ty, Type::Get | Type::Set),
        Kind::Message => {
            item.row == 0
                && matches!(stanza.ty, Type::Normal | Type::Chat)
                && stanza.child("body", linnet_xmpp::ns::CLIENT).is_some()
                && others(account, gone).next().is_none()
        }
        Kind::Presence => false,
    };
    if !is_lost {
        return;
    }
    if let (Some(sender), Some(reply)) = (&stanza.from, stanza.error(&Condition::ServiceUnavailable.into())) {
        let to = vec![sender.clone()];
        let (stanza, latest) = (Arc::new(reply), false);
        effects.emissions.push((owner.clone(), Emission { stanza, to, transit: None, notice: None, latest }));
    }
}
