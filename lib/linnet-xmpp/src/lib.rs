//! XMPP without IO: addresses, XML, stanzas, SASL and streams.
//!
//! Bytes and time go in, events and bytes come out. Nothing here opens a socket, reads a clock, draws a random
//! number or starts a thread; whoever drives these state machines does that.
//!
//! - [`jid`]: addresses (RFC 7622).
//! - [`xml`]: framer, tape and canonical writer for the XML that RFC 6120 §11 allows.
//! - [`stanza`]: message, presence and iq with their errors (RFC 6120 §8).
//! - [`sasl`]: both sides of the SASL mechanisms (RFC 4422, 5802, 7677).
//! - [`stream`]: both sides of a stream as state machines, with negotiation steps as values (RFC 6120 §4 to §7).

pub mod jid;
pub mod ns;
pub mod sasl;
pub mod stanza;
pub mod stream;
pub mod xml;

pub use jid::Jid;
pub use stanza::{Stanza, StanzaError};
