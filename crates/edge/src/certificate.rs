//! The server's certificate: from files, or self-signed and kept in the data directory.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use sha2::{Digest, Sha256};
use std::{
    fmt, fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// How long a self-signed certificate is valid: clients pin it, so that it should seldom change.
const VALID: Duration = Duration::days(3650);
/// A self-signed certificate is made anew when it has less than this before it.
const RENEW: Duration = Duration::days(30);

/// A certificate with its chain and its key.
#[derive(Debug)]
pub struct Certificate {
    /// The server's own first, then those that lead to an authority.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the first.
    pub key: PrivateKeyDer<'static>,
}

/// Why there is no certificate. `Display` is one line with the remedy.
#[derive(Debug)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file cannot be read or written.
    File(PathBuf, io::Error),
    /// A file holds no certificate or no key in PEM.
    Pem(PathBuf, &'static str),
    /// No certificate can be made for these names.
    Names(String),
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertificateError::File(path, error) => {
                write!(f, "{}: {error}; the server needs this file for TLS", path.display())
            }
            CertificateError::Pem(path, what) => {
                write!(f, "{}: there is no {what} in PEM form in this file", path.display())
            }
            CertificateError::Names(error) => write!(f, "no certificate can be made for the domains: {error}"),
        }
    }
}

impl std::error::Error for CertificateError {}

impl Certificate {
    /// Reads a certificate with its chain, and its key, from PEM files.
    ///
    /// # Errors
    /// [`CertificateError::File`], [`CertificateError::Pem`].
    pub fn load(certificate: &Path, key: &Path) -> Result<Certificate, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(&read(certificate)?).filter_map(Result::ok).collect::<Vec<_>>();
        if chain.is_empty() {
            return Err(CertificateError::Pem(certificate.to_owned(), "certificate"));
        }
        let key_der = PrivateKeyDer::from_pem_slice(&read(key)?);
        let key = key_der.map_err(|_| CertificateError::Pem(key.to_owned(), "private key"))?;
        Ok(Certificate { chain, key })
    }

    /// The self-signed certificate in this directory; made if there is none, if it is not for these domains, or if it is
    /// about to end. The key's file is for the owner only.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn self_signed(directory: &Path, domains: &[String]) -> Result<Certificate, CertificateError> {
        let (certificate, key) = (directory.join("certificate.pem"), directory.join("certificate.key"));
        if let Ok(kept) = Certificate::load(&certificate, &key)
            && kept.is_good_for(domains, OffsetDateTime::now_utc() + RENEW)
        {
            return Ok(kept);
        }
        let names = |error: rcgen::Error| CertificateError::Names(error.to_string());
        let pair = KeyPair::generate().map_err(names)?;
        let mut params = CertificateParams::new(domains.to_vec()).map_err(names)?;
        params.distinguished_name = DistinguishedName::new();
        if let Some(domain) = domains.first() {
            params.distinguished_name.push(DnType::CommonName, domain.as_str());
        }
        // Yesterday: clocks of clients are not all right.
        params.not_before = OffsetDateTime::now_utc() - Duration::DAY;
        params.not_after = OffsetDateTime::now_utc() + VALID;
        let made = params.self_signed(&pair).map_err(names)?;
        write(&key, &pair.serialize_pem(), 0o600)?;
        write(&certificate, &made.pem(), 0o644)?;
        Certificate::load(&certificate, &key)
    }

    /// The data of `tls-server-end-point` (RFC 5929 §4.1), if the type is defined for this certificate.
    pub fn end_point(&self) -> Option<Vec<u8>> {
        linnet_net::tls::server_end_point(self.chain.first()?)
    }

    /// The end of its validity, in words, and whether that is past. `None`: not readable.
    pub fn not_after(&self) -> Option<(String, bool)> {
        let (_, leaf) = X509Certificate::from_der(self.chain.first()?).ok()?;
        let end = leaf.validity().not_after;
        Some((end.to_string(), end.to_datetime() < OffsetDateTime::now_utc()))
    }

    /// The domains that it is not for.
    pub fn missing<'a>(&self, domains: &'a [String]) -> Vec<&'a str> {
        let names = self.names();
        domains.iter().map(String::as_str).filter(|domain| !covers(&names, domain)).collect()
    }

    /// Whether it is for this name, which is written in small letters.
    pub(crate) fn is_for(&self, name: &str) -> bool {
        covers(&self.names(), name)
    }

    /// The SHA-256 of its public key, as others may pin it (RFC 7469 §2.4). `None`: not readable.
    pub fn pin(&self) -> Option<[u8; 32]> {
        let (_, leaf) = X509Certificate::from_der(self.chain.first()?).ok()?;
        Some(Sha256::digest(leaf.public_key().raw).into())
    }

    fn is_good_for(&self, domains: &[String], until: OffsetDateTime) -> bool {
        let Some(leaf) = self.chain.first() else { return false };
        let Ok((_, leaf)) = X509Certificate::from_der(leaf) else { return false };
        leaf.validity().not_after.to_datetime() > until && self.missing(domains).is_empty()
    }

    fn names(&self) -> Vec<String> {
        let Some(leaf) = self.chain.first() else { return Vec::new() };
        let Ok((_, leaf)) = X509Certificate::from_der(leaf) else { return Vec::new() };
        let Ok(Some(names)) = leaf.subject_alternative_name() else { return Vec::new() };
        let text = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
                Ok(v4) => Some(std::net::Ipv4Addr::from(v4).to_string()),
                Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|v6| std::net::Ipv6Addr::from(v6).to_string()),
            },
            _ => None,
        };
        names.value.general_names.iter().filter_map(text).collect()
    }
}

/// Whether one of a certificate's names means this domain (RFC 6125 §6.4).
fn covers(names: &[String], domain: &str) -> bool {
    let parent = domain.split_once('.').map(|(_, parent)| parent);
    names.iter().any(|name| name == domain || name.strip_prefix("*.").is_some_and(|rest| Some(rest) == parent))
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|error| CertificateError::File(path.to_owned(), error))
}

/// Writes beside and renames, so that there is never half a file.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), CertificateError> {
    let failed = |error| CertificateError::File(path.to_owned(), error);
    let beside = path.with_extension("new");
    // One that was left behind may have another mode.
    let _ = fs::remove_file(&beside);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_self_signed_certificate_is_kept_while_it_fits() {
        let directory = std::env::temp_dir().join(format!("linnet-certificate-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let domains = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let first = Certificate::self_signed(&directory, &domains).unwrap();
        assert_eq!(first.missing(&domains), Vec::<&str>::new());
        assert_eq!(first.end_point().map(|hash| hash.len()), Some(32));
        assert_eq!(fs::metadata(directory.join("certificate.key")).unwrap().permissions().mode() & 0o777, 0o600);
        let again = Certificate::self_signed(&directory, &domains).unwrap();
        assert_eq!(first.chain, again.chain);
        let other = Certificate::self_signed(&directory, &["example.org".to_owned()]).unwrap();
        assert_ne!(first.chain, other.chain);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn files_without_pem_are_named() {
        let file = std::env::temp_dir().join(format!("linnet-no-pem-{}", std::process::id()));
        fs::write(&file, "nothing").unwrap();
        let error = Certificate::load(&file, &file).unwrap_err().to_string();
        assert!(error.contains("linnet-no-pem") && error.contains("no certificate"), "{error}");
        fs::remove_file(&file).unwrap();
    }
}
