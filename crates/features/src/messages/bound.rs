//! A client that binds by XEP-0386 reads the archive: what is in it need not be given to that client as well (§3.2). Of what
//! waits for a reader only that remains which the archive does not have.

use super::{ARCHIVED, LOG, UNREAD};
use bytes::Bytes;
use kernel::{Kernel, session::Bound};
use std::sync::Arc;
use store::{Future, LogQuery, StoreError, Write};

/// Rows read at once.
const PAGE: usize = 500;

/// Has nothing to say.
pub(super) fn pass_over(kernel: Arc<Kernel>, bound: Bound) -> Future<'static, Bytes> {
    Box::pin(async move {
        if let Err(error) = clear(&kernel, &bound).await {
            // Then it comes twice, and with the same id.
            tracing::error!(%error, account = %bound.session.owner.address, "stored messages could not be passed over");
        }
        Bytes::new()
    })
}

async fn clear(kernel: &Arc<Kernel>, bound: &Bound) -> Result<(), StoreError> {
    let owner = &bound.session.owner;
    if owner.lock().stored == 0 {
        return Ok(());
    }
    let name: Box<str> = owner.address.as_str().into();
    let mut after = None;
    loop {
        let before = Some(bound.next_row);
        let query = LogQuery { after, before, any_flag: UNREAD, limit: PAGE, ..LogQuery::default() };
        let rows = kernel.store.log_rows(LOG, &name, query).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some(last.id);
        let ids: Vec<u64> = {
            let account = owner.lock();
            // What is on its way to another session may have to come back.
            rows.iter().filter(|row| row.flags & ARCHIVED != 0 && !account.flies(row.id)).map(|row| row.id).collect()
        };
        if !ids.is_empty() {
            let write = Write::LogClearFlags { table: LOG, owner: name.clone(), ids: Some(ids), flags: UNREAD };
            kernel.apply_to(owner, Vec::new(), vec![write]).await?;
        }
    }
}
