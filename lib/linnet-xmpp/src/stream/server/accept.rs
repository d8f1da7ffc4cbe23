//! The side that was connected to.

use super::{
    Claim, Management, Pair, ServerConfig, ServerError, ServerOutput, ServerProof,
    dialback::{self, Element, Word},
    wire::{Frame, Wait, Wire, management, unknown},
};
use crate::{
    jid::{Jid, prepare_domain},
    ns,
    sasl::Failure,
    stanza::{Condition, StanzaError},
    stream::{
        StreamCondition, StreamError,
        header::{Header, Version},
        steps,
    },
    xml::{Document, Node, Writer},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{sync::Arc, time::Instant};

/// Pairs that one stream may carry. A large host has some dozens of domains.
const PAIRS: usize = 256;
/// Keys of one stream that are being asked about at once.
const CLAIMS: usize = 16;
/// Failed attempts to log in by EXTERNAL.
const ATTEMPTS: u8 = 3;

/// What the driver found out about who has connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The certificate is good for the domain: it may log in with it.
    Certificate,
    /// It is not; dialback has to tell.
    Unproven,
    /// It may not go on.
    Refused(StreamError),
}

/// What came of a question about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The key is the domain's own.
    Valid,
    /// It is not.
    Invalid,
    /// The domain could not be asked, or could not say.
    Failed(StanzaError),
}

/// The accepting side of a stream between servers.
#[derive(Debug)]
pub struct ServerAccept {
    config: Arc<ServerConfig>,
    wire: Wire,
    deadline: Option<Instant>,
    /// The id of our stream.
    id: Box<str>,
    /// The pair of the stream header, where it names both.
    pair: Option<Pair>,
    is_secure: bool,
    is_bidi: bool,
    identity: Identity,
    failures: u8,
    /// Proved domains.
    proved: Vec<(Pair, ServerProof)>,
    /// Keys that are being asked about.
    claims: Vec<Pair>,
}

impl ServerAccept {
    /// A new stream. `secure`: the connection began with TLS.
    pub fn new(config: Arc<ServerConfig>, now: Instant, secure: bool) -> ServerAccept {
        ServerAccept {
            wire: Wire::new(config.limit_before),
            deadline: Some(now + config.timeout),
            id: "".into(),
            pair: None,
            is_secure: secure,
            is_bidi: false,
            identity: Identity::Unproven,
            failures: 0,
            proved: Vec::new(),
            claims: Vec::new(),
            config,
        }
    }

    /// The next output; takes what it needs from the front of `input`.
    pub fn poll(&mut self, input: &mut &[u8], now: Instant) -> Option<ServerOutput> {
        loop {
            if let Some(output) = self.wire.queued() {
                return Some(output);
            }
            if self.deadline.is_some_and(|deadline| now >= deadline) && self.wire.wait != Wait::Closed {
                self.deadline = None;
                let text = "no domain was proved in time";
                self.fail(StreamError::new(StreamCondition::ConnectionTimeout).text(text));
                continue;
            }
            match self.wire.next(input) {
                Some(Frame::Header(header)) => self.header(&header),
                Some(Frame::Element(document)) => self.element(document),
                None => return self.wire.queued(),
            }
        }
    }

    /// After [`ServerOutput::StartTls`].
    pub fn secured(&mut self) {
        if self.wire.wait == Wait::Tls {
            self.is_secure = true;
            self.wire.wait = Wait::Input;
            self.wire.discard();
        }
    }

    /// After [`ServerOutput::Identify`].
    pub fn identified(&mut self, identity: Identity) {
        if self.wire.wait != Wait::Identity {
            return;
        }
        self.wire.wait = Wait::Input;
        match identity {
            Identity::Refused(error) => self.fail(error),
            identity => {
                self.identity = identity;
                self.features();
            }
        }
    }

    /// After [`ServerOutput::Dialback`]. An answer that nobody waits for is dropped.
    pub fn dialback(&mut self, pair: &Pair, verdict: Verdict) {
        let Some(place) = self.claims.iter().position(|claim| claim == pair) else { return };
        self.claims.remove(place);
        if self.wire.wait == Wait::Closed {
            return;
        }
        match verdict {
            Verdict::Valid => {
                self.wire.write(dialback::write(Element::Result, pair, None, &Word::Valid));
                self.prove(pair.clone(), ServerProof::Dialback);
            }
            Verdict::Invalid => {
                self.wire.write(dialback::write(Element::Result, pair, None, &Word::Invalid));
                // XEP-0220 §2.2.1: a stream on which nothing else was proved is closed.
                if self.proved.is_empty() {
                    self.wire.finish(None);
                }
            }
            Verdict::Failed(error) => {
                self.wire.write(dialback::write(Element::Result, pair, None, &Word::Error(error)));
            }
        }
    }

    /// Ends the stream from our side: the error, if any, and the end tag follow as outputs of `poll`.
    pub fn close(&mut self, error: Option<StreamError>) {
        match error {
            _ if self.wire.wait == Wait::Closed => {}
            Some(error) => self.fail(error),
            None => self.wire.finish(None),
        }
    }

    /// When to call `poll` with no input at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether stanzas go in both directions: asked for by the peer before it proved a domain.
    pub fn is_bidi(&self) -> bool {
        self.is_bidi
    }

    fn fail(&mut self, error: StreamError) {
        self.greet(None);
        self.wire.fail(error);
    }

    /// Our header, if it was not sent; an error has to go behind one.
    fn greet(&mut self, version: Option<Version>) {
        if self.wire.is_open() || matches!(self.wire.wait, Wait::Tls | Wait::Closed) {
            return;
        }
        let mut id = [0; steps::NONCE];
        (self.config.random)(&mut id);
        self.id = steps::printable(&id).into();
        let pair = self.pair.as_ref();
        let version = version != Some(Version::Missing);
        self.wire.greet(pair.map(|pair| &*pair.local), pair.map(|pair| &*pair.remote), Some(&self.id), version);
    }

    fn header(&mut self, header: &Header) {
        let checked = self.read_header(header);
        if let Ok(pair) = &checked
            && pair.is_some()
        {
            self.pair.clone_from(pair);
        }
        self.greet(Some(header.version));
        match checked {
            Err(error) => self.fail(error),
            Ok(_) if !self.is_secure || !self.proved.is_empty() => self.features(),
            Ok(_) => {
                self.wire.push(ServerOutput::Identify(self.pair.clone()));
                self.wire.wait = Wait::Identity;
            }
        }
    }

    /// The pair that a header names; `None`: it does not say where it comes from.
    fn read_header(&self, header: &Header) -> Result<Option<Pair>, StreamError> {
        let domain =
            |text: &str| Jid::parse(text).ok().filter(Jid::is_domain).map(|jid| Box::<str>::from(jid.domain()));
        let Some(to) = &header.to else {
            return Err(StreamError::new(StreamCondition::HostUnknown).text("the stream header has no 'to'"));
        };
        let local = domain(to).ok_or(StreamCondition::ImproperAddressing)?;
        if !(self.config.serves)(&local) {
            return Err(StreamCondition::HostUnknown.into());
        }
        // RFC 6120 §4.7.5: without a version it is a protocol that has neither TLS nor SASL.
        if header.version != Version::One {
            return Err(StreamCondition::UnsupportedVersion.into());
        }
        let Some(from) = header.from.as_deref().filter(|from| !from.is_empty()) else { return Ok(None) };
        let remote =
            domain(from).ok_or_else(|| StreamError::new(StreamCondition::InvalidFrom).text("'from' is no domain"))?;
        if (self.config.serves)(&remote) {
            let text = "that domain is served here";
            return Err(StreamError::new(StreamCondition::InvalidFrom).text(text));
        }
        let pair = Pair { local, remote };
        match self.proved.first() {
            Some((known, ServerProof::External)) if *known != pair => {
                Err(StreamError::new(StreamCondition::InvalidFrom).text("you logged in for other domains"))
            }
            _ => Ok(Some(pair)),
        }
    }

    fn features(&mut self) {
        let mut features = Writer::new(ns::SERVER);
        if !self.is_secure {
            features.open("starttls", ns::TLS).open("required", ns::TLS).close().close();
        } else if self.proved.is_empty() {
            if self.identity == Identity::Certificate {
                features.open("mechanisms", ns::SASL).leaf("mechanism", ns::SASL, "EXTERNAL").close();
            }
            features.open("dialback", ns::DIALBACK_FEATURE).open("errors", ns::DIALBACK_FEATURE).close().close();
            if self.config.bidi {
                features.open("bidi", ns::BIDI_FEATURE).close();
            }
        } else {
            features.open("dialback", ns::DIALBACK_FEATURE).open("errors", ns::DIALBACK_FEATURE).close().close();
            features.open("sm", ns::STREAM_MANAGEMENT).close();
            // XEP-0478.
            let most = self.config.limit_after.to_string();
            features.open("limits", ns::STREAM_LIMITS).leaf("max-bytes", ns::STREAM_LIMITS, &most).close();
        }
        let features = features.finish();
        self.wire.write([b"<stream:features>", &*features, b"</stream:features>"].concat());
    }

    fn element(&mut self, document: Document) {
        let root = document.root();
        match root.ns() {
            ns::SERVER => self.stanza(document),
            ns::TLS if root.name() == "starttls" && !self.is_secure => {
                self.wire.write(&b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"[..]);
                self.wire.start_tls();
            }
            ns::TLS => {
                self.wire.write(&b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"[..]);
                self.wire.finish(None);
            }
            ns::STREAM if root.name() == "error" => {
                self.wire.finish(Some(ServerError::Remote(StreamError::read(root))));
            }
            _ if !self.is_secure => {
                let text = "TLS first";
                self.fail(StreamError::new(StreamCondition::PolicyViolation).text(text));
            }
            ns::SASL => self.sasl(root),
            ns::DIALBACK => self.dialback_element(root),
            ns::BIDI if self.config.bidi && self.proved.is_empty() => self.is_bidi = true,
            ns::STREAM_MANAGEMENT if !self.proved.is_empty() => match management(root) {
                Some(management) => self.wire.push(ServerOutput::Management(management)),
                None => self.fail(StreamCondition::BadFormat.into()),
            },
            _ => self.fail(unknown()),
        }
    }

    fn stanza(&mut self, document: Document) {
        if self.proved.is_empty() {
            return self.fail(StreamCondition::NotAuthorized.into());
        }
        let (proved, serves) = (&self.proved, &self.config.serves);
        self.wire.stanza(document, |pair| {
            let mut of_remote = proved.iter().filter(|(known, _)| known.remote == pair.remote).peekable();
            if of_remote.peek().is_none() {
                return Err(StreamError::new(StreamCondition::InvalidFrom).text("that domain was not proved here"));
            }
            if !serves(&pair.local) {
                return Err(StreamCondition::HostUnknown.into());
            }
            // A certificate says who the peer is, whomever it talks to; dialback says it for one pair (XEP-0220 §2.6).
            let fits =
                |(known, proof): &(Pair, ServerProof)| *proof == ServerProof::External || known.local == pair.local;
            if of_remote.any(fits) {
                return Ok(());
            }
            Err(StreamError::new(StreamCondition::InvalidFrom).text("that domain was proved for another one of ours"))
        });
    }

    /// XEP-0178 §3.
    fn sasl(&mut self, root: Node<'_>) {
        if root.name() != "auth" || !self.proved.is_empty() {
            return self.fail(StreamCondition::NotAuthorized.into());
        }
        let failure = match (&self.pair, &self.identity) {
            _ if root.attr("mechanism").as_deref() != Some("EXTERNAL") => Failure::InvalidMechanism,
            (Some(pair), Identity::Certificate) => match authorization(&root.text()) {
                None => Failure::IncorrectEncoding,
                Some(domain)
                    if domain.is_empty() || prepare_domain(&domain).is_ok_and(|name| *name == *pair.remote) =>
                {
                    let pair = pair.clone();
                    self.wire.write(&b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"[..]);
                    self.wire.restart();
                    return self.prove(pair, ServerProof::External);
                }
                Some(_) => Failure::InvalidAuthzid,
            },
            _ => Failure::NotAuthorized,
        };
        let mut out = Writer::new(ns::SERVER);
        out.open("failure", ns::SASL).open(failure.name(), ns::SASL).close().close();
        self.wire.write(out.finish());
        self.failures += 1;
        if self.failures >= ATTEMPTS {
            self.fail(StreamCondition::PolicyViolation.into());
        }
    }

    fn dialback_element(&mut self, root: Node<'_>) {
        let Some(read) = dialback::read(root) else {
            return self.fail(StreamError::new(StreamCondition::BadFormat).text("this is no dialback element"));
        };
        let pair = read.pair;
        match (read.element, read.word, read.id) {
            (Element::Result, Word::Key(key), _) => self.claim(pair, key),
            (Element::Verify, Word::Key(key), Some(id)) => {
                let word = if !(self.config.serves)(&pair.local) {
                    Word::Error(Condition::ItemNotFound.into())
                } else if dialback::is_right(&self.config.secret, &pair.remote, &pair.local, &id, &key) {
                    Word::Valid
                } else {
                    Word::Invalid
                };
                self.wire.write(dialback::write(Element::Verify, &pair, Some(&id), &word));
            }
            (Element::Verify, Word::Key(_), None) => self.fail(StreamCondition::BadFormat.into()),
            // An answer to what nobody asked here (XSF notice of 2012-08).
            _ => self.fail(StreamError::new(StreamCondition::NotAuthorized).text("nothing was asked on this stream")),
        }
    }

    /// A key is shown to us (XEP-0220 §2.2.1).
    fn claim(&mut self, pair: Pair, key: Box<str>) {
        if (self.config.serves)(&pair.remote) {
            return self.fail(StreamError::new(StreamCondition::InvalidFrom).text("that domain is served here"));
        }
        let error = |condition| Word::Error(StanzaError::new(condition));
        let word = if !(self.config.serves)(&pair.local) {
            error(Condition::ItemNotFound)
        } else if self.proved.iter().any(|(known, _)| *known == pair) {
            Word::Valid
        } else if self.claims.contains(&pair) {
            return;
        } else if self.claims.len() >= CLAIMS || self.proved.len() >= PAIRS {
            error(Condition::ResourceConstraint)
        } else {
            self.claims.push(pair.clone());
            return self.wire.push(ServerOutput::Dialback(Claim { pair, id: self.id.clone(), key }));
        };
        self.wire.write(dialback::write(Element::Result, &pair, None, &word));
    }

    fn prove(&mut self, pair: Pair, proof: ServerProof) {
        if self.proved.is_empty() {
            self.deadline = None;
            self.wire.set_limit(self.config.limit_after);
        }
        self.proved.push((pair.clone(), proof));
        self.wire.push(ServerOutput::Proved(pair, proof));
    }
}

impl ServerAccept {
    /// An element of stream management, to be written in the order of everything else.
    pub fn say(&mut self, management: Management) {
        if self.wire.wait == Wait::Input {
            self.wire.write(management.to_bytes());
        }
    }
}

/// The authorization identity of an initial response; `=` is an empty one (RFC 6120 §6.4.2).
fn authorization(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text == "=" {
        return Some(String::new());
    }
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}
