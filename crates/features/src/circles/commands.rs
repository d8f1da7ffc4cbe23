//! What administrators can do with circles.

use super::{
    limits,
    record::{self, Circle, WORK},
    registry::{self, Held},
    work,
};
use crate::storage;
use kernel::{
    Kernel,
    command::{Argument, ArgumentKind, Call, Command, CommandError, Report},
};
use linnet_xmpp::Jid;
use std::{collections::BTreeMap, sync::Arc};
use store::{Condition, Outcome};

pub(super) const CIRCLE: Argument =
    Argument { name: "circle", label: "Name of the circle", kind: ArgumentKind::Text, required: true };
pub(super) const DOMAIN: Argument = Argument {
    name: "domain",
    label: "Domain of the circle, if it is not the main one",
    kind: ArgumentKind::Text,
    required: false,
};
const ACCOUNTS: Argument =
    Argument { name: "accountjids", label: "Addresses of the accounts", kind: ArgumentKind::Jids, required: true };

/// Makes a circle.
pub(super) static CREATE: Command = Command {
    node: "https://linnet.im/commands#circle-create",
    name: "circle create",
    help: "Make a circle: a group of accounts that have each other in their rosters.",
    arguments: &[CIRCLE, DOMAIN],
    run: |call| Box::pin(async move { create(&call).await }),
};

/// Renames a circle.
pub(super) static RENAME: Command = Command {
    node: "https://linnet.im/commands#circle-rename",
    name: "circle rename",
    help: "Give a circle another name, in the rosters of its members too.",
    arguments: &[
        CIRCLE,
        Argument { name: "name", label: "New name", kind: ArgumentKind::Text, required: true },
        DOMAIN,
    ],
    run: |call| Box::pin(async move { rename(&call).await }),
};

/// Removes a circle.
pub(super) static REMOVE: Command = Command {
    node: "https://linnet.im/commands#circle-remove",
    name: "circle remove",
    help: "Remove a circle and what it gave its members; the accounts stay.",
    arguments: &[CIRCLE, DOMAIN],
    run: |call| Box::pin(async move { remove(&call).await }),
};

/// Puts accounts into a circle.
pub(super) static ADD: Command = Command {
    node: "https://linnet.im/commands#circle-add",
    name: "circle add",
    help: "Put accounts into a circle.",
    arguments: &[
        CIRCLE,
        ACCOUNTS,
        Argument {
            name: "name",
            label: "What the others see as the name of this one account; else its vCard says it",
            kind: ArgumentKind::Text,
            required: false,
        },
        DOMAIN,
    ],
    run: |call| Box::pin(async move { add(&call).await }),
};

/// Takes accounts out of a circle.
pub(super) static TAKE: Command = Command {
    node: "https://linnet.im/commands#circle-take",
    name: "circle take",
    help: "Take accounts out of a circle, and back what it gave them.",
    arguments: &[CIRCLE, ACCOUNTS, DOMAIN],
    run: |call| Box::pin(async move { take(&call).await }),
};

/// Lists circles.
pub(super) static LIST: Command = Command {
    node: "https://linnet.im/commands#circle-list",
    name: "circle list",
    help: "List all circles.",
    arguments: &[],
    run: |call| Box::pin(async move { list(&call).await }),
};

/// Shows a circle.
pub(super) static SHOW: Command = Command {
    node: "https://linnet.im/commands#circle-show",
    name: "circle show",
    help: "List the members of a circle, whether they are in step with it, and its group chats.",
    arguments: &[CIRCLE, DOMAIN],
    run: |call| Box::pin(async move { show(&call).await }),
};

/// The domain that a call is about.
pub(super) fn domain(call: &Call) -> Result<&str, CommandError> {
    let given = call.values.get("domain").and_then(|values| values.first()).filter(|domain| !domain.is_empty());
    let domains = &call.kernel.settings.domains;
    match given {
        None => {
            domains.first().map(Jid::domain).ok_or_else(|| CommandError::BadInput("this server has no domain".into()))
        }
        Some(domain) => domains
            .iter()
            .map(Jid::domain)
            .find(|ours| ours == domain)
            .ok_or_else(|| CommandError::BadInput(format!("'{domain}' is not a domain of this server"))),
    }
}

/// A circle that a call is about.
pub(super) fn found(held: &Held, call: &Call) -> Result<(u64, Circle), CommandError> {
    let name = call.text("circle")?;
    let missing = || CommandError::NotFound(format!("there is no circle '{name}' at {}", held.domain));
    held.named(name).map(|(id, circle)| (id, circle.clone())).ok_or_else(missing)
}

/// A name that a call gives.
pub(super) fn name<'a>(call: &'a Call, argument: &str) -> Result<&'a str, CommandError> {
    let wrong = || CommandError::BadInput(format!("a name is one line of at most {} bytes", limits::NAME));
    record::name(call.text(argument)?).ok_or_else(wrong)
}

fn is_free(held: &Held, name: &str, but: Option<u64>) -> Result<(), CommandError> {
    match held.named(name) {
        Some((id, circle)) if Some(id) != but => {
            Err(CommandError::Exists(format!("there is a circle '{}' at {} already", circle.name, held.domain)))
        }
        _ => Ok(()),
    }
}

async fn create(call: &Call) -> Result<Report, CommandError> {
    let (kernel, name) = (&call.kernel, name(call, "circle")?);
    let mut held = registry::hold(kernel, domain(call)?).await?;
    is_free(&held, name, None)?;
    if held.circles().len() >= limits::CIRCLES {
        return Err(CommandError::BadInput(format!("a domain takes {} circles", limits::CIRCLES)));
    }
    let circle = Circle { name: name.into(), ..Circle::default() };
    held.change(kernel, kernel.unique(), Some(circle), Vec::new()).await?;
    Ok(Report::text(format!("The circle '{name}' was made.")))
}

async fn rename(call: &Call) -> Result<Report, CommandError> {
    let (kernel, new) = (&call.kernel, name(call, "name")?);
    let mut held = registry::hold(kernel, domain(call)?).await?;
    let (id, mut circle) = found(&held, call)?;
    is_free(&held, new, Some(id))?;
    let old = std::mem::replace(&mut circle.name, new.into());
    held.change(kernel, id, Some(circle), Vec::new()).await?;
    finish(kernel, held, format!("The circle '{old}' is called '{new}' now.")).await
}

async fn remove(call: &Call) -> Result<Report, CommandError> {
    let kernel = &call.kernel;
    let mut held = registry::hold(kernel, domain(call)?).await?;
    let (id, circle) = found(&held, call)?;
    held.change(kernel, id, None, Vec::new()).await?;
    finish(kernel, held, format!("The circle '{}' was removed.", circle.name)).await
}

/// The accounts that a call names, each once; all of them at the circle's domain.
fn accounts(call: &Call, held: &Held) -> Result<Vec<Jid>, CommandError> {
    let mut accounts = call.accounts("accountjids")?;
    accounts.sort();
    accounts.dedup();
    match accounts.iter().find(|account| account.domain() != &*held.domain) {
        Some(other) => Err(CommandError::BadInput(format!("{other} is not at {}, where the circle is", held.domain))),
        None => Ok(accounts),
    }
}

async fn add(call: &Call) -> Result<Report, CommandError> {
    let kernel = &call.kernel;
    let mut held = registry::hold(kernel, domain(call)?).await?;
    let (id, mut circle) = found(&held, call)?;
    let accounts = accounts(call, &held)?;
    let given = match call.values.get("name").and_then(|values| values.first()).filter(|name| !name.is_empty()) {
        Some(_) if accounts.len() > 1 => {
            return Err(CommandError::BadInput("a name is for one account; these are several".into()));
        }
        Some(_) => Some(name(call, "name")?),
        None => None,
    };
    if given.is_none() && accounts.iter().all(|account| circle.members.contains_key(account)) {
        return Err(CommandError::Exists(format!("{} in '{}' already", said(&accounts), circle.name)));
    }
    for account in &accounts {
        if kernel.account_value(account).await?.is_none() {
            return Err(CommandError::NotFound(format!("there is no account {account}")));
        }
        if !circle.members.contains_key(account) && held.of(account).count() >= limits::CIRCLES_OF_ONE {
            let most = limits::CIRCLES_OF_ONE;
            return Err(CommandError::BadInput(format!("{account} is in {most} circles, and cannot be in more")));
        }
        let called = match (given, circle.members.get(account)) {
            (Some(name), _) => name.into(),
            (None, Some(known)) => known.clone(),
            (None, None) => called(kernel, account).await?,
        };
        circle.members.insert(account.clone(), called);
    }
    if circle.members.len() > limits::MEMBERS {
        return Err(CommandError::BadInput(format!("a circle takes {} members", limits::MEMBERS)));
    }
    let text = format!("{} in '{}' now.", said(&accounts), circle.name);
    // Somebody may be removing one of them.
    let exist = accounts.iter().map(|account| Condition::AccountExists(account.as_str().into())).collect();
    match held.change(kernel, id, Some(circle), exist).await? {
        Outcome::Done => finish(kernel, held, text).await,
        Outcome::ConditionFailed => Err(CommandError::NotFound("one of the accounts has just been removed".into())),
    }
}

/// What an account is called where the administrator does not say it.
async fn called(kernel: &Kernel, account: &Jid) -> Result<Box<str>, CommandError> {
    let card = storage::full_name(kernel, account).await?;
    let card = card.as_deref().and_then(record::name);
    // A local part may be longer than a name.
    let local = account.local().unwrap_or_default();
    let end = (0..=limits::NAME.min(local.len())).rev().find(|end| local.is_char_boundary(*end)).unwrap_or_default();
    Ok(card.unwrap_or(&local[..end]).into())
}

async fn take(call: &Call) -> Result<Report, CommandError> {
    let kernel = &call.kernel;
    let mut held = registry::hold(kernel, domain(call)?).await?;
    let (id, mut circle) = found(&held, call)?;
    let accounts = accounts(call, &held)?;
    for account in &accounts {
        if circle.members.remove(account).is_none() {
            return Err(CommandError::NotFound(format!("{account} is not in '{}'", circle.name)));
        }
    }
    let text = format!("{} not in '{}' any more.", said(&accounts), circle.name);
    held.change(kernel, id, Some(circle), Vec::new()).await?;
    finish(kernel, held, text).await
}

fn said(accounts: &[Jid]) -> String {
    let names: Vec<&str> = accounts.iter().map(Jid::as_str).collect();
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

/// Does the work that a change has caused, and says how far that came.
pub(super) async fn finish(kernel: &Arc<Kernel>, held: Held, text: String) -> Result<Report, CommandError> {
    let domain = held.domain.clone();
    drop(held);
    if let Err(error) = work::all(kernel, &domain).await {
        tracing::error!(%error, %domain, "what circles give is given later");
        let later = "The store fails, so that members follow later.";
        return Ok(Report::text(format!("{text} {later}")));
    }
    let (full, waiting): (Vec<_>, Vec<_>) =
        states(kernel, &domain).await?.into_iter().partition(|(_, state)| *state == FULL);
    let mut text = text;
    for (those, what) in [(full, "have no room for all that circles give"), (waiting, "follow later")] {
        if !those.is_empty() {
            let named: Vec<_> = those.iter().take(NAMED).map(|(account, _)| &**account).collect();
            let further =
                if those.len() > NAMED { format!(" and {} more", those.len() - NAMED) } else { String::new() };
            text.push_str(&format!(" These {what}: {}{further}.", named.join(", ")));
        }
    }
    Ok(Report::text(text))
}

/// How many of those who are not in step are named.
const NAMED: usize = 10;

const FULL: &str = "no room for all";
const WAITS: &str = "follows later";
const IN_STEP: &str = "in step";

/// Who is not in step at a domain, and why.
async fn states(kernel: &Kernel, domain: &str) -> Result<BTreeMap<Box<str>, &'static str>, CommandError> {
    let rows = kernel.store.map_rows(WORK, domain, None, usize::MAX).await?;
    Ok(rows.into_iter().map(|row| if record::was_full(&row) { (row.key, FULL) } else { (row.key, WAITS) }).collect())
}

async fn list(call: &Call) -> Result<Report, CommandError> {
    let mut rows = Vec::new();
    for domain in &call.kernel.settings.domains {
        let held = registry::hold(&call.kernel, domain.domain()).await?;
        let mut circles: Vec<&Circle> = held.circles().values().collect();
        circles.sort_by_key(|circle| circle.name.to_lowercase());
        let row = |circle: &Circle| vec![circle.name.to_string(), domain.to_string(), circle.members.len().to_string()];
        rows.extend(circles.into_iter().map(row));
    }
    let columns = ["circle", "domain", "members"].map(String::from).to_vec();
    let text = match rows.len() {
        0 => "There are no circles yet.".into(),
        1 => "1 circle.".into(),
        count => format!("{count} circles."),
    };
    Ok(Report { text, columns, rows })
}

async fn show(call: &Call) -> Result<Report, CommandError> {
    let held = registry::hold(&call.kernel, domain(call)?).await?;
    let (_, circle) = found(&held, call)?;
    let states = states(&call.kernel, &held.domain).await?;
    let state = |account: &Jid| states.get(account.as_str()).copied().unwrap_or(IN_STEP).to_owned();
    let row = |account: &Jid, name: &str| vec![account.to_string(), name.to_owned(), state(account)];
    let rows: Vec<_> = circle.members.iter().map(|(account, name)| row(account, name)).collect();
    let columns = ["accountjid", "name", "state"].map(String::from).to_vec();
    let mut text = match rows.len() {
        0 => format!("Nobody is in '{}' yet.", circle.name),
        1 => "1 member.".into(),
        count => format!("{count} members."),
    };
    if !circle.rooms.is_empty() {
        let rooms: Vec<_> = circle.rooms.iter().map(|(jid, name)| format!("{jid} ({name})")).collect();
        text.push_str(&format!(" Group chats: {}.", rooms.join(", ")));
    }
    Ok(Report { text, columns, rows })
}
