//! Commands: one definition gives the command line, the ad-hoc command (XEP-0050, 0133) and the docs.

use crate::Kernel;
use linnet_xmpp::Jid;
use std::{collections::BTreeMap, fmt, sync::Arc};
use store::Future;

/// Something an administrator can do.
#[derive(Debug)]
pub struct Command {
    /// The ad-hoc node, e.g. `http://jabber.org/protocol/admin#add-user`.
    pub node: &'static str,
    /// The words on the command line, e.g. `account add`.
    pub name: &'static str,
    /// What it does, one sentence.
    pub help: &'static str,
    /// What it asks for.
    pub arguments: &'static [Argument],
    /// Does it.
    pub run: fn(Call) -> Future<'static, Result<Report, CommandError>>,
}

/// Something that a command asks for.
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// Its name: the field's `var`, and the option on the command line.
    pub name: &'static str,
    /// What people read.
    pub label: &'static str,
    /// Of which kind its value is.
    pub kind: ArgumentKind,
    /// Whether it must be given.
    pub required: bool,
}

/// Kinds of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentKind {
    /// Any text.
    Text,
    /// Text that is not shown or logged.
    Secret,
    /// An address.
    Jid,
    /// One or more addresses.
    Jids,
    /// A whole number.
    Number,
    /// Several lines of text.
    Lines,
}

/// A command with its values.
#[derive(Debug, Clone)]
pub struct Call {
    /// The server.
    pub kernel: Arc<Kernel>,
    /// Who calls; `None` for the command line.
    pub actor: Option<Jid>,
    /// Values by argument name.
    pub values: BTreeMap<String, Vec<String>>,
}

impl Call {
    /// The value of an argument. An error names the argument that is missing.
    pub fn text(&self, name: &str) -> Result<&str, CommandError> {
        self.values
            .get(name)
            .and_then(|values| values.first())
            .map(String::as_str)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| CommandError::BadInput(format!("'{name}' is missing")))
    }

    /// The value of an argument as a bare address of an account here.
    pub fn account(&self, name: &str) -> Result<Jid, CommandError> {
        local_account(&self.kernel, self.text(name)?)
    }

    /// The values of an argument as bare addresses of accounts here.
    pub fn accounts(&self, name: &str) -> Result<Vec<Jid>, CommandError> {
        let values = self.values.get(name).map(Vec::as_slice).unwrap_or_default();
        if values.is_empty() {
            return Err(CommandError::BadInput(format!("'{name}' is missing")));
        }
        values.iter().map(|value| local_account(&self.kernel, value)).collect()
    }
}

fn local_account(kernel: &Kernel, text: &str) -> Result<Jid, CommandError> {
    let jid = Jid::parse(text).map_err(|_| CommandError::BadInput(format!("'{text}' is not an address")))?;
    if jid.local().is_none() {
        return Err(CommandError::BadInput(format!("'{text}' is a domain; give an account such as name@{text}")));
    }
    if !kernel.serves(jid.domain()) {
        return Err(CommandError::BadInput(format!("'{}' is not a domain of this server", jid.domain())));
    }
    Ok(jid.bare())
}

/// What a command says when it is done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// One sentence.
    pub text: String,
    /// Names of columns (the `var` of the fields), if there is a table.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
}

impl Report {
    /// A sentence and no table.
    pub fn text(text: impl Into<String>) -> Report {
        Report { text: text.into(), ..Report::default() }
    }
}

/// Why a command was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandError {
    /// A value is missing or wrong.
    BadInput(String),
    /// What it is about is not there.
    NotFound(String),
    /// What it should make is there already.
    Exists(String),
    /// The store or the machine failed.
    Fault(String),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (CommandError::BadInput(text)
        | CommandError::NotFound(text)
        | CommandError::Exists(text)
        | CommandError::Fault(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for CommandError {}

impl From<store::StoreError> for CommandError {
    fn from(error: store::StoreError) -> CommandError {
        CommandError::Fault(error.to_string())
    }
}
