//! The PRECIS Nickname profile (RFC 8266), for names in chat rooms: what is shown, and what counts as the same name.

use std::borrow::Cow;

use precis_profiles::{Nickname, precis_core::profile::Rules};

use super::profile::{self, NotAllowed};

/// Enforces the profile (RFC 8266 §2.3): spaces trimmed and collapsed, NFKC. Case is kept.
///
/// Fails where nothing but spaces is left and for characters outside of the FreeformClass.
pub fn enforce(name: &str) -> Result<Cow<'_, str>, NotAllowed> {
    profile::stable(name, |name| once(name, false))
}

/// The form in which two nicknames are compared (RFC 8266 §2.4): enforced, and mapped to lower case.
pub fn comparable(name: &str) -> Result<Cow<'_, str>, NotAllowed> {
    profile::stable(name, |name| once(name, true))
}

/// Whether two strings are the same nickname. Fails where one of them is none.
pub fn compare(one: &str, other: &str) -> Result<bool, NotAllowed> {
    Ok(comparable(one)? == comparable(other)?)
}

fn once(name: &str, fold: bool) -> Result<String, NotAllowed> {
    let rules = Nickname::new();
    profile::freeform(name)?;
    let name = rules.additional_mapping_rule(name).map_err(|_| NotAllowed)?;
    let name = if fold { rules.case_mapping_rule(name).map_err(|_| NotAllowed)? } else { name };
    let name = rules.normalization_rule(name).map_err(|_| NotAllowed)?;
    if name.is_empty() { Err(NotAllowed) } else { Ok(name.into_owned()) }
}
