//! What a back end remembers of the entries it applied, so that a batch of unknown outcome can be applied again.
//!
//! Kept in the same transaction as the batch itself: the largest entry id, and the outcomes of the last batch that did
//! something. Invariant: an entry whose id is not above the largest is never done again.

use crate::{Entry, Outcome, StoreError};

/// The largest entry id applied, and the outcomes of the last batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recent {
    high: u64,
    last: Vec<(u64, Outcome)>,
}

impl Recent {
    /// The largest entry id applied; 0 in a new store.
    pub fn high(&self) -> u64 {
        self.high
    }

    /// The outcome of an entry that was applied before; `None` for one that is new.
    ///
    /// # Errors
    /// [`StoreError::Refused`]: the id is not new, and the entry was not in the last batch. What became of it is not
    /// known, so neither answer would be true.
    pub fn outcome(&self, id: u64) -> Result<Option<Outcome>, StoreError> {
        if id > self.high {
            return Ok(None);
        }
        match self.last.binary_search_by_key(&id, |(known, _)| *known) {
            Ok(at) => Ok(Some(self.last[at].1.clone())),
            Err(_) => Err(StoreError::Refused(format!("entry {id} is older than the last batch"))),
        }
    }

    /// Takes note of a batch. Nothing changes if none of its entries is new, so that a batch may be replayed one by
    /// one as often as the caller likes.
    pub fn note(&mut self, batch: &[Entry], outcomes: &[Outcome]) {
        if batch.last().is_some_and(|entry| entry.id > self.high) {
            self.last = batch.iter().map(|entry| entry.id).zip(outcomes.iter().cloned()).collect();
            self.high = batch.last().map_or(self.high, |entry| entry.id);
        }
    }

    /// The outcomes as bytes: for each entry the distance to the id before it (to `high` for the first), shifted left
    /// by one, with the lowest bit set if its condition failed, as LEB128. A full batch takes half a kilobyte.
    pub fn encode_last(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.last.len() + 10);
        let mut upper = self.high;
        for (id, outcome) in self.last.iter().rev() {
            let mut rest = u128::from(upper - id) << 1 | u128::from(*outcome == Outcome::ConditionFailed);
            upper = *id;
            while rest > 0x7f {
                bytes.push((rest & 0x7f) as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
        }
        bytes
    }

    /// The reverse of [`Recent::encode_last`]; `None` if the bytes are not what it wrote.
    pub fn decode(high: u64, bytes: &[u8]) -> Option<Recent> {
        let mut last = Vec::new();
        let (mut upper, mut number, mut shift) = (high, 0u128, 0);
        for byte in bytes {
            if shift > 63 {
                return None;
            }
            number |= u128::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                upper = upper.checked_sub(u64::try_from(number >> 1).ok()?)?;
                last.push((upper, if number & 1 == 1 { Outcome::ConditionFailed } else { Outcome::Done }));
                (number, shift) = (0, 0);
            }
        }
        last.reverse();
        (shift == 0).then_some(Recent { high, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recent(outcomes: &[(u64, Outcome)]) -> Recent {
        let mut recent = Recent::default();
        let batch: Vec<Entry> =
            outcomes.iter().map(|(id, _)| Entry { id: *id, conditions: Vec::new(), writes: Vec::new() }).collect();
        recent.note(&batch, &outcomes.iter().map(|(_, outcome)| outcome.clone()).collect::<Vec<_>>());
        recent
    }

    #[test]
    fn outcomes_survive_encoding() {
        for outcomes in [
            vec![],
            vec![(1, Outcome::Done)],
            vec![(7, Outcome::ConditionFailed), (8, Outcome::Done), (900, Outcome::ConditionFailed)],
            vec![(1, Outcome::Done), (i64::MAX as u64, Outcome::ConditionFailed)],
            vec![(1, Outcome::ConditionFailed), (u64::MAX, Outcome::Done)],
        ] {
            let recent = recent(&outcomes);
            assert_eq!(Recent::decode(recent.high(), &recent.encode_last()), Some(recent));
        }
        assert_eq!(Recent::decode(5, &[0x80]), None, "cut off");
        assert_eq!(Recent::decode(5, &[0x7e]), None, "below zero");
        assert_eq!(Recent::decode(5, &[0xff; 30]), None, "endless");
    }

    #[test]
    fn an_entry_older_than_the_last_batch_has_no_answer() {
        let recent = recent(&[(5, Outcome::Done), (7, Outcome::ConditionFailed)]);
        assert_eq!(recent.outcome(8), Ok(None));
        assert_eq!(recent.outcome(7), Ok(Some(Outcome::ConditionFailed)));
        assert_eq!(recent.outcome(5), Ok(Some(Outcome::Done)));
        assert!(matches!(recent.outcome(6), Err(StoreError::Refused(_))));
    }
}
