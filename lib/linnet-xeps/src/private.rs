//! Private XML storage (XEP-0049): elements that a user keeps at his server, each under its name and namespace.

use crate::{Payload, expect, not_acceptable, ns};
use bytes::Bytes;
use linnet_xmpp::{
    StanzaError,
    xml::{Node, Writer},
};

/// `<query/>` with the elements to store, or with one empty element that says which is wanted (§2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Private {
    /// At least one.
    pub entries: Vec<Entry>,
}

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub ns: String,
    /// The whole element, canonical under `jabber:client`.
    pub xml: Bytes,
}

impl Private {
    /// The one element that a get asks for; not-acceptable where there are more (§2.3).
    pub fn wanted(&self) -> Result<&Entry, StanzaError> {
        match &self.entries[..] {
            [entry] => Ok(entry),
            _ => Err(not_acceptable("one element at a time")),
        }
    }
}

impl Payload for Private {
    /// not-acceptable without an element of a namespace of its own (§2.3).
    fn read(node: Node<'_>) -> Result<Private, StanzaError> {
        expect(node, "query", ns::PRIVATE)?;
        let mut entries = Vec::new();
        for child in node.children() {
            if matches!(child.ns(), "" | ns::PRIVATE | linnet_xmpp::ns::CLIENT | linnet_xmpp::ns::SERVER) {
                return Err(not_acceptable("an element without a namespace of its own"));
            }
            let xml = child.to_bytes(linnet_xmpp::ns::CLIENT);
            entries.push(Entry { name: child.name().to_owned(), ns: child.ns().to_owned(), xml });
        }
        if entries.is_empty() { Err(not_acceptable("no element")) } else { Ok(Private { entries }) }
    }

    /// Writes each entry as it is: its namespace is its own, so the query's does not matter to it.
    fn write(&self, out: &mut Writer) {
        out.open("query", ns::PRIVATE);
        for entry in &self.entries {
            out.raw(&entry.xml);
        }
        out.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, refused, written};
    use linnet_xmpp::stanza::Condition;

    /// XEP-0049 example 1.
    #[test]
    fn elements_are_kept() {
        let xml = "<query xmlns='jabber:iq:private'><exodus xmlns='exodus:prefs'>\
                   <defaultnick>Hamlet</defaultnick></exodus></query>";
        let private = read::<Private>(xml).unwrap();
        let entry = private.wanted().unwrap();
        assert_eq!((&*entry.name, &*entry.ns), ("exodus", "exodus:prefs"));
        assert_eq!(written(&private), xml);
    }

    #[test]
    fn elements_need_a_namespace() {
        for xml in [
            "<query xmlns='jabber:iq:private'/>",
            "<query xmlns='jabber:iq:private'><x/></query>",
            "<query xmlns='jabber:iq:private'><x xmlns=''/></query>",
        ] {
            assert_eq!(refused::<Private>(xml), Some(Condition::NotAcceptable), "{xml}");
        }
        let two = "<query xmlns='jabber:iq:private'><x xmlns='a'/><x xmlns='b'/></query>";
        assert!(read::<Private>(two).unwrap().wanted().is_err());
    }
}
