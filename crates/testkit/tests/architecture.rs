//! The arrows between crates are those of ARCHITECTURE.md, and no others.

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

/// Who may use whom directly, as "Who may use whom" in ARCHITECTURE.md says it with its transitive arrows spelled out.
/// A crate that is not listed must be added here first.
const ARROWS: &[(&str, &[&str])] = &[
    ("linnet-xmpp", &[]),
    ("linnet-xeps", &["linnet-xmpp"]),
    ("linnet-net", &["linnet-xmpp", "linnet-xeps"]),
    ("store", &["linnet-xmpp"]),
    ("store-sqlite", &["linnet-xmpp", "store"]),
    ("store-objects", &["linnet-xmpp", "store"]),
    ("kernel", &["linnet-xmpp", "linnet-xeps", "store"]),
    ("features", &["linnet-xmpp", "linnet-xeps", "store", "kernel"]),
    ("edge", &["linnet-xmpp", "linnet-xeps", "linnet-net", "store", "kernel"]),
    ("portal", &["linnet-xmpp", "linnet-xeps", "store", "kernel"]),
    (
        "linnet",
        &[
            "linnet-xmpp",
            "linnet-xeps",
            "linnet-net",
            "store",
            "store-sqlite",
            "store-objects",
            "kernel",
            "features",
            "edge",
            "portal",
        ],
    ),
    // For tests: nobody uses these but tests folders.
    ("testkit", &["linnet-xmpp", "linnet-xeps", "linnet-net", "store", "kernel", "features"]),
    ("bench", &["linnet-xmpp", "linnet-xeps", "linnet-net"]),
];

/// What libraries without IO may not use at all.
const PURE: &[&str] = &["linnet-xmpp", "linnet-xeps"];
const IMPURE: &[&str] = &["tokio", "socket2", "mio", "async-std", "smol", "hickory-resolver", "rustls", "rusqlite"];
/// TLS libraries that need more than a Rust compiler, or that would be a second one.
const BANNED: &[&str] = &["openssl-sys", "aws-lc-sys", "native-tls"];

fn metadata() -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path", manifest];
    let output = Command::new(cargo).args(arguments).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

/// For each crate of the workspace its dependencies: (name, whether only for its tests).
fn dependencies() -> BTreeMap<String, Vec<(String, bool)>> {
    let metadata = metadata();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    let of = |package: &Value| {
        let all = package["dependencies"].as_array().expect("dependencies").iter();
        all.map(|dependency| (text(&dependency["name"]), dependency["kind"] == "dev")).collect()
    };
    packages.iter().map(|package| (text(&package["name"]), of(package))).collect()
}

#[test]
fn no_crate_uses_another_than_those_it_may() {
    let dependencies = dependencies();
    let ours: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (name, used) in &dependencies {
        let Some(may) = allowed.get(name.as_str()) else {
            wrong.push(format!("{name} is not in the list of arrows"));
            continue;
        };
        for (other, for_tests) in used.iter().filter(|(other, _)| ours.contains(other.as_str())) {
            let is_testkit = *for_tests && other == "testkit";
            let is_allowed = may.contains(&other.as_str()) || *for_tests && may_in_tests(name, other);
            if !is_testkit && !is_allowed {
                wrong.push(format!("{name} uses {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Tests of a leaf may put it together with what it serves.
fn may_in_tests(name: &str, other: &str) -> bool {
    matches!((name, other), ("edge", "features" | "store-sqlite") | ("portal", "features"))
}

#[test]
fn testkit_is_used_by_tests_alone() {
    for (name, used) in dependencies() {
        assert!(!used.contains(&("testkit".to_owned(), false)), "{name} uses testkit outside its tests");
    }
}

#[test]
fn libraries_without_io_know_no_io() {
    let dependencies = dependencies();
    for name in PURE {
        for (other, for_tests) in &dependencies[*name] {
            assert!(*for_tests || !IMPURE.contains(&other.as_str()), "{name} uses {other}");
        }
    }
}

#[test]
fn the_list_of_arrows_has_no_crate_that_is_gone() {
    let dependencies = dependencies();
    for (name, _) in ARROWS {
        assert!(dependencies.contains_key(*name), "{name} is not in the workspace");
    }
}

#[test]
fn nothing_needs_a_c_library_for_tls() {
    let lock = include_str!("../../../Cargo.lock");
    for name in BANNED {
        assert!(!lock.contains(&format!("name = \"{name}\"")), "{name} is in Cargo.lock");
    }
}
