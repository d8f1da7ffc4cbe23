//! Message processing hints (XEP-0334).

use crate::{Payload, bad_request, ns};
use linnet_xmpp::{
    Stanza, StanzaError,
    xml::{Node, Writer},
};

/// One hint, an empty element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// Not in an archive (§4.1).
    NoPermanentStore,
    /// Nowhere, not even until the recipient is back (§4.2).
    NoStore,
    /// To one resource only (§4.3).
    NoCopy,
    /// In the archive, though it would not be by other rules (§4.4).
    Store,
}

/// The hints of a stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names of the hints")]
pub struct Hints {
    pub no_permanent_store: bool,
    pub no_store: bool,
    pub no_copy: bool,
    pub store: bool,
}

impl Hint {
    /// The element's name.
    pub fn name(self) -> &'static str {
        match self {
            Hint::NoPermanentStore => "no-permanent-store",
            Hint::NoStore => "no-store",
            Hint::NoCopy => "no-copy",
            Hint::Store => "store",
        }
    }
}

impl Hints {
    /// Collects the hints of a stanza; those that are not known are passed over.
    pub fn of(stanza: &Stanza) -> Hints {
        let mut hints = Hints::default();
        for hint in stanza.children().filter(|child| child.ns() == ns::HINTS) {
            match Hint::read(hint) {
                Ok(Hint::NoPermanentStore) => hints.no_permanent_store = true,
                Ok(Hint::NoStore) => hints.no_store = true,
                Ok(Hint::NoCopy) => hints.no_copy = true,
                Ok(Hint::Store) => hints.store = true,
                Err(_) => {}
            }
        }
        hints
    }
}

impl Payload for Hint {
    fn read(node: Node<'_>) -> Result<Hint, StanzaError> {
        [Hint::NoPermanentStore, Hint::NoStore, Hint::NoCopy, Hint::Store]
            .into_iter()
            .find(|hint| node.is(hint.name(), ns::HINTS))
            .ok_or_else(|| bad_request("not a hint"))
    }

    fn write(&self, out: &mut Writer) {
        out.open(self.name(), ns::HINTS).close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::written;
    use linnet_xmpp::stanza::{Kind, Type};

    #[test]
    fn hints_of_a_stanza() {
        assert_eq!(written(&Hint::NoStore), "<no-store xmlns='urn:xmpp:hints'/>");
        let content = "<body>x</body><no-copy xmlns='urn:xmpp:hints'/><no-store xmlns='urn:xmpp:hints'/>\
                       <other xmlns='urn:xmpp:hints'/><store xmlns='urn:other'/>";
        let stanza = Stanza::new(Kind::Message, Type::Chat, content.into());
        assert_eq!(Hints::of(&stanza), Hints { no_copy: true, no_store: true, ..Hints::default() });
    }
}
