//! Message carbons (XEP-0280): turning them on and off, and the copies with the message forwarded in them (XEP-0297).

use crate::{Payload, bad_request, expect, ns};
use bytes::Bytes;
use linnet_xmpp::{
    Stanza, StanzaError,
    xml::{Node, Writer},
};

/// `<enable/>` and `<disable/>` (§4, §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the elements")]
pub enum Carbons {
    Enable,
    Disable,
}

/// What a copy is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Of a message that another session of the account sent (§8).
    Sent,
    /// Of a message that another session of the account got (§7).
    Received,
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Direction::Sent => "sent",
            Direction::Received => "received",
        }
    }

    /// Whether an element is such a copy.
    pub fn is(self, node: Node<'_>) -> bool {
        node.is(self.name(), ns::CARBONS)
    }

    /// The content of a copy. `extra`: canonical bytes behind the content of the message in it.
    pub fn wrap(self, message: &Stanza, extra: &[u8]) -> Bytes {
        let name = self.name();
        let mut out = format!("<{name} xmlns='{}'><forwarded xmlns='{}'>", ns::CARBONS, ns::FORWARD).into_bytes();
        message.write(Some(linnet_xmpp::ns::CLIENT), None, extra, &mut out);
        out.extend_from_slice(format!("</forwarded></{name}>").as_bytes());
        out.into()
    }
}

impl Payload for Carbons {
    fn read(node: Node<'_>) -> Result<Carbons, StanzaError> {
        match node.name() {
            "enable" => expect(node, "enable", ns::CARBONS).map(|()| Carbons::Enable),
            "disable" => expect(node, "disable", ns::CARBONS).map(|()| Carbons::Disable),
            _ => Err(bad_request("carbons are enabled or disabled")),
        }
    }

    fn write(&self, out: &mut Writer) {
        let name = if *self == Carbons::Enable { "enable" } else { "disable" };
        out.open(name, ns::CARBONS).close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{parse, read, refused, written};
    use linnet_xmpp::{
        Jid,
        stanza::{Kind, Type},
    };

    #[test]
    fn on_and_off() {
        for xml in ["<enable xmlns='urn:xmpp:carbons:2'/>", "<disable xmlns='urn:xmpp:carbons:2'/>"] {
            assert_eq!(written(&read::<Carbons>(xml).unwrap()), xml);
        }
        assert!(refused::<Carbons>("<private xmlns='urn:xmpp:carbons:2'/>").is_some());
        assert!(refused::<Carbons>("<enable xmlns='urn:xmpp:carbons:1'/>").is_some());
    }

    /// After XEP-0280 example 13.
    #[test]
    fn a_copy_has_the_message_in_it() {
        let message = Stanza::new(Kind::Message, Type::Chat, "<body>fair saint</body>".into())
            .from(Jid::parse("romeo@montague.example/home").unwrap())
            .to(Jid::parse("juliet@capulet.example/balcony").unwrap());
        let content = Direction::Sent.wrap(&message, b"<stanza-id xmlns='urn:xmpp:sid:0' by='a' id='1'/>");
        let document = parse(std::str::from_utf8(&content).unwrap());
        assert!(Direction::Sent.is(document.root()) && !Direction::Received.is(document.root()));
        let inner = document.root().child("forwarded", ns::FORWARD).and_then(|node| node.children().next()).unwrap();
        assert!(inner.is("message", linnet_xmpp::ns::CLIENT));
        assert_eq!(inner.attr("to").as_deref(), Some("juliet@capulet.example/balcony"));
        assert_eq!(inner.child("body", linnet_xmpp::ns::CLIENT).unwrap().text(), "fair saint");
        assert!(inner.child("stanza-id", ns::STANZA_ID).is_some());
    }
}
