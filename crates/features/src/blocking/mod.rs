//! Blocking (XEP-0191): the list, and what it stops in both directions.
//!
//! Presence broadcasts leave blocked contacts out by themselves (`presence::audience`).

mod request;

use bytes::Bytes;
use kernel::{
    Feature, Hook, Turn,
    account::Document,
    hooks::{At, Handler, Iq, Refusal, Side, Source, Xep},
};
use linnet_xeps::{blocking::blocked_error, ns};
use linnet_xmpp::{
    Jid, StanzaError,
    stanza::{Condition, Kind},
};
use std::{any::TypeId, sync::Arc};
use store::DocTable;

/// Blocking.
pub static FEATURE: Feature = Feature {
    name: "blocking",
    xeps: &[Xep { number: 191, version: "1.3", note: "" }],
    server_features: &[ns::BLOCKING],
    account_features: &[ns::BLOCKING],
    stream_features: &[],
    hooks: &[
        Hook::Document { type_id: BlockList::type_id, source: Source::Doc(TABLE, BlockList::decode) },
        Hook::Guard { kinds: &[Kind::Message, Kind::Presence, Kind::Iq], run: guard },
        Hook::Iq(iq("blocklist", true, false, request::list)),
        Hook::Iq(iq("block", false, true, request::block)),
        Hook::Iq(iq("unblock", false, true, request::unblock)),
    ],
};

type Answer = fn(&mut Turn<'_>) -> Result<Bytes, StanzaError>;

const fn iq(name: &'static str, get: bool, set: bool, answer: Answer) -> Iq {
    Iq { name, ns: ns::BLOCKING, get, set, at: &[At::Own], handler: Handler::Now(answer) }
}

const TABLE: DocTable = DocTable("block-list");

/// Addresses on one list.
const ENTRIES: usize = 5000;

/// Whom an account has blocked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockList {
    /// In the order of their texts.
    jids: Vec<Jid>,
}

impl BlockList {
    /// Whether an entry of the list matches an address: one with a resource matches that address alone, a bare one any
    /// resource, a domain all that is there (XEP-0191 §6).
    pub fn blocks(&self, jid: &Jid) -> bool {
        !self.jids.is_empty() && (self.has(jid.as_str()) || self.has(jid.bare_str()) || self.has(jid.domain()))
    }

    fn has(&self, text: &str) -> bool {
        self.jids.binary_search_by(|entry| entry.as_str().cmp(text)).is_ok()
    }

    /// A list in order, each address once.
    fn of(mut jids: Vec<Jid>) -> BlockList {
        jids.sort();
        jids.dedup();
        BlockList { jids }
    }

    fn type_id() -> TypeId {
        TypeId::of::<BlockList>()
    }

    fn decode(value: Option<Bytes>) -> Document {
        let text = value.unwrap_or_default();
        let lines = std::str::from_utf8(&text).unwrap_or_default().lines();
        Arc::new(BlockList::of(lines.filter_map(|line| Jid::parse(line).ok()).collect()))
    }

    fn encode(&self) -> Bytes {
        // An address has no line break: RFC 7622 forbids control characters in every part.
        self.jids.iter().map(Jid::as_str).collect::<Vec<_>>().join("\n").into()
    }
}

/// What one has blocked oneself is refused with a word (§3.5); what comes from there looks as if nobody were here.
fn guard(turn: &Turn<'_>) -> Result<(), Refusal> {
    let Some(list) = turn.document::<BlockList>() else { return Ok(()) };
    if list.jids.is_empty() {
        return Ok(());
    }
    let stanza = turn.stanza;
    let other = if turn.side == Side::Out { stanza.to.as_ref() } else { stanza.from.as_ref() };
    let Some(other) = other.filter(|other| other.bare_str() != turn.account.address.as_str()) else { return Ok(()) };
    if !list.blocks(other) {
        return Ok(());
    }
    match (turn.side, stanza.kind) {
        (Side::Out, _) => Err(blocked_error().into()),
        (Side::In, Kind::Presence) => Err(Refusal::Silent),
        (Side::In, Kind::Message | Kind::Iq) => Err(StanzaError::new(Condition::ServiceUnavailable).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    #[test]
    fn an_entry_matches_as_much_as_it_says() {
        let blocks = |entry: &str, other: &str| BlockList { jids: vec![jid(entry)] }.blocks(&jid(other));
        assert!(blocks("romeo@example.net", "romeo@example.net/orchard"));
        assert!(!blocks("romeo@example.net/orchard", "romeo@example.net/home"));
        assert!(blocks("example.net", "romeo@example.net/orchard"));
        assert!(blocks("example.net/home", "example.net/home"));
        assert!(!blocks("example.net", "romeo@sub.example.net"));
    }

    #[test]
    fn a_domain_with_a_resource_does_not_block_accounts_that_have_that_resource() {
        let list = BlockList { jids: vec![jid("example.net/home")] };
        assert!(!list.blocks(&jid("romeo@example.net/home")));
    }
}
