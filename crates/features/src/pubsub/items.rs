//! Reading items (XEP-0060 §6.5), in pages (XEP-0059) and by their ids; and the last one, for who has just subscribed or
//! become available. Both read the store beside the lane.

use super::{
    access::Host,
    document::{Counts, Node, Stored, group, item_key, items_of},
    limits, notify,
};
use bytes::Bytes;
use kernel::{Kernel, Turn, hooks::Ask, owner::Owner};
use linnet_xeps::{Payload, delay::Delay, disco, ns, pubsub::unsupported, rsm};
use linnet_xmpp::{Jid, StanzaError, stanza::Condition, xml::Writer};
use std::sync::Arc;
use store::{MapQuery, MapRow, StoreError};

/// Which items are wanted.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) max_items: Option<u64>,
    pub(super) ids: Vec<String>,
    pub(super) page: Option<rsm::Wanted>,
}

/// Items that were found, the oldest first.
struct Found {
    items: Vec<Stored>,
    /// How many there are on all pages, where pages are wanted.
    count: Option<u64>,
}

/// §6.5.
pub(super) async fn answer(ask: &Ask, name: &str, wanted: Wanted) -> Result<Bytes, StanzaError> {
    let node = readable(ask, name).await?;
    if !node.config.persist {
        return Err(unsupported("persistent-items"));
    }
    let is_paged = wanted.page.is_some();
    let found = find(ask, &node, wanted).await?;
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("pubsub", ns::PUBSUB).open("items", ns::PUBSUB).attr("node", name);
    for item in &found.items {
        item.shown(&node.config).write(ns::PUBSUB, &mut out);
    }
    out.close();
    if is_paged {
        page(&found).write(&mut out);
    }
    out.close();
    Ok(out.finish())
}

/// §5.5: the ids of a node's items, as service discovery tells them.
pub(super) async fn names(ask: &Ask, name: &str) -> Result<disco::Items, StanzaError> {
    let node = readable(ask, name).await?;
    let found = find(ask, &node, Wanted::default()).await?;
    let item = |item: Stored| disco::Item { jid: ask.owner.clone(), node: None, name: Some(item.id) };
    Ok(disco::Items { node: Some(name.to_owned()), items: found.items.into_iter().map(item).collect() })
}

fn page(found: &Found) -> rsm::Page {
    let ends = found.items.first().zip(found.items.last()).map(|(first, last)| (first.id.clone(), last.id.clone()));
    rsm::Page { ends, count: found.count }
}

/// The node, if the asker may read it.
async fn readable(ask: &Ask, name: &str) -> Result<Arc<Node>, StanzaError> {
    let owner = ask.kernel.owner(&ask.owner).await.map_err(fault)?;
    let account = owner.lock();
    let host = Host { kernel: &ask.kernel, account: &account, actor: ask.actor() };
    let node = host.node(name)?;
    host.may_read(node, ask.actor())?;
    Ok(node.clone())
}

fn fault(error: StoreError) -> StanzaError {
    tracing::error!(%error, "items could not be read");
    Condition::InternalServerError.into()
}

async fn find(ask: &Ask, node: &Node, wanted: Wanted) -> Result<Found, StanzaError> {
    let (kernel, owner) = (&ask.kernel, &ask.owner);
    let row = async |id: &str| {
        kernel.store.map_row(items_of(&node.name), owner.as_str(), &item_key(&node.name, id)).await.map_err(fault)
    };
    if !wanted.ids.is_empty() {
        let mut items = Vec::new();
        for id in wanted.ids.iter().take(limits::PAGE) {
            items.extend(row(id).await?.and_then(|row| fresh(kernel, node, &row)));
        }
        // §6.5.9: one that is not there is no item.
        return if items.is_empty() { Err(Condition::ItemNotFound.into()) } else { Ok(Found { items, count: None }) };
    }
    let mut query = MapQuery { second: group(owner, &node.name), ..MapQuery::default() };
    let mut most = wanted.max_items.unwrap_or(u64::MAX).min(limits::ITEMS) as usize;
    // Without pages, the newest.
    query.backwards = true;
    let mut count = None;
    if let Some(page) = wanted.page {
        most = most.min(page.max.map_or(usize::MAX, |max| max as usize));
        query.backwards = page.before.is_some();
        let sequence = async |id: &str| Ok::<_, StanzaError>(row(id).await?.ok_or(Condition::ItemNotFound)?.sequence);
        if let Some(id) = page.after.as_deref() {
            query.after = Some(sequence(id).await?);
        }
        if let Some(id) = page.before.as_deref().filter(|id| !id.is_empty()) {
            query.before = Some(sequence(id).await?);
        }
        if page.index.is_some() {
            return Err(StanzaError::new(Condition::FeatureNotImplemented).text("pages are not found by their index"));
        }
        count = Some(
            kernel.store.map_group_count(items_of(&node.name), owner.as_str(), &query.second).await.map_err(fault)?,
        );
    }
    Ok(Found { items: read(kernel, owner, node, query, most).await.map_err(fault)?, count })
}

/// Reads rows in portions until there are enough, or they are too large together. Those whose time is over are passed over;
/// `expire` removes them.
async fn read(
    kernel: &Arc<Kernel>,
    owner: &Jid,
    node: &Node,
    mut query: MapQuery,
    most: usize,
) -> Result<Vec<Stored>, StoreError> {
    let (mut items, mut bytes) = (Vec::new(), 0);
    'pages: while items.len() < most {
        query.limit = limits::PAGE.min(most - items.len());
        let rows = kernel.store.map_group(items_of(&node.name), owner.as_str(), query.clone()).await?;
        let Some(last) = rows.last() else { break };
        match query.backwards {
            true => query.before = Some(last.sequence),
            false => query.after = Some(last.sequence),
        }
        for row in rows {
            let Some(item) = fresh(kernel, node, &row) else { continue };
            bytes += item.payload.len();
            if bytes > limits::ANSWER_BYTES && !items.is_empty() {
                break 'pages;
            }
            items.push(item);
        }
    }
    if query.backwards {
        items.reverse();
    }
    Ok(items)
}

fn fresh(kernel: &Kernel, node: &Node, row: &MapRow) -> Option<Stored> {
    Stored::read(&node.name, row).filter(|item| !item.is_expired(&node.config, kernel.context.now()))
}

/// The newest items of a node, the oldest of them first.
///
/// # Errors
/// The store could not be read.
pub async fn newest(kernel: &Arc<Kernel>, owner: &Jid, node: &Node, limit: usize) -> Result<Vec<Stored>, StoreError> {
    let query = MapQuery { second: group(owner, &node.name), backwards: true, ..MapQuery::default() };
    read(kernel, owner, node, query, limit).await
}

/// An item by its id.
///
/// # Errors
/// The store could not be read.
pub async fn item(kernel: &Kernel, owner: &Jid, node: &Node, id: &str) -> Result<Option<Stored>, StoreError> {
    let row = kernel.store.map_row(items_of(&node.name), owner.bare_str(), &item_key(&node.name, id)).await?;
    Ok(row.and_then(|row| fresh(kernel, node, &row)))
}

/// A node whose last item is to be sent.
#[derive(Debug)]
pub(crate) struct Last {
    name: Box<str>,
    counts: Arc<Counts>,
    publications: u64,
}

impl Last {
    /// To who wants it from now on: of what is published later he is told.
    pub(crate) fn of(node: &Node) -> Last {
        let counts = node.counts();
        Last { name: node.name.clone(), publications: counts.publications(), counts }
    }

    /// Whether something was published since. What was loaded anew since counts for itself: then it is not known.
    fn is_late(&self) -> bool {
        self.counts.publications() != self.publications
    }
}

/// Sends the last items of some nodes to an address, each as it is when it is sent: what is published meanwhile comes
/// after it, never before, and not twice.
pub(crate) async fn send_last(kernel: Arc<Kernel>, host: Jid, wanted: Vec<Last>, to: Jid) {
    for last in wanted {
        // Ends: somebody who publishes faster than this reads sends notifications enough.
        for _ in 0..5 {
            match send_one(&kernel, &host, &last, &to).await {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => return tracing::error!(%error, owner = %host, "the last items could not be read"),
            }
        }
    }
}

/// True if nothing is left to do for this node.
async fn send_one(kernel: &Arc<Kernel>, host: &Jid, last: &Last, to: &Jid) -> Result<bool, StoreError> {
    let owner = kernel.owner(host).await?;
    let node = |owner: &Arc<Owner>| {
        let account = owner.lock();
        account.document::<super::Nodes>().and_then(|nodes| nodes.get(&last.name).cloned())
    };
    let Some(read) = node(&owner) else { return Ok(true) };
    let changes = read.changes();
    kernel.barrier().await;
    let Some(item) = newest(kernel, host, &read, 1).await?.pop() else { return Ok(true) };
    let mut done = true;
    kernel.act(&owner, false, |turn| {
        let host = Host { actor: to, ..Host::of(turn) };
        let Some(node) = host.nodes().get(&last.name).filter(|node| host.may_read(node, to).is_ok()) else { return };
        if last.is_late() {
            return;
        }
        done = node.changes() == changes;
        if done {
            show(turn, node, item, to);
        }
    });
    Ok(done)
}

/// §6.1.7: with the time of its publication.
fn show(turn: &mut Turn<'_>, node: &Node, item: Stored, to: &Jid) {
    let event = notify::items(&node.name, &[notify::told(node, item.shown(&node.config))]);
    let delay = Delay { from: Some(turn.account.address.clone()), stamp: item.published, reason: None };
    let content = [&event[..], &delay.to_bytes()[..]].concat();
    let stanza = notify::message(turn, notify::ty(node), content.into());
    turn.emit(stanza, vec![to.clone()]);
}
