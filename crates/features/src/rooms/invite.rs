//! Invitations through the room (XEP-0045 §7.8.2), and that they were declined. Invitations from person to person
//! (XEP-0249) need no room.

use super::{admin, broadcast::Note, limits, privileges::Privilege, record::Member, room::Room};
use kernel::{Kernel, Turn, access};
use linnet_xeps::{
    Payload,
    muc::{Affiliation, Invite, User},
};
use linnet_xmpp::{
    Jid, Stanza, StanzaError,
    stanza::{Condition, Kind, Type},
};
use std::sync::Arc;

/// Passes invitations on. Whoever is invited into a members-only room becomes a member (§9.5).
pub(super) fn pass(turn: &mut Turn<'_>, invites: Vec<Invite>) -> Result<(), StanzaError> {
    let mut room = Room::of(turn)?;
    let (actor, config) = (turn.actor().clone(), room.record.config.clone());
    let inviter = room.occupant(&actor)?;
    if !room.occupant_standing(&inviter).may(Privilege::Invite, &config) {
        return Err(Condition::Forbidden.into());
    }
    if invites.len() > limits::INVITES {
        return Err(Condition::PolicyViolation.into());
    }
    // Where addresses are hidden, the inviter's is too.
    let from = if config.is_open_about_addresses() { inviter.real.clone() } else { inviter.address.clone() };
    for invite in invites {
        let to = invite.to.clone().ok_or(Condition::BadRequest)?;
        if invite.reason.as_ref().is_some_and(|reason| reason.len() > limits::REASON_BYTES) {
            return Err(Condition::NotAcceptable.into());
        }
        let invite = Invite { to: None, from: Some(from.clone()), ..invite };
        if access::is_ours(turn.kernel, &to) {
            // Whether there is such an account cannot be looked up under the lock of the room.
            let (kernel, address, question) = (turn.kernel.clone(), room.address.clone(), turn.stanza.clone());
            turn.afterwards(Box::pin(later(kernel, address, question, to, invite)));
        } else {
            send(turn, &mut room, &to, invite)?;
        }
    }
    room.save(turn);
    Ok(())
}

/// Invites an account here, or tells the inviter that there is none.
async fn later(kernel: Arc<Kernel>, address: Jid, question: Arc<Stanza>, to: Jid, invite: Invite) {
    let exists = match kernel.owner(&to).await {
        Ok(owner) => owner.lock().exists,
        Err(error) => return tracing::error!(%error, account = %to, "an account could not be loaded"),
    };
    let Ok(owner) = kernel.owner(&address).await else { return };
    kernel.act(&owner, false, |turn| {
        let Some(mut room) = Room::open(turn.account) else { return };
        let invited = if exists { send(turn, &mut room, &to, invite) } else { Err(Condition::ItemNotFound.into()) };
        match (invited, question.from.clone()) {
            (Ok(()), _) => room.save(turn),
            (Err(error), Some(inviter)) => question.error(&error).into_iter().for_each(|answer| {
                turn.emit(answer, vec![inviter.clone()]);
            }),
            _ => {}
        }
    });
}

/// Sends one invitation.
fn send(turn: &mut Turn<'_>, room: &mut Room, to: &Jid, invite: Invite) -> Result<(), StanzaError> {
    let (bare, config) = (to.bare(), room.record.config.clone());
    match room.affiliation(&bare) {
        Affiliation::Outcast => return Err(StanzaError::new(Condition::NotAllowed).text("he is banned from the room")),
        Affiliation::None if config.members_only => {
            let member = Member { affiliation: Affiliation::Member, nick: None, key: None, reason: None };
            room.set_member(&bare, Some(member))?;
            admin::show_affiliation(turn, room, &bare, Affiliation::None, &Note::default());
        }
        _ => {}
    }
    let invited = Arc::make_mut(&mut room.live.invited);
    invited.retain(|known| *known != bare);
    if invited.len() >= limits::INVITED {
        invited.remove(0);
    }
    invited.push(bare);
    message(turn, room, to, invite);
    Ok(())
}

/// The invitation as its receiver gets it, with the password that he needs (§7.8.2).
fn message(turn: &mut Turn<'_>, room: &Room, to: &Jid, invite: Invite) {
    let config = &room.record.config;
    let password = config.protected.then(|| config.secret.clone());
    let user = User { invites: vec![invite], password, ..User::default() };
    let id = format!("{:016x}", turn.kernel.unique());
    let message = Stanza::new(Kind::Message, Type::Normal, user.to_bytes()).from(room.address.clone()).id(Some(&id));
    turn.emit_surely(&message, vec![to.clone()]);
}

/// §9.5: who has become a member of a members-only room by somebody else's hand and is not in it is invited.
pub(super) fn new_member(turn: &mut Turn<'_>, room: &Room, bare: &Jid, reason: Option<String>) {
    let invite = Invite { from: Some(room.address.clone()), reason, ..Invite::default() };
    message(turn, room, bare, invite);
}

/// Tells an inviter that his invitation was declined: only of whom the room has invited, and only who is in it.
pub(super) fn decline(turn: &mut Turn<'_>, decline: Invite) -> Result<(), StanzaError> {
    let mut room = Room::open(turn.account).ok_or(Condition::ItemNotFound)?;
    let (bare, to) = (turn.actor().bare(), decline.to.clone().ok_or(Condition::BadRequest)?);
    if !room.live.invited.contains(&bare) {
        return Err(Condition::NotAcceptable.into());
    }
    if decline.reason.as_ref().is_some_and(|reason| reason.len() > limits::REASON_BYTES) {
        return Err(Condition::NotAcceptable.into());
    }
    let inviters: Vec<Jid> = if to.bare_str() == room.address.as_str() {
        room.live.occupants.nick(to.resource().unwrap_or_default()).map(|one| one.jids()).unwrap_or_default()
    } else {
        room.live.occupants.of(&to.bare()).flat_map(|one| one.jids()).collect()
    };
    Arc::make_mut(&mut room.live.invited).retain(|known| *known != bare);
    let user = User { decline: Some(Invite { to: None, from: Some(bare), ..decline }), ..User::default() };
    let message = Stanza::new(Kind::Message, Type::Normal, user.to_bytes()).from(room.address.clone());
    turn.emit_surely(&message.id(turn.stanza.id.as_deref()), inviters);
    room.save(turn);
    Ok(())
}
