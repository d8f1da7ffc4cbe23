//! Addresses: `localpart@domainpart/resourcepart` (RFC 7622).
//!
//! Preparation is PRECIS: UsernameCaseMapped for localparts, OpaqueString for resourceparts, UTS 46 for domainparts.
//! Servers that still follow RFC 6122 prepare with stringprep instead. Where the two differ:
//!
//! - What such a server has prepared and PRECIS allows is left as it is, octet for octet, so it compares equal.
//! - Localparts follow PRECIS alone: `ß` and `ς` stay, symbols and compatibility characters are refused, as
//!   RFC 7622 §3.5 wants.
//! - Domainparts with symbols (`☃.com`) or an underscore pass, which RFC 6122 allows and IDNA2008 does not.
//! - From resourceparts that OpaqueString refuses, the characters that stringprep maps to nothing (RFC 3454 B.1:
//!   joiners outside of their scripts, variation selectors, soft hyphen) are taken out. Without that, most composed
//!   emoji would be no nickname in a room, though older servers take them. Compatibility characters (`™`) stay, and so
//!   do characters newer than Unicode 3.2, which stringprep refuses.
//! - A leading space in a resourcepart is accepted (RFC 8265 §4.2), though RFC 7622 §3.5 lists it as an error.

mod domain;
mod escape;
pub mod nickname;
pub mod profile;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

pub use escape::{escape, unescape};

/// Octets that a part may have at most (RFC 7622 §3.1).
pub const MAX_PART: usize = 1023;

/// Octets that a part may have before preparation, which can make it shorter: full-width letters lose two of three.
/// More is refused unseen, since the work that the rules take grows faster than the length.
const MAX_UNPREPARED: usize = 3 * MAX_PART;

/// A prepared address. Cloning shares the text; comparison is by octets, as RFC 7622 §3.1 allows after preparation.
#[derive(Clone)]
pub struct Jid {
    text: Arc<str>,
    /// Octets of the localpart; 0 where there is none.
    local: u16,
    /// Octets of the bare address: everything before the slash.
    bare: u16,
}

/// Why a string is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JidError {
    /// The domainpart is missing or not a domain.
    Domain,
    /// The localpart is empty, too long or has a character that is not allowed.
    Local,
    /// The resourcepart is empty, too long or has a character that is not allowed.
    Resource,
}

impl Jid {
    /// Prepares a string as an address (RFC 7622 §3). One that is ASCII and prepared already costs one allocation.
    pub fn parse(text: &str) -> Result<Jid, JidError> {
        // §3.2: the first slash, and only then the first at sign, both before anything is mapped.
        let (head, resource) = split_resource(text);
        let (local, domain) = match memchr::memchr(b'@', head.as_bytes()) {
            Some(at) => (Some(&head[..at]), &head[at + 1..]),
            None => (None, head),
        };
        let canonical = local.is_none_or(is_canonical_local)
            && domain::is_canonical(domain.as_bytes())
            && resource.is_none_or(is_canonical_resource);
        if canonical {
            return Ok(Jid::assembled(Arc::from(text), local.map_or(0, str::len), head.len()));
        }
        Jid::new(local, domain, resource)
    }

    /// Prepares the parts and puts them together. An empty part is an error, not the same as none.
    pub fn new(local: Option<&str>, domain: &str, resource: Option<&str>) -> Result<Jid, JidError> {
        let local = local.map(prepare_local).transpose()?;
        let domain = domain::prepare(domain)?;
        let resource = resource.map(prepare_resource).transpose()?;
        let mut text = String::with_capacity(
            local.as_ref().map_or(0, |l| l.len() + 1) + domain.len() + resource.as_ref().map_or(0, |r| r.len() + 1),
        );
        if let Some(local) = &local {
            text.push_str(local);
            text.push('@');
        }
        text.push_str(&domain);
        let bare = text.len();
        if let Some(resource) = &resource {
            text.push('/');
            text.push_str(resource);
        }
        Ok(Jid::assembled(Arc::from(text), local.map_or(0, |l| l.len()), bare))
    }

    /// Every part was checked to have at most 1023 octets, so the offsets fit.
    fn assembled(text: Arc<str>, local: usize, bare: usize) -> Jid {
        debug_assert!(local <= MAX_PART && bare <= 2 * MAX_PART + 1);
        Jid { text, local: local as u16, bare: bare as u16 }
    }

    /// The localpart.
    pub fn local(&self) -> Option<&str> {
        (self.local > 0).then(|| &self.text[..usize::from(self.local)])
    }

    /// The domainpart.
    pub fn domain(&self) -> &str {
        &self.text[self.domain_start()..usize::from(self.bare)]
    }

    /// The resourcepart.
    pub fn resource(&self) -> Option<&str> {
        self.text.get(usize::from(self.bare) + 1..).filter(|r| !r.is_empty())
    }

    /// The whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The whole address, shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// The address without its resourcepart, as text.
    pub fn bare_str(&self) -> &str {
        &self.text[..usize::from(self.bare)]
    }

    /// The address without its resourcepart. Costs nothing where there is none.
    pub fn bare(&self) -> Jid {
        if self.is_bare() {
            return self.clone();
        }
        Jid { text: Arc::from(self.bare_str()), ..*self }
    }

    /// The same bare address with another resourcepart.
    pub fn with_resource(&self, resource: &str) -> Result<Jid, JidError> {
        let resource = prepare_resource(resource)?;
        let bare = self.bare_str();
        let mut text = String::with_capacity(bare.len() + 1 + resource.len());
        text.push_str(bare);
        text.push('/');
        text.push_str(&resource);
        Ok(Jid { text: Arc::from(text), ..*self })
    }

    /// The domainpart alone, as an address. Costs nothing where this is one.
    pub fn domain_jid(&self) -> Jid {
        if self.is_domain() {
            return self.clone();
        }
        let domain = self.domain();
        Jid::assembled(Arc::from(domain), 0, domain.len())
    }

    /// True where there is no resourcepart.
    pub fn is_bare(&self) -> bool {
        self.text.len() == usize::from(self.bare)
    }

    /// True where there is a domainpart only.
    pub fn is_domain(&self) -> bool {
        self.local == 0 && self.is_bare()
    }

    /// Whether both are addresses of the same account or service: equal but for their resourceparts.
    pub fn same_bare(&self, other: &Jid) -> bool {
        self.bare_str() == other.bare_str()
    }

    fn domain_start(&self) -> usize {
        // The at sign is only there behind a localpart.
        usize::from(self.local) + usize::from(self.local > 0)
    }
}

/// Prepares a localpart (RFC 7622 §3.3), as a user name is before it is looked up.
pub fn prepare_local(local: &str) -> Result<Cow<'_, str>, JidError> {
    if is_canonical_local(local) {
        return Ok(Cow::Borrowed(local));
    }
    let prepared = profile::username(local).map_err(|_| JidError::Local)?;
    // §3.3.1, after mapping: a full-width at sign has become a plain one by now.
    if prepared.len() > MAX_PART || prepared.contains(['"', '&', '\'', '/', ':', '<', '>', '@']) {
        return Err(JidError::Local);
    }
    Ok(prepared)
}

/// Prepares a domainpart (RFC 7622 §3.2).
pub fn prepare_domain(domain: &str) -> Result<Cow<'_, str>, JidError> {
    domain::prepare(domain)
}

/// Prepares a resourcepart (RFC 7622 §3.4).
pub fn prepare_resource(resource: &str) -> Result<Cow<'_, str>, JidError> {
    if is_canonical_resource(resource) {
        return Ok(Cow::Borrowed(resource));
    }
    let prepared = match profile::opaque(resource) {
        Ok(prepared) => prepared,
        Err(_) => {
            let kept: String =
                resource.chars().filter(|&c| !stringprep::tables::commonly_mapped_to_nothing(c)).collect();
            Cow::Owned(profile::opaque(&kept).map_err(|_| JidError::Resource)?.into_owned())
        }
    };
    if prepared.len() > MAX_PART { Err(JidError::Resource) } else { Ok(prepared) }
}

fn split_resource(text: &str) -> (&str, Option<&str>) {
    match memchr::memchr(b'/', text.as_bytes()) {
        Some(slash) => (&text[..slash], Some(&text[slash + 1..])),
        None => (text, None),
    }
}

/// Whether a localpart is ASCII and prepared: printable, no capitals, none of the characters of RFC 7622 §3.3.1.
fn is_canonical_local(local: &str) -> bool {
    (1..=MAX_PART).contains(&local.len())
        && local.bytes().all(|b| {
            matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#'..=b'%' | b'('..=b'.' | b';' | b'=' | b'?'
                | b'['..=b'`' | b'{'..=b'~')
        })
}

/// Whether a resourcepart is printable ASCII, which OpaqueString leaves as it is.
fn is_canonical_resource(resource: &str) -> bool {
    (1..=MAX_PART).contains(&resource.len()) && resource.bytes().all(|b| matches!(b, b' '..=b'~'))
}

impl AsRef<str> for Jid {
    fn as_ref(&self) -> &str {
        &self.text
    }
}
impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}
impl fmt::Debug for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}
impl PartialEq for Jid {
    fn eq(&self, other: &Jid) -> bool {
        self.text == other.text
    }
}
impl Eq for Jid {}
impl PartialEq<str> for Jid {
    fn eq(&self, other: &str) -> bool {
        *self.text == *other
    }
}
impl PartialEq<&str> for Jid {
    fn eq(&self, other: &&str) -> bool {
        *self.text == **other
    }
}
impl PartialOrd for Jid {
    fn partial_cmp(&self, o: &Jid) -> Option<std::cmp::Ordering> {
        Some(self.cmp(o))
    }
}
impl Ord for Jid {
    fn cmp(&self, o: &Jid) -> std::cmp::Ordering {
        self.text.cmp(&o.text)
    }
}
impl std::hash::Hash for Jid {
    fn hash<H: std::hash::Hasher>(&self, h: &mut H) {
        self.text.hash(h);
    }
}
impl FromStr for Jid {
    type Err = JidError;
    fn from_str(s: &str) -> Result<Jid, JidError> {
        Jid::parse(s)
    }
}
impl TryFrom<&str> for Jid {
    type Error = JidError;
    fn try_from(s: &str) -> Result<Jid, JidError> {
        Jid::parse(s)
    }
}
impl fmt::Display for JidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JidError::Domain => "the domainpart is missing or not a domain",
            JidError::Local => "the localpart is empty, too long or has a character that is not allowed",
            JidError::Resource => "the resourcepart is empty, too long or has a character that is not allowed",
        })
    }
}
impl std::error::Error for JidError {}
