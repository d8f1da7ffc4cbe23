//! The contract suite on SQLite, and on a database that has been closed and opened again.

mod directory;

use directory::Directory;
use std::sync::Arc;
use store::contract::{self, Subject};
use store_sqlite::{Options, Sqlite};

fn subject(options: &Options) -> Subject {
    let directory = Directory::new();
    let store = Sqlite::open_with(directory.path(), options).unwrap();
    let log_bodies = Box::new(move || directory.count("SELECT count(*) FROM log_bodies"));
    Subject { store: Arc::new(store), log_bodies }
}

#[test]
fn sqlite_fulfils_the_contract() {
    contract::run(|| subject(&Options::default()));
}

/// One reader, and a log that begins anew after nearly every batch.
#[test]
fn sqlite_fulfils_the_contract_with_small_limits() {
    contract::run(|| subject(&Options { readers: 1, max_log_bytes: 20_000, ..Options::default() }));
}
