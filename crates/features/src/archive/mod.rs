//! The archive of an account (XEP-0313): its log, read again in pages, and preferences (XEP-0441) for what gets into it.
//!
//! An archive is its owner's (§8.1): it has no handler for anybody else, so the kernel answers forbidden, whether or not
//! there is such an account.
//!
//! A message is one body with a row in the log of each side (`messages::LOG`); the flag `messages::ARCHIVED` says that
//! the row is part of the archive. Messages of rooms are not: rooms have archives of their own.

mod bound;
mod index;
mod page;
mod preferences;
mod query;
mod retention;
mod rules;
mod text;

use crate::{messages, roster::Roster};
use kernel::{
    Feature, Hook, Turn,
    hooks::{Ask, At, Handler, Iq, Side, Source, Xep},
};
use linnet_xeps::ns;
use linnet_xmpp::{StanzaError, stanza::Condition};
use preferences::Kept;
pub(crate) use query::{ends, fields, serve};
pub(crate) use rules::{is_encrypted, is_worth_keeping, worth};

/// The archive.
pub static FEATURE: Feature = Feature {
    name: "archive",
    xeps: &[
        Xep { number: 59, version: "1.0", note: "no positions; a count only where no item is asked for" },
        Xep { number: 313, version: "1.1.3", note: "no messages of rooms in the archive of an account" },
        Xep { number: 431, version: "0.2.0", note: "" },
        Xep { number: 441, version: "0.2.0", note: "" },
    ],
    server_features: &[],
    account_features: &[ns::MAM, ns::MAM_EXTENDED, ns::MAM_GROUPCHAT_FIELD, ns::FULLTEXT],
    stream_features: &[],
    hooks: &[
        Hook::Document { type_id: Kept::type_id, source: Source::Doc(preferences::TABLE, Kept::decode) },
        Hook::Iq(iq("query", true, false, Handler::Now(query::fields))),
        Hook::Iq(iq("query", false, true, Handler::Later(query::answer))),
        Hook::Iq(iq("metadata", true, false, Handler::Later(query::metadata))),
        Hook::Iq(iq("prefs", true, true, Handler::Now(preferences::answer))),
        Hook::Bound(bound::metadata),
        Hook::Job(index::JOB),
        Hook::Job(retention::JOB),
        Hook::Command(&retention::KEEP),
        Hook::Command(&retention::KEPT),
    ],
};

const fn iq(name: &'static str, get: bool, set: bool, handler: Handler) -> Iq {
    Iq { name, ns: ns::MAM, get, set, at: &[At::Own], handler }
}

/// Whether the turn's message becomes part of the account's archive.
pub(crate) fn keeps(turn: &Turn<'_>) -> bool {
    if !worth(turn.stanza).keep {
        return false;
    }
    let own = &turn.account.address;
    let other = if turn.side == Side::Out { turn.stanza.to.as_ref() } else { turn.stanza.from.as_ref() };
    let Some(kept) = turn.document::<Kept>() else { return false };
    kept.allows(other.unwrap_or(own), |contact| contact == own || is_contact(turn, contact))
}

fn is_contact(turn: &Turn<'_>, contact: &linnet_xmpp::Jid) -> bool {
    turn.document::<Roster>().is_some_and(|roster| roster.listed().any(|listed| listed.jid == *contact))
}

fn failed(ask: &Ask, error: &store::StoreError) -> StanzaError {
    tracing::error!(%error, account = %ask.owner, "an archive could not be read");
    StanzaError::new(Condition::InternalServerError).text("the archive cannot be read at the moment")
}

/// The id of a row as clients see it.
fn shown(kernel: &kernel::Kernel, row: u64) -> String {
    messages::shown_id(kernel, row)
}
