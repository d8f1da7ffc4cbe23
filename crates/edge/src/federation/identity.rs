//! Whether a certificate is good for a domain of another server (RFC 6125, RFC 9525, RFC 6120 §13.7.1.2): it leads to an
//! authority that is trusted, holds now, and names the domain as dNSName, SRVName or XmppAddr.
//!
//! It is judged as that of a server on both sides of a connection: public authorities do not put clientAuth into
//! certificates any more.

use rustls::{
    CertificateError, Error, RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    crypto::ring,
    pki_types::{CertificateDer, UnixTime},
    server::ParsedCertificate,
};
use std::fmt;
use x509_parser::{
    der_parser::asn1_rs::Any,
    prelude::{FromDer, GeneralName, X509Certificate},
};

/// What is wrong with a certificate. `Display` continues "x.example": a part of a plain sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The peer showed none.
    Missing,
    /// It is over.
    Expired {
        /** Since when. */
        ended: String,
    },
    /// It does not hold yet.
    NotYet {
        /** From when. */
        begins: String,
    },
    /// Nobody who is trusted has signed it.
    Untrusted {
        /** Who has, as the certificate says. */
        issuer: String,
    },
    /// It is for others.
    Names {
        /** Whom it names. */
        names: Vec<String>,
    },
    /// Something else.
    Other(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Missing => f.write_str("showed no certificate"),
            Problem::Expired { ended } => write!(f, "has a certificate that ended on {ended}"),
            Problem::NotYet { begins } => write!(f, "has a certificate that is valid from {begins} on, not yet"),
            Problem::Untrusted { issuer } => {
                write!(f, "has a certificate of an authority that this server does not trust ({issuer})")
            }
            Problem::Names { names } if names.is_empty() => f.write_str("has a certificate that names nobody"),
            Problem::Names { names } => write!(f, "has a certificate for others: {}", names.join(", ")),
            Problem::Other(text) => write!(f, "has a certificate that cannot be used: {text}"),
        }
    }
}

/// Whether the chain, its leaf first, is good for a domain (in ASCII) now.
pub(crate) fn judge(
    chain: &[CertificateDer<'_>],
    domain: &str,
    roots: &RootCertStore,
    now: UnixTime,
) -> Result<(), Problem> {
    let Some((leaf, intermediates)) = chain.split_first() else { return Err(Problem::Missing) };
    let parsed = ParsedCertificate::try_from(leaf).map_err(|error| Problem::Other(error.to_string()))?;
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else {
        return Err(Problem::Other("it cannot be read".into()));
    };
    let algorithms = ring::default_provider().signature_verification_algorithms.all;
    // Names come first: a certificate for others is for others, whoever has signed it.
    let names = names(&certificate);
    if !names.iter().any(|name| name.covers(domain)) {
        return Err(Problem::Names { names: names.iter().map(ToString::to_string).collect() });
    }
    verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)
        .map_err(|error| explain(&error, &certificate))
}

fn explain(error: &Error, certificate: &X509Certificate<'_>) -> Problem {
    let validity = certificate.validity();
    match error {
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            Problem::Expired { ended: validity.not_after.to_string() }
        }
        Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            Problem::NotYet { begins: validity.not_before.to_string() }
        }
        // A bad signature: an authority of the same name is trusted, and it is another one.
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            Problem::Untrusted { issuer: certificate.issuer().to_string() }
        }
        Error::InvalidCertificate(error) => Problem::Other(error.to_string()),
        error => Problem::Other(error.to_string()),
    }
}

/// A name in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// dNSName; the first label may be `*`.
    Dns(String),
    /// SRVName of XMPP between servers, without the service (RFC 4985).
    Service(String),
    /// XmppAddr: a domain (RFC 6120 §13.7.1.4).
    Address(String),
    /// iPAddress.
    Ip(std::net::IpAddr),
}

impl Name {
    fn covers(&self, domain: &str) -> bool {
        let same = |name: &str| name.eq_ignore_ascii_case(domain);
        match self {
            Name::Dns(name) => match name.strip_prefix("*.") {
                // RFC 9525 §6.3: the whole first label, and that alone.
                Some(parent) => domain.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent)),
                None => same(name),
            },
            Name::Service(name) => same(name),
            Name::Address(name) => same(name) || linnet_net::dns::ascii(name).is_ok_and(|ascii| same(&ascii)),
            Name::Ip(address) => domain.trim_matches(['[', ']']).parse() == Ok(*address),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Dns(name) | Name::Service(name) | Name::Address(name) => f.write_str(name),
            Name::Ip(address) => write!(f, "{address}"),
        }
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<Name> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    names.value.general_names.iter().filter_map(name).collect()
}

fn name(name: &GeneralName<'_>) -> Option<Name> {
    match name {
        GeneralName::DNSName(name) => Some(Name::Dns((*name).to_owned())),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(four) => Some(Name::Ip(four.into())),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|six| Name::Ip(six.into())),
        },
        GeneralName::OtherName(oid, value) => {
            let text = other_text(value)?;
            match oid.to_id_string().as_str() {
                // id-on-xmppAddr.
                "1.3.6.1.5.5.7.8.5" => Some(Name::Address(text)),
                // id-on-dnsSRV; `_xmpp` is of RFC 3920's time.
                "1.3.6.1.5.5.7.8.7" => {
                    let service = ["_xmpp-server.", "_xmpps-server."].iter();
                    service.filter_map(|prefix| text.strip_prefix(prefix)).next().map(|name| Name::Service(name.into()))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The string in an otherName: in an explicit tag, whose own tag and length are part of what is given.
fn other_text(value: &[u8]) -> Option<String> {
    let (_, outer) = Any::from_der(value).ok()?;
    let inner = match Any::from_der(outer.data) {
        Ok((_, inner)) => inner,
        Err(_) => outer,
    };
    std::str::from_utf8(inner.data).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, OtherNameValue,
        SanType,
    };
    use time::{Duration, OffsetDateTime};

    fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn issued(
        authority: &CertifiedIssuer<'static, KeyPair>,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Vec<CertificateDer<'static>> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        change(&mut params);
        let made = params.signed_by(&KeyPair::generate().unwrap(), authority).unwrap();
        vec![made.der().clone()]
    }

    fn roots(authority: &CertifiedIssuer<'static, KeyPair>) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        roots
    }

    fn dns(name: &str) -> impl FnOnce(&mut CertificateParams) {
        let san = SanType::DnsName(name.try_into().unwrap());
        move |params| params.subject_alt_names.push(san)
    }

    #[test]
    fn names_are_those_of_rfc9525_and_rfc6120() {
        let authority = authority();
        let roots = roots(&authority);
        let good = |chain: &[CertificateDer<'_>], domain: &str| judge(chain, domain, &roots, UnixTime::now()).is_ok();
        let plain = issued(&authority, dns("capulet.example"));
        assert!(good(&plain, "capulet.example") && good(&plain, "Capulet.Example"));
        assert!(!good(&plain, "sub.capulet.example") && !good(&plain, "example"));
        let wild = issued(&authority, dns("*.capulet.example"));
        assert!(good(&wild, "rooms.capulet.example"));
        assert!(!good(&wild, "capulet.example") && !good(&wild, "a.rooms.capulet.example"));
        let other = |oid: &[u64], text: &str| {
            let value = OtherNameValue::Utf8String(text.to_owned());
            let san = SanType::OtherName((oid.to_vec(), value));
            issued(&authority, move |params| params.subject_alt_names.push(san))
        };
        let address = other(&[1, 3, 6, 1, 5, 5, 7, 8, 5], "capulet.example");
        assert!(good(&address, "capulet.example") && !good(&address, "montague.example"));
        let service = other(&[1, 3, 6, 1, 5, 5, 7, 8, 7], "_xmpp-server.capulet.example");
        assert!(good(&service, "capulet.example"));
        let client = other(&[1, 3, 6, 1, 5, 5, 7, 8, 7], "_xmpp-client.capulet.example");
        assert!(!good(&client, "capulet.example"));
    }

    #[test]
    fn a_certificate_without_client_auth_is_as_good_as_one_with_it() {
        let authority = authority();
        let roots = roots(&authority);
        let with = |usages: Vec<ExtendedKeyUsagePurpose>| {
            let chain = issued(&authority, |params| {
                dns("a.example")(params);
                params.extended_key_usages = usages;
            });
            judge(&chain, "a.example", &roots, UnixTime::now())
        };
        assert_eq!(with(vec![ExtendedKeyUsagePurpose::ServerAuth]), Ok(()));
        assert_eq!(with(vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_said_in_plain_words() {
        let (authority, foreign) = (authority(), self::authority());
        let roots = roots(&authority);
        let problem = |chain: &[CertificateDer<'_>]| judge(chain, "a.example", &roots, UnixTime::now()).unwrap_err();
        assert_eq!(problem(&[]), Problem::Missing);
        assert_eq!(problem(&issued(&authority, dns("b.example"))), Problem::Names { names: vec!["b.example".into()] });
        assert!(matches!(problem(&issued(&foreign, dns("a.example"))), Problem::Untrusted { .. }));
        let now = OffsetDateTime::now_utc();
        let over = issued(&authority, |params| {
            dns("a.example")(params);
            params.not_before = now - Duration::days(9);
            params.not_after = now - Duration::days(2);
        });
        assert!(matches!(problem(&over), Problem::Expired { .. }));
        let early = issued(&authority, |params| {
            dns("a.example")(params);
            params.not_before = now + Duration::days(2);
        });
        assert!(matches!(problem(&early), Problem::NotYet { .. }));
        assert_eq!(problem(&over).to_string().split(" that ").next(), Some("has a certificate"));
    }
}
