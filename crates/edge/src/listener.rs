//! Listeners: they accept connections within the limits and start a task for each. One that cannot accept rests and
//! tries again.

use crate::{
    arrive, bosh,
    c2s::{Connection, Established},
    federation::Federation,
    limits::{self, Limits},
    rates::{Addresses, Visit},
    tls::Tls,
    web::Web,
};
use axum::Router;
use kernel::Kernel;
use linnet_xmpp::stream::AcceptConfig;
use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
};

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// TLS by STARTTLS, and nothing but that before it.
    StartTls,
    /// TLS from the first byte (XEP-0368).
    DirectTls,
    /// No TLS: for this machine only.
    Plaintext,
    /// Other servers, with STARTTLS.
    Servers,
    /// Other servers, TLS from the first byte (XEP-0368).
    ServersDirect,
    /// HTTP inside TLS.
    Https,
    /// HTTP without TLS: for this machine only.
    Http,
    /// HTTP and streams on one port, told apart by what the client asks for inside TLS (RFC 7301), or by its first bytes.
    Any,
}

impl Kind {
    /// Whether what is said there can be read by everybody on the way, so that there must be none.
    pub fn is_for_this_machine(self) -> bool {
        matches!(self, Kind::Plaintext | Kind::Http)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::StartTls => "STARTTLS",
            Kind::DirectTls => "direct TLS",
            Kind::Plaintext => "without TLS",
            Kind::Servers => "other servers, STARTTLS",
            Kind::ServersDirect => "other servers, direct TLS",
            Kind::Https => "HTTPS",
            Kind::Http => "HTTP without TLS",
            Kind::Any => "HTTPS and direct TLS",
        })
    }
}

/// A port that is ours, though nobody is served yet.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    kind: Kind,
    /// Only proxies connect, and say for whom (the PROXY protocol).
    is_behind: bool,
}

/// Why a port cannot be ours. `Display` is one line with the remedy.
#[derive(Debug)]
pub struct BindError {
    /// Which.
    pub address: SocketAddr,
    /// What the operating system says.
    pub error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, port) = (self.address, self.address.port());
        match self.error.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "port {port} at {} is in use by another program ('ss -ltnp sport = :{port}' shows which): stop that \
                 program, or say another port in [listen]",
                address.ip()
            ),
            io::ErrorKind::PermissionDenied => write!(
                f,
                "port {port} at {} may only be used by root: say a port above 1023 in [listen], or give the program \
                 the capability CAP_NET_BIND_SERVICE",
                address.ip()
            ),
            io::ErrorKind::AddrNotAvailable => {
                write!(f, "{} is not an address of this machine: say another one in [listen]", address.ip())
            }
            _ => write!(f, "cannot listen on {address}: {}", self.error),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl Listener {
    /// Takes the port. Connections wait until somebody serves them.
    ///
    /// # Errors
    /// [`BindError`]; also where a listener without TLS would be reachable from other machines.
    pub fn bind(address: SocketAddr, kind: Kind) -> Result<Listener, BindError> {
        let failed = |error| BindError { address, error };
        if kind.is_for_this_machine() && !address.ip().to_canonical().is_loopback() {
            return Err(failed(io::Error::other("without TLS only addresses of this machine are allowed")));
        }
        let listen = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // A server that is started again need not wait for the connections of the last one to be forgotten.
            socket.set_reuseaddr(true)?;
            if address.is_ipv6() {
                // `[::]` and `0.0.0.0` are said, and bound, one by one.
                socket2::SockRef::from(&socket).set_only_v6(true)?;
            }
            socket.bind(address)?;
            socket.listen(limits::BACKLOG)
        };
        Ok(Listener { tcp: listen().map_err(failed)?, kind, is_behind: false })
    }

    /// Takes only connections of proxies that are believed, and that say in the PROXY protocol for whom they are.
    pub fn behind_proxies(self) -> Listener {
        Listener { is_behind: true, ..self }
    }

    /// The address; with the port that the operating system chose, if none was said.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// What is spoken there.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) kernel: Arc<Kernel>,
    /// `None`: there are no other servers for this one.
    pub(crate) federation: Option<Arc<Federation>>,
    pub(crate) tls: Tls,
    /// What is answered over HTTP.
    pub(crate) router: Router,
    pub(crate) limits: Limits,
    /// For streams that have TLS or must get it.
    pub(crate) encrypted: Arc<AcceptConfig>,
    /// For streams without TLS.
    pub(crate) plaintext: Arc<AcceptConfig>,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) web: Web,
    pub(crate) bosh: bosh::Sessions,
    /// Becomes true when the server stops. Each connection holds a receiver: when all are gone, all connections are.
    pub(crate) stopping: watch::Sender<bool>,
}

impl Shared {
    /// Counts what comes over a connection of `peer` for the address whom it is for. `Ok(None)`: the connection's own, which
    /// is counted already.
    pub(crate) fn visit(&self, peer: IpAddr, address: IpAddr) -> Result<Option<Visit>, TooMany> {
        if peer == address {
            return Ok(None);
        }
        self.addresses.admit(address, Instant::now()).map(Some).ok_or(TooMany)
    }
}

/// An address has too many connections.
#[derive(Debug)]
pub(crate) struct TooMany;

/// Accepts until the server stops.
pub(crate) async fn accept(shared: Arc<Shared>, listener: Listener) {
    let mut stopping = shared.stopping.subscribe();
    let mut quiet_until = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.tcp.accept() => accepted,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        let now = Instant::now();
        match accepted {
            Ok((tcp, _)) if prepare(&tcp).is_err() => {}
            Ok((tcp, peer)) if listener.is_behind => {
                if shared.web.is_proxy(peer.ip()) {
                    tokio::spawn(arrive::behind_proxy(shared.clone(), tcp, listener.kind, peer.ip()));
                } else {
                    tracing::debug!(%peer, "no proxy that is believed, on a port that is for those");
                }
            }
            Ok((tcp, peer)) => match shared.addresses.admit(peer.ip(), now) {
                Some(visit) => arrive::begin(shared.clone(), tcp, listener.kind, visit),
                None => tracing::debug!(%peer, "too many connections from one address; this one is closed"),
            },
            Err(error) if is_the_peer_s(&error) => {}
            Err(error) => {
                if quiet_until.is_none_or(|until| now >= until) {
                    quiet_until = Some(now + Duration::from_secs(10));
                    tracing::error!(%error, "no connection can be accepted; is the limit of open files too low?");
                }
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Leads a client through its login. What follows has a task of its own, since that needs much less memory, and much
/// longer.
pub(crate) async fn enter(shared: Arc<Shared>, login: impl Future<Output = Option<Established>>) {
    let alive = shared.stopping.subscribe();
    if let Some(established) = until_stop(alive.clone(), login).await {
        tokio::spawn(Connection::new(established, alive));
    }
}

/// Sessions are told that the server stops; who has none is just left.
pub(crate) async fn until_stop<T>(
    mut stopping: watch::Receiver<bool>,
    work: impl Future<Output = Option<T>>,
) -> Option<T> {
    tokio::select! {
        done = work => done,
        _ = stopping.wait_for(|stop| *stop) => None,
    }
}

fn prepare(tcp: &TcpStream) -> io::Result<()> {
    // Stanzas are small and answered: waiting for more to send would only delay them.
    tcp.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(limits::KEEPALIVE)
        .with_interval(limits::KEEPALIVE_INTERVAL)
        .with_retries(limits::KEEPALIVE_PROBES);
    socket2::SockRef::from(tcp).set_tcp_keepalive(&keepalive)
}

/// Errors of one connection that was given up before it was accepted.
fn is_the_peer_s(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_s_task_is_small() {
        // There is one for each client; what a login needs on top goes away with its own task.
        let task = size_of::<Connection>();
        assert!(task <= 416, "{task}");
    }

    #[tokio::test]
    async fn plaintext_is_for_this_machine() {
        assert!(Listener::bind("0.0.0.0:0".parse().unwrap(), Kind::Plaintext).is_err());
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Kind::Plaintext).unwrap();
        let taken = listener.address().unwrap();
        let error = Listener::bind(taken, Kind::StartTls).unwrap_err().to_string();
        assert!(error.contains(&format!("port {}", taken.port())) && error.contains("[listen]"), "{error}");
    }
}
