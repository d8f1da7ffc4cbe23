//! The pool of read-only connections, each on a thread of its own.
//!
//! Threads come when all are busy, up to the limit, and end when idle for a while: a server with nobody on holds no
//! reader's cache.

use crate::error::{closed, store_error};
use crate::open;
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use store::{Future, StoreError};
use tokio::sync::oneshot;

/// How long an idle thread waits for work.
const IDLE: Duration = Duration::from_secs(30);

type Query = Box<dyn FnOnce(Result<&Connection, StoreError>) + Send>;

/// The pool. A clone is another handle.
#[derive(Clone)]
pub(crate) struct Readers {
    shared: Arc<Shared>,
}

struct Shared {
    file: PathBuf,
    limit: usize,
    queue: Mutex<Queue>,
    work: Condvar,
}

#[derive(Default)]
struct Queue {
    /// One per waiting future: whoever awaits is the bound.
    queries: VecDeque<Query>,
    idle: usize,
    running: usize,
    threads: Vec<JoinHandle<()>>,
    closed: bool,
}

impl Readers {
    /// At most `limit` threads, none now.
    pub(crate) fn new(file: PathBuf, limit: usize) -> Readers {
        let shared = Shared { file, limit: limit.max(1), queue: Mutex::default(), work: Condvar::new() };
        Readers { shared: Arc::new(shared) }
    }

    /// Runs a query on one of the threads. It is queued when the future is first polled.
    pub(crate) fn read<'a, T: Send + 'static>(
        &'a self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Future<'a, Result<T, StoreError>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            self.queue(Box::new(move |connection| {
                // Whoever asked may have gone.
                let _ = answer.send(connection.and_then(|connection| query(connection).map_err(store_error)));
            }))?;
            answered.await.unwrap_or_else(|_| Err(closed()))
        })
    }

    /// Ends all threads after what they are doing; queued queries are answered with an error.
    pub(crate) fn close(&self) {
        let threads = {
            let mut queue = self.shared.queue.lock();
            queue.closed = true;
            queue.queries.clear();
            std::mem::take(&mut queue.threads)
        };
        self.shared.work.notify_all();
        for thread in threads {
            // A panic was reported by its thread; the others must still be waited for.
            let _ = thread.join();
        }
    }

    fn queue(&self, query: Query) -> Result<(), StoreError> {
        let mut queue = self.shared.queue.lock();
        if queue.closed {
            return Err(closed());
        }
        queue.queries.push_back(query);
        if queue.idle >= queue.queries.len() || queue.running >= self.shared.limit {
            self.shared.work.notify_one();
            return Ok(());
        }
        let shared = self.shared.clone();
        match std::thread::Builder::new().name("store-reader".to_owned()).spawn(move || shared.run()) {
            Ok(thread) => {
                queue.running += 1;
                queue.threads.retain(|thread| !thread.is_finished());
                queue.threads.push(thread);
                Ok(())
            }
            // With a thread at work the query waits for it; without one nobody would ever take it.
            Err(_) if queue.running > 0 => Ok(()),
            Err(error) => {
                queue.queries.pop_back();
                Err(StoreError::Io(error.to_string()))
            }
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut connection = None;
        while let Some(query) = self.next() {
            let opened = connection.take().map_or_else(|| open::reader(&self.file), Ok);
            // A panic has been reported by the hook, and whoever asked gets an error, for the answer is dropped. The
            // thread must live on: others may be queued for it. The connection, whatever its state, does not.
            let answered = catch_unwind(AssertUnwindSafe(|| match opened {
                Ok(opened) => {
                    query(Ok(&opened));
                    Some(opened)
                }
                Err(error) => {
                    query(Err(store_error(error)));
                    None
                }
            }));
            connection = answered.unwrap_or_default();
        }
    }

    /// Waits for a query; `None`: the thread shall end, and is no longer counted.
    fn next(&self) -> Option<Query> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(query) = queue.queries.pop_front() {
                return Some(query);
            }
            if queue.closed {
                queue.running -= 1;
                return None;
            }
            queue.idle += 1;
            let timed_out = self.work.wait_for(&mut queue, IDLE).timed_out();
            queue.idle -= 1;
            if timed_out && queue.queries.is_empty() {
                queue.running -= 1;
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::task::{Context, Poll, Waker};
    use store::contract::block_on;

    fn pool(limit: usize) -> Readers {
        // An empty database will do: a memory that nobody shares.
        Readers::new(":memory:".into(), limit)
    }

    fn threads(readers: &Readers) -> usize {
        readers.shared.queue.lock().running
    }

    #[test]
    fn threads_come_with_the_need_and_up_to_the_limit() {
        let readers = pool(3);
        assert_eq!(threads(&readers), 0);
        for _ in 0..5 {
            assert_eq!(block_on(readers.read(|_| Ok(7))), Ok(7));
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(threads(&readers), 1);
        let together = Arc::new(Barrier::new(3));
        let mut answers: Vec<_> = (0..30)
            .map(|number| {
                let together = together.clone();
                readers.read(move |_| {
                    together.wait();
                    Ok(number)
                })
            })
            .collect();
        for answer in &mut answers {
            assert_eq!(answer.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
        }
        for (number, answer) in answers.into_iter().enumerate() {
            assert_eq!(block_on(answer), Ok(number));
        }
        assert_eq!(threads(&readers), 3);
        readers.close();
        assert_eq!(threads(&readers), 0);
        assert_eq!(block_on(readers.read(|_| Ok(()))), Err(closed()));
    }

    #[test]
    fn a_query_that_panics_fails_alone() {
        let readers = pool(1);
        assert!(block_on(readers.read::<()>(|_| panic!("a fault of ours"))).is_err());
        assert_eq!(block_on(readers.read(|_| Ok(7))), Ok(7));
    }

    #[test]
    fn a_database_that_cannot_be_opened_is_an_error_of_the_query() {
        let readers = Readers::new("/nowhere/linnet.db".into(), 2);
        for _ in 0..2 {
            assert!(matches!(block_on(readers.read(|_| Ok(7))), Err(StoreError::Io(_))));
        }
    }
}
