//! Transcripts: what clients send and what they must receive, as plain text. The language is described in
//! tests/scripts/README.md.

mod binary;
mod pattern;
mod run;
mod world;

pub use binary::Binary;
pub use pattern::{Captured, Pattern};
pub use run::{run, run_and_show};
pub use world::{Event, InProcess, World};

use crate::server::{DOMAIN, PASSWORD};
use linnet_xmpp::Jid;
use std::time::Duration;

/// A script.
#[derive(Debug, Clone)]
pub struct Script {
    /// What the server is told before it starts.
    pub setup: Setup,
    /// Why the script cannot run on a server with a clock of its own.
    pub in_process_only: Option<String>,
    /// Its steps, each with its line.
    pub steps: Vec<(usize, Step)>,
}

/// What a server is told before it starts.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Administrators.
    pub admins: Vec<Jid>,
    /// Contact addresses by role.
    pub contacts: Vec<(String, Vec<String>)>,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in the script")]
pub enum Step {
    Account { address: Jid, password: String },
    Friends(Jid, Jid),
    Connect { name: String, address: Jid, password: String },
    Refused { address: Jid, password: String, condition: String },
    Sends { name: String, block: String },
    Receives { name: String, block: String, in_any_order: bool },
    ReceivesNothing(Vec<String>),
    Forgets(String),
    Disconnects(String),
    Vanishes(String),
    IsEnded { name: String, condition: String },
    TimePasses(Duration),
    Restart,
}

impl Script {
    /// Reads a script. `Err` says in which line what is wrong.
    pub fn parse(text: &str) -> Result<Script, String> {
        let mut script = Script { setup: Setup::default(), in_process_only: None, steps: Vec::new() };
        let mut lines = text.lines().enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut block = String::new();
            while let Some((_, next)) = lines.next_if(|(_, next)| next.is_empty() || next.starts_with([' ', '\t'])) {
                block.push_str(next);
                block.push('\n');
            }
            let said = script.add(number + 1, line, block.trim());
            said.map_err(|why| format!("line {}: {why}: {line}", number + 1))?;
        }
        Ok(script)
    }

    fn add(&mut self, line: usize, text: &str, block: &str) -> Result<(), String> {
        if let Some(reason) = text.strip_prefix("only in process:") {
            self.in_process_only = Some(reason.trim().to_owned());
            return Ok(());
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            ["admin", address] => self.setup.admins.push(self::address(address)?),
            ["contact", role, uri] => self.setup.contacts.push((role.to_owned(), vec![uri.to_owned()])),
            _ => {
                let takes_block = text.ends_with(':');
                if takes_block == block.is_empty() {
                    return Err("a block belongs behind ':', and only there".into());
                }
                let steps = steps(&words, block)?;
                self.steps.extend(steps.into_iter().map(|step| (line, step)));
            }
        }
        Ok(())
    }
}

fn steps(words: &[&str], block: &str) -> Result<Vec<Step>, String> {
    let block = || block.to_owned();
    let usual = || PASSWORD.to_owned();
    Ok(vec![match *words {
        ["account", name] => Step::Account { address: address(name)?, password: usual() },
        ["account", name, "password", password] => {
            Step::Account { address: address(name)?, password: password.to_owned() }
        }
        ["friends", a, b] => Step::Friends(address(a)?, address(b)?),
        ["connect", name, "as", at] => {
            Step::Connect { name: name.to_owned(), address: address(at)?, password: usual() }
        }
        ["connect", name, "as", at, "password", password] => {
            Step::Connect { name: name.to_owned(), address: address(at)?, password: password.to_owned() }
        }
        ["online", name, "as", at] => return online(name, at, "<presence/>"),
        ["online", name, "as", at, "priority", priority] => {
            return online(name, at, &format!("<presence><priority>{priority}</priority></presence>"));
        }
        ["refused", at, "with", condition] => {
            Step::Refused { address: address(at)?, password: usual(), condition: condition.to_owned() }
        }
        ["refused", at, "password", password, "with", condition] => {
            let (password, condition) = (password.to_owned(), condition.to_owned());
            Step::Refused { address: address(at)?, password, condition }
        }
        [name, "sends:"] => Step::Sends { name: name.to_owned(), block: block() },
        [name, "receives:"] => Step::Receives { name: name.to_owned(), block: block(), in_any_order: false },
        [name, "receives", "in", "any", "order:"] => {
            Step::Receives { name: name.to_owned(), block: block(), in_any_order: true }
        }
        [ref names @ .., "receives" | "receive", "nothing"] if !names.is_empty() => {
            let names = names.iter().map(|name| name.trim_end_matches(',')).filter(|name| *name != "and");
            Step::ReceivesNothing(names.map(str::to_owned).collect())
        }
        [name, "loads", "the", "roster"] => {
            let block = "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>".to_owned();
            let sends = Step::Sends { name: name.to_owned(), block };
            let block = "<iq type='result' id='roster'><etc/></iq>".to_owned();
            return Ok(vec![sends, Step::Receives { name: name.to_owned(), block, in_any_order: false }]);
        }
        [name, "forgets", "the", "rest"] => Step::Forgets(name.to_owned()),
        [name, "disconnects"] => Step::Disconnects(name.to_owned()),
        [name, "vanishes"] => Step::Vanishes(name.to_owned()),
        [name, "is", "ended", "with", condition] => {
            Step::IsEnded { name: name.to_owned(), condition: condition.to_owned() }
        }
        ["time", "passes:", ..] => return Err("say 'time passes by N seconds'".into()),
        ["time", "passes", "by", number, "seconds" | "second"] => {
            Step::TimePasses(Duration::from_secs(number.parse().map_err(|_| "not a number of seconds")?))
        }
        ["restart"] => Step::Restart,
        _ => return Err("not a step".into()),
    }])
}

/// Connects, sends presence and takes its echo (RFC 6121 §4.2.2).
fn online(name: &str, at: &str, presence: &str) -> Result<Vec<Step>, String> {
    let address = address(at)?;
    let echo = presence.replace("<presence", &format!("<presence from='{}'", address.as_str()));
    let name = name.to_owned();
    Ok(vec![
        Step::Connect { name: name.clone(), address, password: PASSWORD.to_owned() },
        Step::Sends { name: name.clone(), block: presence.to_owned() },
        Step::Receives { name, block: echo, in_any_order: false },
    ])
}

/// An address; one without a domain is of the server under test: `romeo`, `romeo/orchard`.
fn address(text: &str) -> Result<Jid, String> {
    let whole = match text.split_once('/') {
        _ if text.contains('@') => text.to_owned(),
        Some((local, resource)) => format!("{local}@{DOMAIN}/{resource}"),
        None => format!("{text}@{DOMAIN}"),
    };
    Jid::parse(&whole).map_err(|error| format!("{whole}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_line_by_line() {
        let text = "# says nothing\nadmin juliet\naccount romeo\n\nonline R as romeo/x priority -1\nR sends:\n  <a>\n\n  <b/></a>\nR, S and T receive nothing\nR receives in any order:\n  <c/>\n";
        let script = Script::parse(text).unwrap();
        assert_eq!(script.setup.admins[0].as_str(), "juliet@example.com");
        let lines: Vec<usize> = script.steps.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [3, 5, 5, 5, 6, 10, 11]);
        assert_eq!(script.steps[4].1, Step::Sends { name: "R".into(), block: "<a>\n\n  <b/></a>".into() });
        assert_eq!(script.steps[5].1, Step::ReceivesNothing(["R", "S", "T"].map(String::from).into()));
    }

    #[test]
    fn what_is_no_step_is_refused_with_its_line() {
        for wrong in ["R jumps", "R sends:", "R receives nothing\n  <a/>", "connect R as @", "time passes by x seconds"]
        {
            let error = Script::parse(&format!("account romeo\n{wrong}")).unwrap_err();
            assert!(error.starts_with("line 2: "), "{error}");
        }
    }
}
