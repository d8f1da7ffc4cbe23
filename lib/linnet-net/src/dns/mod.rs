//! Where the servers of a domain are: SRV records (RFC 6120 §3.2, XEP-0368) in the order of RFC 2782, and addresses.

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::{RData, RecordType},
};
use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

/// Which service of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// `_xmpp-client` and `_xmpps-client`; port 5222 without records.
    Client,
    /// `_xmpp-server` and `_xmpps-server`; port 5269 without records.
    Server,
}

/// How a connection becomes secure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Security {
    /// STARTTLS (RFC 6120 §5).
    StartTls,
    /// TLS from the first byte (XEP-0368).
    Direct,
}

/// One place where a service may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// A host name in ASCII, or an IP address.
    pub host: Box<str>,
    /// The port.
    pub port: u16,
    /// How to secure it.
    pub security: Security,
}

/// An SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Lower ones come first.
    pub priority: u16,
    /// The share of connections among those of the same priority.
    pub weight: u16,
    /// Where.
    pub target: Target,
}

/// Why a domain has no places.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DnsError {
    /// Not a domain that DNS can be asked for.
    Domain(Box<str>),
    /// The domain says that it does not offer the service (target `.`, RFC 2782).
    NotOffered(Box<str>),
    /// The name has no address.
    NoAddress(Box<str>),
    /// The name servers gave no answer.
    NoAnswer {
        /** What was asked for. */
        name: Box<str>,
        /** What the resolver says. */
        reason: Box<str>,
    },
}

/// Asks DNS; what is told to it beforehand goes first, for tests and private networks.
#[derive(Clone)]
pub struct Resolver {
    /// None: what is not told beforehand does not exist.
    dns: Option<TokioResolver>,
    services: HashMap<(Box<str>, Service), Vec<Target>>,
    hosts: HashMap<Box<str>, Vec<IpAddr>>,
    random: fn(&mut [u8]),
}

/// How long one question may take, with all its repetitions.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Until a question is repeated.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// More places than this for one domain are not looked at: a hostile zone could name thousands.
const MAX_TARGETS: usize = 32;

impl Service {
    /// The names below the domain: STARTTLS, direct TLS.
    fn labels(self) -> [&'static str; 2] {
        match self {
            Service::Client => ["_xmpp-client._tcp", "_xmpps-client._tcp"],
            Service::Server => ["_xmpp-server._tcp", "_xmpps-server._tcp"],
        }
    }

    /// The port where there are no records (RFC 6120 §3.2.2).
    pub fn default_port(self) -> u16 {
        match self {
            Service::Client => 5222,
            Service::Server => 5269,
        }
    }
}

impl Resolver {
    /// With the system's name servers and hosts file. Without a configuration that can be read, only what is told
    /// beforehand is found.
    pub fn system() -> Resolver {
        let dns = TokioResolver::builder_tokio().and_then(|mut builder| {
            builder.options_mut().timeout = ATTEMPT_TIMEOUT;
            builder.build()
        });
        if let Err(error) = &dns {
            tracing::warn!(%error, "no name servers: the system's configuration cannot be read");
        }
        Resolver { dns: dns.ok(), ..Resolver::offline() }
    }

    /// With these name servers instead of the system's, and without its hosts file.
    pub fn servers(servers: &[SocketAddr]) -> Resolver {
        let server = |address: &SocketAddr| {
            let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            connections.iter_mut().for_each(|connection| connection.port = address.port());
            NameServerConfig::new(address.ip(), true, connections.into())
        };
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(server).collect());
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().timeout = ATTEMPT_TIMEOUT;
        builder.options_mut().use_hosts_file = ResolveHosts::Never;
        let dns = builder.build();
        if let Err(error) = &dns {
            tracing::warn!(%error, "these name servers cannot be used");
        }
        Resolver { dns: dns.ok(), ..Resolver::offline() }
    }

    /// Without DNS: knows IP addresses, `localhost` and what is told to it.
    pub fn offline() -> Resolver {
        Resolver { dns: None, services: HashMap::new(), hosts: HashMap::new(), random: crate::random }
    }

    /// Tells where a service of a domain is, in order; no targets: it is not offered.
    pub fn service(mut self, domain: &str, service: Service, targets: Vec<Target>) -> Resolver {
        self.services.insert((ascii_or_same(domain), service), targets);
        self
    }

    /// Tells the addresses of a host.
    pub fn host(mut self, host: &str, addresses: Vec<IpAddr>) -> Resolver {
        self.hosts.insert(ascii_or_same(host), addresses);
        self
    }

    /// With a given source of randomness for the order of records with equal priority.
    pub fn random(mut self, random: fn(&mut [u8])) -> Resolver {
        self.random = random;
        self
    }

    /// Where a service of a domain may be, in the order to try. Never empty.
    pub async fn targets(&self, domain: &str, service: Service) -> Result<Vec<Target>, DnsError> {
        let domain = ascii(domain)?;
        if let Some(targets) = self.services.get(&(domain.clone(), service)) {
            return if targets.is_empty() { Err(DnsError::NotOffered(domain)) } else { Ok(targets.clone()) };
        }
        let plain = Target { host: domain.clone(), port: service.default_port(), security: Security::StartTls };
        if ip(&domain).is_some() || self.hosts.contains_key(&domain) || &*domain == "localhost" {
            return Ok(vec![plain]);
        }
        let [starttls, direct] = service.labels();
        let (starttls, direct) = tokio::join!(
            self.records(starttls, &domain, Security::StartTls),
            self.records(direct, &domain, Security::Direct)
        );
        let records = [starttls, direct].concat();
        if records.is_empty() {
            return Ok(vec![plain]);
        }
        let targets = order(records, self.random);
        // XEP-0368 §5, RFC 6120 §3.2.1: who has records, be they `.`, is not looked for in other ways.
        if targets.is_empty() { Err(DnsError::NotOffered(domain)) } else { Ok(targets) }
    }

    /// The addresses of a host, IPv6 and IPv4 in turn (RFC 8305 §4). Never empty.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        let host = ascii(host)?;
        if let Some(addresses) = self.hosts.get(&host) {
            let none = addresses.is_empty();
            return if none { Err(DnsError::NoAddress(host)) } else { Ok(addresses.clone()) };
        }
        if let Some(address) = ip(&host) {
            return Ok(vec![address]);
        }
        if &*host == "localhost" {
            // RFC 6761 §6.3: never asked for.
            return Ok(vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]);
        }
        let Some(dns) = &self.dns else { return Err(DnsError::NoAddress(host)) };
        // The final dot keeps search domains out.
        match tokio::time::timeout(QUESTION_TIMEOUT, dns.lookup_ip(format!("{host}."))).await {
            Ok(Ok(found)) => {
                let found = interleave(found.iter().take(MAX_TARGETS));
                if found.is_empty() { Err(DnsError::NoAddress(host)) } else { Ok(found) }
            }
            Ok(Err(error)) if error.is_nx_domain() || error.is_no_records_found() => Err(DnsError::NoAddress(host)),
            Ok(Err(error)) => Err(DnsError::NoAnswer { name: host, reason: error.to_string().into() }),
            Err(_) => Err(DnsError::NoAnswer { name: host, reason: "no answer in time".into() }),
        }
    }

    /// The SRV records of one name. No answer is taken as none: RFC 6120 §3.2.1 then wants the fallback.
    async fn records(&self, label: &str, domain: &str, security: Security) -> Vec<Record> {
        let Some(dns) = &self.dns else { return Vec::new() };
        let name = format!("{label}.{domain}.");
        let found = match tokio::time::timeout(QUESTION_TIMEOUT, dns.lookup(name.as_str(), RecordType::SRV)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::debug!(name, %error, "no SRV records");
                return Vec::new();
            }
            Err(_) => {
                tracing::debug!(name, "no answer for SRV records");
                return Vec::new();
            }
        };
        let records = found.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(Record {
                priority: srv.priority,
                weight: srv.weight,
                target: Target { host: host_of(&srv.target.to_ascii()), port: srv.port, security },
            }),
            _ => None,
        });
        records.take(MAX_TARGETS).collect()
    }
}

/// Puts records in the order of RFC 2782: by priority, and within it drawn by weight. Targets that are `.` are left out.
pub fn order(mut records: Vec<Record>, random: fn(&mut [u8])) -> Vec<Target> {
    records.retain(|record| &*record.target.host != ".");
    // Those of weight 0 first, so that they have a small chance only (RFC 2782, "Weight").
    records.sort_by_key(|record| (record.priority, record.weight != 0));
    let mut targets = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let priority = first.priority;
        let same = records.iter().take_while(|record| record.priority == priority);
        let total: u64 = same.map(|record| u64::from(record.weight)).sum();
        let drawn = below(total + 1, random);
        let mut sum = 0;
        let chosen = records.iter().position(|record| {
            sum += u64::from(record.weight);
            sum >= drawn
        });
        // The running sum reaches the total within this priority, and `drawn` is no greater than the total.
        targets.push(records.remove(chosen.unwrap_or(0)).target);
    }
    targets
}

/// A domain or host in its ASCII form, without a final dot; IP addresses stay as they are.
pub fn ascii(domain: &str) -> Result<Box<str>, DnsError> {
    let bare = domain.strip_suffix('.').unwrap_or(domain);
    if ip(bare).is_some() {
        return Ok(bare.into());
    }
    match idna::domain_to_ascii(bare) {
        Ok(ascii) if !ascii.is_empty() => Ok(ascii.into()),
        _ => Err(DnsError::Domain(domain.into())),
    }
}

/// An IP address, also in the brackets that an address has in a domainpart (RFC 7622 §3.2).
pub(crate) fn ip(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

fn ascii_or_same(domain: &str) -> Box<str> {
    ascii(domain).unwrap_or_else(|_| domain.into())
}

fn host_of(name: &str) -> Box<str> {
    match name {
        "." | "" => ".".into(),
        name => name.strip_suffix('.').unwrap_or(name).into(),
    }
}

/// A number from 0 to `bound` - 1. The bias of the remainder is below 2⁻⁴⁰ for sums of weights.
fn below(bound: u64, random: fn(&mut [u8])) -> u64 {
    let mut bytes = [0; 8];
    random(&mut bytes);
    u64::from_le_bytes(bytes) % bound
}

/// IPv6 and IPv4 in turn, each in its order.
fn interleave(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let (six, four): (Vec<_>, Vec<_>) = addresses.partition(IpAddr::is_ipv6);
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    let mut mixed = Vec::new();
    loop {
        let pair = [six.next(), four.next()];
        if pair == [None, None] {
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("dns", &self.dns.is_some()).field("services", &self.services).finish()
    }
}

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DnsError::Domain(domain) => write!(f, "{domain:?} is not a domain name"),
            DnsError::NotOffered(domain) => write!(f, "{domain} says that it has no such service"),
            DnsError::NoAddress(host) => write!(f, "{host} has no address in DNS"),
            DnsError::NoAnswer { name, reason } => write!(f, "DNS gives no answer for {name}: {reason}"),
        }
    }
}

impl std::error::Error for DnsError {}

#[cfg(test)]
mod tests;
