//! Which messages matter later: what people said, and what changes what they said, so that another device ends up with
//! the same picture (XEP-0313 §6.1.1). One list decides what belongs into an archive and what wakes a phone (XEP-0357);
//! the hints of XEP-0334 go first.

use linnet_xeps::{hints::Hints, ns};
use linnet_xmpp::{Stanza, stanza::Type, xml::Node};

/// What becomes of a message, as far as its content says: preferences, block lists and settings come after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Worth {
    /// It belongs into the archives of its sender and its recipient.
    pub(crate) keep: bool,
    /// Its recipient wants to hear of it where no device of his is connected. So does, beyond the archive, what says
    /// something and may not stay (`no-permanent-store`); not what is nowhere until a device comes (`no-store`).
    pub(crate) wake: bool,
}

/// What a message is worth. Messages of rooms are worth nothing here, whatever is in them (rooms have archives of their
/// own), and neither are errors.
pub(crate) fn worth(stanza: &Stanza) -> Worth {
    let is_conversation = match stanza.ty {
        Type::Normal | Type::Chat => true,
        Type::Headline => false,
        _ => return Worth { keep: false, wake: false },
    };
    let hints = Hints::of(stanza);
    let matters = !hints.no_store && (hints.store || is_conversation && stanza.children().any(is_content));
    Worth { keep: matters && !hints.no_permanent_store, wake: matters }
}

/// Whether a message of a room belongs into the room's archive.
pub(crate) fn is_worth_keeping(stanza: &Stanza) -> bool {
    let hints = Hints::of(stanza);
    let stays = !hints.no_store && !hints.no_permanent_store;
    stays && (hints.store || stanza.children().any(is_content))
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
        // That something was read or has arrived (0333, 0184); not the wish to be told so.
        (ns::CHAT_MARKERS, name) => matches!(name, "received" | "displayed" | "acknowledged"),
        (ns::RECEIPTS, "received") => true,
        // Files without words (0447).
        ("urn:xmpp:sfs:0", "file-sharing" | "sources") => true,
        // Invitations to rooms, direct (0249) and mediated (0045 §7.8.2), and what became of them.
        (ns::CONFERENCE, "x") => true,
        (ns::MUC_USER, "x") => ["invite", "decline"].iter().any(|name| node.child(name, ns::MUC_USER).is_some()),
        // Calls (0353): that there was one, and what became of it. That a device rings is over when it is read.
        ("urn:xmpp:jingle-message:0" | "urn:xmpp:jingle-message:1", name) => name != "ringing",
        // Invitations to calls of all kinds (0482).
        ("urn:xmpp:call-invites:0", name) => matches!(name, "invite" | "retract" | "accept" | "reject" | "left"),
        _ => is_encrypted(node),
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
        worth(&Stanza::new(Kind::Message, ty, content.into())).keep
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
            "<x xmlns='http://jabber.org/protocol/muc#user'><decline to='a@b'/></x>",
            "<x xmlns='jabber:x:encrypted'>-</x>",
            "<encrypted xmlns='urn:xmpp:omemo:1'/>",
            "<acknowledged xmlns='urn:xmpp:chat-markers:0' id='1'/>",
            "<apply-to xmlns='urn:xmpp:fasten:0' id='1'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>",
            "<file-sharing xmlns='urn:xmpp:sfs:0'/>",
            "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>",
            "<proceed xmlns='urn:xmpp:jingle-message:0' id='1'/>",
            "<accept xmlns='urn:xmpp:jingle-message:0' id='1'/>",
            "<reject xmlns='urn:xmpp:jingle-message:0' id='1'/>",
            "<retract xmlns='urn:xmpp:jingle-message:0' id='1'/>",
            "<finish xmlns='urn:xmpp:jingle-message:0' id='1'/>",
            "<invite xmlns='urn:xmpp:call-invites:0'/>",
            "<left xmlns='urn:xmpp:call-invites:0' id='1'/>",
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
            "<ringing xmlns='urn:xmpp:jingle-message:0' id='1'/>",
            "<x xmlns='urn:example:x'><body xmlns='jabber:client'>a</body></x>",
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

    /// They differ only where a hint says how long something may stay.
    #[test]
    fn what_wakes_is_what_is_kept() {
        let wakes = |ty, content: &'static str| worth(&Stanza::new(Kind::Message, ty, content.into())).wake;
        for content in ["<body>a</body>", "<encrypted xmlns='urn:xmpp:omemo:2'/>", "<store xmlns='urn:xmpp:hints'/>"] {
            assert!(wakes(Type::Chat, content) && keeps(Type::Chat, content), "{content}");
            assert!(!wakes(Type::Groupchat, content) && !wakes(Type::Error, content), "{content}");
        }
        assert!(!wakes(Type::Chat, "<composing xmlns='http://jabber.org/protocol/chatstates'/>"));
        assert!(!wakes(Type::Headline, "<body>a</body>"));
        let fleeting = "<body>a</body><no-permanent-store xmlns='urn:xmpp:hints'/>";
        assert!(wakes(Type::Chat, fleeting) && !keeps(Type::Chat, fleeting));
        assert!(!wakes(Type::Chat, "<body>a</body><no-store xmlns='urn:xmpp:hints'/>"));
    }
}
