//! Logs: queries, flags, shared bodies and the water mark.

use super::{Bench, Case, LOG, LOG_B, append, clear};
use crate::LogQuery;

pub(super) const CASES: &[Case] = &[
    ("queries", queries),
    ("clearing flags", clearing_flags),
    ("a shared body is kept until its last row goes", a_shared_body_is_kept_until_its_last_row_goes),
    ("logs are apart by owner and table", logs_are_apart_by_owner_and_table),
    ("the water mark never falls", the_water_mark_never_falls),
    ("many rows", many_rows),
];

const A: &str = "a@example.org";
const B: &str = "b@example.org";

fn query() -> LogQuery {
    LogQuery { limit: usize::MAX, ..LogQuery::default() }
}

fn queries(bench: &Bench<'_>) {
    for (id, peer, flags) in [(10, "x", 1), (20, "y", 2), (30, "x", 3), (40, "X", 4), (50, "x", 1 << 31)] {
        bench.write(vec![append(LOG, &[(A, id, peer, flags)], "body")]);
    }
    let ids = |query| bench.ids(LOG, A, query);
    assert_eq!(ids(query()), [10, 20, 30, 40, 50]);
    assert_eq!(ids(LogQuery { backwards: true, ..query() }), [50, 40, 30, 20, 10]);
    assert_eq!(ids(LogQuery { limit: 2, ..query() }), [10, 20]);
    assert_eq!(ids(LogQuery { limit: 2, backwards: true, ..query() }), [50, 40]);
    assert!(ids(LogQuery { limit: 0, ..query() }).is_empty());
    assert_eq!(ids(LogQuery { after: Some(20), ..query() }), [30, 40, 50]);
    assert_eq!(ids(LogQuery { before: Some(30), ..query() }), [10, 20]);
    assert_eq!(ids(LogQuery { after: Some(10), before: Some(50), ..query() }), [20, 30, 40]);
    assert_eq!(ids(LogQuery { after: Some(15), before: Some(45), backwards: true, limit: 2, ..query() }), [40, 30]);
    assert!(ids(LogQuery { after: Some(30), before: Some(30), ..query() }).is_empty());
    assert!(ids(LogQuery { after: Some(40), before: Some(20), ..query() }).is_empty());
    assert!(ids(LogQuery { after: Some(u64::MAX), ..query() }).is_empty());
    assert_eq!(ids(LogQuery { before: Some(u64::MAX), after: Some(0), ..query() }).len(), 5);
    assert!(ids(LogQuery { before: Some(0), ..query() }).is_empty());

    let peer = |peer: &str| LogQuery { peer: Some(peer.into()), ..query() };
    assert_eq!(ids(peer("x")), [10, 30, 50]);
    assert_eq!(ids(peer("X")), [40]);
    assert!(ids(peer("z")).is_empty());
    assert_eq!(ids(LogQuery { after: Some(10), limit: 1, ..peer("x") }), [30]);
    assert_eq!(ids(LogQuery { before: Some(50), backwards: true, limit: 1, ..peer("x") }), [30]);

    assert_eq!(ids(LogQuery { any_flag: 1, ..query() }), [10, 30]);
    assert_eq!(ids(LogQuery { any_flag: 6, ..query() }), [20, 30, 40]);
    assert_eq!(ids(LogQuery { any_flag: 1 << 31, ..query() }), [50]);
    assert_eq!(ids(LogQuery { any_flag: 2, ..peer("x") }), [30]);
    assert_eq!(ids(LogQuery { any_flag: 1, backwards: true, limit: 1, ..peer("x") }), [30]);
    assert_eq!(bench.log_count(LOG, A, 0), 5);
    assert_eq!(bench.log_count(LOG, A, 3), 3);
    assert_eq!(bench.log_count(LOG, A, 1 << 31), 1);
    assert_eq!(bench.log_count(LOG, A, 64), 0);

    assert_eq!(ids(LogQuery { any_flag: 1, after: Some(10), limit: 5, ..query() }), [30]);
    assert_eq!(bench.log_count(LOG, A, 1), 2);
    // Both flags, one cleared: the row has left what is asked for with that flag, and only that.
    bench.write(vec![clear(LOG, A, Some(&[30]), 1)]);
    assert_eq!(
        (ids(LogQuery { any_flag: 1, ..query() }), ids(LogQuery { any_flag: 2, ..query() })),
        (vec![10], vec![20, 30])
    );
    assert_eq!((bench.log_count(LOG, A, 1), bench.log_count(LOG, A, 2)), (1, 2));

    // Four bytes each: one always, then up to the limit.
    for (bytes, backwards, found) in
        [(1, false, &[10][..]), (4, false, &[10]), (5, false, &[10, 20]), (8, true, &[50, 40])]
    {
        assert_eq!(ids(LogQuery { bytes, backwards, ..query() }), found);
    }
    assert_eq!(ids(LogQuery { bytes: 5, ..peer("x") }).len(), 2);
    assert_eq!(ids(LogQuery { bytes: usize::MAX, ..query() }).len(), 5);

    // Ids come in ascending order as a rule; the order of reading is theirs either way.
    bench.write(vec![append(LOG, &[(A, 25, "y", 1)], "late")]);
    assert_eq!(ids(LogQuery { limit: 3, ..query() }), [10, 20, 25]);
}

fn clearing_flags(bench: &Bench<'_>) {
    for id in 1..=4 {
        bench.write(vec![append(LOG, &[(A, id, "x", 3), (B, id, "x", 3)], "body")]);
    }
    bench.write(vec![clear(LOG, A, Some(&[1, 2, 77]), 1)]);
    assert_eq!((bench.log_count(LOG, A, 1), bench.log_count(LOG, A, 2)), (2, 4));
    bench.write(vec![clear(LOG, A, Some(&[2, 3]), 2)]);
    assert_eq!(bench.all_ids(LOG, A), [1, 3, 4], "a row without flags is gone");
    bench.write(vec![clear(LOG, A, Some(&[]), u32::MAX), clear(LOG, A, None, 0), clear(LOG, A, Some(&[1]), 64)]);
    assert_eq!(bench.all_ids(LOG, A), [1, 3, 4]);
    // Now 1: 2, 3: 1, 4: 3.
    bench.write(vec![clear(LOG, A, None, 2)]);
    assert_eq!(bench.all_ids(LOG, A), [3, 4]);
    assert_eq!(bench.log_count(LOG, A, 2), 0);
    bench.write(vec![clear(LOG, A, Some(&[4, 4, 3]), 1)]);
    assert!(bench.all_ids(LOG, A).is_empty());
    assert_eq!((bench.log_count(LOG, B, 3), bench.log_count(LOG, B, 1)), (4, 4), "others are not touched");
    bench.write(vec![clear(LOG, B, None, u32::MAX)]);
    assert_eq!((bench.log_count(LOG, B, 0), bench.log_bodies()), (0, 0));
    // A cleared id may not be expected to come back, but it is free.
    bench.write(vec![append(LOG, &[(A, 4, "x", 1)], "again")]);
    assert_eq!(bench.all_ids(LOG, A), [4]);
}

fn a_shared_body_is_kept_until_its_last_row_goes(bench: &Bench<'_>) {
    bench.write(vec![
        append(LOG, &[(A, 1, "x", 1), (B, 2, "y", 2), ("room", 3, "z", 4), (A, 4, "x", 1)], "shared"),
        append(LOG, &[(A, 5, "x", 1)], "alone"),
    ]);
    assert_eq!(bench.log_bodies(), 2);
    for (owner, id, peer, flags) in [(A, 1, "x", 1), (B, 2, "y", 2), ("room", 3, "z", 4)] {
        let row = &bench.log(LOG, owner, LogQuery { limit: 1, ..query() })[0];
        assert_eq!((row.id, row.peer.as_ref(), row.flags, row.body.as_ref()), (id, peer, flags, &b"shared"[..]));
    }
    bench.write(vec![clear(LOG, B, Some(&[2]), 2), clear(LOG, A, None, 1)]);
    assert_eq!(bench.log_bodies(), 1);
    assert_eq!(bench.log(LOG, "room", query())[0].body, "shared");
    bench.write(vec![clear(LOG, "room", Some(&[3]), 8)]);
    assert_eq!(bench.log_bodies(), 1);
    bench.write(vec![clear(LOG, "room", Some(&[3]), 4)]);
    assert_eq!(bench.log_bodies(), 0);
}

fn logs_are_apart_by_owner_and_table(bench: &Bench<'_>) {
    bench.write(vec![
        append(LOG, &[(A, 1, "x", 1)], "one"),
        append(LOG_B, &[(A, 1, "x", 1)], "two"),
        append(LOG, &[(B, 1, "x", 1)], "three"),
    ]);
    let body = |table, owner| bench.log(table, owner, query()).into_iter().map(|row| row.body).collect::<Vec<_>>();
    assert_eq!(body(LOG, A), ["one"]);
    assert_eq!(body(LOG_B, A), ["two"]);
    assert_eq!(body(LOG, B), ["three"]);
    assert!(body(LOG_B, B).is_empty());
    bench.write(vec![clear(LOG, A, None, 1)]);
    assert!(body(LOG, A).is_empty());
    assert_eq!((body(LOG_B, A).len(), body(LOG, B).len()), (1, 1));
}

fn the_water_mark_never_falls(bench: &Bench<'_>) {
    bench.write(vec![append(LOG, &[(A, 500, "x", 1)], "body")]);
    bench.write(vec![append(LOG_B, &[(B, 400, "x", 1)], "body")]);
    assert_eq!(bench.high_water(), (500, 2));
    bench.write(vec![clear(LOG, A, None, 1)]);
    bench.write(vec![super::account_remove(B)]);
    assert_eq!(bench.high_water(), (500, 4));
}

fn many_rows(bench: &Bench<'_>) {
    let batch = |from: u64| -> Vec<_> {
        let ids = from..from + 500;
        ids.map(|id| bench.entry(vec![append(LOG, &[(A, id, "x", 1), (B, id, "y", 1)], "body")])).collect()
    };
    for from in [1, 501, 1001, 1501] {
        bench.apply(&batch(from));
    }
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = bench.ids(LOG, A, LogQuery { after, limit: 300, ..LogQuery::default() });
        let Some(last) = page.last() else { break };
        after = Some(*last);
        seen.extend(page);
    }
    assert_eq!(seen, (1..=2000).collect::<Vec<u64>>());
    bench.write(vec![clear(LOG, A, Some(&seen[..1999]), 1)]);
    assert_eq!((bench.log_count(LOG, A, 1), bench.log_count(LOG, B, 1), bench.log_bodies()), (1, 2000, 2000));
}
