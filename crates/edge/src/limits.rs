//! Every limit between sockets and kernel, with its reason. What an administrator may change is in [`Limits`].

use std::{net::IpAddr, time::Duration};

/// From accepting a connection to its resource being bound (RFC 6120 §13.12 asks for a limit). A minute is enough for a
/// person who types a password into a dialogue of a slow client.
pub const LOGIN: Duration = Duration::from_secs(60);
/// A TLS handshake is two round trips; ten seconds allow for a bad mobile network.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// A peer that takes nothing for so long is gone or means harm; what it did not take goes back to its account.
pub const WRITE: Duration = Duration::from_secs(60);
/// How long a stream that ends waits for the answers to what came before its end.
pub const FAREWELL: Duration = Duration::from_secs(5);
/// How long a closed connection waits for the peer's end, so that the kernel's reset does not overtake our last bytes.
pub const LINGER: Duration = Duration::from_secs(2);
/// How long a stopping server waits for its connections.
pub const STOP: Duration = Duration::from_secs(5);
/// A connection is probed after so long without traffic: mobile networks and NATs forget idle connections after
/// five minutes and more.
pub const KEEPALIVE: Duration = Duration::from_secs(240);
/// Between two probes that were not answered; after four of them the peer is dead.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// Probes without an answer.
pub const KEEPALIVE_PROBES: u32 = 4;
/// What is read at once: the content of one TLS record.
pub const READ: usize = 16 * 1024;
/// What is collected for one write; a stanza that begins below may end above.
pub const WRITE_BATCH: usize = 64 * 1024;
/// Buffers up to this size are used again; larger ones were for one large stanza.
pub const BUFFER_KEPT: usize = 128 * 1024;
/// Buffers that one thread keeps.
pub const BUFFERS: usize = 8;
/// Reads of one connection before others have their turn.
pub const TURNS: usize = 8;
/// Connections that wait to be accepted.
pub const BACKLOG: u32 = 1024;
/// How long a listener rests when the process has no file descriptor left.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Failed logins on one stream (RFC 6120 §6.4.5: between 2 and 5).
pub const LOGIN_ATTEMPTS: u8 = 5;
/// Addresses remembered before the table is swept.
pub const ADDRESSES: usize = 4096;

/// What a proxy says in version 2 of the PROXY protocol: addresses need 36 bytes, the rest is what it knows of TLS.
pub const PROXY_HEADER: usize = 4096;
/// How often a WebSocket is looked at: one from which nothing has come since the last look gets a ping. Twice this is less
/// than the minute after which proxies ordinarily give up an idle connection.
pub const PING: Duration = Duration::from_secs(25);
/// Looks without anything from the peer, after which it is gone: a proxy between us answers for nobody.
pub const SILENCE: u8 = 4;

/// From a connection to the end of a request's head, and between two requests: slower ones are not waited for.
pub const HTTP_HEAD: Duration = Duration::from_secs(20);
/// Bytes of a request's head: browsers send a tenth of it.
pub const HTTP_HEAD_BYTES: u32 = 16 * 1024;
/// What is read of an HTTP/1.1 connection before it is dealt with, and with that the largest head; what is kept of an
/// HTTP/2 stream that is not yet sent.
pub const HTTP_BUFFER: usize = 32 * 1024;
/// Headers of a request.
pub const HTTP_HEADERS: usize = 64;
/// A request of BOSH, from its head to its end.
pub const HTTP_BODY: Duration = Duration::from_secs(30);
/// What a request of BOSH may have beside the largest stanza.
pub const BOSH_BODY: usize = 4 * 1024;
/// What a session of BOSH waits at most for its client to fetch something; the session's own limits are shorter.
pub const BOSH_PATIENCE: Duration = Duration::from_secs(600);
/// Requests at once on one HTTP/2 connection: what a page loads at once, and no more than a browser would use.
pub const HTTP_STREAMS: u32 = 32;
/// What an HTTP/2 peer may send before it is taken: a quarter of a second at 8 Mbit/s.
pub const HTTP_WINDOW: u32 = 256 * 1024;

/// From a connection of another server to a domain being proved. Dialback asks a third server meanwhile.
pub const FEDERATION_LOGIN: Duration = Duration::from_secs(60);
/// Largest element of a server that has proved nothing, in bytes: features and keys are small.
pub const FEDERATION_BEFORE: usize = 16 * 1024;
/// TCP to another server, all its addresses together.
pub const FEDERATION_CONNECT: Duration = Duration::from_secs(15);
/// How long a test of another server may take: somebody waits for it.
pub const FEDERATION_TEST: Duration = Duration::from_secs(45);
/// Places of one domain that are tried.
pub const FEDERATION_TARGETS: usize = 8;
/// Between the first two attempts to reach a server.
pub const FEDERATION_FIRST_RETRY: Duration = Duration::from_secs(2);
/// Between two attempts at most: a server that comes back is noticed soon, and one that is gone costs little.
pub const FEDERATION_LAST_RETRY: Duration = Duration::from_secs(300);
/// Pairs of domains whose failures are remembered before those are forgotten that may be tried again.
pub const FEDERATION_STATES: usize = 4096;
/// Stanzas that another server has been sent and has not acknowledged (XEP-0198); then nothing more is sent.
pub const FEDERATION_WINDOW: usize = 1000;
/// How often a stream between servers looks at its deadlines.
pub const FEDERATION_TICK: Duration = Duration::from_secs(5);

/// What an administrator may change.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest element before login, in bytes.
    pub stanza_before_login: usize,
    /// Largest stanza after login, in bytes.
    pub stanza: usize,
    /// Bytes read per second from one connection; 0: no limit. Reading pauses, nothing is dropped.
    pub bytes_per_second: u64,
    /// Failed logins per minute from one address; 0: no limit.
    pub logins_per_minute: u32,
    /// New connections per minute from one address; 0: no limit.
    pub connections_per_minute: u32,
    /// Connections from one address that have not logged in; 0: no limit.
    pub connections_per_address: u32,
    /// Addresses that the limits per address do not concern: proxies, this machine.
    pub exempt: Vec<Network>,
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `192.0.2.1` or `192.0.2.0/24`.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Network { address, bits })
    }

    /// Whether the address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.bits);
                (ours.to_bits() ^ other.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.bits);
                (ours.to_bits() ^ other.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_what_they_say() {
        let within = |network: &str, address: &str| {
            Network::parse(network).is_some_and(|network| network.contains(address.parse().unwrap()))
        };
        assert!(within("127.0.0.0/8", "127.9.9.9"));
        assert!(within("127.0.0.0/8", "::ffff:127.0.0.1"));
        assert!(!within("127.0.0.0/8", "128.0.0.1"));
        assert!(within("::1", "::1"));
        assert!(!within("::1", "::2"));
        assert!(within("0.0.0.0/0", "192.0.2.1"));
        assert!(within("2001:db8::/32", "2001:db8:1::1"));
        assert_eq!(Network::parse("127.0.0.1/33"), None);
        assert_eq!(Network::parse("localhost"), None);
    }
}
