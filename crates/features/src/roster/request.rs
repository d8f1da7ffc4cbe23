//! Answers to roster get, set and remove (RFC 6121 §2.1.3 to §2.5).

use super::{BYTES, Contact, Roster, State, change};
use crate::{marks, presence};
use bytes::Bytes;
use kernel::{Turn, hooks::At};
use linnet_xeps::{
    Payload,
    roster::{Change, Limits, Roster as Query, read_get, read_set},
};
use linnet_xmpp::{
    Jid, StanzaError,
    stanza::{Condition, Type},
};

/// What a roster takes (§2.3.3 leaves it to the server): names and groups as long as an address part.
const LIMITS: Limits = Limits { name: 1023, group: 1023, groups: 64 };

pub(super) fn answer(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    if turn.at != At::Own {
        // §2.3.3: a roster is its owner's.
        return Err(Condition::Forbidden.into());
    }
    let Some(roster) = turn.document::<Roster>() else { return Err(Condition::ServiceUnavailable.into()) };
    let stanza = turn.stanza.clone();
    let Some(payload) = stanza.payload() else { return Err(Condition::BadRequest.into()) };
    if stanza.ty == Type::Get {
        let known = read_get(payload)?;
        return Ok(get(turn, roster, known.as_deref()));
    }
    match read_set(payload, &LIMITS)? {
        Change::Put { jid, name, groups } => put(turn, roster, jid, name, groups)?,
        Change::Remove(jid) => remove(turn, roster, &jid)?,
    }
    Ok(Bytes::new())
}

/// An empty result where the client's version is the present one (§2.6.2).
fn get(turn: &mut Turn<'_>, roster: &Roster, known: Option<&str>) -> Bytes {
    if let Some(session) = turn.session {
        turn.mark(session, marks::INTERESTED, true);
    }
    let version = roster.version();
    if known == Some(&version) {
        return Bytes::new();
    }
    let items = roster.listed().map(Contact::item).collect();
    Query { ver: known.map(|_| version), items }.to_bytes()
}

fn put(
    turn: &mut Turn<'_>,
    roster: &Roster,
    jid: Jid,
    name: Option<String>,
    groups: Vec<String>,
) -> Result<(), StanzaError> {
    let jid = jid.bare();
    if jid == turn.account.address {
        // §2.3.3 leaves it to the server: oneself is no contact.
        return Err(StanzaError::new(Condition::NotAllowed).text("you cannot be your own contact"));
    }
    let known = roster.contact(&jid);
    let full = || StanzaError::new(Condition::ResourceConstraint).text("your roster is full");
    if known.is_none() && roster.is_full() {
        return Err(full());
    }
    let before = known.map_or(0, Contact::size);
    let mut contact = known.cloned().unwrap_or_else(|| Contact::new(jid));
    contact.name = name.map(Into::into);
    contact.groups = groups.into_iter().map(Into::into).collect();
    contact.listed = true;
    if contact.size() > before && roster.size() - before + contact.size() > BYTES {
        return Err(full());
    }
    change(turn, roster, contact);
    Ok(())
}

/// Takes a contact out and ends both subscriptions (§2.5.2).
fn remove(turn: &mut Turn<'_>, roster: &Roster, jid: &Jid) -> Result<(), StanzaError> {
    let Some(contact) = roster.contact(jid).filter(|contact| contact.listed) else {
        return Err(StanzaError::new(Condition::ItemNotFound).text("this contact is not in your roster"));
    };
    let State { to, from, pending_out, pending_in, .. } = contact.state;
    let jid = contact.jid.clone();
    if from {
        presence::hide_from(turn, &jid);
    }
    if to || pending_out {
        presence::say(turn, Type::Unsubscribe, &jid);
    }
    if from || pending_in {
        presence::say(turn, Type::Unsubscribed, &jid);
    }
    change(turn, roster, Contact::new(jid));
    Ok(())
}
