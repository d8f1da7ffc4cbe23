//! The loop between a client's socket and the kernel: what waits in the mailbox is written, then what has come is read
//! and handed over. One hand-written future, because there is one for each client: what it does not need now (buffers,
//! timers, the wait for an account to be loaded) it does not have.
//!
//! Invariant: what is taken from the mailbox is either accepted by the socket or given back to the kernel, whatever ends
//! the connection, a panic included ([`Guard`]).

use crate::{limits, listener::Shared, outgoing::Outgoing, rates::Bytes, socket::Socket};
use kernel::{
    Kernel, Session,
    mailbox::{Item, Next},
};
use linnet_xmpp::stream::{Accept, Framing, Output, Signal, StreamError, framing::frames};
use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::{
    sync::watch,
    time::{Sleep, sleep_until},
};

/// The task of a connection whose resource is bound, from then until the socket is closed.
pub(crate) struct Connection {
    state: State,
    /// Held until the end: the stopping server waits for it.
    _alive: watch::Receiver<bool>,
}

#[expect(clippy::large_enum_variant, reason = "the large one is what the task is for, and lasts longest")]
enum State {
    Open(Established),
    /// The end tag was written.
    Closing(Pin<Box<dyn Future<Output = ()> + Send>>),
    Over,
}

impl Connection {
    pub(crate) fn new(established: Established, alive: watch::Receiver<bool>) -> Connection {
        Connection { state: State::Open(established), _alive: alive }
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let orderly = match &mut self.state {
                State::Open(established) => ready!(established.poll(cx)),
                State::Closing(closing) => {
                    ready!(closing.as_mut().poll(cx));
                    false
                }
                State::Over => return Poll::Ready(()),
            };
            self.state = match mem::replace(&mut self.state, State::Over) {
                // Here the session ends, before the peer has closed.
                State::Open(Established { socket, .. }) if orderly => State::Closing(Box::pin(socket.close())),
                _ => State::Over,
            };
        }
    }
}

/// A connection whose resource is bound.
pub(crate) struct Established {
    socket: Socket,
    inner: Inner,
}

/// All but the socket, so that it can be handed what the socket has read.
struct Inner {
    guard: Guard,
    shared: Arc<Shared>,
    stream: Accept,
    /// What has come and could not be handed over yet.
    rest: Vec<u8>,
    /// A stanza whose accounts are being loaded.
    loading: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Exists while something has a deadline.
    timer: Option<(Wait, Pin<Box<Sleep>>)>,
    bytes: Bytes,
    phase: Phase,
    /// Looks at a WebSocket since something came from it.
    silence: u8,
}

/// What a timer is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// The peer takes something.
    Write,
    /// It may send again.
    Rate,
    /// What came before the stream's end is answered.
    Answers,
    /// Something comes, or else it gets a ping.
    Look,
}

enum Phase {
    /// Both sides talk.
    Open,
    /// The stream is over, but not the answers to what came before its end. These last bytes go behind them.
    Ending(Box<Ending>),
    /// Everything is in `Outgoing`; when it is written, that was all.
    Last,
}

struct Ending {
    farewell: Vec<u8>,
    until: Instant,
}

/// A session on its connection. When this is dropped, the session ends, or waits for its client if that can resume it.
pub(crate) struct Guard {
    kernel: Arc<Kernel>,
    session: Arc<Session>,
    /// The number of this connection of the session's.
    connection: u32,
    /// The stream was closed, or the session ended.
    orderly: bool,
    /// What is being written.
    out: Option<Box<Outgoing>>,
    /// Messages that came after the client had ended its stream: they are not for this session any more.
    kept: Vec<Item>,
}

impl Guard {
    pub(crate) fn new(kernel: Arc<Kernel>, session: Arc<Session>, connection: u32) -> Guard {
        Guard { kernel, session, connection, orderly: false, out: None, kept: Vec::new() }
    }

    fn out(&mut self) -> &mut Outgoing {
        self.out.get_or_insert_with(Outgoing::take)
    }

    /// Says what the socket has accepted.
    fn accepted(&mut self, bytes: usize) {
        let Some(out) = &mut self.out else { return };
        let mut rows = Vec::new();
        out.accepted(bytes, &mut rows);
        self.kernel.written(&self.session, &rows);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let unwritten = self.out.take().into_iter().flat_map(|out| out.into_items());
        let unwritten = unwritten.chain(mem::take(&mut self.kept)).collect();
        self.kernel.part(&self.session, self.connection, self.orderly, unwritten);
    }
}

impl Established {
    /// After login. `out`: bytes to write first; `rest`: bytes that came behind the login.
    pub(crate) fn new(
        shared: Arc<Shared>,
        socket: Socket,
        stream: Accept,
        mut guard: Guard,
        out: Vec<u8>,
        rest: &[u8],
    ) -> Established {
        if !out.is_empty() {
            guard.out().bytes.extend_from_slice(&out);
        }
        let bytes = Bytes::new(shared.limits.bytes_per_second, Instant::now());
        let (rest, phase) = (rest.to_vec(), Phase::Open);
        let inner = Inner { guard, shared, stream, rest, loading: None, timer: None, bytes, phase, silence: 0 };
        Established { socket, inner }
    }

    /// Ready when the connection is over; true: after the end tag was written.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        for _ in 0..limits::TURNS {
            let more = self.inner.collect(cx);
            match self.send(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                // Nothing is read meanwhile: who does not take answers gets no more of them.
                Poll::Pending => {
                    let patience = self.socket.patience(limits::WRITE);
                    return self.inner.wait(cx, Wait::Write, patience).map(|()| false);
                }
            }
            if more {
                continue;
            }
            match self.inner.phase {
                Phase::Last => return Poll::Ready(true),
                Phase::Ending(_) => return Poll::Pending,
                Phase::Open => {}
            }
            match self.receive(cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(false),
                Poll::Pending => return Poll::Pending,
            }
        }
        // Others have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what was collected.
    fn send(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let guard = &mut self.inner.guard;
        let Some(out) = &mut guard.out else { return Poll::Ready(Ok(())) };
        let before = out.sent;
        let mut outcome: Poll<std::io::Result<()>> = Poll::Ready(Ok(()));
        while out.sent < out.bytes.len() {
            match self.socket.poll_write(cx, out.bytes.get(out.sent..).unwrap_or_default()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => out.sent += written,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    outcome = Poll::Pending;
                    break;
                }
            }
        }
        let sent = out.sent;
        if sent > before {
            // Something moved: the deadline begins anew.
            self.inner.disarm(Wait::Write);
        }
        // Inside TLS all may have been taken, and yet lie in the connection's own buffer.
        ready!(self.socket.poll_flush(cx))?;
        let guard = &mut self.inner.guard;
        guard.accepted(sent);
        ready!(outcome)?;
        self.inner.disarm(Wait::Write);
        if let Some(out) = self.inner.guard.out.take() {
            out.give_back();
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once and hands over what came. Ready: true for progress, false at the connection's end.
    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let inner = &mut self.inner;
        if let Some(loading) = &mut inner.loading {
            ready!(loading.as_mut().poll(cx));
            inner.loading = None;
        }
        if !inner.rest.is_empty() {
            let rest = mem::take(&mut inner.rest);
            inner.hand_over(&rest);
            return Poll::Ready(true);
        }
        if inner.guard.kernel.should_wait(&inner.guard.session, cx.waker()) {
            return Poll::Pending;
        }
        let bytes = inner.bytes.wait(inner.shared.limits.bytes_per_second);
        if let Some(wait) = bytes.max(inner.guard.kernel.pace(&inner.guard.session)) {
            ready!(inner.wait(cx, Wait::Rate, wait));
        }
        let read = self.socket.poll_input(cx, |bytes| {
            inner.silence = 0;
            inner.bytes.take(bytes.len());
            inner.hand_over(bytes);
            !bytes.is_empty()
        });
        match read {
            // An error is an end like any other: the peer is not there any more.
            Poll::Ready(read) => Poll::Ready(read.unwrap_or(false)),
            Poll::Pending if inner.stream.framing() == Framing::Messages && self.socket.is_connection() => {
                inner.look(cx)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Inner {
    /// Takes items from the mailbox for the next write. True: there may be more than fitted.
    fn collect(&mut self, cx: &mut Context<'_>) -> bool {
        if let Phase::Last = self.phase {
            return false;
        }
        if self.guard.out.as_ref().is_some_and(|out| out.sent > 0) {
            // The last write is not through. When it is, the mailbox has to be asked: nobody is woken for what waits there.
            return true;
        }
        loop {
            if self.guard.out.as_ref().is_some_and(|out| out.bytes.len() >= limits::WRITE_BATCH) {
                return true;
            }
            match self.guard.session.mailbox.poll_next(self.guard.connection, cx) {
                Poll::Ready(Ok(next)) => self.add(next),
                Poll::Ready(Err(error)) => {
                    self.close(error);
                    return false;
                }
                Poll::Pending => break,
            }
        }
        // Behind the items, so that it never overtakes what tells of a failure.
        if let Some(signal) = self.guard.kernel.acknowledgement(&self.guard.session, cx.waker()) {
            self.say(&signal);
        }
        if self.guard.session.mailbox.asks() {
            self.say(&Signal::Request);
        }
        self.ending(cx);
        false
    }

    /// Looks now and then whether a WebSocket is still alive. Ready: true with a ping to write, false where nobody answers.
    fn look(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        ready!(self.wait(cx, Wait::Look, limits::PING));
        if self.silence > 0 {
            frames::ping(None, &mut self.guard.out().bytes);
        }
        self.silence += 1;
        Poll::Ready(self.silence <= limits::SILENCE)
    }

    /// Writes something about the session, behind what is there already.
    fn say(&mut self, signal: &Signal) {
        self.stream.framing().element(&signal.to_bytes(), &mut self.guard.out().bytes);
    }

    fn add(&mut self, next: Next) {
        let is_taken = matches!(next, Next::Taken(_));
        let (Next::Taken(item) | Next::Kept(item)) = next;
        if item.row != 0 && matches!(self.phase, Phase::Ending(_)) {
            if is_taken {
                self.guard.kept.push(item);
            }
            return;
        }
        thread_local! {
            static HEAD: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        let Guard { kernel, session, out, .. } = &mut self.guard;
        let out = out.get_or_insert_with(Outgoing::take);
        let framing = self.stream.framing();
        HEAD.with_borrow_mut(|head| {
            head.clear();
            kernel.write_head(&item, &session.address, head);
            let begun = framing.begin(&mut out.bytes);
            item.stanza.write(framing.declared(), item.to.as_ref(), head, &mut out.bytes);
            framing.end(begun, &mut out.bytes);
        });
        if is_taken {
            out.push(item);
        }
    }

    /// Whether what came before the stream's end is answered, so that the farewell can go.
    fn ending(&mut self, cx: &mut Context<'_>) {
        let Phase::Ending(ending) = &self.phase else { return };
        let wait = ending.until.saturating_duration_since(Instant::now());
        let lane = &self.guard.session.lane;
        if lane.pending() > 0 && lane.wait(cx.waker()) && self.wait(cx, Wait::Answers, wait).is_pending() {
            return;
        }
        // Answers that were given between the last look into the mailbox and now.
        while let Poll::Ready(Ok(next)) = self.guard.session.mailbox.poll_next(self.guard.connection, cx) {
            self.add(next);
        }
        self.last();
    }

    fn last(&mut self) {
        if let Phase::Ending(ending) = mem::replace(&mut self.phase, Phase::Last) {
            self.guard.out().bytes.extend_from_slice(&ending.farewell);
        }
    }

    /// The kernel ends the session, or another connection goes on with it.
    fn close(&mut self, error: Option<StreamError>) {
        self.guard.orderly = true;
        if let Some(error) = &error {
            tracing::debug!(session = self.guard.session.id, condition = error.condition.name(), "session ended");
        }
        if let Phase::Open = self.phase {
            self.rest = Vec::new();
            self.stream.close(error);
            self.drain(&[]);
        }
        self.last();
        self.phase = Phase::Last;
    }

    /// Hands over what has come, unless the session was ended meanwhile.
    fn hand_over(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.drain(bytes);
        }
    }

    /// Does what the stream says.
    fn drain(&mut self, bytes: &[u8]) {
        let mut input = bytes;
        let start = self.guard.out.as_ref().map_or(0, |out| out.bytes.len());
        let now = Instant::now();
        while let Some(output) = self.stream.poll(&mut input, now) {
            match output {
                Output::Stanza(stanza) => {
                    let Guard { kernel, session, connection, .. } = &self.guard;
                    let connection = *connection;
                    if session.mailbox.is_closed() {
                        // What comes behind a forged sender, or from a session that was replaced, does not count.
                        return;
                    }
                    if let Err(stanza) = kernel.try_handle(session, connection, stanza) {
                        let (kernel, session) = (kernel.clone(), session.clone());
                        self.loading =
                            Some(Box::pin(async move { kernel.handle(&session, connection, Ok(*stanza)).await }));
                        self.rest = input.to_vec();
                        return;
                    }
                    if session.mailbox.is_heavy() {
                        // The answers first, then what was asked behind them.
                        self.rest = input.to_vec();
                        return;
                    }
                }
                Output::Write(bytes) => self.guard.out().bytes.extend_from_slice(&bytes),
                Output::Control(control) => {
                    let Guard { kernel, session, connection, .. } = &self.guard;
                    match kernel.control(session, *connection, control) {
                        Ok(Some(signal)) => self.say(&signal),
                        Ok(None) => {}
                        Err(error) => self.stream.close(Some(error)),
                    }
                }
                Output::Closed(error) => {
                    self.guard.orderly = true;
                    if let Some(error) = error {
                        let condition = error.condition.name();
                        tracing::debug!(session = self.guard.session.id, condition, "stream error");
                    }
                    let farewell = self.guard.out().bytes.split_off(start);
                    let until = Instant::now() + limits::FAREWELL;
                    self.phase = Phase::Ending(Box::new(Ending { farewell, until }));
                    return;
                }
                Output::Gone => {
                    self.phase = Phase::Last;
                    return;
                }
                // Not after `Bound`, by the stream's contract.
                Output::StartTls | Output::Need(_) | Output::Bound(_) => {
                    self.phase = Phase::Last;
                    return;
                }
            }
        }
    }

    /// Ready after the time, counted from the first call.
    fn wait(&mut self, cx: &mut Context<'_>, why: Wait, time: Duration) -> Poll<()> {
        let timer = match &mut self.timer {
            Some((armed, timer)) if *armed == why => timer,
            other => &mut other.insert((why, Box::pin(sleep_until((Instant::now() + time).into())))).1,
        };
        ready!(timer.as_mut().poll(cx));
        self.timer = None;
        Poll::Ready(())
    }

    fn disarm(&mut self, why: Wait) {
        if self.timer.as_ref().is_some_and(|(armed, _)| *armed == why) {
            self.timer = None;
        }
    }
}
