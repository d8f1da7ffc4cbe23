//! Delayed delivery (XEP-0203): when a stanza was first sent, and who held it.

use crate::{Payload, bad_request, datetime, expect, jid_attr, ns, required};
use linnet_xmpp::{
    Jid, StanzaError,
    xml::{Node, Writer},
};
use std::time::SystemTime;

/// `<delay/>`. Whoever reads one checks `from` before believing it: only the own server or a room stamps for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delay {
    /// Who held the stanza.
    pub from: Option<Jid>,
    /// When it was first sent; told to the millisecond.
    pub stamp: SystemTime,
    /// Why, for people.
    pub reason: Option<String>,
}

impl Payload for Delay {
    fn read(node: Node<'_>) -> Result<Delay, StanzaError> {
        expect(node, "delay", ns::DELAY)?;
        let stamp = datetime::parse(&required(node, "stamp")?).ok_or_else(|| bad_request("the stamp is no time"))?;
        let reason = node.text();
        let reason = (!reason.is_empty()).then(|| reason.into_owned());
        Ok(Delay { from: jid_attr(node, "from")?, stamp, reason })
    }

    fn write(&self, out: &mut Writer) {
        out.open("delay", ns::DELAY)
            .attr_opt("from", self.from.as_ref().map(Jid::as_str))
            .attr("stamp", &datetime::format_ms(self.stamp));
        if let Some(reason) = &self.reason {
            out.text(reason);
        }
        out.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, refused, written};

    /// XEP-0203 example 1.
    #[test]
    fn a_stamp_is_read_and_written() {
        let delay = read::<Delay>(
            "<delay xmlns='urn:xmpp:delay' from='capulet.com' stamp='2002-09-10T23:08:25Z'>Offline Storage</delay>",
        )
        .unwrap();
        assert_eq!(delay.reason.as_deref(), Some("Offline Storage"));
        assert!(written(&delay).contains("stamp='2002-09-10T23:08:25.000Z'"));
        assert!(refused::<Delay>("<delay xmlns='urn:xmpp:delay'/>").is_some());
        assert!(refused::<Delay>("<delay xmlns='urn:xmpp:delay' stamp='20020910T23:08:25'/>").is_some());
    }
}
