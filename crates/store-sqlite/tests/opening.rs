//! What is said about a data directory that cannot be used, and what survives closing.

mod directory;

use directory::Directory;
use std::io::{Seek, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};
use store::contract::block_on;
use store::{DocTable, Entry, LogIndex, LogTable, MapTable, Outcome, Store, StoreError, Write};
use store_sqlite::{OpenError, Options, Sqlite};

const DOC: DocTable = DocTable("doc");
const MAP: MapTable = MapTable("map");
const LOG: LogTable = LogTable("log");

fn doc_put(id: u64, owner: &str, bytes: usize) -> Entry {
    let write = Write::DocPut { table: DOC, owner: owner.into(), value: vec![7; bytes].into() };
    Entry { id, conditions: Vec::new(), writes: vec![write] }
}

type Damage<'a> = &'a dyn Fn(&Directory);

/// A closed database with some content.
fn filled() -> Directory {
    let directory = Directory::new();
    let store = Sqlite::open(directory.path()).unwrap();
    let entries = (1..=200).map(|id| doc_put(id, &format!("{id}@example.org"), 1000)).collect();
    block_on(store.apply(entries)).unwrap();
    block_on(store.close()).unwrap();
    directory
}

fn refusal(path: &Path) -> (OpenError, String) {
    let error = Sqlite::open(path).expect_err("it must not open");
    let line = error.to_string();
    assert!(!line.contains('\n') && line.contains(&*path.to_string_lossy()), "{line}");
    (error, line)
}

#[test]
fn a_missing_directory() {
    let directory = Directory::new();
    let (error, line) = refusal(&directory.path().join("missing"));
    assert!(matches!(error, OpenError::NoDirectory(_)) && line.contains("create it"), "{line}");
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(refusal(&file).0, OpenError::NoDirectory(_)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_directory() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    let probe = directory.path().join("probe");
    // Permissions do not bind root; there a folder of the kernel stands in, which takes no files from anyone.
    let path = if std::fs::write(&probe, "").is_ok() { Path::new("/sys/kernel") } else { directory.path() };
    let (error, line) = refusal(path);
    assert!(matches!(error, OpenError::NotWritable(..)) && line.contains("write permission"), "{line}");
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_second_server_is_refused_until_the_first_has_gone() {
    let directory = Directory::new();
    let first = Sqlite::open(directory.path()).unwrap();
    let (error, line) = refusal(directory.path());
    let own = std::process::id();
    assert!(matches!(error, OpenError::InUse { process: Some(process), .. } if process == own), "{line}");
    block_on(first.close()).unwrap();
    let second = Sqlite::open(directory.path()).unwrap();
    drop(second);
    Sqlite::open(directory.path()).unwrap();
}

#[test]
fn files_that_are_no_database() {
    for (content, what) in [(&b""[..], "empty"), (b"hello", "too short"), (&[b'x'; 5000], "begin")] {
        let directory = Directory::new();
        std::fs::write(directory.file(), content).unwrap();
        let (error, line) = refusal(directory.path());
        assert!(matches!(error, OpenError::NotADatabase(..) | OpenError::Damaged(..)) && line.contains(what), "{line}");
        assert_eq!(std::fs::read(directory.file()).unwrap(), content, "it is left as it is");
    }
    let directory = Directory::new();
    rusqlite::Connection::open(directory.file()).unwrap().execute_batch("CREATE TABLE other (x)").unwrap();
    let (error, line) = refusal(directory.path());
    assert!(matches!(error, OpenError::NotADatabase(..)) && line.contains("application id"), "{line}");
}

#[test]
fn damaged_databases() {
    let size = std::fs::metadata(filled().file()).unwrap().len();
    let overwrite = |directory: &Directory, at: u64, len: u64| {
        let mut file = std::fs::OpenOptions::new().write(true).open(directory.file()).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&vec![0xa5; len as usize]).unwrap();
    };
    let damages: [(&str, Damage<'_>); 5] = [
        ("cut off", &|directory| {
            std::fs::OpenOptions::new().write(true).open(directory.file()).unwrap().set_len(size / 2).unwrap();
        }),
        ("a page in the middle", &|directory| overwrite(directory, size / 2 / 4096 * 4096, 4096)),
        ("the schema", &|directory| overwrite(directory, 100, 3000)),
        ("all but the first bytes", &|directory| overwrite(directory, 16, size - 16)),
        ("all but the header", &|directory| overwrite(directory, 100, size - 100)),
    ];
    for (what, damage) in damages {
        let directory = filled();
        damage(&directory);
        let (error, line) = refusal(directory.path());
        assert!(matches!(error, OpenError::Damaged(..) | OpenError::NotADatabase(..)), "{what}: {line}");
        assert!(line.contains("backup"), "{what}: {line}");
    }
}

#[test]
fn a_lost_database_is_not_replaced_while_its_log_is_there() {
    let directory = filled();
    std::fs::rename(directory.file(), directory.path().join("linnet.db-wal")).unwrap();
    let (error, line) = refusal(directory.path());
    assert!(matches!(error, OpenError::Damaged(..)) && line.contains("missing"), "{line}");
}

#[test]
fn a_half_made_database_is_made_anew() {
    let directory = Directory::new();
    for name in ["linnet.db.new", "linnet.db.new-wal", "linnet.db.new-shm"] {
        std::fs::write(directory.path().join(name), "half").unwrap();
    }
    drop(Sqlite::open(directory.path()).unwrap());
    let mut names: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["linnet.db", "linnet.lock"], "closing leaves the database alone");
}

#[test]
fn a_newer_schema() {
    let directory = filled();
    let connection = rusqlite::Connection::open(directory.file()).unwrap();
    connection.execute("INSERT INTO migrations VALUES (4711, 'future', 0)", []).unwrap();
    drop(connection);
    let (error, line) = refusal(directory.path());
    assert!(matches!(error, OpenError::Newer { found: 4711, .. }) && line.contains("newer version"), "{line}");
}

#[cfg(unix)]
#[test]
fn only_the_own_user_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new();
    let store = Sqlite::open(directory.path()).unwrap();
    block_on(store.apply(vec![doc_put(1, "a", 10)])).unwrap();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
}

#[test]
fn everything_is_there_after_closing_and_opening() {
    let directory = Directory::new();
    let batch = vec![
        doc_put(5, "a@example.org", 10),
        Entry {
            id: 6,
            conditions: vec![store::Condition::AccountExists("nobody".into())],
            writes: vec![Write::DocRemove { table: DOC, owner: "a@example.org".into() }],
        },
        Entry {
            id: 9,
            conditions: Vec::new(),
            writes: vec![
                Write::AccountPut { owner: "a@example.org".into(), value: "v".into() },
                Write::MapPut { table: MAP, owner: "a".into(), key: "k".into(), second: None, value: "v".into() },
                Write::LogAppend {
                    table: LOG,
                    rows: vec![LogIndex { owner: "a".into(), id: 77, peer: "b".into(), flags: 1 }],
                    body: "body".into(),
                },
                Write::LogClearFlags { table: LOG, owner: "a".into(), ids: None, flags: 1 },
            ],
        },
    ];
    let outcomes = vec![Outcome::Done, Outcome::ConditionFailed, Outcome::Done];
    let store = Sqlite::open(directory.path()).unwrap();
    assert_eq!(block_on(store.apply(batch.clone())), Ok(outcomes.clone()));
    let row = block_on(store.map_row(MAP, "a", "k")).unwrap().unwrap();
    drop(store);

    let store = Sqlite::open(directory.path()).unwrap();
    assert_eq!(block_on(store.high_water()), Ok((77, 9)), "though the log row has gone");
    assert_eq!(block_on(store.account_count()), Ok(1));
    assert_eq!(block_on(store.apply(batch)), Ok(outcomes), "the outcomes outlive the process");
    assert_eq!(block_on(store.map_row(MAP, "a", "k")).unwrap().unwrap(), row);
    let put = Write::MapPut { table: MAP, owner: "z".into(), key: "k".into(), second: None, value: "v".into() };
    block_on(store.apply(vec![Entry { id: 10, conditions: Vec::new(), writes: vec![put] }])).unwrap();
    assert!(block_on(store.map_row(MAP, "z", "k")).unwrap().unwrap().sequence > row.sequence);
}

#[test]
fn a_closed_store_answers_with_an_error() {
    let directory = Directory::new();
    let store = Sqlite::open(directory.path()).unwrap();
    block_on(store.account_count()).unwrap();
    block_on(store.close()).unwrap();
    assert!(matches!(block_on(store.apply(vec![doc_put(1, "a", 1)])), Err(StoreError::Io(_))));
    assert!(matches!(block_on(store.account("a")), Err(StoreError::Io(_))));
    assert!(matches!(block_on(store.close()), Err(StoreError::Io(_))));
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let directory = Directory::new();
    let options = Options { max_bytes: Some(512 * 1024), ..Options::default() };
    let store = Sqlite::open_with(directory.path(), &options).unwrap();
    let mut stored = 0;
    let full = loop {
        match block_on(store.apply(vec![doc_put(stored + 1, &format!("{}@example.org", stored + 1), 20_000)])) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(full, StoreError::Full);
    assert!(stored > 10);
    // Nothing is half there, what was there is, small changes may still fit, and removing makes room.
    assert_eq!(block_on(store.high_water()), Ok((0, stored)));
    assert_eq!(block_on(store.doc(DOC, &format!("{}@example.org", stored + 1))), Ok(None));
    assert_eq!(block_on(store.doc(DOC, "1@example.org")).unwrap().unwrap().len(), 20_000);
    let remove = |owner: &str| Write::AccountRemove { owner: owner.into() };
    let writes = vec![remove("1@example.org"), remove("2@example.org")];
    assert!(block_on(store.apply(vec![Entry { id: stored + 2, conditions: Vec::new(), writes }])).is_ok());
    assert!(block_on(store.apply(vec![doc_put(stored + 3, "again@example.org", 20_000)])).is_ok());
    assert_eq!(block_on(store.doc(DOC, "again@example.org")).unwrap().unwrap().len(), 20_000);
}

#[test]
fn a_page_that_goes_bad_later_is_an_input_output_error() {
    let directory = filled();
    let store = Sqlite::open(directory.path()).unwrap();
    // Behind the store's back, after the check at the start.
    let size = std::fs::metadata(directory.file()).unwrap().len();
    let mut file = std::fs::OpenOptions::new().write(true).open(directory.file()).unwrap();
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(&vec![0xa5; size as usize - 4096]).unwrap();
    assert!(matches!(block_on(store.doc(DOC, "1@example.org")), Err(StoreError::Io(_))));
}

/// The write-ahead log is cut back under load, and the database holds what it held.
#[test]
fn the_log_stays_in_bounds() {
    let directory = Directory::new();
    let options = Options { max_log_bytes: 1024 * 1024, ..Options::default() };
    let store = Sqlite::open_with(directory.path(), &options).unwrap();
    let (mut largest, mut written) = (0, 0);
    for id in 1..=300 {
        block_on(store.apply(vec![doc_put(id, &format!("{}@example.org", id % 50), 30_000)])).unwrap();
        written += 30_000;
        largest = largest.max(std::fs::metadata(directory.path().join("linnet.db-wal")).unwrap().len());
    }
    assert!(largest < 2 * 1024 * 1024 && written > 8 * 1024 * 1024, "{largest}");
    block_on(store.close()).unwrap();
    assert_eq!(directory.count("SELECT count(*) FROM docs"), 50);
}

/// The bounds are wide, because tests share the machine; a start takes a few milliseconds.
#[test]
fn opening_is_quick() {
    let directory = filled();
    let mut times: Vec<Duration> = (0..5)
        .map(|_| {
            let start = Instant::now();
            let store = Sqlite::open(directory.path()).unwrap();
            let time = start.elapsed();
            drop(store);
            time
        })
        .collect();
    times.sort();
    assert!(times[0] < Duration::from_millis(50), "{times:?}");
}
