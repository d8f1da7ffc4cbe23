//! The PRECIS profiles of localparts, resourceparts and passwords (RFC 8265), for today's Unicode.
//!
//! The IANA tables end with Unicode 6.3 (RFC 8264 §12 lets implementations apply the algorithm to later versions):
//! what they call unassigned is derived here from the general category, so that newer scripts and emoji are usable.

use std::borrow::Cow;

use precis_profiles::{
    OpaqueString, UsernameCaseMapped,
    precis_core::{DerivedPropertyValue, FreeformClass, IdentifierClass, StringClass, profile::Rules},
};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory as Gc, UnicodeGeneralCategory};

/// A string that a profile does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAllowed;

impl std::fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("empty, or with a character that is not allowed")
    }
}
impl std::error::Error for NotAllowed {}

/// Enforces UsernameCaseMapped (RFC 8265 §3.3). A localpart has further rules: see [`super::Jid::new`].
///
/// Fails for the empty string, characters outside of the IdentifierClass and where the Bidi Rule is not satisfied.
pub fn username(text: &str) -> Result<Cow<'_, str>, NotAllowed> {
    // §3.3.1: all of printable ASCII but the space is in the class, and capitals are the only thing to map.
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(if text.bytes().any(|b| b.is_ascii_uppercase()) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        });
    }
    stable(text, username_once)
}

/// Enforces OpaqueString (RFC 8265 §4.2): for resourceparts and passwords. Case and leading spaces are kept.
///
/// Fails for the empty string and characters outside of the FreeformClass, e.g. control characters.
pub fn opaque(text: &str) -> Result<Cow<'_, str>, NotAllowed> {
    if !text.is_empty() && text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Ok(Cow::Borrowed(text));
    }
    stable(text, opaque_once)
}

/// Applies rules until they change nothing more, as RFC 8266 §2.3 asks for nicknames; RFC 8264 §7 notes that the same
/// can be needed elsewhere. Four times at most: what is not stable by then is no sensible string. Nor is what could
/// never fit into a part of an address.
pub(super) fn stable(
    text: &str,
    rules: impl Fn(&str) -> Result<String, NotAllowed>,
) -> Result<Cow<'_, str>, NotAllowed> {
    if text.len() > super::MAX_UNPREPARED {
        return Err(NotAllowed);
    }
    let mut current = rules(text)?;
    for _ in 0..3 {
        if current == text {
            return Ok(Cow::Borrowed(text));
        }
        let next = rules(&current)?;
        if next == current {
            return Ok(Cow::Owned(current));
        }
        current = next;
    }
    Err(NotAllowed)
}

/// Checks a string against the FreeformClass (RFC 8264 §4.3), with its contextual rules.
pub(super) fn freeform(text: &str) -> Result<(), NotAllowed> {
    allows(&FreeformClass::default(), text, |c| newer_freeform(c).then_some('-'))
}

fn username_once(text: &str) -> Result<String, NotAllowed> {
    let profile = UsernameCaseMapped::new();
    let text = profile.width_mapping_rule(text).map_err(|_| NotAllowed)?;
    allows(&IdentifierClass::default(), &text, |c| newer_letter_digit(c).then_some('a'))?;
    let text = profile.case_mapping_rule(text).map_err(|_| NotAllowed)?;
    let text = profile.normalization_rule(text).map_err(|_| NotAllowed)?;
    Ok(profile.directionality_rule(text).map_err(|_| NotAllowed)?.into_owned())
}

fn opaque_once(text: &str) -> Result<String, NotAllowed> {
    let profile = OpaqueString::new();
    freeform(text)?;
    let text = profile.additional_mapping_rule(text).map_err(|_| NotAllowed)?;
    Ok(profile.normalization_rule(text).map_err(|_| NotAllowed)?.into_owned())
}

/// Whether the class allows the string. Characters that the tables do not know are put to `newer`, which gives a
/// stand-in of the same kind for those that are fine.
fn allows(class: &impl StringClass, text: &str, newer: impl Fn(char) -> Option<char>) -> Result<(), NotAllowed> {
    if text.is_empty() {
        return Err(NotAllowed);
    }
    let unknown = |c: char| class.get_value_from_char(c) == DerivedPropertyValue::Unassigned;
    if !text.chars().any(unknown) {
        return class.allows(text).map_err(|_| NotAllowed);
    }
    let known: Option<String> = text.chars().map(|c| if unknown(c) { newer(c) } else { Some(c) }).collect();
    class.allows(known.ok_or(NotAllowed)?).map_err(|_| NotAllowed)
}

/// RFC 8264 §9.1 (LetterDigits) without §9.17 (HasCompat) and §9.13 (PrecisIgnorableProperties).
fn newer_letter_digit(c: char) -> bool {
    let letter_digit = matches!(
        c.general_category(),
        Gc::LowercaseLetter
            | Gc::UppercaseLetter
            | Gc::OtherLetter
            | Gc::ModifierLetter
            | Gc::DecimalNumber
            | Gc::NonspacingMark
            | Gc::SpacingMark
    );
    letter_digit && !is_newer_ignorable(c) && std::iter::once(c).nfkc().eq([c])
}

/// RFC 8264 §4.3.1: everything but controls, format characters, private use and what is unassigned still.
fn newer_freeform(c: char) -> bool {
    let refused = matches!(
        c.general_category(),
        Gc::Unassigned
            | Gc::Control
            | Gc::Format
            | Gc::Surrogate
            | Gc::PrivateUse
            | Gc::LineSeparator
            | Gc::ParagraphSeparator
    );
    !refused && !is_newer_ignorable(c)
}

/// The one character since Unicode 6.3 that is Default_Ignorable_Code_Point without being a format character:
/// MONGOLIAN FREE VARIATION SELECTOR FOUR.
fn is_newer_ignorable(c: char) -> bool {
    c == '\u{180f}'
}
