//! The domainpart (RFC 7622 §3.2): host names after UTS 46, IPv4 addresses, IPv6 literals with or without a zone.

use std::{borrow::Cow, net::Ipv6Addr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::JidError;

/// What no label may hold: all of ASCII that is neither letter, digit, hyphen nor underscore. The underscore is no
/// part of an NR-LDH label (RFC 5890 §2.3.2.2), but nameprep (RFC 6122) lets it through and components on private
/// networks carry it in their names, so an address with it must go on to work.
const DENIED: AsciiDenyList = AsciiDenyList::new(true, "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~");

/// A hyphen in the third and fourth place is fine where the label is no A-label: such names are in use.
const HYPHENS: Hyphens = Hyphens::CheckFirstLast;

/// Prepares a domainpart: lower case, U-labels, no trailing dot, IPv6 literals in the form of RFC 5952.
///
/// UTS 46 without its transitional mappings gives what IDNA2008 gives (`weiß.com` stays), and beyond that lets symbols
/// pass (`☃.com`) as IDNA2003 and with it RFC 6122 did: such domains have addresses, which have to be reachable.
pub(super) fn prepare(domain: &str) -> Result<Cow<'_, str>, JidError> {
    if is_canonical(domain.as_bytes()) {
        return Ok(Cow::Borrowed(domain));
    }
    if domain.len() > super::MAX_UNPREPARED {
        return Err(JidError::Domain);
    }
    if let Some(rest) = domain.strip_prefix('[') {
        let literal = rest.strip_suffix(']').ok_or(JidError::Domain)?;
        return ip_literal(literal).map(Cow::Owned).ok_or(JidError::Domain);
    }
    // The dot of the root goes before anything else (§3.2). One that only mapping brings about (U+3002) goes after it,
    // so that the result is the same when it is prepared again.
    let (domain, had_dot) = match domain.strip_suffix('.') {
        Some(rest) => (rest, true),
        None => (domain, false),
    };
    let (unicode, checked) = Uts46::new().to_unicode(domain.as_bytes(), DENIED, HYPHENS);
    checked.map_err(|_| JidError::Domain)?;
    let unicode = match unicode.strip_suffix('.') {
        Some(_) if had_dot => return Err(JidError::Domain),
        Some(rest) => Cow::Owned(rest.to_owned()),
        None => unicode,
    };
    // The limits of RFC 1034 §3.1 (63 octets a label, 253 in all) are those of the A-labels.
    Uts46::new().to_ascii(unicode.as_bytes(), DENIED, HYPHENS, DnsLength::Verify).map_err(|_| JidError::Domain)?;
    if unicode.is_empty() || unicode.len() > super::MAX_PART {
        return Err(JidError::Domain);
    }
    Ok(Cow::Owned(unicode.into_owned()))
}

/// Whether a domainpart is ASCII and already in the form that [`prepare`] gives.
pub(super) fn is_canonical(domain: &[u8]) -> bool {
    domain.len() <= 253 && domain.split(|&b| b == b'.').all(is_canonical_label)
}

fn is_canonical_label(label: &[u8]) -> bool {
    let (Some(first), Some(last)) = (label.first(), label.last()) else { return false };
    label.len() <= 63
        && *first != b'-'
        && *last != b'-'
        && !label.starts_with(b"xn--")
        && label.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

/// `IPv6address` or `IPv6addrz` (RFC 6874 §2), without the brackets. IPvFuture is no domainpart: RFC 7622 §3.2 has
/// host names, IPv4 and IPv6 addresses only.
fn ip_literal(literal: &str) -> Option<String> {
    let (address, zone) = match literal.split_once("%25") {
        Some((address, zone)) => (address, Some(zone)),
        None => (literal, None),
    };
    let address: Ipv6Addr = address.parse().ok()?;
    match zone {
        None => Some(format!("[{address}]")),
        Some(zone) if is_zone(zone.as_bytes()) => Some(format!("[{address}%25{zone}]")),
        Some(_) => None,
    }
}

/// `ZoneID = 1*( unreserved / pct-encoded )`, of a sensible length.
fn is_zone(zone: &[u8]) -> bool {
    let mut rest = zone;
    while let Some((&first, tail)) = rest.split_first() {
        rest = match first {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => tail,
            b'%' if tail.len() >= 2 && tail[..2].iter().all(u8::is_ascii_hexdigit) => &tail[2..],
            _ => return false,
        };
    }
    (1..=64).contains(&zone.len())
}
