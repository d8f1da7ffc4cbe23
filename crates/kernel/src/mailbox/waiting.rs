//! The mailbox of a session that waits for its client: of what the archive has it keeps the ids alone, and it can be kept
//! over a restart. Before a connection takes from it again, what is missing is read from the log.

use super::{HeadKind, Inner, Item, Mailbox, Window};
use bytes::Bytes;
use hashbrown::HashMap;
use linnet_xmpp::{
    Stanza,
    stanza::{Kind, Type},
    stream::StreamError,
};
use std::sync::{Arc, LazyLock};

/// In place of a stanza that is in the log.
static STORED: LazyLock<Arc<Stanza>> = LazyLock::new(|| Arc::new(Stanza::new(Kind::Message, Type::Chat, Bytes::new())));

/// What is in a mailbox.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// How many stanzas the client has acknowledged.
    pub(crate) acknowledged: u32,
    /// So many of the items were sent to it since.
    pub(crate) sent: usize,
    /// In order.
    pub(crate) items: Vec<Item>,
}

impl Item {
    /// A message whose stanza is in the log.
    pub(crate) fn stored(row: u64, flags: u32) -> Item {
        Item { stanza: STORED.clone(), to: None, head: HeadKind::Stored(flags), row }
    }

    /// Whether its stanza has to be read from the log.
    pub(crate) fn is_stored(&self) -> bool {
        matches!(self.head, HeadKind::Stored(_))
    }
}

impl Mailbox {
    /// The connection ends with this error, and the session goes on waiting for its client.
    pub(crate) fn suspend(&self, error: StreamError) {
        let mut inner = self.inner.lock();
        inner.suspended.get_or_insert(Box::new(error));
        inner.wake();
    }

    /// Whether the connection has to end and the session not.
    pub(crate) fn is_suspended(&self) -> bool {
        self.inner.lock().suspended.is_some()
    }

    /// Keeps the ids alone of messages that have one of these flags in the log.
    pub(crate) fn shrink(&self, archived: u32) {
        let mut inner = self.inner.lock();
        inner.change(|mut item| {
            if item.row != 0 && item.head.flags() & archived != 0 {
                item = Item { to: item.to, ..Item::stored(item.row, item.head.flags()) };
            }
            Some(item)
        });
    }

    /// The rows that have to be read before a connection takes anything.
    pub(crate) fn missing(&self) -> Vec<u64> {
        let inner = self.inner.lock();
        inner.items().filter(|item| item.is_stored()).map(|item| item.row).collect()
    }

    /// Puts in what was read. What is in no log any more is dropped; call it when the client has said what it has.
    pub(crate) fn fill(&self, mut found: HashMap<u64, Item>) {
        self.inner.lock().change(|item| {
            if !item.is_stored() {
                return Some(item);
            }
            found.remove(&item.row).map(|read| Item { to: item.to, ..read })
        });
    }

    /// All that is in the mailbox, in order.
    pub(crate) fn contents(&self) -> Contents {
        let inner = self.inner.lock();
        let (acknowledged, sent) =
            inner.window.as_ref().map_or((0, 0), |window| (window.acknowledged, window.items.len()));
        let held = inner.quiet.iter().flat_map(|quiet| &quiet.held);
        Contents { acknowledged, sent, items: inner.items().chain(held).cloned().collect() }
    }

    /// A mailbox that holds this, for a session that waits for its client.
    pub(crate) fn with(contents: Contents) -> Mailbox {
        let mut items = contents.items;
        let live = items.split_off(contents.sent.min(items.len()));
        let bytes = |items: &[Item]| items.iter().map(Item::size).sum();
        let window =
            Window { bytes: bytes(&items), items: items.into(), acknowledged: contents.acknowledged, asked: false };
        let inner =
            Inner { bytes: bytes(&live), live: live.into(), window: Some(Box::new(window)), ..Inner::default() };
        Mailbox { inner: inner.into() }
    }
}

impl Inner {
    /// What was sent and what was not, in order; without what is held back.
    fn items(&self) -> impl Iterator<Item = &Item> {
        let window = self.window.iter().flat_map(|window| &window.items);
        let pulled = self.pulled.iter().flat_map(|pulled| &pulled.items);
        window.chain(pulled).chain(&self.live)
    }

    /// Changes or drops items.
    fn change(&mut self, mut change: impl FnMut(Item) -> Option<Item>) {
        let mut all = |items: &mut std::collections::VecDeque<Item>| -> usize {
            *items = std::mem::take(items).into_iter().filter_map(&mut change).collect();
            items.iter().map(Item::size).sum()
        };
        if let Some(window) = &mut self.window {
            window.bytes = all(&mut window.items);
        }
        if let Some(pulled) = &mut self.pulled {
            pulled.bytes = all(&mut pulled.items);
        }
        self.bytes = all(&mut self.live);
    }
}
