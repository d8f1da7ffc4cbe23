//! How clients find the ways in: `/.well-known/host-meta` as XRD and as JRD (RFC 6415, XEP-0156), and with all that is
//! needed to connect without DNS where the public addresses are known (XEP-0487).

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::IntoResponse,
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use linnet_xmpp::xml::Writer;
use serde_json::{Map, Value, json};
use std::{net::IpAddr, sync::Arc};

/// What there is to find.
#[derive(Debug, Clone, Default)]
pub struct Discovery {
    /// Where the server is reached over HTTP.
    pub url: Option<String>,
    /// The path of WebSockets.
    pub websocket: String,
    /// The path of BOSH.
    pub bosh: String,
    /// The domains served, the main one first.
    pub domains: Vec<String>,
    /// The public addresses; without them XEP-0487 is not spoken.
    pub addresses: Vec<IpAddr>,
    /// Ports of direct TLS (XEP-0368).
    pub ports: Vec<u16>,
    /// SHA-256 of the certificates' public keys.
    pub pins: Vec<[u8; 32]>,
}

const WEBSOCKET: &str = "urn:xmpp:alt-connections:websocket";
const BOSH: &str = "urn:xmpp:alt-connections:xbosh";
const TLS: &str = "urn:xmpp:alt-connections:tls";
const XRD: &str = "http://docs.oasis-open.org/ns/xri/xrd-1.0";
/// How long others may remember it, in seconds: an hour, so that a move is not noticed for long.
const TTL: u64 = 3600;

impl Discovery {
    pub(crate) fn router(self) -> Router {
        let xrd = |State(discovery): State<Arc<Discovery>>| async move {
            answer("application/xrd+xml; charset=utf-8", discovery.xrd())
        };
        let jrd = |State(discovery): State<Arc<Discovery>>, headers: HeaderMap| async move {
            answer("application/json", discovery.jrd(headers.get(header::HOST)).to_string())
        };
        Router::new()
            .route("/.well-known/host-meta", get(xrd))
            .route("/.well-known/host-meta.json", get(jrd))
            .with_state(Arc::new(self))
    }

    /// The ways of XEP-0156: only those that nobody can read on the way (§2.2).
    fn links(&self) -> Vec<(&'static str, String)> {
        let Some(host) = self.url.as_deref().and_then(|url| url.strip_prefix("https://")) else { return Vec::new() };
        vec![(WEBSOCKET, format!("wss://{host}{}", self.websocket)), (BOSH, format!("https://{host}{}", self.bosh))]
    }

    fn xrd(&self) -> String {
        let mut xrd = Writer::new("");
        xrd.open("XRD", XRD);
        for (rel, href) in self.links() {
            xrd.open("Link", XRD).attr("rel", rel).attr("href", &href).close();
        }
        xrd.close();
        format!("<?xml version='1.0' encoding='utf-8'?>\n{}\n", String::from_utf8_lossy(&xrd.finish()))
    }

    /// `host`: whom the client asked.
    fn jrd(&self, host: Option<&HeaderValue>) -> Value {
        let links = self.links().into_iter();
        if self.addresses.is_empty() {
            let links: Vec<_> = links.map(|(rel, href)| json!({ "rel": rel, "href": href })).collect();
            return json!({ "links": links });
        }
        let host = host.and_then(|host| host.to_str().ok()).map(name).unwrap_or_default();
        let domain = self.domains.iter().find(|domain| domain.eq_ignore_ascii_case(host)).or(self.domains.first());
        let domain = domain.map_or("", String::as_str);
        // Direct TLS first: it is the shortest way. Then what looks like the web.
        let tls = self.ports.iter().map(|port| self.link(TLS, "port", json!(port), 10, domain));
        let web = links.zip([15, 20]).map(|((rel, href), priority)| {
            let sni = href.split_once("://").map_or("", |(_, rest)| name(rest.split('/').next().unwrap_or_default()));
            self.link(rel, "href", json!(href), priority, sni)
        });
        let pins: Vec<_> = self.pins.iter().map(|pin| STANDARD.encode(pin)).collect();
        json!({
            "xmpp": { "ttl": TTL, "public-key-pins-sha-256": pins },
            "links": tls.chain(web).collect::<Vec<_>>(),
        })
    }

    /// XEP-0487 §2.1.
    fn link(&self, rel: &str, place: &str, value: Value, priority: u16, sni: &str) -> Value {
        let mut link = Map::new();
        link.insert("rel".to_owned(), json!(rel));
        link.insert(place.to_owned(), value);
        link.insert("ips".to_owned(), json!(self.addresses));
        link.insert("priority".to_owned(), json!(priority));
        link.insert("weight".to_owned(), json!(50));
        link.insert("sni".to_owned(), json!(sni));
        Value::Object(link)
    }
}

/// A host without its port.
fn name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn answer(content_type: &'static str, text: String) -> impl IntoResponse {
    const CACHED: HeaderValue = HeaderValue::from_static("public, max-age=3600");
    let headers: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        // XEP-0156 §3: pages of other hosts look for their way in here.
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, CACHED),
    ];
    (headers, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discovery(url: &str, addresses: &[&str]) -> Discovery {
        Discovery {
            url: Some(url.to_owned()),
            websocket: "/xmpp-websocket".to_owned(),
            bosh: "/http-bind".to_owned(),
            domains: vec!["example.org".to_owned(), "example.net".to_owned()],
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            ports: vec![443],
            pins: vec![[7; 32]],
        }
    }

    #[test]
    fn the_ways_of_xep_0156() {
        let discovery = discovery("https://xmpp.example.org:5443", &[]);
        let link = "<Link rel='urn:xmpp:alt-connections:websocket' href='wss://xmpp.example.org:5443/xmpp-websocket'/>";
        assert!(discovery.xrd().contains(link), "{}", discovery.xrd());
        let jrd = discovery.jrd(None);
        assert!(jrd.get("xmpp").is_none());
        assert_eq!(jrd["links"][1]["href"], "https://xmpp.example.org:5443/http-bind");
    }

    #[test]
    fn nothing_is_said_of_ways_that_others_can_read_xep_0156_2_2() {
        assert_eq!(discovery("http://localhost:5280", &[]).jrd(None), json!({ "links": [] }));
    }

    #[test]
    fn all_that_is_needed_to_connect_xep_0487() {
        let discovery = discovery("https://xmpp.example.org", &["192.0.2.1", "2001:db8::1"]);
        let jrd = discovery.jrd(Some(&HeaderValue::from_static("example.net:443")));
        assert_eq!(jrd["xmpp"]["ttl"], 3600);
        assert_eq!(jrd["xmpp"]["public-key-pins-sha-256"][0], STANDARD.encode([7; 32]));
        let links = jrd["links"].as_array().unwrap();
        assert_eq!((links.len(), &links[0]["port"], &links[0]["sni"]), (3, &json!(443), &json!("example.net")));
        assert_eq!((&links[1]["sni"], &links[1]["ips"][1]), (&json!("xmpp.example.org"), &json!("2001:db8::1")));
        assert!(links.iter().all(|link| link["priority"].is_u64() && link["weight"].is_u64()));
    }
}
