//! Searches, and the indexes behind the commits: how far those have come makes no difference to what is found.

use super::{Bench, Case, LOG, LOG_B, account_remove, append, block_on, clear};
use crate::{
    LogQuery, LogTable, Unindexed, Write,
    search::{BREAK, Search, Words, folded},
};
use bytes::Bytes;

pub(super) const CASES: &[Case] = &[
    ("words", words),
    ("a search finds the same however far the index is", a_search_finds_the_same_however_far_the_index_is),
    ("what is removed is not found", what_is_removed_is_not_found),
    ("an index step that comes too late", an_index_step_that_comes_too_late),
    ("a body is given to the index once", a_body_is_given_to_the_index_once),
];

const A: &str = "a@example.org";
const B: &str = "b@example.org";

fn query() -> LogQuery {
    LogQuery { limit: usize::MAX, ..LogQuery::default() }
}

/// Bodies that begin with a dash have no text.
fn text(body: &Bytes) -> Option<String> {
    (!body.starts_with(b"-")).then(|| String::from_utf8_lossy(body).into_owned())
}

fn find(bench: &Bench<'_>, table: LogTable, owner: &str, words: &str, query: LogQuery) -> Vec<u64> {
    let search = Search { words: Words::parse(words), text };
    let rows = block_on(bench.subject.store.log_search(table, owner, query, search)).unwrap();
    rows.into_iter().map(|row| row.id).collect()
}

fn unindexed(bench: &Bench<'_>, at_least: usize, limit: usize) -> Unindexed {
    block_on(bench.subject.store.log_unindexed(LOG, at_least, limit)).unwrap()
}

fn step(found: &Unindexed) -> Write {
    let texts = found.bodies.iter().filter_map(|(number, body)| Some((*number, folded(&text(body)?))));
    Write::LogIndex { table: LOG, up_to: found.up_to, texts: texts.collect() }
}

/// Lets the index come on by so many bodies.
fn index(bench: &Bench<'_>, limit: usize) {
    let found = unindexed(bench, 1, limit);
    if found.up_to > 0 {
        bench.write(vec![step(&found)]);
    }
}

fn words(bench: &Bench<'_>) {
    for (id, body) in [
        (1, "But soft, what light through yonder window breaks?"),
        (2, "It is the East, and Juliet is the sun."),
        (3, "Ärger im Café: déjà vu"),
        (4, "- soft light without text"),
        (5, "soft LIGHT, light and soft"),
    ] {
        bench.write(vec![append(LOG, &[(A, id, "x", 1)], body)]);
    }
    assert_eq!(BREAK, '\u{e000}');
    bench.write(vec![append(LOG, &[(A, 6, "x", 1)], "A subject\u{e000}and a body")]);
    for _ in 0..2 {
        let ids = |words: &str| find(bench, LOG, A, words, query());
        assert_eq!(ids("light"), [1, 5]);
        assert_eq!(ids("LIGHT soft"), [1, 5]);
        assert_eq!(ids("\"light and soft\""), [5]);
        assert!(ids("\"soft yonder\"").is_empty() && ids("ligh").is_empty() && ids("light sun").is_empty());
        assert_eq!(ids("ligh*"), [1, 5]);
        assert_eq!(ids("arger cafe"), [3]);
        assert_eq!(ids("DÉJÀ"), [3]);
        // Words of both, and no phrase across both.
        assert_eq!(ids("subject body"), [6]);
        assert_eq!(ids("\"and a body\""), [6]);
        assert!(ids("\"subject and\"").is_empty());
        assert!(ids("").is_empty() && ids("?!").is_empty() && ids("*").is_empty());
        // What means something to a search engine means nothing here.
        assert!(ids("light OR sun").is_empty() && ids("NOT light").is_empty());
        assert!(ids("o1t1").is_empty() && ids("owners:o1t1").is_empty() && ids("text : light)").is_empty());
        index(bench, usize::MAX);
    }
}

fn a_search_finds_the_same_however_far_the_index_is(bench: &Bench<'_>) {
    for id in 1..=40 {
        let body = if id % 3 == 0 { "every third word" } else { "another word" };
        let peer = if id % 2 == 0 { "x" } else { "y" };
        let flags = if id % 4 == 0 { 3 } else { 2 };
        bench.write(vec![
            append(LOG, &[(A, id * 10, peer, flags), (B, id * 10 + 1, "a", 2), (A, id * 10 + 2, peer, 2)], body),
            append(LOG_B, &[(A, id * 10, "x", 1)], "a third word elsewhere"),
        ]);
    }
    let all = |words: &str, query: LogQuery| find(bench, LOG, A, words, query);
    let thirds: Vec<u64> = (1..=40).filter(|id| id % 3 == 0).flat_map(|id| [id * 10, id * 10 + 2]).collect();
    let backwards: Vec<u64> = thirds.iter().rev().copied().collect();
    let of_peer = |peer: &str| LogQuery { peer: Some(peer.into()), ..query() };
    for done in 0..12 {
        assert_eq!(all("third", query()), thirds, "after {done} steps");
        assert_eq!(all("third", LogQuery { backwards: true, ..query() }), backwards);
        assert_eq!(all("third", LogQuery { limit: 3, ..query() }), thirds[..3]);
        assert_eq!(all("third", LogQuery { limit: 3, backwards: true, ..query() }), backwards[..3]);
        assert_eq!(all("third", LogQuery { after: Some(90), before: Some(180), ..query() }), [92, 120, 122, 150, 152]);
        assert_eq!(all("third", LogQuery { after: Some(320), limit: 2, ..query() }), [330, 332]);
        assert_eq!(all("third", LogQuery { before: Some(92), limit: 2, backwards: true, ..query() }), [90, 62]);
        assert!(all("third", LogQuery { after: Some(392), ..query() }).is_empty());
        assert!(all("third", LogQuery { before: Some(30), ..query() }).is_empty());
        assert!(all("third", LogQuery { limit: 0, ..query() }).is_empty());
        assert_eq!(all("third", LogQuery { any_flag: 1, ..query() }), [120, 240, 360]);
        assert_eq!(all("third", LogQuery { limit: 2, ..of_peer("y") }), [30, 32]);
        assert_eq!(all("third", LogQuery { bytes: 17, ..query() }), thirds[..2], "sixteen bytes each");
        assert_eq!(find(bench, LOG, B, "third", query()).len(), 13);
        assert_eq!(find(bench, LOG_B, A, "third", query()).len(), 40);
        assert!(find(bench, LOG_B, B, "third", query()).is_empty());
        assert!(find(bench, LOG, "nobody", "third", query()).is_empty());
        // Rows by peer come of the same index.
        let ids = |query| bench.ids(LOG, A, query);
        assert_eq!(ids(of_peer("x")).len(), 40);
        assert_eq!(ids(LogQuery { backwards: true, limit: 3, ..of_peer("x") }), [402, 400, 382]);
        assert_eq!(ids(LogQuery { after: Some(380), ..of_peer("x") }), [382, 400, 402]);
        assert_eq!(ids(LogQuery { before: Some(40), ..of_peer("x") }), [20, 22]);
        assert_eq!(ids(LogQuery { any_flag: 1, after: Some(300), limit: 2, ..of_peer("x") }), [320, 360]);
        index(bench, 7);
    }
}

fn what_is_removed_is_not_found(bench: &Bench<'_>) {
    for id in 1..=6 {
        bench.write(vec![append(LOG, &[(A, id, "x", 1), (B, id, "y", 1)], "a word")]);
    }
    index(bench, 4);
    let found = |owner| find(bench, LOG, owner, "word", query());
    bench.write(vec![clear(LOG, A, Some(&[1, 5]), 1), clear(LOG, B, Some(&[2, 6]), 1)]);
    assert_eq!((found(A), found(B)), (vec![2, 3, 4, 6], vec![1, 3, 4, 5]));
    assert_eq!(bench.ids(LOG, A, LogQuery { peer: Some("x".into()), ..query() }), [2, 3, 4, 6]);
    bench.write(vec![clear(LOG, B, Some(&[1]), 1), clear(LOG, A, Some(&[2]), 1)]);
    bench.write(vec![account_remove(A)]);
    assert_eq!((found(A), found(B)), (vec![], vec![3, 4, 5]));
    index(bench, usize::MAX);
    // Somebody new by the name, and perhaps with the number, of one who is gone.
    bench.write(vec![
        append(LOG, &[("c@example.org", 7, "x", 1)], "another word"),
        append(LOG, &[(A, 8, "x", 1)], "mine"),
    ]);
    for _ in 0..2 {
        assert_eq!((found(A), found("c@example.org")), (vec![], vec![7]));
        assert_eq!(find(bench, LOG, A, "mine", query()), [8]);
        assert!(bench.ids(LOG, "c@example.org", LogQuery { peer: Some("y".into()), ..query() }).is_empty());
        index(bench, usize::MAX);
    }
    bench.write(vec![account_remove(B)]);
    assert!(found(B).is_empty());
    assert_eq!(bench.log_bodies(), 2);
}

fn an_index_step_that_comes_too_late(bench: &Bench<'_>) {
    for id in 1..=4 {
        bench.write(vec![append(LOG, &[(A, id, "x", 1)], "a word")]);
    }
    let (first, all) = (unindexed(bench, 1, 2), unindexed(bench, 1, usize::MAX));
    // Between reading and writing, some have gone.
    bench.write(vec![clear(LOG, A, Some(&[2, 4]), 1)]);
    bench.write(vec![step(&all)]);
    bench.write(vec![step(&first), step(&all)]);
    assert_eq!(find(bench, LOG, A, "word", query()), [1, 3]);
    bench.write(vec![append(LOG, &[(A, 9, "x", 1)], "a word")]);
    assert_eq!(find(bench, LOG, A, "word", query()), [1, 3, 9], "a body after the last one that is indexed");
    index(bench, usize::MAX);
    assert_eq!(find(bench, LOG, A, "word", query()), [1, 3, 9]);
}

fn a_body_is_given_to_the_index_once(bench: &Bench<'_>) {
    for id in 1..=10 {
        bench.write(vec![append(LOG, &[(A, id, "x", 1)], "body"), append(LOG_B, &[(A, id, "x", 1)], "other")]);
    }
    // Whoever keeps no index has nothing to do.
    let mut given = 0;
    while let Unindexed { up_to: 1.., bodies } = unindexed(bench, 1, 4) {
        assert!(bodies.iter().all(|(_, body)| body == "body"));
        given += bodies.len();
        index(bench, 4);
    }
    assert!(given == 10 || given == 0, "{given}");
    assert_eq!(unindexed(bench, 1, 4), Unindexed::default());
    bench.write(vec![append(LOG, &[(A, 11, "x", 1)], "body")]);
    assert_eq!(unindexed(bench, 3, 4), Unindexed::default(), "not yet enough");
}
