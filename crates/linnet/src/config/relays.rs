//! What the configuration says about relays for calls: `[relays]`.

use super::{
    ConfigError,
    reader::{Said, Section},
};
use kernel::{Relay, Relays};
use std::time::Duration;

/// How long credentials are good for where nothing else is said: a long call, and no longer.
const HOURS: u64 = 12;

/// The relays.
pub(super) fn relays(section: &Section<'_>) -> Result<Relays, ConfigError> {
    let services = section.texts("services")?.unwrap_or_default();
    let services = services.iter().map(relay).collect::<Result<Vec<_>, _>>()?;
    let hours = match section.number("credential_hours")? {
        None => HOURS,
        Some(said) if (1..=24 * 7).contains(&said.value) => said.value,
        Some(said) => return Err(said.error("'credential_hours' must be between 1 and 168")),
    };
    let secret = section.text("secret")?.map(|said| said.value);
    Ok(Relays { services, secret, credentials: Duration::from_secs(hours * 3600) })
}

/// A URI of RFC 7064 or RFC 7065.
fn relay(said: &Said<'_, String>) -> Result<Relay, ConfigError> {
    read(&said.value).ok_or_else(|| {
        let text = format!("'{}' is not a relay such as 'turn:relay.example.org:3478?transport=udp'", said.value);
        said.error(text)
    })
}

fn read(uri: &str) -> Option<Relay> {
    let (kind, rest) = uri.split_once(':')?;
    let is_secure = match kind {
        "stun" | "turn" => false,
        "stuns" | "turns" => true,
        _ => return None,
    };
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let usual = if is_secure { "tcp" } else { "udp" };
    let transport = match query {
        None => usual,
        Some(query) => query.strip_prefix("transport=").filter(|transport| matches!(*transport, "udp" | "tcp"))?,
    };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && (!host.contains(':') || host.ends_with(']')) => {
            (host, port.parse().ok()?)
        }
        _ => (place, if is_secure { 5349 } else { 3478 }),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:".contains(c));
    is_host.then(|| Relay { kind: kind.to_owned(), host: host.to_owned(), port, transport: transport.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_of_rfc7064_and_rfc7065() {
        let read =
            |uri| read(uri).map(|relay| format!("{} {} {} {}", relay.kind, relay.host, relay.port, relay.transport));
        assert_eq!(read("stun:example.org").as_deref(), Some("stun example.org 3478 udp"));
        assert_eq!(read("turns:example.org").as_deref(), Some("turns example.org 5349 tcp"));
        assert_eq!(read("turn:192.0.2.1:99?transport=tcp").as_deref(), Some("turn 192.0.2.1 99 tcp"));
        assert_eq!(read("turn:[2001:db8::1]:99").as_deref(), Some("turn 2001:db8::1 99 udp"));
        for bad in ["http:example.org", "turn:", "turn:a b", "turn:example.org:x", "turn:example.org?transport=sctp"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
