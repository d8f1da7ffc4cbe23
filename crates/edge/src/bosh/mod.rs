//! XMPP over BOSH (XEP-0124 1.11, XEP-0206 1.4): requests over HTTP that hang until there is something to say, for clients and
//! proxies that can do nothing else.
//!
//! Not done: `content` of a type that browsers would show, since the answers hold what others wrote; several streams in
//! one session (§16); other encodings than UTF-8.

mod body;
mod session;
#[cfg(test)]
mod tests;

use crate::{
    context, http, limits, listener,
    listener::Shared,
    login::{self, Arrival},
    socket::Socket,
    web::Client,
    websocket::plain,
};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header},
};
use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};
use linnet_xmpp::stream::{Framing, Secured};
use parking_lot::Mutex;
use session::{Fate, Hanging, Session};
use std::{
    collections::HashMap,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::time::{Sleep, sleep_until, timeout};

/// How long a request may hang, in seconds: less than proxies ordinarily wait for an answer.
const WAIT: u64 = 55;
/// Requests that may hang at once: more than one helps nobody.
const HOLD: u64 = 1;
/// How long a client may be without a request: a bad network takes that long to make a new connection.
const INACTIVITY: Duration = Duration::from_secs(60);
/// How long a client may ask to be away, and how long one that polls may be.
const MAX_PAUSE: Duration = Duration::from_secs(120);
/// The shortest time between two requests of a client that polls.
const POLLING: Duration = Duration::from_secs(2);

/// All sessions by their id.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Arc<Session>>>);

/// The loop's end of a session, in place of a socket.
#[derive(Debug)]
pub(crate) struct End {
    session: Arc<Session>,
    shared: Arc<Shared>,
    /// For the time without a request.
    timer: Option<Pin<Box<Sleep>>>,
}

/// Answers a request on the path of BOSH.
pub(crate) async fn answer(shared: Arc<Shared>, client: Client, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.map(str::to_owned).or_else(|| head.uri.authority().map(|authority| authority.to_string()));
    let mut response = if !shared.web.allows(&head.headers, host.as_deref()) {
        return plain(StatusCode::FORBIDDEN, "Pages of this origin may not connect here.\n");
    } else if head.method == Method::OPTIONS {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type"));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
        response
    } else if head.method != Method::POST {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Here is XMPP over BOSH (XEP-0124).\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
        response
    } else {
        match timeout(limits::HTTP_BODY, read(body, shared.limits.stanza + limits::BOSH_BODY)).await {
            Ok(Ok(body)) => post(&shared, client, body).await,
            Ok(Err(response)) => response,
            Err(_) => plain(StatusCode::REQUEST_TIMEOUT, "The request came too slowly.\n"),
        }
    };
    allow(&head.headers, response.headers_mut());
    response
}

/// Lets the page read the answer (its origin was found to be allowed).
fn allow(request: &HeaderMap, response: &mut HeaderMap) {
    if let Some(origin) = request.get(header::ORIGIN) {
        response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        response.insert(header::VARY, HeaderValue::from_static("Origin"));
    }
}

async fn read(body: Incoming, limit: usize) -> Result<Bytes, Response<Body>> {
    let too_large = || plain(StatusCode::PAYLOAD_TOO_LARGE, "The request is too large.\n");
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let (mut body, mut all) = (pin!(body), BytesMut::new());
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame.map_err(|_| plain(StatusCode::BAD_REQUEST, "The request did not come to its end.\n"))?;
        if let Ok(bytes) = frame.into_data() {
            if all.len() + bytes.len() > limit {
                return Err(too_large());
            }
            all.extend_from_slice(&bytes);
        }
    }
    Ok(all.freeze())
}

async fn post(shared: &Arc<Shared>, client: Client, bytes: Bytes) -> Response<Body> {
    let Some(request) = body::read(bytes) else { return ok(body::refusal("bad-request")) };
    let is_new = request.sid.is_none();
    let found = request.sid.as_ref().map(|sid| shared.bosh.0.lock().get(sid).cloned());
    let session = match found {
        Some(Some(session)) => session,
        Some(None) => return ok(body::refusal("item-not-found")),
        None => match begin(shared, client, &request) {
            Some(session) => session,
            None => return http::too_many(),
        },
    };
    let rid = request.rid;
    let mut receiver = match session.take(request, Instant::now()) {
        Fate::Answered(body) => return ok(body),
        Fate::Held(receiver) => receiver,
    };
    let hanging = Hanging(session);
    // The first answer is worth waiting for, also to who polls: the features are in it.
    let wait = if is_new { hanging.0.wait.max(POLLING) } else { hanging.0.wait };
    let mut body = timeout(wait, &mut receiver).await;
    if body.is_err() {
        hanging.0.expire(rid, Instant::now());
        // One whose turn has not come, since another is missing, still has to wait for that.
        body = timeout(hanging.0.wait.max(INACTIVITY), &mut receiver).await;
    }
    ok(body.ok().and_then(Result::ok).unwrap_or_else(|| body::refusal("item-not-found")))
}

fn ok(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Begins a session, whose login has a task as any other has. `None`: its address has too many.
fn begin(shared: &Arc<Shared>, client: Client, request: &body::Request) -> Option<Arc<Session>> {
    let now = Instant::now();
    let visit = shared.addresses.admit(client.address, now)?;
    let session = Arc::new(Session::new(unguessable(), request, now));
    shared.bosh.0.lock().insert(session.sid.clone(), session.clone());
    let end = End { session: session.clone(), shared: shared.clone(), timer: None };
    let arrival = Arrival {
        socket: Socket::Bosh(Box::new(end)),
        framing: Framing::Messages,
        // Requests come over many connections: there is none that a login could be bound to.
        secured: client.is_secure.then(Secured::default),
        may_start_tls: false,
        visit,
        input: Vec::new(),
    };
    tokio::spawn(listener::enter(shared.clone(), login::login(shared.clone(), arrival)));
    Some(session)
}

/// A session's id: who knows it is its client (XEP-0124 §19).
fn unguessable() -> String {
    let mut bytes = [0; 24];
    context::random(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl End {
    /// Ready: what came, or an error when the client was away for too long.
    pub(crate) fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        if let Poll::Ready(input) = self.session.poll_input(cx) {
            return Poll::Ready(Ok(input));
        }
        self.poll_quiet(cx).map(Err)
    }

    /// Takes all of what the stream says.
    pub(crate) fn write(&self, bytes: &[u8]) {
        self.session.write(bytes);
    }

    /// Ready when all of it is in answers.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.session.poll_flush(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        self.poll_quiet(cx).map(Err)
    }

    /// Ready when the client was away for too long.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let Some(deadline) = self.session.deadline(cx) else {
                self.timer = None;
                return Poll::Pending;
            };
            if Instant::now() >= deadline {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            let deadline = deadline.into();
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.session.end();
        self.shared.bosh.0.lock().remove(&self.session.sid);
    }
}
