//! The server's side of a stream (RFC 6120 §4 to §7).

mod message;
mod output;

use super::{
    Answer, Control, Need, Secured, StreamCondition, StreamError,
    framing::{
        Framing,
        frames::{NORMAL, Sender},
    },
    header::{self, Header, Reply, Version},
    input::{Input, Piece},
    steps::{AcceptLogin, AcceptStep, Bits, Progress, Then},
};
use crate::{
    jid::Jid,
    ns, sasl,
    stanza::{Rejected, Stanza},
    xml::{Document, Node, Scope, Writer},
};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

/// What a stream server needs to know; shared by all streams of a listener.
#[derive(Debug)]
pub struct AcceptConfig {
    /// The domains served. The first is the one that answers where a client asked for none of them.
    pub domains: Vec<Box<str>>,
    /// Largest element before login, in bytes.
    pub limit_before_login: usize,
    /// Largest stanza after login, in bytes.
    pub limit_after_login: usize,
    /// From the first byte to the end of negotiation. Nothing that the peer sends extends it.
    pub login_timeout: Duration,
    /// False only for plaintext on loopback.
    pub require_tls: bool,
    /// Mechanisms offered, strongest first; -PLUS ones are offered only where there is binding data.
    pub mechanisms: Vec<sasl::Mechanism>,
    /// What can be asked for in `<bind/>` (XEP-0386 §3.1), beside what the steps read themselves.
    pub bind_features: Vec<&'static str>,
    /// Failed logins on one stream before it is closed (RFC 6120 §6.4.5).
    pub login_attempts: u8,
    /// The steps, in the order in which features are advertised: [`steps::ACCEPT`], and those of other crates.
    pub steps: Vec<&'static dyn AcceptStep>,
    /// Where clients that speak in messages are sent instead (RFC 7395 §3.6.1).
    pub elsewhere: Option<Box<str>>,
    /// A source of randomness for stream ids and nonces.
    pub random: fn(&mut [u8]),
}

/// What the driver of a server stream does next.
#[derive(Debug)]
pub enum Output {
    /// Write these bytes.
    Write(Bytes),
    /// Flush, forget all input read so far but not consumed, make TLS, then call `secured`.
    StartTls,
    /// Find the answer, which may take time, and call `answer`. Nothing else happens until then.
    Need(Need),
    /// Negotiation is over: this is the client's full address.
    Bound(Jid),
    /// A stanza, or one to answer with an error. Only after `Bound`.
    Stanza(Result<Stanza, Box<Rejected>>),
    /// Something between stanzas that is about the session. Only after `Bound`.
    Control(Control),
    /// The stream is over and its last bytes were handed out: flush and close. `None`: closed in order.
    Closed(Option<StreamError>),
    /// The peer has closed the connection, but not the stream: flush and close. A session that can be resumed stays
    /// (RFC 7395 §3.6). Only where each element is a message.
    Gone,
}

/// The server's side of a stream.
///
/// Its size matters, since there is one for each client: what only the login needs is boxed and freed at its end.
#[derive(Debug)]
pub struct Accept {
    config: Arc<AcceptConfig>,
    input: Input,
    /// Outputs not yet handed out; `None` most of the time.
    #[expect(clippy::box_collection, reason = "empty most of the time: 8 bytes in place of 32")]
    queue: Option<Box<VecDeque<Output>>>,
    /// Until a resource is bound.
    negotiation: Option<Box<Negotiation>>,
    address: Option<Jid>,
    /// The stream's `xml:lang`, which its stanzas inherit (RFC 6120 §4.7.4).
    lang: Option<Box<str>>,
    /// Namespaces of the stream header, where they are not the usual ones.
    scope: Option<Box<Scope>>,
    bits: Bits,
    wait: Wait,
    /// Whether our header was sent and our end tag was not.
    open: bool,
}

#[derive(Debug)]
struct Negotiation {
    login: AcceptLogin,
    deadline: Instant,
}

/// What the next move depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Input,
    /// A call of `secured`.
    Tls,
    /// A call of `answer`, for the step at this index.
    Answer(u8),
    Closed,
}

/// The namespaces that clients ordinarily declare.
static USUAL: LazyLock<Scope> = LazyLock::new(|| {
    let mut usual = Vec::new();
    Reply::default().write(&mut usual);
    header::read(usual.into()).map_or_else(|_| Scope::new(ns::CLIENT), |(header, _)| header.scope)
});

impl Accept {
    /// A new stream. `secured`: Some on a connection that began with TLS.
    pub fn new(config: Arc<AcceptConfig>, now: Instant, secured: Option<Secured>) -> Accept {
        Accept::with(Framing::Document, config, now, secured)
    }

    /// A new stream whose elements are told apart in this way.
    pub fn with(framing: Framing, config: Arc<AcceptConfig>, now: Instant, secured: Option<Secured>) -> Accept {
        let bits = if config.require_tls { Bits::NONE } else { Bits::PRIVATE };
        let login = AcceptLogin {
            config: config.clone(),
            bits,
            domain: config.domains.first().cloned().unwrap_or_default(),
            from: None,
            secured: None,
            username: None,
            failures: 0,
            exchange: None,
            is_busy: false,
            features_version: None,
            address: None,
            is_managed: false,
        };
        let negotiation = Negotiation { login, deadline: now + config.login_timeout };
        let mut accept = Accept {
            input: Input::new(config.limit_before_login, framing, Sender::Client),
            queue: None,
            negotiation: Some(Box::new(negotiation)),
            address: None,
            lang: None,
            scope: None,
            bits,
            wait: Wait::Tls,
            open: false,
            config,
        };
        match secured {
            Some(secured) => accept.secured(secured),
            None => accept.wait = Wait::Input,
        }
        accept
    }

    /// The next output; takes what it needs from the front of `input`.
    pub fn poll(&mut self, input: &mut &[u8], now: Instant) -> Option<Output> {
        loop {
            if let Some(output) = self.queued() {
                return Some(output);
            }
            if self.wait == Wait::Closed {
                *input = &[];
                return None;
            }
            if self.deadline().is_some_and(|deadline| now >= deadline) {
                self.fail(StreamError::new(StreamCondition::PolicyViolation).text("the login took too long"));
                continue;
            }
            match self.wait {
                Wait::Input => {}
                // What came before TLS does not count inside it (RFC 6120 §5.4.3.3).
                Wait::Tls => {
                    *input = &[];
                    return None;
                }
                Wait::Answer(_) => match self.input.keep(input, self.config.limit_after_login) {
                    Ok(()) => return None,
                    Err(error) => {
                        self.fail(error.into());
                        continue;
                    }
                },
                Wait::Closed => return None,
            }
            match self.input.next(input) {
                Ok(Some(piece)) => {
                    if let Some(output) = self.piece(piece) {
                        return Some(output);
                    }
                }
                Ok(None) if self.open && self.input.holds_header() => {
                    self.fail(StreamError::new(StreamCondition::UnsupportedStanzaType).text("a second stream header"));
                }
                Ok(None) => return None,
                Err(refused) => self.refuse(refused),
            }
        }
    }

    fn piece(&mut self, piece: Piece) -> Option<Output> {
        match piece {
            Piece::Element(bytes) => match Document::parse(bytes, self.scope.as_deref().unwrap_or_else(|| &USUAL)) {
                Ok(element) => return self.element(element),
                Err(error) => self.fail(error.into()),
            },
            Piece::Message(bytes) => return self.message(bytes),
            // XEP-0388 §2.4.
            Piece::Whitespace if self.is_busy() => self.disturbed(),
            Piece::Whitespace | Piece::Pong => {}
            Piece::Header(bytes) => match header::read(bytes) {
                Ok((header, namespaces)) => self.header(header, namespaces),
                Err(error) => self.fail(error.into()),
            },
            Piece::End => self.finish(None, NORMAL),
            Piece::Ping(payload) => self.pong(&payload),
            Piece::Close(code) => self.gone(code),
        }
        None
    }

    /// After [`Output::StartTls`].
    pub fn secured(&mut self, secured: Secured) {
        let Some(negotiation) = self.negotiation.as_mut().filter(|_| self.wait == Wait::Tls) else { return };
        negotiation.login.secured = Some(secured);
        negotiation.login.bits = negotiation.login.bits | Bits::TLS | Bits::PRIVATE;
        self.bits = negotiation.login.bits;
        self.wait = Wait::Input;
        self.input.discard();
    }

    /// After [`Output::Need`]. An answer that comes after the stream's end is dropped.
    pub fn answer(&mut self, answer: Answer) {
        let Wait::Answer(step) = self.wait else { return };
        self.wait = Wait::Input;
        match (self.config.steps.get(usize::from(step)), &mut self.negotiation) {
            (Some(at_work), Some(negotiation)) => {
                let progress = at_work.answer(&mut negotiation.login, answer);
                self.apply(step, progress);
            }
            _ => self.fail(StreamCondition::InternalServerError.into()),
        }
    }

    /// Ends the stream from our side: the error, if any, and the end tag follow as outputs of `poll`.
    /// Stanzas that came before are already out; those behind are not read.
    pub fn close(&mut self, error: Option<StreamError>) {
        match error {
            _ if self.wait == Wait::Closed => {}
            Some(error) => self.fail(error),
            None => self.finish(None, NORMAL),
        }
    }

    /// How what is written between its outputs has to be framed.
    pub fn framing(&self) -> Framing {
        self.input.framing()
    }

    /// When to call `poll` with no input at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.negotiation.as_ref().map(|negotiation| negotiation.deadline)
    }

    /// The address bound.
    pub fn bound(&self) -> Option<&Jid> {
        self.address.as_ref()
    }

    /// Whether an exchange is going on that nothing else may come between.
    fn is_busy(&self) -> bool {
        self.negotiation.as_ref().is_some_and(|negotiation| negotiation.login.is_busy)
    }

    fn disturbed(&mut self) {
        self.fail(StreamError::new(StreamCondition::PolicyViolation).text("the login is not over"));
    }

    /// Octets kept on the heap for input that is not complete, and the queue.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        let queue = self.queue.as_ref().map_or(0, |queue| size_of_val(&**queue));
        self.input.kept() + queue + self.negotiation.as_ref().map_or(0, |negotiation| size_of_val(&**negotiation))
    }

    /// The oldest output in the queue; frees the queue once it is empty after the login.
    fn queued(&mut self) -> Option<Output> {
        let queue = self.queue.as_mut()?;
        let output = queue.pop_front();
        if queue.is_empty() && self.negotiation.is_none() {
            self.queue = None;
        }
        output
    }

    fn push(&mut self, output: Output) {
        self.queue.get_or_insert_default().push_back(output);
    }

    /// The client's header: ours, then what is wrong with the client's or the features that are possible now.
    fn header(&mut self, header: Header, namespaces: Result<(), StreamError>) {
        let Some(negotiation) = &mut self.negotiation else {
            return self.fail(StreamCondition::UnsupportedStanzaType.into());
        };
        if self.input.framing() == Framing::Messages
            && let Some(uri) = self.config.elsewhere.clone()
        {
            self.close_messages(Some(&uri), NORMAL);
            return self.over(Output::Closed(None));
        }
        let login = &mut negotiation.login;
        let from = header.from.as_deref().filter(|from| !from.is_empty());
        let from = from.map(|from| Jid::parse(from).map(|jid| jid.bare()));
        let domain = header::served(header.to.as_deref(), &self.config.domains).map(Box::<str>::from);
        let checked = namespaces
            .and_then(|()| domain.as_ref().map_err(Clone::clone))
            .and_then(|domain| header::check(login, domain, header.version, &from));
        let from = from.and_then(Result::ok);
        if checked.is_ok() {
            login.domain = domain.unwrap_or_default();
            login.from = from.clone().filter(|_| login.bits.has(Bits::TLS));
            login.exchange = None;
            login.is_busy = false;
        }
        let answering = login.domain.clone();
        self.scope = (header.scope != *USUAL).then(|| Box::new(header.scope));
        self.lang = header.lang;
        // An older peer gets no version (RFC 6120 §4.7.5, rule 4).
        self.reply(&answering, from.as_ref().map(Jid::as_str), header.version != Version::Missing);
        match checked {
            Ok(()) => self.features(),
            Err(error) => self.fail(error),
        }
    }

    /// The features that are possible now (RFC 6120 §4.3.2).
    fn features(&mut self) {
        let Some(negotiation) = &mut self.negotiation else { return };
        let mut features = Writer::new(ns::CLIENT);
        let steps = || self.config.steps.iter().filter(|step| possible(**step, self.bits));
        steps().for_each(|step| step.advertise(&negotiation.login, &mut features));
        let features = features.finish();
        let mut out = [b"<stream:features>", &*features].concat();
        let seals = steps().filter_map(|step| step.seal(&mut negotiation.login, &features));
        seals.for_each(|seal| out.extend_from_slice(&seal));
        out.extend_from_slice(b"</stream:features>");
        self.write_element(out.into());
    }

    /// A first-level element.
    fn element(&mut self, document: Document) -> Option<Output> {
        let root = document.root();
        let content = root.ns() == ns::CLIENT;
        // RFC 6120 §4.8.5: no prefix for the content namespace.
        if content && !document.bytes().get(1..).is_some_and(|tag| tag.starts_with(root.name().as_bytes())) {
            self.fail(StreamCondition::BadNamespacePrefix.into());
            return None;
        }
        // Of bound streams, messages and presences are what counts: no step is asked about them.
        if (self.negotiation.is_some() || !content || root.name() == "iq")
            && let Some(step) = self.config.steps.iter().position(|step| step.takes(root))
        {
            match self.config.steps.get(step) {
                Some(at_work) if self.is_busy() && !at_work.may_go_on(root) => self.disturbed(),
                _ => self.step(step, document),
            }
            return None;
        }
        if self.is_busy() {
            self.disturbed();
            return None;
        }
        if self.negotiation.is_some() || !content {
            // §4.9.3.12, and §7.1 between login and binding.
            self.fail(
                if is_stanza(root) { StreamCondition::NotAuthorized } else { StreamCondition::UnsupportedStanzaType }
                    .into(),
            );
            return None;
        }
        let Some(mut stanza) = Stanza::read(document) else {
            self.fail(StreamCondition::UnsupportedStanzaType.into());
            return None;
        };
        if let (Some(lang), Ok(stanza)) = (&self.lang, &mut stanza) {
            stanza.lang.get_or_insert_with(|| lang.clone());
        }
        Some(Output::Stanza(stanza))
    }

    /// Gives an element to the step that takes it.
    fn step(&mut self, index: usize, element: Document) {
        let Some(step) = self.config.steps.get(index) else { return };
        let progress = match (&mut self.negotiation, &self.address) {
            _ if !possible(*step, self.bits) => step.untimely(self.bits, element),
            (Some(negotiation), _) => step.element(&mut negotiation.login, element),
            (None, Some(address)) => step.after_bound(address, element),
            (None, None) => StreamCondition::InternalServerError.into(),
        };
        match u8::try_from(index) {
            Ok(index) => self.apply(index, progress),
            Err(_) => self.fail(StreamCondition::InternalServerError.into()),
        }
    }

    /// Negotiation is over.
    fn bind(&mut self, address: Jid) {
        self.push(Output::Bound(address.clone()));
        self.address = Some(address);
        self.negotiation = None;
        self.input.set_limit(self.config.limit_after_login);
    }

    fn apply(&mut self, step: u8, progress: Progress<StreamError>) {
        self.bits = self.bits | progress.set;
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.login.bits = self.bits;
        }
        if let Some(bytes) = progress.write {
            self.write_element(bytes);
        }
        match progress.then {
            Then::Continue | Then::Next => {}
            Then::Features => self.features(),
            Then::Restart => {
                self.input.restart();
                self.open = false;
            }
            Then::StartTls => {
                self.push(Output::StartTls);
                self.input.discard();
                self.wait = Wait::Tls;
                self.open = false;
            }
            Then::Need(need) => {
                self.push(Output::Need(need));
                self.wait = Wait::Answer(step);
            }
            Then::Welcome(address) => {
                if let Some(negotiation) = &mut self.negotiation {
                    negotiation.login.address = Some(address.clone());
                }
                self.features();
                self.bits = self.bits | Bits::BOUND;
                self.bind(address);
            }
            Then::Bound(address) => self.bind(address),
            Then::Control(control) => self.push(Output::Control(control)),
            Then::Close => self.finish(None, NORMAL),
            Then::Fail(error) => self.fail(error),
        }
    }
}

fn possible(step: &dyn AcceptStep, bits: Bits) -> bool {
    bits.has(step.needs()) && !bits.has_any(step.forbids())
}

fn is_stanza(element: Node<'_>) -> bool {
    element.ns() == ns::CLIENT && matches!(element.name(), "message" | "presence" | "iq")
}
