//! What comes from others: presence and probes (§4), subscription stanzas (§3, A.3).

use super::{hide_from, say, show_to, table};
use crate::{
    marks, pep,
    roster::{self, Contact, Roster},
};
use bytes::Bytes;
use kernel::{
    Turn,
    hooks::{Refusal, Relation},
};
use linnet_xmpp::{Jid, Stanza, stanza::Type};

pub(super) fn receive(turn: &mut Turn<'_>, _row: u64) -> Result<(), Refusal> {
    match turn.stanza.ty {
        Type::Probe => probe(turn),
        Type::Subscribe | Type::Subscribed | Type::Unsubscribe | Type::Unsubscribed => subscription(turn),
        _ => {
            presence(turn);
            pep::present(turn);
        }
    }
    Ok(())
}

/// To a bare address: all available sessions (§8.5.2.1.2); to a full one: that session, if it is there (§8.5.3).
fn presence(turn: &mut Turn<'_>) {
    let (account, stanza) = (turn.account, turn.stanza.clone());
    match stanza.to.as_ref().and_then(Jid::resource) {
        Some(resource) => {
            if let Some(attached) = account.resource(resource) {
                turn.deliver(attached, stanza, None);
            }
        }
        None => {
            for attached in account.available() {
                turn.deliver(attached, stanza.clone(), None);
            }
        }
    }
}

/// §4.3.2: who may see the account sees its sessions, or, by a full address, that this one is there; anybody else is told
/// that he is not subscribed. Where no session is there, nothing is said: §4.3.2 rule 3 leaves that open, and a stanza for
/// each contact who is away would be most of what a login costs.
fn probe(turn: &mut Turn<'_>) {
    let actor = turn.actor().clone();
    let account = turn.account;
    if turn.relation() < Relation::Subscriber {
        say(turn, Type::Unsubscribed, &actor);
        return;
    }
    let Some(resource) = turn.stanza.to.as_ref().and_then(Jid::resource) else { return show_to(turn, &actor) };
    if let Some(attached) = account.resource(resource).filter(|attached| attached.presence.is_some()) {
        let presence = super::from_account(turn, Type::Available).from(attached.session.address.clone());
        turn.emit(presence, vec![actor]);
    }
}

/// §3 and appendix A.3.
fn subscription(turn: &mut Turn<'_>) {
    let Some(roster) = turn.document::<Roster>() else { return };
    let stanza = turn.stanza.clone();
    let from = turn.actor().bare();
    let known = roster.contact(&from);
    if known.is_none() && (roster.is_full() || roster.strangers() >= REQUESTS) {
        // A flood of requests from strangers ends here.
        return;
    }
    let mut contact = known.cloned().unwrap_or_else(|| Contact::new(from.clone()));
    let before = contact.state;
    let does = table::inbound(stanza.ty, before);
    contact.state = does.state;
    if !does.state.pending_in {
        contact.request = None;
    } else if stanza.ty == Type::Subscribe && does.deliver {
        // Shown again to each session that comes online, until it is answered (§3.1.3).
        contact.request = Some(request(&stanza));
    }
    if does.deliver {
        let account = turn.account;
        let is_request = stanza.ty == Type::Subscribe;
        // §3.1.3: a request goes to available resources. §3.1.6, §3.2.3, §3.3.3: everything else goes to those that have
        // asked for the roster, before the push that it explains.
        for attached in account.sessions.iter() {
            if if is_request { attached.presence.is_some() } else { attached.has(marks::INTERESTED) } {
                turn.deliver(attached, stanza.clone(), None);
            }
        }
    }
    roster::change(turn, roster, contact);
    if let Some(ty) = does.reply {
        say(turn, ty, &from);
    }
    match (before.from, does.state.from) {
        (false, true) => {
            show_to(turn, &from);
            pep::approved(turn, &from);
        }
        (true, false) => hide_from(turn, &from),
        _ => {}
    }
}

/// Requests of strangers that wait for an answer.
const REQUESTS: usize = 100;

/// Bytes of a request that are kept with what it says; of a longer one only who asks.
const REQUEST_BYTES: usize = 2048;

fn request(stanza: &Stanza) -> Bytes {
    let whole = stanza.to_bytes();
    if whole.len() <= REQUEST_BYTES {
        return whole;
    }
    let mut bare = stanza.clone();
    bare.set_inner(Bytes::new());
    bare.to_bytes()
}
