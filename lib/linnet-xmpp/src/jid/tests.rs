//! The vectors, round trips of arbitrary strings and a comparison with another implementation.

use proptest::prelude::*;
use serde_json::Value;

use super::{Jid, JidError, MAX_PART, escape, nickname, profile, unescape};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/jid.json")).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let list = value[key].as_array().unwrap_or_else(|| panic!("{key}"));
    assert!(!list.is_empty(), "{key}");
    list
}

fn parts(jid: &Jid) -> (&str, &str, &str) {
    (jid.local().unwrap_or(""), jid.domain(), jid.resource().unwrap_or(""))
}

#[test]
fn valid() {
    for case in list(&vectors(), "valid") {
        let jid = Jid::parse(text(case, "jid")).unwrap_or_else(|e| panic!("{case}: {e}"));
        assert_eq!(parts(&jid), (text(case, "local"), text(case, "domain"), text(case, "resource")), "{case}");
        assert_eq!(Jid::parse(jid.as_str()), Ok(jid.clone()));
        assert_eq!(Jid::new(jid.local(), jid.domain(), jid.resource()), Ok(jid));
    }
}

/// A part of the "parts" vectors: text, or a character repeated.
fn part(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => text(value, "repeat").repeat(value["times"].as_u64().unwrap() as usize),
    }
}

#[test]
fn invalid() {
    for case in list(&vectors(), "invalid") {
        if let Some(jid) = case["jid"].as_str() {
            assert!(Jid::parse(jid).is_err(), "{case}");
        } else if let Some(hex) = case["octets_hex"].as_str() {
            let octets: Vec<u8> =
                (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
            // What is not UTF-8 never becomes a string.
            assert!(
                std::str::from_utf8(&octets).is_ok_and(|s| Jid::parse(s).is_err())
                    || std::str::from_utf8(&octets).is_err(),
                "{case}"
            );
        } else {
            let (local, domain, resource) =
                (part(&case["parts"]["local"]), part(&case["parts"]["domain"]), part(&case["parts"]["resource"]));
            let some = |s: &'_ str| (!s.is_empty()).then(|| s.to_owned());
            assert!(Jid::new(some(&local).as_deref(), &domain, some(&resource).as_deref()).is_err(), "{case}");
        }
    }
}

#[test]
fn disputed() {
    assert_eq!(list(&vectors(), "disputed").len(), 4);
    assert_eq!(Jid::parse("juliet@example.com/ foo").unwrap().resource(), Some(" foo"));
    assert_eq!(Jid::parse("Test@\u{2603}.coM/Test\u{2122}").unwrap().as_str(), "test@\u{2603}.com/Test\u{2122}");
    assert_eq!(Jid::parse("Wei\u{df}.com.").unwrap().as_str(), "wei\u{df}.com");
    assert_eq!(Jid::parse("a@b/\u{1f389}").unwrap().as_str(), "a@b/\u{1f389}");
}

#[test]
fn equal() {
    for case in list(&vectors(), "equal") {
        let (one, other) = (case[0].as_str().unwrap(), case[1].as_str().unwrap());
        assert_eq!(Jid::parse(one).unwrap() == Jid::parse(other).unwrap(), case[2].as_bool().unwrap(), "{case}");
    }
}

#[test]
fn escaping() {
    for case in list(&vectors(), "escape") {
        assert_eq!(escape(text(case, "unescaped")), text(case, "escaped"), "{case}");
        assert_eq!(unescape(text(case, "escaped")), text(case, "unescaped"), "{case}");
    }
    for case in list(&vectors(), "unescape_only") {
        assert_eq!(unescape(text(case, "escaped")), text(case, "unescaped"), "{case}");
    }
}

#[test]
fn precis() {
    let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/precis.json")).unwrap();
    type Enforce = fn(&str) -> Result<std::borrow::Cow<'_, str>, profile::NotAllowed>;
    let profiles: [(&str, Enforce); 2] = [("UsernameCaseMapped", profile::username), ("OpaqueString", profile::opaque)];
    for (name, enforce) in profiles {
        for case in list(&vectors[name], "valid") {
            assert_eq!(enforce(text(case, "input")).as_deref(), Ok(text(case, "output")), "{name} {case}");
        }
        for case in list(&vectors[name], "invalid") {
            assert!(enforce(text(case, "input")).is_err(), "{name} {case}");
        }
    }
    for case in list(&vectors["Nickname"], "compare") {
        assert_eq!(nickname::comparable(text(case, "input")).as_deref(), Ok(text(case, "output")), "{case}");
        assert_eq!(nickname::compare(text(case, "input"), text(case, "output")), Ok(true));
    }
    for case in list(&vectors["Nickname"], "enforce") {
        assert_eq!(nickname::enforce(text(case, "input")).as_deref(), Ok(text(case, "enforced")), "{case}");
    }
    for case in list(&vectors["Nickname"], "invalid") {
        assert!(nickname::enforce(text(case, "input")).is_err(), "{case}");
        assert!(nickname::comparable(text(case, "input")).is_err(), "{case}");
    }
}

#[test]
fn domains() {
    for (input, output) in [
        ("EXAMPLE.com", "example.com"),
        ("xn--wei-7ka.com", "wei\u{df}.com"),
        ("XN--MNCHEN-3YA.de", "m\u{fc}nchen.de"),
        ("mu\u{308}nchen.de", "m\u{fc}nchen.de"),
        ("example\u{3002}com\u{3002}", "example.com"),
        ("\u{ff45}xample.com", "example.com"),
        ("[0:0:0:0:0:0:0:1]", "[::1]"),
        ("[FE80::1%25eth0]", "[fe80::1%25eth0]"),
        ("my_host", "my_host"),
        ("a--b.example", "a--b.example"),
    ] {
        assert_eq!(Jid::parse(input).as_ref().map(Jid::as_str), Ok(output), "{input}");
    }
    let label = "a".repeat(64);
    let long = "a.".repeat(128);
    for input in [
        ".",
        "..",
        "a..b",
        ".a",
        "a..",
        "a.\u{3002}",
        "-a",
        "a-",
        "xn--",
        "xn--a",
        "xn--\u{fc}",
        "a b",
        "a%b",
        "a:5222",
        "[::1]x",
        "[]",
        "[::1%25]",
        "[::1%eth0]",
        "[v1.a]",
        "a\u{0}",
        "\u{200b}",
        "\u{fe0f}",
        label.as_str(),
        long.as_str(),
        "a\u{ff0f}b",
        "a\u{ff20}b",
    ] {
        assert_eq!(Jid::parse(input), Err(JidError::Domain), "{input:?}");
    }
}

#[test]
fn accessors() {
    let full = Jid::parse("Juliet@Example.com/Balcony").unwrap();
    assert_eq!((full.bare_str(), full.is_bare(), full.is_domain()), ("juliet@example.com", false, false));
    assert_eq!(full.bare(), "juliet@example.com");
    assert_eq!(full.domain_jid(), "example.com");
    assert!(full.domain_jid().is_domain() && full.bare().is_bare() && !full.bare().is_domain());
    assert_eq!(full.with_resource("x").unwrap(), Jid::parse("juliet@example.com/x").unwrap());
    assert_eq!(full.with_resource(""), Err(JidError::Resource));
    assert!(full.same_bare(&full.bare()) && !full.same_bare(&full.domain_jid()));
    assert_eq!(Jid::parse("a.b/c").unwrap().bare(), "a.b");
    assert!(!Jid::parse("a.b/c").unwrap().is_domain());
}

#[test]
fn lengths() {
    let most = "a".repeat(MAX_PART);
    let jid = Jid::new(Some(&most), "b", Some(&most)).unwrap();
    assert_eq!(parts(&jid), (most.as_str(), "b", most.as_str()));
    // Octets count, not characters, and those after mapping.
    assert!(Jid::new(Some(&"\u{fc}".repeat(511)), "b", None).is_ok());
    assert_eq!(Jid::new(Some(&"\u{fc}".repeat(512)), "b", None), Err(JidError::Local));
    assert!(Jid::new(Some(&"\u{ff21}".repeat(1023)), "b", None).is_ok());
}

/// Characters newer than the IANA tables, and what stringprep takes out.
#[test]
fn emoji_and_newer_scripts() {
    for (resource, prepared) in [
        ("\u{1f970}", "\u{1f970}"),
        ("\u{2764}\u{fe0f}", "\u{2764}"),
        ("\u{1f468}\u{200d}\u{1f469}", "\u{1f468}\u{1f469}"),
        ("so\u{ad}ft", "soft"),
    ] {
        assert_eq!(Jid::new(None, "b", Some(resource)).unwrap().resource(), Some(prepared));
    }
    assert_eq!(Jid::new(None, "b", Some("\u{200d}")), Err(JidError::Resource));
    // U+1E900 ADLAM CAPITAL LETTER ALIF, Unicode 9, from right to left.
    assert_eq!(Jid::parse("\u{1e900}@b").unwrap().local(), Some("\u{1e922}"));
    for refused in ["\u{1f970}@b", "so\u{ad}ft@b", "a\u{180f}@b", "\u{5d0}a@b", "\u{ff20}@b", "\u{e000}@b"] {
        assert_eq!(Jid::parse(refused), Err(JidError::Local), "{refused:?}");
    }
}

/// What mappings, normalisation, contextual rules and directions are about.
const SPECIAL: [&str; 20] = [
    "\u{df}",
    "\u{3c2}",
    "\u{130}",
    "\u{3d4}",
    "\u{ad}",
    "\u{200d}",
    "\u{94d}\u{200d}",
    "\u{5d0}",
    "\u{660}",
    "\u{b7}",
    "l\u{b7}l",
    "\u{3002}",
    "\u{ff21}",
    "\u{308}",
    "\u{1f970}",
    "\u{2764}\u{fe0f}",
    "\u{a0}",
    "\u{1e9e}",
    "\u{10a0}",
    "\u{ab70}",
];

/// Strings with what matters in addresses.
fn address_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[a-zA-Z0-9.]{1,4}",
        2 => "[@/.\\[\\]:% -]",
        1 => "[ -~]",
        1 => "xn--[a-z0-9-]{1,8}",
        2 => any::<char>().prop_map(String::from),
        1 => prop::sample::select(SPECIAL.to_vec())
            .prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn round_trip(text in address_like()) {
        if let Ok(jid) = Jid::parse(&text) {
            let again = Jid::parse(jid.as_str());
            prop_assert_eq!(again.as_ref(), Ok(&jid), "{:?} -> {:?}", text, jid);
            let again = again.unwrap();
            prop_assert_eq!((again.local, again.bare), (jid.local, jid.bare));
            let composed = Jid::new(jid.local(), jid.domain(), jid.resource());
            prop_assert_eq!(composed, Ok(jid));
        }
    }

    #[test]
    fn parts_are_idempotent(local in address_like(), resource in address_like()) {
        let jids = [
            Jid::new(Some(&local), "b", None),
            Jid::new(None, "b", Some(&resource)),
            Jid::new(None, &local, None),
        ];
        for jid in jids.into_iter().flatten() {
            let again = Jid::parse(jid.as_str());
            prop_assert_eq!(again, Ok(jid));
        }
        if let Ok(name) = nickname::enforce(&resource) {
            let again = nickname::enforce(&name);
            prop_assert_eq!(again.as_ref(), Ok(&name));
        }
        if let Ok(name) = nickname::comparable(&resource) {
            let again = nickname::comparable(&name);
            prop_assert_eq!(again.as_ref(), Ok(&name));
        }
    }

    #[test]
    fn anything(text in any::<String>()) {
        let _ = Jid::parse(&text);
        let _ = nickname::comparable(&text);
        let escaped = escape(&text);
        prop_assert_eq!(unescape(&escaped), text.as_str());
    }

    /// What a server of RFC 6122 prepared is not changed.
    #[test]
    fn stringprepped_stays(local in address_like(), resource in address_like()) {
        if let Ok(old) = stringprep::nodeprep(&local) && let Ok(new) = super::prepare_local(&old) {
            // Georgian and Cherokee letters have got a second case since Unicode 3.2.
            prop_assume!(!old.chars().any(|c| c.is_uppercase()));
            prop_assert_eq!(&new, &old);
        }
        if let Ok(old) = stringprep::resourceprep(&resource) && let Ok(new) = super::prepare_resource(&old) {
            prop_assert_eq!(&new, &old);
        }
    }

    /// Another implementation, on stringprep, agrees for ASCII, but for names of hosts: it lets all but the characters
    /// that URLs deny pass and refuses two hyphens in the third and fourth place.
    #[test]
    fn agrees_with_the_oracle(text in "([a-zA-Z0-9!#$&'.=_~-]{0,6}@)?[a-zA-Z0-9.-]{0,12}(/[ -~]{0,6})?") {
        let (ours, theirs) = (Jid::parse(&text), jid_oracle::Jid::new(&text));
        match (ours, theirs) {
            // It leaves the dot of the root where it is.
            (Ok(_), Ok(_)) if text.split('/').next().is_some_and(|bare| bare.ends_with('.')) => {}
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours.as_str(), theirs.as_str()),
            (Err(_), Err(_)) => {}
            (Ok(ours), Err(_)) => {
                prop_assert!(ours.domain().split('.').any(|l| l.as_bytes().get(2..4) == Some(b"--")), "{}", text);
            }
            (Err(e), Ok(_)) => prop_assert!(false, "{}: {}", text, e),
        }
    }
}
