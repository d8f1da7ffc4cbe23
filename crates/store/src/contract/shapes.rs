//! Accounts, documents and maps, and the removal of all that an owner has.

use super::{
    Bench, Case, DOC, DOC_B, LOG, LOG_B, MAP, MAP_B, account_put, account_remove, append, block_on, doc_put, map_put,
    map_remove,
};
use crate::{LogSize, MAX_ID, MAX_KEY_BYTES, MapQuery, MapRow, NumberTable, Wanted, Write};
use bytes::Bytes;

pub(super) const CASES: &[Case] = &[
    ("accounts are listed in order", accounts_are_listed_in_order),
    ("documents are apart by owner and table", documents_are_apart_by_owner_and_table),
    ("rows are found by key and sequence", rows_are_found_by_key_and_sequence),
    ("sequences are never used again", sequences_are_never_used_again),
    ("second keys reach over all owners", second_keys_reach_over_all_owners),
    ("groups of rows are read and trimmed", groups_are_read_and_trimmed),
    ("what belongs to no account is loaded where that is wanted", loading_without_account),
    ("numbers are replaced and removed by key, by value and with their owner", numbers),
    ("any text is a key, any bytes are a value", any_text_is_a_key),
    ("large values", large_values),
    ("removing an account removes all it owns", removing_an_account_removes_all_it_owns),
    ("what is loaded at once is what is read one by one", loading_is_reading),
    ("an owner without account can be removed", an_owner_without_account_can_be_removed),
];

/// Texts that a database might fold, cut or order otherwise.
const TEXTS: [&str; 14] =
    ["", " ", "%", "'; --", "A", "a", "a\0b", "a_", "i", "ß", "ı", "日本@例え.jp", "\u{10ffff}", "a@example.org"];

fn accounts_are_listed_in_order(bench: &Bench<'_>) {
    let mut names = TEXTS;
    for name in names {
        bench.write(vec![account_put(name, "v")]);
    }
    names.sort_unstable();
    let listed = |after, limit| bench.accounts(after, limit).into_iter().map(|(owner, _)| owner).collect::<Vec<_>>();
    assert_eq!(listed(None, usize::MAX), names.map(Box::from));
    assert_eq!(listed(None, 3), names[..3].iter().map(|name| Box::from(*name)).collect::<Vec<_>>());
    assert_eq!(listed(Some(names[4]), 2), [names[5], names[6]].map(Box::from));
    assert_eq!(listed(Some("a_b"), 1), [Box::from(*names.iter().find(|name| **name > "a_b").unwrap())]);
    assert!(listed(Some("\u{10ffff}"), 5).is_empty() && listed(None, 0).is_empty());
    assert_eq!(bench.account_count(), names.len() as u64);

    bench.write(vec![account_put("i", "other"), account_remove("ı"), account_remove("ı")]);
    assert_eq!(bench.account("i").unwrap(), "other");
    assert_eq!(bench.account("ı"), None);
    assert_eq!(bench.account_count(), names.len() as u64 - 1);
}

fn documents_are_apart_by_owner_and_table(bench: &Bench<'_>) {
    bench.write(vec![
        doc_put(DOC, "a@example.org", "1"),
        doc_put(DOC, "b@example.org", "2"),
        doc_put(DOC_B, "a@example.org", "3"),
        doc_put(DOC_B, "A@example.org", ""),
    ]);
    assert_eq!(bench.doc(DOC, "a@example.org").unwrap(), "1");
    assert_eq!(bench.doc(DOC_B, "a@example.org").unwrap(), "3");
    assert_eq!(bench.doc(DOC_B, "A@example.org").unwrap(), "", "empty is not absent");
    assert_eq!(bench.doc(DOC, "A@example.org"), None);
    bench.write(vec![
        doc_put(DOC, "a@example.org", "4"),
        Write::DocRemove { table: DOC_B, owner: "a@example.org".into() },
    ]);
    assert_eq!(bench.doc(DOC, "a@example.org").unwrap(), "4");
    assert_eq!(bench.doc(DOC_B, "a@example.org"), None);
    assert_eq!(bench.doc(DOC, "b@example.org").unwrap(), "2");
    assert_eq!(bench.account("a@example.org"), None, "a document makes no account");
}

fn numbers(bench: &Bench<'_>) {
    const TABLE: NumberTable = NumberTable("number");
    let put = |owner: &str, key, value| Write::NumberPut { table: TABLE, owner: owner.into(), key, value };
    let below = |owner: &str, value| Write::NumbersBelow { table: TABLE, owner: owner.into(), value };
    bench.write(vec![put("a", 1, 10), put("a", 2, 20), put("a", MAX_ID, MAX_ID), put("b", 1, 5), put("a", 1, 11)]);
    let of = |owner: &str, key| bench.number(TABLE, owner, key);
    assert_eq!((of("a", 1), of("a", 2), of("a", MAX_ID)), (Some(11), Some(20), Some(MAX_ID)));
    assert_eq!((of("b", 1), of("b", 2), of("c", 1)), (Some(5), None, None));
    assert_eq!(bench.number(NumberTable("other"), "a", 1), None);
    bench.write(vec![below("a", 20), below("c", 20)]);
    assert_eq!((of("a", 1), of("a", 2), of("b", 1)), (None, Some(20), Some(5)));
    let remove = |key| Write::NumberRemove { table: TABLE, owner: "a".into(), key };
    bench.write(vec![remove(2), remove(2), remove(77)]);
    assert_eq!((of("a", 2), of("a", MAX_ID)), (None, Some(MAX_ID)));
    bench.write(vec![account_remove("a")]);
    assert_eq!((of("a", MAX_ID), of("b", 1)), (None, Some(5)));
    let too_large = bench.entry(vec![put("b", MAX_ID + 1, 1)]);
    assert!(bench.try_apply(&[too_large]).is_err());
}

fn rows_are_found_by_key_and_sequence(bench: &Bench<'_>) {
    for key in ["c", "a", "b", "d"] {
        bench.write(vec![map_put(MAP, "a@example.org", key, None), map_put(MAP_B, "a@example.org", key, None)]);
    }
    bench.write(vec![map_put(MAP, "b@example.org", "a", None)]);
    assert_eq!(bench.keys(MAP, "a@example.org"), ["c", "a", "b", "d"]);
    let again = Write::MapPut {
        table: MAP,
        owner: "a@example.org".into(),
        key: "a".into(),
        second: None,
        value: Bytes::from_static(b"new"),
    };
    bench.write(vec![again]);
    assert_eq!(bench.keys(MAP, "a@example.org"), ["c", "b", "d", "a"], "a row put again moves to the end");
    let row = bench.row(MAP, "a@example.org", "a").unwrap();
    assert_eq!((row.value.as_ref(), row.second.as_ref()), (&b"new"[..], None));
    assert_eq!(bench.row(MAP_B, "a@example.org", "a").unwrap().value, "value of a");
    assert_eq!(bench.row(MAP, "b@example.org", "a").unwrap().value, "value of a");
    assert_eq!(bench.row(MAP, "b@example.org", "b"), None);

    let rows = bench.rows(MAP, "a@example.org");
    assert!(rows.is_sorted_by(|a, b| a.sequence < b.sequence));
    assert_eq!(rows[3], row);
    let page = |after, limit| -> Vec<MapRow> {
        super::block_on(bench.subject.store.map_rows(MAP, "a@example.org", after, limit)).unwrap()
    };
    assert_eq!(page(None, 2), rows[..2]);
    assert_eq!(page(Some(rows[1].sequence), 1), rows[2..3]);
    assert_eq!(page(Some(0), usize::MAX), rows);
    assert!(
        page(Some(rows[3].sequence), 9).is_empty() && page(Some(u64::MAX), 9).is_empty() && page(None, 0).is_empty()
    );

    bench.write(vec![map_remove(MAP, "a@example.org", "b"), map_remove(MAP, "a@example.org", "none")]);
    assert_eq!(bench.keys(MAP, "a@example.org"), ["c", "d", "a"]);
    bench.write(vec![Write::MapClear { table: MAP, owner: "a@example.org".into() }]);
    assert_eq!(bench.rows(MAP, "a@example.org"), []);
    assert_eq!(bench.rows(MAP_B, "a@example.org").len(), 4);
    assert_eq!(bench.rows(MAP, "b@example.org").len(), 1);
}

fn sequences_are_never_used_again(bench: &Bench<'_>) {
    let put = || {
        bench.write(vec![map_put(MAP, "a@example.org", "x", None)]);
        bench.row(MAP, "a@example.org", "x").unwrap().sequence
    };
    let first = put();
    let second = put();
    bench.write(vec![map_remove(MAP, "a@example.org", "x")]);
    let third = put();
    bench.write(vec![Write::MapClear { table: MAP, owner: "a@example.org".into() }]);
    let fourth = put();
    bench.write(vec![account_remove("a@example.org")]);
    let fifth = put();
    assert!([0, first, second, third, fourth, fifth].is_sorted_by(|a, b| a < b));
}

fn second_keys_reach_over_all_owners(bench: &Bench<'_>) {
    let pair = |owner: &str, key: &str| (owner.to_owned(), key.to_owned());
    bench.write(vec![
        map_put(MAP, "b@example.org", "k", Some("s")),
        map_put(MAP, "a@example.org", "k", Some("s")),
        map_put(MAP, "a@example.org", "l", Some("s")),
        map_put(MAP, "a@example.org", "m", Some("S")),
        map_put(MAP, "a@example.org", "n", None),
        map_put(MAP, "a@example.org", "o", Some("")),
        map_put(MAP_B, "c@example.org", "k", Some("s")),
    ]);
    let all = [pair("b@example.org", "k"), pair("a@example.org", "k"), pair("a@example.org", "l")];
    assert_eq!(bench.second(MAP, "s"), all);
    assert_eq!(bench.second(MAP, "S"), [pair("a@example.org", "m")]);
    assert_eq!(bench.second(MAP, ""), [pair("a@example.org", "o")], "empty is not absent");
    assert_eq!(bench.second(MAP_B, "s"), [pair("c@example.org", "k")]);
    let limited = super::block_on(bench.subject.store.map_second(MAP, "s", 2)).unwrap();
    assert_eq!(limited.len(), 2);
    assert_eq!(limited[1].1, bench.row(MAP, "a@example.org", "k").unwrap());
    assert_eq!(limited[1].1.second.as_deref(), Some("s"));

    // The index follows the row: another second key, none, removed, cleared.
    bench.write(vec![map_put(MAP, "b@example.org", "k", Some("t")), map_put(MAP, "a@example.org", "k", None)]);
    assert_eq!(bench.second(MAP, "s"), [pair("a@example.org", "l")]);
    assert_eq!(bench.second(MAP, "t"), [pair("b@example.org", "k")]);
    bench.write(vec![
        map_remove(MAP, "b@example.org", "k"),
        Write::MapClear { table: MAP, owner: "a@example.org".into() },
    ]);
    assert!(bench.second(MAP, "s").is_empty() && bench.second(MAP, "t").is_empty());
    assert!(bench.second(MAP, "S").is_empty() && bench.second(MAP, "").is_empty());
    assert_eq!(bench.second(MAP_B, "s").len(), 1);
}

fn any_text_is_a_key(bench: &Bench<'_>) {
    let value = Bytes::from((0..=255).collect::<Vec<u8>>());
    for text in TEXTS {
        bench.write(vec![
            Write::MapPut {
                table: MAP,
                owner: text.into(),
                key: text.into(),
                second: Some(text.into()),
                value: value.clone(),
            },
            Write::MapPut { table: MAP, owner: "a".into(), key: text.into(), second: None, value: Bytes::new() },
            Write::DocPut { table: DOC, owner: text.into(), value: value.clone() },
            append(LOG, &[(text, 1, text, 1)], ""),
        ]);
    }
    assert_eq!(bench.rows(MAP, "a").len(), TEXTS.len());
    for text in TEXTS.into_iter().filter(|text| *text != "a") {
        let row = bench.row(MAP, text, text).unwrap();
        assert_eq!((row.key.as_ref(), row.second.as_deref(), &row.value), (text, Some(text), &value));
        assert_eq!(bench.second(MAP, text), [(text.to_owned(), text.to_owned())]);
        assert_eq!(bench.row(MAP, "a", text).unwrap().value, "");
        assert_eq!(bench.doc(DOC, text).unwrap(), value);
        let query = crate::LogQuery { peer: Some(text.into()), limit: 9, ..Default::default() };
        let rows = bench.log(LOG, text, query);
        assert_eq!((rows.len(), rows[0].peer.as_ref(), rows[0].body.len()), (1, text, 0));
    }
}

fn large_values(bench: &Bench<'_>) {
    let large = |byte| Bytes::from(vec![byte; 3 * 1024 * 1024 + 1]);
    let (owner, key): (Box<str>, Box<str>) = ("o".repeat(MAX_KEY_BYTES).into(), "k".repeat(MAX_KEY_BYTES).into());
    bench.write(vec![
        Write::AccountPut { owner: owner.clone(), value: large(1) },
        Write::DocPut { table: DOC, owner: owner.clone(), value: large(2) },
        Write::MapPut {
            table: MAP,
            owner: owner.clone(),
            key: key.clone(),
            second: Some(key.clone()),
            value: large(3),
        },
        Write::LogAppend {
            table: LOG,
            rows: vec![crate::LogIndex { owner: owner.clone(), id: 1, peer: key.clone(), flags: u32::MAX }],
            body: large(4),
        },
    ]);
    assert_eq!(bench.account(&owner).unwrap(), large(1));
    assert_eq!(bench.doc(DOC, &owner).unwrap(), large(2));
    assert_eq!(bench.row(MAP, &owner, &key).unwrap().value, large(3));
    assert_eq!(bench.second(MAP, &key).len(), 1);
    let row = &bench.log(LOG, &owner, crate::LogQuery { limit: 1, ..Default::default() })[0];
    assert_eq!((&row.peer, row.flags, &row.body), (&key, u32::MAX, &large(4)));
}

fn removing_an_account_removes_all_it_owns(bench: &Bench<'_>) {
    for owner in ["a@example.org", "b@example.org"] {
        bench.write(vec![
            account_put(owner, "v"),
            doc_put(DOC, owner, "1"),
            doc_put(DOC_B, owner, "2"),
            map_put(MAP, owner, "x", Some("s")),
            map_put(MAP_B, owner, "y", None),
        ]);
    }
    bench.write(vec![
        append(LOG, &[("a@example.org", 1, "b@example.org", 1), ("b@example.org", 2, "a@example.org", 1)], "shared"),
        append(LOG, &[("a@example.org", 3, "b@example.org", 1), ("a@example.org", 4, "b@example.org", 1)], "own twice"),
        append(LOG_B, &[("a@example.org", 3, "b@example.org", 1)], "other table"),
    ]);
    assert_eq!(bench.log_bodies(), 3);
    bench.write(vec![account_remove("a@example.org")]);
    assert_eq!(bench.account("a@example.org"), None);
    assert!(bench.doc(DOC, "a@example.org").is_none() && bench.doc(DOC_B, "a@example.org").is_none());
    assert!(bench.keys(MAP, "a@example.org").is_empty() && bench.keys(MAP_B, "a@example.org").is_empty());
    assert!(bench.all_ids(LOG, "a@example.org").is_empty() && bench.all_ids(LOG_B, "a@example.org").is_empty());
    assert_eq!(bench.second(MAP, "s"), [("b@example.org".to_owned(), "x".to_owned())]);
    assert_eq!(bench.log_bodies(), 1, "only the shared body is left");

    assert_eq!(bench.account("b@example.org").unwrap(), "v");
    assert_eq!(bench.doc(DOC_B, "b@example.org").unwrap(), "2");
    assert_eq!(bench.keys(MAP_B, "b@example.org"), ["y"]);
    let row = &bench.log(LOG, "b@example.org", crate::LogQuery { limit: 9, ..Default::default() })[0];
    assert_eq!((row.body.as_ref(), row.peer.as_ref()), (&b"shared"[..], "a@example.org"));
    assert_eq!(bench.account_count(), 1);

    // The address may be used again, and starts with nothing.
    bench.write(vec![account_put("a@example.org", "again")]);
    assert!(bench.doc(DOC, "a@example.org").is_none() && bench.all_ids(LOG, "a@example.org").is_empty());
    bench.write(vec![account_remove("b@example.org")]);
    assert_eq!(bench.log_bodies(), 0);
    assert_eq!(bench.high_water().0, 4, "removal does not lower the water mark");
}

fn an_owner_without_account_can_be_removed(bench: &Bench<'_>) {
    bench.write(vec![
        doc_put(DOC, "room@muc.example.org", "1"),
        append(LOG, &[("room@muc.example.org", 1, "p", 1)], "b"),
    ]);
    bench.write(vec![account_remove("room@muc.example.org")]);
    assert_eq!(bench.doc(DOC, "room@muc.example.org"), None);
    assert_eq!((bench.log_bodies(), bench.account_count()), (0, 0));
}

fn groups_are_read_and_trimmed(bench: &Bench<'_>) {
    let owner = "a@example.org";
    for key in ["a", "b", "c", "d", "a"] {
        bench.write(vec![map_put(MAP, owner, key, Some("g")), map_put(MAP, owner, &format!("{key}2"), Some("h"))]);
    }
    bench.write(vec![map_put(MAP, "b@example.org", "x", Some("g")), map_put(MAP_B, owner, "y", Some("g"))]);
    let store = &bench.subject.store;
    let read = |query: MapQuery| block_on(store.map_group(MAP, owner, query)).unwrap();
    let all = || MapQuery { second: "g".into(), limit: usize::MAX, ..MapQuery::default() };
    let keys = |rows: Vec<MapRow>| rows.into_iter().map(|row| row.key.into_string()).collect::<Vec<_>>();
    let rows = read(all());
    assert_eq!(keys(rows.clone()), ["b", "c", "d", "a"]);
    assert_eq!(keys(read(MapQuery { backwards: true, limit: 2, ..all() })), ["a", "d"]);
    assert_eq!(keys(read(MapQuery { after: Some(rows[0].sequence), limit: 2, ..all() })), ["c", "d"]);
    let before = Some(rows[3].sequence);
    assert_eq!(keys(read(MapQuery { before, backwards: true, limit: 1, ..all() })), ["d"]);
    assert_eq!(keys(read(MapQuery { before: Some(0), ..all() })), [""; 0]);
    assert_eq!(block_on(store.map_group_count(MAP, owner, "g")).unwrap(), 4);

    let trim = |second: &str, keep| {
        bench.write(vec![Write::MapTrim { table: MAP, owner: owner.into(), second: second.into(), keep }]);
    };
    trim("g", 4);
    trim("none", 0);
    assert_eq!(keys(read(all())), ["b", "c", "d", "a"]);
    trim("g", 2);
    assert_eq!(keys(read(all())), ["d", "a"]);
    trim("g", 0);
    assert_eq!(keys(read(all())), [""; 0]);
    assert_eq!(block_on(store.map_group_count(MAP, owner, "h")).unwrap(), 4, "another group stays");
    assert_eq!(bench.rows(MAP, "b@example.org").len(), 1, "another owner's stays");
    assert_eq!(bench.rows(MAP_B, owner).len(), 1, "another table's stays");
}

fn loading_without_account(bench: &Bench<'_>) {
    let wanted = Wanted { docs: vec![DOC], maps: vec![MAP], without_account: true, ..Wanted::default() };
    let load = || block_on(bench.subject.store.load("service.example.org", &wanted)).unwrap().unwrap();
    assert_eq!(load().docs, [None]);
    bench.write(vec![doc_put(DOC, "service.example.org", "1"), map_put(MAP, "service.example.org", "a", None)]);
    let loaded = load();
    assert_eq!((loaded.account.len(), loaded.maps[0].len()), (0, 1));
    assert_eq!(loaded.docs, [Some(Bytes::from_static(b"1"))]);
}

fn loading_is_reading(bench: &Bench<'_>) {
    let wanted =
        Wanted { docs: vec![DOC_B, DOC], maps: vec![MAP], logs: vec![(LOG, 2), (LOG, 0)], without_account: false };
    let load = || block_on(bench.subject.store.load("a@example.org", &wanted)).unwrap();
    bench.write(vec![doc_put(DOC, "a@example.org", "1"), map_put(MAP, "a@example.org", "k", None)]);
    assert_eq!(load(), None, "there is no such account");
    bench.write(vec![
        account_put("a@example.org", "v"),
        append(LOG, &[("a@example.org", 1, "p", 1)], "b"),
        append(LOG, &[("a@example.org", 2, "p", 3)], "b"),
    ]);
    let loaded = load().unwrap();
    assert_eq!(loaded.account, "v");
    assert_eq!(loaded.docs, [None, Some("1".into())]);
    assert_eq!(loaded.maps, [bench.rows(MAP, "a@example.org")]);
    assert_eq!(loaded.logs, [LogSize { rows: 1, bytes: 1 }, LogSize { rows: 2, bytes: 2 }]);
}
