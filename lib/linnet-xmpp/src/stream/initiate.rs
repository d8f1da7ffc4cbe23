//! The client's side of a stream: TLS, login and resource binding, then stanzas (RFC 6120 §4 to §7).

use super::{Secured, StreamError};
use crate::{
    jid::Jid,
    sasl,
    stanza::{Rejected, Stanza, StanzaError},
    xml::Document,
};
use bytes::Bytes;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// What a stream client needs to know.
#[derive(Debug, Clone)]
pub struct InitiateConfig {
    /// The domain to talk to: `to` of the stream header.
    pub domain: Box<str>,
    /// Who logs in.
    pub login: Login,
    /// The resource wanted; without one the server chooses (RFC 6120 §7.6).
    pub resource: Option<Box<str>>,
    /// The mechanisms that may be used. Which of those offered is taken, [`sasl::Client::choose`] says.
    pub mechanisms: Vec<sasl::Mechanism>,
    /// Whether to refuse to go on without TLS. False only for plaintext on loopback. PLAIN needs TLS in any case
    /// unless this is false.
    pub require_tls: bool,
    /// Largest stanza taken, in bytes.
    pub limit: usize,
    /// From `new` to [`InitiateOutput::Bound`], and again from `close` to the peer's end tag.
    pub timeout: Duration,
    /// `xml:lang` of the stream header.
    pub lang: Option<Box<str>>,
    /// A source of randomness for nonces.
    pub random: fn(&mut [u8]),
}

/// Who logs in.
#[derive(Clone)]
pub enum Login {
    /// An account by its password.
    Password {
        /** Local part. */
        username: Box<str>,
        /** In the clear; never shown by `Debug`. */
        password: Box<str>,
    },
    /// Whoever the TLS client certificate says (EXTERNAL).
    Certificate {
        /** The address to act as, if it is not the certificate's only one. */
        authzid: Option<Box<str>>,
    },
    /// A temporary account (ANONYMOUS).
    Anonymous,
}

/// What the driver of a client stream does next.
#[derive(Debug)]
pub enum InitiateOutput {
    /// Write these bytes.
    Write(Bytes),
    /// Flush, forget all input read so far but not consumed, make TLS, then call `secured`.
    StartTls,
    /// Negotiation is over.
    Bound {
        /** Our full address as the server says. */
        jid: Jid,
        /** The server's last `<stream:features/>`, for roster versioning and the like. */
        features: Document,
    },
    /// A stanza, or one to answer with an error. Only after `Bound`.
    Stanza(Result<Stanza, Box<Rejected>>),
    /// The stream is over and its last bytes were handed out: flush and close. `None`: closed in order.
    Closed(Option<InitiateError>),
}

/// Why a client's stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitiateError {
    /// The server refused the login (RFC 6120 §6.5).
    Login {
        /** The condition's name, e.g. `not-authorized`. */
        condition: Box<str>,
        /** The server's words. */
        text: Option<Box<str>>,
    },
    /// The login was stopped by us: e.g. the server's signature is wrong.
    Sasl(sasl::ClientError),
    /// TLS is required and the server does not offer it or refuses it (RFC 6120 §5.4.2.2).
    NoTls,
    /// None of the mechanisms offered may be used.
    NoMechanism {
        /** What was offered. */
        offered: Vec<Box<str>>,
    },
    /// The server bound no resource.
    Bind(StanzaError),
    /// The server sent a stream error.
    Remote(StreamError),
    /// The server broke the protocol; this error was sent to it.
    Local(StreamError),
    /// The server took too long.
    Timeout,
    /// The server ended the stream before negotiation was over.
    Ended,
}

/// The client's side of a stream.
#[derive(Debug)]
pub struct Initiate {}

impl Initiate {
    /// A new stream. `secured`: Some on a connection that began with TLS.
    pub fn new(_config: Arc<InitiateConfig>, _now: Instant, _secured: Option<Secured>) -> Initiate {
        todo!()
    }
    /// The next output; takes what it needs from the front of `input`. The first gives our stream header.
    /// Slow at one point of a login with SCRAM (PBKDF2, some milliseconds for usual iteration counts).
    pub fn poll(&mut self, _input: &mut &[u8], _now: Instant) -> Option<InitiateOutput> {
        todo!()
    }
    /// After [`InitiateOutput::StartTls`].
    pub fn secured(&mut self, _secured: Secured) {
        todo!()
    }
    /// Ends the stream from our side: the end tag follows as output of `poll`; stanzas still come until the peer's end
    /// tag or the timeout (RFC 6120 §4.4).
    pub fn close(&mut self) {
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

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Login::Password { username, .. } => {
                f.debug_struct("Password").field("username", username).finish_non_exhaustive()
            }
            Login::Certificate { authzid } => f.debug_struct("Certificate").field("authzid", authzid).finish(),
            Login::Anonymous => f.write_str("Anonymous"),
        }
    }
}

impl fmt::Display for InitiateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InitiateError::Login { condition, text: Some(text) } => {
                write!(f, "the server refused the login: {condition} ({text})")
            }
            InitiateError::Login { condition, text: None } => write!(f, "the server refused the login: {condition}"),
            InitiateError::Sasl(sasl::ClientError::ServerNotAuthentic) => {
                f.write_str("the server did not prove that it knows the password")
            }
            InitiateError::Sasl(sasl::ClientError::BadPassword) => {
                f.write_str("the password has characters that are not allowed")
            }
            InitiateError::Sasl(error) => write!(f, "the login was stopped: {error:?}"),
            InitiateError::NoTls => f.write_str("the server offers no TLS"),
            InitiateError::NoMechanism { offered } => {
                write!(f, "the server offers no login mechanism that may be used, only: {}", offered.join(", "))
            }
            InitiateError::Bind(error) => write!(f, "the server bound no resource: {:?}", error.condition),
            InitiateError::Remote(error) => write!(f, "the server ended the stream: {error}"),
            InitiateError::Local(error) => write!(f, "the server broke the protocol: {error}"),
            InitiateError::Timeout => f.write_str("the server took too long"),
            InitiateError::Ended => f.write_str("the server ended the stream before the login was over"),
        }
    }
}

impl std::error::Error for InitiateError {}
