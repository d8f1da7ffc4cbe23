//! How fast the sessions of one account may send, all together: stanzas that are left, and when there will be more. What
//! comes faster is not read, never dropped.

use parking_lot::Mutex;
use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

/// The stanzas that an account may still send. Looks at the clock only when they are used up.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    left: AtomicI64,
    /// When they were counted last; `None`: never.
    since: Mutex<Option<Instant>>,
}

/// As many seconds' worth may come at once: what a client sends after it was away.
const BURST_SECONDS: i64 = 2;

impl Pace {
    /// One was sent.
    pub(crate) fn take(&self) {
        self.left.fetch_sub(1, Ordering::Relaxed);
    }

    /// How long its sessions should not be read; `per_second` 0: there is no limit.
    pub(crate) fn wait(&self, per_second: u32, now: impl FnOnce() -> Instant) -> Option<Duration> {
        if per_second == 0 || self.left.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let mut since = self.since.lock();
        let (now, rate) = (now(), i64::from(per_second));
        let burst = rate * BURST_SECONDS;
        let grown = since.map_or(burst, |since| {
            let passed = now.saturating_duration_since(since).min(Duration::from_secs(3600));
            (passed.as_secs_f64() * f64::from(per_second)) as i64
        });
        *since = Some(now);
        let before = self.left.fetch_add(grown, Ordering::Relaxed);
        let left = before.saturating_add(grown);
        if left > burst {
            self.left.fetch_sub(left - burst, Ordering::Relaxed);
        }
        if left > 0 {
            return None;
        }
        // A tenth of a second's worth at least, so that reading goes on in decent pieces.
        let wanted = (rate / 10).max(1) - left;
        Some(Duration::from_secs_f64((wanted as f64 / f64::from(per_second)).min(60.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_come_back_with_time() {
        let (pace, now) = (Pace::default(), Instant::now());
        let send = |count| (0..count).for_each(|_| pace.take());
        assert_eq!(pace.wait(100, || now), None);
        send(199);
        assert_eq!(pace.wait(100, || now), None);
        send(51);
        assert_eq!(pace.wait(100, || now), Some(Duration::from_millis(600)));
        assert_eq!(pace.wait(100, || now + Duration::from_millis(600)), None);
        send(1000);
        assert_eq!(pace.wait(0, || now), None);
        // A long rest gives two seconds' worth and no more.
        assert_eq!(pace.wait(100, || now + Duration::from_secs(1000)), None);
        send(200);
        assert!(pace.wait(100, || now + Duration::from_secs(1000)).is_some());
    }
}
