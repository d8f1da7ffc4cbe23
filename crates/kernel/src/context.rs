//! Clock, randomness, spawning and timers: what the kernel takes from outside, so that tests and the simulator own it.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime},
};
use store::Future;

/// The world outside the kernel.
pub trait Context: Send + Sync + fmt::Debug + 'static {
    /// Wall-clock time, for stamps that people see.
    fn now(&self) -> SystemTime;
    /// Monotonic time, for deadlines.
    fn instant(&self) -> Instant;
    /// Fills the buffer with randomness fit for secrets.
    fn random(&self, buffer: &mut [u8]);
    /// Runs a task beside all others.
    fn spawn(&self, task: Future<'static, ()>);
    /// Waits.
    fn sleep(&self, time: Duration) -> Future<'static, ()>;
    /// Runs something slow (PBKDF2, images) on a bounded pool of threads that may block; resolves when it is done.
    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> Future<'static, ()>;
}

/// Runs slow work through the context and gives its result back; `None` if it panicked.
pub async fn blocking<T: Send + 'static>(
    context: &dyn Context,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    context
        .blocking(Box::new(move || {
            // The asker may have gone; then nobody wants the result.
            let _ = sender.send(work());
        }))
        .await;
    receiver.await.ok()
}
