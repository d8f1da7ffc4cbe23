//! Enabling and disabling (XEP-0357 §5, §6).

use super::{
    limits::{NODE, OPTIONS, REGISTRATIONS},
    registration::{Device, History, Registration, Registrations, micros},
};
use bytes::Bytes;
use kernel::Turn;
use linnet_xeps::{
    Payload,
    push::{Disable, Enable},
};
use linnet_xmpp::{StanzaError, stanza::Condition};

/// The last request holds for an app server and node (§5). One too many takes the place of the oldest: the device of
/// that may be at the bottom of the sea.
pub(super) fn enable(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let before = own(turn)?;
    let Enable { jid, node, options } = read(turn)?;
    // Who asks for himself, e.g. a service of ours, is no device.
    let Some(session) = turn.session else { return Err(Condition::NotAllowed.into()) };
    if jid.bare_str() == turn.account.address.as_str() {
        return Err(StanzaError::new(Condition::BadRequest).text("the app server cannot be you"));
    }
    let too_long = node.as_ref().is_some_and(|node| node.len() > NODE)
        || options.as_ref().is_some_and(|form| form.to_bytes().len() > OPTIONS);
    if too_long {
        return Err(StanzaError::new(Condition::NotAcceptable).text("the node or the form is too long"));
    }
    let registration = Registration {
        jid,
        node: node.map(Into::into),
        options,
        device: Device::of(&session.session),
        history: History { enabled: micros(turn.now()), ..History::default() },
    };
    turn.write(registration.put(&turn.account.address));
    let mut after = before.with(registration);
    while after.0.len() > REGISTRATIONS {
        let oldest = after.0.remove(0);
        turn.write(oldest.remove(&turn.account.address));
    }
    turn.set(after);
    Ok(Bytes::new())
}

/// One node, or all of the app server (§6). What was not enabled is disabled already.
pub(super) fn disable(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let before = own(turn)?;
    let Disable { jid, node } = read(turn)?;
    remove(turn, before, |registration| {
        registration.jid == jid && (node.is_none() || registration.node.as_deref() == node.as_deref())
    });
    Ok(Bytes::new())
}

/// Removes registrations of an account.
pub(super) fn remove(turn: &mut Turn<'_>, before: &Registrations, is_one: impl Fn(&Registration) -> bool) {
    let (gone, left): (Vec<_>, Vec<_>) = before.0.iter().cloned().partition(is_one);
    for registration in &gone {
        turn.write(registration.remove(&turn.account.address));
    }
    if !gone.is_empty() {
        turn.set(Registrations(left));
    }
}

fn own<'a>(turn: &Turn<'a>) -> Result<&'a Registrations, StanzaError> {
    turn.document().ok_or_else(|| Condition::ServiceUnavailable.into())
}

fn read<T: Payload>(turn: &Turn<'_>) -> Result<T, StanzaError> {
    turn.stanza.payload().ok_or_else(|| StanzaError::new(Condition::BadRequest)).and_then(T::read)
}
