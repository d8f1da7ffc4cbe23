//! What a client wants with a login by SASL 2 (XEP-0388), and what it gets: all in one exchange, and in one segment where
//! it knows the server from before.

use super::question::Agent;
use crate::{
    ns,
    sasl::TokenMechanism,
    xml::{Document, Node},
};
use bytes::Bytes;
use std::{fmt, time::Duration};

/// What is asked for, of what the server offers.
#[derive(Debug, Clone, Default)]
pub struct Inline {
    /// What is said of the client. The id of the installation is needed for tokens.
    pub agent: Agent,
    /// A session to go on with, and how many of the server's stanzas were handled (XEP-0198 §5). It goes before binding.
    pub resume: Option<(Box<str>, u32)>,
    /// A resource (XEP-0386). Without it, binding follows as RFC 6120 §7 has it.
    pub bind: Option<InlineBind>,
    /// A token to log in with; the password is for the case that it is not taken (XEP-0484 §4.1).
    pub token: Option<Token>,
    /// Whether to ask for a token where one logs in by the password.
    pub wants_token: bool,
    /// What stood for the server's features on an earlier stream: with a token, the login goes in the segment of the
    /// stream header (XEP-0509).
    pub features_version: Option<Box<str>>,
    /// Further children of `<authenticate/>`, canonical under `jabber:client`.
    pub payloads: Bytes,
}

/// What is asked for with a resource.
#[derive(Debug, Clone, Default)]
pub struct InlineBind {
    /// With what the resource is to begin. Others see it.
    pub tag: Option<Box<str>>,
    /// What is to be enabled at once, e.g. carbons: canonical under `jabber:client`.
    pub payloads: Bytes,
}

/// A token (XEP-0484). As good as a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The secret.
    pub secret: Box<str>,
    /// By which mechanism it can be used.
    pub mechanism: TokenMechanism,
}

/// What a login by SASL 2 gave.
#[derive(Debug, Clone)]
pub struct Welcome {
    /// The whole `<success/>`.
    pub success: Document,
    /// For [`Inline::features_version`] of the next stream.
    pub features_version: Option<Box<str>>,
    pub(super) token_mechanism: Option<TokenMechanism>,
}

impl Welcome {
    /// How many of our stanzas the server has handled, if the session that was asked for goes on.
    pub fn resumed(&self) -> Option<u32> {
        self.success.root().child("resumed", ns::STREAM_MANAGEMENT).and_then(count)
    }

    /// The session that was asked for does not go on; inside, how many of our stanzas the server had handled, if it says
    /// that (XEP-0198 §5).
    pub fn not_resumed(&self) -> Option<Option<u32>> {
        self.success.root().child("failed", ns::STREAM_MANAGEMENT).map(count)
    }

    /// `<bound/>`, where a resource was bound.
    pub fn bound(&self) -> Option<Node<'_>> {
        self.success.root().child("bound", ns::BIND2)
    }

    /// Whether stream management was enabled with binding: by which id the session can be resumed, if it can, and for how
    /// long if that is said.
    pub fn enabled(&self) -> Option<Option<(Box<str>, Option<Duration>)>> {
        let enabled = self.bound()?.child("enabled", ns::STREAM_MANAGEMENT)?;
        let max = enabled.attr("max").and_then(|max| max.parse().ok()).map(Duration::from_secs);
        let can = enabled.attr("resume").is_some_and(|resume| matches!(&*resume, "true" | "1"));
        Some(enabled.attr("id").filter(|_| can).map(|id| (id.into(), max)))
    }

    /// A new token, in place of an older one (XEP-0484 §3.3, §3.5).
    pub fn token(&self) -> Option<Token> {
        let token = self.success.root().child("token", ns::FAST)?;
        Some(Token { secret: token.attr("token")?.into(), mechanism: self.token_mechanism? })
    }
}

fn count(element: Node<'_>) -> Option<u32> {
    element.attr("h").and_then(|h| h.parse().ok())
}

impl fmt::Debug for Token {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}
