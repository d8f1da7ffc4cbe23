//! The one message of PLAIN (RFC 4616 §2).

/// `[authzid] NUL authcid NUL passwd`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plain<'a> {
    pub(super) authzid: Option<&'a str>,
    pub(super) authcid: &'a str,
    pub(super) password: &'a str,
}

/// Reads the message. None: not UTF-8, not exactly two NULs, or a name or password of no length.
pub(super) fn read(data: &[u8]) -> Option<Plain<'_>> {
    let mut fields = std::str::from_utf8(data).ok()?.split('\0');
    let (authzid, authcid, password) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() || authcid.is_empty() || password.is_empty() {
        return None;
    }
    Some(Plain { authzid: Some(authzid).filter(|a| !a.is_empty()), authcid, password })
}

/// Writes the message, without authorization identity.
pub(super) fn write(authcid: &str, password: &str) -> Vec<u8> {
    format!("\0{authcid}\0{password}").into_bytes()
}
