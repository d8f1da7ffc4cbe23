//! Commands about the server as a whole (XEP-0133): who is on, how many there are, announcements.

use crate::{accounts::Credentials, roster::Roster};
use kernel::{
    Kernel,
    command::{Argument, ArgumentKind, Call, Command, CommandError, Report},
    mailbox::Item,
};
use linnet_xeps::roster::Subscription;
use linnet_xmpp::{
    Jid, Stanza, ns,
    stanza::{Kind, Type},
    stream::{StreamCondition, StreamError},
    xml::Writer,
};
use std::sync::Arc;

/// Counts accounts (XEP-0133 §4.13).
pub(super) static USERS_NUM: Command = Command {
    node: "http://jabber.org/protocol/admin#get-registered-users-num",
    name: "account count",
    help: "Count the accounts.",
    arguments: &[],
    run: |call| {
        Box::pin(async move {
            let count = call.kernel.store.account_count().await?;
            Ok(number("registeredusersnum", count as usize, "account"))
        })
    },
};

/// Counts accounts that are on (XEP-0133 §4.15).
pub(super) static ONLINE_NUM: Command = Command {
    node: "http://jabber.org/protocol/admin#get-online-users-num",
    name: "session count",
    help: "Count the accounts that are connected.",
    arguments: &[],
    run: |call| {
        Box::pin(async move { Ok(number("onlineusersnum", call.kernel.owners_online().len(), "account connected")) })
    },
};

/// Lists accounts that are on (XEP-0133 §4.20).
pub(super) static ONLINE_LIST: Command = Command {
    node: "http://jabber.org/protocol/admin#get-online-users-list",
    name: "session list",
    help: "List the accounts that are connected.",
    arguments: &[],
    run: |call| {
        Box::pin(async move {
            let online = call.kernel.owners_online();
            Ok(list("onlineuserjids", online.iter().map(|owner| owner.address.to_string()).collect()))
        })
    },
};

/// Lists disabled accounts (XEP-0133 §4.19).
pub(super) static DISABLED_LIST: Command = Command {
    node: "http://jabber.org/protocol/admin#get-disabled-users-list",
    name: "account disabled",
    help: "List the disabled accounts.",
    arguments: &[],
    run: |call| {
        Box::pin(async move {
            let mut found = Vec::new();
            let mut after: Option<Box<str>> = None;
            loop {
                let page = call.kernel.store.accounts(after.as_deref(), 500).await?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                let disabled =
                    |value: &[u8]| Credentials::decode(value).is_some_and(|credentials| credentials.disabled);
                found.extend(page.into_iter().filter(|(_, value)| disabled(value)).map(|(address, _)| address.into()));
            }
            Ok(list("disableduserjids", found))
        })
    },
};

/// Ends sessions (XEP-0133 §4.5).
pub(super) static END_SESSION: Command = Command {
    node: "http://jabber.org/protocol/admin#end-user-session",
    name: "session end",
    help: "End the sessions of accounts, or of one resource.",
    arguments: &[Argument {
        name: "accountjids",
        label: "Addresses of the accounts or sessions",
        kind: ArgumentKind::Jids,
        required: true,
    }],
    run: |call| Box::pin(async move { end_sessions(&call) }),
};

/// Shows a roster (XEP-0133 §4.8).
pub(super) static ROSTER: Command = Command {
    node: "http://jabber.org/protocol/admin#get-user-roster",
    name: "account roster",
    help: "Show the roster of an account.",
    arguments: &[Argument {
        name: "accountjid",
        label: "Address of the account",
        kind: ArgumentKind::Jid,
        required: true,
    }],
    run: |call| Box::pin(async move { roster(&call).await }),
};

/// Tells everybody who is on something (XEP-0133 §4.23).
pub(super) static ANNOUNCE: Command = Command {
    node: "http://jabber.org/protocol/admin#announce",
    name: "announce",
    help: "Send a message to everybody who is connected.",
    arguments: &[Argument { name: "announcement", label: "What to say", kind: ArgumentKind::Lines, required: true }],
    run: |call| Box::pin(async move { announce(&call) }),
};

fn number(column: &str, count: usize, what: &str) -> Report {
    let text =
        if count == 1 { format!("1 {what}.") } else { format!("{count} {}.", what.replacen("account", "accounts", 1)) };
    Report { text, columns: vec![column.into()], rows: vec![vec![count.to_string()]] }
}

fn list(column: &str, found: Vec<String>) -> Report {
    let text = match found.len() {
        0 => "None.".into(),
        1 => "1 account.".into(),
        count => format!("{count} accounts."),
    };
    Report { text, columns: vec![column.into()], rows: found.into_iter().map(|value| vec![value]).collect() }
}

fn end_sessions(call: &Call) -> Result<Report, CommandError> {
    call.accounts("accountjids")?;
    let wanted = call.values.get("accountjids").map(Vec::as_slice).unwrap_or_default();
    let mut ended = 0;
    for jid in wanted.iter().filter_map(|text| Jid::parse(text).ok()) {
        let Some(owner) = call.kernel.find_owner(jid.bare_str()) else { continue };
        for attached in &owner.lock().sessions {
            if jid.is_bare() || attached.session.address == jid {
                let error = StreamError::new(StreamCondition::PolicyViolation).text("ended by the administrator");
                attached.session.mailbox.close(Some(error));
                ended += 1;
            }
        }
    }
    Ok(Report::text(if ended == 1 { "1 session was ended.".into() } else { format!("{ended} sessions were ended.") }))
}

async fn roster(call: &Call) -> Result<Report, CommandError> {
    let jid = call.account("accountjid")?;
    let owner = call.kernel.owner(&jid).await?;
    let account = owner.lock();
    let Some(roster) = account.document::<Roster>().filter(|_| account.exists) else {
        return Err(CommandError::NotFound(format!("there is no account {jid}")));
    };
    let row = |contact: &crate::roster::Contact| {
        let item = contact.item();
        let subscription: Subscription = item.subscription;
        vec![item.jid.to_string(), item.name.unwrap_or_default(), subscription.name().into(), item.groups.join(", ")]
    };
    let rows: Vec<_> = roster.listed().map(row).collect();
    let columns = ["jid", "name", "subscription", "groups"].map(String::from).to_vec();
    let text = if rows.len() == 1 { "1 contact.".into() } else { format!("{} contacts.", rows.len()) };
    Ok(Report { text, columns, rows })
}

fn announce(call: &Call) -> Result<Report, CommandError> {
    let words = call.values.get("announcement").map(|lines| lines.join("\n")).unwrap_or_default();
    if words.trim().is_empty() {
        return Err(CommandError::BadInput("'announcement' is missing".into()));
    }
    let kernel: &Kernel = &call.kernel;
    let mut body = Writer::new(ns::CLIENT);
    body.leaf("body", ns::CLIENT, &words);
    let from = kernel.settings.domains.first().cloned();
    let stanza = Arc::new(Stanza::new(Kind::Message, Type::Headline, body.finish()).from(from));
    let mut told = 0;
    for owner in kernel.owners_online() {
        for attached in owner.lock().available() {
            let item = Item { to: Some(attached.session.address.clone()), ..Item::plain(stanza.clone()) };
            told += usize::from(attached.session.mailbox.push(item).is_ok());
        }
    }
    Ok(Report::text(if told == 1 { "1 session was told.".into() } else { format!("{told} sessions were told.") }))
}
