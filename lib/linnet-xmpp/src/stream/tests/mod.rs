//! Both ends of a stream in one thread, with a pretend clock, a pretend network that splits bytes anywhere, and a
//! pretend server behind the server's side.

mod accept;
mod client;
mod control;
mod header;
mod login;
mod managed;
mod messages;
mod one_exchange;
mod sasl2;
mod splits;
mod step;

use super::*;
use crate::{
    jid::Jid,
    sasl::{ChannelBindings, Failure, Hash, Mechanism, ScramKeys},
    stanza::{Condition, Rejected, Stanza},
};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

pub(super) const DOMAIN: &str = "capulet.example";
pub(super) const OTHER: &str = "montague.example";
pub(super) const HEADER: &str = "<?xml version='1.0'?><stream:stream to='capulet.example' version='1.0' \
     xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
pub(super) const DEVICE: &str = "d4565fa7-4d72-4749-b3d3-740edbf87770";
pub(super) const TOKEN: &str = "a-token-of-juliet";
pub(super) const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

/// A clock that stands still until it is told to go on.
pub(super) fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

/// Different at each call, which is all that tests need of randomness.
pub(super) fn random(bytes: &mut [u8]) {
    static SEED: AtomicU64 = AtomicU64::new(1);
    let mut state = SEED.fetch_add(1, Ordering::Relaxed);
    for byte in bytes {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        *byte = (state >> 56) as u8;
    }
}

pub(super) const ALL: [Mechanism; 9] = [
    Mechanism::Scram { hash: Hash::Sha512, plus: true },
    Mechanism::Scram { hash: Hash::Sha256, plus: true },
    Mechanism::Scram { hash: Hash::Sha1, plus: true },
    Mechanism::Scram { hash: Hash::Sha512, plus: false },
    Mechanism::Scram { hash: Hash::Sha256, plus: false },
    Mechanism::Scram { hash: Hash::Sha1, plus: false },
    Mechanism::Plain,
    Mechanism::External,
    Mechanism::Anonymous,
];

pub(super) fn accept_config() -> AcceptConfig {
    AcceptConfig {
        domains: vec![DOMAIN.into(), OTHER.into()],
        limit_before_login: 10_240,
        limit_after_login: 65_536,
        login_timeout: Duration::from_secs(60),
        require_tls: true,
        mechanisms: ALL[..8].to_vec(),
        bind_features: vec!["urn:xmpp:carbons:2"],
        login_attempts: 3,
        steps: steps::ACCEPT.to_vec(),
        elsewhere: None,
        random,
    }
}

pub(super) fn initiate_config() -> InitiateConfig {
    InitiateConfig {
        domain: DOMAIN.into(),
        login: Login::Password { username: "juliet".into(), password: "r0m30myr0m30".into() },
        resource: Some("balcony".into()),
        resumption: None,
        mechanisms: ALL.to_vec(),
        require_tls: true,
        limit: 65_536,
        timeout: Duration::from_secs(30),
        lang: Some("it".into()),
        inline: None,
        random,
    }
}

pub(super) fn secured() -> Secured {
    let bindings = ChannelBindings { exporter: Some([7; 32].into()), server_end_point: Some([9; 32].into()) };
    Secured { bindings, certificate: false }
}

/// What stands behind the server's side: accounts and the addresses in use.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) passwords: BTreeMap<&'static str, &'static str>,
    pub(super) bound: BTreeSet<String>,
    /// Keeps questions open until the test answers them.
    pub(super) silent: bool,
    /// Wants keys of all hashes that a client would give.
    pub(super) upgrades: bool,
    pub(super) asked: Vec<Need>,
}

impl Backend {
    fn answer(&mut self, need: &Need) -> Answer {
        match need {
            Need::Keys { username, hash, .. } => Answer::Keys(Ok(match self.passwords.get(&**username) {
                Some(password) => (ScramKeys::derive(*hash, password, b"a salt of sixteen", 4096).unwrap(), Ok(())),
                None => (ScramKeys::decoy(*hash, username, &[3; 32], 4096), Err(Failure::NotAuthorized)),
            })),
            Need::Verify { username, password, .. } => {
                let right = self.passwords.get(&**username).is_some_and(|known| *known == *password);
                Answer::Verified(if right { Ok(username.clone()) } else { Err(Failure::NotAuthorized) })
            }
            Need::SignUp { .. } => Answer::SignedUp(Ok(())),
            Need::Token { username, device, proof, .. } => {
                let right = username == "juliet" && **device == *DEVICE && proof.accepts(TOKEN);
                Answer::Token(if right { Ok(proof.answer(TOKEN)) } else { Err(Failure::NotAuthorized) })
            }
            Need::Upgrades { wanted, .. } => Answer::Upgrades(
                wanted
                    .iter()
                    .filter(|_| self.upgrades)
                    .map(|hash| Upgrade { hash: *hash, salt: (*b"other salt of 16").into(), iterations: 4096 })
                    .collect(),
            ),
            Need::Upgrade { username, keys, .. } => {
                let right = self.passwords.get(&**username).is_some_and(|password| keys.verify(password));
                Answer::Upgraded(if right { Ok(()) } else { Err(Failure::MalformedRequest) })
            }
            Need::Enter(entry) => Answer::Entered(Ok(Box::new(self.enter(entry)))),
            Need::Certificate { authzid, .. } => Answer::Verified(match authzid.as_deref() {
                None | Some("" | "juliet@capulet.example") => Ok("juliet".to_owned()),
                Some(_) => Err(Failure::InvalidAuthzid),
            }),
            Need::Resume { id, handled: 2, .. } if *id == "known" => {
                let address = Jid::parse("juliet@capulet.example/balcony").unwrap();
                Answer::Resumed(Ok(Resumed { address, handled: 7 }))
            }
            Need::Resume { id, .. } if *id == "known" => {
                Answer::Resumed(Err(NotResumed::TooHigh { handled: 9, sent: 2 }))
            }
            Need::Resume { .. } => Answer::Resumed(Err(NotResumed::Unknown(None))),
            Need::Bind { username, domain, resource } => {
                Answer::Bound(self.bind(username.as_deref(), domain, resource.as_deref()))
            }
        }
    }

    /// Goes on with the session `known`, else binds; `<bound/>` repeats what was asked for.
    fn enter(&mut self, entry: &Entry) -> Entered {
        let mut entered =
            Entered { more: Bytes::from_static(b"<more xmlns='urn:example:more'/>"), ..Entered::default() };
        if let Some((id, handled)) = &entry.resume {
            let (username, domain) = (entry.username.clone(), entry.domain.clone());
            let need = Need::Resume { username, domain, id: id.clone(), handled: *handled };
            let Answer::Resumed(resumed) = self.answer(&need) else { panic!("not the answer") };
            entered.address = resumed.as_ref().ok().map(|resumed| resumed.address.clone());
            entered.resumed = Some(resumed);
        }
        if let (None, Some(bind)) = (&entered.address, &entry.bind) {
            let resource = format!("{}/1", bind.tag.as_deref().unwrap_or_default());
            entered.address = self.bind(entry.username.as_deref(), &entry.domain, Some(&resource)).ok();
            let mut content = Vec::new();
            for control in &bind.controls {
                if let Control::Enable { .. } = control {
                    let signal = Signal::Enabled(Some(("an-id".into(), Duration::from_secs(60))));
                    content.extend_from_slice(&signal.to_bytes());
                }
            }
            bind.payloads.iter().for_each(|payload| content.extend_from_slice(payload.bytes()));
            entered.bound = Some(content.into());
        }
        entered
    }

    fn bind(
        &mut self,
        username: Option<&str>,
        domain: &str,
        resource: Option<&str>,
    ) -> Result<Jid, crate::StanzaError> {
        let local = username.unwrap_or("anonymous-1");
        let jid =
            Jid::new(Some(local), domain, Some(resource.unwrap_or("chosen"))).map_err(|_| Condition::BadRequest)?;
        if self.bound.insert(jid.to_string()) { Ok(jid) } else { Err(Condition::Conflict.into()) }
    }
}

/// A driver of the server's side, with everything that came out of it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) accept: Accept,
    pub(super) backend: Backend,
    pub(super) now: Instant,
    pub(super) written: Vec<u8>,
    pub(super) stanzas: Vec<Result<Stanza, Box<Rejected>>>,
    pub(super) controls: Vec<Control>,
    pub(super) bound: Option<Jid>,
    pub(super) closed: Option<Option<StreamError>>,
    pub(super) start_tls: bool,
    pub(super) gone: bool,
}

impl Server {
    pub(super) fn new(config: AcceptConfig, secured: Option<Secured>) -> Server {
        Server::with(Framing::Document, config, secured)
    }

    pub(super) fn with(framing: Framing, config: AcceptConfig, secured: Option<Secured>) -> Server {
        let backend = Backend {
            passwords: [("juliet", "r0m30myr0m30"), ("romeo", "j")].into(),
            bound: BTreeSet::new(),
            silent: false,
            upgrades: false,
            asked: Vec::new(),
        };
        let accept = Accept::with(framing, Arc::new(config), start(), secured);
        let (written, stanzas) = (Vec::new(), Vec::new());
        let (controls, bound, closed) = (Vec::new(), None, None);
        let (start_tls, gone) = (false, false);
        Server { accept, backend, now: start(), written, stanzas, controls, bound, closed, start_tls, gone }
    }

    /// Inside TLS, with the header answered.
    pub(super) fn in_tls() -> Server {
        let mut server = Server::new(accept_config(), Some(secured()));
        server.send(HEADER);
        server
    }

    /// Logged in as juliet, with the header answered.
    pub(super) fn logged_in() -> Server {
        let mut server = Server::in_tls();
        let answer = server.send(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGp1bGlldAByMG0zMG15cjBtMzA=</auth>",
        );
        assert_eq!(answer, "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        server.send(HEADER);
        server
    }

    /// Bound as juliet@capulet.example/balcony.
    pub(super) fn in_session() -> Server {
        let mut server = Server::logged_in();
        server.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>balcony</resource></bind></iq>");
        assert_eq!(server.bound.as_ref().unwrap().as_str(), "juliet@capulet.example/balcony");
        server
    }

    /// Hands bytes over, does what comes out, and gives what was written since, with stream ids replaced by `#`.
    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) -> String {
        self.drive(bytes.as_ref());
        self.taken()
    }

    /// Hands bytes over and does what comes out.
    pub(super) fn drive(&mut self, mut input: &[u8]) {
        while let Some(output) = self.accept.poll(&mut input, self.now) {
            match output {
                Output::Write(bytes) => self.written.extend_from_slice(&bytes),
                Output::StartTls => {
                    self.start_tls = true;
                    input = &[];
                }
                Output::Need(need) if self.backend.silent => self.backend.asked.push(need),
                Output::Need(need) => {
                    let answer = self.backend.answer(&need);
                    self.backend.asked.push(need);
                    self.accept.answer(answer);
                }
                Output::Bound(jid) => assert!(self.bound.replace(jid).is_none(), "bound twice"),
                Output::Stanza(stanza) => {
                    assert!(self.bound.is_some(), "a stanza before Bound");
                    self.stanzas.push(stanza);
                }
                Output::Control(control) => self.controls.push(control),
                Output::Closed(error) => assert!(self.closed.replace(error).is_none(), "closed twice"),
                Output::Gone => self.gone = true,
            }
        }
        assert!(input.is_empty(), "the driver's buffer is free after None");
    }

    /// Lets time pass and polls without input.
    pub(super) fn wait(&mut self, time: Duration) -> String {
        self.now += time;
        self.send("")
    }

    pub(super) fn taken(&mut self) -> String {
        let text = String::from_utf8(std::mem::take(&mut self.written)).unwrap();
        without_ids(&text)
    }

    /// The condition that the stream was closed with.
    pub(super) fn condition(&self) -> Option<StreamCondition> {
        self.closed.as_ref().expect("the stream is still open").as_ref().map(|error| error.condition)
    }
}

/// Replaces the ids of stream headers.
pub(super) fn without_ids(text: &str) -> String {
    let mut out = String::new();
    for (index, part) in text.split("<stream:stream ").enumerate() {
        if index == 0 {
            out.push_str(part);
            continue;
        }
        out.push_str("<stream:stream ");
        match part.split_once(" id='").and_then(|(before, rest)| Some((before, rest.split_once('\'')?))) {
            Some((before, (id, rest))) => {
                assert!(id.len() >= 24, "a stream id is not to be guessed");
                out.push_str(before);
                out.push_str(" id='#'");
                out.push_str(rest);
            }
            None => out.push_str(part),
        }
    }
    out
}

/// A driver of the client's side, with everything that came out of it.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) initiate: Initiate,
    pub(super) now: Instant,
    pub(super) written: Vec<u8>,
    pub(super) stanzas: Vec<Stanza>,
    pub(super) notices: Vec<Notice>,
    pub(super) bound: Option<Jid>,
    pub(super) welcome: Option<Box<Welcome>>,
    pub(super) outcome: Outcome,
    pub(super) closed: Option<Option<InitiateError>>,
    pub(super) start_tls: bool,
}

impl Peer {
    pub(super) fn new(config: InitiateConfig, secured: Option<Secured>) -> Peer {
        let initiate = Initiate::new(Arc::new(config), start(), secured);
        let (written, stanzas) = (Vec::new(), Vec::new());
        let (notices, outcome) = (Vec::new(), Outcome::None);
        let (bound, welcome) = (None, None);
        Peer {
            initiate,
            now: start(),
            written,
            stanzas,
            notices,
            bound,
            welcome,
            outcome,
            closed: None,
            start_tls: false,
        }
    }

    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) -> String {
        let mut input = bytes.as_ref();
        while let Some(output) = self.initiate.poll(&mut input, self.now) {
            match output {
                InitiateOutput::Write(bytes) => self.written.extend_from_slice(&bytes),
                InitiateOutput::StartTls => {
                    self.start_tls = true;
                    input = &[];
                }
                InitiateOutput::Notice(notice) => self.notices.push(notice),
                InitiateOutput::Bound { jid, outcome, welcome, .. } if self.bound.is_none() => {
                    self.bound = Some(jid);
                    self.outcome = outcome;
                    self.welcome = welcome;
                }
                InitiateOutput::Bound { .. } => panic!("bound twice"),
                InitiateOutput::Stanza(stanza) => self.stanzas.push(stanza.unwrap()),
                InitiateOutput::Closed(error) => assert!(self.closed.replace(error).is_none(), "closed twice"),
            }
        }
        assert!(input.is_empty(), "the driver's buffer is free after None");
        String::from_utf8(std::mem::take(&mut self.written)).unwrap()
    }

    pub(super) fn wait(&mut self, time: Duration) -> String {
        self.now += time;
        self.send("")
    }

    /// Why the stream was closed.
    pub(super) fn error(&self) -> Option<InitiateError> {
        self.closed.clone().expect("the stream is still open")
    }
}

/// Both ends and the wires between them.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) client: Peer,
    pub(super) server: Server,
    /// What each end sees of TLS once both have started it.
    pub(super) tls: (Secured, Secured),
    /// The sizes of the pieces in which the network delivers, in turn.
    pub(super) pieces: Vec<usize>,
    /// All that the client sent, in the clear.
    pub(super) sent: String,
    /// How often the client sent something and waited.
    pub(super) trips: usize,
    turn: usize,
}

impl Pair {
    pub(super) fn new(client: InitiateConfig, server: AcceptConfig) -> Pair {
        let client = Peer::new(client, None);
        let server = Server::new(server, None);
        Pair {
            client,
            server,
            tls: (secured(), secured()),
            pieces: vec![usize::MAX],
            sent: String::new(),
            trips: 0,
            turn: 0,
        }
    }

    /// Carries bytes to and fro until both ends are still.
    pub(super) fn run(&mut self) {
        let mut to_server = self.client.send("").into_bytes();
        for _ in 0..1000 {
            self.sent.push_str(std::str::from_utf8(&to_server).unwrap());
            self.trips += 1;
            for piece in self.split(&to_server) {
                self.server.drive(&piece);
            }
            let to_client = std::mem::take(&mut self.server.written);
            let mut back = String::new();
            for piece in self.split(&to_client) {
                back.push_str(&self.client.send(piece));
            }
            to_server = back.into_bytes();
            if self.client.start_tls && self.server.start_tls {
                assert!(to_server.is_empty(), "bytes in the clear behind STARTTLS");
                self.client.start_tls = false;
                self.server.start_tls = false;
                self.client.initiate.secured(self.tls.0.clone());
                self.server.accept.secured(self.tls.1.clone());
                to_server = self.client.send("").into_bytes();
            }
            if to_server.is_empty() {
                return;
            }
        }
        panic!("the two ends never come to rest");
    }

    fn split(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = self.pieces[self.turn % self.pieces.len()].clamp(1, rest.len());
            self.turn += 1;
            pieces.push(rest[..len].to_vec());
            rest = &rest[len..];
        }
        pieces
    }
}
