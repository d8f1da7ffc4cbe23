//! Escaping and its reverse: references, CDATA and the normalisation of line ends.

use super::{
    XmlError,
    chars::{is_char, qname},
};
use bytes::BufMut;
use std::borrow::Cow;

/// Appends text with `&`, `<`, `>` escaped, and a carriage return, which would else become a line feed. Characters
/// that XML 1.0 forbids are replaced by U+FFFD.
pub fn escape_text(text: &str, out: &mut Vec<u8>) {
    escape(text, TEXT, out);
}

/// Appends an attribute value with `&`, `<`, `>`, `'`, `"` and white space other than a space escaped. Characters
/// that XML 1.0 forbids are replaced by U+FFFD.
pub fn escape_attr(text: &str, out: &mut Vec<u8>) {
    escape(text, ATTRIBUTE, out);
}

/// Needs escaping in text.
const TEXT: u8 = 1;
/// Needs escaping in an attribute value.
const ATTRIBUTE: u8 = 2;

const SPECIAL: [u8; 256] = {
    let mut special = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        special[byte] = TEXT | ATTRIBUTE;
        byte += 1;
    }
    special[b'\t' as usize] = ATTRIBUTE;
    special[b'\n' as usize] = ATTRIBUTE;
    special[b'&' as usize] = TEXT | ATTRIBUTE;
    special[b'<' as usize] = TEXT | ATTRIBUTE;
    special[b'>' as usize] = TEXT | ATTRIBUTE;
    special[b'\'' as usize] = ATTRIBUTE;
    special[b'"' as usize] = ATTRIBUTE;
    // The first octet of U+FFFE and U+FFFF.
    special[0xEF] = TEXT | ATTRIBUTE;
    special
};

fn escape(text: &str, place: u8, out: &mut impl BufMut) {
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if SPECIAL[byte as usize] & place == 0 {
            continue;
        }
        let (instead, len): (&[u8], usize) = match byte {
            b'&' => (b"&amp;", 1),
            b'<' => (b"&lt;", 1),
            b'>' => (b"&gt;", 1),
            b'\'' => (b"&apos;", 1),
            b'"' => (b"&quot;", 1),
            b'\t' => (b"&#9;", 1),
            b'\n' => (b"&#10;", 1),
            b'\r' => (b"&#13;", 1),
            0xEF if matches!(bytes.get(at + 1..at + 3), Some([0xBF, 0xBE | 0xBF])) => ("\u{FFFD}".as_bytes(), 3),
            0xEF => continue,
            _ => ("\u{FFFD}".as_bytes(), 1),
        };
        out.put_slice(&bytes[copied..at]);
        out.put_slice(instead);
        copied = at + len;
    }
    out.put_slice(&bytes[copied..]);
}

/// A reference at the front of bytes.
pub(super) struct Reference {
    /// What it stands for.
    pub(super) char: char,
    /// Its length in octets, from `&` to `;`.
    pub(super) len: usize,
    /// Whether it is by number.
    pub(super) numeric: bool,
}

/// Reads the reference that `bytes` start with: one of the five predefined entities, or a character by number
/// (XML 1.0 §4.1, §4.6).
pub(super) fn reference(bytes: &[u8]) -> Result<Reference, XmlError> {
    const PREDEFINED: [(&[u8], char); 5] =
        [(b"&lt;", '<'), (b"&gt;", '>'), (b"&amp;", '&'), (b"&apos;", '\''), (b"&quot;", '"')];
    if bytes.get(1) != Some(&b'#') {
        return match PREDEFINED.iter().find(|(name, _)| bytes.starts_with(name)) {
            Some((name, char)) => Ok(Reference { char: *char, len: name.len(), numeric: false }),
            None => match qname(bytes, 1) {
                Ok(name) if bytes.get(name.end) == Some(&b';') => {
                    Err(XmlError::Restricted("an entity that is not predefined"))
                }
                _ => Err(XmlError::NotWellFormed("an ampersand that starts no reference")),
            },
        };
    }
    let hexadecimal = bytes.get(2) == Some(&b'x');
    let (radix, digits) = if hexadecimal { (16, 3) } else { (10, 2) };
    let mut code = 0_u32;
    let mut at = digits;
    while let Some(digit) = bytes.get(at).and_then(|&byte| char::from(byte).to_digit(radix)) {
        // Saturates above all characters, so that leading zeros are no way around the limit.
        code = code.saturating_mul(radix).saturating_add(digit);
        at += 1;
    }
    if at == digits || bytes.get(at) != Some(&b';') {
        return Err(XmlError::NotWellFormed("a character reference without an end"));
    }
    match char::from_u32(code).filter(|&char| is_char(char)) {
        Some(char) => Ok(Reference { char, len: at + 1, numeric: true }),
        None => Err(XmlError::NotWellFormed("a reference to a character that XML does not allow")),
    }
}

/// The start of a CDATA section (XML 1.0 §2.7).
pub(super) const CDATA: &[u8] = b"<![CDATA[";

/// The text that stands for itself in validated character data: references replaced, CDATA sections opened, line ends
/// normalised (XML 1.0 §2.11).
pub(super) fn unescape_text(raw: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr3(b'&', b'<', b'\r', raw.as_bytes()) else { return Cow::Borrowed(raw) };
    let mut text = String::with_capacity(raw.len());
    text.push_str(&raw[..first]);
    let mut rest = &raw[first..];
    while !rest.is_empty() {
        if let Some(section) = rest.strip_prefix("<![CDATA[") {
            let end = section.find("]]>").unwrap_or(section.len());
            push_lines(&section[..end], &mut text);
            rest = section.get(end + 3..).unwrap_or("");
        } else if let Some(reference) = rest.starts_with('&').then(|| reference(rest.as_bytes()).ok()).flatten() {
            text.push(reference.char);
            rest = &rest[reference.len..];
        } else {
            // At least one octet, so that there is progress whatever stands here.
            let end = memchr::memchr2(b'&', b'<', &rest.as_bytes()[1..]).map_or(rest.len(), |at| at + 1);
            push_lines(&rest[..end], &mut text);
            rest = &rest[end..];
        }
    }
    Cow::Owned(text)
}

/// Appends text with its line ends normalised.
fn push_lines(mut raw: &str, text: &mut String) {
    while let Some((line, rest)) = raw.split_once('\r') {
        text.push_str(line);
        text.push('\n');
        raw = rest.strip_prefix('\n').unwrap_or(rest);
    }
    text.push_str(raw);
}

/// The value that a validated attribute value between its quotes stands for: references replaced, white space
/// normalised (XML 1.0 §3.3.3).
pub(super) fn unescape_attr(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find(['&', '\t', '\n', '\r']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(reference) = rest.starts_with('&').then(|| reference(rest.as_bytes()).ok()).flatten() {
            text.push(reference.char);
            rest = &rest[reference.len..];
        } else {
            // `\r\n` is one line end, thus one space.
            text.push(' ');
            rest = rest.strip_prefix("\r\n").unwrap_or(&rest[1..]);
        }
    }
    text.push_str(rest);
    text
}
