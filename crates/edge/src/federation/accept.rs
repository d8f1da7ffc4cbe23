//! Connections of other servers.

use super::{
    Federation, carry,
    traffic::{Event, Side, Traffic},
};
use crate::{rates::Visit, socket::Socket};
use linnet_xmpp::stream::{
    StreamCondition, StreamError,
    server::{Identity, Pair, ServerAccept},
};
use std::{future::poll_fn, sync::Arc, time::Instant};

/// Leads a connection from its first byte to its last. `direct`: TLS from the first byte (XEP-0368).
pub(crate) async fn serve(federation: Arc<Federation>, socket: Socket, direct: bool, visit: Visit) {
    let socket = match direct {
        false => socket,
        true => match secure(&federation, socket, true).await {
            Ok(socket) => socket,
            Err(error) => {
                tracing::debug!(peer = %visit.peer, %error, "a TLS handshake of another server failed");
                return;
            }
        },
    };
    serve_on(federation, socket, direct, visit).await;
}

/// The same for a connection whose TLS was accepted already, with the protocol `xmpp-server` in ALPN. Its listener must
/// have asked for a certificate, or the peer can only use dialback.
pub(crate) async fn serve_on(federation: Arc<Federation>, socket: Socket, secure: bool, visit: Visit) {
    let stream = ServerAccept::new(federation.streams.clone(), Instant::now(), secure);
    let traffic = Box::new(Traffic::new(federation.clone(), socket, Side::Accept(stream)));
    run(federation, traffic, visit).await;
}

async fn secure(federation: &Federation, socket: Socket, direct: bool) -> std::io::Result<Socket> {
    match socket {
        Socket::Plain(tcp) => Ok(Socket::Tls(Box::new(Box::pin(federation.tls.accept(tcp, direct)).await?))),
        other => Ok(other),
    }
}

async fn run(federation: Arc<Federation>, mut traffic: Box<Traffic>, visit: Visit) {
    let peer = visit.peer;
    let mut visit = Some(visit);
    let mut stopping = federation.stopping.subscribe();
    let mut told = false;
    let mut proved = Vec::new();
    loop {
        let event = tokio::select! {
            event = poll_fn(|cx| traffic.poll(cx)) => event,
            _ = stopping.wait_for(|stop| *stop), if !told => {
                told = true;
                let text = "the server is stopping";
                traffic.close(Some(StreamError::new(StreamCondition::SystemShutdown).text(text)));
                continue;
            }
        };
        match event {
            Event::StartTls => {
                let Some(socket) = traffic.take_socket() else { return };
                match secure(&federation, socket, false).await {
                    Ok(socket) => traffic.secured(socket, |_| {}),
                    Err(error) => {
                        tracing::debug!(%peer, %error, "a TLS handshake of another server failed");
                        return;
                    }
                }
            }
            Event::Identify(pair) => {
                let identity = identify(&federation, &traffic, pair.as_ref());
                traffic.identified(identity);
            }
            Event::Proved(pair, proof) => {
                visit = None;
                tracing::debug!(%peer, from = &*pair.remote, to = &*pair.local, ?proof, "another server is connected");
                federation.came(&pair);
                proved.push(pair.clone());
                if traffic.is_bidi() {
                    let link = federation.kernel.link(&pair.local, &pair.remote);
                    if link.claim() {
                        traffic.links.push(link);
                    }
                }
            }
            Event::Verdict(_) => {}
            Event::Ended(error) => {
                if let Some(error) = error {
                    tracing::debug!(%peer, %error, "a stream of another server ended");
                }
                break;
            }
        }
    }
    drop(visit);
    proved.iter().for_each(|pair| federation.left(pair));
    let links = std::mem::take(&mut traffic.links);
    traffic.unload(&links);
    if !*stopping.borrow() {
        for link in links.into_iter().filter(|link| !link.rest()) {
            tokio::spawn(carry::carry(federation.clone(), link));
        }
    }
    traffic.finish().await;
}

/// What the certificate is worth, and whether the rules ask for more.
fn identify(federation: &Federation, traffic: &Traffic, pair: Option<&Pair>) -> Identity {
    let Some(pair) = pair else { return Identity::Unproven };
    if !federation.kernel.federates(&pair.remote) {
        let text = format!("{} is not wanted here", pair.remote);
        federation.refused(pair, &text);
        return Identity::Refused(StreamError::new(StreamCondition::PolicyViolation).text(text));
    }
    let chain = traffic.socket().map(Socket::peer_chain).unwrap_or_default();
    match federation.judge(&chain, &pair.remote) {
        Ok(()) => Identity::Certificate,
        Err(problem) if federation.settings.requires_certificate(&pair.remote) => {
            let text = format!("{} {problem}, and this server requires a good one", pair.remote);
            tracing::info!(from = &*pair.remote, reason = text, "another server was not let in");
            federation.refused(pair, &text);
            Identity::Refused(StreamError::new(StreamCondition::NotAuthorized).text(text))
        }
        Err(_) => Identity::Unproven,
    }
}
