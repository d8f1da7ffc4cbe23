//! The side that connected.

use super::{
    Claim, Management, Pair, ServerConfig, ServerOutput, ServerProof, Verdict,
    dialback::{self, Element, Word},
    wire::{Frame, Wait, Wire, management, unknown},
};
use crate::{
    ns,
    stanza::{Condition, StanzaError},
    stream::{
        StreamCondition, StreamError,
        header::{Header, Version},
    },
    xml::{Document, Node},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{fmt, sync::Arc, time::Instant};

/// What a stream is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// To send stanzas for the pair.
    Stanzas {
        /// We showed a certificate in TLS, so EXTERNAL may be tried.
        certificate: bool,
        /// Who the peer is was shown by its certificate, so that stanzas may come back on the same stream.
        trusted: bool,
    },
    /// To ask the peer's domain whether a key is its own (XEP-0220 §2.1.2).
    Verify(Claim),
}

/// Why a stream between servers ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerError {
    /// The peer offers no TLS.
    NoTls,
    /// The peer refused the login by certificate, and dialback is not possible.
    Login {
        /** The condition's name. */
        condition: Box<str>,
        /** The peer's words. */
        text: Option<Box<str>>,
    },
    /// The peer says that our key is wrong: the server that it asked does not know our secret.
    WrongKey,
    /// The peer could not find out whether our key is right.
    Dialback(StanzaError),
    /// The peer sent a stream error.
    Remote(StreamError),
    /// The peer broke the protocol; this error was sent to it.
    Local(StreamError),
    /// The peer took too long.
    Timeout,
    /// The peer ended the stream before a domain was proved.
    Ended,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The peer's features are awaited.
    Features,
    /// The answer to `<starttls/>`.
    Tls,
    /// The answer to `<auth/>`.
    Login,
    /// The answer to our key, or to the question about another's.
    Dialback,
    /// The features after a login.
    Welcome,
    /// Stanzas may go.
    Ready,
}

/// The connecting side of a stream between servers.
#[derive(Debug)]
pub struct ServerInitiate {
    config: Arc<ServerConfig>,
    wire: Wire,
    pair: Pair,
    purpose: Purpose,
    state: State,
    is_secure: bool,
    is_bidi: bool,
    /// The id of the peer's stream.
    id: Box<str>,
    deadline: Option<Instant>,
    /// Why the login by certificate failed, while dialback is tried.
    refused: Option<ServerError>,
}

impl ServerInitiate {
    /// A new stream for this pair. `secure`: the connection began with TLS.
    pub fn new(config: Arc<ServerConfig>, pair: Pair, purpose: Purpose, now: Instant, secure: bool) -> ServerInitiate {
        let mut initiate = ServerInitiate {
            wire: Wire::new(config.limit_before.max(MIN_FEATURES)),
            deadline: Some(now + config.timeout),
            pair,
            purpose,
            state: State::Features,
            is_secure: secure,
            is_bidi: false,
            id: "".into(),
            refused: None,
            config,
        };
        initiate.greet();
        initiate
    }

    /// The next output; takes what it needs from the front of `input`. The first gives our stream header.
    pub fn poll(&mut self, input: &mut &[u8], now: Instant) -> Option<ServerOutput> {
        loop {
            if let Some(output) = self.wire.queued() {
                return Some(self.explain(output));
            }
            if self.deadline.is_some_and(|deadline| now >= deadline) && self.wire.wait != Wait::Closed {
                self.deadline = None;
                self.wire.finish(Some(ServerError::Timeout));
                continue;
            }
            match self.wire.next(input) {
                Some(Frame::Header(header)) => self.header(&header),
                Some(Frame::Element(document)) => self.element(document),
                None => return self.wire.queued().map(|output| self.explain(output)),
            }
        }
    }

    /// After [`ServerOutput::StartTls`]. What was learnt of the peer's certificate is said by `purpose`.
    pub fn secured(&mut self, purpose: Purpose) {
        if self.wire.wait == Wait::Tls {
            self.is_secure = true;
            self.purpose = purpose;
            self.wire.wait = Wait::Input;
            self.wire.discard();
            self.greet();
        }
    }

    /// Ends the stream from our side: the end tag follows as output of `poll`.
    pub fn close(&mut self, error: Option<StreamError>) {
        match error {
            _ if self.wire.wait == Wait::Closed => {}
            Some(error) => self.wire.fail(error),
            None => self.wire.finish(None),
        }
    }

    /// When to call `poll` with no input at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether stanzas come back on this stream.
    pub fn is_bidi(&self) -> bool {
        self.is_bidi
    }

    /// An end in order before anything was proved is none.
    fn explain(&mut self, output: ServerOutput) -> ServerOutput {
        match output {
            ServerOutput::Closed(None) if self.deadline.is_some() => {
                ServerOutput::Closed(Some(self.refused.take().unwrap_or(ServerError::Ended)))
            }
            output => output,
        }
    }

    fn greet(&mut self) {
        self.wire.greet(Some(&self.pair.local), Some(&self.pair.remote), None, true);
    }

    fn header(&mut self, header: &Header) {
        // A peer of before RFC 3920 has no TLS. A stream error of its may follow all the same.
        if header.version == Version::Unsupported {
            return self.wire.fail(StreamCondition::UnsupportedVersion.into());
        }
        if self.state == State::Features {
            self.id = header.id.clone().unwrap_or_default();
        }
    }

    fn element(&mut self, document: Document) {
        let root = document.root();
        if root.is("error", ns::STREAM) {
            return self.wire.finish(Some(ServerError::Remote(StreamError::read(root))));
        }
        match (self.state, root.ns(), root.name()) {
            (State::Features | State::Welcome, ns::STREAM, "features") => self.features(root),
            (State::Tls, ns::TLS, "proceed") => {
                self.state = State::Features;
                self.wire.start_tls();
            }
            (State::Tls, ns::TLS, _) => self.wire.finish(Some(ServerError::NoTls)),
            (State::Login, ns::SASL, "success") => {
                self.state = State::Welcome;
                self.wire.restart();
                self.greet();
            }
            (State::Login, ns::SASL, "failure") => self.refused(root),
            (_, ns::DIALBACK, _) if self.is_secure => self.dialback(root),
            (State::Ready, ns::SERVER, _) if self.is_bidi => {
                let own = self.pair.clone();
                self.wire.stanza(document, |pair| match *pair == own {
                    true => Ok(()),
                    false => {
                        Err(StreamError::new(StreamCondition::InvalidFrom).text("this stream is for another pair"))
                    }
                });
            }
            (_, ns::SERVER, _) => self.wire.fail(StreamCondition::NotAuthorized.into()),
            (State::Ready, ns::STREAM_MANAGEMENT, _) => match management(root) {
                Some(management) => self.wire.push(ServerOutput::Management(management)),
                None => self.wire.fail(StreamCondition::BadFormat.into()),
            },
            _ => self.wire.fail(unknown()),
        }
    }

    fn features(&mut self, features: Node<'_>) {
        if !self.is_secure {
            if features.child("starttls", ns::TLS).is_none() {
                return self.wire.finish(Some(ServerError::NoTls));
            }
            self.state = State::Tls;
            return self.wire.write(&b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"[..]);
        }
        if self.state == State::Welcome {
            self.ready(ServerProof::External);
            if features.child("sm", ns::STREAM_MANAGEMENT).is_some() {
                self.wire.push(ServerOutput::Management(Management::Offered));
            }
            return;
        }
        let (certificate, trusted) = match &self.purpose {
            Purpose::Stanzas { certificate, trusted } => (*certificate, *trusted),
            Purpose::Verify(claim) => {
                self.state = State::Dialback;
                return self.wire.write(dialback::question(claim));
            }
        };
        if self.config.bidi && trusted && features.child("bidi", ns::BIDI_FEATURE).is_some() {
            self.is_bidi = true;
            self.wire.write(&b"<bidi xmlns='urn:xmpp:bidi'/>"[..]);
        }
        let mut mechanisms = features.child("mechanisms", ns::SASL).into_iter().flat_map(|list| list.children());
        if certificate && mechanisms.any(|mechanism| mechanism.text().trim() == "EXTERNAL") {
            self.state = State::Login;
            let identity = STANDARD.encode(self.pair.local.as_bytes());
            let auth = format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{identity}</auth>");
            return self.wire.write(auth);
        }
        self.show_key();
    }

    /// XEP-0178 §3: after a failure dialback may be tried on the same stream.
    fn refused(&mut self, failure: Node<'_>) {
        let condition = failure.children().find(|child| child.name() != "text");
        let text = failure.children().find(|child| child.name() == "text").map(|text| text.text().into());
        let condition = condition.map_or("not-authorized", |condition| condition.name()).into();
        self.refused = Some(ServerError::Login { condition, text });
        self.show_key();
    }

    /// XEP-0220 §2.1.1. Not all peers advertise what they take.
    fn show_key(&mut self) {
        let key = dialback::key(&self.config.secret, &self.pair.remote, &self.pair.local, &self.id);
        self.state = State::Dialback;
        self.wire.write(dialback::write(Element::Result, &self.pair, None, &Word::Key(key.into())));
    }

    fn dialback(&mut self, root: Node<'_>) {
        let Some(read) = dialback::read(root) else { return self.wire.fail(StreamCondition::BadFormat.into()) };
        let asked = match &self.purpose {
            Purpose::Verify(claim) => Some(claim),
            Purpose::Stanzas { .. } => None,
        };
        match (read.element, read.word, asked) {
            (Element::Result, Word::Key(_), _) => {
                let error = Word::Error(Condition::NotAllowed.into());
                self.wire.write(dialback::write(Element::Result, &read.pair, None, &error));
            }
            (Element::Verify, Word::Key(key), _) => {
                let id = read.id.unwrap_or_default();
                let is_right = (self.config.serves)(&read.pair.local)
                    && dialback::is_right(&self.config.secret, &read.pair.remote, &read.pair.local, &id, &key);
                let word = if is_right { Word::Valid } else { Word::Invalid };
                self.wire.write(dialback::write(Element::Verify, &read.pair, Some(&id), &word));
            }
            (Element::Verify, word, Some(claim))
                if self.state == State::Dialback && read.pair == claim.pair && read.id.as_ref() == Some(&claim.id) =>
            {
                self.deadline = None;
                self.wire.push(ServerOutput::Verdict(match word {
                    Word::Valid => Verdict::Valid,
                    Word::Error(error) => Verdict::Failed(error),
                    _ => Verdict::Invalid,
                }));
                self.wire.finish(None);
            }
            (Element::Result, word, None) if self.state == State::Dialback && read.pair == self.pair => match word {
                Word::Valid => self.ready(ServerProof::Dialback),
                Word::Error(error) => self.unproved(ServerError::Dialback(error)),
                _ => self.unproved(ServerError::WrongKey),
            },
            // An answer to what was not asked on this stream (XSF notice of 2012-08).
            _ => self.wire.fail(StreamError::new(StreamCondition::NotAuthorized).text("that was not asked here")),
        }
    }

    fn unproved(&mut self, error: ServerError) {
        self.deadline = None;
        self.wire.finish(Some(error));
    }

    fn ready(&mut self, proof: ServerProof) {
        self.state = State::Ready;
        self.deadline = None;
        self.wire.set_limit(self.config.limit_after);
        self.wire.push(ServerOutput::Proved(self.pair.clone(), proof));
    }
}

/// Features of servers with many extensions.
const MIN_FEATURES: usize = 64 * 1024;

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::NoTls => f.write_str("it offers no TLS"),
            ServerError::Login { condition, text } => {
                write!(f, "it refused our certificate ({condition})")?;
                text.as_ref().map_or(Ok(()), |text| write!(f, ": {text}"))
            }
            ServerError::WrongKey => f.write_str(
                "it says that our dialback key is wrong: it asked another server than this one for our domain",
            ),
            ServerError::Dialback(error) => write!(f, "it could not check our domain by dialback: {error}"),
            ServerError::Remote(error) => write!(f, "it ended the stream: {error}"),
            ServerError::Local(error) => write!(f, "it broke the protocol: {error}"),
            ServerError::Timeout => f.write_str("it did not answer in time"),
            ServerError::Ended => f.write_str("it ended the stream before our domain was proved"),
        }
    }
}

impl std::error::Error for ServerError {}
