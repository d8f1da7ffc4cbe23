//! What a connection is: from its port, from what its proxy says, from what it asks for inside TLS, from its first bytes.

use crate::{
    federation, http, limits,
    listener::{self, Kind, Shared, until_stop},
    login::{self, Arrival},
    proxy,
    rates::Visit,
    socket::Socket,
    tls::{Inside, Protocol, protocol},
};
use linnet_xmpp::{ns, stream::Framing};
use std::{io, net::IpAddr, sync::Arc, time::Instant};
use tokio::{io::AsyncBufReadExt, net::TcpStream, time::timeout};
use tokio_rustls::server::TlsStream;

/// Starts the task of a connection.
pub(crate) fn begin(shared: Arc<Shared>, tcp: TcpStream, kind: Kind, visit: Visit) {
    match kind {
        Kind::Http => drop(tokio::spawn(http::serve(shared, tcp, false, false, visit))),
        Kind::Https | Kind::Any => drop(tokio::spawn(told_apart(shared, tcp, kind, visit))),
        Kind::Servers | Kind::ServersDirect => {
            if let Some(federation) = shared.federation.clone() {
                let (socket, direct) = (Socket::Plain(tcp), kind == Kind::ServersDirect);
                tokio::spawn(federation::accept::serve(federation, socket, direct, visit));
            }
        }
        Kind::StartTls | Kind::DirectTls | Kind::Plaintext => drop(tokio::spawn(stream(shared, tcp, kind, visit))),
    }
}

/// Hears from a proxy whom it speaks for.
pub(crate) async fn behind_proxy(shared: Arc<Shared>, mut tcp: TcpStream, kind: Kind, proxy: IpAddr) {
    match proxy::read(&mut tcp).await {
        Ok(address) => match shared.addresses.admit(address.unwrap_or(proxy), Instant::now()) {
            Some(visit) => begin(shared, tcp, kind, visit),
            None => tracing::debug!(?address, "too many connections from one address; this one is closed"),
        },
        Err(error) => tracing::debug!(%proxy, %error, "a proxy does not say for whom it connects"),
    }
}

/// A client's stream that begins with the connection.
async fn stream(shared: Arc<Shared>, tcp: TcpStream, kind: Kind, visit: Visit) {
    let login = async {
        let (socket, secured) = match kind {
            Kind::DirectTls => match Box::pin(Socket::Plain(tcp).secure(&shared.tls, Inside::Stream)).await {
                Ok((socket, secured)) => (socket, Some(secured)),
                Err(error) => {
                    tracing::debug!(peer = %visit.peer, %error, "a TLS handshake failed");
                    return None;
                }
            },
            _ => (Socket::Plain(tcp), None),
        };
        let arrival = Arrival {
            socket,
            framing: Framing::Document,
            may_start_tls: kind != Kind::Plaintext && secured.is_none(),
            secured,
            visit,
            input: Vec::new(),
        };
        login::login(shared.clone(), arrival).await
    };
    listener::enter(shared.clone(), login).await;
}

/// A connection that is not yet known to be HTTP or a stream.
async fn told_apart(shared: Arc<Shared>, tcp: TcpStream, kind: Kind, visit: Visit) {
    if kind == Kind::Any && begins_with_xml(&tcp).await {
        return stream(shared, tcp, Kind::StartTls, visit).await;
    }
    let inside = if kind == Kind::Any { Inside::Any } else { Inside::Web };
    let peer = visit.peer;
    let told = async {
        let told = async {
            let mut tls = shared.tls.accept(tcp, inside).await?;
            let protocol = match protocol(&tls) {
                Protocol::Unknown if kind == Kind::Any => first_bytes(&mut tls).await?,
                protocol => protocol,
            };
            Ok::<_, io::Error>((tls, protocol))
        };
        told.await.inspect_err(|error| tracing::debug!(%peer, %error, "a TLS handshake failed")).ok()
    };
    let Some((tls, protocol)) = until_stop(shared.stopping.subscribe(), told).await else { return };
    let secured = shared.tls.secured(&tls);
    match protocol {
        Protocol::Http2 => http::serve(shared, tls, true, true, visit).await,
        Protocol::Http1 | Protocol::Unknown => http::serve(shared, tls, false, true, visit).await,
        Protocol::Client => {
            let (socket, framing, input) = (tls.into(), Framing::Document, Vec::new());
            let arrival = Arrival { socket, framing, secured: Some(secured), may_start_tls: false, visit, input };
            listener::enter(shared.clone(), login::login(shared.clone(), arrival)).await;
        }
        Protocol::Server => match shared.federation.clone() {
            Some(federation) => federation::accept::serve_on(federation, tls.into(), true, visit).await,
            None => tracing::debug!(%peer, "another server came; this one does not talk with servers"),
        },
    }
}

/// Whether a client begins without TLS, with a stream in which it can ask for it.
async fn begins_with_xml(tcp: &TcpStream) -> bool {
    let mut first = [0];
    let peeked = timeout(limits::HTTP_HEAD, tcp.peek(&mut first)).await;
    matches!(peeked, Ok(Ok(1))) && first == *b"<"
}

/// What somebody speaks who did not say so: HTTP begins with the name of a method, a stream with a start tag.
async fn first_bytes(tls: &mut TlsStream<TcpStream>) -> io::Result<Protocol> {
    let bytes = timeout(limits::HTTP_HEAD, tls.fill_buf()).await??;
    Ok(match bytes.trim_ascii_start().first() {
        Some(b'<') if is_of_server(bytes) => Protocol::Server,
        Some(b'<') => Protocol::Client,
        _ => Protocol::Http1,
    })
}

fn is_of_server(header: &[u8]) -> bool {
    header.windows(ns::SERVER.len()).any(|window| window == ns::SERVER.as_bytes())
}
