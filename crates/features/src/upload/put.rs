//! A file comes (XEP-0363 §7): once, with exactly the size of its slot, and durable before the 201.

use super::{
    limits, media,
    record::{self, FILES, Record, SLOTS},
    web::{self, say},
};
use bytes::Bytes;
use http::{
    HeaderMap, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
    request::Parts,
};
use kernel::{
    Kernel,
    web::{Broken, Incoming, Outgoing},
};
use std::sync::Arc;
use store::{Condition, Outcome, StoreError, Write};

/// Answers a PUT.
pub(super) async fn put(kernel: &Arc<Kernel>, request: Request<Box<dyn Incoming>>) -> Response<Outgoing> {
    let (head, body) = request.into_parts();
    let mut body = Body { pieces: body, is_over: false };
    match take(kernel, &head, &mut body).await {
        Ok(()) => say(StatusCode::CREATED, "The file is there."),
        Err(Refused(status, text)) => {
            body.discard().await;
            say(status, text)
        }
    }
}

/// A file on its way.
struct Body {
    pieces: Box<dyn Incoming>,
    /// It ended, or broke off.
    is_over: bool,
}

impl Body {
    async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        let next = self.pieces.next().await;
        self.is_over = !matches!(next, Ok(Some(_)));
        next
    }

    /// Reads what is still to come, within limits.
    async fn discard(&mut self) {
        let mut left = limits::DISCARDED;
        while !self.is_over && left > 0 {
            if let Ok(Some(piece)) = self.next().await {
                left = left.saturating_sub(piece.len());
            }
        }
    }
}

/// Why a file was not taken.
struct Refused(StatusCode, &'static str);

const NO_SLOT: Refused = Refused(StatusCode::NOT_FOUND, "There is no slot at this address. Ask for one by XMPP.");
const USED: Refused = Refused(StatusCode::CONFLICT, "This slot was used already.");
const FULL: Refused = Refused(StatusCode::INSUFFICIENT_STORAGE, "The disk of the server is full.");
const FAULT: Refused = Refused(StatusCode::INTERNAL_SERVER_ERROR, "The file could not be stored.");

async fn take(kernel: &Arc<Kernel>, head: &Parts, body: &mut Body) -> Result<(), Refused> {
    let (id, file) = web::path(head.uri.path()).ok_or(NO_SLOT)?;
    if !web::is_authorized(kernel, &head.headers, id) {
        return Err(Refused(StatusCode::FORBIDDEN, "Say the Authorization header that came with the slot."));
    }
    // Until the outcome is known nobody else puts there, and what is written is nobody's rubbish.
    let claim = kernel.claim(&claim_name(id)).ok_or(Refused(StatusCode::CONFLICT, "This slot is being used."))?;
    let (owner, slot) = slot(kernel, id).await?;
    if slot.name != file {
        return Err(NO_SLOT);
    }
    let media = check(&head.headers, &slot)?;
    let blob = blob_name(kernel, id);
    receive(kernel, body, &blob, slot.size).await?;
    let record = Record { media, since: kernel.context.now(), blob: blob.clone(), ..slot };
    let done = note(kernel, &owner, id, &record).await;
    if done.is_err() {
        // What cannot be removed now is found later: no row has it.
        let _ = kernel.blobs.remove(&blob).await;
    }
    drop(claim);
    done
}

/// What is claimed while a slot is used.
pub(super) fn claim_name(id: &str) -> String {
    format!("upload {id}")
}

/// A name that no earlier attempt had, in the folder of the id.
fn blob_name(kernel: &Kernel, id: &str) -> String {
    format!("{}/{id}-{:016x}", &id[..2], kernel.unique())
}

async fn slot(kernel: &Arc<Kernel>, id: &str) -> Result<(Box<str>, Record), Refused> {
    let found = match record::find(kernel, SLOTS, id).await {
        Ok(Some(found)) => found,
        Ok(None) => {
            let is_there = record::find(kernel, FILES, id).await.map_err(fault)?.is_some();
            return Err(if is_there { USED } else { NO_SLOT });
        }
        Err(error) => return Err(fault(error)),
    };
    if found.1.is_late(kernel.context.now()) {
        return Err(Refused(StatusCode::GONE, "This slot has expired. Ask for another one by XMPP."));
    }
    Ok(found)
}

/// Compares what the headers say with the slot; gives the media type to be kept.
fn check(headers: &HeaderMap, slot: &Record) -> Result<Option<String>, Refused> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match length {
        None => return Err(Refused(StatusCode::LENGTH_REQUIRED, "Say the size of the file (Content-Length).")),
        Some(length) if length > slot.size => {
            return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, "The file is larger than its slot."));
        }
        Some(length) if length < slot.size => {
            return Err(Refused(StatusCode::BAD_REQUEST, "The file is smaller than its slot."));
        }
        Some(_) => {}
    }
    let said = match headers.get(CONTENT_TYPE) {
        None => None,
        Some(value) => {
            let said = value.to_str().ok().and_then(media::parse);
            Some(said.ok_or(Refused(StatusCode::BAD_REQUEST, "The Content-Type is not a media type."))?)
        }
    };
    match (&slot.media, said) {
        (Some(wanted), Some(said)) if !media::agree(wanted, &said) => {
            Err(Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The Content-Type is not that of the slot."))
        }
        (Some(wanted), _) => Ok(Some(wanted.clone())),
        (None, said) => Ok(said),
    }
}

/// Writes the body into a blob, piece by piece. What is broken off leaves nothing behind.
async fn receive(kernel: &Kernel, body: &mut Body, blob: &str, size: u64) -> Result<(), Refused> {
    let mut writer = kernel.blobs.write(blob).await.map_err(fault)?;
    let mut received = 0;
    loop {
        match body.next().await {
            Ok(Some(piece)) => {
                received += piece.len() as u64;
                if received > size {
                    return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, "The file is larger than its slot."));
                }
                writer.append(piece).await.map_err(fault)?;
            }
            Ok(None) if received == size => return writer.finish().await.map_err(fault),
            Ok(None) | Err(Broken::Gone) => {
                return Err(Refused(StatusCode::BAD_REQUEST, "The file did not come to its end."));
            }
            Err(Broken::Slow) => return Err(Refused(StatusCode::REQUEST_TIMEOUT, "The file comes too slowly.")),
        }
    }
}

/// Makes a file of the slot, if that is still there: the account may have been removed meanwhile.
async fn note(kernel: &Kernel, owner: &str, id: &str, record: &Record) -> Result<(), Refused> {
    let condition = Condition::MapExists(SLOTS, owner.into(), id.into());
    let used = Write::MapRemove { table: SLOTS, owner: owner.into(), key: id.into() };
    match kernel.apply(vec![condition], vec![used, record.put(FILES, owner, id)]).await {
        Ok(Outcome::Done) => Ok(()),
        Ok(Outcome::ConditionFailed) => Err(NO_SLOT),
        Err(error) => Err(fault(error)),
    }
}

fn fault(error: StoreError) -> Refused {
    if error == StoreError::Full {
        tracing::error!("a file was refused: the disk is full");
        return FULL;
    }
    tracing::error!(%error, "a file could not be stored");
    FAULT
}
