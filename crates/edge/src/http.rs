//! HTTP: what a connection on a web port is, with TLS or without, HTTP/1.1 or HTTP/2. What is answered is the router's;
//! here are limits and the end.

use crate::{
    limits,
    listener::{Kind, Shared},
    patient::Patient,
    rates::Visit,
};
use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{error::Error, pin::pin, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
};

/// Serves a connection until it ends. Its address counts it as one without login for all its time.
pub(crate) async fn serve(shared: Arc<Shared>, tcp: TcpStream, kind: Kind, visit: Visit) {
    let stopping = shared.stopping.subscribe();
    let router = shared.router.clone();
    let peer = visit.peer;
    let outcome = match kind {
        Kind::Https => {
            let mut stop = stopping.clone();
            let accepted = tokio::select! {
                accepted = shared.tls.accept_web(tcp) => accepted,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match accepted {
                Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                    second(stream, router, stopping).await
                }
                Ok(stream) => first(stream, router, stopping).await,
                Err(error) => Err(error.into()),
            }
        }
        _ => first(tcp, router, stopping).await,
    };
    if let Err(error) = outcome {
        tracing::debug!(%peer, error, "an HTTP connection broke");
    }
}

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// HTTP/1.1.
async fn first<S>(stream: S, router: Router, stopping: watch::Receiver<bool>) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Also how long a connection rests between two requests.
        .header_read_timeout(limits::HTTP_HEAD)
        .max_buf_size(limits::HTTP_BUFFER)
        .max_headers(limits::HTTP_HEADERS)
        .serve_connection(TokioIo::new(Patient::new(stream)), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        done = connection.as_mut() => return Ok(done?),
        () = stop(stopping) => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

/// HTTP/2.
async fn second<S>(stream: S, router: Router, stopping: watch::Receiver<bool>) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router);
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(limits::HTTP_HEAD))
        .keep_alive_timeout(limits::HTTP_HEAD)
        .max_concurrent_streams(limits::HTTP_STREAMS)
        .max_header_list_size(limits::HTTP_HEAD_BYTES)
        .max_send_buf_size(limits::HTTP_BUFFER)
        .initial_stream_window_size(limits::HTTP_WINDOW)
        .initial_connection_window_size(limits::HTTP_WINDOW)
        .serve_connection(TokioIo::new(Patient::new(stream)), service);
    let mut connection = pin!(connection);
    tokio::select! {
        done = connection.as_mut() => return Ok(done?),
        () = stop(stopping) => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

/// Comes back when the server stops: requests under way are answered, and no further ones taken.
async fn stop(mut stopping: watch::Receiver<bool>) {
    // Without a sender the server has gone.
    let _ = stopping.wait_for(|stop| *stop).await;
}
