//! Streams as state machines (RFC 6120 §4 to §7): [`Accept`] is the server's side, [`Initiate`] the client's.
//!
//! The contract, for both: hand all bytes that came to `poll` and call it again until it gives `None`; do what each
//! output says, in order, before the next call. What was not yet a whole frame is kept inside, so that the caller's
//! buffer is free when `poll` has given `None`.

mod error;
mod initiate;

pub use error::{StreamCondition, StreamError};
pub use initiate::{Initiate, InitiateConfig, InitiateError, InitiateOutput, Login};

use crate::{
    jid::Jid,
    sasl,
    stanza::{Rejected, Stanza, StanzaError},
};
use bytes::Bytes;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// What a stream server needs to know; shared by all streams of a listener.
#[derive(Debug)]
pub struct AcceptConfig {
    /// The domains served.
    pub domains: Vec<Box<str>>,
    /// Largest element before login, in bytes.
    pub limit_before_login: usize,
    /// Largest stanza after login, in bytes.
    pub limit_after_login: usize,
    /// From the first byte to the end of negotiation. Nothing that the peer sends extends it.
    pub login_timeout: Duration,
    /// False only for plaintext on loopback.
    pub require_tls: bool,
    /// Mechanisms offered, strongest first; -PLUS ones are offered only where there is binding data.
    pub mechanisms: Vec<sasl::Mechanism>,
    /// Failed logins on one stream before it is closed (RFC 6120 §6.4.5).
    pub login_attempts: u8,
    /// The steps, in the order in which features are advertised.
    pub steps: Vec<&'static dyn AcceptStep>,
    /// A source of randomness for stream ids and nonces.
    pub random: fn(&mut [u8]),
}

/// What the driver of a server stream does next.
#[derive(Debug)]
pub enum Output {
    /// Write these bytes.
    Write(Bytes),
    /// Flush, forget all input read so far but not consumed, make TLS, then call `secured`.
    StartTls,
    /// Find the answer, which may take time, and call `answer`. Nothing else happens until then.
    Need(Need),
    /// Negotiation is over: this is the client's full address.
    Bound(Jid),
    /// A stanza, or one to answer with an error. Only after `Bound`.
    Stanza(Result<Stanza, Box<Rejected>>),
    /// The stream is over and its last bytes were handed out: flush and close. `None`: closed in order.
    Closed(Option<StreamError>),
}

/// What only the server behind the stream knows.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Need {
    /// SCRAM keys of a user name. Answer: [`Answer::Keys`].
    Keys {
        /** Local part. */
        username: String,
        /** At which of our domains. */
        domain: Box<str>,
        /** For which hash. */
        hash: sasl::Hash,
    },
    /// Whether a password is right. Answer: [`Answer::Verified`].
    Verify {
        /** Local part. */
        username: String,
        /** Domain. */
        domain: Box<str>,
        /** As sent. */
        password: String,
    },
    /// Whose certificate this is. Answer: [`Answer::Verified`].
    Certificate {
        /** Asked for. */
        authzid: Option<String>,
        /** Domain. */
        domain: Box<str>,
    },
    /// Whether login is still allowed (account disabled) after SCRAM succeeded, and the resource to bind. Answer: [`Answer::Bound`].
    Bind {
        /** None for an anonymous user. */
        username: Option<String>,
        /** Domain. */
        domain: Box<str>,
        /** Asked for. */
        resource: Option<String>,
    },
}

/// Answers to [`Need`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Answer {
    /// Keys; for a name that does not exist, decoys with `known` false. `Err`: e.g. account disabled, store down.
    Keys(Result<(sasl::ScramKeys, bool), sasl::Failure>),
    /// The name to go on with.
    Verified(Result<String, sasl::Failure>),
    /// The full address bound.
    Bound(Result<Jid, StanzaError>),
}

/// The connection's security, as the driver sees it.
#[derive(Debug, Clone, Default)]
pub struct Secured {
    /// Channel-binding data.
    pub bindings: sasl::ChannelBindings,
    /// Whether the client showed a certificate (EXTERNAL is offered then).
    pub certificate: bool,
}

/// The server's side of a stream.
#[derive(Debug)]
pub struct Accept {/* after Bound only the framer, the address and a few bytes remain; negotiation state is boxed and freed */}
impl Accept {
    /// A new stream. `secured`: Some on a connection that began with TLS.
    pub fn new(_config: Arc<AcceptConfig>, _now: Instant, _secured: Option<Secured>) -> Accept {
        todo!()
    }
    /// The next output; takes what it needs from the front of `input`.
    pub fn poll(&mut self, _input: &mut &[u8], _now: Instant) -> Option<Output> {
        todo!()
    }
    /// After [`Output::StartTls`].
    pub fn secured(&mut self, _secured: Secured) {
        todo!()
    }
    /// After [`Output::Need`].
    pub fn answer(&mut self, _answer: Answer) {
        todo!()
    }
    /// Ends the stream from our side: the error, if any, and the end tag follow as outputs of `poll`.
    /// Stanzas that came before are already out; those behind are not read.
    pub fn close(&mut self, _error: Option<StreamError>) {
        todo!()
    }
    /// When to call `poll` with no input at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        todo!()
    }
    /// The address bound.
    pub fn bound(&self) -> Option<&Jid> {
        todo!()
    }
}

/// One negotiation step of the server's side. Adding one is adding a file with an implementation of this.
/// (The stream helper defines what `Progress` and the context are; steps are values with needed and forbidden bits.)
pub trait AcceptStep: std::fmt::Debug + Send + Sync {}
