//! An account's session that is kept up: login, stanzas out and in, requests with their answers, reconnection.
//!
//! [`Client`] is the handle, cheap to clone. One task per client owns the connection; it ends when [`Client::close`] is
//! called or the last handle is dropped, and closes the stream in order in both cases.
//!
//! # What becomes of a message
//! Where the server offers stream management (XEP-0198; [`Config::stream_management`]) every message that was handed over
//! is kept until the server has acknowledged it, and then reported: [`Event::Acknowledged`]. When the connection breaks,
//! the session is resumed on the next one, and nothing is lost in either direction. When it cannot be resumed, messages
//! that the server is not known to have handled are sent again in the new session, with the same ids
//! ([`Event::Resent`]), so that the server, or else the recipient, can tell a second copy. What is left when the client
//! ends is reported as well: [`Event::Unacknowledged`]. Without stream management there are none of these events.

mod driver;
mod io;
mod requests;
mod session;

use crate::{
    backoff::Backoff,
    connect::ConnectError,
    dns::{DnsError, Resolver, Target},
    tls::{Tls, TlsError, Trust},
};
use linnet_xeps::roster::Roster;
use linnet_xmpp::{
    Jid, Stanza, StanzaError,
    sasl::{Hash, Mechanism},
    stanza::Kind,
    stream::{InitiateError, Login, StreamCondition},
    xml::Document,
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot, watch};

/// Who logs in, where and how.
#[derive(Debug, Clone)]
pub struct Config {
    /// The account; its resource, if there is one, is asked for.
    pub jid: Jid,
    /// How to show that it is ours.
    pub login: Login,
    /// The mechanisms that may be used.
    pub mechanisms: Vec<Mechanism>,
    /// Where to connect; none: where DNS says.
    pub targets: Option<Vec<Target>>,
    /// Finds servers and their addresses.
    pub resolver: Resolver,
    /// Which certificates to trust.
    pub trust: Trust,
    /// Goes on without TLS where the server offers none, but only if it is at a loopback address.
    pub plaintext: bool,
    /// How long to wait before connecting again; none: never again.
    pub reconnect: Option<Backoff>,
    /// For TCP to one target, and again for TLS.
    pub connect_timeout: Duration,
    /// From the stream header to the bound resource, and from our end tag to the server's.
    pub login_timeout: Duration,
    /// For the answer to a request.
    pub request_timeout: Duration,
    /// When nothing came for so long, the server is pinged (XEP-0199); when it then stays silent for
    /// `request_timeout`, the connection is given up.
    pub ping_after: Duration,
    /// Counts stanzas, and resumes sessions, where the server offers it (XEP-0198).
    pub stream_management: bool,
    /// For how long the server is asked to keep the session without a connection; none: as it likes.
    pub resume_for: Option<Duration>,
    /// Largest stanza taken, in bytes.
    pub stanza_limit: usize,
    /// The language of the stream.
    pub lang: Option<Box<str>>,
}

/// The handle of a client.
#[derive(Debug, Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    address: watch::Receiver<Option<Jid>>,
    request_timeout: Duration,
}

/// What happens to a client, in order. Bounded: who does not read them stops the client from reading its socket.
/// When this is dropped, events are thrown away and requests of others are answered with service-unavailable.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Event>,
}

/// One thing that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// Logged in.
    Online {
        /** Our full address. */
        jid: Jid,
        /** The server's stream features, e.g. for roster versioning. */
        features: Document,
        /** The session is the one of before: presence, carbons and all that was switched on still holds, and nothing
        was missed. */
        resumed: bool,
    },
    /// Not connected any more, or not this time.
    Offline {
        /** Why, to be shown to people. */
        reason: Error,
        /** When it is tried again; none: this was the last event. */
        retry: Option<Duration>,
    },
    /// A message or presence.
    Stanza(Stanza),
    /// The server has the message: with Linnet, it is durable. In the order of sending.
    Acknowledged(Stanza),
    /// The session in which the message was sent is over, and nobody knows whether the server had it: it was sent again.
    Resent(Stanza),
    /// The client ends, or the server stops counting, and nobody knows whether the server has the message.
    Unacknowledged(Stanza),
    /// An iq of type get or set, which wants an answer ([`Stanza::result`] or [`Stanza::error`]).
    Request(Stanza),
    /// The server says that the roster changed; it has exactly one item. Pushes from anybody but the own account are
    /// not shown (RFC 6121 §2.1.6).
    RosterPush(Roster),
}

/// Why a client is not connected.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The server could not be found.
    Dns(DnsError),
    /// It could not be reached.
    Connect(ConnectError),
    /// TLS was not made.
    Tls(TlsError),
    /// Login failed or the stream was ended by an error.
    Stream(InitiateError),
    /// The connection broke.
    Lost(Box<str>),
    /// The server did not answer a ping.
    Silent,
    /// The server ended the stream in order.
    Ended,
    /// We closed it.
    Closed,
}

/// Why a stanza was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offline;

/// Why a request has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// The other side refused it.
    Refused(StanzaError),
    /// No answer came in time.
    Timeout,
    /// There is no connection, or it ended before the answer came.
    Offline,
}

/// What handles tell the task.
#[derive(Debug)]
enum Command {
    Send(Stanza),
    Request {
        stanza: Stanza,
        reply: oneshot::Sender<Result<Stanza, RequestError>>,
    },
    /// The sender is dropped when all is over.
    Close(oneshot::Sender<()>),
}

/// Stanzas that may wait for the task.
const COMMANDS: usize = 64;
/// Events that may wait for the application.
const EVENTS: usize = 256;

impl Config {
    /// An account with its password, at the place that DNS names, with the system's certificate authorities.
    pub fn new(jid: Jid, password: &str) -> Config {
        let username = jid.local().unwrap_or_default().into();
        Config::with(jid, Login::Password { username, password: password.into() })
    }

    /// An account with another way to log in.
    pub fn with(jid: Jid, login: Login) -> Config {
        Config {
            jid,
            login,
            mechanisms: mechanisms(),
            targets: None,
            resolver: Resolver::system(),
            trust: Trust::System,
            plaintext: false,
            reconnect: Some(Backoff::default()),
            connect_timeout: Duration::from_secs(15),
            login_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(60),
            ping_after: Duration::from_secs(240),
            stream_management: true,
            resume_for: None,
            stanza_limit: 16 << 20,
            lang: None,
        }
    }
}

impl Client {
    /// Starts a client and tells in the events how it goes. Must be called within a tokio runtime.
    /// Fails where the certificates to trust cannot be read.
    pub fn start(config: Config) -> Result<(Client, Events), Error> {
        let tls = Tls::new(&config.trust).map_err(Error::Tls)?;
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let (events, event_receiver) = mpsc::channel(EVENTS);
        let (address, address_receiver) = watch::channel(None);
        let request_timeout = config.request_timeout;
        let driver = driver::Driver::new(Arc::new(config), tls, receiver, events, address);
        tokio::spawn(driver.run());
        let client = Client { commands, address: address_receiver, request_timeout };
        Ok((client, Events { receiver: event_receiver }))
    }

    /// Starts a client and waits for its first login, which is not tried a second time.
    pub async fn login(config: Config) -> Result<(Client, Events), Error> {
        let (client, mut events) = Client::start(config)?;
        match events.next().await {
            Some(Event::Online { .. }) => Ok((client, events)),
            Some(Event::Offline { reason, .. }) => Err(reason),
            // The first event is one of both.
            Some(_) | None => Err(Error::Closed),
        }
    }

    /// Our full address, while we are logged in.
    pub fn address(&self) -> Option<Jid> {
        self.address.borrow().clone()
    }

    /// Hands a stanza over to be sent; waits while too many are waiting already. Success says nothing about its
    /// arrival: for a message [`Event::Acknowledged`] does, else only an answer, e.g. to a ping sent behind it.
    /// A message without an id is given one.
    pub async fn send(&self, stanza: Stanza) -> Result<(), Offline> {
        if self.address.borrow().is_none() {
            return Err(Offline);
        }
        self.commands.send(Command::Send(stanza)).await.map_err(|_| Offline)
    }

    /// Sends an iq of type get or set under an id of our own and waits for its result. The request goes on with a session
    /// that is resumed.
    pub async fn request(&self, stanza: Stanza) -> Result<Stanza, RequestError> {
        debug_assert!(stanza.kind == Kind::Iq, "only an iq has an answer");
        let (reply, answer) = oneshot::channel();
        let exchange = async {
            let sent = self.commands.send(Command::Request { stanza, reply }).await;
            sent.map_err(|_| RequestError::Offline)?;
            answer.await.unwrap_or(Err(RequestError::Offline))
        };
        tokio::time::timeout(self.request_timeout, exchange).await.unwrap_or(Err(RequestError::Timeout))
    }

    /// Sends what was handed over before, waits until it is acknowledged, closes the stream and waits until the server has
    /// closed its side; `login_timeout` bounds both waits. The client cannot be used any more.
    pub async fn close(&self) {
        let (done, over) = oneshot::channel();
        if self.commands.send(Command::Close(done)).await.is_ok() {
            // The sender is never used, only dropped.
            let _ = over.await;
        }
    }
}

impl Events {
    /// The next event; none when the client has ended.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }
}

impl Error {
    /// Whether trying again without changing anything is of no use.
    pub fn is_final(&self) -> bool {
        match self {
            Error::Dns(error) => matches!(error, DnsError::Domain(_) | DnsError::NotOffered(_)),
            Error::Connect(_) | Error::Lost(_) | Error::Silent | Error::Ended => false,
            Error::Tls(error) => !matches!(error, TlsError::Handshake(_) | TlsError::Timeout),
            Error::Stream(error) => stream_is_final(error),
            Error::Closed => true,
        }
    }
}

fn stream_is_final(error: &InitiateError) -> bool {
    match error {
        // RFC 6120 §6.5.11.
        InitiateError::Login { condition, .. } => &**condition != "temporary-auth-failure",
        InitiateError::Bind(error) => error.class != linnet_xmpp::stanza::Class::Wait,
        // After a conflict (RFC 6120 §4.9.3.3) two clients would throw each other out for ever.
        InitiateError::Remote(error) => matches!(
            error.condition,
            StreamCondition::Conflict
                | StreamCondition::HostGone
                | StreamCondition::HostUnknown
                | StreamCondition::NotAuthorized
                | StreamCondition::UnsupportedVersion
        ),
        InitiateError::Local(_) | InitiateError::Timeout | InitiateError::Ended => false,
        // What the server offers or proves is not enough.
        _ => true,
    }
}

/// All mechanisms: which of them is taken is decided by what the server offers. PLAIN is the last resort, over TLS.
fn mechanisms() -> Vec<Mechanism> {
    let mut mechanisms = Vec::new();
    for plus in [true, false] {
        mechanisms.extend([Hash::Sha512, Hash::Sha256, Hash::Sha1].map(|hash| Mechanism::Scram { hash, plus }));
    }
    mechanisms.extend([Mechanism::External, Mechanism::Plain, Mechanism::Anonymous]);
    mechanisms
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Dns(error) => error.fmt(f),
            Error::Connect(error) => error.fmt(f),
            Error::Tls(error) => error.fmt(f),
            Error::Stream(error) => error.fmt(f),
            Error::Lost(reason) => write!(f, "the connection broke: {reason}"),
            Error::Silent => f.write_str("the server does not answer any more"),
            Error::Ended => f.write_str("the server ended the connection"),
            Error::Closed => f.write_str("the connection was closed"),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Offline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no connection to the server")
    }
}

impl std::error::Error for Offline {}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::Refused(error) => match &error.text {
                Some(text) => write!(f, "refused: {:?} ({text})", error.condition),
                None => write!(f, "refused: {:?}", error.condition),
            },
            RequestError::Timeout => f.write_str("no answer came in time"),
            RequestError::Offline => Offline.fmt(f),
        }
    }
}

impl std::error::Error for RequestError {}
