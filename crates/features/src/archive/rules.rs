//! Which messages belong into an archive (XEP-0313 §6.1.1): what people said, and what changes what they said, so that
//! another device ends up with the same picture. The hints of XEP-0334 go first.

use linnet_xeps::{hints::Hints, ns};
use linnet_xmpp::{Stanza, stanza::Type, xml::Node};

pub(crate) fn is_worth_keeping(stanza: &Stanza) -> bool {
    let is_conversation = match stanza.ty {
        Type::Normal | Type::Chat => true,
        Type::Headline => false,
        _ => return false,
    };
    let hints = Hints::of(stanza);
    if hints.no_store || hints.no_permanent_store {
        return false;
    }
    hints.store || is_conversation && stanza.children().any(is_content)
}

/// A payload for which a message is kept.
fn is_content(node: Node<'_>) -> bool {
    match (node.ns(), node.name()) {
        (linnet_xmpp::ns::CLIENT, "body") => true,
        // Corrections (0308), retractions (0424, with the fastening of its first version), reactions (0444).
        ("urn:xmpp:message-correct:0", "replace") => true,
        ("urn:xmpp:message-retract:0" | "urn:xmpp:message-retract:1", "retract") => true,
        ("urn:xmpp:fasten:0", "apply-to") => true,
        ("urn:xmpp:reactions:0", "reactions") => true,
        // That something was read or has arrived; not the wish to be told so.
        (ns::CHAT_MARKERS, name) => name != "markable",
        (ns::RECEIPTS, "received") => true,
        _ if is_encrypted(node) => true,
        // Invitations to rooms, direct (0249) and mediated (0045 §7.8.2), and what became of them.
        (ns::CONFERENCE, "x") => true,
        (ns::MUC_USER, "x") => ["invite", "decline"].iter().any(|name| node.child(name, ns::MUC_USER).is_some()),
        // Calls (0353).
        ("urn:xmpp:jingle-message:0" | "urn:xmpp:jingle-message:1", _) => true,
        _ => false,
    }
}

/// Whether a payload is content that only its receivers can read: OMEMO in both forms (0384), OX (0373), OpenPGP (0027).
pub(crate) fn is_encrypted(node: Node<'_>) -> bool {
    matches!(
        (node.ns(), node.name()),
        ("eu.siacs.conversations.axolotl" | "urn:xmpp:omemo:1" | "urn:xmpp:omemo:2", "encrypted")
            | ("urn:xmpp:openpgp:0", "openpgp")
            | ("jabber:x:encrypted", "x")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use linnet_xmpp::stanza::Kind;

    fn keeps(ty: Type, content: &'static str) -> bool {
        is_worth_keeping(&Stanza::new(Kind::Message, ty, content.into()))
    }

    #[test]
    fn what_is_kept() {
        for content in [
            "<body>a</body>",
            "<replace xmlns='urn:xmpp:message-correct:0' id='1'/>",
            "<retract xmlns='urn:xmpp:message-retract:1' id='1'/>",
            "<reactions xmlns='urn:xmpp:reactions:0' id='1'/>",
            "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
            "<received xmlns='urn:xmpp:receipts' id='1'/>",
            "<encrypted xmlns='eu.siacs.conversations.axolotl'/>",
            "<encrypted xmlns='urn:xmpp:omemo:2'/>",
            "<openpgp xmlns='urn:xmpp:openpgp:0'/>",
            "<x xmlns='jabber:x:conference' jid='a@b'/>",
            "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='a@b'/></x>",
            "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>",
        ] {
            assert!(keeps(Type::Chat, content) && keeps(Type::Normal, content), "{content}");
            assert!(!keeps(Type::Headline, content) && !keeps(Type::Groupchat, content), "{content}");
            assert!(!keeps(Type::Error, content), "{content}");
        }
        for content in [
            "",
            "<subject>a</subject>",
            "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
            "<markable xmlns='urn:xmpp:chat-markers:0'/>",
            "<request xmlns='urn:xmpp:receipts'/>",
            "<x xmlns='http://jabber.org/protocol/muc#user'/>",
        ] {
            assert!(!keeps(Type::Chat, content), "{content}");
        }
    }

    /// XEP-0334 §4, §5.
    #[test]
    fn hints_go_first() {
        let store = "<active xmlns='http://jabber.org/protocol/chatstates'/><store xmlns='urn:xmpp:hints'/>";
        assert!(keeps(Type::Chat, store) && keeps(Type::Headline, store));
        assert!(!keeps(Type::Error, store) && !keeps(Type::Groupchat, store));
        assert!(!keeps(Type::Chat, "<body>a</body><no-store xmlns='urn:xmpp:hints'/>"));
        assert!(!keeps(Type::Chat, "<body>a</body><no-permanent-store xmlns='urn:xmpp:hints'/>"));
    }
}
