//! Batches: order, conditions, all or nothing, and applying again.

use super::{Bench, Case, DOC, LOG, MAP, account_put, account_remove, append, clear, doc_put, map_put, map_remove};
use crate::{Condition, Entry, MAX_ID, MAX_KEY_BYTES, MAX_VALUE_BYTES, Outcome, StoreError, Write};
use bytes::Bytes;
use std::sync::Arc;

pub(super) const CASES: &[Case] = &[
    ("a new store is empty", a_new_store_is_empty),
    ("writes and entries take effect in order", writes_and_entries_take_effect_in_order),
    ("conditions see what came before in the batch", conditions_see_what_came_before),
    ("a failed condition fails only its entry", a_failed_condition_fails_only_its_entry),
    ("a refused entry undoes the whole batch", a_refused_entry_undoes_the_whole_batch),
    ("too large and out of range is refused", too_large_and_out_of_range_is_refused),
    ("a batch applied again is not done twice", a_batch_applied_again_is_not_done_twice),
    ("a batch replayed one by one is not done twice", a_batch_replayed_one_by_one_is_not_done_twice),
    ("a replayed prefix may be followed by new entries", a_replayed_prefix_may_be_followed_by_new_entries),
    ("an older entry is refused", an_older_entry_is_refused),
    ("entries without effect", entries_without_effect),
    ("many threads", many_threads),
];

fn a_new_store_is_empty(bench: &Bench<'_>) {
    assert_eq!(bench.high_water(), (0, 0));
    assert_eq!(bench.account_count(), 0);
    assert_eq!(bench.accounts(None, 10), []);
    assert_eq!(bench.account("nobody@example.org"), None);
    assert_eq!(bench.doc(DOC, "nobody@example.org"), None);
    assert_eq!(bench.row(MAP, "nobody@example.org", "key"), None);
    assert_eq!(bench.rows(MAP, "nobody@example.org"), []);
    assert!(bench.second(MAP, "second").is_empty());
    assert!(bench.all_ids(LOG, "nobody@example.org").is_empty());
    assert_eq!(bench.log_count(LOG, "nobody@example.org", 0), 0);
    assert_eq!(bench.log_bodies(), 0);
}

fn writes_and_entries_take_effect_in_order(bench: &Bench<'_>) {
    let first = bench.entry(vec![
        doc_put(DOC, "a@example.org", "1"),
        doc_put(DOC, "a@example.org", "2"),
        map_put(MAP, "a@example.org", "x", None),
        map_remove(MAP, "a@example.org", "x"),
        map_put(MAP, "a@example.org", "y", None),
        append(LOG, &[("a@example.org", 5, "b@example.org", 3)], "body"),
        clear(LOG, "a@example.org", Some(&[5]), 1),
    ]);
    let second = bench.entry(vec![
        doc_put(DOC, "a@example.org", "3"),
        account_put("a@example.org", "one"),
        account_put("a@example.org", "two"),
    ]);
    assert_eq!(bench.apply(&[first, second]), [Outcome::Done, Outcome::Done]);
    assert_eq!(bench.doc(DOC, "a@example.org").unwrap(), "3");
    assert_eq!(bench.account("a@example.org").unwrap(), "two");
    assert_eq!(bench.account_count(), 1);
    assert_eq!(bench.keys(MAP, "a@example.org"), ["y"]);
    assert_eq!(bench.log_count(LOG, "a@example.org", 2), 1);
    assert_eq!(bench.log_count(LOG, "a@example.org", 1), 0);
    // What an account had before it was removed is gone, what it gets afterwards in the same entry stays.
    bench.write(vec![account_remove("a@example.org"), doc_put(DOC, "a@example.org", "again")]);
    assert_eq!(bench.account("a@example.org"), None);
    assert_eq!(bench.doc(DOC, "a@example.org").unwrap(), "again");
    assert_eq!(bench.rows(MAP, "a@example.org"), []);
}

fn conditions_see_what_came_before(bench: &Bench<'_>) {
    let owner: Box<str> = "a@example.org".into();
    let key: Box<str> = "x".into();
    let with = |conditions: Vec<Condition>, writes| Entry { conditions, ..bench.entry(writes) };
    let batch = [
        with(vec![Condition::AccountExists(owner.clone())], vec![]),
        with(vec![Condition::AccountAbsent(owner.clone())], vec![account_put(&owner, "v")]),
        with(vec![Condition::AccountAbsent(owner.clone())], vec![]),
        with(vec![Condition::AccountExists(owner.clone())], vec![]),
        with(vec![Condition::MapExists(MAP, owner.clone(), key.clone())], vec![]),
        with(vec![Condition::MapAbsent(MAP, owner.clone(), key.clone())], vec![map_put(MAP, &owner, "x", None)]),
        with(vec![Condition::MapAbsent(MAP, owner.clone(), key.clone())], vec![]),
        with(vec![Condition::MapExists(MAP, owner.clone(), key.clone())], vec![]),
        with(vec![Condition::MapBegins(MAP, owner.clone(), key.clone(), "".into())], vec![]),
        with(vec![Condition::MapBegins(MAP, owner.clone(), key.clone(), "value".into())], vec![]),
        with(vec![Condition::MapBegins(MAP, owner.clone(), key.clone(), "valuf".into())], vec![]),
        with(vec![Condition::MapBegins(MAP, owner.clone(), key.clone(), "values and more".into())], vec![]),
        with(vec![Condition::MapBegins(MAP, owner.clone(), "absent".into(), "other".into())], vec![]),
        with(vec![Condition::MapBegins(MAP, "nobody@example.org".into(), key, "other".into())], vec![]),
        with(vec![Condition::MapFewerThan(MAP, owner.clone(), 0)], vec![]),
        with(vec![Condition::MapFewerThan(MAP, owner.clone(), 1)], vec![]),
        with(vec![Condition::MapFewerThan(MAP, owner.clone(), 2)], vec![map_put(MAP, &owner, "y", None)]),
        with(vec![Condition::MapFewerThan(MAP, owner.clone(), 2)], vec![]),
        with(vec![Condition::MapFewerThan(MAP, owner.clone(), u64::MAX)], vec![]),
        with(vec![Condition::MapFewerThan(MAP, "nobody@example.org".into(), 1)], vec![]),
    ];
    let expected = [
        false, true, false, true, false, true, false, true, true, true, false, false, true, true, false, false, true,
        false, true, true,
    ];
    let outcomes: Vec<bool> = bench.apply(&batch).into_iter().map(|outcome| outcome == Outcome::Done).collect();
    assert_eq!(outcomes, expected);
    assert_eq!(bench.keys(MAP, &owner), ["x", "y"]);
}

fn a_failed_condition_fails_only_its_entry(bench: &Bench<'_>) {
    let failing = Entry {
        conditions: vec![
            Condition::MapFewerThan(MAP, "a@example.org".into(), 1),
            Condition::AccountExists("nobody@example.org".into()),
        ],
        ..bench.entry(vec![
            doc_put(DOC, "a@example.org", "not"),
            append(LOG, &[("a@example.org", 9, "p", 1)], "not"),
            account_put("c@example.org", "not"),
        ])
    };
    let after = bench.entry(vec![doc_put(DOC, "b@example.org", "kept")]);
    assert_eq!(bench.apply(&[failing, after]), [Outcome::ConditionFailed, Outcome::Done]);
    assert_eq!(bench.doc(DOC, "a@example.org"), None);
    assert_eq!(bench.doc(DOC, "b@example.org").unwrap(), "kept");
    assert_eq!((bench.account_count(), bench.log_bodies()), (0, 0));
    assert_eq!(bench.high_water(), (0, 2), "what was not stored does not count");
}

fn a_refused_entry_undoes_the_whole_batch(bench: &Bench<'_>) {
    bench.write(vec![
        account_put("gone@example.org", "v"),
        doc_put(DOC, "gone@example.org", "doc"),
        map_put(MAP, "gone@example.org", "x", Some("s")),
        append(LOG, &[("gone@example.org", 10, "p", 1), ("b@example.org", 10, "p", 3)], "body"),
    ]);
    let before = bench.rows(MAP, "gone@example.org");
    let good = bench.entry(vec![
        doc_put(DOC, "new@example.org", "not"),
        map_put(MAP, "gone@example.org", "x", Some("t")),
        account_remove("gone@example.org"),
        account_put("new@example.org", "not"),
        clear(LOG, "b@example.org", None, 1),
        append(LOG, &[("new@example.org", 11, "p", 1)], "not"),
    ]);
    let bad = bench.entry(vec![append(LOG, &[("b@example.org", 10, "p", 1)], "an id that is there already")]);
    assert!(matches!(bench.try_apply(&[good.clone(), bad.clone()]), Err(StoreError::Refused(_))));

    assert_eq!(bench.account("gone@example.org").unwrap(), "v");
    assert_eq!((bench.account_count(), bench.log_bodies()), (1, 1));
    assert_eq!(bench.doc(DOC, "gone@example.org").unwrap(), "doc");
    assert_eq!(bench.doc(DOC, "new@example.org"), None);
    assert_eq!(bench.rows(MAP, "gone@example.org"), before);
    assert_eq!(bench.second(MAP, "s"), [("gone@example.org".to_owned(), "x".to_owned())]);
    assert!(bench.second(MAP, "t").is_empty());
    assert_eq!(bench.log_count(LOG, "b@example.org", 1), 1);
    assert_eq!(bench.all_ids(LOG, "gone@example.org"), [10]);
    assert_eq!(bench.high_water(), (10, 1));

    // One by one, each stands for itself; and an owner first seen in what was undone is no different from others.
    assert_eq!(bench.apply(std::slice::from_ref(&good)), [Outcome::Done]);
    assert!(matches!(bench.try_apply(&[bad]), Err(StoreError::Refused(_))));
    assert_eq!(bench.account("gone@example.org"), None);
    assert_eq!(bench.doc(DOC, "new@example.org").unwrap(), "not");
    assert_eq!(bench.all_ids(LOG, "new@example.org"), [11]);
    assert_eq!(bench.apply(&[good]), [Outcome::Done]);
    assert_eq!(bench.high_water(), (11, 2));
}

fn too_large_and_out_of_range_is_refused(bench: &Bench<'_>) {
    let large = Bytes::from(vec![b'x'; MAX_VALUE_BYTES + 1]);
    let long = "k".repeat(MAX_KEY_BYTES + 1);
    let owner: Box<str> = "a@example.org".into();
    let refused = [
        Write::DocPut { table: DOC, owner: owner.clone(), value: large.clone() },
        Write::AccountPut { owner: owner.clone(), value: large.clone() },
        Write::LogAppend { table: LOG, rows: vec![], body: large },
        doc_put(DOC, &long, "v"),
        map_put(MAP, &owner, &long, None),
        map_put(MAP, &owner, "x", Some(&long)),
        append(LOG, &[(&owner, 1, &long, 1)], "body"),
        append(LOG, &[(&owner, 1, "p", 0)], "no flags"),
        append(LOG, &[(&owner, 0, "p", 1)], "no id"),
        append(LOG, &[(&owner, MAX_ID + 1, "p", 1)], "no id"),
        append(LOG, &[(&owner, 1, "p", 1), (&owner, 1, "q", 1)], "the same id twice"),
    ];
    for write in refused {
        let entry = bench.entry(vec![doc_put(DOC, &owner, "not"), write]);
        assert!(matches!(bench.try_apply(&[entry]), Err(StoreError::Refused(_))));
    }
    let (one, two) = (bench.entry(vec![doc_put(DOC, &owner, "not")]), bench.entry(vec![]));
    for batch in [vec![two, one.clone()], vec![one.clone(), one.clone()], vec![Entry { id: 0, ..one.clone() }]] {
        assert!(matches!(bench.try_apply(&batch), Err(StoreError::Refused(_))), "ids must ascend");
    }
    assert_eq!(bench.doc(DOC, &owner), None);
    assert_eq!(bench.high_water(), (0, 0));
}

/// Five entries that would show each being done twice.
fn telling_batch(bench: &Bench<'_>) -> Vec<Entry> {
    vec![
        bench.entry(vec![append(LOG, &[("a@example.org", 100, "p", 1)], "body")]),
        Entry {
            conditions: vec![Condition::MapAbsent(MAP, "a@example.org".into(), "x".into())],
            ..bench.entry(vec![map_put(MAP, "a@example.org", "x", None)])
        },
        Entry {
            conditions: vec![Condition::MapAbsent(MAP, "a@example.org".into(), "x".into())],
            ..bench.entry(vec![doc_put(DOC, "a@example.org", "not")])
        },
        bench.entry(vec![clear(LOG, "a@example.org", Some(&[100]), 1)]),
        bench.entry(vec![map_remove(MAP, "a@example.org", "x"), map_put(MAP, "a@example.org", "y", None)]),
    ]
}

const TELLING: [Outcome; 5] = [Outcome::Done, Outcome::Done, Outcome::ConditionFailed, Outcome::Done, Outcome::Done];

fn a_batch_applied_again_is_not_done_twice(bench: &Bench<'_>) {
    let batch = telling_batch(bench);
    assert_eq!(bench.apply(&batch), TELLING);
    let rows = bench.rows(MAP, "a@example.org");
    for _ in 0..2 {
        assert_eq!(bench.apply(&batch), TELLING);
    }
    assert_eq!(bench.rows(MAP, "a@example.org"), rows);
    assert_eq!(bench.doc(DOC, "a@example.org"), None);
    assert_eq!(bench.log_bodies(), 0);
    assert_eq!(bench.high_water(), (100, 5));
}

fn a_batch_replayed_one_by_one_is_not_done_twice(bench: &Bench<'_>) {
    let batch = telling_batch(bench);
    bench.apply(&batch);
    let rows = bench.rows(MAP, "a@example.org");
    for (entry, outcome) in batch.chunks(1).zip(TELLING.chunks(1)) {
        assert_eq!(bench.apply(entry), outcome);
        assert_eq!(bench.apply(entry), outcome);
    }
    assert_eq!(bench.rows(MAP, "a@example.org"), rows);
    // And what was never applied before is done one by one.
    let other: Vec<Entry> =
        ["q", "r", "s"].map(|key| bench.entry(vec![map_put(MAP, "b@example.org", key, None)])).into();
    for entry in other {
        assert_eq!(bench.apply(std::slice::from_ref(&entry)), [Outcome::Done]);
        assert_eq!(bench.apply(&[entry]), [Outcome::Done]);
    }
    assert_eq!(bench.keys(MAP, "b@example.org"), ["q", "r", "s"]);
}

fn a_replayed_prefix_may_be_followed_by_new_entries(bench: &Bench<'_>) {
    let mut batch = telling_batch(bench);
    bench.apply(&batch);
    batch.push(Entry {
        conditions: vec![Condition::AccountExists("nobody".into())],
        ..bench.entry(vec![doc_put(DOC, "b@example.org", "not")])
    });
    batch.push(bench.entry(vec![map_put(MAP, "a@example.org", "z", None)]));
    let expected: Vec<Outcome> = TELLING.into_iter().chain([Outcome::ConditionFailed, Outcome::Done]).collect();
    for _ in 0..2 {
        assert_eq!(bench.apply(&batch), expected);
    }
    assert_eq!(bench.keys(MAP, "a@example.org"), ["y", "z"]);
}

fn an_older_entry_is_refused(bench: &Bench<'_>) {
    let old = bench.entry(vec![doc_put(DOC, "a@example.org", "old")]);
    let new = bench.entry(vec![doc_put(DOC, "a@example.org", "new")]);
    bench.apply(&[new]);
    assert!(matches!(bench.try_apply(&[old]), Err(StoreError::Refused(_))));
    assert_eq!(bench.doc(DOC, "a@example.org").unwrap(), "new");
    // Ids may jump.
    let far = Entry { id: MAX_ID - 1, ..bench.entry(vec![doc_put(DOC, "a@example.org", "far")]) };
    assert_eq!(bench.apply(std::slice::from_ref(&far)), [Outcome::Done]);
    assert_eq!(bench.apply(&[far]), [Outcome::Done]);
    assert_eq!(bench.high_water(), (0, MAX_ID - 1));
}

fn entries_without_effect(bench: &Bench<'_>) {
    assert_eq!(bench.apply(&[]), []);
    assert_eq!(bench.apply(&[bench.entry(vec![]), bench.entry(vec![])]), [Outcome::Done, Outcome::Done]);
    let nothing_there = vec![
        Write::DocRemove { table: DOC, owner: "a@example.org".into() },
        map_remove(MAP, "a@example.org", "x"),
        Write::MapClear { table: MAP, owner: "a@example.org".into() },
        account_remove("a@example.org"),
        clear(LOG, "a@example.org", None, 1),
        clear(LOG, "a@example.org", Some(&[1, 2]), 1),
        append(LOG, &[], "a body for nobody"),
    ];
    bench.write(nothing_there);
    assert_eq!((bench.account_count(), bench.log_bodies()), (0, 0));
}

/// Whoever has been told that an entry is done finds it, from any thread.
fn many_threads(bench: &Bench<'_>) {
    let ids = Arc::new(std::sync::Mutex::new(1));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, ids) = (bench.subject.store.clone(), ids.clone());
            scope.spawn(move || {
                for turn in 0..20 {
                    let owner = format!("{thread}@example.org");
                    let key = turn.to_string();
                    let mut id = ids.lock().unwrap();
                    let entry = Entry { id: *id, conditions: vec![], writes: vec![map_put(MAP, &owner, &key, None)] };
                    super::block_on(store.apply(vec![entry])).unwrap();
                    *id += 1;
                    drop(id);
                    let rows = super::block_on(store.map_rows(MAP, &owner, None, usize::MAX)).unwrap();
                    assert_eq!(rows.last().unwrap().key.as_ref(), key);
                    assert_eq!(rows.len(), turn + 1);
                }
            });
        }
    });
}
