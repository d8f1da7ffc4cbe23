//! The text of a message for searches (XEP-0431): what a person wrote and can read.

use super::rules;
use bytes::Bytes;
use linnet_xeps::hints::Hints;
use linnet_xmpp::{Stanza, ns};
use store::search::BREAK;

/// The bodies in all languages, and subjects. None of what is encrypted, where the body only says so, nor of what will not
/// stay: an index forgets more slowly.
pub(super) fn of(body: &Bytes) -> Option<String> {
    let stanza = Stanza::from_bytes(body.clone())?;
    let hints = Hints::of(&stanza);
    if hints.no_store || hints.no_permanent_store || stanza.children().any(rules::is_encrypted) {
        return None;
    }
    let mut text = String::new();
    for node in stanza.children().filter(|node| node.is("body", ns::CLIENT) || node.is("subject", ns::CLIENT)) {
        if !text.is_empty() {
            text.push(BREAK);
        }
        text.push_str(&node.text());
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    fn of(content: &str) -> Option<String> {
        super::of(&format!("<message from='a@b' to='c@d' type='chat'>{content}</message>").into())
    }

    #[test]
    fn what_a_person_can_read() {
        assert_eq!(of("<body>a &amp; b</body>").as_deref(), Some("a & b"));
        let several = "<subject>s</subject><body>one</body><body xml:lang='de'>eins</body><thread>t</thread>";
        assert_eq!(of(several).as_deref(), Some("s\u{e000}one\u{e000}eins"));
        assert_eq!(of("<x xmlns='urn:example:x'><body>no</body></x>"), None);
        assert_eq!(of("<body>I sent you a secret</body><encrypted xmlns='urn:xmpp:omemo:2'/>"), None);
        assert_eq!(of("<body>a</body><no-permanent-store xmlns='urn:xmpp:hints'/>"), None);
        assert_eq!(super::of(&"<message".into()), None);
    }
}
