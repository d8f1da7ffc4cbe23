//! Messages (RFC 6121 §5, §8.5): to which sessions they go, what is stored for those who are not there (XEP-0160), and
//! the ids and dates that the server adds (XEP-0359, XEP-0203).
//!
//! A message that somebody is to read is a row of the recipient's log until a session has taken it, so that a crash
//! loses nothing; longer where it belongs into the archive, and then the sender has a row of it too.

mod deliver;
mod head;

pub(crate) use head::write_stanza_id;

use crate::archive;
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
        Xep { number: 334, version: "1.0.0", note: "" },
        Xep { number: 359, version: "0.7.0", note: "" },
    ],
    server_features: &[ns::MSGOFFLINE],
    account_features: &[ns::STANZA_ID],
    stream_features: &[],
    hooks: &[
        Hook::Rewrite { kinds: &[Kind::Message], run: remove_forged_ids },
        Hook::Record { table: LOG, run: record },
        Hook::Receive { kind: Kind::Message, run: deliver::deliver },
        Hook::Offline { table: LOG, unread: UNREAD, archived: ARCHIVED },
        Hook::Head(head::write),
        Hook::Named(has_name),
        Hook::Depart(must_arrive),
    ],
};

/// The messages of an account.
pub const LOG: LogTable = LogTable("messages");
/// Nobody has taken it yet.
pub const UNREAD: u32 = store::INDEXED_FLAG;
/// It is in the archive.
pub const ARCHIVED: u32 = 1 << 1;

/// In the log of a room: who enters is given it (XEP-0045 §7.2.13).
pub const PLAYED: u32 = 1 << 2;

/// A `stanza-id` that names an account here as its maker was not made here (XEP-0359 §6): neither that of the sender,
/// whose archive has the message too, nor that of the recipient.
fn remove_forged_ids(kernel: &Kernel, account: &Account, _: Side, stanza: &Stanza) -> Option<Stanza> {
    stanza.child("stanza-id", ns::STANZA_ID)?;
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

/// Whether the sender has named a message, in one way (RFC 6120 §8.1.3) or the other (XEP-0359 §3.2).
fn has_name(stanza: &Stanza) -> bool {
    stanza.id.is_some() || stanza.child("origin-id", ns::STANZA_ID).is_some()
}

/// The id of a row as clients see it.
pub(crate) fn shown_id(kernel: &Kernel, row: u64) -> String {
    format!("{:016x}", kernel.public_id(row))
}

/// The row of an id that a client names; `None` where no row could have it.
pub(crate) fn row_of(kernel: &Kernel, shown: &str) -> Option<u64> {
    let is_one = shown.len() == 16 && shown.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let id = is_one.then(|| u64::from_str_radix(shown, 16).ok())??;
    Some(kernel.row_of(id))
}

/// Which messages become rows, and for what. In the log of the sender, those of the archive; in that of the recipient,
/// those that somebody is to read, and those of the archive among them.
fn record(turn: &Turn<'_>) -> u32 {
    let unread = if turn.side == Side::In { UNREAD } else { 0 };
    if unread != 0 && !is_for_somebody(turn) {
        return 0;
    }
    if archive::keeps(turn) { unread | ARCHIVED } else { unread }
}

/// Which messages somebody is to read: those of type normal and chat that say something (XEP-0160 §3), unless the sender wants
/// otherwise (XEP-0334), and only where a session or the store will take them (RFC 6121 §8.5.4).
fn is_for_somebody(turn: &Turn<'_>) -> bool {
    let stanza = turn.stanza;
    let has_hint = |hint: &str| stanza.children().any(|node| node.is(hint, ns::HINTS));
    let is_kept = match stanza.ty {
        Type::Chat => true,
        Type::Normal => deliver::matches_or_is_bare(turn),
        Type::Headline => deliver::matches_or_is_bare(turn) && has_hint("store"),
        _ => false,
    };
    is_kept && !has_hint("no-store") && stanza.children().any(|node| !is_fleeting(node.name(), node.ns()))
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

/// Which messages to other servers are kept until they have arrived: those that say something, unless the sender wants
/// otherwise (XEP-0334 §4.3).
fn must_arrive(stanza: &Stanza) -> bool {
    matches!(stanza.ty, Type::Normal | Type::Chat | Type::Groupchat)
        && !stanza.children().any(|node| node.is("no-store", ns::HINTS))
        && stanza.children().any(|node| !is_fleeting(node.name(), node.ns()))
}
