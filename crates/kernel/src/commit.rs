//! How effects become durable and are then performed. Invariants: entries are applied in the order handed over, and
//! performed in that order, each after it is durable; an entry that failed is answered with an error and changes nothing.
//!
//! Two tasks: one drains the queue into batches (no timer: while one transaction is written, the next batch gathers),
//! the other, the dispatcher, performs what is durable. Effects without writes skip the queue when nothing that was
//! handed over for their owners is waiting in it.

use crate::{
    Kernel,
    counts::Counts,
    effects::{Cause, Effects},
    limits,
    notes::Notes,
    owner::Owner,
    reroute::{self, Returned},
};
use linnet_xmpp::{
    StanzaError,
    stanza::{Class, Condition, Type},
};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use store::{Entry, Outcome, StoreError, Write};
use tokio::sync::{Notify, mpsc, oneshot};

/// The owners under whose locks an entry was made, with their epochs at that time.
type Touched = SmallVec<[(Arc<Owner>, u32); 2]>;

/// What was handed over.
struct Pending {
    conditions: Vec<store::Condition>,
    writes: Vec<Write>,
    effects: Effects,
    owners: Touched,
    cause: Option<Cause>,
    /// What the cause counts as in its session, if that becomes durable with it.
    count: u32,
    size: usize,
    asked: Option<oneshot::Sender<Result<Outcome, StoreError>>>,
}

/// The queue in front of the store.
pub(crate) struct Commit {
    queue: Mutex<Queue>,
    pub(crate) wake: Notify,
    next_entry: AtomicU64,
    /// Bytes handed over and not yet performed.
    bytes: AtomicUsize,
    pub(crate) notes: Mutex<Notes>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Pending>,
    /// Handed over and not yet performed, the waiting ones included.
    unfinished: usize,
}

impl Commit {
    pub(crate) fn new(next_entry: u64) -> Commit {
        Commit {
            queue: Mutex::default(),
            wake: Notify::new(),
            next_entry: AtomicU64::new(next_entry),
            bytes: AtomicUsize::new(0),
            notes: Mutex::default(),
        }
    }

    /// An entry without writes: takes the notes that wait along.
    fn queue_barrier(&self) {
        let mut queue = self.queue.lock();
        queue.waiting.push_back(Pending {
            conditions: Vec::new(),
            writes: Vec::new(),
            effects: Effects::default(),
            owners: Touched::new(),
            cause: None,
            count: 0,
            size: 0,
            asked: None,
        });
        queue.unfinished += 1;
    }

    /// Lets the waiting task see that the kernel is gone.
    pub(crate) fn stop(&self) {
        self.wake.notify_one();
    }

    /// Whether so much is waiting in all that senders with something pending should not be read.
    pub(crate) fn is_over(&self) -> bool {
        self.bytes.load(Ordering::Acquire) > limits::COMMIT_BYTES
    }
}

impl Kernel {
    /// Hands effects over. Called under the locks of `owners`, so that the order of entries is that of the owners' state.
    /// Effects without writes are performed at once if nothing earlier of their owners is still on its way. Returns the
    /// owners whose outboxes the caller has to settle once it holds no lock.
    #[must_use]
    pub(crate) fn hand_over(
        self: &Arc<Self>,
        mut effects: Effects,
        owners: &[&Arc<Owner>],
        cause: Option<Cause>,
    ) -> Vec<Arc<Owner>> {
        let notes = std::mem::take(&mut effects.notes);
        let mut kicked = Vec::new();
        if effects.writes_something() || owners.iter().any(|owner| owner.has_pending()) {
            self.enqueue(effects, owners, cause, None);
        } else {
            let returned = self.perform(effects, &mut kicked);
            if !returned.is_empty() {
                reroute::later(self, returned);
            }
        }
        if !notes.is_empty() {
            self.enqueue(Effects { writes: notes, ..Effects::default() }, &[], None, None);
        }
        kicked
    }

    pub(crate) fn enqueue(
        &self,
        mut effects: Effects,
        owners: &[&Arc<Owner>],
        cause: Option<Cause>,
        asked: Option<oneshot::Sender<Result<Outcome, StoreError>>>,
    ) {
        let size = effects.size();
        let mut touched = Touched::new();
        for owner in owners {
            owner.pending.fetch_add(1, Ordering::AcqRel);
            touched.push(((*owner).clone(), owner.epoch.load(Ordering::Acquire)));
        }
        if let Some(cause) = &cause {
            cause.lane().hand_over(size);
        }
        self.commit.bytes.fetch_add(size, Ordering::AcqRel);
        let conditions = std::mem::take(&mut effects.conditions);
        let writes = std::mem::take(&mut effects.writes);
        let count =
            cause.as_ref().and_then(Cause::session).map_or(0, |session| session.counting.load(Ordering::Acquire));
        let mut queue = self.commit.queue.lock();
        queue.waiting.push_back(Pending { conditions, writes, effects, owners: touched, cause, count, size, asked });
        queue.unfinished += 1;
        drop(queue);
        self.commit.wake.notify_one();
    }

    /// Makes writes durable that belong to no lane: commands, registration, jobs. Waits for the outcome.
    pub async fn apply(&self, conditions: Vec<store::Condition>, writes: Vec<Write>) -> Result<Outcome, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let effects = Effects { conditions, writes, ..Effects::default() };
        self.enqueue(effects, &[], None, Some(sender));
        receiver.await.unwrap_or_else(|_| Err(StoreError::Io("the server is stopping".into())))
    }

    /// Waits until everything handed over so far is durable and performed. Free when nothing is.
    pub async fn barrier(&self) {
        let receiver = {
            let queue = self.commit.queue.lock();
            if queue.unfinished == 0 && self.commit.notes.lock().rows.is_empty() {
                return;
            }
            drop(queue);
            let (sender, receiver) = oneshot::channel();
            self.enqueue(Effects::default(), &[], None, Some(sender));
            receiver
        };
        // An error means that the server is stopping: nothing more will become durable.
        let _ = receiver.await;
    }

    /// Performs effects whose writes are durable. May run under owners' locks, so it takes none: what ended sessions did
    /// not take is returned, and owners whose outboxes have to be settled are added to `kicked`.
    pub(crate) fn perform(self: &Arc<Self>, effects: Effects, kicked: &mut Vec<Arc<Owner>>) -> Returned {
        let mut returned = Returned::new();
        for delivery in effects.deliveries {
            if let Err(item) = delivery.session.mailbox.push(delivery.item) {
                returned.push((delivery.session, item));
            }
        }
        for (owner, row) in effects.arrived {
            self.note(&owner, &[row]);
        }
        for departure in effects.departures {
            self.depart(departure);
        }
        for (session, error) in effects.endings {
            session.mailbox.close(Some(error));
            // Who has no connection would not notice. Not here: locks are held.
            let kernel = self.clone();
            self.context.spawn(Box::pin(async move { kernel.end_if_detached(&session) }));
        }
        for (owner, emission) in effects.emissions {
            if self.emit(&owner, emission) {
                kicked.push(owner);
            }
        }
        for session in effects.catch_up {
            self.catch_up(session);
        }
        if let Some(answer) = effects.answer {
            self.answered(&answer);
        }
        for task in effects.tasks {
            self.context.spawn(task.into_future());
        }
        returned
    }
}

/// Starts the two tasks; they end when the kernel is gone.
pub(crate) fn run(kernel: &Arc<Kernel>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    kernel.context.spawn(Box::pin(write_batches(Arc::downgrade(kernel), sender)));
    kernel.context.spawn(Box::pin(dispatch(Arc::downgrade(kernel), receiver)));
}

type Performed = Vec<(Pending, Result<Outcome, StoreError>)>;

async fn write_batches(kernel: Weak<Kernel>, dispatcher: mpsc::UnboundedSender<Performed>) {
    let mut refusing_until: Option<Instant> = None;
    loop {
        let Some(alive) = kernel.upgrade() else { return };
        let batch = gather(&alive);
        if batch.is_empty() {
            let (commit, context) = (alive.commit.clone(), alive.context.clone());
            drop(alive);
            wait(&commit, &*context).await;
            continue;
        }
        let refuse = refusing_until.is_some_and(|until| alive.context.instant() < until);
        let (results, broken) = write(&alive, batch, refuse).await;
        if broken && !refuse {
            refusing_until = Some(alive.context.instant() + Duration::from_millis(limits::REFUSING_MS));
        } else if !broken && refusing_until.take().is_some() {
            tracing::info!("the store can be written again");
        }
        if dispatcher.send(results).is_err() {
            return;
        }
    }
}

/// Waits for an entry, or until notes have waited long enough for a transaction of their own.
async fn wait(commit: &Commit, context: &dyn crate::Context) {
    let since = commit.notes.lock().since;
    let Some(since) = since else { return commit.wake.notified().await };
    let delay = Duration::from_millis(limits::NOTE_DELAY_MS);
    let waited = context.instant().saturating_duration_since(since);
    tokio::select! {
        () = context.sleep(delay.saturating_sub(waited)) => commit.queue_barrier(),
        () = commit.wake.notified() => {}
    }
}

fn gather(kernel: &Kernel) -> Vec<Pending> {
    let mut queue = kernel.commit.queue.lock();
    let mut bytes = 0;
    let mut batch = Vec::new();
    while batch.len() < limits::BATCH_ENTRIES && bytes < limits::BATCH_BYTES {
        let Some(pending) = queue.waiting.pop_front() else { break };
        bytes += pending.size;
        batch.push(pending);
    }
    batch
}

/// Makes a batch durable. Returns what became of each entry, and whether the store cannot be written at all.
async fn write(kernel: &Kernel, mut batch: Vec<Pending>, refuse: bool) -> (Performed, bool) {
    let notes = kernel.take_notes();
    let mut results: Vec<Option<Result<Outcome, StoreError>>> = batch.iter().map(|_| None).collect();
    let mut counts = Counts::default();
    let mut entries = Vec::new();
    let mut places = Vec::new();
    let number = || kernel.commit.next_entry.fetch_add(1, Ordering::AcqRel);
    for (place, pending) in batch.iter_mut().enumerate() {
        if pending.writes.is_empty() && pending.conditions.is_empty() {
            results[place] = Some(Ok(Outcome::Done));
        } else if is_spoiled(pending) {
            spoil(pending);
            note_refusal(pending);
            results[place] = Some(Err(StoreError::Refused("computed on a change that failed".into())));
        } else if refuse {
            spoil(pending);
            note_refusal(pending);
            results[place] = Some(Err(StoreError::Full));
        } else {
            let (conditions, writes) = (std::mem::take(&mut pending.conditions), std::mem::take(&mut pending.writes));
            entries.push(Entry { id: number(), conditions, writes });
            if let Some(session) = pending.cause.as_ref().and_then(Cause::session) {
                counts.add(session, pending.count);
            }
            places.push(place);
        }
    }
    let mut broken = refuse;
    let mut noted = false;
    if !refuse && (!entries.is_empty() || !notes.is_empty()) {
        // The counts of the whole batch go last: whatever is durable is counted.
        let mut writes = counts.writes(kernel.context.now());
        writes.extend(kernel.write_notes(&notes));
        let entry = (!writes.is_empty()).then(|| Entry { id: number(), conditions: Vec::new(), writes });
        (broken, noted) = apply(kernel, entries, &places, entry, &batch, &mut results).await;
    }
    if noted {
        for (owner, rows) in notes.values() {
            owner.lock().settle_rows(rows);
        }
    } else {
        kernel.put_back(notes);
    }
    let results = results.into_iter().map(|result| result.unwrap_or_else(|| Err(StoreError::Io("no outcome".into()))));
    (batch.into_iter().zip(results).collect(), broken)
}

/// Gives the entries to the store. Returns whether it cannot be written at all, and whether the notes are durable.
async fn apply(
    kernel: &Kernel,
    entries: Vec<Entry>,
    places: &[usize],
    notes: Option<Entry>,
    batch: &[Pending],
    results: &mut [Option<Result<Outcome, StoreError>>],
) -> (bool, bool) {
    let mut all = entries.clone();
    all.extend(notes.clone());
    let mut outcome = kernel.store.apply(all.clone()).await;
    if let Err(StoreError::Io(_)) = outcome {
        // It may have been done all the same. The same entries again tell, and are not done twice.
        outcome = kernel.store.apply(all).await;
    }
    match outcome {
        Ok(outcomes) => {
            for (place, outcome) in places.iter().zip(outcomes) {
                if outcome == Outcome::ConditionFailed {
                    note_refusal(&batch[*place]);
                    if batch[*place].effects.changes_documents {
                        spoil(&batch[*place]);
                    }
                }
                results[*place] = Some(Ok(outcome));
            }
            (false, true)
        }
        Err(StoreError::Refused(reason)) => {
            tracing::warn!(reason, "a batch was refused; its entries are tried one by one");
            for (mut entry, place) in entries.into_iter().zip(places) {
                // Each with its own count, for the next one may fail.
                let mut counts = Counts::default();
                if let Some(session) = batch[*place].cause.as_ref().and_then(Cause::session) {
                    counts.add(session, batch[*place].count);
                }
                entry.writes.extend(counts.writes(kernel.context.now()));
                let result = match is_spoiled(&batch[*place]) {
                    true => Err(StoreError::Refused("computed on a change that failed".into())),
                    false => kernel
                        .store
                        .apply(vec![entry])
                        .await
                        .and_then(|mut outcomes| outcomes.pop().ok_or_else(|| StoreError::Io("no outcome".into()))),
                };
                if !matches!(result, Ok(Outcome::Done)) {
                    note_refusal(&batch[*place]);
                    spoil(&batch[*place]);
                }
                results[*place] = Some(result);
            }
            let noted = match notes {
                Some(notes) => kernel.store.apply(vec![notes]).await.is_ok(),
                None => true,
            };
            (false, noted)
        }
        Err(error) => {
            tracing::error!(%error, "the store cannot be written; writes are refused until it can");
            for place in places {
                note_refusal(&batch[*place]);
                spoil(&batch[*place]);
                results[*place] = Some(Err(error.clone()));
            }
            (true, false)
        }
    }
}

/// What was computed on top of a failed entry must fail too, and the stored documents are read again. Under the owner's
/// lock: who computes on the failed state at this moment hands over with the old epoch.
fn spoil(pending: &Pending) {
    for (owner, epoch) in &pending.owners {
        let _still = owner.lock();
        if owner.epoch.load(Ordering::Acquire) == *epoch {
            owner.epoch.store(epoch + 1, Ordering::Release);
            owner.make_stale();
        }
    }
}

/// Until its sender has been told, no count that is written covers it.
fn note_refusal(pending: &Pending) {
    if let Some(cause) = &pending.cause {
        cause.note_refusal();
    }
}

fn is_spoiled(pending: &Pending) -> bool {
    pending.owners.iter().any(|(owner, epoch)| owner.epoch.load(Ordering::Acquire) != *epoch)
}

async fn dispatch(kernel: Weak<Kernel>, mut batches: mpsc::UnboundedReceiver<Performed>) {
    while let Some(batch) = batches.recv().await {
        let Some(kernel) = kernel.upgrade() else { return };
        let count = batch.len();
        for (pending, result) in batch {
            finish(&kernel, pending, result);
        }
        kernel.commit.queue.lock().unfinished -= count;
    }
}

fn finish(kernel: &Arc<Kernel>, pending: Pending, result: Result<Outcome, StoreError>) {
    let Pending { effects, owners, cause, size, asked, .. } = pending;
    let (mut returned, mut kicked) = (Returned::new(), Vec::new());
    match &result {
        Ok(Outcome::Done) => returned = kernel.perform(effects, &mut kicked),
        failed => {
            answer_failure(kernel, cause.as_ref(), &effects, failed);
            reroute::unreserve(effects);
        }
    }
    for (owner, _) in &owners {
        owner.pending.fetch_sub(1, Ordering::AcqRel);
    }
    if let Some(cause) = &cause {
        cause.lane().done(size);
    }
    kernel.commit.bytes.fetch_sub(size, Ordering::AcqRel);
    if let Some(asked) = asked {
        // Whoever asked may have gone.
        let _ = asked.send(result);
    }
    // Before the next entry, so that nothing overtakes what goes back.
    reroute::now(kernel, returned);
    kernel.settle(kicked);
}

/// Tells who sent what failed, or which owner asked for it.
fn answer_failure(
    kernel: &Arc<Kernel>,
    cause: Option<&Cause>,
    effects: &Effects,
    result: &Result<Outcome, StoreError>,
) {
    let error = match result {
        Ok(_) => effects.unmet.clone().unwrap_or_else(|| StanzaError::new(Condition::Conflict)),
        Err(StoreError::Full) => StanzaError::new(Condition::ResourceConstraint)
            .class(Class::Wait)
            .text("the server's disk is full; nothing was changed"),
        Err(_) => StanzaError::new(Condition::InternalServerError)
            .class(Class::Wait)
            .text("the server could not store this; nothing was changed"),
    };
    if let Some(cause) = cause {
        cause.refuse(kernel, &error);
    }
    if let Some(mut answer) = effects.answer.clone() {
        answer.ty = Type::Error;
        answer.set_inner(error.to_bytes());
        kernel.answered(&answer);
    }
}
