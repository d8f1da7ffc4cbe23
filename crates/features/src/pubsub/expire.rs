//! Removes what is over: items of nodes that keep them for a time (XEP-0060 `pubsub#item_expire`), and subscriptions whose
//! lease has ended (§12.19). Neither is shown before that.

use super::{
    document::{NODES, Node, Nodes, Stored, Subscription, bucket_named, group, items_of},
    limits, publish,
};
use kernel::{
    Kernel,
    jobs::{JobError, Step},
};
use linnet_xmpp::Jid;
use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};
use store::{Future, MapQuery, StoreError};

/// The bucket that comes next.
#[derive(Debug, Default)]
struct Next(AtomicU8);

/// One step of the job: one bucket of nodes.
pub(super) fn step(kernel: Arc<Kernel>) -> Future<'static, Result<Step, JobError>> {
    Box::pin(async move {
        let next = kernel.shared::<Next>();
        let number = next.0.load(Ordering::Acquire);
        let mut is_done = true;
        // All of the bucket, for those beyond a limit would never have their turn: of most nodes one page is read, and
        // nothing written.
        for (owner, row) in kernel.store.map_second(NODES, &bucket_named(number), usize::MAX).await? {
            let (Ok(owner), Some(node)) = (Jid::parse(&owner), Node::decode(&row)) else { continue };
            is_done &= look(&kernel, &owner, &node).await?;
        }
        if is_done {
            next.0.store(number.wrapping_add(1), Ordering::Release);
        }
        Ok(if is_done && number == u8::MAX { Step::Done } else { Step::More })
    })
}

/// Looks at a node as it is stored; false if there is more to remove. Its owner is loaded only where something is over.
async fn look(kernel: &Arc<Kernel>, host: &Jid, stored: &Node) -> Result<bool, StoreError> {
    let now = kernel.context.now();
    let has_ended = |one: &Subscription| one.options.expire.is_over(now);
    if !stored.subscriptions.iter().any(has_ended) && over(kernel, host, stored).await?.is_empty() {
        return Ok(true);
    }
    let owner = kernel.owner(host).await?;
    let known = owner.lock().document::<Nodes>().and_then(|nodes| nodes.get(&stored.name).cloned());
    let Some(known) = known else { return Ok(true) };
    let changes = known.changes();
    kernel.barrier().await;
    let over = over(kernel, host, &known).await?;
    let mut is_done = over.len() < limits::PAGE;
    kernel.act(&owner, false, |turn| {
        let Some(node) = turn.document::<Nodes>().and_then(|nodes| nodes.get(&known.name)) else { return };
        if node.subscriptions.iter().any(has_ended) {
            let mut node = Node::clone(node);
            node.subscriptions.retain(|one| !has_ended(one));
            Nodes::put(turn, node);
        }
        if node.changes() != changes {
            // What was published meanwhile may have the same ids.
            is_done = false;
        } else if !over.is_empty() {
            publish::expire(turn, node, &over);
        }
    });
    kernel.barrier().await;
    Ok(is_done)
}

/// The ids of a node's oldest items, as far as their time is over.
async fn over(kernel: &Kernel, host: &Jid, node: &Node) -> Result<Vec<String>, StoreError> {
    let query = MapQuery { second: group(host, &node.name), limit: limits::PAGE, ..MapQuery::default() };
    let rows = kernel.store.map_group(items_of(&node.name), host.as_str(), query).await?;
    let items = rows.iter().filter_map(|row| Stored::read(&node.name, row));
    let now = kernel.context.now();
    Ok(items.take_while(|item| item.is_expired(&node.config, now)).map(|item| item.id).collect())
}
