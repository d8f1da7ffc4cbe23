//! JID escaping (XEP-0106): how names of other systems become localparts, and back.

use std::borrow::Cow;

/// The characters with a code, and their codes (XEP-0106 §3).
const CODES: [(char, &str); 10] = [
    (' ', "20"),
    ('"', "22"),
    ('&', "26"),
    ('\'', "27"),
    ('/', "2f"),
    (':', "3a"),
    ('<', "3c"),
    ('>', "3e"),
    ('@', "40"),
    ('\\', "5c"),
];

/// Writes a name so that it can be a localpart. A backslash is escaped only where it would read as an escape
/// (XEP-0106 §4.2), or at the end, where whatever is put behind it could make it one. The result still has to be
/// prepared. The caller trims the name first: no localpart begins or ends with an escaped space (§4.1).
pub fn escape(name: &str) -> Cow<'_, str> {
    if !name.contains([' ', '"', '&', '\'', '/', ':', '<', '>', '@', '\\']) {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len() + 8);
    for (at, c) in name.char_indices() {
        match CODES.iter().find(|(plain, _)| *plain == c) {
            // The backslash is one octet, so the rest begins one further on.
            Some(('\\', _)) if !reads_as_code(&name[at + 1..]) => out.push('\\'),
            Some((_, code)) => {
                out.push('\\');
                out.push_str(code);
            }
            None => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Reads an escaped localpart. What is no escape stays as it is (XEP-0106 §4.3).
pub fn unescape(local: &str) -> Cow<'_, str> {
    if !local.contains('\\') {
        return Cow::Borrowed(local);
    }
    let mut out = String::with_capacity(local.len());
    let mut rest = local;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match code(rest) {
            Some(plain) => {
                out.push(plain);
                // A code is two ASCII characters.
                rest = &rest[2..];
            }
            None => out.push('\\'),
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Whether a backslash before this text needs to be escaped. Capitals count: preparation makes them small.
fn reads_as_code(rest: &str) -> bool {
    rest.is_empty() || rest.get(..2).is_some_and(|two| code(&two.to_ascii_lowercase()).is_some())
}

/// The character whose code a string begins with.
fn code(text: &str) -> Option<char> {
    let code = text.get(..2)?;
    CODES.iter().find(|(_, known)| *known == code).map(|(plain, _)| *plain)
}
