//! TLS for servers: rustls with ring, TLS 1.2 and 1.3, and the data that login is bound to.

use crate::{certificate::Certificate, certificates::Certificates, limits};
use linnet_xmpp::{sasl::ChannelBindings, stream::Secured};
use rustls::{
    ProtocolVersion, ServerConfig,
    crypto::{CryptoProvider, ring},
    server::NoServerSessionStorage,
};
use std::{io, sync::Arc, time::Duration};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// What TLS connections need, made once and shared.
pub struct Tls {
    starttls: TlsAcceptor,
    direct: TlsAcceptor,
    web: TlsAcceptor,
    any: TlsAcceptor,
    certificates: Arc<Certificates>,
}

/// What is to be spoken inside TLS (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inside {
    /// A stream whose TLS began by STARTTLS: nobody asks.
    Asked,
    /// A client's stream (XEP-0368).
    Stream,
    /// HTTP.
    Web,
    /// All of these.
    Any,
}

/// What a client asked for by ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
    /// A client's stream.
    Client,
    /// A server's stream.
    Server,
    /// It did not say.
    Unknown,
}

/// The protocol of a connection.
pub(crate) fn protocol(stream: &TlsStream<TcpStream>) -> Protocol {
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        Some(b"http/1.1") => Protocol::Http1,
        Some(b"xmpp-client") => Protocol::Client,
        Some(b"xmpp-server") => Protocol::Server,
        _ => Protocol::Unknown,
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// With these certificates: each connection gets the one for the name that it asks for, or the first.
    ///
    /// # Errors
    /// There is none, a key does not belong to its certificate, or is of a kind that is not supported.
    pub fn new(certificates: Vec<Certificate>) -> Result<Tls, rustls::Error> {
        let provider = Arc::new(provider());
        let certificates = Arc::new(Certificates::new(certificates, &provider)?);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(certificates.clone());
        config.ignore_client_order = true;
        // Without it, channel binding under TLS 1.2 proves nothing (RFC 9266 §4.2).
        config.require_ems = true;
        // Connections last for hours: resumption would cost more in tickets than it saves in handshakes.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        let with = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            TlsAcceptor::from(Arc::new(config))
        };
        let starttls = with(&[]);
        // XEP-0368 §3.
        let direct = with(&[b"xmpp-client"]);
        let web = with(&[b"h2", b"http/1.1"]);
        let any = with(&[b"h2", b"http/1.1", b"xmpp-client", b"xmpp-server"]);
        Ok(Tls { starttls, direct, web, any, certificates })
    }

    /// The server's side of a handshake.
    pub(crate) async fn accept(&self, tcp: TcpStream, inside: Inside) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = match inside {
            Inside::Asked => &self.starttls,
            Inside::Stream => &self.direct,
            Inside::Web => &self.web,
            Inside::Any => &self.any,
        };
        let limit: Duration = limits::HANDSHAKE;
        let mut stream = tokio::time::timeout(limit, acceptor.accept(tcp)).await??;
        stream.get_mut().1.set_buffer_limit(Some(limits::WRITE_BATCH));
        Ok(stream)
    }

    /// What the XMPP stream needs to know about the connection.
    pub(crate) fn secured(&self, stream: &TlsStream<TcpStream>) -> Secured {
        let (_, connection) = stream.get_ref();
        // Under TLS 1.2 an empty context and none differ, and implementations disagree about which it is: not offered.
        let exporter = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => {
                connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None).ok()
            }
            _ => None,
        };
        let exporter = exporter.map(|data| data.to_vec().into_boxed_slice());
        let bindings =
            ChannelBindings { exporter, server_end_point: self.certificates.end_point(connection.server_name()) };
        Secured { bindings, certificate: false }
    }
}

/// The suites of ring, AES-128 with SHA-256 first: strong enough for as long as its key exchange, and processors compute
/// SHA-256 in hardware, SHA-384 not. It is a fifth of what a handshake costs beside its elliptic curves.
pub(crate) fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| {
        let hash = suite.tls13().map(|suite| suite.common.hash_provider.output_len());
        hash.is_some_and(|bytes| bytes > 32)
    });
    provider
}
