//! Nicknames: which are allowed, and which are the same.

use super::limits;
use linnet_xmpp::{StanzaError, jid::nickname, stanza::Condition};
use unicode_security::skeleton;

/// The form in which a nickname is compared: without regard to case, width and spaces around it (RFC 8266), and letters
/// that look alike are one (UTS 39 §4), so that nobody passes for somebody else (XEP-0045 §14.6).
///
/// # Errors
/// jid-malformed for what is empty or invisible (XEP-0045 §17.1), not-acceptable for what is too long.
pub(super) fn key(nick: &str) -> Result<Box<str>, StanzaError> {
    if nick.len() > limits::NICK_BYTES {
        return Err(StanzaError::new(Condition::NotAcceptable).text("the nickname is too long"));
    }
    let malformed = || StanzaError::new(Condition::JidMalformed).text("this is no nickname");
    let key = nickname::comparable(nick).map_err(|_| malformed())?;
    if key.chars().all(|char| char.is_whitespace() || char.is_control()) {
        return Err(malformed());
    }
    Ok(skeleton(&key).collect::<String>().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nicknames() {
        assert_eq!(key("OldHag").unwrap(), key("oldhag").unwrap());
        assert_eq!(key(" old  hag ").unwrap(), key("old hag").unwrap());
        assert_eq!(key("oldhag").unwrap(), key("оldhаg").unwrap(), "Cyrillic letters");
        assert_ne!(key("oldhag").unwrap(), key("old hag").unwrap());
        assert_eq!(key("   ").unwrap_err().condition, Condition::JidMalformed);
        assert_eq!(key(&"a".repeat(300)).unwrap_err().condition, Condition::NotAcceptable);
    }
}
