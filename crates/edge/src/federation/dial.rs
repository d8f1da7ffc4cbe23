//! From a domain to a stream on which something may be sent: DNS, addresses, TLS, the certificate, EXTERNAL or dialback.

use super::{
    Federation,
    identity::Problem,
    status::Steps,
    traffic::{Event, Side, Traffic},
};
use crate::{limits, socket::Socket};
use linnet_net::{
    connect::{ConnectError, connect},
    dns::{DnsError, Security, Service, Target},
};
use linnet_xmpp::{
    StanzaError,
    stanza::Condition,
    stream::{
        StreamCondition,
        server::{Claim, Pair, Purpose, ServerError, ServerInitiate, ServerProof, Verdict},
    },
};
use std::{fmt, future::poll_fn, sync::Arc, time::Instant};

/// Why there is no stream. `Display` continues the domain's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DialError {
    /// DNS knows no server for it.
    Dns(DnsError),
    /// No address answers.
    Connect(ConnectError),
    /// TLS failed.
    Tls(Box<str>),
    /// Its certificate is no good, and this server wants a good one.
    Certificate(Problem),
    /// The stream ended.
    Stream(ServerError),
}

impl DialError {
    /// Whether trying again soon would lead to the same.
    pub(super) fn is_final(&self) -> bool {
        match self {
            DialError::Dns(DnsError::NoAnswer { .. }) => false,
            DialError::Dns(_) | DialError::Certificate(_) => true,
            DialError::Stream(ServerError::Remote(error)) => matches!(
                error.condition,
                StreamCondition::HostUnknown
                    | StreamCondition::HostGone
                    | StreamCondition::NotAuthorized
                    | StreamCondition::PolicyViolation
            ),
            DialError::Stream(error) => matches!(
                error,
                ServerError::NoTls | ServerError::Login { .. } | ServerError::WrongKey | ServerError::Dialback(_)
            ),
            DialError::Connect(_) | DialError::Tls(_) => false,
        }
    }

    /// What senders are told.
    pub(super) fn bounce(&self, domain: &str) -> StanzaError {
        let is_unknown = match self {
            DialError::Dns(error) => !matches!(error, DnsError::NoAnswer { .. }),
            DialError::Stream(ServerError::Remote(error)) => {
                matches!(error.condition, StreamCondition::HostUnknown | StreamCondition::HostGone)
            }
            _ => false,
        };
        let condition = if is_unknown { Condition::RemoteServerNotFound } else { Condition::RemoteServerTimeout };
        StanzaError::new(condition).text(super::sentence(domain, self))
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DialError::Dns(error) => write!(f, "cannot be found: {error}"),
            DialError::Connect(error) => write!(f, "cannot be reached: {error}"),
            DialError::Tls(error) => write!(f, "cannot be reached securely: TLS failed: {error}"),
            DialError::Certificate(problem) => write!(f, "{problem}, and this server requires a good one"),
            DialError::Stream(error) => write!(f, "does not take stanzas: {error}"),
        }
    }
}

/// What a connection is for.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    /// To send stanzas.
    Stanzas,
    /// To ask about a key.
    Verdict(Claim),
}

/// What came of it.
pub(super) enum Dialed {
    /// Stanzas may go.
    Ready(Box<Traffic>),
    /// What the domain says about the key.
    Verdict(Verdict),
}

/// Tries one place after the other. `steps` gets what was learnt.
pub(super) async fn dial(
    federation: &Arc<Federation>,
    pair: &Pair,
    wanted: &Wanted,
    steps: &mut Steps,
) -> Result<Dialed, DialError> {
    let targets = federation.settings.resolver.targets(&pair.remote, Service::Server).await;
    let targets = targets.map_err(DialError::Dns)?;
    steps.push(("dns", targets.iter().map(describe).collect::<Vec<_>>().join(", ")));
    let mut last = DialError::Connect(ConnectError::NoAddress);
    for target in targets.iter().take(limits::FEDERATION_TARGETS) {
        match Box::pin(at(federation, pair, wanted, target, steps)).await {
            Ok(dialed) => return Ok(dialed),
            // What the stream says, another place of the same domain will say too.
            Err(error @ (DialError::Certificate(_) | DialError::Stream(_))) => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn describe(target: &Target) -> String {
    let security = match target.security {
        Security::StartTls => "STARTTLS",
        Security::Direct => "direct TLS",
    };
    format!("{}:{} ({security})", target.host, target.port)
}

async fn at(
    federation: &Arc<Federation>,
    pair: &Pair,
    wanted: &Wanted,
    target: &Target,
    steps: &mut Steps,
) -> Result<Dialed, DialError> {
    let addresses = federation.settings.resolver.addresses(&target.host).await.map_err(DialError::Dns)?;
    let text = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    steps.push(("address", format!("{}: {text}", target.host)));
    let tcp = connect(&addresses, target.port, limits::FEDERATION_CONNECT).await.map_err(DialError::Connect)?;
    if let Ok(peer) = tcp.peer_addr() {
        steps.push(("connection", format!("{peer} answers")));
    }
    let socket = Socket::Plain(tcp);
    let is_direct = target.security == Security::Direct;
    let (socket, purpose) = match is_direct {
        false => (socket, purpose(wanted, false)),
        true => {
            let socket = secure(federation, pair, socket, true).await?;
            let trusted = inspect(federation, pair, &socket, steps)?;
            (socket, purpose(wanted, trusted))
        }
    };
    let stream = ServerInitiate::new(federation.streams.clone(), pair.clone(), purpose, Instant::now(), is_direct);
    let traffic = Traffic::new(federation.clone(), socket, Side::Initiate(stream));
    negotiate(federation, pair, wanted, Box::new(traffic), steps).await
}

fn purpose(wanted: &Wanted, trusted: bool) -> Purpose {
    match wanted {
        Wanted::Stanzas => Purpose::Stanzas { certificate: true, trusted },
        Wanted::Verdict(claim) => Purpose::Verify(claim.clone()),
    }
}

async fn negotiate(
    federation: &Arc<Federation>,
    pair: &Pair,
    wanted: &Wanted,
    mut traffic: Box<Traffic>,
    steps: &mut Steps,
) -> Result<Dialed, DialError> {
    loop {
        match poll_fn(|cx| traffic.poll(cx)).await {
            Event::StartTls => {
                let Some(socket) = traffic.take_socket() else { return Err(DialError::Stream(ServerError::Ended)) };
                let socket = secure(federation, pair, socket, false).await?;
                let trusted = inspect(federation, pair, &socket, steps)?;
                traffic.secured(socket, |stream| stream.secured(purpose(wanted, trusted)));
            }
            Event::Proved(_, proof) => {
                let how = match proof {
                    ServerProof::External => "our certificate (SASL EXTERNAL)",
                    ServerProof::Dialback => "dialback",
                };
                let bidi = if traffic.is_bidi() { ", for both directions" } else { "" };
                steps.push(("proof", format!("this server proved its domain by {how}{bidi}")));
                return Ok(Dialed::Ready(traffic));
            }
            Event::Verdict(verdict) => return Ok(Dialed::Verdict(verdict)),
            Event::Identify(_) => {}
            Event::Ended(error) => {
                traffic.finish().await;
                return Err(DialError::Stream(error.unwrap_or(ServerError::Ended)));
            }
        }
    }
}

async fn secure(federation: &Arc<Federation>, pair: &Pair, socket: Socket, direct: bool) -> Result<Socket, DialError> {
    let Socket::Plain(tcp) = socket else { return Err(DialError::Tls("the connection has TLS already".into())) };
    match Box::pin(federation.tls.connect(tcp, &pair.remote, direct)).await {
        Ok(stream) => Ok(Socket::Dialed(Box::new(stream))),
        Err(error) => Err(DialError::Tls(error.to_string().into())),
    }
}

/// Whether the peer's certificate is good. `Err`: it is not, and it has to be.
fn inspect(federation: &Federation, pair: &Pair, socket: &Socket, steps: &mut Steps) -> Result<bool, DialError> {
    steps.push(("tls", socket.describe_tls()));
    match federation.judge(&socket.peer_chain(), &pair.remote) {
        Ok(()) => {
            steps.push(("certificate", format!("good for {}", pair.remote)));
            Ok(true)
        }
        Err(problem) => {
            steps.push(("certificate", format!("{} {problem}", pair.remote)));
            if federation.settings.requires_certificate(&pair.remote) {
                return Err(DialError::Certificate(problem));
            }
            Ok(false)
        }
    }
}
