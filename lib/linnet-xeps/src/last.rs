//! Last activity (XEP-0012).

use crate::{Payload, bad_request, expect, ns};
use linnet_xmpp::{
    StanzaError,
    xml::{Node, Writer},
};

/// `<query/>`: the question has no seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Last {
    /// Seconds since the last log-out (account), since the last act (resource), or since the start (server).
    pub seconds: Option<u64>,
    /// The status of the last unavailable presence.
    pub status: Option<String>,
}

impl Payload for Last {
    fn read(node: Node<'_>) -> Result<Last, StanzaError> {
        expect(node, "query", ns::LAST)?;
        let seconds = match node.attr("seconds") {
            Some(text) => Some(text.parse().map_err(|_| bad_request("seconds must be a number"))?),
            None => None,
        };
        let status = node.text();
        let status = (!status.trim().is_empty()).then(|| status.into_owned());
        Ok(Last { seconds, status })
    }

    fn write(&self, out: &mut Writer) {
        out.open("query", ns::LAST);
        if let Some(seconds) = self.seconds {
            out.attr("seconds", &seconds.to_string());
        }
        if let Some(status) = &self.status {
            out.text(status);
        }
        out.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, refused, written};

    /// XEP-0012 examples 1 and 5.
    #[test]
    fn question_and_answer() {
        assert_eq!(written(&Last::default()), "<query xmlns='jabber:iq:last'/>");
        let answer = "<query xmlns='jabber:iq:last' seconds='903'>Heading Home</query>";
        let last = read::<Last>(answer).unwrap();
        assert_eq!((last.seconds, last.status.as_deref()), (Some(903), Some("Heading Home")));
        assert_eq!(written(&last), answer);
        assert!(refused::<Last>("<query xmlns='jabber:iq:last' seconds='-1'/>").is_some());
    }
}
