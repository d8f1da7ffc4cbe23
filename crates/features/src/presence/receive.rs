//! What comes from others: presence and probes (§4), subscription stanzas (§3, A.3).

use super::{hide_from, say, show_to, table};
use crate::roster::{self, Contact, Roster};
use kernel::{
    Turn,
    hooks::{Refusal, Relation},
};
use linnet_xmpp::{Jid, stanza::Type};

pub(super) fn receive(turn: &mut Turn<'_>, _row: u64) -> Result<(), Refusal> {
    match turn.stanza.ty {
        Type::Probe => probe(turn),
        Type::Subscribe | Type::Subscribed | Type::Unsubscribe | Type::Unsubscribed => subscription(turn),
        _ => presence(turn),
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

/// §4.3.2: who may see the account sees its sessions; anybody else is told that he is not subscribed.
fn probe(turn: &mut Turn<'_>) {
    let actor = turn.actor().clone();
    if turn.relation() < Relation::Subscriber {
        say(turn, Type::Unsubscribed, &actor);
    } else if turn.account.available().next().is_some() {
        show_to(turn, &actor);
    } else {
        let stanza = super::from_account(turn, Type::Unavailable);
        turn.emit(stanza, vec![actor]);
    }
}

/// §3 and appendix A.3.
fn subscription(turn: &mut Turn<'_>) {
    let Some(roster) = turn.document::<Roster>() else { return };
    let stanza = turn.stanza.clone();
    let from = turn.actor().bare();
    let known = roster.contact(&from);
    if known.is_none() && roster.contacts().len() >= roster::CONTACTS {
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
        contact.request = Some(stanza.to_bytes());
    }
    // An approval in advance puts the contact's subscription into the roster that he stands in already.
    roster::change(turn, roster, contact);
    if does.deliver {
        let account = turn.account;
        // A push tells those who asked for the roster; the stanza itself goes to all that are available (§3.1.3).
        for attached in account.available() {
            turn.deliver(attached, stanza.clone(), None);
        }
    }
    if let Some(ty) = does.reply {
        say(turn, ty, &from);
    }
    match (before.from, does.state.from) {
        (false, true) => show_to(turn, &from),
        (true, false) => hide_from(turn, &from),
        _ => {}
    }
}
