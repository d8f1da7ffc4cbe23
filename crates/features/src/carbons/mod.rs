//! Message carbons (XEP-0280): sessions that want to see the whole conversation get copies of what the account's other
//! sessions send and receive.
//!
//! A copy is no row of the log and is not given to anybody else when its session ends: the message itself is with
//! whomever it was for. If that session ends without having taken the message, whoever has a copy needs no other.

use crate::{marks, messages};
use bytes::Bytes;
use kernel::{
    Account, Attached, Feature, Hook, Kernel, Turn,
    hooks::{At, BindFeature, Handler, Iq, Side, Xep},
};
use linnet_xeps::{
    Payload,
    carbons::{Carbons, Direction},
    ns,
};
use linnet_xmpp::{
    Stanza, StanzaError,
    stanza::{Condition, Kind, Type},
    xml::Node,
};
use std::sync::Arc;

/// Message carbons.
pub static FEATURE: Feature = Feature {
    name: "carbons",
    xeps: &[
        Xep { number: 280, version: "1.0.1", note: "errors from other clients are copied whatever they answer" },
        Xep { number: 297, version: "1.0", note: "" },
    ],
    server_features: &[ns::CARBONS, ns::CARBONS_RULES],
    account_features: &[ns::CARBONS, ns::CARBONS_RULES],
    stream_features: &[],
    hooks: &[
        Hook::Rewrite { kinds: &[Kind::Message], run: remove_forged },
        Hook::Copy(copy),
        Hook::Iq(iq("enable")),
        Hook::Iq(iq("disable")),
        Hook::Bind(BindFeature { ns: ns::CARBONS, run: enable }),
    ],
};

const fn iq(name: &'static str) -> Iq {
    Iq { name, ns: ns::CARBONS, get: false, set: true, at: &[At::Own, At::Account], handler: Handler::Now(switch) }
}

/// §4, §5; asking again is no error (§10.1).
fn switch(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let stanza = turn.stanza.clone();
    let wanted = stanza.payload().ok_or(Condition::BadRequest).map(Carbons::read)??;
    match turn.session {
        Some(session) if turn.at == At::Own => turn.mark(session, marks::CARBONS, wanted == Carbons::Enable),
        // §4.1: of one's own account only.
        _ => return Err(Condition::NotAllowed.into()),
    }
    Ok(Bytes::new())
}

/// XEP-0386 §3.2.
fn enable(turn: &mut Turn<'_>, asked: Node<'_>) {
    if let (Some(session), "enable") = (turn.session, asked.name()) {
        turn.mark(session, marks::CARBONS, true);
    }
}

/// Only a server makes copies, in messages of its own: one that a client has made is an attempt to deceive a client that
/// does not look at who it is from (§11).
fn remove_forged(_: &Kernel, _: &Account, _: Side, stanza: &Stanza) -> Option<Stanza> {
    if !stanza.children().any(is_copy) {
        return None;
    }
    let mut stanza = stanza.clone();
    stanza.edit(is_copy, &[]);
    Some(stanza)
}

fn is_copy(node: Node<'_>) -> bool {
    Direction::Sent.is(node) || Direction::Received.is(node)
}

/// §7, §8.
fn copy(turn: &mut Turn<'_>, row: u64, refused: Option<&StanzaError>) {
    let account = turn.account;
    let sender = turn.session.map(|sender| sender.session.id);
    let wants = |attached: &&Attached| Some(attached.session.id) != sender && !turn.delivers_to(attached);
    let others: Vec<&Attached> = account.marked(marks::CARBONS).filter(wants).collect();
    if others.is_empty() || !is_eligible(turn.side, turn.stanza) {
        return;
    }
    let direction = if turn.side == Side::Out { Direction::Sent } else { Direction::Received };
    let mut id = Vec::new();
    if turn.row_flags() & messages::ARCHIVED != 0 {
        messages::write_stanza_id(turn.kernel, row, &account.address, &mut id);
    }
    // What others have sent may come back from the session that it is for; this account's own messages are with it.
    let incoming = if turn.side == Side::In { row } else { 0 };
    deliver(turn, &others, direction, &turn.stanza.clone(), incoming, &id);
    // The answer goes to the session that sent the message; the others have the message and need it too (§6.1).
    if let Some(error) = refused.and_then(|error| turn.stanza.error(error)) {
        deliver(turn, &others, Direction::Received, &error, 0, &[]);
    }
}

fn deliver(turn: &mut Turn<'_>, others: &[&Attached], direction: Direction, message: &Stanza, row: u64, extra: &[u8]) {
    let wrapper = Stanza::new(Kind::Message, message.ty, direction.wrap(message, extra));
    let wrapper = Arc::new(wrapper.from(turn.account.address.clone()));
    for attached in others {
        turn.deliver_copy(attached, wrapper.clone(), Some(attached.session.address.clone()), row);
    }
}

/// Which messages are copied (§6.1).
fn is_eligible(side: Side, stanza: &Stanza) -> bool {
    let (mut is_private, mut is_conversation) = (false, matches!(stanza.ty, Type::Chat | Type::Error));
    for node in stanza.children() {
        match (node.ns(), node.name()) {
            (ns::CARBONS, "private") => is_private = true,
            // Hints in errors are those of the message in question (XEP-0334 §5).
            (ns::HINTS, "no-copy") => is_private |= stanza.ty != Type::Error,
            (linnet_xmpp::ns::CLIENT, "body") => is_conversation |= stanza.ty == Type::Normal,
            (ns::RECEIPTS | ns::CHAT_STATES | ns::CHAT_MARKERS, _) | (ns::CONFERENCE, "x") => is_conversation = true,
            (ns::MUC_USER, "x") if node.child("invite", ns::MUC_USER).is_some() => is_conversation = true,
            // From a participant of a room: the room has given it to all sessions that are in it.
            (ns::MUC_USER, "x") => {
                let from = stanza.from.as_ref();
                is_private |= side == Side::In && from.is_some_and(|from| !from.is_bare());
            }
            _ => {}
        }
    }
    stanza.ty != Type::Groupchat && is_conversation && !is_private
}

#[cfg(test)]
mod tests {
    use super::*;
    use linnet_xmpp::Jid;

    fn eligible(side: Side, ty: Type, content: &'static str) -> bool {
        let from = Jid::parse("room@muc.example.org/witch").unwrap();
        is_eligible(side, &Stanza::new(Kind::Message, ty, Bytes::from_static(content.as_bytes())).from(from))
    }

    /// XEP-0280 §6.1, rule by rule.
    #[test]
    fn rules() {
        let both = |ty, content| {
            assert_eq!(eligible(Side::In, ty, content), eligible(Side::Out, ty, content), "{content}");
            eligible(Side::In, ty, content)
        };
        assert!(both(Type::Chat, "<x xmlns='urn:example'/>"));
        assert!(both(Type::Normal, "<body>a</body>"));
        assert!(!both(Type::Normal, "<x xmlns='urn:example'/>"));
        assert!(!both(Type::Headline, "<body>a</body>"));
        for content in [
            "<received xmlns='urn:xmpp:receipts' id='1'/>",
            "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
            "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
            "<x xmlns='jabber:x:conference' jid='room@muc.example.org'/>",
            "<x xmlns='http://jabber.org/protocol/muc#user'><invite to='a@example.org'/></x>",
        ] {
            assert!(both(Type::Normal, content), "{content}");
            assert!(!both(Type::Groupchat, content), "{content}");
        }
        assert!(both(Type::Error, "<error type='cancel'/><no-copy xmlns='urn:xmpp:hints'/>"));
        assert!(!both(Type::Groupchat, "<body>a</body>"));
        assert!(!both(Type::Chat, "<body>a</body><private xmlns='urn:xmpp:carbons:2'/>"));
        assert!(!both(Type::Chat, "<body>a</body><no-copy xmlns='urn:xmpp:hints'/>"));
    }

    #[test]
    fn what_a_participant_of_a_room_wrote_is_copied_when_sent_only() {
        let content = "<body>a</body><x xmlns='http://jabber.org/protocol/muc#user'/>";
        assert!(eligible(Side::Out, Type::Chat, content));
        assert!(!eligible(Side::In, Type::Chat, content));
    }
}
