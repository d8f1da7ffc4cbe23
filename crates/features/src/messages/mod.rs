//! Messages (RFC 6121 §5, §8.5): to which sessions they go, what is stored for those who are not there (XEP-0160), and
//! the ids and dates that the server adds (XEP-0359, XEP-0203).
//!
//! A message that somebody is to read is a row of the recipient's log until a session has taken it, so that a crash
//! loses nothing.

mod deliver;
mod head;

use kernel::{
    Account, Feature, Hook, Kernel, Turn,
    hooks::{Side, Xep},
};
use linnet_xeps::ns;
use linnet_xmpp::{
    Stanza,
    stanza::{Kind, Type},
};
use store::LogTable;

/// Messages of accounts.
pub static FEATURE: Feature = Feature {
    name: "messages",
    xeps: &[
        Xep { number: 160, version: "1.0.1", note: "" },
        Xep { number: 203, version: "2.0", note: "" },
        Xep { number: 334, version: "1.0.0", note: "no-store and store; no-copy has no meaning without carbons" },
        Xep { number: 359, version: "0.7.0", note: "" },
    ],
    server_features: &[ns::MSGOFFLINE],
    account_features: &[ns::STANZA_ID],
    stream_features: &[],
    hooks: &[
        Hook::Rewrite { kinds: &[Kind::Message], run: remove_forged_ids },
        Hook::Record { table: LOG, run: record },
        Hook::Receive { kind: Kind::Message, run: deliver::deliver },
        Hook::Offline(LOG, UNREAD),
        Hook::Head(head::write),
    ],
};

/// The messages of an account.
pub const LOG: LogTable = LogTable("messages");
/// Nobody has taken it yet.
pub const UNREAD: u32 = 1;

/// A `stanza-id` that names an account here as its maker was not made here (XEP-0359 §6).
fn remove_forged_ids(kernel: &Kernel, account: &Account, side: Side, stanza: &Stanza) -> Option<Stanza> {
    if side == Side::Out || stanza.child("stanza-id", ns::STANZA_ID).is_none() {
        return None;
    }
    let mut stanza = stanza.clone();
    let own = account.address.as_str();
    stanza.edit(
        |node| {
            let by = || node.attr("by").and_then(|by| linnet_xmpp::Jid::parse(&by).ok());
            node.is("stanza-id", ns::STANZA_ID)
                && by().is_none_or(|by| by.bare_str() == own || kernel.serves(by.as_str()))
        },
        &[],
    );
    Some(stanza)
}

/// Which messages become rows: those of type normal and chat that say something (XEP-0160 §3), unless the sender wants
/// otherwise (XEP-0334), and only where a session or the store will take them (RFC 6121 §8.5.4).
fn record(turn: &Turn<'_>) -> u32 {
    let stanza = turn.stanza;
    let is_kept = match stanza.ty {
        Type::Chat => true,
        Type::Normal => deliver::matches_or_is_bare(turn),
        _ => false,
    };
    let wants = is_kept && !stanza.children().any(|node| node.is("no-store", ns::HINTS));
    if wants && stanza.children().any(|node| !is_fleeting(node.name(), node.ns())) { UNREAD } else { 0 }
}

/// Payloads that mean nothing later, or nothing by themselves.
fn is_fleeting(name: &str, namespace: &str) -> bool {
    match namespace {
        ns::CHAT_STATES | ns::STANZA_ID => true,
        ns::HINTS => name != "store",
        linnet_xmpp::ns::CLIENT => name == "thread",
        _ => false,
    }
}
