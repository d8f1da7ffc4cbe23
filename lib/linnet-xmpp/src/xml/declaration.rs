//! The XML declaration before a stream header (XML 1.0 §2.8; RFC 6120 §11.4, §11.6).

use super::{
    XmlError,
    chars::{is_space, skip_space},
};

/// Checks the XML declaration that `header` may start with; gives the position of the start tag.
pub(super) fn declaration(header: &[u8]) -> Result<usize, XmlError> {
    const BAD: XmlError = XmlError::NotWellFormed("a bad XML declaration");
    let Some(rest) = header.strip_prefix(b"<?xml") else { return Ok(skip_space(header, 0)) };
    if !rest.first().is_some_and(|&byte| is_space(byte)) {
        return Err(XmlError::Restricted("a processing instruction"));
    }
    let end = memchr::memmem::find(rest, b"?>").ok_or(BAD)?;
    let mut inside = &rest[..end];
    if take(&mut inside, b"version") != Some(b"1.0") {
        return Err(XmlError::NotWellFormed("an XML version other than 1.0"));
    }
    if let Some(encoding) = take(&mut inside, b"encoding")
        && !encoding.eq_ignore_ascii_case(b"utf-8")
    {
        return Err(XmlError::Encoding("an encoding other than UTF-8"));
    }
    if let Some(standalone) = take(&mut inside, b"standalone")
        && standalone != b"yes"
        && standalone != b"no"
    {
        return Err(BAD);
    }
    if skip_space(inside, 0) != inside.len() {
        return Err(BAD);
    }
    Ok(skip_space(header, b"<?xml".len() + end + 2))
}

/// Takes white space, the name, `=` and a quoted value from the front; gives the value.
fn take<'a>(from: &mut &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let start = skip_space(from, 0);
    if start == 0 {
        return None;
    }
    let rest = from[start..].strip_prefix(name)?;
    let rest = rest[skip_space(rest, 0)..].strip_prefix(b"=")?;
    let rest = &rest[skip_space(rest, 0)..];
    let (&quote, rest) = rest.split_first()?;
    if quote != b'"' && quote != b'\'' {
        return None;
    }
    let end = memchr::memchr(quote, rest)?;
    *from = &rest[end + 1..];
    Some(&rest[..end])
}
