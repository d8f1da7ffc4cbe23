//! The configuration: one TOML file, every key optional. [`keys::KEYS`] says what there is; here it becomes values.
//!
//! Every error names the file, the line and the remedy; a key that is not known is an error.

mod federation;
pub(crate) mod keys;
mod place;
mod reader;
mod relays;
mod web;

pub(crate) use federation::Federation;

use crate::config::reader::{Reader, Section};
use edge::{
    limits::{Limits, Network},
    listener::Kind,
};
use kernel::{
    Files, PushSummary,
    limits::{STANZAS_PER_SECOND, STRANGERS_PER_HOUR},
};
use linnet_xmpp::Jid;
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};
use store_objects::S3;
use tracing::Level;

/// What the administrator says.
#[derive(Debug)]
pub(crate) struct Config {
    /// The file that was read, if there was one.
    pub(crate) file: Option<PathBuf>,
    /// The domains served, the main one first.
    pub(crate) domains: Vec<Jid>,
    /// The data directory.
    pub(crate) data: PathBuf,
    /// Where to listen.
    pub(crate) listen: Vec<Listen>,
    /// PEM files of the certificate with its chain, and of its key.
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
    /// The same for further domains.
    pub(crate) more_certificates: Vec<(PathBuf, PathBuf)>,
    /// Who may run administrative commands.
    pub(crate) admins: Vec<Jid>,
    /// Whether strangers may create accounts.
    pub(crate) registration: bool,
    /// Days for which archives keep messages; 0: for ever.
    pub(crate) archive_days: u32,
    /// Contact addresses by role.
    pub(crate) contacts: Vec<(String, Vec<String>)>,
    /// What app servers are told in push notifications.
    pub(crate) push: PushSummary,
    /// Stanzas of one account in a second.
    pub(crate) stanzas_per_second: u32,
    /// People outside of its roster whom one account may write to in an hour.
    pub(crate) strangers_per_hour: u32,
    /// What clients may do.
    pub(crate) limits: Limits,
    /// What is said about other servers.
    pub(crate) federation: Federation,
    /// Where the server is reached over HTTP.
    pub(crate) web: Option<String>,
    /// XMPP over HTTP.
    pub(crate) xmpp: edge::web::Web,
    /// The public addresses, if they were said.
    pub(crate) public_addresses: Vec<IpAddr>,
    /// What accounts may keep as files.
    pub(crate) files: Files,
    /// Relays for calls that clients are told of.
    pub(crate) relays: kernel::Relays,
    /// Where files are kept instead of the data directory.
    pub(crate) s3: Option<S3>,
    /// What is logged.
    pub(crate) log: Level,
    /// Whether the log is JSON.
    pub(crate) log_json: bool,
}

/// A place to listen at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listen {
    /// The address with its port.
    pub(crate) address: SocketAddr,
    /// What is spoken there.
    pub(crate) kind: Kind,
    /// Nobody asked for it by name: a machine without IPv6 goes without it.
    pub(crate) by_default: bool,
    /// Only proxies connect, with the PROXY protocol.
    pub(crate) is_behind: bool,
}

/// What is wrong with the configuration. `Display` is one line: file, line, what, remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigError(pub(crate) String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the file given, or the one at the usual place; without one, everything is as it is by default.
    pub(crate) fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
        let file = file.map(Path::to_owned).or_else(place::usual_file);
        let text = match &file {
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                ConfigError(format!("{}: {error}; say the right file with --config", path.display()))
            })?,
            None => String::new(),
        };
        let name = file.as_ref().map_or_else(String::new, |path| path.display().to_string());
        let mut config = Config::parse(&name, &text)?;
        config.file = file;
        Ok(config)
    }

    /// Reads a configuration's text. `name`: of its file, for errors.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Config, ConfigError> {
        let reader = Reader::new(name, text)?;
        let top = reader.section("")?;
        let domains = domains(&top)?;
        let main = domains.first().map_or("localhost", |domain| domain.domain());
        let listen = listen(&reader.section("listen")?, is_this_machine(main))?;
        let web = web::url(&reader, main, &listen)?;
        let tls = reader.section("tls")?;
        let certificate = match (tls.text("certificate")?, tls.text("key")?) {
            (Some(certificate), Some(key)) => Some((certificate.value.into(), key.value.into())),
            (None, None) => None,
            (Some(one), None) => return Err(one.error("[tls] has a certificate but no key; say both or neither")),
            (None, Some(one)) => return Err(one.error("[tls] has a key but no certificate; say both or neither")),
        };
        let admins = top.texts("admins")?.unwrap_or_default().into_iter().map(|admin| {
            let jid = Jid::parse(&admin.value).ok().filter(|jid| jid.local().is_some() && jid.is_bare());
            jid.ok_or_else(|| admin.error(format!("'{}' is not an address such as admin@{main}", admin.value)))
        });
        let admins = admins.collect::<Result<Vec<_>, _>>()?;
        let data = top.text("data")?.map(|data| data.value.into());
        let data = data.map_or_else(place::usual_data, Ok).map_err(ConfigError)?;
        let (log, log_json) = log(&top)?;
        Ok(Config {
            file: None,
            data,
            listen,
            certificate,
            more_certificates: more_certificates(&tls)?,
            admins,
            registration: top.flag("registration")?.unwrap_or(false),
            archive_days: days(&reader.section("archive")?)?,
            contacts: contacts(&reader.section("contacts")?)?,
            push: push(&reader.section("push")?)?,
            stanzas_per_second: count(&reader.section("limits")?, "stanzas_per_second", STANZAS_PER_SECOND)?,
            strangers_per_hour: count(&reader.section("limits")?, "strangers_per_hour", STRANGERS_PER_HOUR)?,
            limits: limits(&reader.section("limits")?)?,
            federation: federation::read(&reader.section("federation")?)?,
            web,
            xmpp: web::xmpp(&reader.section("http")?)?,
            public_addresses: web::public_addresses(&reader.section("http")?)?,
            files: web::files(&reader.section("files")?)?,
            relays: relays::relays(&reader.section("relays")?)?,
            s3: web::s3(&reader.section("s3")?)?,
            log,
            log_json,
            domains,
        })
    }

    /// The names of the domains served.
    pub(crate) fn domain_names(&self) -> Vec<String> {
        self.domains.iter().map(|domain| domain.domain().to_owned()).collect()
    }

    /// The addresses of the services at these domains, e.g. `pubsub.example.org`.
    pub(crate) fn service_names(&self) -> Vec<String> {
        let at = |domain: &Jid| {
            let address = |service: &kernel::Service| kernel::service::address(service.label, domain.domain());
            features::services()
                .filter_map(address)
                .filter(|address| !self.domains.contains(address))
                .collect::<Vec<_>>()
        };
        self.domains.iter().flat_map(at).map(|address| address.as_str().to_owned()).collect()
    }
}

/// Whether a domain means this machine, so that nobody else needs to reach it.
pub(crate) fn is_this_machine(domain: &str) -> bool {
    let address = domain.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    domain == "localhost" || domain.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn domains(top: &Section<'_>) -> Result<Vec<Jid>, ConfigError> {
    let main = top.text("domain")?;
    let more = top.texts("domains")?.unwrap_or_default();
    let mut domains: Vec<Jid> = Vec::new();
    for said in main.into_iter().chain(more) {
        let jid = Jid::parse(&said.value).ok().filter(|jid| jid.local().is_none() && jid.is_bare());
        let Some(jid) = jid else {
            return Err(said.error(format!("'{}' is not a domain; say for example 'example.org'", said.value)));
        };
        if !domains.contains(&jid) {
            domains.push(jid);
        }
    }
    if domains.is_empty() {
        // Proof: the text is a constant and a domain.
        domains.extend(Jid::parse("localhost").ok());
    }
    Ok(domains)
}

/// The keys of [listen] that name ports.
const PORTS: [&str; 6] = ["c2s", "c2s_tls", "plaintext", "https", "http", "all"];

fn more_certificates(tls: &Section<'_>) -> Result<Vec<(PathBuf, PathBuf)>, ConfigError> {
    let certificates = tls.texts("more_certificates")?.unwrap_or_default();
    let keys = tls.texts("more_keys")?.unwrap_or_default();
    if certificates.len() != keys.len() {
        let text = "'more_certificates' and 'more_keys' must be lists of the same length";
        return match certificates.first().or(keys.first()) {
            Some(said) => Err(said.error(text)),
            None => Ok(Vec::new()),
        };
    }
    Ok(certificates.into_iter().zip(keys).map(|(one, key)| (one.value.into(), key.value.into())).collect())
}

fn listen(section: &Section<'_>, loopback: bool) -> Result<Vec<Listen>, ConfigError> {
    let hosts = if loopback { ["127.0.0.1", "[::1]"] } else { ["0.0.0.0", "[::]"] };
    let behind = section.texts("proxy_protocol")?.unwrap_or_default();
    if let Some(unknown) = behind.iter().find(|said| !PORTS.contains(&said.value.as_str())) {
        return Err(unknown.error(format!("'{}' is none of {}", unknown.value, PORTS.join(", "))));
    }
    let mut all = Vec::new();
    for (key, kind, port) in [
        ("c2s", Kind::StartTls, Some(5222)),
        ("c2s_tls", Kind::DirectTls, Some(5223)),
        ("s2s", Kind::Servers, (!loopback).then_some(5269)),
        ("s2s_tls", Kind::ServersDirect, (!loopback).then_some(5270)),
        ("plaintext", Kind::Plaintext, None),
        ("https", Kind::Https, Some(5443)),
        ("http", Kind::Http, loopback.then_some(5280)),
        ("all", Kind::Any, None),
    ] {
        let is_behind = behind.iter().any(|said| said.value == key);
        let Some(addresses) = section.texts(key)? else {
            let usual = port.into_iter().flat_map(|port| hosts.map(|host| format!("{host}:{port}")));
            let usual = usual.filter_map(|text| text.parse().ok());
            all.extend(usual.map(|address| Listen { address, kind, by_default: true, is_behind }));
            continue;
        };
        for said in addresses {
            let Ok(address) = said.value.parse::<SocketAddr>() else {
                let text = format!("'{}' is not an address with a port; say for example '127.0.0.1:5222'", said.value);
                return Err(said.error(text));
            };
            if kind.is_for_this_machine() && !address.ip().to_canonical().is_loopback() {
                let text = format!(
                    "'{address}' can be reached from other machines, and without TLS everybody on the way can read and \
                     change everything: only 127.0.0.1 and [::1] are allowed for '{key}'"
                );
                return Err(said.error(text));
            }
            all.push(Listen { address, kind, by_default: false, is_behind });
        }
    }
    Ok(all)
}

fn days(section: &Section<'_>) -> Result<u32, ConfigError> {
    let Some(said) = section.number("keep_days")? else { return Ok(0) };
    u32::try_from(said.value).map_err(|_| said.error("that many days have never been; say 0 to keep everything"))
}

fn contacts(section: &Section<'_>) -> Result<Vec<(String, Vec<String>)>, ConfigError> {
    let mut contacts = Vec::new();
    for key in keys::KEYS.iter().filter(|key| key.section == "contacts") {
        if let Some(addresses) = section.texts(key.name)? {
            for address in &addresses {
                if !address.value.contains(':') {
                    let text = format!("'{0}' is not a URI; say for example 'mailto:{0}' or 'xmpp:{0}'", address.value);
                    return Err(address.error(text));
                }
            }
            let addresses = addresses.into_iter().map(|address| address.value).collect();
            contacts.push((format!("{}-addresses", key.name), addresses));
        }
    }
    Ok(contacts)
}

fn push(section: &Section<'_>) -> Result<PushSummary, ConfigError> {
    let usual = PushSummary::default();
    Ok(PushSummary {
        message_count: section.flag("message_count")?.unwrap_or(usual.message_count),
        subscription_count: section.flag("subscription_count")?.unwrap_or(usual.subscription_count),
        sender: section.flag("sender")?.unwrap_or(usual.sender),
        body: section.flag("body")?.unwrap_or(usual.body),
    })
}

/// A number of things, 0 for no limit.
fn count(section: &Section<'_>, name: &str, usual: u32) -> Result<u32, ConfigError> {
    let Some(said) = section.number(name)? else { return Ok(usual) };
    u32::try_from(said.value)
        .ok()
        .filter(|value| *value <= 1_000_000)
        .ok_or_else(|| said.error(format!("'{name}' must be between 0 and 1000000")))
}

fn limits(section: &Section<'_>) -> Result<Limits, ConfigError> {
    let number = |name: &str, least: u64, most: u64| -> Result<Option<u64>, ConfigError> {
        let Some(said) = section.number(name)? else { return Ok(None) };
        if !(least..=most).contains(&said.value) {
            return Err(said.error(format!("'{name}' must be between {least} and {most}")));
        }
        Ok(Some(said.value))
    };
    let count = |name: &str, usual: u32| -> Result<u32, ConfigError> {
        Ok(number(name, 0, 1_000_000)?.map_or(usual, |value| u32::try_from(value).unwrap_or(u32::MAX)))
    };
    let size = |name: &str, least: u64, most: u64, usual: usize| -> Result<usize, ConfigError> {
        Ok(number(name, least, most)?.map_or(usual, |value| usize::try_from(value).unwrap_or(usize::MAX)))
    };
    let this_machine = || ["127.0.0.0/8", "::1"].iter().filter_map(|text| Network::parse(text)).collect();
    let exempt = web::networks(section, "exempt")?.unwrap_or_else(this_machine);
    Ok(Limits {
        // RFC 6120 §13.12: at least 10,000 bytes must be possible.
        stanza_before_login: size("stanza_size_before_login", 10_000, 1024 * 1024, 10 * 1024)?,
        stanza: size("stanza_size", 10_000, 16 * 1024 * 1024, 512 * 1024)?,
        bytes_per_second: number("bytes_per_second", 0, 1 << 40)?.unwrap_or(10 * 1024 * 1024),
        logins_per_minute: count("logins_per_minute", 30)?,
        connections_per_minute: count("connections_per_minute", 600)?,
        connections_per_address: count("connections_per_address", 100)?,
        exempt,
    })
}

fn log(top: &Section<'_>) -> Result<(Level, bool), ConfigError> {
    let level = match top.text("log")? {
        None => Level::INFO,
        Some(said) => said.value.parse().map_err(|_| {
            said.error(format!("'{}' is no level of logging: say error, warn, info, debug or trace", said.value))
        })?,
    };
    let json = match top.text("log_format")? {
        None => false,
        Some(said) => match said.value.as_str() {
            "text" => false,
            "json" => true,
            other => return Err(said.error(format!("'{other}' is no format of logs: say text or json"))),
        },
    };
    Ok((level, json))
}

#[cfg(test)]
mod tests;
