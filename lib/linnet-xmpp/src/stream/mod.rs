//! Streams as state machines (RFC 6120 §4 to §7): [`Accept`] is the server's side, [`Initiate`] the client's.
//!
//! The contract, for both: hand all bytes that came to `poll` and call it again until it gives `None`; do what each
//! output says, in order, before the next call. What was not yet a whole frame is kept inside, so that the caller's
//! buffer is free when `poll` has given `None`.
//!
//! Which bytes stand for an element is the [`framing`]'s. Streams between servers are in [`server`]; they share frames,
//! headers and errors with these.
//!
//! What happens between the stream header and the first stanza is not written down here: it is the work of [`steps`],
//! values that say when they are possible, what they advertise and which elements they take.

mod accept;
mod control;
mod error;
pub mod framing;
mod header;
mod initiate;
mod initiate_error;
mod inline;
mod input;
mod managed;
mod question;
pub mod server;
pub mod steps;
#[cfg(test)]
mod tests;

pub use accept::{Accept, AcceptConfig, Output};
pub use control::{Control, NotResumed, Resumed, Signal, too_high};
pub use error::{StreamCondition, StreamError};
pub use framing::Framing;
pub use initiate::{Initiate, InitiateConfig, InitiateError, InitiateOutput, Login};
pub use inline::{Inline, InlineBind, Token, Welcome};
pub use managed::{Enabled, Managed, Notice, Outcome, Resumption};
pub use question::{Agent, Answer, BindRequest, Entered, Entry, Need, Proof, Upgrade};
pub use steps::{AcceptStep, InitiateStep};

use crate::sasl;

/// The connection's security, as the driver sees it.
#[derive(Debug, Clone, Default)]
pub struct Secured {
    /// Channel-binding data.
    pub bindings: sasl::ChannelBindings,
    /// Server's side: whether the client showed a certificate (EXTERNAL is offered then). Client's side: whether we did.
    pub certificate: bool,
}

/// The end tag of a stream (RFC 6120 §4.4).
const END: &[u8] = b"</stream:stream>";
