//! Streams between servers (RFC 6120 §4 to §6, §8.1): [`ServerAccept`] is the side that was connected to,
//! [`ServerInitiate`] the one that connected. TLS is always required.
//!
//! The contract is that of client streams: hand all bytes that came to `poll` and call it until it gives `None`; do what
//! each output says, in order, before the next call.
//!
//! Who proves what: the initiator that its domain is its own, by SASL EXTERNAL (XEP-0178) where the driver says that the
//! certificate is good for it, else by dialback (XEP-0220). What the acceptor is was shown by its certificate; the driver
//! judges it. Stanzas go from the initiator to the acceptor, and back only on a stream that both want to be
//! bidirectional (XEP-0288).
//!
//! Invariant: no stanza comes out whose `from` is not of a domain that was proved on this stream for its `to`.

mod accept;
pub mod dialback;
mod initiate;
#[cfg(test)]
mod tests;
mod wire;

pub use accept::{Identity, ServerAccept, Verdict};
pub use initiate::{Purpose, ServerError, ServerInitiate};

use super::StreamError;
use crate::stanza::{Rejected, Stanza};
use bytes::Bytes;
use std::{fmt, time::Duration};

/// What streams between servers need to know; shared by all of them.
pub struct ServerConfig {
    /// Whether a domain is one of ours.
    pub serves: Box<dyn Fn(&str) -> bool + Send + Sync>,
    /// The secret that dialback keys are made of (XEP-0185).
    pub secret: [u8; 32],
    /// Largest element before the peer has proved a domain, in bytes.
    pub limit_before: usize,
    /// Largest stanza afterwards, in bytes.
    pub limit_after: usize,
    /// From the first byte until a domain is proved.
    pub timeout: Duration,
    /// Whether bidirectional streams are offered and asked for.
    pub bidi: bool,
    /// A source of randomness for stream ids.
    pub random: fn(&mut [u8]),
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig").field("timeout", &self.timeout).field("bidi", &self.bidi).finish_non_exhaustive()
    }
}

/// A domain of ours and one of the peer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pair {
    /// Ours.
    pub local: Box<str>,
    /// The peer's.
    pub remote: Box<str>,
}

/// How a domain was proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerProof {
    /// SASL EXTERNAL (XEP-0178).
    External,
    /// Dialback (XEP-0220).
    Dialback,
}

/// A key that was shown to us, to be asked about at the domain that it speaks for (XEP-0220 §2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Whose, for what.
    pub pair: Pair,
    /// The id of the stream on which it was shown.
    pub id: Box<str>,
    /// The key.
    pub key: Box<str>,
}

/// Stream management between servers (XEP-0198).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Management {
    /// The acceptor offers it. Answer with [`Management::Enable`], or not at all.
    Offered,
    /// `<enable/>`.
    Enable,
    /// `<enabled/>`.
    Enabled,
    /// `<failed/>`.
    Failed,
    /// `<r/>`.
    Request,
    /// `<a/>`: so many stanzas were handled.
    Handled(u32),
}

/// What the driver of a stream between servers does next.
#[derive(Debug)]
pub enum ServerOutput {
    /// Write these bytes.
    Write(Bytes),
    /// Flush, forget all input read so far but not consumed, make TLS, then call `secured`.
    StartTls,
    /// The acceptor's side, inside TLS: find out whether the certificate is good for the domain that the peer says it is, and
    /// call `identified`. Nothing else happens until then. `None`: it does not say.
    Identify(Option<Pair>),
    /// The acceptor's side: ask the domain whether the key is its own, and call `dialback`. Other things go on meanwhile.
    Dialback(Claim),
    /// A domain was proved: stanzas may go for this pair.
    Proved(Pair, ServerProof),
    /// The initiator's side with [`Purpose::Verify`]: what the domain says about the key. The stream is of no more use.
    Verdict(Verdict),
    /// A stanza from the peer, or one to answer with an error. Its addresses are those of a pair that was proved.
    Stanza(Result<Stanza, Box<Rejected>>),
    /// Something about stream management.
    Management(Management),
    /// The stream is over and its last bytes were handed out: flush and close. `None`: closed in order.
    Closed(Option<ServerError>),
}

impl Management {
    /// The element, canonical under `jabber:server`.
    pub fn to_bytes(self) -> Bytes {
        let name = match self {
            Management::Offered => "sm",
            Management::Enable => "enable",
            Management::Enabled => "enabled",
            Management::Failed => "failed",
            Management::Request => "r",
            Management::Handled(count) => return format!("<a xmlns='urn:xmpp:sm:3' h='{count}'/>").into(),
        };
        format!("<{name} xmlns='urn:xmpp:sm:3'/>").into()
    }
}

impl From<StreamError> for ServerError {
    fn from(error: StreamError) -> ServerError {
        ServerError::Local(error)
    }
}
