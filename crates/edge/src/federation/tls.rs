//! TLS between servers: both sides show certificates, and none is refused in the handshake. What a certificate is worth is
//! judged afterwards ([`super::identity`]), since a bad one may leave dialback.

use crate::{certificate::Certificate, limits, tls::provider};
use linnet_net::dns::ascii;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use std::{io, net::IpAddr, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// What connections between servers need, made once and shared.
pub struct ServerTls {
    accept: [TlsAcceptor; 2],
    connect: [TlsConnector; 2],
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerTls")
    }
}

impl ServerTls {
    /// With this certificate for both directions.
    ///
    /// # Errors
    /// The key does not belong to the certificate, or is of a kind that is not supported.
    pub fn new(certificate: &Certificate) -> Result<ServerTls, Error> {
        let provider = Arc::new(provider());
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let any = Arc::new(Anybody(provider.clone()));
        let (chain, key) = (certificate.chain.clone(), certificate.key.clone_key());
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions)?
            .with_client_cert_verifier(any.clone())
            .with_single_cert(chain.clone(), key.clone_key())?;
        server.ignore_client_order = true;
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)?
            .dangerous()
            .with_custom_certificate_verifier(any)
            .with_client_auth_cert(chain, key)?;
        client.resumption = Resumption::disabled();
        // XEP-0368 §3.
        let (mut direct_server, mut direct_client) = (server.clone(), client.clone());
        direct_server.alpn_protocols = vec![ALPN.to_vec()];
        direct_client.alpn_protocols = vec![ALPN.to_vec()];
        Ok(ServerTls {
            accept: [server, direct_server].map(|config| Arc::new(config).into()),
            connect: [client, direct_client].map(|config| Arc::new(config).into()),
        })
    }

    /// The accepting side of a handshake. `direct`: TLS from the first byte.
    pub(crate) async fn accept(&self, tcp: TcpStream, direct: bool) -> io::Result<server::TlsStream<TcpStream>> {
        let mut stream =
            tokio::time::timeout(limits::HANDSHAKE, self.accept[usize::from(direct)].accept(tcp)).await??;
        stream.get_mut().1.set_buffer_limit(Some(limits::WRITE_BATCH));
        Ok(stream)
    }

    /// The connecting side, which asks for this domain.
    pub(crate) async fn connect(
        &self,
        tcp: TcpStream,
        domain: &str,
        direct: bool,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "the domain cannot stand in a certificate");
        let name = match domain.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => ServerName::IpAddress(address.into()),
            Err(_) => ServerName::try_from(String::from(ascii(domain).map_err(|_| wrong())?)).map_err(|_| wrong())?,
        };
        let connecting = self.connect[usize::from(direct)].connect(name, tcp);
        let mut stream = tokio::time::timeout(limits::HANDSHAKE, connecting).await??;
        stream.get_mut().1.set_buffer_limit(Some(limits::WRITE_BATCH));
        Ok(stream)
    }
}

/// The protocol's name in ALPN.
const ALPN: &[u8] = b"xmpp-server";

/// Lets everybody in who has the key of the certificate that he shows.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl Anybody {
    fn tls12(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Checked {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn tls13(&self, message: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Checked {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
}

type Checked = Result<HandshakeSignatureValid, Error>;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, m: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Checked {
        self.tls12(m, cert, dss)
    }

    fn verify_tls13_signature(&self, m: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Checked {
        self.tls13(m, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Anybody {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, m: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Checked {
        self.tls12(m, cert, dss)
    }

    fn verify_tls13_signature(&self, m: &[u8], cert: &CertificateDer<'_>, dss: &DigitallySignedStruct) -> Checked {
        self.tls13(m, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
