//! Names of files: made safe for every system that saves them, and written into URLs.

use super::limits;

/// The name as it is kept: without folders, control characters and what changes the direction of writing; at most
/// [`limits::NAME`] bytes, with its ending.
pub(super) fn safe(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    // A name of dots is a folder; one that begins with a dot is hidden where it is saved.
    let plain = plain.trim().trim_start_matches('.').trim_end_matches(['.', ' ']);
    let cut = cut(plain);
    if cut.is_empty() { "file".to_owned() } else { cut }
}

/// Characters that mean themselves in names everywhere (Windows forbids `<>:"|?*`).
fn is_plain(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_invisible = matches!(c, '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}' | '\u{feff}');
    !c.is_control() && !turns && !is_invisible && !matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*')
}

/// Cuts the middle of a name that is too long.
fn cut(name: &str) -> String {
    if name.len() <= limits::NAME {
        return name.to_owned();
    }
    let ending = name.rfind('.').map_or("", |at| &name[at..]);
    let ending = if ending.len() <= limits::ENDING { ending } else { "" };
    let mut end = limits::NAME - ending.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{ending}", &name[..end])
}

/// As a part of a URL's path (RFC 3986 §2.3).
pub(super) fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
    }
    out
}

/// A part of a URL's path as text; `None` where it is none.
pub(super) fn decode(part: &str) -> Option<String> {
    let mut out = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        // Two digits of base 16 are below 256.
        out.push((high * 16 + low) as u8);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_harmless_wherever_they_are_saved() {
        for (name, wanted) in [
            ("très cool.jpg", "très cool.jpg"),
            ("../../../etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("/etc/", "file"),
            ("..", "file"),
            ("...", "file"),
            ("", "file"),
            (" . ", "file"),
            (".htaccess", "htaccess"),
            ("a\u{202e}gnp.exe", "a_gnp.exe"),
            ("a\r\nX-Evil: 1", "a__X-Evil_ 1"),
            ("a?b#c%2f..", "a_b#c%2f"),
            ("a\0b", "a_b"),
            ("写真.png", "写真.png"),
        ] {
            assert_eq!(safe(name), wanted, "{name:?}");
        }
        let long = safe(&format!("{}.jpeg", "ü".repeat(3000)));
        assert!(long.len() <= limits::NAME && long.ends_with("ü.jpeg"), "{long}");
        assert_eq!(safe(&"x".repeat(3000)).len(), limits::NAME);
        assert_eq!(safe(&format!("a.{}", "x".repeat(3000))).len(), limits::NAME);
    }

    #[test]
    fn urls_give_names_back() {
        for name in ["très cool.jpg", "a_b#c%2f", "写真 1.png", "~x-y_z.txt"] {
            let encoded = encode(name);
            assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)), "{encoded}");
            assert_eq!(decode(&encoded).as_deref(), Some(name));
        }
        assert_eq!(encode("très cool.jpg"), "tr%C3%A8s%20cool.jpg");
        for part in ["%", "%2", "%zz", "%c0%af", "%ff"] {
            assert_eq!(decode(part), None, "{part}");
        }
    }
}
