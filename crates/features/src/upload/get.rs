//! A file goes to whoever knows its URL: whole, in part, or only its headers (RFC 9110 §13, §14).

use super::{
    limits, media, name,
    range::{self, Wanted},
    record::{self, FILES, Record},
    web::{self, say},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{
        ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
        IF_NONE_MATCH, IF_RANGE, RANGE,
    },
};
use kernel::{
    Kernel,
    web::{Incoming, Outgoing, response},
};
use std::{ops::Range, time::SystemTime};
use store::StoreError;

/// Answers a GET, or a HEAD.
pub(super) async fn get(kernel: &Kernel, request: Request<Box<dyn Incoming>>, is_head: bool) -> Response<Outgoing> {
    match find(kernel, request.uri().path()).await {
        Ok(Some((id, file))) => give(kernel, request.headers(), &id, &file, is_head).await.unwrap_or_else(fault),
        // The same for what never was, for what is over, and for a slot that waits.
        Ok(None) => say(StatusCode::NOT_FOUND, "There is no file at this address, or not any more."),
        Err(error) => fault(error),
    }
}

async fn find(kernel: &Kernel, path: &str) -> Result<Option<(String, Record)>, StoreError> {
    let Some((id, name)) = web::path(path) else { return Ok(None) };
    let found = record::find(kernel, FILES, id).await?;
    let now = kernel.context.now();
    Ok(found
        .map(|(_, file)| file)
        .filter(|file| file.name == name && !file.is_over(now))
        .map(|file| (id.to_owned(), file)))
}

async fn give(
    kernel: &Kernel,
    asked: &HeaderMap,
    id: &str,
    file: &Record,
    is_head: bool,
) -> Result<Response<Outgoing>, StoreError> {
    // What has an id never changes.
    let tag = format!("\"{id}\"");
    let mut headers = headers(file, &tag, kernel.context.now());
    if has_copy(asked, &tag) {
        return Ok(response(StatusCode::NOT_MODIFIED, headers, Outgoing::Whole(Bytes::new())));
    }
    let (status, bytes) = match wanted(asked, &tag, file.size) {
        Wanted::Whole => (StatusCode::OK, 0..file.size),
        Wanted::Part(bytes) => {
            let said = format!("bytes {}-{}/{}", bytes.start, bytes.end - 1, file.size);
            insert(&mut headers, CONTENT_RANGE, &said);
            (StatusCode::PARTIAL_CONTENT, bytes)
        }
        Wanted::Beyond => {
            let mut answer = say(StatusCode::RANGE_NOT_SATISFIABLE, "The file does not have these bytes.");
            insert(answer.headers_mut(), CONTENT_RANGE, &format!("bytes */{}", file.size));
            return Ok(answer);
        }
    };
    let length = bytes.end - bytes.start;
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if is_head {
        return Ok(response(status, headers, Outgoing::Whole(Bytes::new())));
    }
    read(kernel, file, bytes).await.map(|body| response(status, headers, body))
}

async fn read(kernel: &Kernel, file: &Record, bytes: Range<u64>) -> Result<Outgoing, StoreError> {
    let length = bytes.end - bytes.start;
    match kernel.blobs.read(&file.blob, bytes).await? {
        Some(reader) => Ok(Outgoing::Pieces(reader, length)),
        None => Err(StoreError::Io(format!("the content {} is missing", file.blob))),
    }
}

fn headers(file: &Record, tag: &str, now: SystemTime) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let media = file.media.as_deref().unwrap_or(media::UNKNOWN);
    insert(&mut headers, CONTENT_TYPE, media);
    let disposition = if media::is_shown(media) { "inline" } else { "attachment" };
    // RFC 8187: the plain form is for what does not read the other.
    let plain: String = file.name.chars().map(|c| if c.is_ascii() && c != '\\' { c } else { '_' }).collect();
    let encoded = name::encode(&file.name);
    insert(
        &mut headers,
        CONTENT_DISPOSITION,
        &format!("{disposition}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"),
    );
    insert(&mut headers, ETAG, tag);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // A copy must not outlive a file that was to vanish.
    let left = file.until.map_or(limits::CACHE, |until| until.duration_since(now).unwrap_or_default());
    let seconds = left.min(limits::CACHE).as_secs();
    insert(&mut headers, CACHE_CONTROL, &format!("private, max-age={seconds}, immutable"));
    headers
}

/// Names and types were checked when they came; what is no value all the same is left out.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Whether the client has the file already (RFC 9110 §13.1.2).
fn has_copy(asked: &HeaderMap, tag: &str) -> bool {
    let said = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    said.flat_map(|value| value.split(',')).map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

fn wanted(asked: &HeaderMap, tag: &str, size: u64) -> Wanted {
    let Some(range) = asked.get(RANGE).and_then(|value| value.to_str().ok()) else { return Wanted::Whole };
    // A part of something else is of no use (RFC 9110 §13.1.5).
    if asked.get(IF_RANGE).is_some_and(|value| value.as_bytes() != tag.as_bytes()) {
        return Wanted::Whole;
    }
    range::read(range, size)
}

fn fault(error: StoreError) -> Response<Outgoing> {
    tracing::error!(%error, "a file could not be read");
    say(StatusCode::INTERNAL_SERVER_ERROR, "The file cannot be read at the moment.")
}
