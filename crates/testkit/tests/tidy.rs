//! House rules that a machine can see: sizes of files, a word at the top of each, nothing unfinished, no XEP in the kernel.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lines of a file.
const LINES: usize = 500;

/// Files that may be longer, with the reason.
const LONGER: &[(&str, &str)] =
    &[("lib/linnet-xmpp/src/stream/tests/accept.rs", "one subject, and nothing in it that would be read alone")];

/// What begins a namespace of an extension; the kernel knows none.
const NAMESPACES: &[&str] = &["urn:xmpp", "jabber:iq", "jabber:x", "http://jabber.org"];

struct Source {
    /// From the root of the repository, with `/`.
    path: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    for folder in ["lib", "crates", "bench"] {
        collect(&root, &root.join(folder), &mut found);
    }
    assert!(found.len() > 50, "the sources were not found");
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(root, &path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file is text");
            let path = path.strip_prefix(root).expect("inside").to_string_lossy().replace('\\', "/");
            found.push(Source { path, text });
        }
    }
}

fn report(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn files_are_short_enough_to_be_read() {
    let sources = sources();
    let is_allowed = |path: &str| LONGER.iter().any(|(allowed, _)| *allowed == path);
    let too_long = sources.iter().filter(|source| source.text.lines().count() > LINES && !is_allowed(&source.path));
    report(too_long.map(|source| format!("{}: {} lines", source.path, source.text.lines().count())).collect());
    for (path, _) in LONGER {
        let source = sources.iter().find(|source| source.path == *path);
        assert!(source.is_some_and(|source| source.text.lines().count() > LINES), "{path} needs no exception");
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = sources().into_iter().filter(|source| !source.text.trim_start().starts_with("//!"));
    report(silent.map(|source| source.path).collect());
}

#[test]
fn nothing_is_left_to_be_done() {
    let words = ["TO", "FIX", "XX"].map(|start| {
        format!(
            "{start}{}",
            if start == "TO" {
                "DO"
            } else if start == "FIX" {
                "ME"
            } else {
                "X"
            }
        )
    });
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            let is_word = |word: &str| line.split(|c: char| !c.is_alphanumeric()).any(|part| part == word);
            if words.iter().any(|word| is_word(word)) || line.contains("todo!(") && !source.path.ends_with("tidy.rs") {
                wrong.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    report(wrong);
}

#[test]
fn the_kernel_knows_no_extension() {
    let kernel = sources().into_iter().filter(|source| source.path.starts_with("crates/kernel/src"));
    let mut wrong = Vec::new();
    for source in kernel {
        for (number, line) in source.text.lines().enumerate() {
            // Comments may name one as an example.
            let code = if line.trim_start().starts_with("//") { "" } else { line };
            if NAMESPACES.iter().any(|namespace| code.contains(namespace)) {
                wrong.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    report(wrong);
}
