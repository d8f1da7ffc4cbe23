//! What a stream has to ask the server behind it, and the answers.

use super::control::{NotResumed, Resumed};
use crate::{jid::Jid, sasl, stanza::StanzaError};
use std::fmt;

/// What only the server behind the stream knows.
#[derive(Clone)]
#[non_exhaustive]
pub enum Need {
    /// SCRAM keys of a user name. Answer: [`Answer::Keys`].
    Keys {
        /// Local part.
        username: String,
        /// At which of our domains.
        domain: Box<str>,
        /// For which hash.
        hash: sasl::Hash,
    },
    /// Whether a password is right. Answer: [`Answer::Verified`].
    Verify {
        /// Local part.
        username: String,
        /// Domain.
        domain: Box<str>,
        /// As sent.
        password: String,
    },
    /// Whose certificate this is. Answer: [`Answer::Verified`].
    Certificate {
        /// Asked for.
        authzid: Option<String>,
        /// Domain.
        domain: Box<str>,
    },
    /// Whether login is still allowed (account disabled) after SCRAM succeeded, and the resource to bind.
    /// Answer: [`Answer::Bound`].
    Bind {
        /// None for an anonymous user.
        username: Option<String>,
        /// Domain.
        domain: Box<str>,
        /// Asked for.
        resource: Option<String>,
    },
    /// An earlier session to go on with, in place of binding (XEP-0198 §5). Answer: [`Answer::Resumed`].
    Resume {
        /// None for an anonymous user.
        username: Option<String>,
        /// Domain.
        domain: Box<str>,
        /// The session's id.
        id: String,
        /// How many stanzas the client has handled.
        handled: u32,
    },
    /// A new account for somebody who is not logged in (XEP-0077). Answer: [`Answer::SignedUp`].
    SignUp {
        /// Local part.
        username: String,
        /// Domain.
        domain: Box<str>,
        /// As sent.
        password: String,
    },
}

/// Answers to [`Need`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Answer {
    /// Keys, and what follows when the client proves that it knows the password, as [`sasl::Server::keys`] wants it.
    /// `Err`: they cannot be read now.
    Keys(Result<(sasl::ScramKeys, Result<(), sasl::Failure>), sasl::Failure>),
    /// The name to go on with.
    Verified(Result<String, sasl::Failure>),
    /// The full address bound.
    Bound(Result<Jid, StanzaError>),
    /// The session that goes on, or why none does.
    Resumed(Result<Resumed, NotResumed>),
    /// Whether the account was made.
    SignedUp(Result<(), StanzaError>),
}

/// Shows no password.
impl fmt::Debug for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Need::Keys { username, domain, hash } => {
                f.debug_tuple("Keys").field(username).field(domain).field(hash).finish()
            }
            Need::Verify { username, domain, .. } => f.debug_tuple("Verify").field(username).field(domain).finish(),
            // Who knows the id may go on with the session.
            Need::Resume { username, domain, .. } => f.debug_tuple("Resume").field(username).field(domain).finish(),
            Need::SignUp { username, domain, .. } => f.debug_tuple("SignUp").field(username).field(domain).finish(),
            Need::Certificate { authzid, domain } => f.debug_tuple("Certificate").field(authzid).field(domain).finish(),
            Need::Bind { username, domain, resource } => {
                f.debug_tuple("Bind").field(username).field(domain).field(resource).finish()
            }
        }
    }
}
