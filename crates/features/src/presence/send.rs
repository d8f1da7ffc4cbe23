//! What one's own clients say: broadcast (§4.2, §4.4, §4.5), directed presence (§4.6) and subscriptions (§3, A.2).

use super::{audience, contacts, from_account, hide_from, priority, show_to, table, tell_own, unblocked};
use crate::{
    avatars,
    blocking::BlockList,
    entity, marks, pep,
    roster::{self, Contact, Roster, State},
};
use kernel::{
    Attached, Turn,
    hooks::{Onward, Refusal},
};
use linnet_xmpp::{
    Jid, Stanza, StanzaError,
    stanza::{Condition, Type},
};
use std::sync::Arc;

pub(super) fn send(turn: &mut Turn<'_>, stanza: &mut Arc<Stanza>) -> Result<Onward, Refusal> {
    let Some(session) = turn.session else { return Ok(Onward::Forward) };
    match (stanza.ty, stanza.to.clone()) {
        (Type::Available, None) => available(turn, session, stanza),
        (Type::Unavailable, None) => {
            unavailable(turn, session, stanza);
            Ok(Onward::Done)
        }
        (Type::Available | Type::Unavailable, Some(to)) => {
            directed(turn, session, stanza, to);
            Ok(Onward::Done)
        }
        (Type::Subscribe | Type::Subscribed | Type::Unsubscribe | Type::Unsubscribed, Some(to)) => {
            subscription(turn, Arc::make_mut(stanza), to.bare())
        }
        (Type::Subscribe | Type::Subscribed | Type::Unsubscribe | Type::Unsubscribed, None) => {
            // §3.1.2: a subscription stanza is for somebody.
            Err(StanzaError::new(Condition::BadRequest).text("say to whom with 'to'").into())
        }
        // §4.3: probes are between servers; ours sends them by itself.
        (Type::Probe, _) => Ok(Onward::Done),
        _ => Ok(Onward::Forward),
    }
}

/// §4.2.2 and §4.4.2.
fn available(turn: &mut Turn<'_>, session: &Attached, stanza: &Arc<Stanza>) -> Result<Onward, Refusal> {
    let Some(priority) = priority(stanza) else {
        let text = "the priority must be a number from -128 to 127";
        return Err(StanzaError::new(Condition::BadRequest).text(text).into());
    };
    let presence = avatars::tell(turn, session, stanza);
    let is_initial = session.presence.is_none();
    turn.set_presence(session, Some(presence.clone()), priority);
    // An entity is subscribed to its own presence: all its sessions get it, this one too.
    tell_own(turn, &presence, Some(session));
    turn.deliver(session, presence.clone(), Some(session.session.address.clone()));
    let to = audience(turn);
    turn.emit(Stanza::clone(&presence), to);
    if is_initial {
        greet(turn, session);
    }
    pep::told(turn, session, stanza);
    if priority >= 0 && !session.takes_messages() && !session.has(marks::FETCHES) {
        turn.catch_up(session);
    }
    Ok(Onward::Done)
}

/// What a session gets that has just become available: the presence of the account's other sessions and of contacts,
/// and the requests that nobody has answered.
fn greet(turn: &mut Turn<'_>, session: &Attached) {
    let account = turn.account;
    for other in account.available() {
        if let Some(presence) = &other.presence {
            turn.deliver(session, presence.clone(), Some(session.session.address.clone()));
        }
    }
    let mut probe = from_account(turn, Type::Probe);
    probe.from = Some(session.session.address.clone());
    let to = contacts(turn, |contact| contact.state.to);
    turn.emit(probe, to);
    let blocked = turn.document::<BlockList>();
    let requests = turn.document::<Roster>().into_iter().flat_map(Roster::contacts);
    let shown = requests.filter(|contact| blocked.is_none_or(|list| !list.blocks(&contact.jid)));
    for request in shown.filter_map(|contact| contact.request.clone()) {
        if let Some(stanza) = Stanza::from_bytes(request) {
            turn.deliver(session, Arc::new(stanza), None);
        }
    }
}

/// §4.5.2: to everybody who has seen it, by broadcast or directly.
fn unavailable(turn: &mut Turn<'_>, session: &Attached, stanza: &Stanza) {
    let mut to = unblocked(turn, session.directed.clone());
    if session.presence.is_some() {
        to.extend(audience(turn));
        let presence = Arc::new(stanza.clone());
        tell_own(turn, &presence, None);
        if turn.account.exists && turn.account.available().count() == 1 {
            entity::seen(turn);
        }
    }
    for known in &session.directed {
        turn.set_directed(session, known.clone(), false);
    }
    turn.set_presence(session, None, 0);
    turn.emit(stanza.clone(), to);
}

/// A session that ends without saying so is made unavailable in its name (§4.5.2).
pub(super) fn ended(turn: &mut Turn<'_>) {
    if let Some(session) = turn.session {
        let stanza = turn.stanza.clone();
        unavailable(turn, session, &stanza);
    }
}

/// §4.6: remembered until it is taken back, unless the contact gets the broadcast anyway. It goes the way of the broadcast,
/// so that neither overtakes the other.
fn directed(turn: &mut Turn<'_>, session: &Attached, stanza: &Arc<Stanza>, to: Jid) {
    let roster = turn.document::<Roster>();
    let sees_broadcast = roster.and_then(|roster| roster.contact(&to)).is_some_and(|contact| contact.state.from);
    let is_available = stanza.ty == Type::Available;
    if !(is_available && sees_broadcast && session.presence.is_some()) {
        turn.set_directed(session, to.clone(), is_available);
    }
    let stanza = if is_available { avatars::tell_one(turn, stanza, &to) } else { stanza.clone() };
    turn.emit(Stanza::clone(&stanza), vec![to]);
}

/// A presence that the server has changed for a session that is available: sent again to all who saw it.
pub(crate) fn again(turn: &mut Turn<'_>, session: &Attached, presence: Stanza) {
    let presence = Arc::new(presence);
    turn.set_presence(session, Some(presence.clone()), session.priority);
    tell_own(turn, &presence, None);
    let to = audience(turn);
    turn.emit(Stanza::clone(&presence), to);
}

/// §3 and appendix A.2. Subscription stanzas go from bare address to bare address (§3.1.2).
fn subscription(turn: &mut Turn<'_>, stanza: &mut Stanza, to: Jid) -> Result<Onward, Refusal> {
    let Some(roster) = turn.document::<Roster>() else { return Ok(Onward::Done) };
    if to == turn.account.address {
        return Ok(Onward::Done);
    }
    let known = roster.contact(&to);
    if known.is_none() && roster.is_full() {
        return Err(StanzaError::new(Condition::ResourceConstraint).text("your roster is full").into());
    }
    let mut contact = known.cloned().unwrap_or_else(|| Contact::new(to.clone()));
    let before = contact.state;
    let (is_routed, state) = table::outbound(stanza.ty, before);
    contact.state = state;
    contact.listed |= lists(stanza.ty, before, state);
    if !state.pending_in {
        contact.request = None;
    }
    roster::change(turn, roster, contact);
    stanza.from = Some(turn.account.address.clone());
    stanza.to = Some(to.clone());
    if !is_routed {
        return Ok(Onward::Done);
    }
    if before.from && !state.from {
        // §3.2.2: the contact hears that the sessions are gone while he is still subscribed, then that he is not any more.
        hide_from(turn, &to);
        turn.emit(stanza.clone(), vec![to]);
        return Ok(Onward::Done);
    }
    if !before.from && state.from {
        // §3.1.5: the contact sees the user from now on. The order of the lane puts it behind the approval.
        show_to(turn, &to);
        pep::approved(turn, &to);
    }
    Ok(Onward::Forward)
}

/// Whether a stanza of the user puts the contact into his roster: asking, approving a request or approving in advance
/// (§3.1.2, §3.1.5, §3.4.2).
fn lists(ty: Type, before: State, after: State) -> bool {
    ty == Type::Subscribe || ty == Type::Subscribed && before != after
}
