//! How long archives keep messages: as the server's configuration says, or as an administrator says for one account.
//! What is older leaves the archive step by step, with its body and its words once no other archive has it; what nobody
//! has read yet stays for its reader.

use crate::messages::{ARCHIVED, LOG};
use kernel::{
    Kernel,
    command::{Argument, ArgumentKind, Call, Command, CommandError, Report},
    jobs::{Job, JobError, Step},
    limits,
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use store::{Condition, DocTable, Future, LogQuery, MapTable, Outcome, StoreError, Write};

pub(super) const JOB: Job = Job { name: "archive retention", every: Duration::from_secs(6 * 60 * 60), step };

/// Of the accounts for which something else is said than for all: days, 0 for ever. One row each, with a second key by
/// which all are found.
const OWN: MapTable = MapTable("archive-retention");
const KEY: &str = "days";

/// The last account that the job has done, while there are more; it belongs to the server.
const DONE: DocTable = DocTable("archive-retention-done");

/// Accounts looked at in one step.
const ACCOUNTS: usize = 64;

type Days = u32;

fn step(kernel: Arc<Kernel>) -> Future<'static, Result<Step, JobError>> {
    Box::pin(async move {
        let (usual, own) = (kernel.settings.archive_days, own(&kernel).await?);
        let done = kernel.store.doc(DONE, "").await?;
        let after = done.as_ref().and_then(|done| std::str::from_utf8(done).ok());
        let accounts: Vec<Box<str>> = match usual {
            0 => {
                own.keys().filter(|owner| after.is_none_or(|after| &***owner > after)).take(ACCOUNTS).cloned().collect()
            }
            _ => kernel.store.accounts(after, ACCOUNTS).await?.into_iter().map(|(owner, _)| owner).collect(),
        };
        let (mut writes, mut left) = (Vec::new(), limits::JOB_ROWS);
        let mut finished: Option<Box<str>> = None;
        let is_last = accounts.len() < ACCOUNTS;
        for owner in accounts {
            let days = own.get(&owner).copied().unwrap_or(usual);
            let ids = if days == 0 { Vec::new() } else { older(&kernel, &owner, days, left).await? };
            left -= ids.len();
            if !ids.is_empty() {
                writes.push(Write::LogClearFlags { table: LOG, owner: owner.clone(), ids: Some(ids), flags: ARCHIVED });
            }
            if left == 0 {
                // There may be more of this account.
                break;
            }
            finished = Some(owner);
        }
        let is_over = is_last && left > 0;
        match finished {
            _ if is_over => {
                writes.extend(done.is_some().then(|| Write::DocRemove { table: DONE, owner: "".into() }));
            }
            Some(owner) => {
                let value = owner.into_boxed_bytes().into_vec().into();
                writes.push(Write::DocPut { table: DONE, owner: "".into(), value });
            }
            None => {}
        }
        if !writes.is_empty() {
            kernel.apply(Vec::new(), writes).await?;
        }
        Ok(if is_over { Step::Done } else { Step::More })
    })
}

/// Messages of an account that have been in its archive for longer.
async fn older(kernel: &Kernel, owner: &str, days: Days, limit: usize) -> Result<Vec<u64>, StoreError> {
    let kept = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
    let now = kernel.context.now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Ids are microseconds since 1970.
    let before = u64::try_from(now.saturating_sub(kept).as_micros()).unwrap_or(0);
    let query = LogQuery { before: Some(before), any_flag: ARCHIVED, limit, ..LogQuery::default() };
    Ok(kernel.store.log_rows(LOG, owner, query).await?.into_iter().map(|row| row.id).collect())
}

async fn own(kernel: &Kernel) -> Result<BTreeMap<Box<str>, Days>, StoreError> {
    let rows = kernel.store.map_second(OWN, KEY, usize::MAX).await?;
    let days = |value: &[u8]| std::str::from_utf8(value).ok()?.parse().ok();
    Ok(rows.into_iter().filter_map(|(owner, row)| Some((owner, days(&row.value)?))).collect())
}

const ACCOUNT: Argument =
    Argument { name: "accountjid", label: "Address of the account", kind: ArgumentKind::Jid, required: true };
const DAYS: Argument = Argument {
    name: "days",
    label: "Days for which messages are kept; 0: for ever; nothing: as for all accounts",
    kind: ArgumentKind::Number,
    required: false,
};

/// Says for one account how long its archive keeps messages.
pub(super) static KEEP: Command = Command {
    node: "http://jabber.org/protocol/admin#archive-keep",
    name: "archive keep",
    help: "Say for one account how long its archive keeps messages.",
    arguments: &[ACCOUNT, DAYS],
    run: |call| Box::pin(async move { keep(&call).await }),
};

/// Lists the accounts for which something else is said than for all.
pub(super) static KEPT: Command = Command {
    node: "http://jabber.org/protocol/admin#archive-kept",
    name: "archive kept",
    help: "List the accounts whose archives keep messages for another time than all others.",
    arguments: &[],
    run: |call| {
        Box::pin(async move {
            let rows = own(&call.kernel).await?.into_iter().map(|(owner, days)| vec![owner.into(), days.to_string()]);
            let text = format!("All other archives keep messages {}.", said(call.kernel.settings.archive_days));
            let columns = vec!["accountjid".to_owned(), "days".to_owned()];
            Ok(Report { text, columns, rows: rows.collect() })
        })
    },
};

async fn keep(call: &Call) -> Result<Report, CommandError> {
    let account = call.account("accountjid")?;
    let owner: Box<str> = account.as_str().into();
    let days = call.text("days").ok().map(|text| {
        let days = text.trim().parse::<Days>();
        days.map_err(|_| CommandError::BadInput(format!("'{text}' is not a number of days")))
    });
    let days = days.transpose()?;
    let write = match days {
        Some(days) => {
            let (key, second, value) = (KEY.into(), Some(KEY.into()), days.to_string().into());
            Write::MapPut { table: OWN, owner: owner.clone(), key, second, value }
        }
        None => Write::MapRemove { table: OWN, owner: owner.clone(), key: KEY.into() },
    };
    match call.kernel.apply(vec![Condition::AccountExists(owner)], vec![write]).await? {
        Outcome::Done => {}
        Outcome::ConditionFailed => return Err(CommandError::NotFound(format!("{account} does not exist."))),
    }
    let days = days.unwrap_or(call.kernel.settings.archive_days);
    Ok(Report::text(format!("The archive of {account} keeps messages {}.", said(days))))
}

fn said(days: Days) -> String {
    match days {
        0 => "for ever".to_owned(),
        1 => "for one day".to_owned(),
        days => format!("for {days} days"),
    }
}
