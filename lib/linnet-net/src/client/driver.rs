//! The task of a client: connects, drives the stream, waits and connects again.

use super::{
    Command, Config, Error, Event, RequestError,
    io::{Io, Socket, Step},
    session::Session,
};
use crate::{
    connect::{ConnectError, connect},
    dns::{Security, Service, Target},
    tls::{Tls, secured},
};
use linnet_xeps::{Payload, ping::Ping, roster::Roster};
use linnet_xmpp::{
    Jid, Stanza, StanzaError, ns,
    stanza::{Condition, Kind, Rejected, Type},
    stream::{Initiate, InitiateConfig, InitiateOutput, Outcome, Secured},
    xml::Document,
};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot, watch};

/// Bytes read at once.
const READ: usize = 16 << 10;
/// While more bytes than this wait to be written, handles wait.
const MOST_UNWRITTEN: usize = 64 << 10;
/// For finding and reaching a server, all its targets together.
const REACH_TIMEOUT: Duration = Duration::from_secs(90);
/// A connection that held for so long was a good one: the next failure counts as the first.
const STABLE: Duration = Duration::from_secs(30);
/// For the last bytes of a connection.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The task's state that outlives a connection.
pub(super) struct Driver {
    config: Arc<Config>,
    tls: Tls,
    commands: mpsc::Receiver<Command>,
    outbox: Outbox,
    session: Session,
    address: watch::Sender<Option<Jid>>,
    /// Who waits for the end. Some as soon as it is wanted.
    closing: Option<Vec<oneshot::Sender<()>>>,
}

/// Events on their way to the application.
struct Outbox {
    events: mpsc::Sender<Event>,
    /// Those that it has no room for yet; while there are any, nothing is read.
    backlog: VecDeque<Event>,
}

/// One connection.
struct Connection {
    io: Io,
    stream: Initiate,
    /// Where it leads.
    target: Target,
    /// When to close it, whether or not everything is acknowledged. Some once that is wanted.
    close_at: Option<Instant>,
    heard: Instant,
    pinged: bool,
}

impl Driver {
    pub(super) fn new(
        config: Arc<Config>,
        tls: Tls,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<Event>,
        address: watch::Sender<Option<Jid>>,
    ) -> Driver {
        let outbox = Outbox { events, backlog: VecDeque::new() };
        Driver { config, tls, commands, outbox, session: Session::new(), address, closing: None }
    }

    /// Connects again and again, until it is closed or has no chance.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            let (reason, online_for) = self.connection().await;
            self.address.send_replace(None);
            self.session.disconnected();
            let wait = match &self.config.reconnect {
                Some(backoff) if self.closing.is_none() && !reason.is_final() => {
                    failures = if online_for.is_some_and(|time| time >= STABLE) { 0 } else { failures };
                    Some(backoff.wait(failures, crate::random))
                }
                _ => None,
            };
            failures = failures.saturating_add(1);
            tracing::debug!(%reason, ?wait, "offline");
            if wait.is_none() {
                self.session.give_up().into_iter().for_each(|event| self.outbox.push(event));
            }
            self.outbox.push(Event::Offline { reason, retry: wait });
            match wait {
                Some(wait) => self.rest(wait).await,
                // Who closed the client may wait for that before he reads the last events.
                None if self.closing.is_some() => break self.outbox.pass_now(),
                None => break self.outbox.pass_all().await,
            }
            if self.closing.is_some() {
                break;
            }
        }
    }

    /// Waits before the next attempt; what is asked meanwhile cannot be done.
    async fn rest(&mut self, wait: Duration) {
        let end = tokio::time::sleep(wait);
        tokio::pin!(end);
        while self.closing.is_none() {
            tokio::select! {
                () = &mut end => return,
                command = self.commands.recv() => self.refuse(command),
                () = self.outbox.pass_one(), if !self.outbox.is_empty() => {}
            }
        }
    }

    /// Answers a command while there is no connection.
    fn refuse(&mut self, command: Option<Command>) {
        match command {
            // Handed over while the connection was there.
            Some(Command::Send(stanza)) => self.session.hold(stanza),
            Some(Command::Request { reply, .. }) => {
                let _ = reply.send(Err(RequestError::Offline));
            }
            Some(Command::Close(done)) => self.closing.get_or_insert_default().push(done),
            // The last handle is gone.
            None => {
                self.closing.get_or_insert_default();
            }
        }
    }

    /// One connection from its start to its end: why it ended, and for how long it was online.
    async fn connection(&mut self) -> (Error, Option<Duration>) {
        let (config, tls) = (Arc::clone(&self.config), self.tls.clone());
        let reached = {
            let first = self.session.location();
            let reach = tokio::time::timeout(REACH_TIMEOUT, reach(&config, &tls, first));
            tokio::pin!(reach);
            loop {
                if self.closing.is_some() {
                    return (Error::Closed, None);
                }
                tokio::select! {
                    reached = &mut reach => break reached.unwrap_or(Err(Error::Connect(ConnectError::Timeout))),
                    command = self.commands.recv() => self.refuse(command),
                }
            }
        };
        let (socket, secured, target) = match reached {
            Ok(reached) => reached,
            Err(error) => return (error, None),
        };
        let require_tls = !(self.config.plaintext && socket.is_loopback());
        let mut settings = initiate_config(&self.config, require_tls);
        settings.resumption = self.session.resumption();
        let stream = Initiate::new(Arc::new(settings), Instant::now(), secured);
        let mut connection =
            Connection { io: Io::new(socket), stream, target, close_at: None, heard: Instant::now(), pinged: false };
        let mut online = None;
        let reason = self.drive(&mut connection, &mut online).await;
        (reason, online.map(|since: Instant| since.elapsed()))
    }

    /// Drives a connection until it is over.
    async fn drive(&mut self, connection: &mut Connection, online: &mut Option<Instant>) -> Error {
        let mut buffer = vec![0; READ];
        let mut filled = 0;
        loop {
            let mut input = &buffer[..filled];
            while let Some(output) = connection.stream.poll(&mut input, Instant::now()) {
                match output {
                    InitiateOutput::Write(bytes) => connection.io.out().extend_from_slice(&bytes),
                    InitiateOutput::StartTls => {
                        if let Err(error) = self.start_tls(connection).await {
                            return error;
                        }
                        input = &[];
                    }
                    InitiateOutput::Bound { jid, features, outcome, welcome: _ } => {
                        *online = Some(Instant::now());
                        self.bound(connection, jid, features, outcome);
                    }
                    InitiateOutput::Notice(notice) => {
                        let Connection { io, stream, target, .. } = &mut *connection;
                        match self.session.notice(notice, target, io) {
                            Ok(events) => events.into_iter().for_each(|event| self.outbox.push(event)),
                            Err(error) => stream.abort(error),
                        }
                    }
                    InitiateOutput::Stanza(stanza) => self.stanza(connection, stanza),
                    InitiateOutput::Closed(error) => {
                        // The stream is over whether or not its last bytes still leave.
                        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, connection.io.shutdown()).await;
                        return match error {
                            Some(error) => Error::Stream(error),
                            None if self.closing.is_some() => Error::Closed,
                            None => Error::Ended,
                        };
                    }
                }
            }
            if self.close_if_settled(connection) {
                filled = 0;
                continue;
            }
            filled = match self.wait(connection, &mut buffer).await {
                Ok(filled) => filled,
                Err(error) => return error,
            };
        }
    }

    fn bound(&mut self, connection: &mut Connection, jid: Jid, features: Document, outcome: Outcome) {
        let is_offered = features.root().child("sm", ns::STREAM_MANAGEMENT).is_some();
        match self.session.bound(&self.config, (&jid, outcome, is_offered), &mut connection.io) {
            Ok(events) => {
                self.address.send_replace(Some(jid.clone()));
                let resumed = matches!(outcome, Outcome::Resumed(_));
                self.outbox.push(Event::Online { jid, features, resumed });
                events.into_iter().for_each(|event| self.outbox.push(event));
            }
            Err(error) => connection.stream.abort(error),
        }
    }

    /// Closes the stream once that is wanted and everything is acknowledged, or there was time enough for that.
    fn close_if_settled(&mut self, connection: &mut Connection) -> bool {
        let is_time = connection.close_at.is_some_and(|at| Instant::now() >= at || self.session.is_settled());
        if is_time {
            connection.close_at = None;
            self.session.answer(&mut connection.io);
            connection.stream.close();
        }
        is_time
    }

    /// Waits until there is something to do, and does it, unless it is for the stream: then the bytes read.
    async fn wait(&mut self, connection: &mut Connection, buffer: &mut [u8]) -> Result<usize, Error> {
        let bound = connection.stream.bound().is_some();
        let quiet = connection.heard + self.quiet_limit(connection.pinged);
        let deadline = connection.stream.deadline();
        let wake =
            if bound { deadline.map_or(quiet, |deadline| deadline.min(quiet)) } else { deadline.unwrap_or(quiet) };
        let wake = connection.close_at.map_or(wake, |at| at.min(wake));
        let room = connection.io.out().len() < MOST_UNWRITTEN && self.session.has_room();
        tokio::select! {
            step = connection.io.step(buffer, self.outbox.is_empty()) => match step {
                Ok(Step::Read(0)) if self.closing.is_some() => return Err(Error::Closed),
                Ok(Step::Read(0)) => return Err(Error::Lost("the server closed it without a word".into())),
                Ok(Step::Read(filled)) => {
                    connection.heard = Instant::now();
                    connection.pinged = false;
                    return Ok(filled);
                }
                Ok(Step::Wrote) => {}
                Err(_) if self.closing.is_some() => return Err(Error::Closed),
                Err(error) => return Err(Error::Lost(error.to_string().into())),
            },
            command = self.commands.recv(), if room && self.closing.is_none() => self.command(connection, command, bound),
            () = self.outbox.pass_one(), if !self.outbox.is_empty() => {}
            () = tokio::time::sleep_until(wake.into()) => {
                if bound && Instant::now() >= quiet {
                    if connection.pinged {
                        return Err(Error::Silent);
                    }
                    connection.pinged = true;
                    let id = self.session.requests.id();
                    let ping = Stanza::new(Kind::Iq, Type::Get, Ping.to_bytes()).id(Some(&id));
                    self.session.write(&ping.to(self.config.jid.domain_jid()), &mut connection.io);
                }
            }
        }
        Ok(0)
    }

    /// How long the server may say nothing. While events wait for the application nothing is read, so nothing is heard.
    fn quiet_limit(&self, pinged: bool) -> Duration {
        let ping_after = if self.outbox.is_empty() { self.config.ping_after } else { Duration::from_secs(86_400) };
        if pinged { ping_after + self.config.request_timeout } else { ping_after }
    }

    fn command(&mut self, connection: &mut Connection, command: Option<Command>, bound: bool) {
        match command {
            Some(Command::Send(stanza)) if bound => self.session.send(stanza, &mut connection.io),
            Some(Command::Request { stanza, reply }) if bound => {
                let stanza = self.session.requests.add(stanza, reply);
                self.session.write(&stanza, &mut connection.io);
            }
            command => {
                self.refuse(command);
                if self.closing.is_some() && bound {
                    connection.close_at = Some(Instant::now() + self.config.login_timeout);
                } else if self.closing.is_some() {
                    connection.stream.close();
                }
            }
        }
    }

    async fn start_tls(&self, connection: &mut Connection) -> Result<(), Error> {
        let lost = |error: std::io::Error| Error::Lost(error.to_string().into());
        let flushed = tokio::time::timeout(self.config.connect_timeout, connection.io.flush()).await;
        flushed.map_err(|_| Error::Silent)?.map_err(lost)?;
        let Some(Socket::Plain(tcp)) = connection.io.take_socket() else {
            return Err(Error::Lost("TLS within TLS".into()));
        };
        let made = self.tls.connect(tcp, self.config.jid.domain(), false, self.config.connect_timeout).await;
        let tls = made.map_err(Error::Tls)?;
        connection.stream.secured(secured(&tls));
        connection.io = Io::new(Socket::Tls(Box::new(tls)));
        Ok(())
    }

    /// A stanza from the server.
    fn stanza(&mut self, connection: &mut Connection, stanza: Result<Stanza, Box<Rejected>>) {
        self.session.received();
        let stanza = match stanza {
            Ok(stanza) => stanza,
            Err(rejected) => return self.answer_error(&rejected.stanza, &rejected.error, &mut connection.io),
        };
        let Some(own) = connection.stream.bound() else { return };
        match (stanza.kind, stanza.ty) {
            (Kind::Iq, Type::Result | Type::Error) => self.session.requests.answer(stanza, own),
            (Kind::Iq, ty) => match stanza.payload() {
                Some(payload) if ty == Type::Get && Ping::read(payload).is_ok() => {
                    self.session.write(&stanza.result(bytes::Bytes::new()), &mut connection.io);
                }
                Some(payload) if ty == Type::Set && payload.is("query", ns::ROSTER) => {
                    // RFC 6121 §2.1.6: from anybody else it would be an attack; no answer, so that he learns nothing.
                    if stanza.from.as_ref().is_none_or(|from| *from == own.bare()) {
                        match Roster::read(payload) {
                            Ok(roster) if roster.items.len() == 1 => {
                                self.session.write(&stanza.result(bytes::Bytes::new()), &mut connection.io);
                                self.outbox.push(Event::RosterPush(roster));
                            }
                            _ => self.answer_error(&stanza, &Condition::BadRequest.into(), &mut connection.io),
                        }
                    }
                }
                // RFC 6120 §8.2.3: every request is answered, if nobody else does it then by us.
                _ if self.outbox.events.is_closed() => {
                    self.answer_error(&stanza, &Condition::ServiceUnavailable.into(), &mut connection.io);
                }
                _ => self.outbox.push(Event::Request(stanza)),
            },
            _ => self.outbox.push(Event::Stanza(stanza)),
        }
    }

    fn answer_error(&mut self, stanza: &Stanza, error: &StanzaError, io: &mut Io) {
        if let Some(answer) = stanza.error(error) {
            self.session.write(&answer, io);
        }
    }
}

impl Outbox {
    fn push(&mut self, event: Event) {
        if !self.events.is_closed() {
            self.backlog.push_back(event);
        }
    }

    fn is_empty(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Waits for room for one event. Nothing is lost when it is dropped.
    async fn pass_one(&mut self) {
        match self.events.reserve().await {
            Ok(permit) => {
                if let Some(event) = self.backlog.pop_front() {
                    permit.send(event);
                }
            }
            Err(_) => self.backlog.clear(),
        }
    }

    async fn pass_all(&mut self) {
        while !self.is_empty() {
            self.pass_one().await;
        }
    }

    /// What there is room for; the rest is thrown away.
    fn pass_now(&mut self) {
        for event in std::mem::take(&mut self.backlog) {
            if self.events.try_send(event).is_err() {
                return;
            }
        }
    }
}

/// Connects to the first target that can be reached, with TLS where it is direct. `first`: to be tried before all others.
async fn reach(config: &Config, tls: &Tls, first: Option<Target>) -> Result<(Socket, Option<Secured>, Target), Error> {
    let domain = config.jid.domain();
    let targets = match &config.targets {
        Some(targets) => targets.clone(),
        None => config.resolver.targets(domain, Service::Client).await.map_err(Error::Dns)?,
    };
    let mut last = Error::Connect(ConnectError::NoAddress);
    for target in first.iter().chain(&targets) {
        match reach_target(config, tls, target).await {
            Ok((socket, secured)) => return Ok((socket, secured, target.clone())),
            Err(error) => {
                tracing::debug!(host = %target.host, port = target.port, %error, "a target cannot be used");
                last = error;
            }
        }
    }
    Err(last)
}

async fn reach_target(config: &Config, tls: &Tls, target: &Target) -> Result<(Socket, Option<Secured>), Error> {
    let addresses = config.resolver.addresses(&target.host).await.map_err(Error::Dns)?;
    let tcp = connect(&addresses, target.port, config.connect_timeout).await.map_err(Error::Connect)?;
    match target.security {
        Security::StartTls => Ok((Socket::Plain(tcp), None)),
        Security::Direct => {
            let made = tls.connect(tcp, config.jid.domain(), true, config.connect_timeout).await;
            let stream = made.map_err(Error::Tls)?;
            let secured = secured(&stream);
            Ok((Socket::Tls(Box::new(stream)), Some(secured)))
        }
    }
}

fn initiate_config(config: &Config, require_tls: bool) -> InitiateConfig {
    InitiateConfig {
        domain: config.jid.domain().into(),
        login: config.login.clone(),
        resource: config.jid.resource().map(Into::into),
        resumption: None,
        mechanisms: config.mechanisms.clone(),
        require_tls,
        limit: config.stanza_limit,
        timeout: config.login_timeout,
        lang: config.lang.clone(),
        inline: None,
        random: crate::random,
    }
}
