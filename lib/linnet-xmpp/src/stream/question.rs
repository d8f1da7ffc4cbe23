//! What a stream has to ask the server behind it, and the answers.

use super::control::{Control, NotResumed, Resumed};
use crate::{jid::Jid, sasl, stanza::StanzaError, xml::Document};
use bytes::Bytes;
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
    /// Whether a token is right (XEP-0484 §3.4). Answer: [`Answer::Token`].
    Token {
        /// Local part.
        username: String,
        /// Domain.
        domain: Box<str>,
        /// The client's id of its installation (XEP-0388 §2.3).
        device: Box<str>,
        /// What the client sent.
        proof: sasl::TokenProof,
    },
    /// Which keys of an account could be better ones, of those that the client would give (XEP-0480 §2.2). Answer:
    /// [`Answer::Upgrades`].
    Upgrades {
        /// Local part.
        username: String,
        /// Domain.
        domain: Box<str>,
        /// For which hashes.
        wanted: Vec<sasl::Hash>,
    },
    /// Better keys of an account (XEP-0480 §2.3). Answer: [`Answer::Upgraded`].
    Upgrade {
        /// Local part.
        username: String,
        /// Domain.
        domain: Box<str>,
        /// The keys.
        keys: sasl::ScramKeys,
    },
    /// All that a client wants with its login by SASL 2, now that it has proved who it is (XEP-0388 §2.6.1). Answer:
    /// [`Answer::Entered`].
    Enter(Box<Entry>),
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

/// A client that has proved who it is, with all that it wants at once (XEP-0388 §2.3).
#[derive(Clone)]
pub struct Entry {
    /// None for an anonymous user.
    pub username: Option<String>,
    /// Domain.
    pub domain: Box<str>,
    /// How it has proved it.
    pub proof: Proof,
    /// What it says of itself.
    pub agent: Agent,
    /// A session to go on with, and how many stanzas the client has handled. It goes before binding.
    pub resume: Option<(String, u32)>,
    /// A resource to bind.
    pub bind: Option<BindRequest>,
    /// The whole `<authenticate/>`, for what is asked for beyond that.
    pub request: Document,
}

/// How somebody has proved who he is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs)]
pub enum Proof {
    Password,
    Token,
    Certificate,
    Anonymous,
}

/// What a client says of itself (XEP-0388 §2.3). Not for others to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agent {
    /// The stable id of the installation.
    pub id: Option<Box<str>>,
    /// The name of the software.
    pub software: Option<Box<str>>,
    /// The name of the device.
    pub device: Option<Box<str>>,
}

/// `<bind/>` (XEP-0386 §3.2).
#[derive(Debug, Clone, Default)]
pub struct BindRequest {
    /// With what the resource is to begin.
    pub tag: Option<String>,
    /// What is to be said about the session at once.
    pub controls: Vec<Control>,
    /// What else is asked for, each an element of its own.
    pub payloads: Vec<Document>,
}

/// What became of an [`Entry`].
#[derive(Debug, Default)]
pub struct Entered {
    /// The full address, once there is a session.
    pub address: Option<Jid>,
    /// Where the client wanted to go on with a session.
    pub resumed: Option<Result<Resumed, NotResumed>>,
    /// Where a resource was bound: the content of `<bound/>`, canonical under `jabber:client`.
    pub bound: Option<Bytes>,
    /// Further elements of `<success/>`, canonical under `jabber:client`.
    pub more: Bytes,
}

/// Keys that a client could give: the salt and the iterations to derive them with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// For which hash.
    pub hash: sasl::Hash,
    /// The salt.
    pub salt: Box<[u8]>,
    /// The iteration count.
    pub iterations: u32,
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
    /// What proves to the client that the server knows the token.
    Token(Result<Vec<u8>, sasl::Failure>),
    /// The keys that are wanted; none where all are as good as they can be.
    Upgrades(Vec<Upgrade>),
    /// Whether the keys are kept.
    Upgraded(Result<(), sasl::Failure>),
    /// What became of it all. `Err`: nothing of it was done.
    Entered(Result<Box<Entered>, sasl::Failure>),
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
            Need::Token { username, domain, proof, .. } => {
                f.debug_tuple("Token").field(username).field(domain).field(proof).finish()
            }
            Need::Upgrades { username, domain, wanted } => {
                f.debug_tuple("Upgrades").field(username).field(domain).field(wanted).finish()
            }
            Need::Upgrade { username, domain, keys } => {
                f.debug_tuple("Upgrade").field(username).field(domain).field(keys).finish()
            }
            Need::Enter(entry) => f.debug_tuple("Enter").field(&entry.username).field(&entry.domain).finish(),
            Need::SignUp { username, domain, .. } => f.debug_tuple("SignUp").field(username).field(domain).finish(),
            Need::Certificate { authzid, domain } => f.debug_tuple("Certificate").field(authzid).field(domain).finish(),
            Need::Bind { username, domain, resource } => {
                f.debug_tuple("Bind").field(username).field(domain).field(resource).finish()
            }
        }
    }
}

/// Shows no proof and no id of a session.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("username", &self.username)
            .field("domain", &self.domain)
            .field("proof", &self.proof)
            .finish_non_exhaustive()
    }
}
