//! What a client wants with a login by SASL 2 (XEP-0388), and what it gets: all in one exchange, and in one segment where
//! it knows the server from before.

use super::{
    managed::{Enabled, count},
    question::Agent,
};
use crate::{
    ns,
    sasl::TokenMechanism,
    xml::{Document, Node},
};
use bytes::Bytes;
use std::fmt;

/// What is asked for, of what the server offers.
#[derive(Debug, Clone, Default)]
pub struct Inline {
    /// What is said of the client. The id of the installation is needed for tokens.
    pub agent: Agent,
    /// A resource (XEP-0386). Without it, binding follows as RFC 6120 §7 has it. A session to go on with
    /// ([`InitiateConfig::resumption`](super::InitiateConfig::resumption)) goes before it.
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
    /// What is to be enabled at once, e.g. carbons: the name of each feature (XEP-0386 §3.1), and what asks for it, canonical
    /// under `jabber:client`. What is not offered is left out.
    pub payloads: Vec<(&'static str, Bytes)>,
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
    /// Whether the token was used, and not the password.
    pub is_by_token: bool,
    /// What the server does of [`InlineBind::payloads`].
    pub bind_features: Vec<Box<str>>,
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

    /// Stream management, if it was enabled with binding.
    pub fn enabled(&self) -> Option<Enabled> {
        Some(Enabled::read(self.bound()?.child("enabled", ns::STREAM_MANAGEMENT)?))
    }

    /// Whether a feature of [`InlineBind::payloads`] was asked for with a resource that was bound.
    pub fn has(&self, feature: &str) -> bool {
        self.bound().is_some() && self.bind_features.iter().any(|offered| **offered == *feature)
    }

    /// A new token, in place of an older one (XEP-0484 §3.3, §3.5).
    pub fn token(&self) -> Option<Token> {
        let token = self.success.root().child("token", ns::FAST)?;
        Some(Token { secret: token.attr("token")?.into(), mechanism: self.token_mechanism? })
    }
}

impl fmt::Debug for Token {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}
