//! The measured window: workers run closed loops, one observer reads their counters and the server's processor time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::process;

/// How long workers may take to notice the end and finish what is in flight.
const FINISH: Duration = Duration::from_secs(15);

/// Shared between the observer and its workers.
#[derive(Default)]
pub(crate) struct Gauge {
    count: AtomicU64,
    recording: AtomicBool,
    stopping: AtomicBool,
}

impl Gauge {
    /// Adds finished operations.
    pub(crate) fn add(&self, finished: u64) {
        self.count.fetch_add(finished, Relaxed);
    }

    /// Whether latencies belong to the window now.
    pub(crate) fn recording(&self) -> bool {
        self.recording.load(Relaxed)
    }

    /// Whether workers should finish.
    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }
}

/// What a window saw.
pub(crate) struct Seen {
    /// Operations finished.
    pub(crate) count: f64,
    /// Processor seconds of the server.
    pub(crate) cpu_s: f64,
    /// Wall-clock seconds.
    pub(crate) wall_s: f64,
    /// Latencies of all workers.
    pub(crate) times: Vec<Duration>,
}

/// Times of a window.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    /// Before counting.
    pub(crate) warm_up: Duration,
    /// While counting.
    pub(crate) length: Duration,
}

impl Window {
    /// Watches `workers`, which share `gauge`, and the process tree `pid`. The first worker's error is the result.
    pub(crate) async fn watch(
        self,
        pid: u32,
        gauge: Arc<Gauge>,
        mut workers: JoinSet<io::Result<Vec<Duration>>>,
    ) -> io::Result<Seen> {
        nap(self.warm_up, &mut workers).await?;
        let (began, cpu, count) = (Instant::now(), process::tree(pid)?.cpu_s, gauge.count.load(Relaxed));
        gauge.recording.store(true, Relaxed);
        nap(self.length, &mut workers).await?;
        gauge.recording.store(false, Relaxed);
        let mut seen = Seen {
            count: (gauge.count.load(Relaxed) - count) as f64,
            cpu_s: process::tree(pid)?.cpu_s - cpu,
            wall_s: began.elapsed().as_secs_f64(),
            times: Vec::new(),
        };
        gauge.stopping.store(true, Relaxed);
        let all = async {
            while let Some(worker) = workers.join_next().await {
                seen.times.extend(worker.map_err(io::Error::other)??);
            }
            Ok::<_, io::Error>(())
        };
        match tokio::time::timeout(FINISH, all).await {
            Ok(outcome) => outcome?,
            Err(_) => return Err(io::Error::other("workers wait for something that never came: lost?")),
        }
        if seen.count == 0.0 {
            return Err(io::Error::other("nothing was finished within the window"));
        }
        Ok(seen)
    }
}

/// Sleeps, unless a worker fails first.
async fn nap(length: Duration, workers: &mut JoinSet<io::Result<Vec<Duration>>>) -> io::Result<()> {
    tokio::select! {
        () = tokio::time::sleep(length) => Ok(()),
        Some(ended) = workers.join_next() => {
            ended.map_err(io::Error::other)??;
            Err(io::Error::other("a worker ended before its time"))
        }
    }
}
