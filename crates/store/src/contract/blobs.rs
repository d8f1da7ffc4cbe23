//! The contract of blobs: what every back end does.

use crate::{Blobs, StoreError};
use bytes::Bytes;

/// Runs every case, each on new blobs.
///
/// # Panics
/// Where the back end breaks the contract; the name of the case was printed before.
pub async fn run<B: Blobs>(mut make: impl FnMut() -> B) {
    macro_rules! cases {
        ($($case:ident),* $(,)?) => {$(
            eprintln!("contract of blobs: {}", stringify!($case));
            $case(&make()).await;
        )*};
    }
    cases![
        what_is_written_is_read,
        nothing_is_seen_before_the_end,
        a_large_blob_comes_in_pieces,
        parts_are_read,
        what_is_not_there,
        a_blob_is_replaced_whole,
        names_are_listed,
        names_are_names,
        two_writers_of_one_name_do_not_mix,
    ];
}

async fn put(blobs: &dyn Blobs, name: &str, pieces: &[&[u8]]) {
    let mut writer = blobs.write(name).await.unwrap();
    for piece in pieces {
        writer.append(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    writer.finish().await.unwrap();
}

async fn get(blobs: &dyn Blobs, name: &str, from: u64, to: u64) -> Option<Vec<u8>> {
    let mut reader = blobs.read(name, from..to).await.unwrap()?;
    let mut all = Vec::new();
    while let Some(piece) = reader.next().await.unwrap() {
        assert!(!piece.is_empty(), "an empty piece is no piece");
        all.extend_from_slice(&piece);
    }
    Some(all)
}

async fn names(blobs: &dyn Blobs) -> Vec<Box<str>> {
    names_in(blobs, None).await
}

async fn names_in(blobs: &dyn Blobs, folder: Option<&str>) -> Vec<Box<str>> {
    let mut list = blobs.list(folder);
    let mut names = Vec::new();
    while let Some(name) = list.next().await.unwrap() {
        names.push(name);
    }
    names.sort();
    names
}

async fn what_is_written_is_read(blobs: &dyn Blobs) {
    put(blobs, "ab/first", &[b"one ", b"", b"two"]).await;
    assert_eq!(get(blobs, "ab/first", 0, u64::MAX).await.as_deref(), Some(&b"one two"[..]));
    assert_eq!(blobs.size("ab/first").await.unwrap(), Some(7));
    put(blobs, "empty", &[]).await;
    assert_eq!(blobs.size("empty").await.unwrap(), Some(0));
    assert_eq!(get(blobs, "empty", 0, u64::MAX).await.as_deref(), Some(&b""[..]));
}

async fn nothing_is_seen_before_the_end(blobs: &dyn Blobs) {
    let mut writer = blobs.write("ab/half").await.unwrap();
    writer.append(Bytes::from_static(b"half")).await.unwrap();
    assert_eq!(blobs.size("ab/half").await.unwrap(), None);
    assert!(names(blobs).await.is_empty());
    drop(writer);
    assert_eq!(blobs.size("ab/half").await.unwrap(), None);
    blobs.tidy().await.unwrap();
    assert!(names(blobs).await.is_empty());
}

/// More than one part of any back end, in pieces that fit no part.
async fn a_large_blob_comes_in_pieces(blobs: &dyn Blobs) {
    const PIECE: usize = 100_003;
    const PIECES: usize = 120;
    let piece = |number: usize| Bytes::from(vec![number as u8; PIECE]);
    let mut writer = blobs.write("large").await.unwrap();
    for number in 0..PIECES {
        writer.append(piece(number)).await.unwrap();
    }
    writer.finish().await.unwrap();
    let size = (PIECE * PIECES) as u64;
    assert_eq!(blobs.size("large").await.unwrap(), Some(size));
    let mut reader = blobs.read("large", 0..size).await.unwrap().unwrap();
    let (mut at, mut pieces) = (0, 0);
    while let Some(bytes) = reader.next().await.unwrap() {
        assert!(bytes.iter().enumerate().all(|(offset, byte)| *byte == ((at + offset) / PIECE) as u8), "at {at}");
        at += bytes.len();
        pieces += 1;
    }
    assert_eq!(at as u64, size);
    assert!(pieces > 1, "it came whole");
    blobs.remove("large").await.unwrap();
}

async fn parts_are_read(blobs: &dyn Blobs) {
    put(blobs, "digits", &[b"0123456789"]).await;
    for (from, to, wanted) in [(0, 1, "0"), (3, 6, "345"), (9, 10, "9"), (8, 100, "89")] {
        let read = get(blobs, "digits", from, to).await.unwrap();
        assert_eq!(String::from_utf8(read).unwrap(), wanted, "{from}..{to}");
    }
}

async fn what_is_not_there(blobs: &dyn Blobs) {
    assert_eq!(blobs.size("nothing").await.unwrap(), None);
    assert_eq!(get(blobs, "nothing", 0, 10).await, None);
    blobs.remove("nothing").await.unwrap();
    put(blobs, "ab/something", &[b"x"]).await;
    blobs.remove("ab/something").await.unwrap();
    assert_eq!(blobs.size("ab/something").await.unwrap(), None);
    assert_eq!(get(blobs, "ab/something", 0, 10).await, None);
    // A folder of names is no blob.
    put(blobs, "ab/something", &[b"x"]).await;
    assert_eq!(blobs.size("ab").await.unwrap(), None);
}

async fn a_blob_is_replaced_whole(blobs: &dyn Blobs) {
    put(blobs, "a", &[b"a long content"]).await;
    put(blobs, "a", &[b"short"]).await;
    assert_eq!(get(blobs, "a", 0, u64::MAX).await.as_deref(), Some(&b"short"[..]));
}

async fn names_are_listed(blobs: &dyn Blobs) {
    for name in ["b", "ab/1", "ab/2", "cd/1"] {
        put(blobs, name, &[b"x"]).await;
    }
    blobs.remove("ab/2").await.unwrap();
    let all = names(blobs).await;
    assert_eq!(all.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["ab/1", "b", "cd/1"]);
    assert_eq!(names_in(blobs, Some("cd")).await, ["cd/1".into()]);
    assert!(names_in(blobs, Some("a")).await.is_empty());
    assert!(names_in(blobs, Some("ab/1")).await.is_empty());
}

async fn names_are_names(blobs: &dyn Blobs) {
    for name in ["", "/", "a/", "/a", "a//b", "..", "a/../b", ".", "a b", "a.b", "a#1", "ü", "a\0", &"x".repeat(201)] {
        match blobs.write(name).await {
            Err(StoreError::Refused(_)) => {}
            Err(other) => panic!("{name:?}: {other}"),
            Ok(_) => panic!("{name:?} was taken"),
        }
        assert_eq!(blobs.size(name).await.unwrap_or(None), None, "{name:?}");
    }
}

async fn two_writers_of_one_name_do_not_mix(blobs: &dyn Blobs) {
    let mut first = blobs.write("ab/same").await.unwrap();
    let mut second = blobs.write("ab/same").await.unwrap();
    first.append(Bytes::from_static(b"first")).await.unwrap();
    second.append(Bytes::from_static(b"second")).await.unwrap();
    first.finish().await.unwrap();
    assert_eq!(get(blobs, "ab/same", 0, 100).await.as_deref(), Some(&b"first"[..]));
    drop(second);
    assert_eq!(get(blobs, "ab/same", 0, 100).await.as_deref(), Some(&b"first"[..]));
}
