//! A lane is the ordered stream of one sender. Invariant: what it hands over is performed in the order handed over, and
//! `done` never passes something that is not durable.
//!
//! There is no future per stanza: a count of what was handed over, a count of what is done, and one waker.

use crate::limits;
use parking_lot::Mutex;
use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    task::Waker,
};

/// The counts of one sender.
#[derive(Debug, Default)]
pub struct Lane {
    handed_over: AtomicU64,
    done: AtomicU64,
    bytes: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Lane {
    /// Entries handed over and not yet durable and performed.
    pub fn pending(&self) -> u64 {
        self.handed_over.load(Ordering::Acquire) - self.done.load(Ordering::Acquire)
    }

    /// Entries handed over so far, and how many of them are durable and performed.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let done = self.done.load(Ordering::Acquire);
        (self.handed_over.load(Ordering::Acquire), done)
    }

    /// How much was handed over so far, to be waited for with [`Lane::waits_for`].
    pub fn count(&self) -> u64 {
        self.handed_over.load(Ordering::Acquire)
    }

    /// Whether something of the first `count` is not done yet; then the waker is woken when there is progress.
    pub fn waits_for(&self, count: u64, waker: &Waker) -> bool {
        *self.waker.lock() = Some(waker.clone());
        self.done.load(Ordering::Acquire) < count
    }

    /// Whether the sender's socket should not be read until the lane has moved. Registers the waker before the look,
    /// so that no movement is missed.
    pub fn is_full(&self, waker: &Waker) -> bool {
        if !self.over() {
            return false;
        }
        *self.waker.lock() = Some(waker.clone());
        self.over()
    }

    /// Registers the waker; false if nothing is pending any more.
    pub fn wait(&self, waker: &Waker) -> bool {
        *self.waker.lock() = Some(waker.clone());
        self.pending() > 0
    }

    fn over(&self) -> bool {
        self.pending() as usize >= limits::LANE_STANZAS || self.bytes.load(Ordering::Acquire) >= limits::LANE_BYTES
    }

    pub(crate) fn hand_over(&self, bytes: usize) {
        self.handed_over.fetch_add(1, Ordering::AcqRel);
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(crate) fn done(&self, bytes: usize) {
        self.done.fetch_add(1, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        if let Some(waker) = self.waker.lock().take() {
            waker.wake();
        }
    }
}
