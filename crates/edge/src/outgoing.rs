//! What one connection is writing: bytes, and the mailbox items in them that the socket has not yet accepted.
//! Taken from a pool for the time of the writing, so that an idle session has none.

use crate::limits;
use kernel::mailbox::Item;
use std::{cell::RefCell, collections::VecDeque};

/// Bytes on their way.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// All of them.
    pub(crate) bytes: Vec<u8>,
    /// How many were handed to the socket.
    pub(crate) sent: usize,
    /// Items whose bytes are among them, each with where it ends.
    items: VecDeque<(usize, Item)>,
}

thread_local! {
    #[expect(clippy::vec_box, reason = "sessions hold the box: a pointer each while they are idle")]
    static POOL: RefCell<Vec<Box<Outgoing>>> = const { RefCell::new(Vec::new()) };
}

impl Outgoing {
    /// An empty one.
    pub(crate) fn take() -> Box<Outgoing> {
        POOL.with_borrow_mut(Vec::pop).unwrap_or_default()
    }

    /// Back to the pool.
    pub(crate) fn give_back(mut self: Box<Outgoing>) {
        if self.bytes.capacity() > limits::BUFFER_KEPT {
            return;
        }
        self.bytes.clear();
        self.items.clear();
        self.sent = 0;
        POOL.with_borrow_mut(|pool| {
            if pool.len() < limits::BUFFERS {
                pool.push(self);
            }
        });
    }

    /// Remembers an item whose bytes have just been added.
    pub(crate) fn push(&mut self, item: Item) {
        self.items.push_back((self.bytes.len(), item));
    }

    /// Forgets the items that end within the first `accepted` bytes; their rows, where they have some, are added to
    /// `rows`.
    pub(crate) fn accepted(&mut self, accepted: usize, rows: &mut Vec<u64>) {
        while self.items.front().is_some_and(|(end, _)| *end <= accepted) {
            if let Some((_, item)) = self.items.pop_front() {
                rows.extend((item.row != 0).then_some(item.row));
            }
        }
    }

    /// The items that were not accepted, in order.
    pub(crate) fn into_items(self) -> impl Iterator<Item = Item> {
        self.items.into_iter().map(|(_, item)| item)
    }
}
