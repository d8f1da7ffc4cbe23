//! Which chats may disturb their user, as his bookmarks say (XEP-0492), and what mentions him.

use crate::bookmarks;
use kernel::Account;
use linnet_xeps::{notify::Setting, ns};
use linnet_xmpp::{Jid, Stanza};

/// Whether messages of a chat between two people may disturb: always, where nothing is said (§3). What can be woken is a
/// phone, whichever it is.
fn setting(account: &Account, other: &Jid) -> Setting {
    let said = bookmarks::notify(account, other);
    said.and_then(|notify| notify.for_client("client", "phone")).unwrap_or(Setting::Always)
}

/// Whether a message of a chat may disturb the account's user.
pub(super) fn allow(account: &Account, other: &Jid, message: &Stanza) -> bool {
    match setting(account, other) {
        Setting::Always => true,
        Setting::OnMention => mentions(&account.address, message),
        Setting::Never => false,
    }
}

/// Whether a message of a room may disturb. In rooms people are called by nickname.
pub(super) fn allow_in_room(account: &Account, room: &Jid, nick: Option<&str>, message: &Stanza) -> bool {
    let body = || message.child("body", linnet_xmpp::ns::CLIENT).map(|body| body.text().into_owned());
    let is_called = |nick: &str| body().is_some_and(|body| has_word(&body, nick));
    match setting(account, room) {
        Setting::Always => true,
        Setting::OnMention => mentions(&account.address, message) || nick.is_some_and(is_called),
        Setting::Never => false,
    }
}

/// Whether a message names a user: by a reference to him (XEP-0372 §3.2), as an answer to him (XEP-0461 §3.1), or in its
/// text by the part of his address before the `@` (§3 allows it).
fn mentions(user: &Jid, message: &Stanza) -> bool {
    message.children().any(|node| match (node.ns(), node.name()) {
        ("urn:xmpp:reference:0", "reference") => {
            let uri = node.attr("uri").unwrap_or_default();
            uri.strip_prefix("xmpp:").is_some_and(|address| is_user(user, address.split(['?', ';']).next()))
        }
        ("urn:xmpp:reply:0", "reply") => is_user(user, node.attr("to").as_deref()),
        (linnet_xmpp::ns::CLIENT, "body") => user.local().is_some_and(|name| has_word(&node.text(), name)),
        _ => false,
    })
}

fn is_user(user: &Jid, address: Option<&str>) -> bool {
    address.and_then(|address| Jid::parse(address).ok()).is_some_and(|jid| jid.bare_str() == user.as_str())
}

fn has_word(text: &str, word: &str) -> bool {
    let (text, word) = (text.to_lowercase(), word.to_lowercase());
    text.match_indices(&word).any(|(place, found)| {
        let before = text[..place].chars().next_back();
        let after = text[place + found.len()..].chars().next();
        ![before, after].into_iter().flatten().any(char::is_alphanumeric)
    })
}

/// Whether a message has content that its user wants to see at once: a text, something encrypted, or a call. App servers
/// send a notification that says so with a higher priority.
pub(super) fn is_important(message: &Stanza) -> bool {
    message.children().any(|node| match (node.ns(), node.name()) {
        (linnet_xmpp::ns::CLIENT, "body") => !node.text().is_empty(),
        (ns::JINGLE_MESSAGE, "propose") => true,
        _ => crate::archive::is_encrypted(node),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use linnet_xmpp::stanza::{Kind, Type};

    fn message(content: &'static str) -> Stanza {
        Stanza::new(Kind::Message, Type::Chat, content.into())
    }

    #[test]
    fn a_mention_is_a_word_a_reference_or_an_answer() {
        let romeo = Jid::parse("romeo@example.org").unwrap();
        for content in [
            "<body>O Romeo, Romeo!</body>",
            "<body>ask @romeo</body>",
            "<reference xmlns='urn:xmpp:reference:0' type='mention' uri='xmpp:romeo@example.org'/>",
            "<reply xmlns='urn:xmpp:reply:0' to='romeo@example.org/orchard' id='1'/>",
        ] {
            assert!(mentions(&romeo, &message(content)), "{content}");
        }
        for content in [
            "<body>romeos</body>",
            "<body>a letter</body>",
            "<reference xmlns='urn:xmpp:reference:0' uri='xmpp:paris@example.org'/>",
            "<reply xmlns='urn:xmpp:reply:0' to='paris@example.org' id='1'/>",
        ] {
            assert!(!mentions(&romeo, &message(content)), "{content}");
        }
    }

    #[test]
    fn what_is_important() {
        for content in [
            "<body>a</body>",
            "<encrypted xmlns='eu.siacs.conversations.axolotl'/>",
            "<encrypted xmlns='urn:xmpp:omemo:2'/>",
            "<openpgp xmlns='urn:xmpp:openpgp:0'/>",
            "<x xmlns='jabber:x:encrypted'/>",
            "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>",
        ] {
            assert!(is_important(&message(content)), "{content}");
        }
        for content in
            ["<body/>", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", "<x xmlns='jabber:x:conference'/>"]
        {
            assert!(!is_important(&message(content)), "{content}");
        }
    }
}
