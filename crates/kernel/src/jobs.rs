//! What the server does of itself, again and again: expiry, indexing, retention. Invariants: one step of a job at a
//! time; each step comes behind everything that was handed over before it, and leaves as much time as it took.

use crate::{Kernel, limits};
use std::{
    fmt,
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};
use store::Future;
use tokio::sync::oneshot;

/// Work that a feature does now and then.
///
/// It is done in steps, so that traffic goes first. A step reads and writes no more than [`limits::JOB_ROWS`] rows (an
/// index, which is no row of anybody's, may be filled in larger batches) and writes through [`Kernel::apply`]. The first
/// step comes soon after the start; a step that fails is logged, and the job goes on after its interval.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// What it does, in two or three words, e.g. `upload expiry`; unique among jobs.
    pub name: &'static str,
    /// How long it rests once nothing is left to do.
    pub every: Duration,
    /// Does one step.
    pub step: fn(Arc<Kernel>) -> Future<'static, Result<Step, JobError>>,
}

/// What a step leaves to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is more: the next step comes as soon as traffic lets it.
    More,
    /// Nothing for now: the next step comes after the interval.
    Done,
}

/// Why a step was not done: whatever failed, for the log.
pub type JobError = Box<dyn std::error::Error + Send + Sync>;

/// Starts the jobs; each ends when the kernel is gone or stopping.
pub(crate) fn run(kernel: &Arc<Kernel>) {
    for job in &kernel.hooks.jobs {
        kernel.context.spawn(Box::pin(repeat(Arc::downgrade(kernel), kernel.context.clone(), *job)));
    }
}

async fn repeat(kernel: Weak<Kernel>, context: Arc<dyn crate::Context>, job: Job) {
    // Soon, so that a server that is restarted often does its work too; not at once, when everybody logs in.
    let mut rest = job.every.min(Duration::from_secs(limits::FIRST_JOB_SECONDS));
    loop {
        context.sleep(rest).await;
        let Some(alive) = kernel.upgrade() else { return };
        alive.quiet().await;
        if alive.stopping.load(Ordering::Acquire) {
            return;
        }
        let began = context.instant();
        rest = match step(&alive, job).await {
            Ok(Step::More) => context.instant().saturating_duration_since(began),
            Ok(Step::Done) => job.every,
            // Whoever stops a server does not wait for jobs: what they do can be cut off anywhere.
            Err(_) if alive.stopping.load(Ordering::Acquire) => return,
            Err(error) => {
                tracing::error!(job = job.name, %error, "a job failed; it is tried again later");
                job.every
            }
        };
    }
}

/// One step, on a task of its own: if it panics, the job goes on later.
async fn step(kernel: &Arc<Kernel>, job: Job) -> Result<Step, JobError> {
    let (answer, answered) = oneshot::channel();
    let alive = kernel.clone();
    kernel.context.spawn(Box::pin(async move {
        // The job waits for the answer, unless the server is being torn down.
        let _ = answer.send((job.step)(alive).await);
    }));
    answered.await.unwrap_or_else(|_| Err(Box::new(Panicked)))
}

#[derive(Debug)]
struct Panicked;

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it panicked")
    }
}

impl std::error::Error for Panicked {}

impl Kernel {
    /// Waits until what was handed over is durable and performed, and not too much else is waiting.
    async fn quiet(&self) {
        self.barrier().await;
        while self.commit.is_over() {
            self.context.sleep(Duration::from_millis(limits::JOB_PAUSE_MS)).await;
        }
    }
}
