//! Reports with a block (XEP-0377): kept for the administrator, with the messages that they are about, and told to the
//! abuse contacts of the server that have an XMPP address.
//!
//! Not done: reports are not sent on to other servers or to third parties, whatever the user allows (§5 leaves it open).

mod command;
mod record;

use crate::messages;
use kernel::{Feature, Hook, Kernel, Turn, hooks::Xep};
use linnet_xeps::{datetime, ns, reports};
use linnet_xmpp::{
    Jid, Stanza, ns as core,
    stanza::{Kind, Type},
    xml::{Node, Writer},
};
use parking_lot::Mutex;
use record::{Message, Record, TABLE};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};
use store::{Condition, LogQuery, Outcome, StoreError, Write};

/// Reports.
pub static FEATURE: Feature = Feature {
    name: "reports",
    xeps: &[Xep { number: 377, version: "0.4.1", note: "reports stay on the server" }],
    server_features: &[ns::REPORTING],
    account_features: &[ns::REPORTING],
    stream_features: &[],
    hooks: &[Hook::Command(&command::LIST), Hook::Command(&command::REMOVE)],
};

/// Reports that are kept; the oldest go. More than a person reads.
const REPORTS: u64 = 2000;
/// The oldest that go at once.
const OLDEST: usize = 50;
/// Reports of one account in an hour; further ones are not kept. Who is flooded blocks more than he reports.
const PER_HOUR: u32 = 20;
/// Messages kept with a report.
const MESSAGES: usize = 10;
/// Characters kept of a text.
const TEXT: usize = 1000;

/// How many reports accounts have made since when, in memory: a restart forgets it.
#[derive(Debug, Default)]
struct Reporters(Mutex<BTreeMap<Jid, (Instant, u32)>>);

impl Reporters {
    fn admits(&self, account: &Jid, now: Instant) -> bool {
        let mut all = self.0.lock();
        all.retain(|_, (since, _)| now.saturating_duration_since(*since) < Duration::from_secs(3600));
        let (_, count) = all.entry(account.clone()).or_insert((now, 0));
        *count += 1;
        *count <= PER_HOUR
    }
}

/// Keeps the reports in a block, and begins what follows from them. Whatever is wrong with them, the block is done (§6).
pub(crate) fn take(turn: &mut Turn<'_>, block: Node<'_>) {
    for (reported, report) in reports::of_block(block) {
        let reporter = turn.account.address.clone();
        if !turn.kernel.shared::<Reporters>().admits(&reporter, turn.kernel.context.instant()) {
            tracing::info!(account = %reporter, "an account reports too much; a report was not kept");
            return;
        }
        let record = Record::new(turn.now(), reporter, reported, &report);
        let key: Box<str> = format!("{:016x}", turn.kernel.unique()).into();
        turn.write(record.put(&key));
        let kernel = turn.kernel.clone();
        let ids = report.messages.into_iter().take(MESSAGES).filter(|id| id.by == record.reporter);
        let ids: Vec<String> = ids.map(|id| id.id).collect();
        turn.afterwards(Box::pin(async move {
            if let Err(error) = follow(&kernel, &key, record, ids).await {
                tracing::error!(%error, "a report could not be completed");
            }
        }));
    }
}

/// Adds the messages, removes the oldest reports, and tells the contacts.
async fn follow(kernel: &Arc<Kernel>, key: &str, mut record: Record, ids: Vec<String>) -> Result<(), StoreError> {
    for id in ids {
        record.messages.extend(message(kernel, &record, &id).await?);
    }
    if !record.messages.is_empty() {
        let is_there = Condition::MapExists(TABLE, "".into(), key.into());
        kernel.apply(vec![is_there], vec![record.put(key)]).await?;
    }
    let few = Condition::MapFewerThan(TABLE, "".into(), REPORTS + 1);
    if kernel.apply(vec![few], Vec::new()).await? == Outcome::ConditionFailed {
        let oldest = kernel.store.map_rows(TABLE, "", None, OLDEST).await?;
        let gone = |row: store::MapRow| Write::MapRemove { table: TABLE, owner: "".into(), key: row.key };
        kernel.apply(Vec::new(), oldest.into_iter().map(gone).collect()).await?;
    }
    tell(kernel, &record).await
}

/// A message of the reporter's archive by its id there, if it is from the one reported (§6).
async fn message(kernel: &Kernel, record: &Record, id: &str) -> Result<Option<Message>, StoreError> {
    let Some(row) = messages::row_of(kernel, id).filter(|row| *row > 0) else { return Ok(None) };
    let query = LogQuery { after: Some(row - 1), limit: 1, ..LogQuery::default() };
    let rows = kernel.store.log_rows(messages::LOG, record.reporter.as_str(), query).await?;
    let Some(found) = rows.into_iter().find(|found| found.id == row) else { return Ok(None) };
    let Some(stanza) = Stanza::from_bytes(found.body) else { return Ok(None) };
    if stanza.from.as_ref().is_none_or(|from| from.bare_str() != record.reported.bare_str()) {
        return Ok(None);
    }
    let text = stanza.child("body", core::CLIENT).map(|body| body.text().chars().take(TEXT).collect());
    let came = datetime::format(UNIX_EPOCH + Duration::from_micros(row));
    Ok(Some(Message { came, text: text.unwrap_or_else(|| "(no text)".into()) }))
}

/// A message to each abuse contact of the configuration that has an XMPP address.
async fn tell(kernel: &Arc<Kernel>, record: &Record) -> Result<(), StoreError> {
    let contacts = kernel.settings.contacts.iter().filter(|(role, _)| role.trim_end_matches("-addresses") == "abuse");
    let addresses = contacts.flat_map(|(_, addresses)| addresses).filter_map(|uri| {
        let address = uri.strip_prefix("xmpp:")?.split(['?', ';']).next()?;
        Jid::parse(address).ok()
    });
    let to: Vec<Jid> = addresses.collect();
    if to.is_empty() {
        return Ok(());
    }
    let mut body = Writer::new(core::CLIENT);
    body.leaf("body", core::CLIENT, &record.to_string());
    let domain = record.reporter.domain_jid();
    let stanza = Stanza::new(Kind::Message, Type::Normal, body.finish()).from(domain.clone());
    let owner = kernel.owner(&domain).await?;
    kernel.act(&owner, false, |turn| turn.emit(stanza, to));
    Ok(())
}
