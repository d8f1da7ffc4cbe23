//! SCRAM (RFC 5802, RFC 7677): keys, messages, and the exchange on both sides.

mod client;
mod keys;
mod message;
mod server;

pub(super) use client::Exchange as ClientExchange;
pub use keys::{DECOY_SALT, ScramKeys, salted_password};
pub(super) use server::{Exchange as ServerExchange, Outcome};

/// Iterations that a client wants at least (RFC 5802 §5.1, RFC 7677 §4): with fewer a server, or who takes its place,
/// gets an answer from which a weak password is soon guessed.
pub const MIN_ITERATIONS: u32 = 4096;

/// Iterations that a client does at most: some seconds of work. The number comes from the other side and would
/// otherwise keep a client busy for as long as that likes (RFC 5802 §9).
pub const MAX_ITERATIONS: u32 = 10_000_000;
