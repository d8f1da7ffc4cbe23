//! Reports as the administrator reads them and puts them away.

use super::record::{Record, TABLE};
use kernel::command::{Argument, ArgumentKind, Call, Command, CommandError, Report};
use store::{Condition, Outcome, Write};

/// Lists reports.
pub(super) static LIST: Command = Command {
    node: "https://linnet.im/commands#report-list",
    name: "report list",
    help: "List what users have reported about whom they blocked, oldest first.",
    arguments: &[],
    run: |call| Box::pin(async move { list(&call).await }),
};

/// Removes a report.
pub(super) static REMOVE: Command = Command {
    node: "https://linnet.im/commands#report-remove",
    name: "report remove",
    help: "Remove a report that was dealt with.",
    arguments: &[Argument { name: "report", label: "Id of the report", kind: ArgumentKind::Text, required: true }],
    run: |call| Box::pin(async move { remove(&call).await }),
};

async fn list(call: &Call) -> Result<Report, CommandError> {
    let rows = call.kernel.store.map_rows(TABLE, "", None, usize::MAX).await?;
    let rows: Vec<Vec<String>> = rows
        .iter()
        .filter_map(|row| {
            let record = Record::read(row)?;
            let messages: Vec<&str> = record.messages.iter().map(|message| message.text.as_str()).collect();
            Some(vec![
                row.key.to_string(),
                record.came.clone(),
                record.reporter.to_string(),
                record.reported.to_string(),
                record.reason().to_owned(),
                record.text.clone(),
                messages.join("\n"),
            ])
        })
        .collect();
    let columns = ["report", "came", "reporter", "reported", "reason", "text", "messages"].map(String::from).to_vec();
    let text = match rows.len() {
        0 => "No reports.".into(),
        1 => "1 report.".into(),
        count => format!("{count} reports."),
    };
    Ok(Report { text, columns, rows })
}

async fn remove(call: &Call) -> Result<Report, CommandError> {
    let key: Box<str> = call.text("report")?.into();
    let is_there = Condition::MapExists(TABLE, "".into(), key.clone());
    let write = Write::MapRemove { table: TABLE, owner: "".into(), key: key.clone() };
    match call.kernel.apply(vec![is_there], vec![write]).await? {
        Outcome::Done => Ok(Report::text(format!("Report {key} was removed."))),
        Outcome::ConditionFailed => Err(CommandError::NotFound(format!("there is no report {key}"))),
    }
}
