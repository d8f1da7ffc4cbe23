//! What waits for one session. Invariant: bounded in stanzas and bytes, first in, first out, and nobody who puts
//! something in ever waits; a mailbox that overflows closes, and what was in it goes back to its account.
//!
//! Two queues: `live` for what others send, and `pulled` for what the session asked of the store, whose reader does wait
//! for room. While a session catches up with stored messages, `live` is held back behind `pulled`.

use crate::limits;
use linnet_xmpp::{
    Jid, Stanza,
    stream::{StreamCondition, StreamError},
};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::SystemTime,
};

/// How the head of a stanza is written for its receiver; features register the writers (`Hook::Head`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadKind {
    /// As it is.
    Plain,
    /// Of a message in the receiver's log, with its flags there.
    Row(u32),
    /// Of a message read from the receiver's log: with its flags and when it came.
    Late(u32, SystemTime),
}

/// A stanza that waits for a session: a shared body and what is particular to this receiver.
#[derive(Debug, Clone)]
pub struct Item {
    /// The stanza, shared by all receivers.
    pub stanza: Arc<Stanza>,
    /// The `to` of this receiver, where it is not the stanza's.
    pub to: Option<Jid>,
    /// How its head is written.
    pub head: HeadKind,
    /// Its row in the receiver's log, 0 for none.
    pub row: u64,
}

impl Item {
    /// A stanza as it is.
    pub fn plain(stanza: Arc<Stanza>) -> Item {
        Item { stanza, to: None, head: HeadKind::Plain, row: 0 }
    }

    /// Roughly the bytes that it will take on the wire.
    pub fn size(&self) -> usize {
        self.stanza.inner().len() + 200
    }
}

/// The queue of one session.
#[derive(Debug, Default)]
pub struct Mailbox {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    live: VecDeque<Item>,
    /// Boxed: most sessions never pull anything while somebody measures their memory.
    pulled: Option<Box<Pulled>>,
    bytes: usize,
    held: bool,
    /// Full once: what is in it is no longer for this session.
    overflowed: bool,
    closed: Option<Closed>,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Pulled {
    items: VecDeque<Item>,
    bytes: usize,
    waiting: Vec<Waker>,
}

/// Why a session ends from the server's side; `None`: without an error.
type Closed = Option<StreamError>;

impl Mailbox {
    /// Puts an item in. Gives it back if the session has ended, or ends now because its mailbox is full.
    pub fn push(&self, item: Item) -> Result<(), Item> {
        let mut inner = self.inner.lock();
        if inner.closed.is_some() {
            return Err(item);
        }
        // A single item is always taken, however large: the limits of stanzas bound it.
        let is_full = inner.live.len() >= limits::MAILBOX_ITEMS || inner.bytes + item.size() > limits::MAILBOX_BYTES;
        if is_full && !inner.live.is_empty() {
            let text = "you read more slowly than others write to you";
            inner.closed = Some(Some(StreamError::new(StreamCondition::ResourceConstraint).text(text)));
            inner.overflowed = true;
            inner.wake();
            return Err(item);
        }
        inner.bytes += item.size();
        inner.live.push_back(item);
        if !inner.held {
            inner.wake();
        }
        Ok(())
    }

    /// Puts in what the session asked of the store, as soon as there is room. `Err` if the session has ended.
    pub async fn push_pulled(&self, item: Item) -> Result<(), Item> {
        let mut item = Some(item);
        std::future::poll_fn(|cx| {
            let mut inner = self.inner.lock();
            let Some(waiting) = item.take() else { return Poll::Ready(Ok(())) };
            if inner.closed.is_some() {
                return Poll::Ready(Err(waiting));
            }
            let pulled = inner.pulled.get_or_insert_default();
            if pulled.bytes > limits::PULLED_BYTES {
                pulled.waiting.push(cx.waker().clone());
                item = Some(waiting);
                return Poll::Pending;
            }
            pulled.bytes += waiting.size();
            pulled.items.push_back(waiting);
            inner.wake();
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Holds `live` back until [`Mailbox::release`].
    pub fn hold(&self) {
        self.inner.lock().held = true;
    }

    /// Lets `live` go on.
    pub fn release(&self) {
        let mut inner = self.inner.lock();
        inner.held = false;
        inner.wake();
    }

    /// Ends the session from the server's side, with an error or without one.
    pub fn close(&self, error: Option<StreamError>) {
        let mut inner = self.inner.lock();
        if inner.closed.is_none() {
            inner.closed = Some(error);
            inner.wake();
        }
    }

    /// Whether so much waits that the session's own requests should wait too: it would end itself by its own answers.
    pub fn is_heavy(&self) -> bool {
        self.inner.lock().bytes > limits::MAILBOX_BYTES / 4
    }

    /// Whether the session has been ended.
    pub fn is_closed(&self) -> bool {
        self.inner.lock().closed.is_some()
    }

    /// Takes the next item, or registers to be woken. `Err`: everything is taken and the session was ended.
    /// What is pulled comes first, so that nothing overtakes what was stored before it.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Result<Item, Option<StreamError>>> {
        let mut inner = self.inner.lock();
        if let Some(item) = inner.take() {
            return Poll::Ready(Ok(item));
        }
        if let Some(error) = &inner.closed {
            return Poll::Ready(Err(error.clone()));
        }
        if !inner.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            inner.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Ends the session for good and gives back everything that was not taken, in order.
    pub(crate) fn drain(&self) -> Vec<Item> {
        let mut inner = self.inner.lock();
        inner.closed.get_or_insert(None);
        let mut items = Vec::new();
        if let Some(mut pulled) = inner.pulled.take() {
            items.extend(pulled.items.drain(..));
            pulled.waiting.drain(..).for_each(Waker::wake);
        }
        items.extend(inner.live.drain(..));
        inner.bytes = 0;
        items
    }
}

impl Inner {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn take(&mut self) -> Option<Item> {
        if self.overflowed {
            return None;
        }
        if let Some(pulled) = &mut self.pulled {
            if let Some(item) = pulled.items.pop_front() {
                pulled.bytes -= item.size();
                if pulled.bytes <= limits::PULLED_BYTES / 2 {
                    pulled.waiting.drain(..).for_each(Waker::wake);
                }
                return Some(item);
            }
            if !self.held && pulled.waiting.is_empty() {
                self.pulled = None;
            }
        }
        if self.held && self.closed.is_none() {
            return None;
        }
        let item = self.live.pop_front()?;
        self.bytes -= item.size();
        if self.live.is_empty() && self.live.capacity() > 4 {
            // An idle session keeps no queue.
            self.live = VecDeque::new();
        }
        Some(item)
    }
}
