//! The kernel's world outside, on tokio.

use kernel::Context;
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use store::Future;
use tokio::{runtime::Handle, sync::Semaphore};

/// Clock, randomness and tasks of the running process.
#[derive(Debug)]
pub struct Tokio {
    handle: Handle,
    blocking: Arc<Semaphore>,
}

impl Tokio {
    /// On the runtime given. At most `threads` pieces of slow work run at once, so that logins of many clients leave
    /// processors to those who are logged in.
    pub fn new(handle: Handle, threads: usize) -> Tokio {
        Tokio { handle, blocking: Arc::new(Semaphore::new(threads.max(1))) }
    }
}

/// Fills a buffer with randomness of the operating system.
///
/// # Panics
/// Where the operating system gives none: nothing secure can be done then.
pub fn random(buffer: &mut [u8]) {
    linnet_net::random(buffer);
}

impl Context for Tokio {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn random(&self, buffer: &mut [u8]) {
        random(buffer);
    }

    fn spawn(&self, task: Future<'static, ()>) {
        self.handle.spawn(task);
    }

    fn sleep(&self, time: Duration) -> Future<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> Future<'static, ()> {
        let (handle, blocking) = (self.handle.clone(), self.blocking.clone());
        Box::pin(async move {
            // The semaphore is never closed.
            let Ok(permit) = blocking.acquire_owned().await else { return };
            let done = handle.spawn_blocking(move || {
                work();
                drop(permit);
            });
            if done.await.is_err() {
                tracing::error!("work on the pool of threads panicked");
            }
        })
    }
}
