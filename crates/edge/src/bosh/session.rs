//! A session (XEP-0124): between requests, which come in any order and hang until there is something to say, and the one
//! loop of all connections, which has two queues in place of a socket. In them are frames of a WebSocket with a mask of
//! zeros, so that for the stream nothing else is different.
//!
//! Invariants: content goes to the stream in the order of request ids, answers come in that order, and an answer is kept
//! until the client cannot ask for it again (§14.3).

use super::{
    INACTIVITY, MAX_PAUSE, POLLING,
    body::{self, End, Request, Said, attribute},
};
use crate::limits;
use bytes::Bytes;
use linnet_xmpp::stream::framing::frames::{self, Frames, Message, Sender};
use parking_lot::Mutex;
use sha1::{Digest, Sha1};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    mem,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// The mask of those who have no need of one.
const UNMASKED: Option<[u8; 4]> = Some([0; 4]);

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) sid: String,
    /// How long a request hangs.
    pub(super) wait: Duration,
    /// Requests that may hang at once.
    hold: usize,
    /// Requests that the client may have open at once.
    requests: u64,
    /// Whether the client acknowledges answers (§9).
    has_acks: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The id whose content is next for the stream.
    next: u64,
    /// What came before its turn.
    early: BTreeMap<u64, Request>,
    /// Requests without an answer.
    held: BTreeMap<u64, oneshot::Sender<Bytes>>,
    /// Answers that may be asked for again, the newest last.
    sent: VecDeque<Sent>,
    /// What the next key has to be made of (§15).
    key: Option<String>,
    /// Whether the stream has begun.
    is_open: bool,
    /// Attributes that only the first answer has.
    created: String,
    /// An answer that the client seems to have missed (§9.2).
    report: Option<(u64, Duration)>,
    /// For the stream.
    input: Vec<u8>,
    /// From the stream, as it comes.
    frames: Frames,
    said: Said,
    /// Since when no request hangs, and for how long that may be.
    quiet: Option<Instant>,
    patience: Duration,
    /// When an empty request came; none once something was said since (§12).
    polled: Option<Instant>,
    /// Nothing comes and goes any more.
    is_over: bool,
    /// The loop.
    task: Option<Waker>,
}

#[derive(Debug)]
struct Sent {
    rid: u64,
    body: Bytes,
    at: Instant,
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Fate {
    Answered(Bytes),
    Held(oneshot::Receiver<Bytes>),
}

impl Session {
    /// The session that this request asks for.
    pub(super) fn new(sid: String, request: &Request, now: Instant) -> Session {
        let hold = request.hold.min(super::HOLD);
        let wait = if hold == 0 { 0 } else { request.wait.min(super::WAIT) };
        let (requests, is_polling) = (hold + 1, hold == 0 || wait == 0);
        let has_acks = request.ack == Some(1);
        let version = request.version.min((1, 11));
        let inactivity = if is_polling { MAX_PAUSE } else { INACTIVITY };
        let mut created = attribute("sid", &sid);
        // Writing to a string does not fail.
        let _ = write!(
            created,
            " wait='{wait}' hold='{hold}' requests='{requests}' inactivity='{}' maxpause='{}' polling='{}' \
             ver='{}.{}' xmpp:restartlogic='true'",
            inactivity.as_secs(),
            MAX_PAUSE.as_secs(),
            POLLING.as_secs(),
            version.0,
            version.1,
        );
        if has_acks {
            let _ = write!(created, " ack='{}'", request.rid);
        }
        let state = State {
            next: request.rid,
            early: BTreeMap::new(),
            held: BTreeMap::new(),
            sent: VecDeque::new(),
            key: None,
            is_open: false,
            created,
            report: None,
            input: Vec::new(),
            frames: Frames::new(usize::MAX, Sender::Server),
            said: Said::default(),
            quiet: Some(now),
            patience: inactivity,
            polled: None,
            is_over: false,
            task: None,
        };
        let (wait, hold) = (Duration::from_secs(wait), usize::try_from(hold).unwrap_or(1));
        Session { sid, wait, hold, requests, has_acks, state: Mutex::new(state) }
    }

    /// Takes a request.
    pub(super) fn take(&self, request: Request, now: Instant) -> Fate {
        let state = &mut *self.state.lock();
        let rid = request.rid;
        if state.is_over {
            return Fate::Answered(body::refusal("item-not-found"));
        }
        if rid < state.next {
            return state.repeat(rid);
        }
        // One more may come to pause or to end (§11).
        if rid > state.next + self.requests {
            state.end(End::because("item-not-found"));
            self.pump(state, now);
            return Fate::Answered(body::refusal("item-not-found"));
        }
        let is_extra = request.pause.is_some() || request.is_end;
        let (sender, receiver) = oneshot::channel();
        // The same id again before its turn: a broken connection (§14.3).
        state.held.insert(rid, sender);
        state.early.insert(rid, request);
        state.quiet = None;
        self.advance(state, now);
        let most = self.requests + u64::from(is_extra);
        if state.held.len() as u64 > most {
            state.end(End::because("policy-violation"));
        }
        self.pump(state, now);
        Fate::Held(receiver)
    }

    /// A request has hung for long enough: it and those before it get what there is.
    pub(super) fn expire(&self, rid: u64, now: Instant) {
        let state = &mut *self.state.lock();
        while let Some((&first, _)) = state.held.first_key_value()
            && first <= rid
            && first < state.next
        {
            self.answer(state, first, now);
        }
        self.settle(state, now);
    }

    /// A request's connection may have broken while it hung.
    pub(super) fn let_go(&self, now: Instant) {
        self.settle(&mut self.state.lock(), now);
    }

    /// Hands over what is next, as long as the stream takes it.
    fn advance(&self, state: &mut State, now: Instant) {
        while state.input.len() <= limits::WRITE_BATCH
            && let Some(request) = state.early.remove(&state.next)
        {
            state.next += 1;
            self.process(state, request, now);
        }
        if !state.input.is_empty() {
            state.wake();
        }
    }

    fn process(&self, state: &mut State, request: Request, now: Instant) {
        if !state.is_key_right(&request) {
            return state.end(End::because("item-not-found"));
        }
        self.acknowledge(state, request.ack, now);
        let is_first = !mem::replace(&mut state.is_open, true);
        let is_empty = request.payloads.is_empty() && !request.is_restart && !request.is_end && request.pause.is_none();
        let polled = mem::replace(&mut state.polled, (is_empty && !is_first).then_some(now));
        if state.polled.is_some() && polled.is_some_and(|polled| self.hold == 0 && now < polled + POLLING) {
            return state.end(End::because("policy-violation"));
        }
        if is_first || request.is_restart {
            frames::text(&request.open, UNMASKED, &mut state.input);
        }
        // XEP-0206 §5: what stands in a restart does not count.
        let payloads = if request.is_restart { Vec::new() } else { request.payloads };
        payloads.iter().for_each(|payload| frames::text(payload, UNMASKED, &mut state.input));
        if request.is_end {
            let close = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>";
            frames::text(close.as_bytes(), UNMASKED, &mut state.input);
        }
        state.patience = if self.hold == 0 { MAX_PAUSE } else { INACTIVITY };
        if let Some(pause) = request.pause {
            // §10: all are answered, this one without anything in it.
            let rids: Vec<u64> = state.held.range(..state.next).map(|(rid, _)| *rid).collect();
            for rid in rids {
                if rid == request.rid {
                    let said = mem::take(&mut state.said);
                    self.answer(state, rid, now);
                    state.said = said;
                } else {
                    self.answer(state, rid, now);
                }
            }
            state.patience = Duration::from_secs(pause).min(MAX_PAUSE);
        }
    }

    /// §9.2.
    fn acknowledge(&self, state: &mut State, ack: Option<u64>, now: Instant) {
        let Some(ack) = ack.filter(|_| self.has_acks) else { return };
        let missed = state.sent.iter().find(|sent| sent.rid > ack && !state.held.contains_key(&sent.rid));
        state.report = missed.map(|sent| (sent.rid, now.saturating_duration_since(sent.at)));
        state.sent.retain(|sent| sent.rid > ack);
    }

    /// Answers what has to be answered now.
    fn pump(&self, state: &mut State, now: Instant) {
        while let Some((&rid, first)) = state.held.first_key_value()
            && (rid < state.next || state.said.end.is_some())
        {
            // Who is not there any more will ask again; what is for it waits.
            if first.is_closed() {
                break;
            }
            let ready = state.held.range(..state.next).count();
            let is_enough = ready > self.hold && state.created.is_empty();
            if state.said.is_empty() && state.report.is_none() && !is_enough {
                break;
            }
            self.answer(state, rid, now);
        }
        self.settle(state, now);
    }

    fn answer(&self, state: &mut State, rid: u64, now: Instant) {
        let Some(sender) = state.held.remove(&rid) else { return };
        let said = mem::take(&mut state.said);
        let mut attributes = mem::take(&mut state.created);
        let highest = state.next.saturating_sub(1);
        if self.has_acks && attributes.is_empty() && highest != rid {
            let _ = write!(attributes, " ack='{highest}'");
        }
        if let Some((rid, ago)) = state.report.take() {
            let _ = write!(attributes, " report='{rid}' time='{}'", ago.as_millis());
        }
        state.polled = state.polled.filter(|_| said.is_empty());
        // The end is said to each who asks.
        state.said.end.clone_from(&said.end);
        let body = body::write(&attributes, said);
        state.sent.push_back(Sent { rid, body: body.clone(), at: now });
        while state.sent.len() as u64 > self.requests + 1 {
            state.sent.pop_front();
        }
        state.is_over |= state.said.end.is_some() && state.held.is_empty();
        // A connection that has just broken: the client will ask again.
        let _ = sender.send(body);
        state.wake();
    }

    /// Notes whether anybody hangs.
    fn settle(&self, state: &mut State, now: Instant) {
        if state.held.values().any(|sender| !sender.is_closed()) {
            state.quiet = None;
        } else if state.quiet.is_none() {
            state.quiet = Some(now);
            state.wake();
        }
    }

    // The loop's side.

    /// What came; nothing at the end.
    pub(super) fn poll_input(&self, cx: &mut Context<'_>) -> Poll<Vec<u8>> {
        let state = &mut *self.state.lock();
        let input = mem::take(&mut state.input);
        if input.is_empty() && !state.is_over {
            state.task = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.advance(state, Instant::now());
        Poll::Ready(input)
    }

    /// Takes what the stream says.
    pub(super) fn write(&self, mut bytes: &[u8]) {
        let state = &mut *self.state.lock();
        // Our own stream makes no wrong frames.
        while let Ok(Some(message)) = state.frames.next(&mut bytes) {
            match message {
                Message::Text(text) => state.said.add(text),
                Message::Close(_) => state.end(End::default()),
                Message::Ping(_) | Message::Pong => {}
            }
        }
    }

    /// Ready when all that was said is in answers.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<()> {
        let state = &mut *self.state.lock();
        self.pump(state, Instant::now());
        if state.is_over || (state.said.payloads.is_empty() && state.said.header.is_empty()) {
            return Poll::Ready(());
        }
        state.task = Some(cx.waker().clone());
        Poll::Pending
    }

    /// When the client has been away for too long; `None` while a request hangs.
    pub(super) fn deadline(&self, cx: &mut Context<'_>) -> Option<Instant> {
        let mut state = self.state.lock();
        state.task = Some(cx.waker().clone());
        state.quiet.map(|since| since + state.patience)
    }

    /// The loop has ended.
    pub(super) fn end(&self) {
        let state = &mut *self.state.lock();
        state.end(End::default());
        self.pump(state, Instant::now());
        state.is_over = true;
        state.held.clear();
        state.early.clear();
    }
}

impl State {
    /// A request whose content was taken already (§14.3).
    fn repeat(&mut self, rid: u64) -> Fate {
        if let Some(hanging) = self.held.get_mut(&rid) {
            let (sender, receiver) = oneshot::channel();
            let old = mem::replace(hanging, sender);
            // If that connection is not broken after all, it gets a recoverable condition (§17.3).
            let _ = old.send(body::write(" type='error'", Said::default()));
            self.quiet = None;
            return Fate::Held(receiver);
        }
        let sent = self.sent.iter().find(|sent| sent.rid == rid);
        Fate::Answered(sent.map_or_else(|| body::refusal("item-not-found"), |sent| sent.body.clone()))
    }

    /// §15: each key is the hash of the next one.
    fn is_key_right(&mut self, request: &Request) -> bool {
        let is_right = match (&self.key, &request.key) {
            (None, _) => true,
            (Some(expected), Some(key)) => {
                let hash = Sha1::digest(key.as_bytes());
                let hex = hash.iter().fold(String::new(), |mut hex, byte| {
                    let _ = write!(hex, "{byte:02x}");
                    hex
                });
                hex.eq_ignore_ascii_case(expected)
            }
            (Some(_), None) => false,
        };
        match &request.new_key {
            Some(key) => self.key = Some(key.clone()),
            None if self.key.is_some() => self.key.clone_from(&request.key),
            None => {}
        }
        is_right
    }

    fn end(&mut self, end: End) {
        self.said.end.get_or_insert(end);
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}

/// Tells the session when a request that hangs is gone.
pub(super) struct Hanging(pub(super) Arc<Session>);

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.let_go(Instant::now());
    }
}
