//! Histories that hold each fault, and good ones.

use super::*;

fn sent(id: u64) -> Event {
    Event::Sent { sender: "romeo/a".into(), to: "juliet".into(), id, kept: true }
}

fn received(device: &str, id: u64) -> Event {
    let (account, device) = ("juliet".into(), device.into());
    Event::Received { account, device, id, stanza_id: format!("s{id}") }
}

fn fetched(device: &str, id: u64) -> Event {
    let (account, device) = ("juliet".into(), device.into());
    Event::Fetched { account, device, id, stanza_id: format!("s{id}") }
}

fn archived(account: &str, id: u64, stanza_id: &str) -> Event {
    Event::Archived { account: account.into(), id, stanza_id: stanza_id.into() }
}

fn acknowledged(id: u64) -> Event {
    Event::Acknowledged { id }
}

fn faults(history: &[Event]) -> Vec<Fault> {
    judge(history).into_iter().collect()
}

fn lost(id: u64, at: &str) -> Fault {
    Fault::Lost { id, at: at.into() }
}

#[test]
fn a_history_without_faults_passes() {
    let history = [
        sent(1),
        sent(2),
        acknowledged(1),
        acknowledged(2),
        received("j1", 1),
        received("j2", 1),
        received("j1", 2),
        sent(3),
    ];
    assert_eq!(faults(&history), []);
    // Not acknowledged and refused messages may be missing.
    assert_eq!(faults(&[sent(1), sent(2), Event::Refused { id: 1 }, acknowledged(1)]), []);
}

#[test]
fn a_loss_is_seen() {
    let history = [sent(1), sent(2), acknowledged(1), acknowledged(2), received("j", 2)];
    assert_eq!(faults(&history), [lost(1, "juliet")]);
}

#[test]
fn a_second_copy_is_seen_on_one_device_and_under_another_id() {
    let twice = [sent(1), received("j", 1), received("j", 1)];
    assert_eq!(faults(&twice), [Fault::Duplicated { id: 1, at: "j".into() }]);
    let other = Event::Received { account: "juliet".into(), device: "k".into(), id: 1, stanza_id: "other".into() };
    assert_eq!(faults(&[sent(1), received("j", 1), other]), [Fault::Duplicated { id: 1, at: "k".into() }]);
    // What comes back from another session is a fault of its own name.
    let ended = Event::Ended { account: "juliet".into() };
    let back = [sent(1), received("j", 1), ended.clone(), received("j", 1)];
    assert_eq!(faults(&back), [Fault::CameBack { id: 1, at: "j".into() }]);
    assert_eq!(faults(&[ended, sent(1), received("j", 1), received("j", 1)]), faults(&twice));
    // In a new session, under the same id, a device can tell it.
    let began = Event::Began { device: "j".into() };
    assert_eq!(faults(&[sent(1), received("j", 1), began, received("j", 1)]), []);
}

#[test]
fn a_wrong_order_is_seen_within_a_device_and_between_two() {
    let history = [sent(1), sent(2), received("j", 2), received("j", 1)];
    assert_eq!(faults(&history), [Fault::Reordered { earlier: 1, later: 2, at: "j".into() }]);
    let ended = Event::Ended { account: "juliet".into() };
    assert_eq!(faults(&[sent(1), sent(2), received("j", 2), ended.clone(), received("j", 1)]), []);
    let history = [ended, sent(1), sent(2), received("j", 2), received("j", 1)];
    assert_eq!(faults(&history).len(), 1);
    let other = Event::Sent { sender: "tybalt/a".into(), to: "juliet".into(), id: 2, kept: true };
    let history = [sent(1), other, received("j", 1), received("j", 2), received("k", 2), received("k", 1)];
    let devices = ["j".into(), "k".into()];
    assert_eq!(faults(&history), [Fault::Disagreed { one: 1, other: 2, devices }]);
}

#[test]
fn a_leak_is_seen() {
    let to_another = Event::Received { account: "nurse".into(), device: "n".into(), id: 1, stanza_id: "s".into() };
    assert_eq!(faults(&[sent(1), to_another]), [Fault::Leaked { id: 1, at: "n".into() }]);
    assert_eq!(faults(&[received("j", 7)]), [Fault::Leaked { id: 7, at: "j".into() }]);
    let history = [sent(1), Event::Refused { id: 1 }, received("j", 1)];
    assert_eq!(faults(&history), [Fault::Leaked { id: 1, at: "j".into() }]);
    let not_kept = Event::Sent { sender: "romeo/a".into(), to: "juliet".into(), id: 1, kept: false };
    let history = [not_kept, archived("juliet", 1, "s1")];
    assert_eq!(faults(&history), [Fault::Leaked { id: 1, at: "juliet".into() }]);
}

#[test]
fn both_archives_have_everything_once_and_in_order() {
    let both = |juliet: &[u64], romeo: &[u64]| {
        let mut history = vec![sent(1), sent(2), acknowledged(1), acknowledged(2)];
        history.extend(juliet.iter().map(|id| archived("juliet", *id, &format!("s{id}"))));
        history.extend(romeo.iter().map(|id| archived("romeo", *id, &format!("r{id}"))));
        faults(&history)
    };
    assert_eq!(both(&[1, 2], &[1, 2]), []);
    assert_eq!(both(&[1, 2], &[2]), [lost(1, "the archive of romeo")]);
    assert_eq!(both(&[2], &[1, 2]), [lost(1, "the archive of juliet")]);
    let at = || String::from("the archive of juliet");
    assert_eq!(both(&[2, 1], &[1, 2]), [Fault::Reordered { earlier: 1, later: 2, at: at() }]);
    assert_eq!(both(&[1, 2, 2], &[1, 2]), [Fault::Duplicated { id: 2, at: at() }]);
    let twice = [sent(1), archived("juliet", 1, "s1"), archived("juliet", 1, "s2")];
    assert_eq!(faults(&twice), [Fault::Duplicated { id: 1, at: at() }]);
}

#[test]
fn who_read_the_archive_to_its_end_has_everything_by_its_ids() {
    let synced = Event::Synced { account: "juliet".into(), device: "j".into() };
    let history = |device: &[Event]| {
        let mut history = vec![sent(1), sent(2), acknowledged(1), acknowledged(2)];
        history.extend_from_slice(device);
        history.extend([synced.clone(), archived("juliet", 1, "s1"), archived("juliet", 2, "s2")]);
        faults(&history)
    };
    assert_eq!(history(&[received("j", 2), fetched("j", 1), fetched("j", 2)]), []);
    assert_eq!(history(&[received("j", 2)]), [lost(1, "j")]);
    let odd = Event::Received { account: "juliet".into(), device: "j".into(), id: 1, stanza_id: "odd".into() };
    let at = || String::from("the archive of juliet");
    assert_eq!(history(&[odd, received("j", 2)]), [Fault::Duplicated { id: 1, at: at() }]);
    assert_eq!(
        faults(&[sent(1), sent(2), received("j", 2), archived("juliet", 1, "s1")]),
        [Fault::Unknown { id: 2, at: "j".into() }]
    );
}

#[test]
fn histories_are_lines_of_json() {
    for event in [sent(1), acknowledged(1), received("j", 1), archived("juliet", 1, "s1")] {
        assert_eq!(read(&line(&event)), Ok(event));
    }
    assert_eq!(line(&acknowledged(7)), r#"{"event":"acknowledged","id":7}"#);
    assert!(read("{}").is_err());
}
