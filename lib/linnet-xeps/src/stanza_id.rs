//! Unique and stable ids (XEP-0359): the id that a server gave, and the id that the sender gave.

use crate::{Payload, bad_request, expect, jid_attr, ns, required};
use linnet_xmpp::{
    Jid, StanzaError,
    xml::{Node, Writer},
};

/// `<stanza-id/>`. A server takes out every one that claims to be by itself before it adds its own (§3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StanzaId {
    /// The id, unique for `by`.
    pub id: String,
    /// Who gave it.
    pub by: Jid,
}

/// `<origin-id/>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginId {
    /// The id, unique for the sender.
    pub id: String,
}

impl StanzaId {
    /// Whether an element is a stanza id that names `by`. Also true where the address does not parse but its text is
    /// the same, so that a forged one does not pass by being odd.
    pub fn claims(node: Node<'_>, by: &Jid) -> bool {
        node.is("stanza-id", ns::STANZA_ID)
            && node
                .attr("by")
                .is_some_and(|text| &*text == by.as_str() || Jid::parse(&text).is_ok_and(|jid| jid == *by))
    }
}

impl Payload for StanzaId {
    fn read(node: Node<'_>) -> Result<StanzaId, StanzaError> {
        expect(node, "stanza-id", ns::STANZA_ID)?;
        let by = jid_attr(node, "by")?.ok_or_else(|| bad_request("the attribute by is missing"))?;
        Ok(StanzaId { id: required(node, "id")?, by })
    }

    fn write(&self, out: &mut Writer) {
        out.open("stanza-id", ns::STANZA_ID).attr("id", &self.id).attr("by", self.by.as_str()).close();
    }
}

impl Payload for OriginId {
    fn read(node: Node<'_>) -> Result<OriginId, StanzaError> {
        expect(node, "origin-id", ns::STANZA_ID)?;
        Ok(OriginId { id: required(node, "id")? })
    }

    fn write(&self, out: &mut Writer) {
        out.open("origin-id", ns::STANZA_ID).attr("id", &self.id).close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{parse, read, refused, written};

    #[test]
    fn both_ids() {
        let id = "<stanza-id xmlns='urn:xmpp:sid:0' id='5f3dbc5e' by='room@muc.example.org'/>";
        assert_eq!(written(&read::<StanzaId>(id).unwrap()), id);
        let origin = "<origin-id xmlns='urn:xmpp:sid:0' id='de305d54'/>";
        assert_eq!(written(&read::<OriginId>(origin).unwrap()), origin);
        assert!(refused::<StanzaId>("<stanza-id xmlns='urn:xmpp:sid:0' id='5f3dbc5e'/>").is_some());
        assert!(refused::<OriginId>("<origin-id xmlns='urn:xmpp:sid:0'/>").is_some());
    }

    #[test]
    fn a_claim_is_seen_through_other_spelling() {
        let by = Jid::parse("room@muc.example.org").unwrap();
        let claims = |xml: &str| StanzaId::claims(parse(xml).root(), &by);
        assert!(claims("<stanza-id xmlns='urn:xmpp:sid:0' by='ROOM@MUC.example.org'/>"));
        assert!(!claims("<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='other@muc.example.org'/>"));
        assert!(!claims("<stanza-id xmlns='urn:xmpp:sid:1' id='1' by='room@muc.example.org'/>"));
    }
}
