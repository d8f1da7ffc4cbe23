//! Stream headers, read and written (RFC 6120 §4.7, §4.8).

use super::{
    StreamCondition, StreamError,
    steps::{AcceptLogin, Bits},
};
use crate::{
    jid::{Jid, JidError},
    ns,
    xml::{Document, Node, Scope, XmlError, escape_attr},
};
use bytes::Bytes;

/// A header whose namespaces are right.
#[derive(Debug)]
pub(super) struct Header {
    /// As sent; `None` where it is missing.
    pub(super) to: Option<Box<str>>,
    /// As sent.
    pub(super) from: Option<Box<str>>,
    /// The stream's id, which the accepting side gives.
    pub(super) id: Option<Box<str>>,
    /// `xml:lang`, if it is a language tag.
    pub(super) lang: Option<Box<str>>,
    /// As sent.
    pub(super) version: Version,
    /// The namespaces in force inside the stream.
    pub(super) scope: Scope,
}

/// The `version` of a header (RFC 6120 §4.7.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// Missing, which means 0.9.
    Missing,
    /// 1.0 or later: our 1.0 is the lower one.
    One,
    /// Earlier than 1.0, or not a version.
    Unsupported,
}

/// Reads a header of a client's stream. On an error in its namespaces gives what could be read as well, since the answer
/// quotes it.
pub(super) fn read(bytes: Bytes) -> Result<(Header, Result<(), StreamError>), XmlError> {
    read_with(bytes, ns::CLIENT)
}

/// Reads a header of a stream whose content has this namespace.
pub(super) fn read_with(bytes: Bytes, content: &str) -> Result<(Header, Result<(), StreamError>), XmlError> {
    let (document, scope) = Document::parse_header(bytes)?;
    let check = namespaces(&document, &scope, content);
    Ok((Header::of(document.root(), scope), check))
}

impl Header {
    /// The attributes of a header, which are the same in every framing (RFC 7395 §3.3.1).
    pub(super) fn of(root: Node<'_>, scope: Scope) -> Header {
        let boxed = |name| root.attr(name).map(|value| Box::from(&*value));
        Header {
            to: boxed("to"),
            from: boxed("from"),
            id: boxed("id"),
            lang: root.lang().filter(|lang| is_language(lang)).map(|lang| Box::from(&*lang)),
            version: root.attr("version").map_or(Version::Missing, |version| parse_version(&version)),
            scope,
        }
    }
}

/// RFC 6120 §4.8 and §4.9.3.1, §4.9.3.2, §4.9.3.10.
fn namespaces(document: &Document, scope: &Scope, content: &str) -> Result<(), StreamError> {
    let root = document.root();
    if root.name() != "stream" {
        return Err(StreamError::new(StreamCondition::BadFormat).text("the root element is not stream"));
    }
    if root.ns() != ns::STREAM {
        return Err(StreamError::new(StreamCondition::InvalidNamespace).text("not the namespace of streams"));
    }
    // §4.8.5 allows to accept only the prefix `stream`. That is what everything sends, and our answers use it.
    if !start_tag(document.bytes()).starts_with(b"<stream:stream") {
        return Err(StreamError::new(StreamCondition::BadNamespacePrefix).text("the prefix is not stream"));
    }
    if scope.default_ns() != content {
        let text = format!("the content is not {content}");
        return Err(StreamError::new(StreamCondition::InvalidNamespace).text(text));
    }
    Ok(())
}

/// The start tag behind an XML declaration.
fn start_tag(header: &[u8]) -> &[u8] {
    let behind = match header.windows(2).position(|two| two == b"?>") {
        Some(at) if header.starts_with(b"<?") => &header[at + 2..],
        _ => header,
    };
    behind.trim_ascii_start()
}

fn parse_version(text: &str) -> Version {
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty();
    match text.split_once('.') {
        // Of the major number only matters whether it is zero, so that it may have any number of digits.
        Some((major, minor)) if number(major) && number(minor) && major.bytes().any(|digit| digit != b'0') => {
            Version::One
        }
        _ => Version::Unsupported,
    }
}

/// Whether this looks like a language tag (RFC 5646 §2.1): parts of 1 to 8 letters and digits, the first only letters.
fn is_language(text: &str) -> bool {
    let part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 64
        && text.split('-').all(part)
        && text.split('-').next().is_some_and(|p| p.bytes().all(|b| b.is_ascii_alphabetic()))
}

/// What we write into a header.
#[derive(Debug, Default)]
pub(super) struct Reply<'a> {
    pub(super) from: Option<&'a str>,
    pub(super) to: Option<&'a str>,
    pub(super) id: Option<&'a str>,
    pub(super) lang: Option<&'a str>,
    /// False only to a peer that showed no version (RFC 6120 §4.7.5, rule 4).
    pub(super) version: bool,
}

impl Reply<'_> {
    /// Appends XML declaration and start tag of a client's stream.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.write_with(b" xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>", out);
    }

    /// The same with these namespaces and the end of the tag.
    pub(super) fn write_with(&self, namespaces: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"<?xml version='1.0'?><stream:stream");
        self.write_attributes(out);
        out.extend_from_slice(namespaces);
    }

    /// Appends `<open/>` (RFC 7395 §3.3.2).
    pub(super) fn write_open(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing'");
        self.write_attributes(out);
        out.extend_from_slice(b"/>");
    }

    fn write_attributes(&self, out: &mut Vec<u8>) {
        let version = self.version.then_some("1.0");
        let attributes =
            [("from", self.from), ("to", self.to), ("id", self.id), ("version", version), ("xml:lang", self.lang)];
        for (name, value) in attributes {
            if let Some(value) = value {
                out.extend_from_slice(b" ");
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"='");
                escape_attr(value, out);
                out.extend_from_slice(b"'");
            }
        }
    }
}

/// The domain that a header asks for, among those served (RFC 6120 §4.9.1.3, §4.9.3.6). An address that is none is
/// `improper-addressing`, one that is missing or not ours `host-unknown`.
pub(super) fn served<'a>(to: Option<&str>, domains: &'a [Box<str>]) -> Result<&'a str, StreamError> {
    let Some(to) = to else {
        return Err(StreamError::new(StreamCondition::HostUnknown).text("the stream header has no 'to'"));
    };
    let jid =
        Jid::parse(to).map_err(|_| StreamError::new(StreamCondition::ImproperAddressing).text("'to' is no address"))?;
    let found = domains.iter().find(|domain| jid.is_domain() && ***domain == *jid.domain());
    found.map(|domain| &**domain).ok_or_else(|| StreamError::new(StreamCondition::HostUnknown))
}

/// What a header with the right namespaces and domain can still have wrong.
pub(super) fn check(
    login: &AcceptLogin,
    domain: &str,
    version: Version,
    from: &Option<Result<Jid, JidError>>,
) -> Result<(), StreamError> {
    // §4.7.5: without a version it is a protocol that has neither TLS nor SASL.
    if version != Version::One {
        return Err(StreamCondition::UnsupportedVersion.into());
    }
    let authenticated = login.bits.has(Bits::AUTHENTICATED);
    if authenticated && *domain != *login.domain {
        return Err(StreamError::new(StreamCondition::NotAuthorized).text("the login was at another domain"));
    }
    match from {
        Some(Err(_)) => Err(StreamError::new(StreamCondition::InvalidFrom).text("'from' is no address")),
        // §4.9.3.9: after the login `from` is who logged in, if it is there at all.
        Some(Ok(from)) if authenticated && login.username.is_some() => {
            let same = from.local() == login.username.as_deref() && from.domain() == domain;
            if same { Ok(()) } else { Err(StreamCondition::InvalidFrom.into()) }
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_two_numbers_rfc6120_4_7_5() {
        for good in ["1.0", "1.1", "2.0", "11.0", "01.0", "1.99999999999999999999", "99999999999999999999999.0"] {
            assert_eq!(parse_version(good), Version::One, "{good}");
        }
        for bad in ["0.9", "0.0", "00.9", "1", "", ".", "1.", ".1", "a.b", "1.0.0", "-1.0", " 1.0"] {
            assert_eq!(parse_version(bad), Version::Unsupported, "{bad}");
        }
    }

    #[test]
    fn only_language_tags_are_remembered_rfc6120_4_7_4() {
        for good in ["en", "de-CH", "x-klingon", "sl-rozaj-biske-1994"] {
            assert!(is_language(good), "{good}");
        }
        for bad in ["", "-", "en-", "en--us", "1a", "en_US", "e\u{301}", "toolongtag", "en us"] {
            assert!(!is_language(bad), "{bad}");
        }
    }

    #[test]
    fn the_start_tag_is_found_behind_a_declaration() {
        assert_eq!(start_tag(b"<?xml version='1.0'?>\n <a>"), b"<a>");
        assert_eq!(start_tag(b"<a b='?>'>"), b"<a b='?>'>");
    }
}
