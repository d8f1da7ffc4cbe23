//! Flexible offline messages (XEP-0013): how many wait, and removing them all. A session that asks is not flooded with
//! them when it becomes available (§2.2); it fetches them when it wants.
//!
//! Not done: headers and single messages (§2.3 to §2.5); the archive of a later version is the better way to them.

use crate::{marks, messages};
use bytes::Bytes;
use kernel::{
    Feature, Hook, Turn,
    hooks::{At, Handler, Iq, Xep},
};
use linnet_xeps::{
    Payload,
    disco::{Identity, Info},
    ns,
    offline::{Offline, number_form},
};
use linnet_xmpp::{
    StanzaError,
    stanza::{Condition, Type},
};
use store::Write;

/// Flexible offline messages.
pub static FEATURE: Feature = Feature {
    name: "offline",
    xeps: &[Xep { number: 13, version: "1.3", note: "count, fetch all and purge; not single messages" }],
    server_features: &[ns::OFFLINE],
    account_features: &[],
    stream_features: &[],
    hooks: &[Hook::Iq(Iq {
        name: "offline",
        ns: ns::OFFLINE,
        get: true,
        set: true,
        at: &[At::Own],
        handler: Handler::Now(answer),
    })],
};

/// How many messages wait (§2.2).
pub(crate) fn info(turn: &mut Turn<'_>) -> Info {
    if let Some(session) = turn.session {
        turn.mark(session, marks::FETCHES, true);
    }
    Info {
        identities: vec![Identity::new("automation", "message-list", "")],
        features: vec![ns::OFFLINE.into()],
        forms: vec![number_form(turn.account.stored as usize)],
        ..Info::default()
    }
}

fn answer(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let stanza = turn.stanza.clone();
    let Some(payload) = stanza.payload() else { return Err(Condition::BadRequest.into()) };
    match (stanza.ty, Offline::read(payload)?) {
        (Type::Set, Offline::Purge) => {
            let owner = turn.account.address.as_str().into();
            turn.write(Write::LogClearFlags { table: messages::LOG, owner, ids: None, flags: messages::UNREAD });
            turn.clear_stored();
            Ok(Bytes::new())
        }
        (Type::Get, Offline::Fetch) => {
            if let Some(session) = turn.session {
                turn.catch_up(session);
            }
            Ok(Bytes::new())
        }
        (_, Offline::View(_) | Offline::Remove(_)) => {
            Err(StanzaError::new(Condition::FeatureNotImplemented).text("fetch all messages, or purge them"))
        }
        _ => Err(Condition::BadRequest.into()),
    }
}
