//! Software version (XEP-0092).

use crate::{Payload, child_text, expect, ns};
use linnet_xmpp::{
    StanzaError,
    xml::{Node, Writer},
};

/// `<query/>`: the question is empty, the answer has name and version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// The software's name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The operating system, if it is told.
    pub os: Option<String>,
}

impl Payload for Version {
    fn read(node: Node<'_>) -> Result<Version, StanzaError> {
        expect(node, "query", ns::VERSION)?;
        let text = |name| child_text(node, name, ns::VERSION);
        Ok(Version { name: text("name"), version: text("version"), os: text("os") })
    }

    fn write(&self, out: &mut Writer) {
        out.open("query", ns::VERSION);
        for (name, text) in [("name", &self.name), ("version", &self.version), ("os", &self.os)] {
            if let Some(text) = text {
                out.leaf(name, ns::VERSION, text);
            }
        }
        out.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, written};

    /// XEP-0092 examples 1 and 2.
    #[test]
    fn question_and_answer() {
        assert_eq!(written(&Version::default()), "<query xmlns='jabber:iq:version'/>");
        let answer = "<query xmlns='jabber:iq:version'><name>Exodus</name><version>0.7.0.4</version>\
                      <os>Windows-XP 5.01.2600</os></query>";
        assert_eq!(written(&read::<Version>(answer).unwrap()), answer);
    }
}
