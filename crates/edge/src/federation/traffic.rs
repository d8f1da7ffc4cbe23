//! The loop of one stream between servers, of both sides and through all of its life: what waits in the queues that it
//! carries is written, what comes goes to the kernel.
//!
//! Invariant: a parcel that was taken from a queue is either with the peer (its connection has taken the last byte, or,
//! with stream management, the peer has said so) or goes back to its queue, whatever ends the stream.

use super::{Federation, verify::Asked};
use crate::{limits, socket::Socket};
use kernel::{
    peer::Peer,
    remote::{Link, Parcel},
};
use linnet_xmpp::{
    Jid, Stanza,
    stream::{
        StreamCondition, StreamError,
        server::{
            Claim, Identity, Management, Pair, ServerAccept, ServerError, ServerInitiate, ServerOutput, ServerProof,
            Verdict,
        },
    },
};
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc,
    time::{Sleep, sleep},
};

/// Which side of the stream we are.
#[derive(Debug)]
pub(super) enum Side {
    Accept(ServerAccept),
    Initiate(ServerInitiate),
}

/// What the loop cannot do itself.
#[derive(Debug)]
pub(super) enum Event {
    /// Everything is written: make TLS, and call `secured`.
    StartTls,
    /// The accepting side: find out who this is, and call `identified`.
    Identify(Option<Pair>),
    /// A domain was proved.
    Proved(Pair, ServerProof),
    /// What the domain says about the key.
    Verdict(Verdict),
    /// The connection is over; true: in order, with what was to be written.
    Ended(Option<ServerError>),
}

/// A stream between servers on its connection.
pub(super) struct Traffic {
    federation: Arc<Federation>,
    /// `None` only while TLS is being made.
    socket: Option<Socket>,
    side: Side,
    peer: Arc<Peer>,
    /// The queues that this stream empties.
    pub(super) links: Vec<Arc<Link>>,
    out: Vec<u8>,
    sent: usize,
    /// What is in `out`, with where it ends.
    writing: VecDeque<(usize, Parcel)>,
    /// With stream management: what the peer has not acknowledged, and how many it has. From `<enable/>` on.
    window: Option<(VecDeque<Parcel>, u32)>,
    /// The peer has agreed to it.
    is_managed: bool,
    /// The peer was asked what it has, and has not answered.
    asked: bool,
    /// Stanzas that came; counted once stream management is on.
    received: Option<u32>,
    /// The peer asks for this count, which may not be durable yet.
    owed: Option<(u64, u32)>,
    /// What has come and could not be handed over yet.
    rest: Vec<u8>,
    loading: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// While the peer has sent too fast.
    resting: Option<Pin<Box<Sleep>>>,
    verdicts: Option<(mpsc::UnboundedSender<Asked>, mpsc::UnboundedReceiver<Asked>)>,
    tick: Pin<Box<Sleep>>,
    active: Instant,
    /// When something was last taken by the socket, or nothing waited.
    moved: Instant,
    /// What happens when all is written.
    held: Option<Event>,
    proved: bool,
}

impl Traffic {
    pub(super) fn new(federation: Arc<Federation>, socket: Socket, side: Side) -> Traffic {
        let now = Instant::now();
        Traffic {
            federation,
            socket: Some(socket),
            side,
            peer: Arc::default(),
            links: Vec::new(),
            out: Vec::new(),
            sent: 0,
            writing: VecDeque::new(),
            window: None,
            is_managed: false,
            asked: false,
            received: None,
            owed: None,
            rest: Vec::new(),
            loading: None,
            resting: None,
            verdicts: None,
            tick: Box::pin(sleep(limits::FEDERATION_TICK)),
            active: now,
            moved: now,
            held: None,
            proved: false,
        }
    }

    /// Goes on with TLS; the connection that was taken with `take_socket` comes back secured.
    pub(super) fn take_socket(&mut self) -> Option<Socket> {
        self.socket.take()
    }

    pub(super) fn socket(&self) -> Option<&Socket> {
        self.socket.as_ref()
    }

    pub(super) fn secured(&mut self, socket: Socket, initiate: impl FnOnce(&mut ServerInitiate)) {
        self.socket = Some(socket);
        match &mut self.side {
            Side::Accept(stream) => stream.secured(),
            Side::Initiate(stream) => initiate(stream),
        }
    }

    pub(super) fn identified(&mut self, identity: Identity) {
        if let Side::Accept(stream) = &mut self.side {
            stream.identified(identity);
        }
    }

    pub(super) fn is_bidi(&self) -> bool {
        match &self.side {
            Side::Accept(stream) => stream.is_bidi(),
            Side::Initiate(stream) => stream.is_bidi(),
        }
    }

    /// Ends the stream from our side.
    pub(super) fn close(&mut self, error: Option<StreamError>) {
        match &mut self.side {
            Side::Accept(stream) => stream.close(error),
            Side::Initiate(stream) => stream.close(error),
        }
    }

    /// The connection, for its orderly end.
    pub(super) async fn finish(&mut self) {
        if let Some(socket) = self.socket.take() {
            socket.close().await;
        }
    }

    /// The next thing that the loop cannot do itself.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        for _ in 0..limits::TURNS {
            if self.held.is_none()
                && let Some(event) = self.drain(&[]).and_then(|event| self.behind_writes(event))
            {
                return Poll::Ready(event);
            }
            self.collect(cx);
            let wrote = match self.write(cx) {
                Poll::Ready(Ok(wrote)) => wrote,
                Poll::Ready(Err(_)) => return Poll::Ready(Event::Ended(self.lost())),
                Poll::Pending => false,
            };
            if self.out.is_empty()
                && let Some(held) = self.held.take()
            {
                return Poll::Ready(held);
            }
            if self.watch(cx) {
                continue;
            }
            if self.held.is_some() {
                return Poll::Pending;
            }
            match self.receive(cx) {
                Poll::Ready(Ok(event)) => {
                    if let Some(event) = event.and_then(|event| self.behind_writes(event)) {
                        return Poll::Ready(event);
                    }
                }
                Poll::Ready(Err(())) => return Poll::Ready(Event::Ended(self.lost())),
                Poll::Pending if wrote => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        // Others have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Keeps back what may only happen when all is written.
    fn behind_writes(&mut self, event: Event) -> Option<Event> {
        if matches!(event, Event::StartTls | Event::Ended(_)) {
            self.held = Some(event);
            return None;
        }
        Some(event)
    }

    /// The connection ended without the stream's end.
    fn lost(&self) -> Option<ServerError> {
        (!self.proved).then_some(ServerError::Ended)
    }

    /// Does what the stream says.
    fn drain(&mut self, bytes: &[u8]) -> Option<Event> {
        let mut input = bytes;
        let now = Instant::now();
        loop {
            let output = match &mut self.side {
                Side::Accept(stream) => stream.poll(&mut input, now),
                Side::Initiate(stream) => stream.poll(&mut input, now),
            };
            let event = match output? {
                ServerOutput::Write(bytes) => {
                    self.out.extend_from_slice(&bytes);
                    continue;
                }
                ServerOutput::Stanza(stanza) => {
                    self.active = now;
                    self.received = self.received.map(|count| count.wrapping_add(1));
                    let kernel = &self.federation.kernel;
                    if let Err(stanza) = kernel.try_handle_remote(&self.peer, stanza) {
                        self.load(*stanza);
                        self.rest = input.to_vec();
                        return None;
                    }
                    continue;
                }
                ServerOutput::Management(management) => {
                    self.manage(management);
                    continue;
                }
                ServerOutput::Dialback(claim) => {
                    self.ask(claim);
                    continue;
                }
                ServerOutput::StartTls => Event::StartTls,
                ServerOutput::Identify(pair) => Event::Identify(pair),
                ServerOutput::Proved(pair, proof) => {
                    self.proved = true;
                    Event::Proved(pair, proof)
                }
                ServerOutput::Verdict(verdict) => Event::Verdict(verdict),
                ServerOutput::Closed(error) => Event::Ended(error),
            };
            // What came in the clear does not count inside TLS (RFC 6120 §5.4.3.3).
            self.rest = if matches!(event, Event::StartTls) { Vec::new() } else { input.to_vec() };
            return Some(event);
        }
    }

    fn load(&mut self, stanza: Stanza) {
        let (kernel, peer) = (self.federation.kernel.clone(), self.peer.clone());
        self.loading = Some(Box::pin(async move { kernel.handle_remote(&peer, stanza).await }));
    }

    /// Asks the domain of a claim about its key, beside the stream.
    fn ask(&mut self, claim: Claim) {
        let (sender, _) = self.verdicts.get_or_insert_with(mpsc::unbounded_channel);
        self.federation.verify(claim, sender.clone());
    }

    fn manage(&mut self, management: Management) {
        let Side::Initiate(_) = self.side else { return self.manage_accepted(management) };
        match management {
            Management::Offered => {
                self.out.extend_from_slice(&Management::Enable.to_bytes());
                self.window = Some((VecDeque::new(), 0));
            }
            Management::Enabled => self.is_managed = self.window.is_some(),
            // Then what the connection has taken is with the peer, as far as anybody can know.
            Management::Failed => {
                let parcels: Vec<_> = self.window.take().into_iter().flat_map(|(window, _)| window).collect();
                self.federation.kernel.arrived(&parcels, false);
            }
            Management::Handled(count) => self.acknowledged(count),
            Management::Request | Management::Enable => {}
        }
    }

    fn manage_accepted(&mut self, management: Management) {
        match management {
            Management::Enable if self.received.is_none() => {
                self.received = Some(0);
                self.out.extend_from_slice(&Management::Enabled.to_bytes());
            }
            Management::Enable => self.out.extend_from_slice(&Management::Failed.to_bytes()),
            Management::Request => self.owe(),
            _ => {}
        }
    }

    /// The peer asks what we have: what is durable (see the internals' page on delivery).
    fn owe(&mut self) {
        let Some(count) = self.received else { return };
        self.owed = Some((self.peer.lane.count(), count));
    }

    fn acknowledged(&mut self, count: u32) {
        self.asked = false;
        let Some((window, acknowledged)) = &mut self.window else { return };
        let newly = count.wrapping_sub(*acknowledged) as usize;
        if newly > window.len() {
            return self.close(Some(StreamCondition::UndefinedCondition.into()));
        }
        *acknowledged = count;
        let parcels: Vec<_> = window.drain(..newly).collect();
        self.federation.kernel.arrived(&parcels, true);
    }

    /// Takes what waits for the next write.
    fn collect(&mut self, cx: &mut Context<'_>) {
        if let Some((count, said)) = self.owed
            && !self.peer.lane.waits_for(count, cx.waker())
        {
            self.owed = None;
            self.out.extend_from_slice(&Management::Handled(said).to_bytes());
        }
        if !self.proved || self.held.is_some() {
            return;
        }
        for link in &self.links {
            while self.out.len() < limits::WRITE_BATCH
                && self.window.as_ref().is_none_or(|(window, _)| window.len() < limits::FEDERATION_WINDOW)
            {
                let Poll::Ready(parcel) = link.poll_next(cx) else { break };
                parcel.stanza.write(None, None, &[], &mut self.out);
                self.active = Instant::now();
                match &mut self.window {
                    Some((window, _)) => window.push_back(parcel),
                    None => self.writing.push_back((self.out.len(), parcel)),
                }
            }
        }
        let is_open = self.window.as_ref().is_some_and(|(window, _)| !window.is_empty());
        if self.is_managed && is_open && !self.asked {
            self.asked = true;
            self.out.extend_from_slice(&Management::Request.to_bytes());
        }
    }

    /// Writes. Ready(true): something moved.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<bool>> {
        let Some(socket) = &mut self.socket else { return Poll::Ready(Ok(false)) };
        if self.out.is_empty() {
            self.moved = Instant::now();
            return Poll::Ready(Ok(false));
        }
        let before = self.sent;
        while self.sent < self.out.len() {
            match socket.poll_write(cx, self.out.get(self.sent..).unwrap_or_default()) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => self.sent += written,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        if self.sent > before {
            self.moved = Instant::now();
        }
        ready!(socket.poll_flush(cx))?;
        let mut parcels = Vec::new();
        while self.writing.front().is_some_and(|(end, _)| *end <= self.sent) {
            parcels.extend(self.writing.pop_front().map(|(_, parcel)| parcel));
        }
        if !parcels.is_empty() {
            self.federation.kernel.arrived(&parcels, false);
        }
        if self.sent < self.out.len() {
            return Poll::Pending;
        }
        self.sent = 0;
        self.out = Vec::new();
        Poll::Ready(Ok(true))
    }

    /// Looks at what has a deadline, and at answers to what was asked. True: something has changed.
    fn watch(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some((_, receiver)) = &mut self.verdicts
            && let Poll::Ready(Some((pair, verdict))) = receiver.poll_recv(cx)
        {
            if let Side::Accept(stream) = &mut self.side {
                stream.dialback(&pair, verdict);
            }
            return true;
        }
        if self.tick.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.tick = Box::pin(sleep(limits::FEDERATION_TICK));
        let now = Instant::now();
        let idle = |since: Instant, most: Duration| now.saturating_duration_since(since) >= most;
        if !self.out.is_empty() && idle(self.moved, limits::WRITE) {
            self.out = Vec::new();
            self.held = Some(Event::Ended(Some(ServerError::Timeout)));
        } else if self.asked && idle(self.active, limits::WRITE) {
            self.close(Some(StreamError::new(StreamCondition::ConnectionTimeout).text("you acknowledge nothing")));
        } else if self.proved && idle(self.active, self.federation.settings.idle) && self.rest.is_empty() {
            self.close(None);
        }
        true
    }

    /// Reads once and hands over what came. `Err`: the connection is over.
    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event>, ()>> {
        if let Some(loading) = &mut self.loading {
            ready!(loading.as_mut().poll(cx));
            self.loading = None;
        }
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Ok(self.drain(&rest)));
        }
        if self.federation.kernel.should_wait_remote(&self.peer, cx.waker()) {
            return Poll::Pending;
        }
        let rate = self.federation.settings.stanzas_per_second;
        if let Some(wait) = self.federation.kernel.pace_remote(&self.peer, rate) {
            let resting = self.resting.get_or_insert_with(|| Box::pin(sleep(wait)));
            ready!(resting.as_mut().poll(cx));
            self.resting = None;
        }
        let Some(socket) = &mut self.socket else { return Poll::Pending };
        match ready!(socket.poll_input(cx, <[u8]>::to_vec)) {
            Ok(bytes) if !bytes.is_empty() => Poll::Ready(Ok(self.drain(&bytes))),
            _ => Poll::Ready(Err(())),
        }
    }
}

impl Traffic {
    /// Gives back to the queues what did not go.
    pub(super) fn unload(&mut self, links: &[Arc<Link>]) {
        let window = self.window.take().into_iter().flat_map(|(window, _)| window);
        let parcels: Vec<_> = window.chain(self.writing.drain(..).map(|(_, parcel)| parcel)).collect();
        for link in links {
            let is_of_link = |parcel: &&Parcel| {
                let domain = |jid: &Option<Jid>, domain: &str| jid.as_ref().is_some_and(|jid| jid.domain() == domain);
                domain(&parcel.stanza.from, &link.local) && domain(&parcel.stanza.to, &link.remote)
            };
            link.give_back(parcels.iter().filter(is_of_link).cloned().collect());
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        let links = std::mem::take(&mut self.links);
        self.unload(&links);
    }
}
