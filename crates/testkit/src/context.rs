//! A world of its own for a kernel under test: a clock that only tests move, randomness from a seed.

use kernel::Context;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::Arc,
    task::{Poll, Waker},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use store::Future;

/// A pretend world. A clone is another handle to the same one.
///
/// Time stands still until [`FakeContext::pass`]. Tasks run on the tokio runtime in which the kernel was started; slow
/// work runs at once, where it is asked for.
#[derive(Debug, Clone)]
pub struct FakeContext {
    inner: Arc<Mutex<Inner>>,
    started: Instant,
}

#[derive(Debug)]
struct Inner {
    passed: Duration,
    random: Random,
    sleepers: BTreeMap<u64, Waker>,
    next_sleeper: u64,
}

/// The moment at which pretend clocks begin: 2026-01-01T00:00:00Z.
pub const EPOCH_SECONDS: u64 = 1_767_225_600;

impl FakeContext {
    /// A world whose randomness follows from the seed.
    pub fn new(seed: u64) -> FakeContext {
        let inner =
            Inner { passed: Duration::ZERO, random: Random::new(seed), sleepers: BTreeMap::new(), next_sleeper: 0 };
        FakeContext { inner: Arc::new(Mutex::new(inner)), started: Instant::now() }
    }

    /// Moves the clock on. Whoever slept until then wakes up.
    pub fn pass(&self, time: Duration) {
        let mut inner = self.inner.lock();
        inner.passed += time;
        for waker in std::mem::take(&mut inner.sleepers).into_values() {
            waker.wake();
        }
    }
}

impl Context for FakeContext {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(EPOCH_SECONDS) + self.inner.lock().passed
    }

    fn instant(&self) -> Instant {
        self.started + self.inner.lock().passed
    }

    fn random(&self, buffer: &mut [u8]) {
        let mut inner = self.inner.lock();
        for chunk in buffer.chunks_mut(8) {
            let bytes = inner.random.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }

    fn spawn(&self, task: Future<'static, ()>) {
        tokio::spawn(task);
    }

    fn sleep(&self, time: Duration) -> Future<'static, ()> {
        let inner = self.inner.clone();
        let until = inner.lock().passed + time;
        Box::pin(async move {
            poll_fn(|cx| {
                let mut inner = inner.lock();
                if inner.passed >= until {
                    return Poll::Ready(());
                }
                let number = inner.next_sleeper;
                inner.next_sleeper += 1;
                inner.sleepers.insert(number, cx.waker().clone());
                Poll::Pending
            })
            .await;
        })
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> Future<'static, ()> {
        work();
        Box::pin(std::future::ready(()))
    }
}

/// Numbers that follow from a seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "numbers never end")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below the limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}
