//! SASL, both sides: PLAIN (RFC 4616), SCRAM (RFC 5802, 7677) with channel binding (RFC 9266, 5929), EXTERNAL
//! (RFC 4422) and ANONYMOUS (RFC 4505); and hashed tokens beside them.
//!
//! Nothing here draws random numbers or looks anything up: nonces are given, and [`Server`] asks with a [`ServerStep`]
//! for keys or for a decision. Data is what the mechanisms define, without the base 64 of RFC 6120 §6.

mod binding;
mod client;
#[cfg(test)]
mod damage;
mod failure;
mod mechanism;
mod password;
mod plain;
mod scram;
mod server;
#[cfg(test)]
mod tests;
mod token;

pub use binding::ChannelBindings;
pub use client::{Client, ClientError};
pub use failure::Failure;
pub use mechanism::{Hash, Mechanism};
pub use password::{BadPassword, prepare_password};
pub use scram::{DECOY_SALT, MAX_ITERATIONS, MIN_ITERATIONS, ScramKeys, salted_password};
pub use server::{Server, ServerStep, offer};
pub use token::{TokenMechanism, TokenProof, is_token_answer, keyed_name, token_message};
