//! Negotiation steps as values. A step says which bits must be set and which must not be for it to be possible, what
//! it advertises, which elements it takes, and after each of them what has to happen next ([`Progress`]).
//!
//! To add one: a file here with an implementation of [`AcceptStep`], of [`InitiateStep`], or of both, and one line in
//! [`ACCEPT`] or [`INITIATE`]. The streams themselves know no step by name.

mod announce;
mod bind;
mod csi;
mod fast;
mod limits;
mod pipelining;
mod resume;
mod sasl;
mod sasl2;
mod session;
mod sm;
mod starttls;

use super::{
    AcceptConfig, Answer, Control, InitiateConfig, InitiateError, Need, Outcome, Secured, StreamCondition, StreamError,
    Welcome,
};
use crate::{
    jid::Jid,
    xml::{Document, Node, Writer},
};
use bytes::Bytes;
use std::{any::Any, fmt, ops, sync::Arc};

pub use announce::Announce;
pub use csi::ClientState;
pub use fast::Fast;
pub use limits::Limits;
pub use pipelining::Pipelining;
pub use sasl2::Sasl2;
pub use sm::StreamManagement;

/// The steps of the server's side, in the order in which they are advertised.
pub const ACCEPT: &[&dyn AcceptStep] = &[&starttls::StartTls, &sasl::Sasl, &bind::Bind, &session::Session];

/// The steps of the client's side, in the order in which they are tried.
pub const INITIATE: &[&dyn InitiateStep] =
    &[&starttls::StartTls, &Sasl2, &sasl::Sasl, &resume::Resume, &bind::Bind, &session::Session];

/// What has been reached on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bits(u32);

impl Bits {
    /// Nothing.
    pub const NONE: Bits = Bits(0);
    /// The connection is TLS.
    pub const TLS: Bits = Bits(1);
    /// Passwords may be sent: the connection is TLS, or the configuration does not require it.
    pub const PRIVATE: Bits = Bits(1 << 1);
    /// The peer is who it says.
    pub const AUTHENTICATED: Bits = Bits(1 << 2);
    /// A resource is bound: negotiation is over.
    pub const BOUND: Bits = Bits(1 << 3);

    /// Whether all of these are set.
    pub const fn has(self, all: Bits) -> bool {
        self.0 & all.0 == all.0
    }
    /// Whether any of these is set.
    pub const fn has_any(self, any: Bits) -> bool {
        self.0 & any.0 != 0
    }
    /// Both.
    pub const fn with(self, more: Bits) -> Bits {
        Bits(self.0 | more.0)
    }
}

impl ops::BitOr for Bits {
    type Output = Bits;
    fn bitor(self, more: Bits) -> Bits {
        self.with(more)
    }
}

/// What a step did with an element, and what follows: first the bits are set, then the bytes are written, then
/// [`Then`] happens.
#[derive(Debug)]
pub struct Progress<E> {
    /// Bits newly set.
    pub set: Bits,
    /// Bytes to write.
    pub write: Option<Bytes>,
    /// What follows.
    pub then: Then<E>,
}

/// What follows an element that a step took. `E`: how a stream ends that cannot go on.
#[derive(Debug)]
pub enum Then<E> {
    /// The next element.
    Continue,
    /// Client's side: this step is over, another one may begin. Server's side: the same as `Continue`.
    Next,
    /// Server's side: the features that are possible now, on the same stream (RFC 6120 §4.3.4). Client's side: negotiation
    /// begins again with the features that are known.
    Features,
    /// A new stream header on the same connection (RFC 6120 §4.3.3).
    Restart,
    /// TLS, and then a new stream header.
    StartTls,
    /// Server's side: an answer that has to be looked for; [`AcceptStep::answer`] gets it.
    Need(Need),
    /// Negotiation is over, with this address.
    Bound(Jid),
    /// Server's side: the features, and negotiation is over, with this address.
    Welcome(Jid),
    /// Server's side, after [`Bits::BOUND`]: something that is about the session.
    Control(Control),
    /// The end tag, without an error.
    Close,
    /// The end of the stream.
    Fail(E),
}

impl<E> Progress<E> {
    /// Writes bytes and goes on.
    pub fn write(bytes: impl Into<Bytes>) -> Progress<E> {
        Progress { set: Bits::NONE, write: Some(bytes.into()), then: Then::Continue }
    }
    /// Writes nothing.
    pub fn then(then: Then<E>) -> Progress<E> {
        Progress { set: Bits::NONE, write: None, then }
    }
    /// With bits newly set.
    pub fn set(mut self, bits: Bits) -> Progress<E> {
        self.set = self.set | bits;
        self
    }
    /// With something else than the next element to follow.
    pub fn and(mut self, then: Then<E>) -> Progress<E> {
        self.then = then;
        self
    }
}

impl From<StreamCondition> for Progress<StreamError> {
    fn from(condition: StreamCondition) -> Self {
        Progress::then(Then::Fail(condition.into()))
    }
}

/// A negotiation step of the server's side.
pub trait AcceptStep: fmt::Debug + Send + Sync {
    /// The bits that must all be set for this step to be advertised and to get elements.
    fn needs(&self) -> Bits;
    /// The bits of which none may be set.
    fn forbids(&self) -> Bits;
    /// Writes the step's feature elements, if there is something to offer.
    fn advertise(&self, login: &AcceptLogin, features: &mut Writer);
    /// Whether this first-level element is the step's. After [`Bits::BOUND`], of the stanzas only iqs are asked about.
    fn takes(&self, _element: Node<'_>) -> bool {
        false
    }
    /// Handles one of its elements before [`Bits::BOUND`].
    fn element(&self, _login: &mut AcceptLogin, _element: Document) -> Progress<StreamError> {
        StreamCondition::UnsupportedStanzaType.into()
    }
    /// Handles one of its elements while a needed bit is missing or a forbidden one set.
    fn untimely(&self, _bits: Bits, _element: Document) -> Progress<StreamError> {
        StreamCondition::UnsupportedStanzaType.into()
    }
    /// Goes on with the answer to the step's [`Then::Need`].
    fn answer(&self, _login: &mut AcceptLogin, _answer: Answer) -> Progress<StreamError> {
        StreamCondition::InternalServerError.into()
    }
    /// Handles one of its elements after [`Bits::BOUND`], if the step does not forbid that bit.
    fn after_bound(&self, _address: &Jid, _element: Document) -> Progress<StreamError> {
        StreamCondition::UnsupportedStanzaType.into()
    }
    /// Whether the element belongs to the exchange that makes [`AcceptLogin::is_busy`].
    fn may_go_on(&self, _element: Node<'_>) -> bool {
        false
    }
    /// Writes what can be asked for together with a login by SASL 2 (XEP-0388 §2.1).
    fn advertise_inline(&self, _login: &AcceptLogin, _inline: &mut Writer) {}
    /// What of the step's can be asked for inside `<bind/>` (XEP-0386 §3.1).
    fn bind_feature(&self) -> Option<&'static str> {
        None
    }
    /// Reads a child of `<bind/>`, if it is the step's.
    fn bind_control(&self, _child: Node<'_>) -> Option<Control> {
        None
    }
    /// Says what depends on all features, given as they are written; it goes behind them.
    fn seal(&self, _login: &mut AcceptLogin, _features: &[u8]) -> Option<Bytes> {
        None
    }
}

/// What the steps of the server's side know of a stream and share. It is gone once a resource is bound.
#[derive(Debug)]
pub struct AcceptLogin {
    /// The server's settings.
    pub config: Arc<AcceptConfig>,
    /// What has been reached.
    pub bits: Bits,
    /// Which of our domains the client wants.
    pub domain: Box<str>,
    /// The bare address in the stream header, if that came over TLS.
    pub from: Option<Jid>,
    /// The security of the connection, once it is TLS.
    pub secured: Option<Secured>,
    /// The local part of who logged in; `None` for an anonymous user.
    pub username: Option<String>,
    /// Logins that failed on this stream.
    pub failures: u8,
    /// What the step at work has to remember. Every stream header forgets it.
    pub exchange: Option<Box<dyn Any + Send>>,
    /// An exchange is going on that nothing else may come between (XEP-0388 §2.4).
    pub is_busy: bool,
    /// What stands for the features as they were advertised last before the login (XEP-0509 §2.1).
    pub features_version: Option<String>,
    /// The address, while the features are written that follow binding.
    pub address: Option<Jid>,
    /// The session that was bound or goes on has stream management.
    pub is_managed: bool,
}

impl AcceptLogin {
    /// Random bytes as printable text without a comma, six bits in each character.
    pub fn nonce(&self) -> String {
        let mut bytes = [0; NONCE];
        (self.config.random)(&mut bytes);
        printable(&bytes)
    }
}

/// A negotiation step of the client's side.
pub trait InitiateStep: fmt::Debug + Send + Sync {
    /// The bits that must all be set for this step to be tried and to get elements.
    fn needs(&self) -> Bits;
    /// The bits of which none may be set.
    fn forbids(&self) -> Bits;
    /// Begins before the server has said anything: what is sent with the stream header (XEP-0509).
    fn ahead(&self, _login: &mut InitiateLogin) -> Option<Bytes> {
        None
    }
    /// Begins, if the server's `<stream:features/>` offer it. `None`: there is nothing to do.
    fn start(&self, login: &mut InitiateLogin, features: Node<'_>) -> Option<Progress<InitiateError>>;
    /// Handles the next element, features included, which is for the step that has begun. `None`: it is not one that the step expects.
    fn element(&self, login: &mut InitiateLogin, element: &Document) -> Option<Progress<InitiateError>>;
}

/// What the steps of the client's side know of a stream and share. It is gone once negotiation is over.
#[derive(Debug)]
pub struct InitiateLogin {
    /// The client's settings.
    pub config: Arc<InitiateConfig>,
    /// What has been reached.
    pub bits: Bits,
    /// The security of the connection, once it is TLS.
    pub secured: Option<Secured>,
    /// What the step at work has to remember. Every stream header forgets it.
    pub exchange: Option<Box<dyn Any + Send>>,
    /// The address, once [`Bits::BOUND`] is set.
    pub address: Option<Jid>,
    /// What stands for the server's features (XEP-0509).
    pub features_version: Option<Box<str>>,
    /// The token that we have was not taken.
    pub token_failed: bool,
    /// The mechanism of the token that we have asked for.
    pub token_mechanism: Option<crate::sasl::TokenMechanism>,
    /// What the server offers to enable with a resource (XEP-0386 §3.1).
    pub bind_features: Vec<Box<str>>,
    /// What a login by SASL 2 gave.
    pub welcome: Option<Box<Welcome>>,
    /// What became of the session to go on with.
    pub outcome: Outcome,
}

impl InitiateLogin {
    /// Random bytes as printable text without a comma, six bits in each character.
    pub fn nonce(&self) -> String {
        let mut bytes = [0; NONCE];
        (self.config.random)(&mut bytes);
        printable(&bytes)
    }
}

/// Random bytes in a nonce or stream id: 144 bits, which are whole characters of base 64.
pub(super) const NONCE: usize = 18;

/// Bytes as letters, digits, `-` and `_`.
pub(super) fn printable(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(bytes)
}
