//! How long to wait before the next attempt: twice as long each time, within bounds, and never the same for all clients.

use std::time::Duration;

/// Bounds of the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second attempt.
    pub first: Duration,
    /// At most.
    pub most: Duration,
}

impl Default for Backoff {
    /// One second to two minutes.
    fn default() -> Backoff {
        Backoff { first: Duration::from_secs(1), most: Duration::from_secs(120) }
    }
}

impl Backoff {
    /// The wait after so many failures in a row (0: the connection had worked): the exponential one or up to half of it
    /// less, as drawn, so that the clients of a server that was restarted do not all come at once.
    pub fn wait(&self, failures: u32, random: fn(&mut [u8])) -> Duration {
        let whole = self.first.saturating_mul(1_u32.checked_shl(failures.min(31)).unwrap_or(u32::MAX)).min(self.most);
        let mut bytes = [0; 2];
        random(&mut bytes);
        let share = f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX);
        whole.mul_f64(1.0 - share / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_within_bounds() {
        let backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(60) };
        let long: fn(&mut [u8]) = |bytes| bytes.fill(0);
        let short: fn(&mut [u8]) = |bytes| bytes.fill(255);
        for (failures, seconds) in [(0, 1), (1, 2), (5, 32), (6, 60), (40, 60), (u32::MAX, 60)] {
            let whole = Duration::from_secs(seconds);
            assert_eq!(backoff.wait(failures, long), whole);
            assert_eq!(backoff.wait(failures, short), whole / 2);
        }
    }
}
