//! `federation status`, `federation test` and `federation trace`.

use kernel::{
    command::{Argument, ArgumentKind, Call, Command, CommandError, Report},
    remote::{Carrier, Status},
};
use linnet_xeps::datetime;
use linnet_xmpp::Jid;
use std::sync::Arc;

const fn argument(name: &'static str, label: &'static str, required: bool) -> Argument {
    Argument { name, label, kind: ArgumentKind::Text, required }
}

/// What is known of other servers.
pub(super) static STATUS: Command = Command {
    node: "https://linnet.im/commands#federation-status",
    name: "federation status",
    help: "Say what is on its way to other servers, and what happened last with each of them.",
    arguments: &[argument("domain", "Domain of another server", false)],
    run: |call| Box::pin(async move { status(&call) }),
};

/// Reaches for a server now.
pub(super) static TEST: Command = Command {
    node: "https://linnet.im/commands#federation-test",
    name: "federation test",
    help: "Connect to another server now, step by step, and say what is found.",
    arguments: &[argument("domain", "Domain of another server", true)],
    run: |call| Box::pin(async move { test(&call).await }),
};

/// What became of a message.
pub(super) static TRACE: Command = Command {
    node: "https://linnet.im/commands#federation-trace",
    name: "federation trace",
    help: "Say what became of a message to another server, by the id of its stanza; only of the latest ones.",
    arguments: &[argument("id", "Id of the stanza", true)],
    run: |call| Box::pin(async move { trace(&call) }),
};

fn carrier(call: &Call) -> Result<Arc<dyn Carrier>, CommandError> {
    let none = "this server talks to no other servers: it is not running, or [listen] has neither s2s nor s2s_tls";
    call.kernel.carrier().ok_or_else(|| CommandError::NotFound(none.into()))
}

fn domain(text: &str) -> Result<Jid, CommandError> {
    let jid = Jid::parse(text).ok().filter(Jid::is_domain);
    jid.ok_or_else(|| CommandError::BadInput(format!("'{text}' is not a domain")))
}

fn columns(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn status(call: &Call) -> Result<Report, CommandError> {
    let carrier = carrier(call)?;
    match call.text("domain") {
        Err(_) => Ok(overview(&carrier.status(None))),
        Ok(text) => Ok(detail(&domain(text)?, &carrier.status(Some(domain(text)?.domain())))),
    }
}

fn overview(all: &[Status]) -> Report {
    let rows = all.iter().map(|status| {
        let retry = status.retry.map_or_else(|| "-".to_owned(), datetime::format);
        vec![
            status.remote.to_string(),
            status.local.to_string(),
            format!("{} ({} bytes)", status.waiting, status.bytes),
            if status.outgoing { "connected".to_owned() } else { "-".to_owned() },
            if status.incoming > 0 { format!("{} connected", status.incoming) } else { "-".to_owned() },
            status.error.clone().or_else(|| status.refused.clone()).unwrap_or_else(|| "-".to_owned()),
            retry,
        ]
    });
    let rows: Vec<_> = rows.collect();
    let text = match rows.len() {
        0 => "Nothing is known of any other server since this one was started.".to_owned(),
        1 => "1 pair of domains.".to_owned(),
        count => format!("{count} pairs of domains."),
    };
    Report { text, columns: columns(&["domain", "from", "waiting", "out", "in", "error", "retry"]), rows }
}

fn detail(domain: &Jid, all: &[Status]) -> Report {
    let mut rows = Vec::new();
    for status in all {
        let mut say = |what: &str, text: String| rows.push(vec![status.local.to_string(), what.to_owned(), text]);
        status.steps.iter().for_each(|(what, text)| say(what, text.clone()));
        say(
            "out",
            if status.outgoing { "a stream of ours is open".into() } else { "no stream of ours is open".into() },
        );
        say(
            "in",
            match status.incoming {
                0 => "no stream of theirs is open".into(),
                count => format!("{count} of their streams are open"),
            },
        );
        say("waiting", format!("{} stanzas, {} bytes", status.waiting, status.bytes));
        status.error.iter().for_each(|error| say("error", error.clone()));
        status.refused.iter().for_each(|why| say("refused", why.clone()));
        status.retry.iter().for_each(|at| say("retry", format!("not before {}", datetime::format(*at))));
    }
    let text = if rows.is_empty() {
        format!("Nothing is known of {domain}: 'linnet federation test {domain}' finds out.")
    } else {
        String::new()
    };
    Report { text, columns: columns(&["from", "what", "found"]), rows }
}

async fn test(call: &Call) -> Result<Report, CommandError> {
    let (carrier, domain) = (carrier(call)?, domain(call.text("domain")?)?);
    if call.kernel.is_ours(domain.domain()) {
        return Err(CommandError::BadInput(format!("{domain} is served here")));
    }
    let (steps, outcome) = carrier.test(domain.domain()).await;
    let rows = steps.into_iter().map(|(what, text)| vec![what.to_owned(), text]).collect();
    let text = match outcome {
        Ok(()) => format!("{domain} can be reached, and takes stanzas from here."),
        Err(why) => format!("{why}."),
    };
    Ok(Report { text, columns: columns(&["what", "found"]), rows })
}

fn trace(call: &Call) -> Result<Report, CommandError> {
    let id = call.text("id")?;
    let rows: Vec<_> = call
        .kernel
        .trace(id)
        .into_iter()
        .map(|entry| {
            vec![datetime::format_ms(entry.at), entry.from.to_string(), entry.to.to_string(), entry.event.to_string()]
        })
        .collect();
    if rows.is_empty() {
        let text = format!("no message to another server with the id '{id}' is remembered");
        return Err(CommandError::NotFound(text));
    }
    Ok(Report { text: String::new(), columns: columns(&["at", "from", "to", "what"]), rows })
}
