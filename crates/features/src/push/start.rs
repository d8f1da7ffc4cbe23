//! At the start of the server: each device with messages that it may not know of is notified once, for what was to be
//! published when the server stopped, and so that phones come back.

use super::{
    courier::{self, News},
    limits,
    registration::{self, Registration, Registrations},
    wake,
};
use crate::messages;
use kernel::{Kernel, owner::Owner};
use linnet_xmpp::{Jid, Stanza};
use std::sync::Arc;
use store::{Future, LogQuery, StoreError};

pub(super) fn started(kernel: Arc<Kernel>) -> Future<'static, ()> {
    Box::pin(async move {
        if let Err(error) = look(&kernel).await {
            tracing::error!(%error, "devices could not be notified of what came before the start");
        }
    })
}

async fn look(kernel: &Arc<Kernel>) -> Result<(), StoreError> {
    for bucket in registration::buckets() {
        let rows = kernel.store.map_second(registration::TABLE, &bucket, usize::MAX).await?;
        let mut accounts: Vec<Box<str>> = rows.into_iter().map(|(owner, _)| owner).collect();
        accounts.sort();
        accounts.dedup();
        for account in accounts {
            let Ok(account) = Jid::parse(&account) else { continue };
            look_at(kernel, &account).await?;
            kernel.context.sleep(limits::START_PAUSE).await;
        }
    }
    Ok(())
}

async fn look_at(kernel: &Arc<Kernel>, account: &Jid) -> Result<(), StoreError> {
    let owner = kernel.owner(account).await?;
    let registrations = owner.lock().document::<Registrations>().cloned().unwrap_or_default();
    let Some(oldest) = registrations.0.iter().map(|known| known.history.knows_until()).min() else { return Ok(()) };
    let query = LogQuery { after: Some(oldest), backwards: true, limit: limits::START_ROWS, ..LogQuery::default() };
    let rows = kernel.store.log_rows(messages::LOG, account.as_str(), query).await?;
    let wakes = |body| Stanza::from_bytes(body).is_some_and(|stanza| wake::wakes(&owner.lock(), &stanza));
    let Some(newest) = rows.into_iter().find(|row| wakes(row.body.clone())).map(|row| row.id) else { return Ok(()) };
    notify(kernel, &owner, |known| known.history.knows_until() < newest);
    Ok(())
}

fn notify(kernel: &Arc<Kernel>, owner: &Arc<Owner>, has_missed: impl Fn(&Registration) -> bool) {
    kernel.act(owner, false, |turn| {
        let Some(known) = turn.document::<Registrations>() else { return };
        for registration in known.0.iter().filter(|registration| has_missed(registration)) {
            courier::send(turn, registration, News::default());
        }
    });
}
