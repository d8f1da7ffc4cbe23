//! Media types: which are well-formed, which agree, and which a browser may show rather than save.

use super::limits;

/// The type of what nobody said a type of.
pub(super) const UNKNOWN: &str = "application/octet-stream";

/// A media type as it may stand in a header: `type/subtype` and parameters (RFC 9110 §8.3.1), in visible ASCII. `None`:
/// it is none.
pub(super) fn parse(text: &str) -> Option<String> {
    let text = text.trim();
    let essence = essence(text);
    let (kind, subtype) = essence.split_once('/')?;
    let is_well_formed = is_token(kind) && is_token(subtype);
    let is_visible = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    // After the type come parameters, or nothing.
    let rest = text[essence.len()..].trim_start();
    let has_parameters = rest.is_empty() || rest.starts_with(';');
    (is_well_formed && is_visible && has_parameters && text.len() <= limits::MEDIA).then(|| text.to_owned())
}

/// Whether both are the same type, whatever their parameters (`charset` is often added on the way).
pub(super) fn agree(one: &str, other: &str) -> bool {
    essence(one).eq_ignore_ascii_case(essence(other))
}

/// Whether a browser may show it. Everything that can carry scripts is saved instead (RFC 6266 §4.2).
pub(super) fn is_shown(media: &str) -> bool {
    let essence = essence(media).to_ascii_lowercase();
    match essence.split_once('/') {
        Some(("image", subtype)) => !subtype.contains("svg") && !subtype.contains("xml"),
        Some(("audio" | "video", subtype)) => !subtype.contains("xml"),
        Some(("text", subtype)) => subtype == "plain",
        _ => false,
    }
}

fn essence(media: &str) -> &str {
    media.split([';', ' ']).next().unwrap_or_default()
}

fn is_token(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_well_formed() {
        for good in
            ["image/jpeg", "text/plain; charset=utf-8", "application/vnd.oasis.opendocument.text", "a/b;c=\"d e\""]
        {
            assert_eq!(parse(good).as_deref(), Some(good));
        }
        let long = format!("a/{}", "b".repeat(300));
        for bad in
            ["", "image", "/jpeg", "image/", "text/plain\r\nX: 1", "text/plain X: 1", "a/b/c", "a/ü", "a/b;ü=1", &long]
        {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn parameters_and_case_make_no_difference() {
        assert!(agree("text/plain", "Text/Plain; charset=utf-8"));
        assert!(!agree("text/plain", "text/html"));
    }

    #[test]
    fn what_can_carry_scripts_is_saved() {
        for shown in ["image/png", "image/webp", "video/mp4", "audio/ogg; codecs=opus", "text/plain"] {
            assert!(is_shown(shown), "{shown}");
        }
        let saved = ["text/html", "image/svg+xml", "IMAGE/SVG+XML", "application/xml", "text/xml", "text/javascript"];
        for saved in saved.into_iter().chain(["application/pdf", "application/xhtml+xml", UNKNOWN, "image/svg"]) {
            assert!(!is_shown(saved), "{saved}");
        }
    }
}
