//! Rosters (RFC 6121 §2): get, set, remove, pushes, versions. Subscriptions are in `presence`.
//!
//! Not done: rosters of other entities (RFC 6121 knows none) and deltas of versions (a client whose version is old gets
//! the whole roster, which §2.6.2 allows).

mod document;
mod request;

pub(crate) use document::{BYTES, CONTACTS};
pub use document::{Contact, Roster, State};

use crate::{circles::Gift, marks};
use kernel::{
    Account, Feature, Hook, Turn,
    hooks::{At, Handler, Iq, Relation},
};
use linnet_xeps::{
    Payload,
    roster::{Item, Roster as Query, Subscription},
};
use linnet_xmpp::{
    Jid, Stanza, ns,
    stanza::{Kind, Type},
};
use std::sync::Arc;

/// Rosters.
pub static FEATURE: Feature = Feature {
    name: "roster",
    xeps: &[],
    server_features: &[],
    account_features: &[],
    stream_features: &["<ver xmlns='urn:xmpp:features:rosterver'/>"],
    hooks: &[
        Hook::Document { type_id: Roster::type_id, source: Roster::SOURCE },
        Hook::Relation(relation),
        Hook::Iq(Iq {
            name: "query",
            ns: ns::ROSTER,
            get: true,
            set: true,
            at: &[At::Own, At::Account],
            handler: Handler::Now(request::answer),
        }),
    ],
};

/// Who sees the account's presence: its roster says it.
fn relation(account: &Account, actor: &Jid) -> Relation {
    match account.document::<Roster>().and_then(|roster| roster.contact(actor)) {
        Some(contact) if contact.state.from => Relation::Subscriber,
        _ => Relation::Stranger,
    }
}

/// Changes what is known of a contact because the user or the contact wants it, in memory and in the store, and tells the
/// sessions that asked for the roster if what they see has changed (§2.1.6). What circles had given and is not there any
/// more is not theirs any more.
pub(crate) fn change(turn: &mut Turn<'_>, before: &Roster, mut contact: Contact) {
    let gift = before.contact(&contact.jid).and_then(|was| was.gift.as_ref());
    contact.gift = gift.map(|gift| Box::new(Gift::clone(gift).left_in(&contact)));
    put(turn, before, vec![contact]);
}

/// The same for several contacts at once, whatever becomes of gifts.
pub(crate) fn put(turn: &mut Turn<'_>, before: &Roster, contacts: Vec<Contact>) {
    let mut after = before.clone();
    for contact in contacts {
        let was = before.contact(&contact.jid);
        if was == Some(&contact) {
            continue;
        }
        let seen = was.filter(|contact| contact.listed).map(Contact::item);
        let shown = contact.listed.then(|| contact.item());
        let owner = turn.account.address.clone();
        if contact.is_worth_keeping() {
            turn.write(contact.put(&owner));
        } else {
            let (owner, key) = (owner.as_str().into(), contact.jid.as_str().into());
            turn.write(store::Write::MapRemove { table: document::TABLE, owner, key });
        }
        let jid = contact.jid.clone();
        after.put(contact);
        if seen != shown {
            let gone = || Item { subscription: Subscription::Remove, ..Item::new(jid) };
            push(turn, &after, shown.unwrap_or_else(gone));
        }
    }
    turn.set(after);
}

/// A roster push to every session that has asked for the roster.
fn push(turn: &mut Turn<'_>, roster: &Roster, item: Item) {
    let account = turn.account;
    if account.marked(marks::INTERESTED).next().is_none() {
        return;
    }
    let version = roster.version();
    let mut stanza = Stanza::new(Kind::Iq, Type::Set, Query::of(Some(&version), item).to_bytes());
    stanza = stanza.id(Some(&format!("push-{version}")));
    let stanza = Arc::new(stanza);
    for attached in account.marked(marks::INTERESTED) {
        turn.deliver(attached, stanza.clone(), Some(attached.session.address.clone()));
    }
}
