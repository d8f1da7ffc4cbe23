//! What is common to all requests over HTTP: the path, the token, the headers that keep browsers out of harm.

use super::{get, limits, name, put};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, AUTHORIZATION, CONTENT_LENGTH,
        CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
    },
};
use kernel::{
    Kernel,
    web::{Incoming, Outgoing, Route, response},
};
use sha2::Sha256;
use std::sync::Arc;
use store::Future;
use subtle::ConstantTimeEq;

/// Where files are.
pub(super) static ROUTE: Route = Route { path: "/upload/", run: answer };

const METHODS: &str = "OPTIONS, HEAD, GET, PUT";

/// Headers of every answer. Pages of any origin may put and get files: their URLs are the secret (XEP-0363 §8). What is
/// shown can load nothing and run nothing (§9.1), and is what its type says.
static ALWAYS: [(HeaderName, &str); 6] = [
    (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (ACCESS_CONTROL_EXPOSE_HEADERS, "Content-Length, Content-Range, Content-Disposition, ETag, Accept-Ranges"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; img-src 'self'; media-src 'self'; frame-ancestors 'none'; sandbox"),
    (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
    (HeaderName::from_static("referrer-policy"), "no-referrer"),
];

/// The URL of a file.
pub(super) fn url(base: &str, id: &str, file: &str) -> String {
    format!("{base}{}{id}/{}", ROUTE.path, name::encode(file))
}

/// The id and the name that a path says; `None`: it is no file's.
pub(super) fn path(path: &str) -> Option<(&str, String)> {
    let (id, file) = path.strip_prefix(ROUTE.path)?.split_once('/')?;
    let is_id = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_id || file.contains('/') {
        return None;
    }
    Some((id, name::decode(file)?))
}

/// What the client shows with its PUT: only this server can make it for a slot.
pub(super) fn token(kernel: &Kernel, id: &str) -> String {
    // Proof: HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&kernel.secret) else { return String::new() };
    mac.update(b"upload slot ");
    mac.update(id.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

/// Whether the headers have the token of a slot.
pub(super) fn is_authorized(kernel: &Kernel, headers: &HeaderMap, id: &str) -> bool {
    let said = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let said = said.and_then(|value| value.split_once(' ')).filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
    said.is_some_and(|(_, said)| said.trim().as_bytes().ct_eq(token(kernel, id).as_bytes()).into())
}

fn answer(kernel: Arc<Kernel>, request: Request<Box<dyn Incoming>>) -> Future<'static, Response<Outgoing>> {
    Box::pin(async move {
        let method = request.method().clone();
        let mut answer = match method {
            Method::PUT => put::put(&kernel, request).await,
            Method::GET | Method::HEAD => get::get(&kernel, request, method == Method::HEAD).await,
            Method::OPTIONS => preflight(),
            _ => {
                let mut refused = say(StatusCode::METHOD_NOT_ALLOWED, "files are put once and got");
                refused.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
                refused
            }
        };
        for (name, value) in &ALWAYS {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        answer
    })
}

/// What a page of another origin asks before it puts (CORS).
fn preflight() -> Response<Outgoing> {
    let mut answer = response(StatusCode::NO_CONTENT, HeaderMap::new(), Outgoing::Whole(Bytes::new()));
    let headers = answer.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(METHODS));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    let allowed = "Authorization, Content-Type, Range, If-Range, If-None-Match";
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(allowed));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(limits::SLOT.as_secs()));
    answer
}

/// An answer of one sentence.
pub(super) fn say(status: StatusCode, text: &str) -> Response<Outgoing> {
    let body = Bytes::from(format!("{text}\n"));
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    response(status, headers, Outgoing::Whole(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_a_file_or_nothing() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(path(&format!("/upload/{id}/a%20b.txt")), Some((id, "a b.txt".to_owned())));
        for wrong in [
            "/upload/".to_owned(),
            format!("/upload/{id}"),
            format!("/upload/{id}/a/b"),
            format!("/upload/{}/a", id.to_uppercase()),
            format!("/upload/{}/a", &id[1..]),
            format!("/upload/../{id}/a"),
            format!("/upload/{id}/%ff"),
            format!("/other/{id}/a"),
        ] {
            assert_eq!(path(&wrong), None, "{wrong}");
        }
        assert_eq!(url("https://example.org", id, "ü"), format!("https://example.org/upload/{id}/%C3%BC"));
    }
}
