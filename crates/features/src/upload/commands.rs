//! Commands about files: who has how much, and removing one, e.g. because of a complaint.

use super::{
    keep,
    record::{self, FILES},
    web,
};
use kernel::command::{Argument, ArgumentKind, Call, Command, CommandError, Report};
use linnet_xeps::datetime;

const ACCOUNT: Argument =
    Argument { name: "accountjid", label: "Address of the account", kind: ArgumentKind::Jid, required: true };
const URL: Argument = Argument { name: "url", label: "Address of the file", kind: ArgumentKind::Text, required: true };

/// Lists the files of an account.
pub(super) static LIST: Command = Command {
    node: "https://linnet.im/commands#file-list",
    name: "file list",
    help: "List the files that an account has uploaded.",
    arguments: &[ACCOUNT],
    run: |call| Box::pin(async move { list(&call).await }),
};

/// Removes a file.
pub(super) static REMOVE: Command = Command {
    node: "https://linnet.im/commands#file-remove",
    name: "file remove",
    help: "Remove an uploaded file.",
    arguments: &[URL],
    run: |call| Box::pin(async move { remove(&call).await }),
};

async fn list(call: &Call) -> Result<Report, CommandError> {
    let account = call.account("accountjid")?;
    let kernel = &call.kernel;
    if kernel.store.account(account.as_str()).await?.is_none() {
        return Err(CommandError::NotFound(format!("there is no account {account}")));
    }
    let (now, base) = (kernel.context.now(), kernel.settings.web.as_deref().unwrap_or_default());
    let files = keep::usage(kernel, account.as_str()).await?.files;
    let files: Vec<_> = files.into_iter().filter(|(_, file)| !file.is_over(now)).collect();
    let used: u64 = files.iter().map(|(_, file)| file.size).sum();
    let text = match files.len() {
        0 => format!("{account} has no files."),
        1 => format!("{account} has 1 file of {used} bytes."),
        count => format!("{account} has {count} files of {used} bytes together."),
    };
    let row = |(id, file): &(Box<str>, record::Record)| {
        let until = file.until.map_or_else(|| "-".to_owned(), datetime::format);
        vec![file.size.to_string(), datetime::format(file.since), until, web::url(base, id, &file.name)]
    };
    let columns = ["size", "uploaded", "until", "url"].map(String::from).to_vec();
    Ok(Report { text, columns, rows: files.iter().map(row).collect() })
}

async fn remove(call: &Call) -> Result<Report, CommandError> {
    let url = call.text("url")?;
    // With or without the part before the path.
    let path = url.find(web::ROUTE.path).map_or("", |at| &url[at..]);
    let Some((id, _)) = web::path(path) else {
        return Err(CommandError::BadInput(format!("'{url}' is not the address of an uploaded file")));
    };
    match record::find(&call.kernel, FILES, id).await? {
        Some((owner, file)) => {
            let text = format!("{} of {owner} was removed.", file.name);
            keep::remove(&call.kernel, &owner, &[(id.into(), file)]).await?;
            Ok(Report::text(text))
        }
        None => Err(CommandError::NotFound("there is no file at this address".into())),
    }
}
