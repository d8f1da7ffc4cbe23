//! The judge of histories: what clients sent, saw acknowledged, received and found in archives, and what is wrong with it.
//! One judge for the simulator and for the program that torments the real binary; the latter's histories are lines of JSON.
//!
//! A history is complete when nothing is under way any more, every account has fetched what was stored for it, and, where
//! there are archives, they were read to their ends.

use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Something that a client saw or did, in the order in which it happened. Devices and senders are named
/// `account/anything`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A device sent a message. To send it again, because nobody knows what became of it, is no event.
    Sent {
        /// The sending device; what it sends has an order.
        sender: String,
        /// The account addressed.
        to: String,
        /// Unique in the history, and rising for each sender.
        id: u64,
        /// Whether the server has to keep it: not with `<no-store/>`, nor a bare chat state.
        kept: bool,
    },
    /// The sender has seen that the message is safe: it was counted, or a ping behind it was answered.
    Acknowledged {
        /// Which.
        id: u64,
    },
    /// The sender was told that the message was not taken.
    Refused {
        /// Which.
        id: u64,
    },
    /// The device has a new session, in which what the last one did not acknowledge may come again.
    Began {
        /// The device.
        device: String,
    },
    /// A device received a message, live or as one that had waited.
    Received {
        /// The account.
        account: String,
        /// One of its devices.
        device: String,
        /// Which message.
        id: u64,
        /// The id under which the account's log has it (XEP-0359); empty if it came without.
        stanza_id: String,
    },
    /// A device got a carbon copy (XEP-0280): the message itself may come to it as well, with the same id.
    Copied {
        /// The account.
        account: String,
        /// One of its devices.
        device: String,
        /// Which message.
        id: u64,
        /// The id under which the account's log has it; empty if it came without.
        stanza_id: String,
    },
    /// A device found a message while it read the archive from where it had stopped, in the archive's order.
    Fetched {
        /// The account.
        account: String,
        /// One of its devices.
        device: String,
        /// Which message.
        id: u64,
        /// Its id in the archive.
        stanza_id: String,
    },
    /// A device has read the archive up to its end for the last time: it has everything.
    Synced {
        /// The account.
        account: String,
        /// The device.
        device: String,
    },
    /// What is in the account's archive at the end, from its beginning on.
    Archived {
        /// The account.
        account: String,
        /// Which message.
        id: u64,
        /// Its id in the archive.
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
    /// Acknowledged, not refused, and missing where it has to be: with the recipient, in an archive, or at a device
    /// that read the archive to its end.
    Lost { id: u64, at: String },
    /// Received more than once in a session, or known under two ids in one account.
    Duplicated { id: u64, at: String },
    /// Received more than once in a session, under one id, after another session of the account had ended with it.
    CameBack { id: u64, at: String },
    /// A device received an earlier message of a sender after a later one, and no session ended meanwhile from which the
    /// earlier one could have come back; or an archive has them so.
    Reordered { earlier: u64, later: u64, at: String },
    /// Two devices of one account saw two messages in different orders.
    Disagreed { one: u64, other: u64, devices: [String; 2] },
    /// Received by an account that it was not for, or though nobody sent it, or though its sender was told that it was
    /// refused; or kept though it was not to be.
    Leaked { id: u64, at: String },
    /// Received under an id that the archive does not have: it cannot be merged.
    Unknown { id: u64, at: String },
}

impl Fault {
    /// Whether it is known of the server and overlooked until it is mended: a row that comes back from a session that has
    /// ended may go to one that had it live. Both have the same stanza-id, so who merges by that has it once.
    pub fn is_overlooked(&self) -> bool {
        matches!(self, Fault::CameBack { .. })
    }

    /// Its kind, for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Lost { .. } => "lost",
            Fault::Duplicated { .. } | Fault::CameBack { .. } => "duplicated",
            Fault::Reordered { .. } | Fault::Disagreed { .. } => "reordered",
            Fault::Leaked { .. } => "leaked",
            Fault::Unknown { .. } => "unknown",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Lost { id, at } => write!(f, "{id} is lost at {at}"),
            Fault::Duplicated { id, at } => write!(f, "{id} came more than once to {at}"),
            Fault::CameBack { id, at } => write!(f, "{id} came back to {at}, which had it"),
            Fault::Reordered { earlier, later, at } => write!(f, "{earlier} came after {later} to {at}"),
            Fault::Disagreed { one, other, devices: [a, b] } => {
                write!(f, "{a} and {b} saw {one} and {other} in different orders")
            }
            Fault::Leaked { id, at } => write!(f, "{at} has {id}, which it must not have"),
            Fault::Unknown { id, at } => write!(f, "{at} got {id} under an id that its archive does not have"),
        }
    }
}

/// The event of a line of JSON.
///
/// # Errors
/// If it is none: what is wrong with it.
pub fn read(line: &str) -> Result<Event, String> {
    serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))
}

/// The line of JSON of an event.
pub fn line(event: &Event) -> String {
    serde_json::to_string(event).unwrap_or_default()
}

#[derive(Default)]
struct Message<'a> {
    sender: &'a str,
    to: &'a str,
    /// Where in the history it was sent.
    sent: usize,
    kept: bool,
    acknowledged: bool,
    refused: bool,
}

impl Message<'_> {
    /// Whether the account has to do with it.
    fn concerns(&self, account: &str) -> bool {
        self.to == account || account_of(self.sender) == account
    }
}

#[derive(Default)]
struct Device<'a> {
    account: &'a str,
    /// Ids in the order of their first arrival, with their places in the history.
    received: Vec<(u64, usize)>,
    known: BTreeSet<u64>,
    /// Since its session began.
    in_session: BTreeSet<u64>,
    synced: bool,
}

/// Everything that is wrong with a history, each fault once.
pub fn judge(history: &[Event]) -> BTreeSet<Fault> {
    let mut judge = Judge { messages: messages(history), ..Judge::default() };
    for (place, event) in history.iter().enumerate() {
        judge.take(place, event);
    }
    judge.check_arrival();
    judge.check_archives();
    for (name, device) in &judge.devices {
        check_order(name, device, history, &judge.messages, &mut judge.faults);
    }
    check_agreement(&judge.devices, &mut judge.faults);
    judge.faults
}

#[derive(Default)]
struct Judge<'a> {
    messages: BTreeMap<u64, Message<'a>>,
    devices: BTreeMap<&'a str, Device<'a>>,
    /// Under which id each account has a message.
    ids: BTreeMap<(&'a str, u64), &'a str>,
    archives: BTreeMap<&'a str, Vec<(u64, &'a str)>>,
    /// Where in the history a session of the account ended.
    ended: BTreeMap<&'a str, Vec<usize>>,
    faults: BTreeSet<Fault>,
}

fn account_of(device: &str) -> &str {
    device.split_once('/').map_or(device, |(account, _)| account)
}

fn messages(history: &[Event]) -> BTreeMap<u64, Message<'_>> {
    let mut messages: BTreeMap<u64, Message<'_>> = BTreeMap::new();
    for (sent, event) in history.iter().enumerate() {
        match event {
            Event::Sent { sender, to, id, kept } => {
                messages.insert(*id, Message { sender, to, sent, kept: *kept, ..Message::default() });
            }
            Event::Acknowledged { id } | Event::Refused { id } => {
                if let Some(message) = messages.get_mut(id) {
                    message.acknowledged |= matches!(event, Event::Acknowledged { .. });
                    message.refused |= matches!(event, Event::Refused { .. });
                }
            }
            _ => {}
        }
    }
    messages
}

impl<'a> Judge<'a> {
    fn device(&mut self, account: &'a str, device: &'a str) -> &mut Device<'a> {
        self.devices.entry(device).or_insert_with(|| Device { account, ..Device::default() })
    }

    fn take(&mut self, place: usize, event: &'a Event) {
        match event {
            Event::Began { device } => self.device(account_of(device), device).in_session.clear(),
            Event::Synced { account, device } => self.device(account, device).synced = true,
            Event::Received { account, device, id, stanza_id } => {
                let same = self.name(account, device, *id, stanza_id);
                let seen = self.device(account, device);
                let again = !seen.in_session.insert(*id);
                if seen.known.insert(*id) {
                    seen.received.push((*id, place));
                }
                if again && same && self.came_back(account, *id) {
                    self.faults.insert(Fault::CameBack { id: *id, at: device.clone() });
                } else if again || !same {
                    self.faults.insert(Fault::Duplicated { id: *id, at: device.clone() });
                }
            }
            Event::Copied { account, device, id, stanza_id } | Event::Fetched { account, device, id, stanza_id } => {
                let same = self.name(account, device, *id, stanza_id);
                self.device(account, device).known.insert(*id);
                if !same {
                    self.faults.insert(Fault::Duplicated { id: *id, at: device.clone() });
                }
                if matches!(event, Event::Fetched { .. }) {
                    self.check_kept(*id, device);
                }
            }
            Event::Archived { account, id, stanza_id } => {
                let same = self.name(account, account, *id, stanza_id);
                let archive = self.archives.entry(account).or_default();
                let twice = archive.iter().any(|(other, other_id)| other == id || *other_id == stanza_id);
                archive.push((*id, stanza_id));
                if twice || !same {
                    self.faults.insert(Fault::Duplicated { id: *id, at: format!("the archive of {account}") });
                }
                self.check_kept(*id, account);
            }
            Event::Ended { account } => self.ended.entry(account).or_default().push(place),
            Event::Sent { .. } | Event::Acknowledged { .. } | Event::Refused { .. } => {}
        }
    }

    /// Whether a session has ended since the message was sent: what it had not acknowledged goes to others.
    fn came_back(&self, account: &str, id: u64) -> bool {
        let sent = self.messages.get(&id).map_or(0, |message| message.sent);
        self.ended.get(account).is_some_and(|places| places.iter().any(|place| *place > sent))
    }

    /// Notes the id under which an account knows a message. False: it has another already.
    fn name(&mut self, account: &'a str, at: &str, id: u64, stanza_id: &'a str) -> bool {
        // What nobody keeps may have come before its session ended and it was refused.
        let stands = |message: &&Message<'_>| !message.refused || !message.kept;
        let known = self.messages.get(&id).filter(|message| message.concerns(account)).filter(stands);
        if known.is_none() {
            self.faults.insert(Fault::Leaked { id, at: at.to_owned() });
        }
        // What is not kept has none, or one of its own each time.
        known.is_some_and(|message| !message.kept) || *self.ids.entry((account, id)).or_insert(stanza_id) == stanza_id
    }

    fn check_kept(&mut self, id: u64, at: &str) {
        if self.messages.get(&id).is_some_and(|message| !message.kept) {
            self.faults.insert(Fault::Leaked { id, at: at.to_owned() });
        }
    }

    /// Without an archive, one device of the recipient has to have it.
    fn check_arrival(&mut self) {
        for (id, message) in self.messages.iter().filter(|(_, message)| message.must_be_there()) {
            let arrived = self.devices.values().any(|device| device.account == message.to && device.known.contains(id));
            if !arrived && !self.archives.contains_key(message.to) {
                self.faults.insert(Fault::Lost { id: *id, at: message.to.to_owned() });
            }
        }
    }

    /// An archive has everything once, each sender's in order, and after merging so has who read it to its end.
    fn check_archives(&mut self) {
        for (account, archive) in &self.archives {
            let at = || format!("the archive of {account}");
            let present: BTreeSet<u64> = archive.iter().map(|(id, _)| *id).collect();
            let due = self.messages.iter().filter(|(_, message)| message.must_be_there() && message.concerns(account));
            let lost = due.filter(|(id, _)| !present.contains(id)).map(|(id, _)| Fault::Lost { id: *id, at: at() });
            self.faults.extend(lost);
            let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
            for (id, _) in archive {
                let Some(message) = self.messages.get(id) else { continue };
                let last = newest.entry(message.sender).or_default();
                if id < last {
                    self.faults.insert(Fault::Reordered { earlier: *id, later: *last, at: at() });
                }
                *last = (*last).max(*id);
            }
            for (name, device) in self.devices.iter().filter(|(_, device)| device.account == *account) {
                let kept = |id: &&u64| self.messages.get(id).is_some_and(|message| message.kept);
                let unknown = device.known.iter().filter(|id| !present.contains(id)).filter(kept);
                self.faults.extend(unknown.map(|id| Fault::Unknown { id: *id, at: (*name).to_owned() }));
                let missing = present.iter().filter(|id| device.synced && !device.known.contains(id));
                self.faults.extend(missing.map(|id| Fault::Lost { id: *id, at: (*name).to_owned() }));
            }
        }
    }
}

impl Message<'_> {
    fn must_be_there(&self) -> bool {
        self.kept && self.acknowledged && !self.refused
    }
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
            faults.insert(Fault::Reordered { earlier: *id, later: *last, at: name.to_owned() });
        }
        *last = (*last).max(*id);
    }
}

fn check_agreement(devices: &BTreeMap<&str, Device<'_>>, faults: &mut BTreeSet<Fault>) {
    for (a_name, a) in devices {
        // Who merges by the archive sees its order.
        for (b_name, b) in devices.iter().filter(|(name, b)| *name > a_name && b.account == a.account) {
            if a.synced || b.synced {
                continue;
            }
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
mod tests;
