//! Preparation of passwords before they are hashed.
//!
//! RFC 5802 and 4616 ask for SASLprep (RFC 4013), and that is what clients in use apply where they apply anything;
//! OpaqueString (RFC 8265 §4), the successor, keeps compatibility characters and would give other keys for the same
//! password. So it is SASLprep, but with unassigned code points allowed as in query strings (RFC 3454 §7): a password
//! with characters newer than Unicode 3.2 works, and for those both preparations agree.

use std::borrow::Cow;

use stringprep::tables;
use unicode_normalization::UnicodeNormalization;

/// A password that cannot be prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPassword;

impl std::fmt::Display for BadPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the password is empty or has characters that are not allowed")
    }
}
impl std::error::Error for BadPassword {}

/// Prepares a password as [`super::ScramKeys::derive`] does (SASLprep, RFC 4013 §2).
/// Fails where nothing is left, and for control characters, private use and mixed directions.
pub fn prepare_password(text: &str) -> Result<Cow<'_, str>, BadPassword> {
    if !text.is_empty() && text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Ok(Cow::Borrowed(text));
    }
    let prepared: String = text
        .chars()
        .map(|c| if tables::non_ascii_space_character(c) { ' ' } else { c })
        .filter(|&c| !tables::commonly_mapped_to_nothing(c))
        .nfkc()
        .collect();
    if prepared.is_empty() || prepared.contains(is_prohibited) || !directions_are_fine(&prepared) {
        return Err(BadPassword);
    }
    Ok(Cow::Owned(prepared))
}

/// RFC 4013 §2.3.
fn is_prohibited(c: char) -> bool {
    tables::non_ascii_space_character(c)
        || tables::ascii_control_character(c)
        || tables::non_ascii_control_character(c)
        || tables::private_use(c)
        || tables::non_character_code_point(c)
        || tables::inappropriate_for_plain_text(c)
        || tables::inappropriate_for_canonical_representation(c)
        || tables::change_display_properties_or_deprecated(c)
        || tables::tagging_character(c)
}

/// RFC 3454 §6: with characters from right to left there are none from left to right, and they stand at both ends.
fn directions_are_fine(text: &str) -> bool {
    !text.contains(tables::bidi_r_or_al)
        || (!text.contains(tables::bidi_l)
            && text.starts_with(tables::bidi_r_or_al)
            && text.ends_with(tables::bidi_r_or_al))
}
