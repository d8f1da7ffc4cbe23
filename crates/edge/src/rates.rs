//! Token buckets: bytes of a connection, and connections and failed logins of an address (of a /64 in IPv6, since that
//! is what one subscriber has).

use crate::limits::{self, Limits};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::{Duration, Instant},
};

/// Bytes that a connection may still send. Looks at the clock only when they are used up.
#[derive(Debug)]
pub(crate) struct Bytes {
    left: i64,
    since: Instant,
}

impl Bytes {
    pub(crate) fn new(per_second: u64, now: Instant) -> Bytes {
        Bytes { left: i64::try_from(per_second).unwrap_or(i64::MAX), since: now }
    }

    /// Takes what was read.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub_unsigned(bytes as u64);
    }

    /// How long to wait before the next read.
    pub(crate) fn wait(&mut self, per_second: u64) -> Option<Duration> {
        if self.left > 0 || per_second == 0 {
            return None;
        }
        self.refill(per_second, Instant::now())
    }

    fn refill(&mut self, per_second: u64, now: Instant) -> Option<Duration> {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64().min(3600.0);
        let burst = i64::try_from(per_second).unwrap_or(i64::MAX);
        self.left = self.left.saturating_add((seconds * per_second as f64) as i64).min(burst);
        self.since = now;
        if self.left > 0 {
            return None;
        }
        // A tenth of a second's worth at least, so that reading goes on in decent pieces.
        let wanted = (per_second as f64 / 10.0).max(1.0) - self.left as f64;
        Some(Duration::from_secs_f64((wanted / per_second as f64).min(60.0)))
    }
}

/// Events per minute; as many at once as come in a minute.
#[derive(Debug)]
struct Bucket {
    tokens: f32,
    since: Instant,
}

impl Bucket {
    fn new(per_minute: u32, now: Instant) -> Bucket {
        Bucket { tokens: per_minute as f32, since: now }
    }

    fn refill(&mut self, per_minute: u32, now: Instant) {
        let minutes = now.saturating_duration_since(self.since).as_secs_f32() / 60.0;
        self.tokens = (self.tokens + minutes * per_minute as f32).min(per_minute as f32);
        self.since = now;
    }

    fn take(&mut self, per_minute: u32, now: Instant) -> bool {
        self.refill(per_minute, now);
        let there = self.tokens >= 1.0;
        if there {
            self.tokens -= 1.0;
        }
        there
    }
}

#[derive(Debug)]
struct Address {
    unauthenticated: u32,
    connections: Bucket,
    logins: Bucket,
    /// Until when nothing more is said about refused logins.
    quiet: Option<Instant>,
}

/// What the addresses of peers have used up.
#[derive(Debug)]
pub(crate) struct Addresses {
    table: Mutex<HashMap<IpAddr, Address>>,
    limits: Limits,
}

impl Addresses {
    pub(crate) fn new(limits: Limits) -> Arc<Addresses> {
        Arc::new(Addresses { table: Mutex::default(), limits })
    }

    /// Lets a connection in, or not.
    pub(crate) fn admit(self: &Arc<Addresses>, peer: IpAddr, now: Instant) -> Option<Visit> {
        let address = key(peer);
        if self.limits.exempt.iter().any(|network| network.contains(address)) {
            return Some(Visit { addresses: self.clone(), address: None, peer });
        }
        let limits = &self.limits;
        let mut table = self.table.lock();
        if table.len() >= limits::ADDRESSES && table.len().is_multiple_of(64) {
            table.retain(|_, entry| entry.is_remarkable(limits, now));
        }
        let entry = table.entry(address).or_insert_with(|| Address {
            unauthenticated: 0,
            connections: Bucket::new(limits.connections_per_minute, now),
            logins: Bucket::new(limits.logins_per_minute, now),
            quiet: None,
        });
        let most = limits.connections_per_address;
        if most > 0 && entry.unauthenticated >= most {
            return None;
        }
        if limits.connections_per_minute > 0 && !entry.connections.take(limits.connections_per_minute, now) {
            return None;
        }
        entry.unauthenticated += 1;
        Some(Visit { addresses: self.clone(), address: Some(address), peer })
    }
}

impl Address {
    fn is_remarkable(&mut self, limits: &Limits, now: Instant) -> bool {
        self.connections.refill(limits.connections_per_minute, now);
        self.logins.refill(limits.logins_per_minute, now);
        self.unauthenticated > 0
            || self.connections.tokens < limits.connections_per_minute as f32
            || self.logins.tokens < limits.logins_per_minute as f32
    }
}

/// A connection that has not logged in, counted for its address until it is dropped.
#[derive(Debug)]
pub(crate) struct Visit {
    addresses: Arc<Addresses>,
    /// None for those whom the limits do not concern.
    address: Option<IpAddr>,
    /// Who it is, for the log.
    pub(crate) peer: IpAddr,
}

impl Visit {
    /// Whether one more attempt to log in is allowed. It counts as failed until `succeeded`.
    pub(crate) fn attempt(&self, now: Instant) -> bool {
        let per_minute = self.addresses.limits.logins_per_minute;
        let Some(address) = self.address.filter(|_| per_minute > 0) else { return true };
        let mut table = self.addresses.table.lock();
        let Some(entry) = table.get_mut(&address) else { return true };
        let allowed = entry.logins.take(per_minute, now);
        if !allowed && entry.quiet.is_none_or(|until| now >= until) {
            entry.quiet = Some(now + Duration::from_secs(60));
            tracing::warn!(peer = %self.peer, "an address tries to log in too often; its attempts are refused for a while");
        }
        allowed
    }

    /// The last attempt was no failure.
    pub(crate) fn succeeded(&self) {
        let Some(address) = self.address else { return };
        if let Some(entry) = self.addresses.table.lock().get_mut(&address) {
            entry.logins.tokens += 1.0;
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        if let Some(entry) = self.addresses.table.lock().get_mut(&address) {
            entry.unauthenticated = entry.unauthenticated.saturating_sub(1);
        }
    }
}

fn key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (!0 << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            stanza_before_login: 1,
            stanza: 1,
            bytes_per_second: 0,
            logins_per_minute: 2,
            connections_per_minute: 4,
            connections_per_address: 3,
            exempt: vec![limits::Network::parse("127.0.0.0/8").unwrap()],
        }
    }

    #[test]
    fn one_address_has_so_many_connections_without_login() {
        let (addresses, now) = (Addresses::new(limits()), Instant::now());
        let address = "192.0.2.1".parse().unwrap();
        let mut visits: Vec<_> = (0..3).map(|_| addresses.admit(address, now).unwrap()).collect();
        assert!(addresses.admit(address, now).is_none());
        assert!(addresses.admit("192.0.2.2".parse().unwrap(), now).is_some());
        visits.pop();
        assert!(addresses.admit(address, now).is_some());
        // The fifth within a minute is one too many, whether the others are still there or not.
        visits.clear();
        assert!(addresses.admit(address, now).is_none());
        assert!(addresses.admit(address, now + Duration::from_secs(60)).is_some());
        assert!((0..10).all(|_| addresses.admit("127.0.0.1".parse().unwrap(), now).is_some()));
    }

    #[test]
    fn a_subscriber_s_ipv6_network_is_one_address() {
        assert_eq!(key("2001:db8::1".parse().unwrap()), key("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(key("2001:db8::1".parse().unwrap()), key("2001:db8:0:1::1".parse().unwrap()));
    }

    #[test]
    fn only_failed_logins_count() {
        let (addresses, now) = (Addresses::new(limits()), Instant::now());
        let visit = addresses.admit("192.0.2.1".parse().unwrap(), now).unwrap();
        for _ in 0..10 {
            assert!(visit.attempt(now));
            visit.succeeded();
        }
        assert!(visit.attempt(now) && visit.attempt(now) && !visit.attempt(now));
        assert!(visit.attempt(now + Duration::from_secs(30)));
    }

    #[test]
    fn bytes_come_back_with_time() {
        let now = Instant::now();
        let mut bytes = Bytes::new(1000, now);
        assert_eq!(bytes.wait(1000), None);
        bytes.take(1500);
        let wait = bytes.refill(1000, now).unwrap();
        assert_eq!(wait.as_millis(), 600);
        assert_eq!(bytes.refill(1000, now + wait), None);
        bytes.take(1 << 30);
        assert_eq!(Bytes::new(0, now).wait(0), None);
    }
}
