//! Digests: notifications that wait to be sent to a subscriber together (XEP-0060 §16.4.2, `pubsub#digest`).
//!
//! They wait in memory alone: when the server stops they are lost, as notifications are, and the items are in their node.

use super::{document::Node, limits, notify};
use bytes::Bytes;
use kernel::{Kernel, Turn};
use linnet_xeps::ns;
use linnet_xmpp::{
    Jid,
    stanza::Type,
    xml::{Document, Scope, Writer},
};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// By host, node and subscriber.
type Key = (Jid, Box<str>, Jid);

#[derive(Debug, Default)]
struct Waiting(Mutex<HashMap<Key, Vec<Bytes>>>);

/// Keeps an event for a subscriber. The first one begins the wait.
pub(super) fn keep(turn: &mut Turn<'_>, node: &Node, subscriber: Jid, event: Bytes, wait: Duration) {
    let (kernel, ty) = (turn.kernel.clone(), notify::ty(node));
    let key = (turn.account.address.clone(), node.name.clone(), subscriber);
    turn.afterwards(Box::pin(async move {
        let (count, bytes) = {
            let waiting = kernel.shared::<Waiting>();
            let mut waiting = waiting.0.lock();
            let events = waiting.entry(key.clone()).or_default();
            events.push(event);
            (events.len(), events.iter().map(Bytes::len).sum::<usize>())
        };
        if count >= limits::DIGEST || bytes >= limits::DIGEST_BYTES {
            // Enough for one: it goes before its time.
        } else if count == 1 {
            kernel.context.sleep(wait).await;
        } else {
            return;
        }
        if let Err(error) = send(&kernel, &key, ty).await {
            tracing::error!(%error, host = %key.0, "a digest could not be sent");
        }
    }));
}

async fn send(kernel: &Arc<Kernel>, key: &Key, ty: Type) -> Result<(), store::StoreError> {
    // Those that waited too long, or became too many, may have gone already.
    let Some(events) = kernel.shared::<Waiting>().0.lock().remove(key) else { return Ok(()) };
    let owner = kernel.owner(&key.0).await?;
    kernel.act(&owner, false, |turn| {
        let stanza = notify::message(turn, ty, merged(&events));
        turn.emit(stanza, vec![key.2.clone()]);
    });
    Ok(())
}

/// One event of many: items that come one after the other are together.
fn merged(events: &[Bytes]) -> Bytes {
    let documents = events.iter().filter_map(|event| {
        let scope = Scope::new(linnet_xmpp::ns::CLIENT);
        Document::parse(event.clone(), &scope).ok()
    });
    let documents: Vec<Document> = documents.collect();
    notify::event(|out: &mut Writer| {
        let mut is_open = false;
        for child in documents.iter().flat_map(|document| document.root().children()) {
            if !child.is("items", ns::PUBSUB_EVENT) {
                if std::mem::take(&mut is_open) {
                    out.close();
                }
                out.node(child);
                continue;
            }
            if !std::mem::replace(&mut is_open, true) {
                out.open("items", ns::PUBSUB_EVENT).attr_opt("node", child.attr("node").as_deref());
            }
            child.children().for_each(|item| {
                out.node(item);
            });
        }
        if is_open {
            out.close();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_together_and_everything_is_in_order() {
        let event = |inner: &str| Bytes::from(format!("<event xmlns='{}'>{inner}</event>", ns::PUBSUB_EVENT));
        let one = |id: &str| event(&format!("<items node='n'><item id='{id}'><e xmlns='urn:x'/></item></items>"));
        let gone = event("<items node='n'><retract id='1'/></items>");
        let all = merged(&[one("1"), one("2"), gone, event("<purge node='n'/>"), one("3")]);
        let items = |inner: &str| format!("<items node='n'>{inner}</items>");
        let item = |id: &str| format!("<item id='{id}'><e xmlns='urn:x'/></item>");
        let expected =
            [items(&(item("1") + &item("2") + "<retract id='1'/>")), "<purge node='n'/>".into(), items(&item("3"))];
        assert_eq!(all, event(&expected.concat()));
    }
}
