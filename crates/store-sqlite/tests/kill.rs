//! A process that is killed at any moment has lost nothing that it reported, and left nothing half done.

mod directory;

use directory::Directory;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use store::contract::block_on;
use store::{Entry, LogIndex, LogQuery, LogTable, MapTable, Store, Write};
use store_sqlite::{Options, Sqlite};

const LOG: LogTable = LogTable("log");
const MAP: MapTable = MapTable("map");
/// Tells the child where its data is.
const DIRECTORY: &str = "LINNET_STORE_KILL";
const ROUNDS: u64 = 8;

/// Entry `n` appends row `n` to two owners' logs and puts the map row `n`: all three, or none.
fn entry(id: u64) -> Entry {
    let row = |owner: &str| LogIndex { owner: owner.into(), id, peer: "p@example.org".into(), flags: 1 };
    let body = format!("<message id='{id}'>{}</message>", "x".repeat(400));
    let append = Write::LogAppend { table: LOG, rows: vec![row("a"), row("b")], body: body.into() };
    let key = id.to_string().into();
    let put = Write::MapPut { table: MAP, owner: "c".into(), key, second: None, value: "v".into() };
    Entry { id, conditions: Vec::new(), writes: vec![append, put] }
}

/// Not a test: what the child does until it is killed.
#[test]
#[ignore = "started by the test below"]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    // A small log, so that the kill meets checkpoints too.
    let options = Options { max_log_bytes: 256 * 1024, ..Options::default() };
    let store = Sqlite::open_with(directory.as_ref(), &options).unwrap();
    let mut next = block_on(store.high_water()).unwrap().1 + 1;
    let mut out = std::io::stdout();
    loop {
        let size = 1 + next % 17;
        block_on(store.apply((next..next + size).map(entry).collect())).unwrap();
        next += size;
        writeln!(out, "done {}", next - 1).unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn what_was_reported_survives_a_kill() {
    let directory = Directory::new();
    let mut random = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos() | 1;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--ignored", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let reported = Arc::new(AtomicU64::new(0));
        let (output, seen) = (child.stdout.take().unwrap(), reported.clone());
        let reading = std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // The test runner prints its own words in front of the first.
                if let Some(id) = line.rsplit_once("done ").and_then(|(_, id)| id.parse().ok()) {
                    seen.store(id, Ordering::Relaxed);
                }
            }
        });
        // xorshift: any moments do, as long as they differ.
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        std::thread::sleep(Duration::from_millis(u64::from(random % 350)));
        child.kill().unwrap();
        child.wait().unwrap();
        reading.join().unwrap();
        check(&directory, reported.load(Ordering::Relaxed), round);
    }
}

fn check(directory: &Directory, reported: u64, round: u64) {
    let store = Sqlite::open(directory.path()).unwrap();
    let (log_high, entry_high) = block_on(store.high_water()).unwrap();
    assert!(entry_high >= reported, "round {round}: {reported} was reported, {entry_high} is there");
    assert_eq!(log_high, entry_high);
    let all = || LogQuery { limit: usize::MAX, ..LogQuery::default() };
    for owner in ["a", "b"] {
        let rows = block_on(store.log_rows(LOG, owner, all())).unwrap();
        assert!(rows.iter().map(|row| row.id).eq(1..=entry_high), "round {round}: {owner}");
        assert!(rows.iter().all(|row| row.body.starts_with(format!("<message id='{}'", row.id).as_bytes())));
    }
    let rows = block_on(store.map_rows(MAP, "c", None, usize::MAX)).unwrap();
    assert!(rows.iter().map(|row| row.key.parse::<u64>().unwrap()).eq(1..=entry_high));
    assert!(rows.iter().map(|row| row.sequence).eq(1..=entry_high));
    drop(store);
    assert_eq!(directory.count("SELECT count(*) FROM log_bodies"), entry_high);
    assert_eq!(directory.count("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
    println!("round {round}: {reported} reported, {entry_high} there");
}
