//! HTTP: what a connection on a web port is, with TLS or without, HTTP/1.1 or HTTP/2. What is answered is the router's,
//! but for the ways into XMPP: here are they, limits and the end.

use crate::{
    bosh, limits, listener,
    listener::Shared,
    login::{self, Arrival},
    patient::Patient,
    rates::Visit,
    socket::Socket,
    web::{Client, client},
    websocket,
};
use axum::{
    body::Body,
    http::{Request, Response, StatusCode, header},
};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use linnet_xmpp::stream::{Framing, Secured};
use parking_lot::Mutex;
use std::{convert::Infallible, error::Error, future::poll_fn, net::IpAddr, pin::Pin, pin::pin, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::watch,
};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;
type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// A connection on which HTTP is spoken.
struct Connection {
    shared: Arc<Shared>,
    peer: IpAddr,
    /// Whether TLS ends here.
    is_secure: bool,
    /// Who opened a WebSocket here: from then on this is no HTTP.
    upgraded: Mutex<Option<Upgraded>>,
}

struct Upgraded {
    client: Client,
    /// Where it was counted for another address than the connection's.
    visit: Option<Visit>,
}

/// Serves a connection until it ends. Its address counts it as one without login for all its time.
pub(crate) async fn serve<S>(shared: Arc<Shared>, stream: S, is_second: bool, is_secure: bool, visit: Visit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + Into<Socket> + 'static,
{
    let peer = visit.peer;
    let connection = Arc::new(Connection { shared, peer, is_secure, upgraded: Mutex::default() });
    let outcome = if is_second { second(stream, connection).await } else { first(stream, connection, visit).await };
    if let Err(error) = outcome {
        tracing::debug!(%peer, error, "an HTTP connection broke");
    }
}

/// HTTP/1.1, and what it becomes.
async fn first<S>(stream: S, connection: Arc<Connection>, visit: Visit) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin + Send + Into<Socket> + 'static,
{
    let stopping = connection.shared.stopping.subscribe();
    let service = service_fn(|request| answer(connection.clone(), request));
    let mut http = http1::Builder::new()
        .timer(TokioTimer::new())
        // Also how long a connection rests between two requests.
        .header_read_timeout(limits::HTTP_HEAD)
        .max_buf_size(limits::HTTP_BUFFER)
        .max_headers(limits::HTTP_HEADERS)
        .serve_connection(TokioIo::new(Patient::new(stream)), service);
    tokio::select! {
        done = poll_fn(|cx| http.poll_without_shutdown(cx)) => done?,
        () = stop(stopping) => {
            Pin::new(&mut http).graceful_shutdown();
            poll_fn(|cx| http.poll_without_shutdown(cx)).await?;
        }
    }
    let parts = http.into_parts();
    let mut stream = parts.io.into_inner().into_inner();
    let upgraded = connection.upgraded.lock().take();
    let Some(Upgraded { client, visit: counted }) = upgraded else {
        return Ok(stream.shutdown().await?);
    };
    // Without binding data: no browser gives it to its pages, and clients made for them (stanza 12.22) take a mechanism with
    // -PLUS where it is offered, and fail.
    let secured = client.is_secure.then(Secured::default);
    let arrival = Arrival {
        socket: stream.into(),
        framing: Framing::Messages,
        secured,
        may_start_tls: false,
        visit: counted.unwrap_or(visit),
        input: parts.read_buf.to_vec(),
    };
    listener::enter(connection.shared.clone(), login::login(connection.shared.clone(), arrival)).await;
    Ok(())
}

/// HTTP/2.
async fn second<S>(stream: S, connection: Arc<Connection>) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stopping = connection.shared.stopping.subscribe();
    let service = service_fn(move |request| answer(connection.clone(), request));
    let http = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(limits::HTTP_HEAD))
        .keep_alive_timeout(limits::HTTP_HEAD)
        .max_concurrent_streams(limits::HTTP_STREAMS)
        .max_header_list_size(limits::HTTP_HEAD_BYTES)
        .max_send_buf_size(limits::HTTP_BUFFER)
        .initial_stream_window_size(limits::HTTP_WINDOW)
        .initial_connection_window_size(limits::HTTP_WINDOW)
        .serve_connection(TokioIo::new(Patient::new(stream)), service);
    let mut http = pin!(http);
    tokio::select! {
        done = http.as_mut() => return Ok(done?),
        () = stop(stopping) => http.as_mut().graceful_shutdown(),
    }
    Ok(http.await?)
}

/// Answers one request.
fn answer(connection: Arc<Connection>, request: Request<Incoming>) -> Answer {
    let web = &connection.shared.web;
    let client = client(web, connection.peer, connection.is_secure, request.headers());
    if web.is_websocket(request.uri().path()) {
        let response = open(&connection, client, &request);
        return Box::pin(std::future::ready(Ok(response)));
    }
    if request.uri().path() == web.bosh {
        let shared = connection.shared.clone();
        return Box::pin(async move { Ok(bosh::answer(shared, client, request).await) });
    }
    let router = TowerToHyperService::new(connection.shared.router.clone());
    Box::pin(router.call(request))
}

/// Opens a WebSocket.
fn open(connection: &Connection, client: Client, request: &Request<Incoming>) -> Response<Body> {
    let response = websocket::answer(&connection.shared.web, request);
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return response;
    }
    let Ok(visit) = connection.shared.visit(connection.peer, client.address) else { return too_many() };
    *connection.upgraded.lock() = Some(Upgraded { client, visit });
    response
}

/// The answer to an address with too many connections that have not logged in.
pub(crate) fn too_many() -> Response<Body> {
    let mut response = websocket::plain(StatusCode::TOO_MANY_REQUESTS, "Too many connections from your address.\n");
    response.headers_mut().insert(header::RETRY_AFTER, 60.into());
    response
}

/// Comes back when the server stops: requests under way are answered, and no further ones taken.
async fn stop(mut stopping: watch::Receiver<bool>) {
    // Without a sender the server has gone.
    let _ = stopping.wait_for(|stop| *stop).await;
}
