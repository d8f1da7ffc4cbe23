//! How many people one account may write to, or ask for a subscription, who are not in its roster: a person gets to know
//! a few people in an hour, a sender of unwanted messages thousands. Who is over the limit is told to wait; nothing is
//! held against whom he has written to before.
//!
//! Rooms, services and answers to others who are in the roster do not count.

use crate::roster::Roster;
use kernel::{
    Feature, Hook, Turn,
    hooks::{Refusal, Side},
};
use linnet_xmpp::{
    Jid, StanzaError,
    stanza::{Class, Condition, Kind, Type},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    time::Instant,
};

/// Strangers.
pub static FEATURE: Feature = Feature {
    name: "strangers",
    xeps: &[],
    server_features: &[],
    account_features: &[],
    stream_features: &[],
    hooks: &[Hook::Guard { kinds: &[Kind::Message, Kind::Presence], run: guard }],
};

/// People outside of the roster whom an account is remembered to have written to.
const REMEMBERED: usize = 256;
/// Accounts remembered before those are forgotten that have written to no stranger for an hour.
const ACCOUNTS: usize = 4096;

/// Whom accounts have written to, in memory: a restart forgets it.
#[derive(Debug, Default)]
struct Strangers(Mutex<BTreeMap<Jid, Acquaintances>>);

#[derive(Debug)]
struct Acquaintances {
    /// How many more there may be now.
    left: f64,
    since: Instant,
    known: VecDeque<u64>,
}

impl Strangers {
    fn admits(&self, account: &Jid, other: &str, per_hour: u32, now: Instant) -> bool {
        let most = f64::from(per_hour);
        let mut accounts = self.0.lock();
        if accounts.len() >= ACCOUNTS && !accounts.contains_key(account) {
            accounts.retain(|_, entry| entry.refill(most, now) < most);
        }
        let fresh = || Acquaintances { left: most, since: now, known: VecDeque::new() };
        let entry = accounts.entry(account.clone()).or_insert_with(fresh);
        let mut hasher = DefaultHasher::new();
        other.hash(&mut hasher);
        let other = hasher.finish();
        if entry.known.contains(&other) {
            return true;
        }
        if entry.refill(most, now) < 1.0 {
            return false;
        }
        entry.left -= 1.0;
        if entry.known.len() >= REMEMBERED {
            entry.known.pop_front();
        }
        entry.known.push_back(other);
        true
    }
}

impl Acquaintances {
    fn refill(&mut self, most: f64, now: Instant) -> f64 {
        let hours = now.saturating_duration_since(self.since).as_secs_f64() / 3600.0;
        self.left = (self.left + hours * most).min(most);
        self.since = now;
        self.left
    }
}

fn guard(turn: &Turn<'_>) -> Result<(), Refusal> {
    let (stanza, per_hour) = (turn.stanza, turn.kernel.settings.strangers_per_hour);
    let begins = match stanza.ty {
        Type::Subscribe => true,
        Type::Normal | Type::Chat => stanza.kind == Kind::Message,
        _ => false,
    };
    let Some(to) = stanza.to.as_ref().filter(|to| begins && to.local().is_some()) else { return Ok(()) };
    if turn.kernel.service(to.domain()).is_some() {
        return Ok(());
    }
    let own = &turn.account.address;
    if turn.side != Side::Out || per_hour == 0 || to.bare_str() == own.as_str() {
        return Ok(());
    }
    if turn.document::<Roster>().is_some_and(|roster| roster.contact(to).is_some()) {
        return Ok(());
    }
    let now = turn.kernel.context.instant();
    if turn.kernel.shared::<Strangers>().admits(own, to.bare_str(), per_hour, now) {
        return Ok(());
    }
    let text = "you write to many people who are not in your roster; wait, or add them";
    Err(StanzaError::new(Condition::ResourceConstraint).class(Class::Wait).text(text).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn so_many_in_an_hour_and_those_known_for_ever() {
        let (strangers, now) = (Strangers::default(), Instant::now());
        let romeo = Jid::parse("romeo@example.org").unwrap();
        let admits = |other: &str, now| strangers.admits(&romeo, other, 3, now);
        assert!(["a@b", "c@d", "e@f"].iter().all(|other| admits(other, now)));
        assert!(!admits("g@h", now) && admits("a@b", now));
        assert!(!admits("g@h", now + Duration::from_secs(1000)));
        assert!(admits("g@h", now + Duration::from_secs(1201)));
        assert!(!admits("i@j", now + Duration::from_secs(1300)));
        let juliet = Jid::parse("juliet@example.org").unwrap();
        assert!(strangers.admits(&juliet, "g@h", 3, now));
    }
}
