//! The client's side of a stream: TLS, login and resource binding, then stanzas (RFC 6120 §4 to §7).

use super::{
    END, Secured, StreamCondition, StreamError,
    header::{self, Reply, Version},
    inline::{Inline, Welcome},
    input::Input,
    managed::{Notice, Outcome, Resumption},
    steps::{self, Bits, InitiateLogin, InitiateStep, Progress, Then},
};
use crate::{
    jid::Jid,
    ns, sasl,
    stanza::{Rejected, Stanza, StanzaError},
    xml::{Document, FrameKind, Scope},
};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// What a stream client needs to know.
#[derive(Debug, Clone)]
pub struct InitiateConfig {
    /// The domain to talk to: `to` of the stream header.
    pub domain: Box<str>,
    /// Who logs in.
    pub login: Login,
    /// The resource wanted; without one the server chooses (RFC 6120 §7.6).
    pub resource: Option<Box<str>>,
    /// An earlier session to go on with, in place of a new one, where the server offers that (XEP-0198 §5).
    pub resumption: Option<Resumption>,
    /// The mechanisms that may be used. Which of those offered is taken, [`sasl::Client::choose`] says.
    pub mechanisms: Vec<sasl::Mechanism>,
    /// Whether to refuse to go on without TLS. False only for plaintext on loopback. PLAIN needs TLS in any case
    /// unless this is false.
    pub require_tls: bool,
    /// Largest stanza taken, in bytes.
    pub limit: usize,
    /// From `new` to [`InitiateOutput::Bound`], and again from `close` to the peer's end tag.
    pub timeout: Duration,
    /// `xml:lang` of the stream header.
    pub lang: Option<Box<str>>,
    /// What is wanted with the login where the server offers SASL 2 (XEP-0388); without it, login and binding are those of
    /// RFC 6120.
    pub inline: Option<Inline>,
    /// A source of randomness for nonces.
    pub random: fn(&mut [u8]),
}

/// Who logs in.
#[derive(Clone)]
pub enum Login {
    /// An account by its password.
    Password {
        /** Local part. */
        username: Box<str>,
        /** In the clear; never shown by `Debug`. */
        password: Box<str>,
    },
    /// Whoever the TLS client certificate says (EXTERNAL).
    Certificate {
        /** The address to act as, if it is not the certificate's only one. */
        authzid: Option<Box<str>>,
    },
    /// A temporary account (ANONYMOUS).
    Anonymous,
}

/// What the driver of a client stream does next.
#[derive(Debug)]
pub enum InitiateOutput {
    /// Write these bytes.
    Write(Bytes),
    /// Flush, forget all input read so far but not consumed, make TLS, then call `secured`.
    StartTls,
    /// Negotiation is over.
    Bound {
        /** Our full address as the server says. */
        jid: Jid,
        /** The server's last `<stream:features/>`, for roster versioning and the like. */
        features: Document,
        /** What came with the login, if that was by SASL 2. */
        welcome: Option<Box<Welcome>>,
        /** What became of [`InitiateConfig::resumption`]. */
        outcome: Outcome,
    },
    /// A stanza, or one to answer with an error. Only after `Bound`.
    Stanza(Result<Stanza, Box<Rejected>>),
    /// What the server says about the session (XEP-0198 §3, §4). Only after `Bound`.
    Notice(Notice),
    /// The stream is over and its last bytes were handed out: flush and close. `None`: closed in order.
    Closed(Option<InitiateError>),
}

/// Why a client's stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitiateError {
    /// The server refused the login (RFC 6120 §6.5).
    Login {
        /** The condition's name, e.g. `not-authorized`. */
        condition: Box<str>,
        /** The server's words. */
        text: Option<Box<str>>,
    },
    /// The login was stopped by us: e.g. the server's signature is wrong.
    Sasl(sasl::ClientError),
    /// TLS is required and the server does not offer it or refuses it (RFC 6120 §5.4.2.2).
    NoTls,
    /// What is offered shows that somebody between us and the server took channel binding out of it (XEP-0440 §3).
    Downgrade,
    /// None of the mechanisms offered may be used.
    NoMechanism {
        /** What was offered. */
        offered: Vec<Box<str>>,
    },
    /// The server bound no resource.
    Bind(StanzaError),
    /// The server sent a stream error.
    Remote(StreamError),
    /// The server broke the protocol; this error was sent to it.
    Local(StreamError),
    /// The server took too long.
    Timeout,
    /// The server ended the stream before negotiation was over.
    Ended,
}

/// The client's side of a stream.
#[derive(Debug)]
pub struct Initiate {
    config: Arc<InitiateConfig>,
    input: Input,
    queue: VecDeque<InitiateOutput>,
    /// Until negotiation is over.
    negotiation: Option<Box<Negotiation>>,
    address: Option<Jid>,
    /// Namespaces of the server's header.
    scope: Scope,
    deadline: Option<Instant>,
    wait: Wait,
    /// Whether our header was sent and our end tag was not.
    open: bool,
}

#[derive(Debug)]
struct Negotiation {
    login: InitiateLogin,
    /// The server's `<stream:features/>` on the stream as it is now.
    features: Option<Document>,
    /// Which step is at work.
    step: Option<usize>,
}

/// What the next move depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Input,
    /// A call of `secured`.
    Tls,
    /// The server's end tag, ours having been sent.
    End,
    Closed,
}

impl Initiate {
    /// A new stream. `secured`: Some on a connection that began with TLS.
    pub fn new(config: Arc<InitiateConfig>, now: Instant, secured: Option<Secured>) -> Initiate {
        let bits = if config.require_tls { Bits::NONE } else { Bits::PRIVATE };
        let login = InitiateLogin {
            config: config.clone(),
            bits,
            secured: None,
            exchange: None,
            address: None,
            features_version: None,
            token_failed: false,
            token_mechanism: None,
            bind_features: Vec::new(),
            welcome: None,
            outcome: Outcome::None,
        };
        let mut initiate = Initiate {
            input: Input::new(config.limit),
            queue: VecDeque::new(),
            negotiation: Some(Box::new(Negotiation { login, features: None, step: None })),
            address: None,
            scope: Scope::new(ns::CLIENT),
            deadline: Some(now + config.timeout),
            wait: Wait::Tls,
            open: false,
            config,
        };
        match secured {
            Some(secured) => initiate.secured(secured),
            None => {
                initiate.wait = Wait::Input;
                initiate.greet();
            }
        }
        initiate
    }

    /// The next output; takes what it needs from the front of `input`. The first gives our stream header.
    /// Slow at one point of a login with SCRAM (PBKDF2, some milliseconds for usual iteration counts).
    pub fn poll(&mut self, input: &mut &[u8], now: Instant) -> Option<InitiateOutput> {
        loop {
            if let Some(output) = self.queue.pop_front() {
                return Some(output);
            }
            if self.wait == Wait::Closed {
                *input = &[];
                return None;
            }
            if self.wait == Wait::End && self.deadline.is_none() {
                self.deadline = Some(now + self.config.timeout);
            }
            if self.deadline.is_some_and(|deadline| now >= deadline) {
                // A server that does not answer our end tag is left alone (RFC 6120 §4.4, rule 3).
                self.finish(if self.wait == Wait::End { None } else { Some(InitiateError::Timeout) });
                continue;
            }
            if self.wait == Wait::Tls {
                *input = &[];
                return None;
            }
            match self.input.next(input) {
                Ok(Some((FrameKind::Element, bytes))) => {
                    if let Some(output) = self.element(bytes) {
                        return Some(output);
                    }
                }
                Ok(Some((FrameKind::Whitespace, _))) => {}
                Ok(Some((FrameKind::Header, bytes))) => self.header(bytes),
                Ok(Some((FrameKind::End, _))) => {
                    self.finish(self.negotiation.is_some().then_some(InitiateError::Ended));
                }
                Ok(None) => return None,
                Err(error) => self.fail(error.into()),
            }
        }
    }

    /// After [`InitiateOutput::StartTls`].
    pub fn secured(&mut self, secured: Secured) {
        let Some(negotiation) = self.negotiation.as_mut().filter(|_| self.wait == Wait::Tls) else { return };
        negotiation.login.secured = Some(secured);
        negotiation.login.bits = negotiation.login.bits | Bits::TLS | Bits::PRIVATE;
        self.wait = Wait::Input;
        self.input.discard();
        self.greet();
    }

    /// Ends the stream with an error: the server counts stanzas that it was not sent.
    pub fn abort(&mut self, error: StreamError) {
        if self.wait != Wait::Closed {
            self.fail(error);
        }
    }

    /// Ends the stream from our side: the end tag follows as output of `poll`; stanzas still come until the peer's end
    /// tag or the timeout (RFC 6120 §4.4). Before `Bound` the stream is over at once.
    pub fn close(&mut self) {
        match self.wait {
            Wait::End | Wait::Closed => {}
            _ if self.negotiation.is_some() => self.finish(None),
            Wait::Input | Wait::Tls => {
                self.queue.push_back(InitiateOutput::Write(Bytes::from_static(END)));
                self.open = false;
                self.wait = Wait::End;
            }
        }
    }

    /// When to call `poll` with no input at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.filter(|_| self.wait != Wait::Closed)
    }

    /// The address bound.
    pub fn bound(&self) -> Option<&Jid> {
        self.address.as_ref()
    }

    /// Writes our header.
    fn greet(&mut self) {
        let Some(negotiation) = &mut self.negotiation else { return };
        negotiation.features = None;
        negotiation.step = None;
        negotiation.login.exchange = None;
        // Who we are is nobody's business in the clear (RFC 6120 §4.7.1).
        let from = match &self.config.login {
            Login::Password { username, .. } if negotiation.login.bits.has(Bits::TLS) => {
                Jid::new(Some(username), &self.config.domain, None).ok()
            }
            _ => None,
        };
        let mut out = Vec::with_capacity(256);
        Reply {
            from: from.as_ref().map(Jid::as_str),
            to: Some(&self.config.domain),
            id: None,
            lang: self.config.lang.as_deref(),
            version: true,
        }
        .write(&mut out);
        self.ahead(&mut out);
        self.queue.push_back(InitiateOutput::Write(out.into()));
        self.open = true;
    }

    /// Begins the step that needs not wait for what the server says, if there is one.
    fn ahead(&mut self, out: &mut Vec<u8>) {
        let Some(negotiation) = &mut self.negotiation else { return };
        let bits = negotiation.login.bits;
        let possible = |step: &dyn InitiateStep| bits.has(step.needs()) && !bits.has_any(step.forbids());
        for (index, step) in steps::INITIATE.iter().enumerate().filter(|(_, step)| possible(**step)) {
            if let Some(bytes) = step.ahead(&mut negotiation.login) {
                negotiation.step = Some(index);
                return out.extend_from_slice(&bytes);
            }
        }
    }

    /// The server's header.
    fn header(&mut self, bytes: Bytes) {
        let (header, namespaces) = match header::read(bytes) {
            Ok(header) => header,
            Err(error) => return self.fail(error.into()),
        };
        self.scope = header.scope;
        if let Err(error) = namespaces {
            return self.fail(error);
        }
        // A server of before RFC 3920 has neither TLS nor SASL. Its stream error, if that is why, has no version either.
        if header.version == Version::Unsupported {
            self.fail(StreamCondition::UnsupportedVersion.into());
        }
    }

    /// A first-level element.
    fn element(&mut self, bytes: Bytes) -> Option<InitiateOutput> {
        let document = match Document::parse(bytes, &self.scope) {
            Ok(document) => document,
            Err(error) => {
                self.fail(error.into());
                return None;
            }
        };
        let root = document.root();
        if root.is("error", ns::STREAM) {
            self.finish(Some(InitiateError::Remote(StreamError::read(root))));
        } else if let Some(negotiation) = &mut self.negotiation {
            if let Some(step) = negotiation.step {
                if root.is("features", ns::STREAM) {
                    negotiation.features = Some(document.clone());
                }
                self.step(step, &document);
            } else if root.is("features", ns::STREAM) {
                negotiation.features = Some(document);
                self.advance(0);
            } else {
                self.fail(StreamError::new(StreamCondition::UnsupportedStanzaType).text("no stream features"));
            }
        } else if root.ns() == ns::STREAM_MANAGEMENT {
            match Notice::read(root) {
                Some(notice) => return Some(InitiateOutput::Notice(notice)),
                None => self.fail(StreamCondition::UnsupportedStanzaType.into()),
            }
        } else if let Some(stanza) = Stanza::read(document) {
            return Some(InitiateOutput::Stanza(stanza));
        } else {
            self.fail(StreamCondition::UnsupportedStanzaType.into());
        }
        None
    }

    /// Begins the next step that is possible, from the one at this index on. Where there is none, negotiation is over.
    fn advance(&mut self, from: usize) {
        let Some(negotiation) = &mut self.negotiation else { return };
        let Some(features) = &negotiation.features else { return };
        for (index, step) in steps::INITIATE.iter().enumerate().skip(from) {
            let bits = negotiation.login.bits;
            if !bits.has(step.needs()) || bits.has_any(step.forbids()) {
                continue;
            }
            if let Some(progress) = step.start(&mut negotiation.login, features.root()) {
                negotiation.step = Some(index);
                return self.apply(index, progress);
            }
        }
        let welcome = negotiation.login.welcome.take();
        let outcome = negotiation.login.outcome;
        match (negotiation.login.address.take(), negotiation.features.take()) {
            (Some(jid), Some(features)) => {
                self.address = Some(jid.clone());
                self.negotiation = None;
                self.deadline = None;
                self.queue.push_back(InitiateOutput::Bound { jid, features, welcome, outcome });
            }
            // RFC 6120 §4.9.3.23.
            _ => {
                self.fail(StreamError::new(StreamCondition::UnsupportedFeature).text("no resource binding is offered"))
            }
        }
    }

    /// Gives an element to the step at work.
    fn step(&mut self, index: usize, element: &Document) {
        let (Some(step), Some(negotiation)) = (steps::INITIATE.get(index), &mut self.negotiation) else { return };
        let root = element.root();
        match step.element(&mut negotiation.login, element) {
            Some(progress) => self.apply(index, progress),
            // Some servers send stanzas before the answer to the request that makes us reachable. They do not count.
            None if root.ns() == ns::CLIENT && negotiation.login.bits.has(Bits::AUTHENTICATED) => {}
            None => self.fail(StreamCondition::UnsupportedStanzaType.into()),
        }
    }

    fn apply(&mut self, step: usize, progress: Progress<InitiateError>) {
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.login.bits = negotiation.login.bits | progress.set;
        }
        if let Some(bytes) = progress.write {
            self.queue.push_back(InitiateOutput::Write(bytes));
        }
        match progress.then {
            Then::Features => self.advance(0),
            Then::Continue | Then::Need(_) | Then::Bound(_) | Then::Welcome(_) | Then::Control(_) => {}
            Then::Next => self.advance(step + 1),
            Then::Restart => {
                self.input.restart();
                self.greet();
            }
            Then::StartTls => {
                self.queue.push_back(InitiateOutput::StartTls);
                self.input.discard();
                self.wait = Wait::Tls;
                self.open = false;
            }
            Then::Close => self.finish(None),
            Then::Fail(error) => self.finish(Some(error)),
        }
    }

    /// The server broke the protocol.
    fn fail(&mut self, error: StreamError) {
        if self.open {
            self.queue.push_back(InitiateOutput::Write(error.to_bytes()));
        }
        self.finish(Some(InitiateError::Local(error)));
    }

    fn finish(&mut self, error: Option<InitiateError>) {
        if self.open {
            self.queue.push_back(InitiateOutput::Write(Bytes::from_static(END)));
        }
        self.queue.push_back(InitiateOutput::Closed(error));
        self.open = false;
        self.wait = Wait::Closed;
        self.negotiation = None;
        self.input.discard();
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Login::Password { username, .. } => {
                f.debug_struct("Password").field("username", username).finish_non_exhaustive()
            }
            Login::Certificate { authzid } => f.debug_struct("Certificate").field("authzid", authzid).finish(),
            Login::Anonymous => f.write_str("Anonymous"),
        }
    }
}
