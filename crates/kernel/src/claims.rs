//! Things that only one request may be at work on: a name is claimed until the claim is dropped.

use crate::Kernel;
use hashbrown::HashSet;
use parking_lot::Mutex;
use std::sync::Arc;

/// What is claimed at the moment.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<HashSet<Box<str>>>);

/// A name that is claimed as long as this lives.
#[derive(Debug)]
pub struct Claim {
    kernel: Arc<Kernel>,
    name: Box<str>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.kernel.claims.0.lock().remove(&self.name);
    }
}

impl Kernel {
    /// Claims a name, unless somebody has it.
    pub fn claim(self: &Arc<Self>, name: &str) -> Option<Claim> {
        let is_new = self.claims.0.lock().insert(name.into());
        is_new.then(|| Claim { kernel: self.clone(), name: name.into() })
    }

    /// Whether somebody has claimed a name.
    pub fn is_claimed(&self, name: &str) -> bool {
        self.claims.0.lock().contains(name)
    }
}
