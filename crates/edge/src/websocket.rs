//! The opening handshake of a WebSocket (RFC 6455 §4.2, RFC 7395 §3.1). What follows it is a stream like any other, in
//! another framing.

use crate::web::Web;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header},
};
use linnet_xmpp::stream::framing::handshake::{PROTOCOL, VERSION, accept};

/// Answers a request on the path of WebSockets. With `101` the connection is a WebSocket from here on.
pub(crate) fn answer<B>(web: &Web, request: &Request<B>) -> Response<Body> {
    match key(web, request) {
        Ok(accept) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
            response
        }
        Err((status, text)) => {
            let mut response = plain(status, text);
            if status == StatusCode::UPGRADE_REQUIRED {
                let headers = response.headers_mut();
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
            }
            response
        }
    }
}

/// A short answer for people.
pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The answer to the request's key, if everything else is right.
fn key<B>(web: &Web, request: &Request<B>) -> Result<HeaderValue, (StatusCode, &'static str)> {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    let headers = request.headers();
    let is_upgrade = has(headers, header::UPGRADE, "websocket") && has(headers, header::CONNECTION, "upgrade");
    if !is_upgrade || request.version() != Version::HTTP_11 {
        return Err((StatusCode::UPGRADE_REQUIRED, "Here is XMPP over WebSocket (RFC 7395).\n"));
    }
    if request.method() != Method::GET {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "A WebSocket begins with GET.\n"));
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if !web.allows(headers, host) {
        return Err((StatusCode::FORBIDDEN, "Pages of this origin may not connect here.\n"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        return Err((StatusCode::UPGRADE_REQUIRED, "Here is version 13 of the WebSocket protocol.\n"));
    }
    if !has(headers, header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL) {
        return Err((BAD, "The subprotocol here is xmpp (RFC 7395).\n"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
    let accept = key.and_then(accept).and_then(|accept| HeaderValue::try_from(accept).ok());
    accept.ok_or((BAD, "Sec-WebSocket-Key is not as it has to be.\n"))
}

/// Whether a header has this word in its list.
fn has(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|said| said.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 6] = [
        ("host", "localhost"),
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat, xmpp"),
    ];

    fn status(change: (&str, Option<&str>)) -> u16 {
        let (changed, value) = change;
        let mut request = Request::get("/ws");
        let others = GOOD.into_iter().filter(|(name, _)| *name != changed);
        for (name, value) in others.chain(value.map(|value| (changed, value))) {
            request = request.header(name, value);
        }
        answer(&Web::default(), &request.body(()).unwrap()).status().as_u16()
    }

    #[test]
    fn everything_has_to_be_right() {
        assert_eq!(status(("host", Some("localhost"))), 101);
        assert_eq!(status(("origin", Some("http://localhost:8080"))), 101);
        assert_eq!(status(("origin", Some("https://evil.example"))), 403);
        assert_eq!(status(("sec-websocket-protocol", None)), 400);
        assert_eq!(status(("sec-websocket-protocol", Some("chat"))), 400);
        assert_eq!(status(("sec-websocket-version", Some("8"))), 426);
        assert_eq!(status(("sec-websocket-key", Some("c2hvcnQ="))), 400);
        assert_eq!(status(("upgrade", None)), 426);
        assert_eq!(status(("connection", Some("close"))), 426);
    }
}
