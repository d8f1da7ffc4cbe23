//! TLS for servers: rustls with ring, TLS 1.2 and 1.3, and the data that login is bound to.

use crate::{certificate::Certificate, limits};
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
    end_point: Option<Box<[u8]>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// With this certificate.
    ///
    /// # Errors
    /// The key does not belong to the certificate, or is of a kind that is not supported.
    pub fn new(certificate: Certificate) -> Result<Tls, rustls::Error> {
        let end_point = certificate.end_point().map(Vec::into_boxed_slice);
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_single_cert(certificate.chain, certificate.key)?;
        config.ignore_client_order = true;
        // Without it, channel binding under TLS 1.2 proves nothing (RFC 9266 §4.2).
        config.require_ems = true;
        // Connections last for hours: resumption would cost more in tickets than it saves in handshakes.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        let mut direct = config.clone();
        // XEP-0368 §3.
        direct.alpn_protocols = vec![b"xmpp-client".to_vec()];
        let mut web = config.clone();
        web.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let [starttls, direct, web] = [config, direct, web].map(|config| Arc::new(config).into());
        Ok(Tls { starttls, direct, web, end_point })
    }

    /// The server's side of a handshake on a web port.
    pub(crate) async fn accept_web(&self, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        tokio::time::timeout(limits::HANDSHAKE, self.web.accept(tcp)).await?
    }

    /// The server's side of a handshake. `direct`: TLS from the first byte (XEP-0368).
    pub(crate) async fn accept(&self, tcp: TcpStream, direct: bool) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = if direct { &self.direct } else { &self.starttls };
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
        let bindings = ChannelBindings { exporter, server_end_point: self.end_point.clone() };
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
