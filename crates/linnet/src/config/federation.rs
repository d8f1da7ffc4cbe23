//! What the configuration says about other servers: `[federation]`.

use super::{
    ConfigError,
    reader::{Said, Section},
};
use kernel::Elsewhere;
use linnet_net::dns::{Security, Target, ascii};
use linnet_xmpp::Jid;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// How long messages wait for a server that cannot be reached, where nothing else is said: it is being restarted, or moved.
const KEEP_SECONDS: u64 = 3600;
/// After how long an idle stream is closed where nothing else is said: longer than people pause in a conversation.
const IDLE_SECONDS: u64 = 900;

/// What is said about other servers.
#[derive(Debug, Clone)]
pub(crate) struct Federation {
    /// Whether other servers have to prove themselves with a certificate.
    pub(crate) require_certificate: bool,
    /// Domains for which it is the other way round.
    pub(crate) exceptions: Vec<Box<str>>,
    /// Domains that may be talked to.
    pub(crate) domains: Elsewhere,
    /// Stanzas of one stream in a second.
    pub(crate) stanzas_per_second: u32,
    /// PEM files of authorities in place of the system's.
    pub(crate) authorities: Vec<PathBuf>,
    /// Where domains are, in place of DNS.
    pub(crate) hosts: Vec<(String, Target)>,
    /// Name servers in place of the system's.
    pub(crate) name_servers: Vec<SocketAddr>,
    /// How long messages wait.
    pub(crate) keep: Duration,
    /// After how long idle streams are closed.
    pub(crate) idle: Duration,
    /// Largest stanza.
    pub(crate) stanza: usize,
}

/// Reads `[federation]`.
pub(super) fn read(section: &Section<'_>) -> Result<Federation, ConfigError> {
    let number = |name: &str, least: u64, most: u64, usual: u64| -> Result<u64, ConfigError> {
        let Some(said) = section.number(name)? else { return Ok(usual) };
        if !(least..=most).contains(&said.value) {
            return Err(said.error(format!("'{name}' must be between {least} and {most}")));
        }
        Ok(said.value)
    };
    let texts =
        |name: &str| -> Result<Vec<Said<'_, String>>, ConfigError> { Ok(section.texts(name)?.unwrap_or_default()) };
    Ok(Federation {
        require_certificate: section.flag("require_certificate")?.unwrap_or(false),
        exceptions: texts("certificate_exceptions")?.iter().map(domain).collect::<Result<_, _>>()?,
        domains: Elsewhere {
            allowed: texts("allowed")?.iter().map(domain).collect::<Result<_, _>>()?,
            blocked: texts("blocked")?.iter().map(domain).collect::<Result<_, _>>()?,
        },
        stanzas_per_second: u32::try_from(number("stanzas_per_second", 0, 1_000_000, 5000)?).unwrap_or(u32::MAX),
        authorities: texts("authorities")?.into_iter().map(|said| said.value.into()).collect(),
        hosts: texts("hosts")?.iter().map(host).collect::<Result<_, _>>()?,
        name_servers: texts("name_servers")?.iter().map(address).collect::<Result<_, _>>()?,
        keep: Duration::from_secs(number("keep_seconds", 1, 7 * 24 * 3600, KEEP_SECONDS)?),
        idle: Duration::from_secs(number("idle_seconds", 1, 24 * 3600, IDLE_SECONDS)?),
        // RFC 6120 §13.12: at least 10,000 bytes must be possible.
        stanza: usize::try_from(number("stanza_size", 10_000, 16 * 1024 * 1024, 512 * 1024)?).unwrap_or(usize::MAX),
    })
}

fn domain(said: &Said<'_, String>) -> Result<Box<str>, ConfigError> {
    let jid = Jid::parse(&said.value).ok().filter(Jid::is_domain);
    jid.map(|jid| jid.domain().into()).ok_or_else(|| said.error(format!("'{}' is not a domain", said.value)))
}

fn address(said: &Said<'_, String>) -> Result<SocketAddr, ConfigError> {
    let text = || format!("'{}' is not an address with a port; say for example '127.0.0.1:53'", said.value);
    said.value.parse().map_err(|_| said.error(text()))
}

/// `domain=host:port`, or `domain=tls:host:port` for TLS from the first byte.
fn host(said: &Said<'_, String>) -> Result<(String, Target), ConfigError> {
    let wrong = || {
        let text = "is not of the form 'example.org=xmpp.example.org:5269' or 'example.org=tls:192.0.2.1:5270'";
        said.error(format!("'{}' {text}", said.value))
    };
    let (domain, place) = said.value.split_once('=').ok_or_else(wrong)?;
    let (security, place) = match place.trim().strip_prefix("tls:") {
        Some(place) => (Security::Direct, place),
        None => (Security::StartTls, place.trim()),
    };
    let (host, port) = place.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    let (Ok(domain), Ok(host)) = (ascii(domain.trim()), ascii(host)) else { return Err(wrong()) };
    Ok((domain.into(), Target { host, port, security }))
}
