//! What the configuration says about HTTP and files: `[http]`, `[files]` and `[s3]`.

use super::{
    ConfigError, Listen, is_this_machine,
    reader::{Reader, Said, Section},
};
use edge::{limits::Network, listener::Kind, web::Web};
use kernel::Files;
use std::{net::IpAddr, time::Duration};
use store_objects::S3;

/// Largest file where nothing else is said: a few minutes of video from a telephone.
const SIZE: u64 = 100 * 1024 * 1024;
/// All files of an account where nothing else is said.
const QUOTA: u64 = 1024 * 1024 * 1024;
/// How long files are kept where nothing else is said: every device has fetched its copy, a month of holidays included.
const KEEP_DAYS: u64 = 60;
/// Enough for everybody: 4 TiB.
const MOST: u64 = 1 << 42;

/// Where the server is reached over HTTP, as a URL without a `/` at its end.
pub(super) fn url(reader: &Reader<'_>, main: &str, listen: &[Listen]) -> Result<Option<String>, ConfigError> {
    if let Some(said) = reader.section("http")?.text("url")? {
        return said_url(&said).map(Some);
    }
    let first = |kind| listen.iter().find(|listen| listen.kind == kind).map(|listen| listen.address.port());
    let host = linnet_net::dns::ascii(main).unwrap_or_else(|_| main.into());
    // Port 443 is the one that reaches out of most networks.
    let any = first(Kind::Any);
    let secure = any.filter(|port| *port == 443).or(first(Kind::Https)).or(any);
    Ok(match (secure, first(Kind::Http)) {
        (Some(443), _) => Some(format!("https://{host}")),
        (Some(port), _) => Some(format!("https://{host}:{port}")),
        // Without TLS it is for this machine, or for a proxy whose name nobody has told us.
        (None, Some(port)) if is_this_machine(main) => Some(format!("http://{host}:{port}")),
        _ => None,
    })
}

fn said_url(said: &Said<'_, String>) -> Result<String, ConfigError> {
    let url = said.value.trim_end_matches('/');
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~/:[]%".contains(c);
    if host.is_empty() || host.starts_with('/') || !host.chars().all(is_plain) {
        let text = format!("'{}' is not a URL such as 'https://example.org'", said.value);
        return Err(said.error(text));
    }
    Ok(url.to_owned())
}

/// What the administrator says about XMPP over HTTP.
pub(super) fn xmpp(section: &Section<'_>) -> Result<Web, ConfigError> {
    let usual = Web::default();
    let path = |name: &str, usual: String| -> Result<String, ConfigError> {
        let Some(said) = section.text(name)? else { return Ok(usual) };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
        if said.value.len() < 2 || !said.value.starts_with('/') || !said.value.chars().all(is_plain) {
            return Err(said.error(format!("'{}' is not a path such as '{usual}'", said.value)));
        }
        Ok(said.value)
    };
    let origins = section.texts("origins")?.unwrap_or_default().into_iter().map(|said| {
        if said.value == "*" {
            return Ok(said.value);
        }
        let url = said_url(&said)?;
        if url.splitn(4, '/').count() > 3 || url.len() != said.value.len() {
            return Err(said.error(format!("'{}' is not an origin such as 'https://chat.example.org'", said.value)));
        }
        Ok(url)
    });
    let elsewhere = section.text("see_other_uri")?.map(|said| {
        let is_uri = ["wss://", "https://", "ws://", "http://"].iter().any(|scheme| said.value.starts_with(scheme));
        if is_uri { Ok(said.value) } else { Err(said.error("'see_other_uri' begins with wss:// or https://")) }
    });
    Ok(Web {
        websocket: path("websocket", usual.websocket)?,
        bosh: path("bosh", usual.bosh)?,
        origins: origins.collect::<Result<_, _>>()?,
        proxies: networks(section, "proxies")?.unwrap_or(usual.proxies),
        elsewhere: elsewhere.transpose()?,
    })
}

/// A list of addresses and networks.
pub(super) fn networks(section: &Section<'_>, name: &str) -> Result<Option<Vec<Network>>, ConfigError> {
    let Some(said) = section.texts(name)? else { return Ok(None) };
    let network = |said: Said<'_, String>| {
        let text = || format!("'{}' is not a network; say for example '192.0.2.0/24' or '::1'", said.value);
        Network::parse(&said.value).ok_or_else(|| said.error(text()))
    };
    said.into_iter().map(network).collect::<Result<_, _>>().map(Some)
}

/// The server's public addresses.
pub(super) fn public_addresses(section: &Section<'_>) -> Result<Vec<IpAddr>, ConfigError> {
    let address = |said: Said<'_, String>| {
        let text = || format!("'{}' is not an address; say for example '192.0.2.1'", said.value);
        said.value.parse().map_err(|_| said.error(text()))
    };
    section.texts("public_addresses")?.unwrap_or_default().into_iter().map(address).collect()
}

/// What accounts may keep.
pub(super) fn files(section: &Section<'_>) -> Result<Files, ConfigError> {
    let number = |name: &str, most: u64, usual: u64| -> Result<u64, ConfigError> {
        let Some(said) = section.number(name)? else { return Ok(usual) };
        if said.value > most {
            return Err(said.error(format!("'{name}' must be between 0 and {most}")));
        }
        Ok(said.value)
    };
    let days = number("keep_days", 36_500, KEEP_DAYS)?;
    Ok(Files {
        size: number("size", MOST, SIZE)?,
        quota: number("quota", MOST, QUOTA)?,
        keep: (days > 0).then(|| Duration::from_secs(days * 24 * 3600)),
    })
}

/// The service that keeps the files, if it is not a local folder.
pub(super) fn s3(section: &Section<'_>) -> Result<Option<S3>, ConfigError> {
    let values = ["bucket", "access_key", "secret_key", "endpoint", "region"].map(|name| section.text(name));
    let [bucket, access_key, secret_key, endpoint, region] = values;
    let (bucket, access_key, secret_key) = (bucket?, access_key?, secret_key?);
    let (endpoint, region) = (endpoint?, region?);
    if let Some(endpoint) = &endpoint {
        said_url(endpoint)?;
    }
    let any = [&bucket, &access_key, &secret_key, &endpoint, &region].into_iter().flatten().next();
    match (&bucket, &access_key, &secret_key, any) {
        (Some(bucket), Some(access_key), Some(secret_key), _) => Ok(Some(S3 {
            bucket: bucket.value.clone(),
            access_key: access_key.value.clone(),
            secret_key: secret_key.value.clone(),
            endpoint: endpoint.map(|endpoint| endpoint.value),
            region: region.map_or_else(|| "us-east-1".to_owned(), |region| region.value),
        })),
        (_, _, _, Some(one)) => Err(one.error("[s3] needs 'bucket', 'access_key' and 'secret_key'")),
        _ => Ok(None),
    }
}
