//! Requests for slots (XEP-0363 §4, §6): who may have one, how large, and where.

use super::{
    keep::{self, Usage},
    limits, media, name,
    record::{self, Record, SLOTS},
    web,
};
use bytes::Bytes;
use kernel::{Kernel, hooks::Ask};
use linnet_xeps::{
    Payload,
    upload::{Purpose, Request, Slot, file_too_large, retry},
};
use linnet_xmpp::{StanzaError, stanza::Condition};
use std::{sync::Arc, time::SystemTime};
use store::{Future, Outcome, StoreError, Write};

/// Answers a request.
pub(super) fn answer(ask: Ask) -> Future<'static, Result<Bytes, StanzaError>> {
    Box::pin(async move {
        let kernel = &ask.kernel;
        let actor = ask.actor().bare();
        if actor.local().is_none() || !kernel.serves(actor.domain()) {
            let text = "files are kept for accounts of this server only";
            return Err(StanzaError::new(Condition::Forbidden).text(text));
        }
        let Some(base) = kernel.settings.web.as_deref() else {
            let text = "this server is not reached over HTTP at the moment";
            return Err(StanzaError::new(Condition::ServiceUnavailable).text(text));
        };
        let request = ask.stanza.payload().ok_or_else(|| StanzaError::from(Condition::BadRequest));
        let request = request.and_then(Request::read)?;
        let record = check(kernel, &request)?;
        let id = new_id(kernel);
        reserve(kernel, actor.bare_str(), &id, &record).await?;
        let url = web::url(base, &id, &record.name);
        let token = web::token(kernel, &id);
        let slot =
            Slot { put: url.clone(), headers: vec![("Authorization".to_owned(), format!("Bearer {token}"))], get: url };
        Ok(slot.to_bytes())
    })
}

/// The largest file for a purpose, in bytes.
pub(super) fn largest(kernel: &Kernel, is_profile: bool) -> u64 {
    let files = &kernel.settings.files;
    let most = files.size.min(files.quota);
    if is_profile { most.min(limits::PROFILE_SIZE) } else { most }
}

/// What the request says for itself, whatever its account has.
fn check(kernel: &Kernel, request: &Request) -> Result<Record, StanzaError> {
    let now = kernel.context.now();
    let is_profile = request.purpose == Purpose::Profile;
    let most = largest(kernel, is_profile);
    if request.size > most {
        let text = format!("File too large. The maximum file size is {most} bytes");
        return Err(StanzaError::new(Condition::NotAcceptable).text(text).extra(file_too_large(most)));
    }
    let media = match &request.content_type {
        None => None,
        Some(text) => Some(media::parse(text).ok_or_else(|| {
            StanzaError::new(Condition::BadRequest).text("content-type is not a media type (RFC 9110 §8.3.1)")
        })?),
    };
    let until = record::until(request.purpose, kernel.settings.files.keep, now);
    if until.is_some_and(|until| until <= now) {
        return Err(StanzaError::new(Condition::NotAcceptable).text("expire-before is past already"));
    }
    if kernel.blobs.room(request.size).is_err() {
        return Err(disk_is_full(now));
    }
    let name = name::safe(&request.filename);
    Ok(Record { name, size: request.size, media, is_profile, since: now, until, blob: String::new() })
}

fn disk_is_full(now: SystemTime) -> StanzaError {
    wait("the disk of the server is full; nothing can be uploaded until its administrator has made room")
        .extra(retry(now + limits::DISK))
}

fn wait(text: &str) -> StanzaError {
    StanzaError::new(Condition::ResourceConstraint).text(text)
}

/// Notes the slot, if the account has room for its file. One at a time per account, so that all of them are counted.
async fn reserve(kernel: &Arc<Kernel>, owner: &str, id: &str, record: &Record) -> Result<(), StanzaError> {
    let address = linnet_xmpp::Jid::parse(owner).map_err(|_| StanzaError::from(Condition::InternalServerError))?;
    let _alone = kernel.change_gate(&address).await;
    let now = kernel.context.now();
    let usage = keep::usage(kernel, owner).await.map_err(failed)?;
    fits(kernel, &usage, record, now)?;
    let mut writes = vec![record.put(SLOTS, owner, id)];
    // Slots that nobody used go with the next one.
    let late = usage.slots.iter().filter(|(_, slot)| slot.is_late(now));
    writes.extend(late.map(|(id, _)| Write::MapRemove { table: SLOTS, owner: owner.into(), key: id.clone() }));
    let exists = store::Condition::AccountExists(owner.into());
    match kernel.apply(vec![exists], writes).await {
        Ok(Outcome::Done) => Ok(()),
        Ok(Outcome::ConditionFailed) => Err(Condition::Forbidden.into()),
        Err(StoreError::Full) => Err(disk_is_full(now)),
        Err(error) => Err(failed(error)),
    }
}

/// Whether an account has room for one more file, and when it will.
fn fits(kernel: &Kernel, usage: &Usage, record: &Record, now: SystemTime) -> Result<(), StanzaError> {
    let waiting = usage.slots.iter().filter(|(_, slot)| !slot.is_late(now));
    let oldest = waiting.clone().map(|(_, slot)| slot.since).min();
    if let (true, Some(oldest)) = (waiting.count() >= limits::SLOTS, oldest) {
        let text = format!("{} slots wait for their files already", limits::SLOTS);
        return Err(wait(&text).extra(retry(oldest + limits::SLOT)));
    }
    let quota = kernel.settings.files.quota;
    let quota = if record.is_profile { quota.min(limits::PROFILE_QUOTA) } else { quota };
    let counted = usage.counted(record.is_profile, now);
    let used: u64 = counted.iter().map(|file| file.size).sum();
    if used + record.size <= quota && counted.len() < limits::FILES {
        return Ok(());
    }
    let text = format!("Quota reached. You have used {used} of {quota} bytes");
    let error = wait(&text);
    Err(match room_at(&counted, (used + record.size).saturating_sub(quota).max(1)) {
        Some(at) => error.extra(retry(at)),
        None => error,
    })
}

/// When so many bytes are free again because files are over, or slots were not used.
fn room_at(files: &[&Record], needed: u64) -> Option<SystemTime> {
    let end = |file: &&Record| {
        Some((if file.blob.is_empty() { Some(file.since + limits::SLOT) } else { file.until }?, file.size))
    };
    let mut ends: Vec<(SystemTime, u64)> = files.iter().filter_map(end).collect();
    ends.sort_unstable();
    let mut freed = 0;
    ends.into_iter().find_map(|(until, size)| {
        freed += size;
        (freed >= needed).then_some(until)
    })
}

fn failed(error: StoreError) -> StanzaError {
    tracing::error!(%error, "a slot for a file could not be stored");
    StanzaError::new(Condition::InternalServerError).text("your files cannot be looked at at the moment")
}

/// An id that nobody can guess (XEP-0363 §9.3): 128 bits. Its first two digits are its blob's folder.
fn new_id(kernel: &Kernel) -> String {
    let mut random = [0; 16];
    kernel.context.random(&mut random);
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}
