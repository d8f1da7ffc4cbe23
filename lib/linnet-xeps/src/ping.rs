//! Ping (XEP-0199): an empty question whose answer is an empty result.

use crate::{Payload, expect, ns};
use linnet_xmpp::{
    StanzaError,
    xml::{Node, Writer},
};

/// `<ping/>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping;

impl Payload for Ping {
    fn read(node: Node<'_>) -> Result<Ping, StanzaError> {
        expect(node, "ping", ns::PING)?;
        Ok(Ping)
    }

    fn write(&self, out: &mut Writer) {
        out.open("ping", ns::PING).close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_is_empty() {
        assert_eq!(crate::fixture::written(&Ping), "<ping xmlns='urn:xmpp:ping'/>");
    }
}
