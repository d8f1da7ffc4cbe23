//! `linnet account …` and every other command of the registry: reads the values, has it run, prints the report.

use crate::{administration::Administration, assemble, cli, config::Config, secret};
use anyhow::{anyhow, bail};
use clap::ArgMatches;
use kernel::command::{Argument, ArgumentKind, Command, Report};
use std::collections::BTreeMap;

/// Runs a command of the registry.
///
/// # Errors
/// What is to be shown.
pub(crate) fn run(config: &Config, command: &'static Command, arguments: &ArgMatches) -> anyhow::Result<()> {
    let mut values = BTreeMap::new();
    for argument in command.arguments {
        let given = value(config, command, argument, arguments)?;
        if !given.is_empty() {
            values.insert(argument.name.to_owned(), given);
        } else if argument.required {
            bail!("'{}' is missing: see 'linnet {} --help'", argument.name, command.name);
        }
    }
    let report = assemble::runtime()?.block_on(async {
        let administration = Administration::begin(config).await?;
        let outcome = administration.run(command.name, values).await;
        administration.end().await?;
        outcome
    })?;
    print(&report.map_err(|error| anyhow!("{error}"))?, arguments.get_flag("json"))
}

fn value(
    config: &Config,
    command: &Command,
    argument: &Argument,
    arguments: &ArgMatches,
) -> anyhow::Result<Vec<String>> {
    let named = arguments.get_many::<String>(argument.name);
    if argument.kind == ArgumentKind::Secret {
        let given = named.and_then(|mut values| values.next());
        let from_stdin = arguments.get_flag(&cli::stdin(argument.name));
        if given.is_none() && !from_stdin && !argument.required {
            return Ok(Vec::new());
        }
        // A word before "stdin" or "Password": what a person reads who is asked.
        let twice = command.arguments.iter().any(|argument| argument.kind == ArgumentKind::Jid);
        return Ok(vec![secret::password(given.map(String::as_str), from_stdin, argument.label, twice)?]);
    }
    // Only what is required can be given by its place.
    let placed = arguments.try_get_many::<String>(&cli::placed(argument.name)).ok().flatten();
    let given = named.or(placed).into_iter().flatten().cloned();
    Ok(match argument.kind {
        ArgumentKind::Jid | ArgumentKind::Jids => given.map(|name| address(config, name)).collect(),
        _ => given.collect(),
    })
}

/// A name without a domain is an account at the main one.
pub(crate) fn address(config: &Config, name: String) -> String {
    let is_domain = name.contains('@') || config.domains.iter().any(|domain| domain.domain() == name);
    match config.domains.first() {
        Some(main) if !is_domain => format!("{name}@{}", main.domain()),
        _ => name,
    }
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    if json {
        let rows: Vec<BTreeMap<&str, &str>> = report
            .rows
            .iter()
            .map(|row| report.columns.iter().map(String::as_str).zip(row.iter().map(String::as_str)).collect())
            .collect();
        crate::print(serde_json::json!({ "text": report.text, "rows": rows }));
        return Ok(());
    }
    if !report.rows.is_empty() {
        let width = |column: usize, name: &str| {
            let cells = report.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([name.chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = report.columns.iter().enumerate().map(|(at, name)| width(at, name)).collect();
        for row in std::iter::once(&report.columns).chain(&report.rows) {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            crate::print(cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }
    if !report.text.is_empty() {
        crate::print(&report.text);
    }
    Ok(())
}
