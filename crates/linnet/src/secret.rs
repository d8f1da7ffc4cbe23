//! Passwords from where they are not seen: standard input, or a terminal that does not show them.

use anyhow::{Context, bail};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::io::{self, BufRead, IsTerminal, Write};

/// The password given; else from standard input if that is asked for; else typed, twice if `twice`.
pub(crate) fn password(given: Option<&str>, from_stdin: bool, what: &str, twice: bool) -> anyhow::Result<String> {
    let password = match given {
        Some(given) => given.to_owned(),
        None if from_stdin => line().context("no password could be read from standard input")?,
        None if io::stdin().is_terminal() => typed(what, twice)?,
        None => bail!("no password: say --password-stdin and write it to standard input"),
    };
    if password.is_empty() {
        bail!("the password is empty");
    }
    Ok(password)
}

fn line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

fn typed(what: &str, twice: bool) -> anyhow::Result<String> {
    let first = hidden(&format!("{what}: "))?;
    if twice && hidden(&format!("{what} again: "))? != first {
        bail!("these were two different passwords; nothing was changed");
    }
    Ok(first)
}

/// Echo is switched on again whatever happens.
struct Hidden(rustix::termios::Termios);

impl Drop for Hidden {
    fn drop(&mut self) {
        // There is nobody left to tell that the terminal has gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

fn hidden(prompt: &str) -> anyhow::Result<String> {
    let before = tcgetattr(io::stdin())?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let restore = Hidden(before);
    tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
    eprint!("{prompt}");
    io::stderr().flush()?;
    let line = line();
    drop(restore);
    eprintln!();
    Ok(line?)
}
