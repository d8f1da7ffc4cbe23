//! Archive ids: one counter for the whole process, and the opaque form in which clients see them (XEP-0359 §3, §6).

use parking_lot::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

/// Hands out ids that ascend over restarts and clock jumps: the larger of now in microseconds and the last one plus 1.
#[derive(Debug)]
pub(crate) struct Ids {
    last: Mutex<u64>,
    keys: [u32; ROUNDS],
}

const ROUNDS: usize = 8;

impl Ids {
    pub(crate) fn new(last: u64, secret: &[u8; 32]) -> Ids {
        let mut keys = [0; ROUNDS];
        for (key, bytes) in keys.iter_mut().zip(secret.chunks_exact(4)) {
            *key = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        Ids { last: Mutex::new(last), keys }
    }

    /// The next id. Called under the lock of the owner whose log it is for, so that ids ascend within it.
    pub(crate) fn next(&self, now: SystemTime) -> u64 {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_micros() as u64);
        let mut last = self.last.lock();
        *last = now.max(*last + 1);
        *last
    }

    /// The id as clients see it: a keyed permutation of 64 bits, which tells neither time nor count.
    pub(crate) fn opaque(&self, id: u64) -> u64 {
        let (mut left, mut right) = ((id >> 32) as u32, id as u32);
        for key in self.keys {
            (left, right) = (right, left ^ mix(right, key));
        }
        u64::from(left) << 32 | u64::from(right)
    }

    /// The id of an opaque one.
    pub(crate) fn reveal(&self, opaque: u64) -> u64 {
        let (mut left, mut right) = ((opaque >> 32) as u32, opaque as u32);
        for key in self.keys.iter().rev() {
            (left, right) = (right ^ mix(left, *key), left);
        }
        u64::from(left) << 32 | u64::from(right)
    }
}

/// One round's function of the Feistel network: a multiply-and-shift mixer under a key.
fn mix(half: u32, key: u32) -> u32 {
    let mut x = (half ^ key).wrapping_mul(0x9E37_79B1);
    x ^= x >> 15;
    x = x.wrapping_mul(0x85EB_CA77).wrapping_add(key.rotate_left(11));
    x ^= x >> 13;
    x.wrapping_mul(0xC2B2_AE3D) ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opaque_ids_come_back_and_do_not_show_their_order() {
        let ids = Ids::new(0, &[7; 32]);
        let shown: Vec<u64> = (1..1000).map(|id| ids.opaque(id)).collect();
        assert!(shown.iter().zip(1..).all(|(&opaque, id)| ids.reveal(opaque) == id));
        assert!(shown.windows(2).filter(|pair| pair[0] < pair[1]).count() < 600);
    }

    #[test]
    fn ids_ascend_when_the_clock_stands_still_or_jumps_back() {
        let ids = Ids::new(50, &[0; 32]);
        assert_eq!(ids.next(UNIX_EPOCH), 51);
        let later = UNIX_EPOCH + std::time::Duration::from_micros(100);
        assert_eq!((ids.next(later), ids.next(later), ids.next(UNIX_EPOCH)), (100, 101, 102));
    }
}
