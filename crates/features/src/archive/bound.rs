//! What a client that binds is told of the archive (XEP-0386 §3.2): its first message, and the last one that came before
//! the session was there. What comes later goes to the session.

use super::shown;
use crate::messages;
use bytes::Bytes;
use kernel::{Kernel, session::Bound};
use linnet_xeps::{Payload, mam::Metadata};
use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use store::{Future, LogQuery, LogRow};

pub(super) fn metadata(kernel: Arc<Kernel>, bound: Bound) -> Future<'static, Bytes> {
    Box::pin(async move {
        let mut ends = Vec::new();
        for backwards in [false, true] {
            let before = Some(bound.next_row);
            let query = LogQuery { before, any_flag: messages::ARCHIVED, backwards, limit: 1, ..LogQuery::default() };
            match kernel.store.log_rows(messages::LOG, bound.session.address.bare_str(), query).await {
                Ok(rows) => ends.extend(rows),
                Err(error) => {
                    // The client asks itself, then.
                    tracing::error!(%error, account = %bound.session.owner.address, "an archive could not be read");
                    return Bytes::new();
                }
            }
        }
        let end = |row: &LogRow| (shown(&kernel, row.id), UNIX_EPOCH + Duration::from_micros(row.id));
        let ends = match &ends[..] {
            [first, last] => Some([end(first), end(last)]),
            _ => None,
        };
        Metadata { ends }.to_bytes()
    })
}
