//! vcard-temp (XEP-0054): kept whole, not understood.

use crate::{Payload, child_text, expect, ns};
use bytes::Bytes;
use linnet_xmpp::{
    StanzaError,
    xml::{Node, Writer},
};

/// `<vCard/>`: the question is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VCard {
    /// The whole element, canonical under `jabber:client`.
    pub xml: Bytes,
    /// `FN`, the name for people, for logs and lists.
    pub full_name: Option<String>,
}

impl VCard {
    /// The question.
    pub fn question() -> VCard {
        VCard { xml: Bytes::from_static(b"<vCard xmlns='vcard-temp'/>"), full_name: None }
    }
}

impl Payload for VCard {
    fn read(node: Node<'_>) -> Result<VCard, StanzaError> {
        expect(node, "vCard", ns::VCARD)?;
        Ok(VCard { xml: node.to_bytes(linnet_xmpp::ns::CLIENT), full_name: child_text(node, "FN", ns::VCARD) })
    }

    /// Writes under the default namespace `jabber:client`, for which `xml` was made.
    fn write(&self, out: &mut Writer) {
        out.raw(&self.xml);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, written};

    #[test]
    fn content_is_kept() {
        let xml = "<vCard xmlns='vcard-temp'><FN>Peter Saint-Andre</FN><N><FAMILY>Saint-Andre</FAMILY></N>\
                   <X-OWN xmlns='urn:x'>&lt;</X-OWN></vCard>";
        let card = read::<VCard>(xml).unwrap();
        assert_eq!(card.full_name.as_deref(), Some("Peter Saint-Andre"));
        assert_eq!(written(&card), xml);
        written(&VCard::question());
    }
}
