//! Several certificates on one port: which of them a connection gets.

use crate::certificate::Certificate;
use rustls::{
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::sync::Arc;

/// All of them, the usual one first.
#[derive(Debug)]
pub(crate) struct Certificates(Vec<One>);

#[derive(Debug)]
struct One {
    certificate: Certificate,
    key: Arc<CertifiedKey>,
    /// The data of `tls-server-end-point`.
    end_point: Option<Box<[u8]>>,
}

impl Certificates {
    pub(crate) fn new(all: Vec<Certificate>, provider: &CryptoProvider) -> Result<Certificates, rustls::Error> {
        let one = |certificate: Certificate| {
            let key = CertifiedKey::from_der(certificate.chain.clone(), certificate.key.clone_key(), provider)?;
            let end_point = certificate.end_point().map(Vec::into_boxed_slice);
            Ok(One { key: Arc::new(key), end_point, certificate })
        };
        let all = all.into_iter().map(one).collect::<Result<Vec<_>, rustls::Error>>()?;
        if all.is_empty() { Err(rustls::Error::NoCertificatesPresented) } else { Ok(Certificates(all)) }
    }

    /// The data that logins are bound to, of the certificate that a connection got (RFC 5929 §4.1).
    pub(crate) fn end_point(&self, name: Option<&str>) -> Option<Box<[u8]>> {
        self.choose(name)?.end_point.clone()
    }

    /// The one for this name; the first where there is none, or no name: clients ask for whatever they like to call us.
    fn choose(&self, name: Option<&str>) -> Option<&One> {
        let name = name.map(str::to_ascii_lowercase);
        let is_for = |one: &&One| name.as_ref().is_some_and(|name| one.certificate.is_for(name));
        self.0.iter().find(is_for).or_else(|| self.0.first())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name()).map(|one| one.key.clone())
    }
}
