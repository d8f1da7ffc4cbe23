//! What an account that is removed leaves in circles: it is a member of none from the same moment, and its fellows do not
//! keep what circles gave them in it.

use super::{registry, registry::Held, work};
use kernel::Kernel;
use linnet_xmpp::Jid;
use std::sync::Arc;
use store::{StoreError, Write};

/// An account that is about to be removed. As long as this is there, nobody puts it into a circle.
#[derive(Debug)]
pub(crate) struct Leaving {
    held: Held,
    writes: Vec<Write>,
}

impl Leaving {
    /// Finds out where it is a member.
    pub(crate) async fn of(kernel: &Kernel, account: &Jid) -> Result<Leaving, StoreError> {
        let mut held = registry::hold(kernel, account.domain()).await?;
        let writes = held.without(account);
        if !writes.is_empty() {
            held.distrust();
        }
        Ok(Leaving { held, writes })
    }

    /// What has to be written together with the removal.
    pub(crate) fn writes(&self) -> Vec<Write> {
        self.writes.clone()
    }

    /// The account is gone: its fellows are told.
    pub(crate) async fn finish(self, kernel: &Arc<Kernel>) {
        let Leaving { held, writes } = self;
        let domain = held.domain.clone();
        drop(held);
        if writes.is_empty() {
            return;
        }
        if let Err(error) = work::all(kernel, &domain).await {
            tracing::error!(%error, "the circles of an account that was removed are left later");
        }
    }
}
