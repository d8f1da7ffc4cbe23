//! What goes to other servers: for each pair of a domain of ours and one elsewhere a queue, which a carrier empties into a
//! stream. Invariants: a message that must arrive has a row until a peer has it or its sender has been told that it will
//! not arrive; a queue is bounded in bytes and each of its stanzas in time; one that is slow or silent delays no other.
//!
//! What the carrier does (DNS, TLS, streams) is not the kernel's: it is told of a queue that has something and of nothing
//! else ([`Carrier`]).

use crate::{Kernel, effects::Effects, limits, origin::Origin, peer::Peer, trace::Event};
use bytes::{BufMut, Bytes, BytesMut};
use hashbrown::HashMap;
use linnet_xmpp::{
    Stanza, StanzaError,
    stanza::{Class, Condition, Kind, Type},
};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use store::{Future, MapTable, StoreError, Write};

/// Messages on their way to other servers; they belong to the server.
const TABLE: MapTable = MapTable("departures");

/// What takes stanzas to other servers.
pub trait Carrier: Send + Sync + fmt::Debug {
    /// A queue has something and nobody empties it: begin. May be called under locks.
    fn carry(&self, link: Arc<Link>);
    /// What is known of all other servers, or of one.
    fn status(&self, domain: Option<&str>) -> Vec<Status>;
    /// Connects to a server now, in the name of our main domain. Gives what was found on the way, and why it failed.
    fn test(&self, domain: &str) -> Future<'static, (Vec<Step>, Result<(), String>)>;
}

/// Something that was found on the way to a server: what it is about, and a plain sentence.
pub type Step = (&'static str, String);

/// What is known of a pair of domains, for people.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Ours.
    pub local: Box<str>,
    /// The other.
    pub remote: Box<str>,
    /// Stanzas that wait.
    pub waiting: usize,
    /// Their bytes.
    pub bytes: usize,
    /// A stream of ours is open.
    pub outgoing: bool,
    /// Streams of theirs that are open.
    pub incoming: usize,
    /// What was found on the way the last time.
    pub steps: Vec<Step>,
    /// Why there is no stream, in a plain sentence.
    pub error: Option<String>,
    /// Why they were not let in the last time.
    pub refused: Option<String>,
    /// Nothing is tried before this.
    pub retry: Option<SystemTime>,
}

/// A stanza for another server.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The stanza.
    pub stanza: Arc<Stanza>,
    /// Its row among the departures; 0 for none.
    pub row: u64,
    /// When it was given to the queue.
    pub since: SystemTime,
}

impl Parcel {
    fn size(&self) -> usize {
        self.stanza.inner().len() + limits::PARCEL
    }
}

/// A domain of ours, one elsewhere, and what waits to go from one to the other.
#[derive(Debug)]
pub struct Link {
    /// Ours.
    pub local: Box<str>,
    /// The other.
    pub remote: Box<str>,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Parcel>,
    bytes: usize,
    /// Somebody empties it.
    carried: bool,
    waker: Option<Waker>,
}

impl Link {
    fn new(local: &str, remote: &str) -> Link {
        Link { local: local.into(), remote: remote.into(), queue: Mutex::default() }
    }

    /// Puts a parcel in. `Ok(true)`: nobody empties the queue, and the caller calls a carrier.
    fn push(&self, parcel: Parcel) -> Result<bool, Parcel> {
        let mut queue = self.queue.lock();
        if queue.bytes + parcel.size() > limits::LINK_BYTES && !queue.waiting.is_empty() {
            return Err(parcel);
        }
        queue.bytes += parcel.size();
        queue.waiting.push_back(parcel);
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
        Ok(!std::mem::replace(&mut queue.carried, true))
    }

    /// Takes the next parcel, or registers to be woken.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Parcel> {
        let mut queue = self.queue.lock();
        match queue.waiting.pop_front() {
            Some(parcel) => {
                queue.bytes -= parcel.size();
                if queue.waiting.is_empty() {
                    queue.waiting = VecDeque::new();
                }
                Poll::Ready(parcel)
            }
            None => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Waits until there is something.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.queue.lock();
        if !queue.waiting.is_empty() {
            return Poll::Ready(());
        }
        queue.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Puts back what was taken and did not go, in order, before everything else.
    pub fn give_back(&self, parcels: Vec<Parcel>) {
        let mut queue = self.queue.lock();
        for parcel in parcels.into_iter().rev() {
            queue.bytes += parcel.size();
            queue.waiting.push_front(parcel);
        }
    }

    /// Says that somebody empties the queue. False: somebody does already.
    pub fn claim(&self) -> bool {
        !std::mem::replace(&mut self.queue.lock().carried, true)
    }

    /// Ends the carrier's work if nothing waits: false where something does.
    pub fn rest(&self) -> bool {
        let mut queue = self.queue.lock();
        queue.carried = !queue.waiting.is_empty();
        !queue.carried
    }

    /// How many stanzas wait, and their bytes.
    pub fn waiting(&self) -> (usize, usize) {
        let queue = self.queue.lock();
        (queue.waiting.len(), queue.bytes)
    }

    /// Whether something waits that does not bear waiting: everything but presence, which says anew what holds at its time.
    pub fn is_urgent(&self) -> bool {
        self.queue.lock().waiting.iter().any(|parcel| !is_passing(&parcel.stanza))
    }

    /// Takes out what has waited too long, and with `all` whatever waits.
    fn expired(&self, now: SystemTime, keep: Duration, all: bool) -> Vec<Parcel> {
        let mut queue = self.queue.lock();
        let is_due = |parcel: &Parcel| all || now >= due(parcel, keep);
        if !queue.waiting.iter().any(is_due) {
            return Vec::new();
        }
        let (gone, stays): (Vec<_>, Vec<_>) = std::mem::take(&mut queue.waiting).into_iter().partition(is_due);
        queue.bytes = stays.iter().map(Parcel::size).sum();
        queue.waiting = stays.into();
        gone
    }

    /// When the first of what waits has waited long enough.
    pub fn next_due(&self, keep: Duration) -> Option<SystemTime> {
        self.queue.lock().waiting.iter().map(|parcel| due(parcel, keep)).min()
    }
}

/// A requester does not wait longer for an answer than this; the rest may wait for a server that is being restarted.
fn due(parcel: &Parcel, keep: Duration) -> SystemTime {
    let is_request = parcel.stanza.kind == Kind::Iq;
    parcel.since + if is_request { keep.min(Duration::from_secs(limits::REMOTE_REQUEST_SECONDS)) } else { keep }
}

fn is_passing(stanza: &Stanza) -> bool {
    matches!(stanza.ty, Type::Available | Type::Unavailable | Type::Probe)
}

/// Links by our domain and the other.
type Links = HashMap<(Box<str>, Box<str>), Arc<Link>>;

/// All links, and who serves them.
#[derive(Debug, Default)]
pub(crate) struct Remotes {
    links: Mutex<Links>,
    carrier: OnceLock<Arc<dyn Carrier>>,
}

impl Remotes {
    fn link(&self, local: &str, remote: &str) -> Arc<Link> {
        let mut links = self.links.lock();
        if links.len() >= limits::IDLE_LINKS && links.len().is_multiple_of(64) {
            links.retain(|_, link| Arc::strong_count(link) > 1 || link.queue.lock().carried);
        }
        let link = links.entry((local.into(), remote.into())).or_insert_with(|| Arc::new(Link::new(local, remote)));
        link.clone()
    }

    /// Whether there is a way to other servers at all.
    pub(crate) fn is_open(&self) -> bool {
        self.carrier.get().is_some()
    }
}

/// What a stanza leaves for another server: with its row, where it must arrive.
#[derive(Debug, Clone)]
pub(crate) struct Departure {
    pub(crate) stanza: Arc<Stanza>,
    pub(crate) row: u64,
}

/// Keeps a stanza until a peer has it. The time comes first, so that it bounces in time after a restart too.
pub(crate) fn keep(row: u64, now: SystemTime, stanza: &Stanza) -> Write {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let body = stanza.to_bytes();
    let mut value = BytesMut::with_capacity(8 + body.len());
    value.put_u64(seconds);
    value.extend_from_slice(&body);
    Write::MapPut { table: TABLE, owner: "".into(), key: key(row), second: None, value: value.freeze() }
}

fn gone(row: u64) -> Write {
    Write::MapRemove { table: TABLE, owner: "".into(), key: key(row) }
}

fn key(row: u64) -> Box<str> {
    format!("{row:016x}").into()
}

fn read(value: &Bytes) -> Option<(SystemTime, Stanza)> {
    let (seconds, body) = value.split_first_chunk::<8>()?;
    let stanza = Stanza::from_bytes(value.slice_ref(body))?;
    Some((UNIX_EPOCH + Duration::from_secs(u64::from_be_bytes(*seconds)), stanza))
}

impl Kernel {
    /// Says who takes stanzas to other servers; what waits from before goes to him at once. Without one, everything to
    /// other domains is answered with an error.
    pub fn open_remotes(self: &Arc<Self>, carrier: Arc<dyn Carrier>) {
        if self.remotes.carrier.set(carrier.clone()).is_err() {
            return;
        }
        let links: Vec<_> = self.remotes.links.lock().values().cloned().collect();
        for link in links.into_iter().filter(|link| link.waiting().0 > 0 && link.claim()) {
            carrier.carry(link);
        }
    }

    /// Who takes stanzas to other servers, if anybody does.
    pub fn carrier(&self) -> Option<Arc<dyn Carrier>> {
        self.remotes.carrier.get().cloned()
    }

    /// The queue of a pair of domains.
    pub fn link(&self, local: &str, remote: &str) -> Arc<Link> {
        self.remotes.link(local, remote)
    }

    /// All links in memory, in order.
    pub fn links(&self) -> Vec<Arc<Link>> {
        let mut links: Vec<_> = self.remotes.links.lock().values().cloned().collect();
        links.sort_by(|a, b| (&a.remote, &a.local).cmp(&(&b.remote, &b.local)));
        links
    }

    /// Puts a stanza into its queue. May be called under locks.
    pub(crate) fn depart(self: &Arc<Self>, departure: Departure) {
        let Departure { stanza, row } = departure;
        let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { return };
        let link = self.remotes.link(from.domain(), to.domain());
        self.traces.note(self.context.now(), &stanza, || Event::Queued);
        let parcel = Parcel { stanza: stanza.clone(), row, since: self.context.now() };
        match (link.push(parcel), self.remotes.carrier.get()) {
            (Ok(true), Some(carrier)) => carrier.carry(link),
            (Ok(_), _) => {}
            (Err(parcel), _) => {
                let text = format!("too much waits for {} already", link.remote);
                let error = StanzaError::new(Condition::ResourceConstraint).class(Class::Wait).text(text);
                let kernel = self.clone();
                // Not here: locks may be held.
                self.context.spawn(Box::pin(async move { kernel.bounce(vec![parcel], &error).await }));
            }
        }
    }

    /// A peer has these: their rows go.
    pub fn arrived(&self, parcels: &[Parcel], acknowledged: bool) {
        for parcel in parcels {
            self.traces.note(self.context.now(), &parcel.stanza, || {
                if acknowledged { Event::Acknowledged } else { Event::Sent }
            });
        }
        let writes: Vec<_> = parcels.iter().filter(|parcel| parcel.row != 0).map(|parcel| gone(parcel.row)).collect();
        if !writes.is_empty() {
            self.enqueue(Effects { writes, ..Effects::default() }, &[], None, None);
        }
    }

    /// Bounces what has waited too long. `keep`: how long messages may wait.
    pub async fn bounce_expired(self: &Arc<Self>, link: &Link, keep: Duration, why: &str) {
        let parcels = link.expired(self.context.now(), keep, false);
        if !parcels.is_empty() {
            self.bounce(parcels, &StanzaError::new(Condition::RemoteServerTimeout).text(why)).await;
        }
    }

    /// Bounces all that waits.
    pub async fn bounce_all(self: &Arc<Self>, link: &Link, error: &StanzaError) {
        let parcels = link.expired(self.context.now(), Duration::ZERO, true);
        self.bounce(parcels, error).await;
    }

    /// Forgets presence that waits for a server that is not there: whoever comes back asks again.
    pub fn drop_passing(&self, link: &Link) {
        let mut queue = link.queue.lock();
        queue.waiting.retain(|parcel| !is_passing(&parcel.stanza));
        queue.bytes = queue.waiting.iter().map(Parcel::size).sum();
    }

    /// Tells senders that their stanzas do not arrive; the row of each goes with what tells it. What may not be answered
    /// is dropped, and of presence only requests for subscriptions are answered.
    pub async fn bounce(self: &Arc<Self>, parcels: Vec<Parcel>, error: &StanzaError) {
        for parcel in parcels {
            self.traces.note(self.context.now(), &parcel.stanza, || Event::Bounced(error.to_string().into()));
            let is_told = parcel.stanza.kind != Kind::Presence || parcel.stanza.ty == Type::Subscribe;
            match parcel.stanza.error(error).filter(|_| is_told) {
                Some(answer) => self.from_elsewhere(None, parcel.row, answer).await,
                None => self.arrived_silently(parcel.row),
            }
        }
    }

    fn arrived_silently(&self, row: u64) {
        if row != 0 {
            self.enqueue(Effects { writes: vec![gone(row)], ..Effects::default() }, &[], None, None);
        }
    }

    /// A stanza from elsewhere, or an error in the name of somebody there. `row`: of the stanza that it answers.
    pub(crate) async fn from_elsewhere(self: &Arc<Self>, peer: Option<&Arc<Peer>>, row: u64, stanza: Stanza) {
        let Some(to) = stanza.to.as_ref() else { return self.arrived_silently(row) };
        if !self.is_ours(to.domain()) {
            return self.arrived_silently(row);
        }
        let Ok(anchor) = self.owner(&to.domain_jid()).await else { return };
        self.route(Origin::Elsewhere(&anchor, peer, row), stanza).await;
    }

    /// Whether a domain, or that of a service, is one of ours.
    pub fn is_ours(&self, domain: &str) -> bool {
        self.serves(domain) || self.service(domain).is_some()
    }

    /// Reads what was on its way to other servers when the server stopped.
    pub(crate) async fn resume_departures(self: &Arc<Self>) -> Result<(), StoreError> {
        for row in self.store.map_rows(TABLE, "", None, usize::MAX).await? {
            let (Ok(id), Some((since, stanza))) = (u64::from_str_radix(&row.key, 16), read(&row.value)) else {
                tracing::error!(key = %row.key, "a message to another server cannot be read");
                continue;
            };
            let (Some(from), Some(to)) = (&stanza.from, &stanza.to) else { continue };
            let link = self.remotes.link(from.domain(), to.domain());
            let parcel = Parcel { stanza: Arc::new(stanza.clone()), row: id, since };
            // There was room before the stop, and there is no carrier yet.
            if link.push(parcel).is_ok() {
                link.queue.lock().carried = false;
            }
        }
        Ok(())
    }
}

/// The write that lets the row of a stanza go which has bounced.
pub(crate) fn bounced(row: u64) -> Option<Write> {
    (row != 0).then(|| gone(row))
}
