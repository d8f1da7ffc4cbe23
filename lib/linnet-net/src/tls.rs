//! TLS for clients: rustls with ring, whom to trust, and the data that login is bound to (RFC 9266, RFC 5929 §4).

use crate::dns::{ascii, ip};
use linnet_xmpp::{sasl::ChannelBindings, stream::Secured};
use rustls::{
    ClientConfig, DigitallySignedStruct, ProtocolVersion, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use std::{fmt, sync::Arc, time::Duration};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use x509_parser::{prelude::FromDer, signature_algorithm::SignatureAlgorithm, x509::AlgorithmIdentifier};

/// Whose word about a server's certificate counts.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Trust {
    /// The certificate authorities that the operating system trusts.
    #[default]
    System,
    /// These certificates, in DER: authorities, or the server's own.
    Roots(Vec<Vec<u8>>),
    /// The one certificate with this SHA-256, whatever its names and dates.
    Pin([u8; 32]),
    /// Any certificate. Whoever is on the way can read everything: for tests on one machine.
    Anything,
}

/// Why there is no TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsError {
    /// The system's certificate authorities cannot be read, or one given is none.
    Roots(Box<str>),
    /// The domain cannot stand in a certificate.
    Domain(Box<str>),
    /// The server's certificate is not to be trusted.
    Certificate(Box<str>),
    /// The handshake failed.
    Handshake(Box<str>),
    /// The handshake took too long.
    Timeout,
}

/// What TLS connections need, made once and shared.
#[derive(Debug, Clone)]
pub struct Tls {
    starttls: Arc<ClientConfig>,
    direct: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the certificates that are trusted. For [`Trust::System`] that reads files.
    pub fn new(trust: &Trust) -> Result<Tls, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Handshake(error.to_string().into()))?;
        let starttls = match trust {
            Trust::System => builder.with_root_certificates(system_roots()?).with_no_client_auth(),
            Trust::Roots(certificates) => builder.with_root_certificates(roots(certificates)?).with_no_client_auth(),
            Trust::Pin(hash) => custom(builder, Exempt { pin: Some(*hash), provider }),
            Trust::Anything => custom(builder, Exempt { pin: None, provider }),
        };
        // XEP-0368 §3: ALPN with direct TLS, so that one port can serve several protocols.
        let mut direct = starttls.clone();
        direct.alpn_protocols = vec![b"xmpp-client".to_vec()];
        Ok(Tls { starttls: Arc::new(starttls), direct: Arc::new(direct) })
    }

    /// Makes TLS. The certificate must be the domain's, which SNI tells, whatever host SRV records named
    /// (RFC 6120 §13.7.2, RFC 7590 §3.4).
    pub async fn connect(
        &self,
        tcp: TcpStream,
        domain: &str,
        direct: bool,
        limit: Duration,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let name = server_name(domain)?;
        let connector = TlsConnector::from(Arc::clone(if direct { &self.direct } else { &self.starttls }));
        match tokio::time::timeout(limit, connector.connect(name, tcp)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(handshake_error(&error)),
            Err(_) => Err(TlsError::Timeout),
        }
    }
}

/// What a stream needs to know about a client's TLS connection.
pub fn secured(stream: &TlsStream<TcpStream>) -> Secured {
    let (_, connection) = stream.get_ref();
    let exporter = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => exporter(|out| connection.export_keying_material(out, EXPORTER, None).ok()),
        _ => None,
    };
    let leaf = connection.peer_certificates().and_then(|chain| chain.first());
    let server_end_point = leaf.and_then(|leaf| server_end_point(leaf)).map(Vec::into_boxed_slice);
    Secured { bindings: ChannelBindings { exporter, server_end_point }, certificate: false }
}

/// The `tls-server-end-point` data of a server's certificate in DER (RFC 5929 §4.1): its hash with the hash function
/// of its signature, or SHA-256 where that is MD5 or SHA-1. `None`: not a certificate, or its signature has no single
/// hash function (e.g. Ed25519), so that the type is not defined for it.
pub fn server_end_point(cert_der: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(cert_der).ok()?;
    Some(match signature_hash(&certificate.signature_algorithm)? {
        SignatureHash::Sha224 => Sha224::digest(cert_der).to_vec(),
        SignatureHash::Sha256 => Sha256::digest(cert_der).to_vec(),
        SignatureHash::Sha384 => Sha384::digest(cert_der).to_vec(),
        SignatureHash::Sha512 => Sha512::digest(cert_der).to_vec(),
    })
}

/// The SHA-256 of a certificate in DER, for [`Trust::Pin`].
pub fn pin(cert_der: &[u8]) -> [u8; 32] {
    Sha256::digest(cert_der).into()
}

/// RFC 9266 §2.
const EXPORTER: &[u8] = b"EXPORTER-Channel-Binding";

fn exporter(export: impl FnOnce([u8; 32]) -> Option<[u8; 32]>) -> Option<Box<[u8]>> {
    export([0; 32]).map(|data| data.to_vec().into_boxed_slice())
}

enum SignatureHash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

fn signature_hash(algorithm: &AlgorithmIdentifier<'_>) -> Option<SignatureHash> {
    let oid = algorithm.algorithm.to_id_string();
    Some(match oid.as_str() {
        // MD5 and SHA-1 with RSA, SHA-1 with ECDSA (RFC 3279 §2.2): replaced by SHA-256.
        "1.2.840.113549.1.1.4" | "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" => SignatureHash::Sha256,
        // RSA (RFC 4055 §5), ECDSA (RFC 5758 §3.2).
        "1.2.840.113549.1.1.14" | "1.2.840.10045.4.3.1" => SignatureHash::Sha224,
        "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" => SignatureHash::Sha256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => SignatureHash::Sha384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => SignatureHash::Sha512,
        // RSASSA-PSS names its hash in the parameters; by default SHA-1 (RFC 4055 §3.1).
        "1.2.840.113549.1.1.10" => {
            let Ok(SignatureAlgorithm::RSASSA_PSS(parameters)) = SignatureAlgorithm::try_from(algorithm) else {
                return None;
            };
            match parameters.hash_algorithm_oid().to_id_string().as_str() {
                "1.3.14.3.2.26" | "2.16.840.1.101.3.4.2.1" => SignatureHash::Sha256,
                "2.16.840.1.101.3.4.2.4" => SignatureHash::Sha224,
                "2.16.840.1.101.3.4.2.2" => SignatureHash::Sha384,
                "2.16.840.1.101.3.4.2.3" => SignatureHash::Sha512,
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn server_name(domain: &str) -> Result<ServerName<'static>, TlsError> {
    if let Some(address) = ip(domain) {
        return Ok(ServerName::IpAddress(address.into()));
    }
    let wrong = || TlsError::Domain(domain.into());
    let ascii = ascii(domain).map_err(|_| wrong())?;
    ServerName::try_from(String::from(ascii)).map_err(|_| wrong())
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    // Systems carry some certificates that webpki cannot read: they are passed over.
    let (added, _) = store.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(store);
    }
    let reason = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
    Err(TlsError::Roots(reason.into()))
}

fn roots(certificates: &[Vec<u8>]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        let added = store.add(CertificateDer::from(certificate.clone()));
        added.map_err(|error| TlsError::Roots(error.to_string().into()))?;
    }
    Ok(store)
}

fn custom(builder: rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, verifier: Exempt) -> ClientConfig {
    builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
}

fn handshake_error(error: &std::io::Error) -> TlsError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(reason)) => TlsError::Certificate(reason.to_string().into()),
        Some(rustls::Error::General(reason)) if reason == NOT_PINNED => TlsError::Certificate(NOT_PINNED.into()),
        _ => TlsError::Handshake(error.to_string().into()),
    }
}

const NOT_PINNED: &str = "it is not the one that was expected";

/// Takes the pinned certificate or any. The handshake's signature is checked in both cases, so that the server is at
/// least the certificate's holder.
#[derive(Debug)]
struct Exempt {
    pin: Option<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Exempt {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.pin {
            Some(hash) if hash != pin(leaf) => Err(rustls::Error::General(NOT_PINNED.into())),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Roots(reason) => write!(f, "no certificate authorities to trust: {reason}"),
            TlsError::Domain(domain) => write!(f, "{domain:?} cannot stand in a certificate"),
            TlsError::Certificate(reason) => write!(f, "the server's certificate is not to be trusted: {reason}"),
            TlsError::Handshake(reason) => write!(f, "TLS failed: {reason}"),
            TlsError::Timeout => f.write_str("TLS took too long"),
        }
    }
}

impl std::error::Error for TlsError {}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

    fn certificate(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let params = CertificateParams::new(vec!["example.org".to_owned()]).unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_point_is_hashed_as_the_signature_is() {
        let p256 = certificate(&PKCS_ECDSA_P256_SHA256);
        assert_eq!(server_end_point(&p256).as_deref(), Some(&Sha256::digest(&p256)[..]));
        let p384 = certificate(&PKCS_ECDSA_P384_SHA384);
        assert_eq!(server_end_point(&p384).as_deref(), Some(&Sha384::digest(&p384)[..]));
        // Ed25519 has no hash function of its own: not defined (RFC 5929 §4.1).
        assert_eq!(server_end_point(&certificate(&PKCS_ED25519)), None);
        assert_eq!(server_end_point(b"no certificate"), None);
    }

    #[test]
    fn old_hashes_are_replaced() {
        let algorithm =
            |oid: &[u64]| AlgorithmIdentifier::new(x509_parser::der_parser::oid::Oid::from(oid).unwrap(), None);
        for oid in [&[1, 2, 840, 113549, 1, 1, 4][..], &[1, 2, 840, 113549, 1, 1, 5], &[1, 2, 840, 10045, 4, 1]] {
            assert!(matches!(signature_hash(&algorithm(oid)), Some(SignatureHash::Sha256)));
        }
        let sha512 = algorithm(&[1, 2, 840, 113549, 1, 1, 13]);
        assert!(matches!(signature_hash(&sha512), Some(SignatureHash::Sha512)));
        assert!(signature_hash(&algorithm(&[1, 3, 101, 112])).is_none());
    }

    #[test]
    fn names_are_domains_or_addresses() {
        assert!(matches!(server_name("bücher.example"), Ok(ServerName::DnsName(_))));
        assert!(matches!(server_name("127.0.0.1"), Ok(ServerName::IpAddress(_))));
        assert!(matches!(server_name("[::1]"), Ok(ServerName::IpAddress(_))));
        assert!(server_name("a b").is_err());
        assert!(Tls::new(&Trust::Roots(vec![b"no certificate".to_vec()])).is_err());
    }
}
