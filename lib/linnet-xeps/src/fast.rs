//! Tokens for logging in again (XEP-0484): what a client asks for in `<authenticate/>`, and what it gets in `<success/>`.

use crate::{Payload, bad_request, datetime, expect, ns, required};
use linnet_xmpp::{
    StanzaError,
    xml::{Node, Writer},
};
use std::time::SystemTime;

/// `<request-token/>` (§3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestToken {
    /// With which mechanism it is to be used.
    pub mechanism: String,
}

/// `<fast/>` of a client that logs in by a token (§3.4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fast {
    /// How often this token has been used; needed in early data of TLS only.
    pub count: Option<u32>,
    /// The token is not to be used any more (§3.6).
    pub invalidate: bool,
}

/// `<token/>` (§3.3).
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The secret.
    pub token: String,
    /// Until when it can be used.
    pub expiry: SystemTime,
}

impl Payload for RequestToken {
    fn read(node: Node<'_>) -> Result<RequestToken, StanzaError> {
        expect(node, "request-token", ns::FAST)?;
        Ok(RequestToken { mechanism: required(node, "mechanism")? })
    }

    fn write(&self, out: &mut Writer) {
        out.open("request-token", ns::FAST).attr("mechanism", &self.mechanism).close();
    }
}

impl Payload for Fast {
    fn read(node: Node<'_>) -> Result<Fast, StanzaError> {
        expect(node, "fast", ns::FAST)?;
        let count = node.attr("count").map(|count| count.parse().map_err(|_| bad_request("count is no number")));
        let invalidate = node.attr("invalidate").is_some_and(|value| matches!(&*value, "1" | "true"));
        Ok(Fast { count: count.transpose()?, invalidate })
    }

    fn write(&self, out: &mut Writer) {
        let count = self.count.map(|count| count.to_string());
        out.open("fast", ns::FAST).attr_opt("count", count.as_deref());
        out.attr_opt("invalidate", self.invalidate.then_some("true")).close();
    }
}

impl Payload for Token {
    fn read(node: Node<'_>) -> Result<Token, StanzaError> {
        expect(node, "token", ns::FAST)?;
        let expiry = datetime::parse(&required(node, "expiry")?).ok_or_else(|| bad_request("expiry is no time"))?;
        Ok(Token { token: required(node, "token")?, expiry })
    }

    fn write(&self, out: &mut Writer) {
        let expiry = datetime::format(self.expiry);
        out.open("token", ns::FAST).attr("expiry", &expiry).attr("token", &self.token).close();
    }
}

impl std::fmt::Debug for Token {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("expiry", &self.expiry).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, refused, written};
    use linnet_xmpp::stanza::Condition;

    #[test]
    fn the_examples_of_xep0484() {
        let request: RequestToken =
            read("<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-ENDP'/>").unwrap();
        assert_eq!(request.mechanism, "HT-SHA-256-ENDP");
        let fast: Fast = read("<fast xmlns='urn:xmpp:fast:0' count='123' invalidate='true'/>").unwrap();
        assert_eq!(fast, Fast { count: Some(123), invalidate: true });
        assert_eq!(written(&fast), "<fast xmlns='urn:xmpp:fast:0' count='123' invalidate='true'/>");
        assert_eq!(written(&Fast::default()), "<fast xmlns='urn:xmpp:fast:0'/>");
        let token: Token = read("<token xmlns='urn:xmpp:fast:0' expiry='2020-03-12T14:36:15Z' token='WXZz'/>").unwrap();
        assert_eq!(written(&token), "<token xmlns='urn:xmpp:fast:0' expiry='2020-03-12T14:36:15Z' token='WXZz'/>");
        assert!(!format!("{token:?}").contains("WXZz"));
    }

    #[test]
    fn what_is_missing_or_no_number_is_refused() {
        assert_eq!(refused::<RequestToken>("<request-token xmlns='urn:xmpp:fast:0'/>"), Some(Condition::BadRequest));
        assert_eq!(refused::<Fast>("<fast xmlns='urn:xmpp:fast:0' count='x'/>"), Some(Condition::BadRequest));
        assert_eq!(
            refused::<Token>("<token xmlns='urn:xmpp:fast:0' expiry='soon' token='a'/>"),
            Some(Condition::BadRequest)
        );
    }
}
