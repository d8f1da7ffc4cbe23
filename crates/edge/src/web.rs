//! What the administrator says about XMPP over HTTP: paths, whose pages may speak to us, and which proxies are believed.

use crate::limits::Network;
use axum::http::{HeaderMap, Uri, header};
use std::net::IpAddr;

/// The settings.
#[derive(Debug, Clone)]
pub struct Web {
    /// The path of WebSockets (RFC 7395); `/ws` means the same.
    pub websocket: String,
    /// The path of BOSH (XEP-0124).
    pub bosh: String,
    /// Origins whose pages may connect, beside those of the host that they connect to; `*`: all of them.
    pub origins: Vec<String>,
    /// Proxies that are believed whom they speak for.
    pub proxies: Vec<Network>,
    /// Where clients are sent instead (RFC 7395 §3.6.1).
    pub elsewhere: Option<String>,
}

/// The path that `proto-iwe` §2 gives to WebSockets.
const IMPLICIT: &str = "/ws";

impl Default for Web {
    fn default() -> Web {
        Web {
            websocket: "/xmpp-websocket".to_owned(),
            bosh: "/http-bind".to_owned(),
            origins: Vec::new(),
            // Whoever is on this machine could connect from here as well.
            proxies: ["127.0.0.0/8", "::1"].iter().filter_map(|text| Network::parse(text)).collect(),
            elsewhere: None,
        }
    }
}

impl Web {
    pub(crate) fn is_websocket(&self, path: &str) -> bool {
        path == self.websocket || path == IMPLICIT
    }

    /// Whether this address is a proxy that is believed.
    pub(crate) fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(address))
    }

    /// Whether a page of this origin may speak to us (RFC 6455 §10.2, RFC 6454 §4). Programs that are no browsers have
    /// no origin, and could say what they like.
    pub(crate) fn allows(&self, headers: &HeaderMap, host: Option<&str>) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        let is_listed = |listed: &String| listed == "*" || listed.eq_ignore_ascii_case(origin);
        self.origins.iter().any(is_listed) || is_same_host(origin, host.unwrap_or_default())
    }
}

/// Whether an origin is of the host, on whichever port: pages and connections often have different ones.
fn is_same_host(origin: &str, host: &str) -> bool {
    let name = |authority: &str| authority.parse::<axum::http::uri::Authority>().ok().map(|a| a.host().to_owned());
    let origin = origin.parse::<Uri>().ok().and_then(|origin| origin.host().map(str::to_owned));
    matches!((origin, name(host)), (Some(origin), Some(host)) if origin.eq_ignore_ascii_case(&host))
}

/// Who sent a request, as far as we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// Nobody on the way can read it: TLS to us, or to a proxy that we believe.
    pub(crate) is_secure: bool,
}

/// Who sent a request that came from `peer`. Only a proxy that is believed may name somebody else (RFC 7239 §8.1): of the
/// addresses that are named, it is the last that is no such proxy.
pub(crate) fn client(web: &Web, peer: IpAddr, is_secure: bool, headers: &HeaderMap) -> Client {
    let mut client = Client { address: peer, is_secure };
    if !web.is_proxy(peer) {
        return client;
    }
    let hops = if headers.contains_key(header::FORWARDED) { forwarded(headers) } else { x_forwarded(headers) };
    if let Some((_, Some(is_secure))) = hops.last() {
        client.is_secure = *is_secure;
    }
    for (address, _) in hops.iter().rev() {
        let Some(address) = address else { break };
        client.address = *address;
        if !web.is_proxy(*address) {
            break;
        }
    }
    client
}

/// For each proxy on the way: whom it spoke for, if that is an address, and whether that was secure.
type Hops = Vec<(Option<IpAddr>, Option<bool>)>;

/// `Forwarded` (RFC 7239 §4).
fn forwarded(headers: &HeaderMap) -> Hops {
    let elements = lines(headers, "forwarded").flat_map(|line| line.split(','));
    let hop = |element: &str| {
        let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
        let (mut address, mut is_secure) = (None, None);
        for (name, value) in pairs {
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "for" => address = node(value),
                "proto" => is_secure = Some(is_secure_scheme(value)),
                _ => {}
            }
        }
        (address, is_secure)
    };
    elements.take(HOPS).map(hop).collect()
}

/// `X-Forwarded-For` and `X-Forwarded-Proto`, of which the last scheme is what the last proxy saw.
fn x_forwarded(headers: &HeaderMap) -> Hops {
    let addresses = lines(headers, "x-forwarded-for").flat_map(|line| line.split(','));
    let mut hops: Hops = addresses.take(HOPS).map(|address| (node(address.trim()), None)).collect();
    if let Some(scheme) = lines(headers, "x-forwarded-proto").last() {
        let is_secure = Some(is_secure_scheme(scheme.rsplit(',').next().unwrap_or_default().trim()));
        match hops.last_mut() {
            Some(last) => last.1 = is_secure,
            None => hops.push((None, is_secure)),
        }
    }
    hops
}

/// Proxies that are read of; there are hardly more than three.
const HOPS: usize = 32;

fn lines<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

fn is_secure_scheme(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss")
}

/// An address, with or without a port (RFC 7239 §6).
fn node(text: &str) -> Option<IpAddr> {
    if let Some(inside) = text.strip_prefix('[') {
        return inside.split_once(']')?.0.parse().ok();
    }
    text.parse().ok().or_else(|| text.rsplit_once(':')?.0.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn address(peer: &str, all: &[(&'static str, &'static str)]) -> String {
        let web = Web { proxies: vec![Network::parse("10.0.0.0/8").unwrap()], ..Web::default() };
        let client = client(&web, peer.parse().unwrap(), false, &headers(all));
        format!("{} {}", client.address, client.is_secure)
    }

    #[test]
    fn only_proxies_that_are_believed_speak_for_others() {
        let lie = [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https")];
        assert_eq!(address("198.51.100.1", &lie), "198.51.100.1 false");
        assert_eq!(address("198.51.100.1", &[("forwarded", "for=192.0.2.7;proto=https")]), "198.51.100.1 false");
        assert_eq!(address("10.0.0.1", &lie), "192.0.2.7 true");
        assert_eq!(address("10.0.0.1", &[]), "10.0.0.1 false");
        assert_eq!(address("10.0.0.1", &[("x-forwarded-proto", "https")]), "10.0.0.1 true");
    }

    #[test]
    fn what_a_client_claims_of_itself_is_left_of_what_proxies_say() {
        assert_eq!(address("10.0.0.1", &[("x-forwarded-for", "127.0.0.1, 192.0.2.7, 10.0.0.2")]), "192.0.2.7 false");
        assert_eq!(address("10.0.0.1", &[("x-forwarded-for", "192.0.2.7, nonsense")]), "10.0.0.1 false");
        let two = [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-for", "192.0.2.7")];
        assert_eq!(address("10.0.0.1", &two), "192.0.2.7 false");
        let chain = "for=127.0.0.1;proto=https, for=\"[2001:db8::7]:4711\";proto=https";
        assert_eq!(address("10.0.0.1", &[("forwarded", chain)]), "2001:db8::7 true");
        assert_eq!(address("10.0.0.1", &[("forwarded", "for=192.0.2.7:80;proto=http")]), "192.0.2.7 false");
        assert_eq!(address("10.0.0.1", &[("forwarded", "for=_hidden")]), "10.0.0.1 false");
    }

    #[test]
    fn pages_of_the_same_host_may_connect() {
        let web = Web { origins: vec!["https://chat.example".to_owned()], ..Web::default() };
        let allows = |origin: &'static str, host| web.allows(&headers(&[("origin", origin)]), host);
        assert!(allows("https://example.org", Some("example.org:5443")));
        assert!(allows("http://LOCALHOST:8000", Some("localhost")));
        assert!(allows("https://[::1]:8000", Some("[::1]:5443")));
        assert!(allows("https://chat.example", Some("example.org")));
        assert!(!allows("http://chat.example", Some("example.org")));
        assert!(!allows("https://example.org.evil.example", Some("example.org")));
        assert!(!allows("null", Some("example.org")));
        assert!(!allows("null", None));
        assert!(web.allows(&HeaderMap::new(), Some("example.org")));
        assert!(Web { origins: vec!["*".to_owned()], ..Web::default() }.allows(&headers(&[("origin", "null")]), None));
    }
}
