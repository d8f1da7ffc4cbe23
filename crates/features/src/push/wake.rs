//! Which devices have to be woken, and when: those without a connection, for messages that matter.

use super::{
    courier::{self, News},
    registration::{Device, Registration, Registrations, micros},
    request, settings,
};
use crate::archive;
use kernel::{Account, Attached, Turn, hooks::Side};
use linnet_xeps::ns;
use linnet_xmpp::{Jid, Stanza, StanzaError, stanza::Type};

/// Whether a message to an account wakes its devices: one that matters (`archive::worth`), from somebody else, in a chat
/// that may disturb (XEP-0492). What the account wants archived (XEP-0441) does not matter: who keeps no archive wants
/// to read all the same.
pub fn wakes(account: &Account, message: &Stanza) -> bool {
    let Some(from) = &message.from else { return false };
    from.bare_str() != account.address.as_str()
        && archive::worth(message).wake
        && settings::allow(account, from, message)
}

/// Where a device is.
pub(super) enum Whereabouts<'a> {
    /// It has no session, or one that waits for it: it has to be woken.
    Away,
    /// It has a session with a connection.
    Here(&'a Attached),
}

pub(super) fn whereabouts<'a>(account: &'a Account, device: &Device) -> Whereabouts<'a> {
    let mut sessions = account.sessions.iter().filter(|attached| Device::of(&attached.session) == *device);
    let here = |attached: &&Attached| !attached.session.is_detached() && !attached.session.mailbox.is_closed();
    sessions.find(here).map_or(Whereabouts::Away, Whereabouts::Here)
}

/// A message was recorded.
pub(super) fn notify(turn: &mut Turn<'_>, row: u64) {
    let Some(registrations) = turn.document::<Registrations>().filter(|known| !known.0.is_empty()) else { return };
    if is_withdrawal(turn.stanza) {
        return withdraw(turn, registrations);
    }
    if !wakes(turn.account, turn.stanza) {
        return;
    }
    let account = turn.account;
    let news = News::of(turn.stanza);
    for registration in &registrations.0 {
        match whereabouts(account, &registration.device) {
            Whereabouts::Away => courier::send(turn, registration, news.clone()),
            // It may have been put to sleep: the courier looks whether it acknowledges the message.
            Whereabouts::Here(attached) if attached.session.mailbox.keeps() && turn.delivers_to(attached) => {
                courier::send(turn, registration, news.clone().given(row));
            }
            Whereabouts::Here(_) => {}
        }
    }
}

/// A message of a room that the account belongs to and is not in. `nick`: the nickname that is the account's there.
pub(crate) fn for_room(turn: &mut Turn<'_>, nick: Option<&str>) {
    let Some(registrations) = turn.document::<Registrations>().filter(|known| !known.0.is_empty()) else { return };
    let (account, message) = (turn.account, turn.stanza.clone());
    let Some(room) = message.from.as_ref().map(Jid::bare) else { return };
    if !settings::allow_in_room(account, &room, nick, &message) {
        return;
    }
    let news = News::of(&message);
    for registration in &registrations.0 {
        if let Whereabouts::Away = whereabouts(account, &registration.device) {
            courier::send(turn, registration, news.clone());
        }
    }
}

/// A message of a room that a session is in whose connection broke: it waits there, and its device has to be woken to get
/// it. Messages of rooms are no rows of the account, so [`notify`] does not see them.
pub(super) fn in_room(turn: &mut Turn<'_>, _row: u64, _refused: Option<&StanzaError>) {
    if turn.stanza.ty != Type::Groupchat || turn.side != Side::In {
        return;
    }
    let resource = turn.stanza.to.as_ref().and_then(Jid::resource);
    let named = resource.and_then(|resource| turn.account.resource(resource));
    let Some(attached) = named.filter(|attached| attached.session.is_detached()) else { return };
    let Some(registrations) = turn.document::<Registrations>().filter(|known| !known.0.is_empty()) else { return };
    let (account, message) = (turn.account, turn.stanza.clone());
    let Some(room) = message.from.as_ref().map(Jid::bare) else { return };
    if !archive::is_worth_keeping(&message) || !settings::allow_in_room(account, &room, None, &message) {
        return;
    }
    let device = Device::of(&attached.session);
    for registration in registrations.0.iter().filter(|known| known.device == device) {
        courier::send(turn, registration, News::of(&message));
    }
}

/// The app server takes no more notifications (§8).
fn is_withdrawal(stanza: &Stanza) -> bool {
    stanza.child("pubsub", ns::PUBSUB).is_some_and(|pubsub| pubsub.child("affiliation", ns::PUBSUB).is_some())
}

fn withdraw(turn: &mut Turn<'_>, registrations: &Registrations) {
    let stanza = turn.stanza.clone();
    let Some(pubsub) = stanza.child("pubsub", ns::PUBSUB) else { return };
    let node = pubsub.attr("node");
    let is_lost = pubsub.children().any(|child| {
        let concerns = child.attr("jid").is_some_and(|jid| *jid == *turn.account.address.as_str());
        child.is("affiliation", ns::PUBSUB)
            && concerns
            && matches!(child.attr("affiliation").as_deref(), Some("none" | "outcast"))
    });
    if is_lost {
        request::remove(turn, registrations, |registration| {
            Some(&registration.jid) == stanza.from.as_ref() && registration.node.as_deref() == node.as_deref()
        });
    }
}

fn of_session<'a>(turn: &Turn<'a>) -> Vec<&'a Registration> {
    let registrations = turn.document::<Registrations>().map(|known| known.0.as_slice()).unwrap_or_default();
    let device = turn.session.map(|attached| Device::of(&attached.session));
    registrations.iter().filter(|registration| Some(&registration.device) == device.as_ref()).collect()
}

/// The connection broke: what the client has not acknowledged it may not have.
pub(super) fn detached(turn: &mut Turn<'_>) {
    let registrations = of_session(turn);
    let Some(attached) = turn.session.filter(|_| !registrations.is_empty()) else { return };
    let account = turn.account;
    let waiting =
        attached.session.mailbox.has(|item| is_copy(&item.stanza) || item.row != 0 && wakes(account, &item.stanza));
    if waiting {
        for registration in registrations {
            courier::send(turn, registration, News::default());
        }
    }
}

/// A copy of what another session of the account has received (XEP-0280 §7).
fn is_copy(stanza: &Stanza) -> bool {
    stanza.ty != Type::Error && stanza.child("received", ns::CARBONS).is_some()
}

/// A session has ended: what it did not take is unread again.
pub(super) fn ended(turn: &mut Turn<'_>) {
    let registrations = of_session(turn);
    if registrations.is_empty() || !turn.account.exists {
        return;
    }
    let Some(all) = turn.document::<Registrations>() else { return };
    let seen = micros(turn.now());
    let mut after = all.clone();
    for registration in &registrations {
        let mut registration = Registration::clone(registration);
        registration.history.seen = seen;
        turn.write(registration.put(&turn.account.address));
        after = after.replacing(registration);
    }
    turn.set(after);
    // One that waited for its client was woken when its connection broke.
    if turn.session.is_some_and(|attached| !attached.session.is_detached()) && turn.account.stored > 0 {
        for registration in registrations {
            courier::send(turn, registration, News::default());
        }
    }
}
