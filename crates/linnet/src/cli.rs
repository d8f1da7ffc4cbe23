//! The command line. Administrative commands come from the features' registry: a new one there needs nothing here.

use crate::{
    commands::{account, check, import, send, serve},
    config::{Config, keys},
};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use kernel::{
    Hook,
    command::{ArgumentKind, Command as Administrative},
};
use std::{path::PathBuf, process::ExitCode};

/// The version, as told to everybody.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Reads the command line and does what it says.
///
/// # Errors
/// What is to be shown to the person, in one line.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let matches = command().get_matches();
    let config = || Config::load(matches.get_one::<PathBuf>("config").map(PathBuf::as_path));
    match matches.subcommand() {
        None | Some(("serve", _)) => serve::run(config()?).map(|()| ExitCode::SUCCESS),
        Some(("check", arguments)) if arguments.get_flag("keys") => {
            crate::print(keys::document().trim_end());
            Ok(ExitCode::SUCCESS)
        }
        Some(("check", _)) => check::run(config()),
        Some(("send", arguments)) => send::run(&config()?, arguments).map(|()| ExitCode::SUCCESS),
        Some((group, rest)) => match rest.subcommand() {
            Some(("import", arguments)) if group == "account" => import::run(&config()?, arguments),
            Some((verb, arguments)) => administer(&format!("{group} {verb}"), &config()?, arguments),
            None => administer(group, &config()?, rest),
        },
    }
}

fn administer(name: &str, config: &Config, arguments: &ArgMatches) -> anyhow::Result<ExitCode> {
    let command = registry().find(|command| command.name == name);
    let command = command.ok_or_else(|| anyhow::anyhow!("there is no command '{name}'"))?;
    account::run(config, command, arguments).map(|()| ExitCode::SUCCESS)
}

/// All administrative commands.
pub(crate) fn registry() -> impl Iterator<Item = &'static Administrative> {
    features::FEATURES.iter().flat_map(|feature| feature.hooks).filter_map(|hook| match hook {
        Hook::Command(command) => Some(*command),
        _ => None,
    })
}

/// The whole command line.
pub(crate) fn command() -> Command {
    let mut root = Command::new("linnet")
        .version(VERSION)
        .about("An XMPP server in one file. Without a command it serves.")
        .subcommand_negates_reqs(true)
        .arg(
            Arg::new("config")
                .long("config")
                .short('c')
                .value_name("FILE")
                .global(true)
                .value_parser(value_parser!(PathBuf))
                .help("The configuration file"),
        )
        .subcommand(Command::new("serve").about("Run the server (the default)"))
        .subcommand(
            Command::new("check").about("Say whether configuration, data, ports and certificate are all right").arg(
                Arg::new("keys")
                    .long("keys")
                    .action(ArgAction::SetTrue)
                    .help("Only list all keys of the configuration"),
            ),
        )
        .subcommand(send::command());
    let mut groups: Vec<(&str, Vec<Command>)> = Vec::new();
    for command in registry() {
        match command.name.split_once(' ') {
            Some((group, verb)) => {
                let made = administrative(verb, command);
                match groups.iter_mut().find(|(known, _)| *known == group) {
                    Some((_, verbs)) => verbs.push(made),
                    None => groups.push((group, vec![made])),
                }
            }
            None => root = root.subcommand(administrative(command.name, command)),
        }
    }
    for (group, mut verbs) in groups {
        if group == "account" {
            verbs.push(import::command());
        }
        let verbs_named: Vec<&str> = verbs.iter().map(Command::get_name).collect();
        let about = format!("Commands about the server's {group}s: {}", verbs_named.join(", "));
        root = root.subcommand(Command::new(group).about(about).subcommand_required(true).subcommands(verbs));
    }
    root
}

/// Required values, and a command's only value, may be given in order, or each by its name.
fn administrative(verb: &'static str, command: &'static Administrative) -> Command {
    let mut made = Command::new(verb)
        .about(command.help.trim_end_matches('.'))
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print the answer as JSON"));
    for argument in command.arguments {
        let many = matches!(argument.kind, ArgumentKind::Jids | ArgumentKind::Lines);
        let secret = argument.kind == ArgumentKind::Secret;
        let action = if many { ArgAction::Append } else { ArgAction::Set };
        let named = Arg::new(argument.name).long(argument.name).value_name("VALUE").help(argument.label);
        made = made.arg(named.action(action.clone()));
        if secret {
            let from_input = Arg::new(stdin(argument.name)).long(stdin(argument.name)).action(ArgAction::SetTrue);
            let help = format!("Read it from standard input: {}", argument.label.to_lowercase());
            made = made.arg(from_input.help(help).conflicts_with(argument.name));
        } else if argument.required || command.arguments.len() == 1 {
            let placed = Arg::new(placed(argument.name)).value_name(argument.name.to_uppercase()).help(argument.label);
            let placed = if argument.required { placed.required_unless_present(argument.name) } else { placed };
            let placed = if many { placed.num_args(1..) } else { placed };
            made = made.arg(placed.action(action).conflicts_with(argument.name));
        }
    }
    made
}

/// The id of an argument given by its place.
pub(crate) fn placed(name: &str) -> String {
    format!("placed {name}")
}

/// The option that reads a secret from standard input.
pub(crate) fn stdin(name: &str) -> String {
    format!("{name}-stdin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn values_come_by_place_or_by_name() {
        let read = |line: &str| command().try_get_matches_from(line.split(' '));
        for line in [
            "linnet account add romeo --password x",
            "linnet account add --accountjid romeo --password-stdin",
            "linnet account remove a b c",
            "linnet --config x account list --json",
            "linnet account list -c x",
            "linnet",
        ] {
            assert!(read(line).is_ok(), "{line}");
        }
        for line in ["linnet account", "linnet account fly", "linnet account add a --password x --password-stdin"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
