//! What an account has, and what goes: files that are over, and contents that no row has any more.

use super::{
    limits, put,
    record::{self, FILES, Record, SLOTS},
};
use kernel::{
    Kernel,
    jobs::{JobError, Step},
};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use store::{Future, StoreError, Write};

/// Slots and files of an account, with their ids.
#[derive(Debug)]
pub(super) struct Usage {
    pub(super) slots: Vec<(Box<str>, Record)>,
    pub(super) files: Vec<(Box<str>, Record)>,
}

impl Usage {
    /// What counts to a quota.
    pub(super) fn counted(&self, is_profile: bool, now: SystemTime) -> Vec<&Record> {
        let slots = self.slots.iter().map(|(_, slot)| slot).filter(|slot| !slot.is_late(now));
        let files = self.files.iter().map(|(_, file)| file).filter(|file| !file.is_over(now));
        slots.chain(files).filter(|one| one.is_profile == is_profile).collect()
    }
}

/// Reads what an account has.
pub(super) async fn usage(kernel: &Kernel, owner: &str) -> Result<Usage, StoreError> {
    let slots = record::all(kernel, SLOTS, owner).await?;
    Ok(Usage { slots, files: record::all(kernel, FILES, owner).await? })
}

/// Removes files: first they are not found any more, then their contents go.
pub(super) async fn remove(kernel: &Kernel, owner: &str, files: &[(Box<str>, Record)]) -> Result<(), StoreError> {
    for part in files.chunks(limits::PAGE) {
        let gone = part.iter().map(|(id, _)| Write::MapRemove { table: FILES, owner: owner.into(), key: id.clone() });
        kernel.apply(Vec::new(), gone.collect()).await?;
        for (_, file) in part {
            kernel.blobs.remove(&file.blob).await?;
        }
    }
    Ok(())
}

/// The contents of an account that is being removed. Its rows go with it; these would be found later, but it is better
/// when they are gone at once.
#[derive(Debug)]
pub(crate) struct Kept(Vec<String>);

impl Kept {
    /// Reads what an account has.
    pub(crate) async fn of(kernel: &Kernel, owner: &str) -> Result<Kept, StoreError> {
        let files = record::all(kernel, FILES, owner).await?;
        Ok(Kept(files.into_iter().map(|(_, file)| file.blob).collect()))
    }

    /// Removes it, now that the account has gone.
    pub(crate) async fn discard(self, kernel: &Kernel) {
        for blob in &self.0 {
            if let Err(error) = kernel.blobs.remove(blob).await {
                tracing::warn!(%error, "a file of an account that was removed is removed later");
            }
        }
    }
}

/// The folder whose turn it is: each of the 256 comes about once a day, whenever the server was started.
fn turn(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!("{:02x}", seconds / limits::SWEEP.as_secs() % 256)
}

/// One step of the job: one folder.
pub(super) fn step(kernel: Arc<Kernel>) -> Future<'static, Result<Step, JobError>> {
    Box::pin(async move {
        sweep(&kernel, &turn(kernel.context.now())).await?;
        kernel.blobs.tidy().await?;
        Ok(Step::Done)
    })
}

/// Looks through a folder of contents: removes files that are over, and what no row has.
async fn sweep(kernel: &Arc<Kernel>, folder: &str) -> Result<(), StoreError> {
    let mut names = kernel.blobs.list(Some(folder));
    while let Some(blob) = names.next().await? {
        let Some(id) = blob.strip_prefix(folder).and_then(|rest| rest.trim_start_matches('/').split('-').next()) else {
            continue;
        };
        // One that is being put has no row yet. Whoever gives the claim back has made the row durable, so the claim is
        // looked at first.
        if kernel.is_claimed(&put::claim_name(id)) {
            continue;
        }
        match record::find(kernel, FILES, id).await? {
            Some((owner, file)) if *file.blob == *blob => {
                if file.is_over(kernel.context.now()) {
                    remove(kernel, &owner, &[(id.into(), file)]).await?;
                }
            }
            _ => {
                tracing::info!(%blob, "content that belongs to no file is removed");
                kernel.blobs.remove(&blob).await?;
            }
        }
    }
    Ok(())
}
