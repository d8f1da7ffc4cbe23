//! How far a chat was read, told to one's own devices (XEP-0490).

use crate::{Payload, bad_request, expect, ns, stanza_id::StanzaId};
use linnet_xmpp::{
    StanzaError,
    xml::{Node, Writer},
};

/// `<displayed/>`: everything up to this message was displayed (§4.1). The id of its item is the address of the chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Displayed {
    /// The newest message that was displayed.
    pub stanza_id: StanzaId,
}

impl Payload for Displayed {
    /// bad-request unless there is exactly one id.
    fn read(node: Node<'_>) -> Result<Displayed, StanzaError> {
        expect(node, "displayed", ns::DISPLAYED)?;
        let mut ids = node.children().filter(|child| child.is("stanza-id", ns::STANZA_ID));
        match (ids.next(), ids.next()) {
            (Some(id), None) => Ok(Displayed { stanza_id: StanzaId::read(id)? }),
            _ => Err(bad_request("one stanza-id, and one only")),
        }
    }

    fn write(&self, out: &mut Writer) {
        out.open("displayed", ns::DISPLAYED);
        self.stanza_id.write(out);
        out.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, refused, written};

    /// XEP-0490 example 1.
    #[test]
    fn one_id() {
        let id = "<stanza-id xmlns='urn:xmpp:sid:0' id='0f710f2b' by='juliet@capulet.lit'/>";
        let with = |inner: &str| format!("<displayed xmlns='urn:xmpp:mds:displayed:0'>{inner}</displayed>");
        assert_eq!(written(&read::<Displayed>(&with(id)).unwrap()), with(id));
        for inner in ["", &id.repeat(2), "<stanza-id xmlns='urn:xmpp:sid:0' id='1'/>"] {
            assert!(refused::<Displayed>(&with(inner)).is_some(), "{inner}");
        }
    }
}
