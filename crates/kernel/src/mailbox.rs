//! What waits for one session. Invariant: bounded in stanzas and bytes, first in, first out, and nobody who puts
//! something in ever waits; a mailbox that overflows closes, and what was in it goes back to its account.
//!
//! Two queues: `live` for what others send, and `pulled` for what the session asked of the store, whose reader does wait
//! for room. While a session catches up with stored messages, `live` is held back behind `pulled`.
//!
//! With stream management what was taken stays in the `window` until the client has acknowledged it, so that a new
//! connection goes on where the last one broke. Taking an item and keeping it there is one step: each item is in a queue,
//! in the window, or acknowledged. Only the connection that came last takes anything.

pub(crate) mod waiting;

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
    /// As it is: a copy of a message in the receiver's log, whose row is the item's.
    Copy,
    /// Of a message in the receiver's log, with its flags there: the stanza has to be read from it (`waiting`).
    Stored(u32),
    /// As it is: says that a stanza of the receiver's own could not be made durable.
    Failure,
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

impl HeadKind {
    /// The flags of the row of a message; 0 where it is not the receiver's.
    pub(crate) fn flags(self) -> u32 {
        match self {
            HeadKind::Row(flags) | HeadKind::Late(flags, _) | HeadKind::Stored(flags) => flags,
            HeadKind::Plain | HeadKind::Copy | HeadKind::Failure => 0,
        }
    }
}

impl Item {
    /// A stanza as it is.
    pub fn plain(stanza: Arc<Stanza>) -> Item {
        Item { stanza, to: None, head: HeadKind::Plain, row: 0 }
    }

    /// Roughly the bytes that it will take on the wire.
    pub fn size(&self) -> usize {
        size(&self.stanza) as usize
    }
}

/// Roughly the bytes of a stanza.
pub(crate) fn size(stanza: &Stanza) -> u32 {
    u32::try_from(stanza.inner().len() + 200).unwrap_or(u32::MAX)
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
    /// The server is stopping: the connection ends, with this error, and the session does not.
    suspended: Option<Box<StreamError>>,
    waker: Option<Waker>,
    /// The number of the connection that takes.
    connection: u32,
    /// Items in the queues that tell of failures, and such that were taken.
    failures: u32,
    told: u32,
    /// With stream management. Boxed like the next one: many sessions have neither.
    window: Option<Box<Window>>,
    /// While nobody looks at the client.
    quiet: Option<Box<Quiet>>,
}

/// What the client was sent and has not acknowledged (XEP-0198 §4).
#[derive(Debug, Default)]
struct Window {
    items: VecDeque<Item>,
    bytes: usize,
    /// How many the client has acknowledged, modulo 2^32.
    acknowledged: u32,
    /// It was asked for an acknowledgement and has not answered.
    asked: bool,
}

impl Window {
    fn is_full(&self) -> bool {
        self.items.len() >= limits::WINDOW_STANZAS || self.bytes >= limits::WINDOW_BYTES
    }

    fn sent(&self) -> u32 {
        self.acknowledged.wrapping_add(self.items.len() as u32)
    }
}

/// More was acknowledged than was sent, which is this many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooHigh(pub(crate) u32);

/// What can wait until somebody looks at the client, newest last, one per sender and kind (XEP-0352 §5).
#[derive(Debug)]
struct Quiet {
    can_wait: fn(&Stanza) -> bool,
    held: VecDeque<Item>,
}

/// The next item for a connection.
#[derive(Debug)]
pub enum Next {
    /// The mailbox forgets it: the connection says when it is written, or gives it back.
    Taken(Item),
    /// The mailbox keeps it until it is acknowledged.
    Kept(Item),
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
        let Some(item) = inner.hold_back(item) else { return Ok(()) };
        // A single item is always taken, however large: the limits of stanzas bound it.
        let is_full = inner.live.len() >= limits::MAILBOX_ITEMS || inner.bytes + item.size() > limits::MAILBOX_BYTES;
        if is_full && !inner.live.is_empty() {
            let text = "you read more slowly than others write to you";
            inner.closed = Some(Some(StreamError::new(StreamCondition::ResourceConstraint).text(text)));
            inner.overflowed = true;
            inner.wake();
            return Err(item);
        }
        inner.let_go();
        inner.bytes += item.size();
        inner.failures += u32::from(item.head == HeadKind::Failure);
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

    /// Whether what was taken stays here until the client has acknowledged it (XEP-0198).
    pub fn keeps(&self) -> bool {
        self.inner.lock().window.is_some()
    }

    /// How many items told of failures and were taken.
    pub(crate) fn told(&self) -> u32 {
        self.inner.lock().told
    }

    /// How many items tell of failures and were not taken yet.
    pub(crate) fn failures(&self) -> u32 {
        self.inner.lock().failures
    }

    /// Whether anything that the client has not acknowledged, or that was not taken yet, is such.
    pub fn has(&self, is_such: impl Fn(&Item) -> bool) -> bool {
        let inner = self.inner.lock();
        let window = inner.window.iter().flat_map(|window| &window.items);
        let pulled = inner.pulled.iter().flat_map(|pulled| &pulled.items);
        window.chain(pulled).chain(&inner.live).any(is_such)
    }

    /// Whether the session has been ended.
    pub fn is_closed(&self) -> bool {
        self.inner.lock().closed.is_some()
    }

    /// Takes the next item, or registers to be woken. `Err`: everything is taken and the session was ended.
    /// What is pulled comes first, so that nothing overtakes what was stored before it.
    pub fn poll_next(&self, connection: u32, cx: &mut Context<'_>) -> Poll<Result<Next, Option<StreamError>>> {
        let mut inner = self.inner.lock();
        if inner.connection != connection {
            let text = "the session goes on with another connection of yours";
            return Poll::Ready(Err(Some(StreamError::new(StreamCondition::Conflict).text(text))));
        }
        if let Some(error) = &inner.suspended {
            return Poll::Ready(Err(Some(StreamError::clone(error))));
        }
        if let Some(item) = inner.take() {
            let Some(window) = &mut inner.window else { return Poll::Ready(Ok(Next::Taken(item))) };
            window.bytes += item.size();
            window.items.push_back(item.clone());
            return Poll::Ready(Ok(Next::Kept(item)));
        }
        if let Some(error) = &inner.closed {
            return Poll::Ready(Err(error.clone()));
        }
        if !inner.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            inner.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The number of the connection that takes from the mailbox.
    pub fn connection(&self) -> u32 {
        self.inner.lock().connection
    }

    /// A new connection takes from now on; its number. The one before learns it at its next look.
    pub(crate) fn take_over(&self) -> u32 {
        let mut inner = self.inner.lock();
        inner.connection = inner.connection.wrapping_add(1);
        inner.wake();
        inner.connection
    }

    /// From now on items are kept until they are acknowledged.
    pub(crate) fn keep(&self) {
        self.inner.lock().window.get_or_insert_default();
    }

    /// Whether the client should be asked what it has handled: it has something, and no question is open.
    pub fn asks(&self) -> bool {
        let mut inner = self.inner.lock();
        let Some(window) = &mut inner.window else { return false };
        let asks = !window.asked && !window.items.is_empty();
        window.asked |= asks;
        asks
    }

    /// The client of this connection has handled so many in all. Gives the rows among those that it had not acknowledged
    /// before; an older count changes nothing.
    pub(crate) fn acknowledge(&self, connection: u32, handled: u32) -> Result<Vec<u64>, TooHigh> {
        let mut inner = self.inner.lock();
        let is_current = inner.connection == connection;
        let Some(window) = inner.window.as_mut().filter(|_| is_current) else { return Ok(Vec::new()) };
        window.asked = false;
        let newly = handled.wrapping_sub(window.acknowledged) as usize;
        if newly > window.items.len() {
            // Counts go round at 2^32, and what is far behind is old.
            return if newly > (u32::MAX / 2) as usize { Ok(Vec::new()) } else { Err(TooHigh(window.sent())) };
        }
        let mut rows = Vec::new();
        for item in window.items.drain(..newly) {
            window.bytes -= item.size();
            rows.extend((item.row != 0).then_some(item.row));
        }
        window.acknowledged = handled;
        if window.items.is_empty() && window.items.capacity() > 4 {
            window.items = VecDeque::new();
        }
        Ok(rows)
    }

    /// What was not acknowledged is taken again, before everything else, and counted again.
    pub(crate) fn rewind(&self) {
        let mut inner = self.inner.lock();
        let Some(window) = &mut inner.window else { return };
        let (items, bytes) = (std::mem::take(&mut window.items), std::mem::take(&mut window.bytes));
        window.asked = false;
        if items.is_empty() {
            return;
        }
        let pulled = inner.pulled.get_or_insert_default();
        pulled.bytes += bytes;
        let failures = items.iter().filter(|item| item.head == HeadKind::Failure).count();
        for item in items.into_iter().rev() {
            pulled.items.push_front(item);
        }
        inner.failures += failures as u32;
        inner.told -= failures as u32;
        inner.wake();
    }

    /// Nobody looks at the client: what can wait is held back. `None`: somebody does again.
    pub(crate) fn quiet(&self, can_wait: Option<fn(&Stanza) -> bool>) {
        let mut inner = self.inner.lock();
        match can_wait {
            Some(_) if inner.quiet.is_some() => {}
            Some(can_wait) => inner.quiet = Some(Box::new(Quiet { can_wait, held: VecDeque::new() })),
            None => {
                inner.let_go();
                inner.quiet = None;
                inner.wake();
            }
        }
    }

    /// Ends the session for good and gives back everything that was not taken, in order.
    pub(crate) fn drain(&self) -> Vec<Item> {
        let mut inner = self.inner.lock();
        inner.closed.get_or_insert(None);
        inner.let_go();
        let mut items: Vec<Item> = inner.window.take().into_iter().flat_map(|window| window.items).collect();
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

    /// Holds an item back that can wait, in place of an older one that says the same of the same sender.
    fn hold_back(&mut self, item: Item) -> Option<Item> {
        let Some(quiet) = &mut self.quiet else { return Some(item) };
        if item.row != 0 || !(quiet.can_wait)(&item.stanza) {
            return Some(item);
        }
        let same = |older: &Item| older.stanza.kind == item.stanza.kind && older.stanza.from == item.stanza.from;
        if let Some(place) = quiet.held.iter().position(same) {
            quiet.held.remove(place);
        } else if quiet.held.len() >= limits::HELD_STANZAS {
            return Some(item);
        }
        quiet.held.push_back(item);
        None
    }

    /// What was held back goes before what comes now.
    fn let_go(&mut self) {
        let Some(quiet) = &mut self.quiet else { return };
        for item in std::mem::take(&mut quiet.held) {
            self.bytes += item.size();
            self.live.push_back(item);
        }
    }

    fn count_taken(&mut self, item: &Item) {
        let failures = u32::from(item.head == HeadKind::Failure);
        self.failures -= failures;
        self.told += failures;
    }

    fn take(&mut self) -> Option<Item> {
        if self.overflowed || self.window.as_ref().is_some_and(|window| window.is_full()) {
            return None;
        }
        if let Some(pulled) = &mut self.pulled {
            if let Some(item) = pulled.items.pop_front() {
                pulled.bytes -= item.size();
                if pulled.bytes <= limits::PULLED_BYTES / 2 {
                    pulled.waiting.drain(..).for_each(Waker::wake);
                }
                self.count_taken(&item);
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
        self.count_taken(&item);
        if self.live.is_empty() && self.live.capacity() > 4 {
            // An idle session keeps no queue.
            self.live = VecDeque::new();
        }
        Some(item)
    }
}
