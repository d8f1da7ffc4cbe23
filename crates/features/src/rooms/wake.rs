//! Members of a private group who are not in it (a phone that sleeps) hear that something was said: nothing of the message
//! goes to an address that has not entered, but their own account is told inside the server and wakes their devices as
//! they have set it (XEP-0492). What they missed they read in the room's archive.

use super::{limits, room::Room};
use crate::push;
use kernel::{Turn, access, hooks::Notice};
use linnet_xeps::muc::Affiliation;
use linnet_xmpp::{Jid, Stanza};
use std::{collections::BTreeSet, sync::Arc};

/// Something was said in a room that an account belongs to and is not in.
#[derive(Debug)]
struct Said {
    /// The nickname that is the account's there.
    nick: Option<Box<str>>,
}

/// Tells the accounts here that belong to the room and are not in it.
pub(super) fn absent(turn: &mut Turn<'_>, room: &Room, message: &Stanza) {
    if !room.record.config.members_only || room.members.len() > limits::WOKEN {
        return;
    }
    let present: BTreeSet<&Jid> = room.live.occupants.iter().map(|occupant| &occupant.real).collect();
    let members = room.members.iter().filter(|(jid, member)| {
        member.affiliation >= Affiliation::Member && access::is_ours(turn.kernel, jid) && !present.contains(jid)
    });
    let told: Vec<_> = members.map(|(jid, member)| (jid.clone(), member.nick.clone())).collect();
    for (jid, nick) in told {
        let notice: Notice = Arc::new(Said { nick });
        turn.emit_with(message.clone(), vec![jid], notice);
    }
}

/// In the account: its devices are woken.
pub(super) fn told(turn: &mut Turn<'_>, notice: &Notice) -> bool {
    let Some(said) = notice.downcast_ref::<Said>() else { return false };
    push::wake_for_room(turn, said.nick.as_deref());
    true
}
