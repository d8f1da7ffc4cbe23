//! The administrator's view of the clients of an account (XEP-0494 §5).

use super::list::{Revoked, clients, withdraw};
use kernel::command::{Argument, ArgumentKind, Call, Command, CommandError, Report};
use linnet_xeps::datetime;

const ACCOUNT: Argument =
    Argument { name: "accountjid", label: "Address of the account", kind: ArgumentKind::Jid, required: true };
const CLIENT: Argument =
    Argument { name: "client", label: "The client's id in the list", kind: ArgumentKind::Text, required: true };

/// Lists clients.
pub(super) static LIST: Command = Command {
    node: "urn:xmpp:cam:0#list",
    name: "device list",
    help: "List the clients that have access to an account.",
    arguments: &[ACCOUNT],
    run: |call| Box::pin(async move { list(&call).await }),
};

/// Withdraws access.
pub(super) static REVOKE: Command = Command {
    node: "urn:xmpp:cam:0#revoke",
    name: "device revoke",
    help: "End the sessions and tokens of one of an account's clients.",
    arguments: &[ACCOUNT, CLIENT],
    run: |call| Box::pin(async move { revoke(&call).await }),
};

async fn list(call: &Call) -> Result<Report, CommandError> {
    let account = call.account("accountjid")?;
    exists(call, &account).await?;
    let row = |client: linnet_xeps::clients::Client| {
        let auth = [("password", client.auth.password), ("token", client.auth.fast)];
        let auth: Vec<&str> = auth.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect();
        let state = if client.connected { "connected" } else { "away" };
        vec![
            client.id,
            state.into(),
            auth.join(", "),
            client.agent.software.unwrap_or_default(),
            client.agent.device.unwrap_or_default(),
            datetime::format(client.first_seen),
            datetime::format(client.last_seen),
        ]
    };
    let rows: Vec<_> = clients(&call.kernel, &account).await?.0.into_iter().map(row).collect();
    let text = if rows.len() == 1 { "1 client.".into() } else { format!("{} clients.", rows.len()) };
    let columns = ["client", "state", "access", "software", "device", "first", "last"].map(String::from).to_vec();
    Ok(Report { text, columns, rows })
}

async fn revoke(call: &Call) -> Result<Report, CommandError> {
    let account = call.account("accountjid")?;
    exists(call, &account).await?;
    match withdraw(&call.kernel, &account, call.text("client")?, None).await? {
        Revoked::Unknown => Err(CommandError::NotFound(format!("{account} has no such client"))),
        Revoked::Wholly => Ok(Report::text("The client has no access any more.")),
        Revoked::KnowsPassword => Ok(Report::text(
            "The client's sessions and tokens are ended. It knows the password: only another one keeps it out.",
        )),
    }
}

async fn exists(call: &Call, account: &linnet_xmpp::Jid) -> Result<(), CommandError> {
    match call.kernel.owner(account).await?.lock().exists {
        true => Ok(()),
        false => Err(CommandError::NotFound(format!("there is no account {account}"))),
    }
}
