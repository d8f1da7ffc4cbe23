//! What the features declare, written out: the list of XEPs, the commands, the route table and linnet.doap. The test
//! fails where a file is stale; `LINNET_GENERATE=1 cargo test -p features --test generated` writes them anew.

use features::FEATURES;
use kernel::{
    Hook,
    command::ArgumentKind,
    hooks::{At, Handler, Iq},
};
use std::{fmt::Write as _, fs, path::Path};

const NOTE: &str =
    "<!-- Generated from the features' declarations: LINNET_GENERATE=1 cargo test -p features --test generated -->";

#[test]
fn generated_files_say_what_the_features_declare() {
    let files = [
        ("docs/generated/xeps.md", xeps()),
        ("docs/generated/commands.md", commands()),
        ("docs/generated/route.md", route()),
        ("linnet.doap", doap()),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut stale = Vec::new();
    for (name, text) in files {
        let path = root.join(name);
        if std::env::var_os("LINNET_GENERATE").is_some() {
            fs::write(&path, &text).expect("the repository can be written");
        } else if fs::read_to_string(&path).unwrap_or_default() != text {
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "stale: {stale:?}; run LINNET_GENERATE=1 cargo test -p features --test generated");
}

fn xeps() -> String {
    let mut text = format!("{NOTE}\n\n# XEPs\n\n| XEP | version | feature | what is not done |\n|---|---|---|---|\n");
    for (name, xep) in sorted() {
        let number = format!("{:04}", xep.number);
        let link = format!("[{number}](https://xmpp.org/extensions/xep-{number}.html)");
        writeln!(text, "| {link} | {} | {name} | {} |", xep.version, xep.note).unwrap();
    }
    text
}

/// Of the protocol crate, which knows no features.
const CORE: &[(u16, &str, &str)] = &[(368, "1.1.0", ""), (440, "1.0.0", "")];

fn sorted() -> Vec<(&'static str, kernel::hooks::Xep)> {
    let core = CORE.iter().map(|&(number, version, note)| ("streams", kernel::hooks::Xep { number, version, note }));
    let declared = FEATURES.iter().flat_map(|feature| feature.xeps.iter().map(|xep| (feature.name, *xep)));
    let mut all: Vec<_> = core.chain(declared).collect();
    all.sort_by_key(|(_, xep)| xep.number);
    all
}

fn commands() -> String {
    let mut text = format!(
        "{NOTE}\n\n# Commands\n\nEach is a command of `linnet` on the command line and an ad-hoc command (XEP-0050) for \
         administrators.\n"
    );
    for hook in FEATURES.iter().flat_map(|feature| feature.hooks) {
        let Hook::Command(command) = hook else { continue };
        write!(text, "\n## {}\n\n{}\n\nNode: `{}`\n", command.name, command.help, command.node).unwrap();
        for argument in command.arguments {
            let kind = match argument.kind {
                ArgumentKind::Text => "text",
                ArgumentKind::Secret => "text, not shown",
                ArgumentKind::Jid => "address",
                ArgumentKind::Jids => "one or more addresses",
                ArgumentKind::Number => "number",
                ArgumentKind::Lines => "lines of text",
            };
            let needed = if argument.required { "" } else { ", optional" };
            write!(text, "\n- `{}`: {} ({kind}{needed})", argument.name, argument.label).unwrap();
        }
        if !command.arguments.is_empty() {
            text.push('\n');
        }
    }
    text
}

fn route() -> String {
    let mut text = format!("{NOTE}\n\n# Route\n\nThe hooks in the order in which they run.\n");
    section(&mut text, "guard", |hook| match hook {
        Hook::Guard { kinds, .. } => Some(format!("{kinds:?}")),
        _ => None,
    });
    section(&mut text, "rewrite", |hook| match hook {
        Hook::Rewrite { kinds, .. } => Some(format!("{kinds:?}")),
        _ => None,
    });
    section(&mut text, "send", |hook| match hook {
        Hook::Send { kind, .. } => Some(format!("{kind:?}")),
        _ => None,
    });
    section(&mut text, "record", |hook| match hook {
        Hook::Record { table, .. } => Some(format!("log `{}`", table.0)),
        _ => None,
    });
    section(&mut text, "receive", |hook| match hook {
        Hook::Receive { kind, .. } => Some(format!("{kind:?}")),
        _ => None,
    });
    section(&mut text, "notice", |hook| matches!(hook, Hook::Notice(_)).then(|| "from owner to owner".to_owned()));
    section(&mut text, "service", |hook| match hook {
        Hook::Service(service) => Some(format!("`{}`", service.label)),
        _ => None,
    });
    section(&mut text, "copy", |hook| matches!(hook, Hook::Copy(_)).then(|| "messages".to_owned()));
    section(&mut text, "notify", |hook| matches!(hook, Hook::Notify(_)).then(|| "recorded messages".to_owned()));
    section(&mut text, "jobs", |hook| match hook {
        Hook::Job(job) => Some(format!("{}, every {} seconds", job.name, job.every.as_secs())),
        _ => None,
    });
    text.push_str(
        "\n## iq\n\n| payload | namespace | type | addressed to | answered | feature |\n|---|---|---|---|---|---|\n",
    );
    for feature in FEATURES {
        for hook in feature.hooks {
            if let Hook::Iq(iq) = hook {
                iq_row(&mut text, feature.name, iq);
            }
        }
    }
    text
}

fn section(text: &mut String, title: &str, of: impl Fn(&Hook) -> Option<String>) {
    write!(text, "\n## {title}\n\n").unwrap();
    for feature in FEATURES {
        for what in feature.hooks.iter().filter_map(&of) {
            writeln!(text, "1. {}: {what}", feature.name).unwrap();
        }
    }
}

fn iq_row(text: &mut String, feature: &str, iq: &Iq) {
    let types =
        [("get", iq.get), ("set", iq.set)].iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect::<Vec<_>>();
    let at = iq.at.iter().map(|at| match at {
        At::Own => "own account",
        At::Account => "another account",
        At::Server => "server",
        At::Service(label) => label,
        At::AnyService => "any service",
    });
    let at = at.collect::<Vec<_>>().join(", ");
    let how = match iq.handler {
        Handler::Now(_) => "in the lane",
        Handler::Later(_) => "beside the lane",
    };
    writeln!(text, "| `{}` | `{}` | {} | {at} | {how} | {feature} |", iq.name, iq.ns, types.join(", ")).unwrap();
}

fn doap() -> String {
    let mut text = String::from(
        "<?xml version='1.0' encoding='UTF-8'?>\n\
         <!-- Generated by the test 'generated' of crates/features -->\n\
         <rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns='http://usefulinc.com/ns/doap#' \
         xmlns:xmpp='https://linkmauve.fr/ns/xmpp-doap#'>\n  <Project>\n    <name>Linnet</name>\n    \
         <shortdesc xml:lang='en'>A whole XMPP system in one binary</shortdesc>\n    \
         <homepage rdf:resource='https://linnet.im/'/>\n    <programming-language>Rust</programming-language>\n    \
         <license rdf:resource='https://spdx.org/licenses/MIT'/>\n    \
         <license rdf:resource='https://spdx.org/licenses/Apache-2.0'/>\n    <os>Linux</os>\n    \
         <category rdf:resource='https://linkmauve.fr/ns/xmpp-doap#category-server'/>\n",
    );
    for rfc in [6120, 6121, 7622] {
        writeln!(text, "    <implements rdf:resource='https://xmpp.org/rfcs/rfc{rfc}.html'/>").unwrap();
    }
    for (_, xep) in sorted() {
        let status = if xep.note.is_empty() { "complete" } else { "partial" };
        let note = if xep.note.is_empty() { String::new() } else { format!("<xmpp:note>{}</xmpp:note>", xep.note) };
        writeln!(
            text,
            "    <implements><xmpp:SupportedXep><xmpp:xep rdf:resource='https://xmpp.org/extensions/xep-{:04}.html'/>\
             <xmpp:version>{}</xmpp:version><xmpp:status>{status}</xmpp:status>{note}</xmpp:SupportedXep></implements>",
            xep.number, xep.version
        )
        .unwrap();
    }
    text.push_str("  </Project>\n</rdf:RDF>\n");
    text
}
