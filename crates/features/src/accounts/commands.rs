//! Commands about accounts: the first of service administration (XEP-0133 §4.1 to §4.4, §4.7) and of the command line.

use super::credentials::{Credentials, create, remove, set_disabled, set_password};
use kernel::command::{Argument, ArgumentKind, Call, Command, CommandError, Report};
use linnet_xeps::datetime;

const ACCOUNT: Argument =
    Argument { name: "accountjid", label: "Address of the account", kind: ArgumentKind::Jid, required: true };
const ACCOUNTS: Argument =
    Argument { name: "accountjids", label: "Addresses of the accounts", kind: ArgumentKind::Jids, required: true };
const PASSWORD_ARGUMENT: Argument =
    Argument { name: "password", label: "Password", kind: ArgumentKind::Secret, required: true };

/// Makes an account (XEP-0133 §4.1).
pub(super) static ADD: Command = Command {
    node: "http://jabber.org/protocol/admin#add-user",
    name: "account add",
    help: "Make an account.",
    arguments: &[ACCOUNT, PASSWORD_ARGUMENT],
    run: |call| {
        Box::pin(async move {
            let account = call.account("accountjid")?;
            create(&call.kernel, &account, call.text("password")?).await?;
            Ok(Report::text(format!("{account} was made.")))
        })
    },
};

/// Gives an account a new password (XEP-0133 §4.7).
pub(super) static PASSWORD: Command = Command {
    node: "http://jabber.org/protocol/admin#change-user-password",
    name: "account password",
    help: "Give an account a new password.",
    arguments: &[ACCOUNT, PASSWORD_ARGUMENT],
    run: |call| {
        Box::pin(async move {
            let account = call.account("accountjid")?;
            set_password(&call.kernel, &account, call.text("password")?).await?;
            Ok(Report::text(format!("The password of {account} was changed.")))
        })
    },
};

/// Lists accounts.
pub(super) static LIST: Command = Command {
    node: "http://jabber.org/protocol/admin#get-registered-users-list",
    name: "account list",
    help: "List all accounts.",
    arguments: &[],
    run: |call| Box::pin(async move { list(&call).await }),
};

/// Removes accounts (XEP-0133 §4.2).
pub(super) static REMOVE: Command = Command {
    node: "http://jabber.org/protocol/admin#delete-user",
    name: "account remove",
    help: "Remove accounts with everything that they own.",
    arguments: &[ACCOUNTS],
    run: |call| {
        Box::pin(async move {
            let accounts = call.accounts("accountjids")?;
            for account in &accounts {
                remove(&call.kernel, account).await?;
            }
            Ok(Report::text(said(&accounts, "removed")))
        })
    },
};

/// Disables accounts (XEP-0133 §4.3).
pub(super) static DISABLE: Command = Command {
    node: "http://jabber.org/protocol/admin#disable-user",
    name: "account disable",
    help: "Forbid accounts to log in and end their sessions; what they own stays.",
    arguments: &[ACCOUNTS],
    run: |call| Box::pin(async move { disable(&call, true).await }),
};

/// Enables accounts again (XEP-0133 §4.4).
pub(super) static ENABLE: Command = Command {
    node: "http://jabber.org/protocol/admin#reenable-user",
    name: "account enable",
    help: "Let disabled accounts log in again.",
    arguments: &[ACCOUNTS],
    run: |call| Box::pin(async move { disable(&call, false).await }),
};

async fn disable(call: &Call, disabled: bool) -> Result<Report, CommandError> {
    let accounts = call.accounts("accountjids")?;
    for account in &accounts {
        set_disabled(&call.kernel, account, disabled).await?;
    }
    Ok(Report::text(said(&accounts, if disabled { "disabled" } else { "enabled" })))
}

fn said(accounts: &[linnet_xmpp::Jid], done: &str) -> String {
    let names: Vec<&str> = accounts.iter().map(|account| account.as_str()).collect();
    format!("{} {} {done}.", names.join(", "), if names.len() == 1 { "was" } else { "were" })
}

/// Accounts read from the store at once.
const PAGE: usize = 500;

async fn list(call: &Call) -> Result<Report, CommandError> {
    let mut rows = Vec::new();
    let mut after: Option<Box<str>> = None;
    loop {
        let page = call.kernel.store.accounts(after.as_deref(), PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        for (address, value) in page {
            let Some(credentials) = Credentials::decode(&value) else { continue };
            let owner = call.kernel.loaded_owner(&address);
            let sessions = owner.map_or(0, |owner| owner.lock().sessions.len());
            let state = if credentials.disabled { "disabled" } else { "enabled" };
            let created = datetime::format(credentials.created);
            rows.push(vec![address.into(), state.into(), sessions.to_string(), created]);
        }
    }
    let columns = ["accountjid", "state", "sessions", "created"].map(String::from).to_vec();
    let text = match rows.len() {
        0 => "There are no accounts yet.".into(),
        1 => "1 account.".into(),
        count => format!("{count} accounts."),
    };
    Ok(Report { text, columns, rows })
}
