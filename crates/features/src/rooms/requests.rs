//! Iqs to occupants (XEP-0045 §17.4): to oneself, a question whether one is still here (XEP-0410); to others, passed on
//! in the name of the sender's nickname, so that neither learns the other's address.

use super::room::Room;
use kernel::{Turn, request::Unanswered};
use linnet_xeps::ns;
use linnet_xmpp::{
    Jid, StanzaError,
    stanza::{Class, Condition, Type},
};

/// An iq of type get or set to an address in the room.
///
/// # Errors
/// What its sender is told.
pub(super) fn pass(turn: &mut Turn<'_>) -> Result<(), StanzaError> {
    let stanza = turn.stanza.clone();
    let (actor, to) = (turn.actor().clone(), stanza.to.clone().ok_or(Condition::BadRequest)?);
    let payload = stanza.payload().ok_or(Condition::BadRequest)?;
    let is_disco = matches!(payload.ns(), ns::DISCO_INFO | ns::DISCO_ITEMS);
    let room = Room::of(turn)?;
    let Some(sender) = room.live.occupants.seat(&actor) else {
        // §6.6; XEP-0410 §3.3.
        let not_here = || StanzaError::new(Condition::NotAcceptable).class(Class::Cancel).by(room.address.clone());
        return Err(if is_disco { Condition::BadRequest.into() } else { not_here() });
    };
    let nick = to.resource().unwrap_or_default();
    let recipient = room.live.occupants.nick(nick).ok_or(Condition::ItemNotFound)?;
    if recipient.key == sender.key && payload.is("ping", ns::PING) {
        turn.emit(stanza.result(bytes::Bytes::new()), vec![actor]);
        return Ok(());
    }
    // What an account answers is asked of the account: its clients may not know.
    let is_of_account = payload.ns() == ns::VCARD || payload.ns() == ns::PUBSUB;
    let real = if is_of_account {
        recipient.real.clone()
    } else {
        preferred(recipient, &actor).ok_or(Condition::ItemNotFound)?
    };
    if is_of_account && stanza.ty != Type::Get {
        return Err(Condition::NotAllowed.into());
    }
    let (kernel, from, ty) = (turn.kernel.clone(), sender.address.clone(), stanza.ty);
    let (payload, room) = (payload.to_bytes(linnet_xmpp::ns::CLIENT), room.address);
    turn.afterwards(Box::pin(async move {
        let answer = match kernel.request(&from, real, ty, payload).await {
            Ok(result) => Some(stanza.result(result.inner().clone())),
            Err(Unanswered::Error(error)) => stanza.error(&error),
            Err(Unanswered::TimedOut) => stanza.error(&Condition::RemoteServerTimeout.into()),
            Err(_) => stanza.error(&Condition::ResourceConstraint.into()),
        };
        if let (Some(answer), Ok(owner)) = (answer, kernel.owner(&room).await) {
            kernel.act(&owner, false, |turn| turn.emit(answer, vec![actor]));
        }
    }));
    Ok(())
}

/// The client that is asked: of oneself another one than that which asks.
fn preferred(recipient: &super::occupants::Occupant, asker: &Jid) -> Option<Jid> {
    let other = recipient.seats.iter().find(|seat| seat.jid != *asker);
    other.or(recipient.shown()).map(|seat| seat.jid.clone())
}
