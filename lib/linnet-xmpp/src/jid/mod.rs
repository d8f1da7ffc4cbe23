//! Addresses: `localpart@domainpart/resourcepart` (RFC 7622).

use std::{fmt, str::FromStr, sync::Arc};

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
    /// Prepares a string as an address (RFC 7622 §3).
    pub fn parse(_text: &str) -> Result<Jid, JidError> { todo!() }
    /// Prepares the parts and puts them together.
    pub fn new(_local: Option<&str>, _domain: &str, _resource: Option<&str>) -> Result<Jid, JidError> { todo!() }
    /// The localpart.
    pub fn local(&self) -> Option<&str> { todo!() }
    /// The domainpart.
    pub fn domain(&self) -> &str { todo!() }
    /// The resourcepart.
    pub fn resource(&self) -> Option<&str> { todo!() }
    /// The whole address.
    pub fn as_str(&self) -> &str { todo!() }
    /// The address without its resourcepart, as text.
    pub fn bare_str(&self) -> &str { todo!() }
    /// The address without its resourcepart. Costs nothing where there is none.
    pub fn bare(&self) -> Jid { todo!() }
    /// The same bare address with another resourcepart.
    pub fn with_resource(&self, _resource: &str) -> Result<Jid, JidError> { todo!() }
    /// The domainpart alone, as an address.
    pub fn domain_jid(&self) -> Jid { todo!() }
    /// True where there is no resourcepart.
    pub fn is_bare(&self) -> bool { todo!() }
    /// True where there is a domainpart only.
    pub fn is_domain(&self) -> bool { todo!() }
}
impl fmt::Display for Jid { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.text) } }
impl fmt::Debug for Jid { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Debug::fmt(&*self.text, f) } }
impl PartialEq for Jid { fn eq(&self, other: &Jid) -> bool { self.text == other.text } }
impl Eq for Jid {}
impl PartialOrd for Jid { fn partial_cmp(&self, o: &Jid) -> Option<std::cmp::Ordering> { Some(self.cmp(o)) } }
impl Ord for Jid { fn cmp(&self, o: &Jid) -> std::cmp::Ordering { self.text.cmp(&o.text) } }
impl std::hash::Hash for Jid { fn hash<H: std::hash::Hasher>(&self, h: &mut H) { self.text.hash(h) } }
impl FromStr for Jid { type Err = JidError; fn from_str(s: &str) -> Result<Jid, JidError> { Jid::parse(s) } }
impl fmt::Display for JidError { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Debug::fmt(self, f) } }
impl std::error::Error for JidError {}
