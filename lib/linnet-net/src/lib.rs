//! tokio around linnet-xmpp: DNS, TCP, TLS, and a client that reconnects.
//!
//! - [`client`]: [`Client`], an account's session that is kept up.
//! - [`dns`]: where the servers of a domain are. [`connect`]: TCP to the first address that answers.
//!   [`tls`]: TLS for clients and channel-binding data. [`backoff`]: how long to wait before the next attempt.

pub mod backoff;
pub mod client;
pub mod connect;
pub mod dns;
pub mod tls;

pub use client::Client;

/// Fills a buffer with random bytes of the operating system.
///
/// # Panics
/// Where the operating system gives none: nothing secure can be done then.
pub fn random(buffer: &mut [u8]) {
    if let Err(error) = getrandom::fill(buffer) {
        panic!("the operating system gives no random bytes: {error}");
    }
}
