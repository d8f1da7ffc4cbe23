//! Where a stanza enters its way ([`crate::route`]): a session here, an owner that sends it on, or elsewhere.

use crate::{
    effects::{Cause, Sender},
    hooks::Notice,
    owner::Owner,
    peer::Peer,
    session::Session,
};
use linnet_xmpp::Stanza;
use std::sync::Arc;

/// Where a stanza enters.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// A session of ours sent it.
    Session(&'a Arc<Session>),
    /// An owner sends it on; its own side has been done. With its row among the stanzas in transit, if it has one.
    Owner(&'a Arc<Owner>, Option<u64>),
    /// An owner tells another something beside a stanza.
    Notice(&'a Arc<Owner>, &'a Notice),
    /// It comes from elsewhere: the owner of the domain of ours that it is for; the stream; and the row of the departure
    /// that it answers, or 0.
    Elsewhere(&'a Arc<Owner>, Option<&'a Arc<Peer>>, u64),
}

impl Origin<'_> {
    pub(crate) fn owner(&self) -> &Arc<Owner> {
        match self {
            Origin::Session(session) => &session.owner,
            Origin::Owner(owner, _) | Origin::Notice(owner, _) | Origin::Elsewhere(owner, ..) => owner,
        }
    }

    pub(crate) fn session(&self) -> Option<&Arc<Session>> {
        match self {
            Origin::Session(session) => Some(session),
            Origin::Owner(..) | Origin::Notice(..) | Origin::Elsewhere(..) => None,
        }
    }

    /// Whose lane waits for what the stanza causes.
    pub(crate) fn cause(&self, stanza: &Arc<Stanza>) -> Option<Cause> {
        let sender = match *self {
            Origin::Session(session) => Sender::Session(session.clone()),
            Origin::Elsewhere(_, Some(peer), _) => Sender::Peer(peer.clone()),
            _ => return None,
        };
        Some(Cause { sender, stanza: stanza.clone() })
    }
}
