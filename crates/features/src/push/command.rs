//! What an administrator sees of an account's devices.

use super::registration::{Registration, Registrations};
use kernel::command::{Argument, ArgumentKind, Call, Command, CommandError, Report};
use linnet_xeps::datetime;
use std::time::{Duration, UNIX_EPOCH};

/// Lists the devices of an account that are woken by push.
pub(super) static LIST: Command = Command {
    node: "https://linnet.im/commands#push-list",
    name: "push list",
    help: "List the devices of an account that are woken by push notifications, and what has become of these.",
    arguments: &[Argument {
        name: "accountjid",
        label: "Address of the account",
        kind: ArgumentKind::Jid,
        required: true,
    }],
    run: |call| Box::pin(async move { list(&call).await }),
};

async fn list(call: &Call) -> Result<Report, CommandError> {
    let jid = call.account("accountjid")?;
    let owner = call.kernel.owner(&jid).await?;
    let account = owner.lock();
    let Some(known) = account.document::<Registrations>().filter(|_| account.exists) else {
        return Err(CommandError::NotFound(format!("there is no account {jid}")));
    };
    let rows: Vec<_> = known.0.iter().map(row).collect();
    let columns = ["device", "service", "node", "enabled", "sent", "failed", "failures", "error"];
    let text = match rows.len() {
        0 => "No device has enabled push.".into(),
        1 => "1 device.".into(),
        count => format!("{count} devices."),
    };
    Ok(Report { text, columns: columns.map(String::from).to_vec(), rows })
}

fn row(registration: &Registration) -> Vec<String> {
    let history = &registration.history;
    let moment = |micros| match micros {
        0 => "never".into(),
        micros => datetime::format(UNIX_EPOCH + Duration::from_micros(micros)),
    };
    vec![
        registration.device.name().to_owned(),
        registration.jid.to_string(),
        registration.node.as_deref().unwrap_or_default().to_owned(),
        moment(history.enabled),
        moment(history.sent),
        moment(history.failed),
        history.failures.to_string(),
        history.error.to_string(),
    ]
}
