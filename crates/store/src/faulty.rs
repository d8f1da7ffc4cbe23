//! A store with faults, for tests: calls that fail before or after they did their work, commits held open, a disk that
//! fills up, and a loss of power that drops what was not synced.

use crate::memory::{Memory, Undo};
use crate::{
    DocTable, Entry, Future, LogQuery, LogRow, LogSize, LogTable, MapQuery, MapRow, MapTable, NumberTable, Outcome,
    OwnedRow, OwnedValue, Store, StoreError, Unindexed, search::Search,
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Which calls are counted for a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// [`Store::apply`].
    Apply,
    /// Everything that reads.
    Read,
}

/// When a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Nothing was done.
    Before,
    /// The work was done, but is not synced and not reported: an unknown outcome.
    After,
}

/// Wraps a store. A clone is another handle to the same wrapper: a test keeps one to control the other's store.
#[derive(Clone)]
pub struct Faulty {
    inner: Inner,
    state: Arc<Mutex<State>>,
}

#[derive(Clone)]
enum Inner {
    /// Can take back what is not synced.
    Memory(Memory),
    Other(Arc<dyn Store>),
}

#[derive(Default)]
struct State {
    faults: Vec<Fault>,
    full: bool,
    /// Applies pass when their turn is below this; `None`: all do.
    held_from: Option<u64>,
    /// The turn of the next apply to come.
    next_turn: u64,
    /// Applies that wait, by their turn.
    waiting: Vec<(u64, Waker)>,
    /// Grows with each loss of power: applies that came before fail.
    power_losses: u64,
    sync_late: bool,
    /// What takes back the batches that are not synced, oldest first.
    unsynced: Vec<Undo>,
    batches: Vec<usize>,
}

struct Fault {
    call: Call,
    /// Calls until it strikes; 1: the next.
    countdown: u64,
    error: StoreError,
    moment: Moment,
}

impl Faulty {
    /// Over a new store in memory.
    pub fn new() -> Faulty {
        Faulty::over_memory(Memory::new())
    }

    /// Over a store in memory.
    pub fn over_memory(memory: Memory) -> Faulty {
        Faulty { inner: Inner::Memory(memory), state: Arc::default() }
    }

    /// Over any other store, which cannot lose what is not synced.
    pub fn over(store: Arc<dyn Store>) -> Faulty {
        Faulty { inner: Inner::Other(store), state: Arc::default() }
    }

    /// The `kth` call from now (1: the next) fails with an error. Several faults count independently.
    pub fn fail(&self, call: Call, kth: u64, error: StoreError, moment: Moment) {
        self.state.lock().faults.push(Fault { call, countdown: kth.max(1), error, moment });
    }

    /// Fills the disk, or makes room: while it is full, every apply fails with [`StoreError::Full`] and does nothing.
    pub fn set_full(&self, full: bool) {
        self.state.lock().full = full;
    }

    /// From now on applies wait before they do anything.
    pub fn hold(&self) {
        let mut state = self.state.lock();
        state.held_from = Some(state.held_from.unwrap_or(state.next_turn));
    }

    /// Lets the oldest apply that is held go on, or the next to come if none is.
    pub fn release_one(&self) {
        let mut state = self.state.lock();
        if let Some(turn) = &mut state.held_from {
            *turn += 1;
        }
        state.wake();
    }

    /// Lets all applies go on and holds no more.
    pub fn release(&self) {
        let mut state = self.state.lock();
        state.held_from = None;
        state.wake();
    }

    /// How many applies are held now.
    pub fn held(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// The sizes of the batches that reached the store, in entries, replays included.
    pub fn batches(&self) -> Vec<usize> {
        self.state.lock().batches.clone()
    }

    /// `true` makes a store that breaks its promise: it reports before it has synced, and syncs only when asked to. A
    /// checker that sees nothing wrong with it after a loss of power is no checker.
    pub fn set_sync_late(&self, late: bool) {
        self.state.lock().sync_late = late;
    }

    /// Syncs what has been reported.
    pub fn sync(&self) {
        self.state.lock().unsynced.clear();
    }

    /// The power goes: what is not synced is lost, applies held open fail. The store goes on as if opened again.
    ///
    /// # Panics
    /// If the wrapped store is not one in memory: it could not lose anything.
    pub fn lose_power(&self) {
        let Inner::Memory(memory) = &self.inner else { panic!("only a store in memory can lose power") };
        let mut state = self.state.lock();
        for undo in std::mem::take(&mut state.unsynced).into_iter().rev() {
            memory.take_back(undo);
        }
        state.power_losses += 1;
        state.held_from = None;
        state.wake();
    }

    async fn apply_batch(&self, batch: Vec<Entry>) -> Result<Vec<Outcome>, StoreError> {
        let (turn, powered) = {
            let mut state = self.state.lock();
            state.next_turn += 1;
            (state.next_turn - 1, state.power_losses)
        };
        Turn { turn, state: &self.state }.wait().await;
        let fault = {
            let mut state = self.state.lock();
            if state.power_losses != powered {
                return Err(StoreError::Io("the power was lost".to_owned()));
            }
            let fault = state.strike(Call::Apply);
            if let Some((error, Moment::Before)) = fault {
                return Err(error);
            }
            if state.full {
                return Err(StoreError::Full);
            }
            state.batches.push(batch.len());
            fault
        };
        let outcomes = match &self.inner {
            Inner::Other(store) => store.apply(batch).await?,
            Inner::Memory(memory) => {
                let mut state = self.state.lock();
                let (outcomes, undo) = memory.apply_now(&batch)?;
                state.unsynced.push(undo);
                if fault.is_none() && !state.sync_late {
                    // A sync covers all that was written before it.
                    state.unsynced.clear();
                }
                outcomes
            }
        };
        fault.map_or(Ok(outcomes), |(error, _)| Err(error))
    }

    fn read<'a, T: Send + 'a>(
        &'a self,
        read: impl FnOnce(&'a dyn Store) -> Future<'a, Result<T, StoreError>>,
    ) -> Future<'a, Result<T, StoreError>> {
        let fault = self.state.lock().strike(Call::Read);
        match (fault, &self.inner) {
            (Some((error, _)), _) => Box::pin(std::future::ready(Err(error))),
            (None, Inner::Memory(memory)) => read(memory),
            (None, Inner::Other(store)) => read(store.as_ref()),
        }
    }
}

impl Default for Faulty {
    fn default() -> Faulty {
        Faulty::new()
    }
}

impl std::fmt::Debug for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faulty")
    }
}

impl Store for Faulty {
    fn apply(&self, batch: Vec<Entry>) -> Future<'_, Result<Vec<Outcome>, StoreError>> {
        Box::pin(self.apply_batch(batch))
    }

    fn account(&self, owner: &str) -> Future<'_, Result<Option<Bytes>, StoreError>> {
        self.read(|store| store.account(owner))
    }

    fn accounts(&self, after: Option<&str>, limit: usize) -> Future<'_, Result<Vec<OwnedValue>, StoreError>> {
        self.read(|store| store.accounts(after, limit))
    }

    fn account_count(&self) -> Future<'_, Result<u64, StoreError>> {
        self.read(|store| store.account_count())
    }

    fn doc(&self, table: DocTable, owner: &str) -> Future<'_, Result<Option<Bytes>, StoreError>> {
        self.read(|store| store.doc(table, owner))
    }

    fn map_row(&self, table: MapTable, owner: &str, key: &str) -> Future<'_, Result<Option<MapRow>, StoreError>> {
        self.read(|store| store.map_row(table, owner, key))
    }

    fn map_rows(
        &self,
        table: MapTable,
        owner: &str,
        after: Option<u64>,
        limit: usize,
    ) -> Future<'_, Result<Vec<MapRow>, StoreError>> {
        self.read(|store| store.map_rows(table, owner, after, limit))
    }

    fn map_second(&self, table: MapTable, second: &str, limit: usize) -> Future<'_, Result<Vec<OwnedRow>, StoreError>> {
        self.read(|store| store.map_second(table, second, limit))
    }

    fn map_group(&self, table: MapTable, owner: &str, query: MapQuery) -> Future<'_, Result<Vec<MapRow>, StoreError>> {
        self.read(|store| store.map_group(table, owner, query))
    }

    fn map_group_count(&self, table: MapTable, owner: &str, second: &str) -> Future<'_, Result<u64, StoreError>> {
        self.read(|store| store.map_group_count(table, owner, second))
    }

    fn number(&self, table: NumberTable, owner: &str, key: u64) -> Future<'_, Result<Option<u64>, StoreError>> {
        self.read(|store| store.number(table, owner, key))
    }

    fn log_rows(&self, table: LogTable, owner: &str, query: LogQuery) -> Future<'_, Result<Vec<LogRow>, StoreError>> {
        self.read(|store| store.log_rows(table, owner, query))
    }

    fn log_search<'a>(
        &'a self,
        table: LogTable,
        owner: &'a str,
        query: LogQuery,
        search: Search,
    ) -> Future<'a, Result<Vec<LogRow>, StoreError>> {
        self.read(|store| store.log_search(table, owner, query, search))
    }

    fn log_unindexed(
        &self,
        table: LogTable,
        at_least: usize,
        limit: usize,
    ) -> Future<'_, Result<Unindexed, StoreError>> {
        self.read(|store| store.log_unindexed(table, at_least, limit))
    }

    fn log_count(&self, table: LogTable, owner: &str, any_flag: u32) -> Future<'_, Result<u64, StoreError>> {
        self.read(|store| store.log_count(table, owner, any_flag))
    }

    fn log_size(&self, table: LogTable, owner: &str, any_flag: u32) -> Future<'_, Result<LogSize, StoreError>> {
        self.read(|store| store.log_size(table, owner, any_flag))
    }

    fn high_water(&self) -> Future<'_, Result<(u64, u64), StoreError>> {
        self.read(|store| store.high_water())
    }

    fn close(&self) -> Future<'_, Result<(), StoreError>> {
        match &self.inner {
            Inner::Memory(memory) => memory.close(),
            Inner::Other(store) => store.close(),
        }
    }
}

impl State {
    /// Counts a call; what strikes now, if anything does.
    fn strike(&mut self, call: Call) -> Option<(StoreError, Moment)> {
        let mut struck = None;
        self.faults.retain_mut(|fault| {
            if fault.call != call {
                return true;
            }
            fault.countdown -= 1;
            if fault.countdown == 0 {
                struck.get_or_insert((fault.error.clone(), fault.moment));
            }
            fault.countdown > 0
        });
        struck
    }

    fn wake(&mut self) {
        for (_, waker) in &self.waiting {
            waker.wake_by_ref();
        }
    }
}

/// An apply's place among those that are held; gone when its future is.
struct Turn<'a> {
    turn: u64,
    state: &'a Mutex<State>,
}

impl Turn<'_> {
    async fn wait(self) {
        poll_fn(|context| self.poll(context)).await;
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        let turn = self.turn;
        state.waiting.retain(|(waiting, _)| *waiting != turn);
        if state.held_from.is_none_or(|held| turn < held) {
            return Poll::Ready(());
        }
        state.waiting.push((turn, context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.state.lock().waiting.retain(|(waiting, _)| *waiting != self.turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{self, Subject, block_on};
    use crate::{Condition, Write};
    use std::pin::Pin;

    const DOC: DocTable = DocTable("doc");

    fn put(id: u64, value: &'static str) -> Vec<Entry> {
        let write = Write::DocPut { table: DOC, owner: "a".into(), value: Bytes::from_static(value.as_bytes()) };
        vec![Entry { id, conditions: Vec::new(), writes: vec![write] }]
    }

    fn doc(store: &Faulty) -> String {
        let value = block_on(store.doc(DOC, "a")).unwrap().unwrap_or_default();
        String::from_utf8(value.to_vec()).unwrap()
    }

    fn poll<T>(future: &mut Pin<Box<dyn std::future::Future<Output = T> + Send + '_>>) -> Poll<T> {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn without_faults_it_fulfils_the_contract() {
        for wrap in [|memory| Faulty::over_memory(memory), |memory| Faulty::over(Arc::new(memory))] {
            contract::run(|| {
                let memory = Memory::new();
                let counted = memory.clone();
                Subject { store: Arc::new(wrap(memory)), log_bodies: Box::new(move || counted.log_body_count()) }
            });
        }
    }

    #[test]
    fn the_kth_call_fails_before_or_after_its_work() {
        let store = Faulty::new();
        let error = StoreError::Io("broken".to_owned());
        store.fail(Call::Apply, 2, error.clone(), Moment::Before);
        store.fail(Call::Apply, 3, error.clone(), Moment::After);
        store.fail(Call::Read, 1, error.clone(), Moment::Before);
        assert_eq!(block_on(store.apply(put(1, "one"))), Ok(vec![Outcome::Done]));
        assert_eq!(block_on(store.account_count()), Err(error.clone()));
        assert_eq!(block_on(store.apply(put(2, "two"))), Err(error.clone()));
        assert_eq!(doc(&store), "one");
        assert_eq!(block_on(store.apply(put(3, "three"))), Err(error));
        assert_eq!(doc(&store), "three", "done, though not reported");
        assert_eq!(block_on(store.apply(put(3, "three"))), Ok(vec![Outcome::Done]));
        assert_eq!(store.batches(), [1, 1, 1]);
    }

    #[test]
    fn a_full_disk_refuses_until_there_is_room() {
        let store = Faulty::new();
        store.set_full(true);
        assert_eq!(block_on(store.apply(put(1, "one"))), Err(StoreError::Full));
        assert_eq!(doc(&store), "");
        store.set_full(false);
        assert_eq!(block_on(store.apply(put(1, "one"))), Ok(vec![Outcome::Done]));
    }

    #[test]
    fn a_loss_of_power_drops_what_was_not_reported() {
        let store = Faulty::new();
        block_on(store.apply(put(1, "reported"))).unwrap();
        for id in [2, 3] {
            store.fail(Call::Apply, 1, StoreError::Io("no answer".to_owned()), Moment::After);
            block_on(store.apply(put(id, "unknown"))).unwrap_err();
        }
        assert_eq!(doc(&store), "unknown");
        store.lose_power();
        assert_eq!(doc(&store), "reported");
        assert_eq!(block_on(store.high_water()), Ok((0, 1)));
        assert_eq!(block_on(store.apply(put(2, "again"))), Ok(vec![Outcome::Done]));
        store.lose_power();
        assert_eq!(doc(&store), "again");
    }

    #[test]
    fn a_store_that_syncs_late_loses_what_it_reported() {
        let store = Faulty::new();
        store.set_sync_late(true);
        block_on(store.apply(put(1, "synced"))).unwrap();
        store.sync();
        block_on(store.apply(put(2, "late"))).unwrap();
        store.lose_power();
        assert_eq!(doc(&store), "synced");
    }

    #[test]
    fn held_applies_go_on_in_order_when_released() {
        let store = Faulty::new();
        store.hold();
        let (mut one, mut two, mut three) =
            (store.apply(put(1, "one")), store.apply(put(2, "two")), store.apply(put(3, "three")));
        assert!(poll(&mut one).is_pending() && poll(&mut two).is_pending() && poll(&mut three).is_pending());
        assert_eq!((store.held(), doc(&store).as_str()), (3, ""));
        store.release_one();
        assert!(poll(&mut two).is_pending() && poll(&mut one).is_ready());
        assert_eq!((store.held(), doc(&store).as_str()), (2, "one"));
        drop(two);
        assert_eq!(store.held(), 1);
        store.release();
        assert!(poll(&mut three).is_ready());
        assert_eq!((store.held(), doc(&store).as_str()), (0, "three"));
    }

    #[test]
    fn held_applies_fail_when_the_power_goes() {
        let store = Faulty::new();
        store.hold();
        let mut held = store.apply(put(1, "one"));
        assert!(poll(&mut held).is_pending());
        store.lose_power();
        assert!(matches!(poll(&mut held), Poll::Ready(Err(StoreError::Io(_)))));
        assert_eq!(doc(&store), "");
        let absent = vec![Entry { conditions: vec![Condition::AccountAbsent("a".into())], ..put(1, "one").remove(0) }];
        assert_eq!(block_on(store.apply(absent)), Ok(vec![Outcome::Done]));
    }
}
