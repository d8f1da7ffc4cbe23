//! The judge of histories: what was sent, acknowledged, refused and received, and what is wrong with it.
//!
//! A history is complete when nothing is under way any more and every account has fetched what was stored for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Something that a client saw or did, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A session sent a message that is to be kept.
    Sent {
        /// The sending session; what it sends has an order.
        sender: String,
        /// The account addressed.
        to: String,
        /// Unique in the history.
        id: u64,
    },
    /// The sender has seen that everything is safe that it sent up to a message (a ping behind it was answered).
    Acknowledged {
        /// The sending session.
        sender: String,
        /// The number of the last message; no message at all, if it sent none before.
        up_to: u64,
    },
    /// The sender was told that the message was not taken.
    Refused {
        /// Which.
        id: u64,
    },
    /// A device received a message.
    Received {
        /// The account.
        account: String,
        /// One of its devices.
        device: String,
        /// Which message.
        id: u64,
        /// The id under which the account's log has it (XEP-0359).
        stanza_id: String,
    },
    /// A session of the account ended with messages that it had not read: they go to other devices, which may have newer
    /// ones already.
    Ended {
        /// The account.
        account: String,
    },
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "said by the variants' comments")]
pub enum Fault {
    /// Acknowledged, not refused, and no device of the recipient received it.
    Lost { id: u64 },
    /// A device received it more than once, or two devices received it under different ids.
    Duplicated { id: u64, device: String },
    /// A device received an earlier message of a sender after a later one, and no session ended meanwhile from which the
    /// earlier one could have come back.
    Reordered { earlier: u64, later: u64, device: String },
    /// Two devices of one account saw two messages in different orders.
    Disagreed { one: u64, other: u64, devices: [String; 2] },
    /// Received by an account that it was not for, or though nobody sent it, or though its sender was told that it was
    /// refused.
    Leaked { id: u64, account: String },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Lost { id } => write!(f, "{id} is lost"),
            Fault::Duplicated { id, device } => write!(f, "{id} came more than once ({device})"),
            Fault::Reordered { earlier, later, device } => write!(f, "{earlier} came after {later} to {device}"),
            Fault::Disagreed { one, other, devices: [a, b] } => {
                write!(f, "{a} and {b} saw {one} and {other} in different orders")
            }
            Fault::Leaked { id, account } => write!(f, "{account} received {id}, which was not for it"),
        }
    }
}

#[derive(Default)]
struct Message<'a> {
    sender: &'a str,
    to: &'a str,
    /// Where in the history it was sent.
    sent: usize,
    acknowledged: bool,
    refused: bool,
}

#[derive(Default)]
struct Device<'a> {
    account: &'a str,
    /// Ids in the order of their first arrival, with their places in the history.
    received: Vec<(u64, usize)>,
}

impl Device<'_> {
    fn has(&self, id: u64) -> bool {
        self.received.iter().any(|(received, _)| *received == id)
    }
}

/// Everything that is wrong with a history, each fault once.
pub fn judge(history: &[Event]) -> BTreeSet<Fault> {
    let mut faults = BTreeSet::new();
    let messages = messages(history);
    let mut devices: BTreeMap<&str, Device<'_>> = BTreeMap::new();
    let mut ids: BTreeMap<u64, &str> = BTreeMap::new();
    for (place, event) in history.iter().enumerate() {
        let Event::Received { account, device, id, stanza_id } = event else { continue };
        let known = messages.get(id).filter(|message| message.to == account && !message.refused);
        if known.is_none() {
            faults.insert(Fault::Leaked { id: *id, account: account.clone() });
        }
        let seen = devices.entry(device).or_insert_with(|| Device { account, received: Vec::new() });
        let same_id = *ids.entry(*id).or_insert(stanza_id) == stanza_id;
        if seen.has(*id) || !same_id {
            faults.insert(Fault::Duplicated { id: *id, device: device.clone() });
        } else {
            seen.received.push((*id, place));
        }
    }
    for (id, message) in &messages {
        let arrived = devices.values().any(|device| device.account == message.to && device.has(*id));
        if message.acknowledged && !message.refused && !arrived {
            faults.insert(Fault::Lost { id: *id });
        }
    }
    for (name, device) in &devices {
        check_order(name, device, history, &messages, &mut faults);
    }
    check_agreement(&devices, &mut faults);
    faults
}

fn messages(history: &[Event]) -> BTreeMap<u64, Message<'_>> {
    let mut messages: BTreeMap<u64, Message<'_>> = BTreeMap::new();
    for (sent, event) in history.iter().enumerate() {
        match event {
            Event::Sent { sender, to, id } => {
                messages.insert(*id, Message { sender, to, sent, ..Message::default() });
            }
            Event::Acknowledged { sender, up_to } => {
                let earlier = messages.range_mut(..=up_to).filter(|(_, message)| message.sender == sender);
                earlier.for_each(|(_, message)| message.acknowledged = true);
            }
            Event::Refused { id } => {
                if let Some(message) = messages.get_mut(id) {
                    message.refused = true;
                }
            }
            Event::Received { .. } | Event::Ended { .. } => {}
        }
    }
    messages
}

/// Ids are given in the order of sending.
fn check_order(
    name: &str,
    device: &Device<'_>,
    history: &[Event],
    messages: &BTreeMap<u64, Message<'_>>,
    faults: &mut BTreeSet<Fault>,
) {
    let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
    for (id, place) in &device.received {
        let Some(message) = messages.get(id) else { continue };
        let last = newest.entry(message.sender).or_default();
        let came_back = || {
            let ended = |event: &Event| matches!(event, Event::Ended { account } if account == device.account);
            history.get(message.sent..*place).is_some_and(|between| between.iter().any(ended))
        };
        if id < last && !came_back() {
            faults.insert(Fault::Reordered { earlier: *id, later: *last, device: name.to_owned() });
        }
        *last = (*last).max(*id);
    }
}

fn check_agreement(devices: &BTreeMap<&str, Device<'_>>, faults: &mut BTreeSet<Fault>) {
    for (a_name, a) in devices {
        for (b_name, b) in devices.iter().filter(|(name, b)| *name > a_name && b.account == a.account) {
            let place: BTreeMap<u64, usize> = b.received.iter().copied().collect();
            let common: Vec<(u64, usize)> =
                a.received.iter().filter_map(|(id, _)| place.get(id).map(|place| (*id, *place))).collect();
            for pair in common.windows(2).filter(|pair| pair[0].1 > pair[1].1) {
                let devices = [(*a_name).to_owned(), (*b_name).to_owned()];
                faults.insert(Fault::Disagreed { one: pair[0].0, other: pair[1].0, devices });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(id: u64) -> Event {
        Event::Sent { sender: "romeo/a".into(), to: "juliet".into(), id }
    }

    fn received(device: &str, id: u64) -> Event {
        let (account, device) = ("juliet".into(), device.into());
        Event::Received { account, device, id, stanza_id: format!("s{id}") }
    }

    fn acknowledged(up_to: u64) -> Event {
        Event::Acknowledged { sender: "romeo/a".into(), up_to }
    }

    fn faults(history: &[Event]) -> Vec<Fault> {
        judge(history).into_iter().collect()
    }

    #[test]
    fn a_history_without_faults_passes() {
        let history =
            [sent(1), sent(2), acknowledged(2), received("j1", 1), received("j2", 1), received("j1", 2), sent(3)];
        assert_eq!(faults(&history), []);
        // Not acknowledged and refused messages may be missing.
        assert_eq!(faults(&[sent(1), sent(2), Event::Refused { id: 1 }, acknowledged(1)]), []);
    }

    #[test]
    fn a_loss_is_seen() {
        assert_eq!(faults(&[sent(1), sent(2), acknowledged(2), received("j", 2)]), [Fault::Lost { id: 1 }]);
    }

    #[test]
    fn a_second_copy_is_seen_on_one_device_and_under_another_id() {
        let twice = [sent(1), received("j", 1), received("j", 1)];
        assert_eq!(faults(&twice), [Fault::Duplicated { id: 1, device: "j".into() }]);
        let other = Event::Received { account: "juliet".into(), device: "k".into(), id: 1, stanza_id: "other".into() };
        assert_eq!(faults(&[sent(1), received("j", 1), other]), [Fault::Duplicated { id: 1, device: "k".into() }]);
    }

    #[test]
    fn a_wrong_order_is_seen_within_a_device_and_between_two() {
        let history = [sent(1), sent(2), received("j", 2), received("j", 1)];
        assert_eq!(faults(&history), [Fault::Reordered { earlier: 1, later: 2, device: "j".into() }]);
        let ended = Event::Ended { account: "juliet".into() };
        assert_eq!(faults(&[sent(1), sent(2), received("j", 2), ended.clone(), received("j", 1)]), []);
        let history = [ended, sent(1), sent(2), received("j", 2), received("j", 1)];
        assert_eq!(faults(&history).len(), 1);
        let other = Event::Sent { sender: "tybalt/a".into(), to: "juliet".into(), id: 2 };
        let history = [sent(1), other, received("j", 1), received("j", 2), received("k", 2), received("k", 1)];
        let devices = ["j".into(), "k".into()];
        assert_eq!(faults(&history), [Fault::Disagreed { one: 1, other: 2, devices }]);
    }

    #[test]
    fn a_leak_is_seen() {
        let to_another = Event::Received { account: "nurse".into(), device: "n".into(), id: 1, stanza_id: "s".into() };
        assert_eq!(faults(&[sent(1), to_another]), [Fault::Leaked { id: 1, account: "nurse".into() }]);
        assert_eq!(faults(&[received("j", 7)]), [Fault::Leaked { id: 7, account: "juliet".into() }]);
        let history = [sent(1), Event::Refused { id: 1 }, received("j", 1)];
        assert_eq!(faults(&history), [Fault::Leaked { id: 1, account: "juliet".into() }]);
    }
}
