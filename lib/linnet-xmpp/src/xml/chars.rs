//! Which bytes and characters XML 1.0 (fifth edition) allows where: tables for ASCII, ranges for the rest.

use super::XmlError;

/// May start a name (without the colon), is ASCII.
const START: u8 = 1;
/// May stand in a name (without the colon), is ASCII.
const NAME: u8 = 2;
/// White space (XML 1.0 §2.3).
const SPACE: u8 = 4;

const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        if b.is_ascii_alphabetic() || b == b'_' {
            class[byte] |= START | NAME;
        }
        if b.is_ascii_digit() || b == b'-' || b == b'.' {
            class[byte] |= NAME;
        }
        if b == b' ' || b == b'\t' || b == b'\n' || b == b'\r' {
            class[byte] |= SPACE;
        }
        byte += 1;
    }
    class
};

/// White space (XML 1.0 §2.3).
pub(super) fn is_space(byte: u8) -> bool {
    CLASS[byte as usize] & SPACE != 0
}

/// Whether a name may start with this byte, as far as one byte can tell.
pub(super) fn may_start_name(byte: u8) -> bool {
    CLASS[byte as usize] & START != 0 || byte >= 0x80 || byte == b':'
}

/// The first position from `at` on that is not white space.
pub(super) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && is_space(bytes[at]) {
        at += 1;
    }
    at
}

/// A qualified name (Namespaces in XML 1.0 §4).
#[derive(Clone, Copy)]
pub(super) struct QName {
    /// Where it ends.
    pub(super) end: usize,
    /// Octets of the prefix; 0 for none.
    pub(super) prefix: usize,
}

/// Reads the qualified name that starts at `at`. The bytes are UTF-8.
#[inline]
pub(super) fn qname(bytes: &[u8], at: usize) -> Result<QName, XmlError> {
    let end = ncname(bytes, at)?;
    if bytes.get(end) != Some(&b':') {
        return Ok(QName { end, prefix: 0 });
    }
    let prefix = end - at;
    let end = ncname(bytes, end + 1)?;
    if bytes.get(end) == Some(&b':') {
        return Err(XmlError::Namespace("a name with two colons"));
    }
    Ok(QName { end, prefix })
}

/// The end of the name without a colon that starts at `at`.
#[inline]
fn ncname(bytes: &[u8], at: usize) -> Result<usize, XmlError> {
    match bytes.get(at) {
        Some(&first) if CLASS[first as usize] & START != 0 => {
            let mut end = at + 1;
            while end < bytes.len() && CLASS[bytes[end] as usize] & NAME != 0 {
                end += 1;
            }
            if bytes.get(end).is_some_and(|&byte| byte >= 0x80) { ncname_unicode(bytes, at) } else { Ok(end) }
        }
        Some(&first) if first >= 0x80 => ncname_unicode(bytes, at),
        Some(b':') => Err(XmlError::Namespace("a name that starts with a colon")),
        _ => Err(XmlError::NotWellFormed("a name was expected")),
    }
}

/// The same for names with characters outside ASCII.
#[cold]
fn ncname_unicode(bytes: &[u8], at: usize) -> Result<usize, XmlError> {
    // The caller has seen that all is UTF-8, and `at` is at the start of a character.
    let text = std::str::from_utf8(&bytes[at..]).map_err(|_| XmlError::Encoding("not UTF-8"))?;
    let mut end = at;
    for char in text.chars() {
        if !(is_name_start(char) || end > at && is_name(char)) {
            break;
        }
        end += char.len_utf8();
    }
    if end == at { Err(XmlError::NotWellFormed("a character that no name starts with")) } else { Ok(end) }
}

/// NameStartChar (XML 1.0 §2.3) without the colon.
fn is_name_start(char: char) -> bool {
    matches!(char,
        'A'..='Z' | '_' | 'a'..='z' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
        | '\u{10000}'..='\u{EFFFF}')
}

/// NameChar (XML 1.0 §2.3) without the colon.
fn is_name(char: char) -> bool {
    is_name_start(char)
        || matches!(char, '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// Char (XML 1.0 §2.2).
pub(super) fn is_char(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// Which bytes a document has anywhere, so that what it has not need not be looked for again.
#[derive(Clone, Copy)]
pub(super) struct Summary {
    /// `&`.
    pub(super) ampersand: bool,
    /// `]`.
    pub(super) bracket: bool,
    /// White space other than a space.
    pub(super) control: bool,
    /// A carriage return.
    pub(super) carriage_return: bool,
}

/// Checks that all bytes are UTF-8 (RFC 3629) and all characters are Char. Written so that the compiler turns the
/// loop into vector instructions: no branches inside.
pub(super) fn summary(bytes: &[u8]) -> Result<Summary, XmlError> {
    let (mut high, mut forbidden, mut control) = (0_u8, 0_u8, 0_u8);
    let (mut carriage_return, mut ampersand, mut bracket) = (0_u8, 0_u8, 0_u8);
    for &byte in bytes {
        let cr = u8::from(byte == b'\r');
        let space = u8::from(byte == b'\t') | u8::from(byte == b'\n') | cr;
        high |= byte;
        control |= space;
        carriage_return |= cr;
        forbidden |= u8::from(byte < b' ') & !space;
        ampersand |= u8::from(byte == b'&');
        bracket |= u8::from(byte == b']');
    }
    if forbidden != 0 {
        return Err(XmlError::NotWellFormed("a character that XML does not allow"));
    }
    if high >= 0x80 {
        if std::str::from_utf8(bytes).is_err() {
            return Err(XmlError::Encoding("not UTF-8"));
        }
        // U+FFFE and U+FFFF: the only ones outside ASCII that UTF-8 allows and Char does not.
        for at in memchr::memchr_iter(0xEF, bytes) {
            if matches!(bytes.get(at + 1..at + 3), Some([0xBF, 0xBE | 0xBF])) {
                return Err(XmlError::NotWellFormed("a character that XML does not allow"));
            }
        }
    }
    Ok(Summary {
        ampersand: ampersand != 0,
        bracket: bracket != 0,
        control: control != 0,
        carriage_return: carriage_return != 0,
    })
}
