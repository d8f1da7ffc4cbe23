//! `linnet account import`: many accounts at once, from lines of an address and a password. Keys are derived on all
//! processors.

use super::account::address;
use crate::{administration::Administration, assemble, config::Config};
use anyhow::{Context, bail};
use clap::{Arg, ArgMatches, Command};
use kernel::command::CommandError;
use std::{collections::BTreeMap, fs, io::Read, process::ExitCode, thread::available_parallelism};
use tokio::task::JoinSet;

/// The command line.
pub(crate) fn command() -> Command {
    Command::new("import")
        .about("Make many accounts, from lines of an address, a space and a password")
        .arg(Arg::new("file").value_name("FILE").required(true).help("The file; - for standard input"))
}

/// Makes the accounts. Those that exist are left as they are.
///
/// # Errors
/// What is to be shown.
pub(crate) fn run(config: &Config, arguments: &ArgMatches) -> anyhow::Result<ExitCode> {
    let file = arguments.get_one::<String>("file").map_or("-", String::as_str);
    let mut text = String::new();
    if file == "-" {
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
    } else {
        text = fs::read_to_string(file).with_context(|| format!("{file} cannot be read"))?;
    }
    let mut accounts = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        match line.split_once([' ', '\t']) {
            Some((name, password)) if !name.is_empty() && !password.is_empty() => {
                accounts.push((address(config, name.to_owned()), password.to_owned()));
            }
            _ if line.trim().is_empty() => {}
            _ => bail!("{file}:{}: there is no address, space and password in this line; nothing was made", at + 1),
        }
    }
    assemble::runtime()?.block_on(make(config, accounts))
}

async fn make(config: &Config, accounts: Vec<(String, String)>) -> anyhow::Result<ExitCode> {
    let administration = Administration::begin(config).await?;
    let at_once = 4 * available_parallelism().map_or(1, usize::from);
    let mut running = JoinSet::new();
    let (mut made, mut existed, mut failed) = (0, 0, 0);
    let mut accounts = accounts.into_iter();
    loop {
        while running.len() < at_once {
            let Some((account, password)) = accounts.next() else { break };
            let administration = administration.clone();
            running.spawn(async move {
                let values = [("accountjid", account.clone()), ("password", password)];
                let values: BTreeMap<_, _> =
                    values.into_iter().map(|(name, value)| (name.to_owned(), vec![value])).collect();
                (administration.run("account add", values).await, account)
            });
        }
        let Some(done) = running.join_next().await else { break };
        let (outcome, account) = done?;
        match outcome? {
            Ok(_) => made += 1,
            Err(CommandError::Exists(_)) => existed += 1,
            Err(error) => {
                eprintln!("linnet: {account}: {error}");
                failed += 1;
            }
        }
    }
    administration.end().await?;
    crate::print(format_args!("{made} accounts were made, {existed} existed, {failed} could not be made."));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
