//! Random batches on SQLite and in memory: both answer the same, and hold the same.

mod directory;

use directory::Directory;
use store::contract::block_on;
use store::memory::Memory;
use store::{
    Condition, DocTable, Entry, LogIndex, LogQuery, LogTable, MAX_VALUE_BYTES, MapTable, Store, StoreError, Write,
};
use store_sqlite::{Options, Sqlite};

const OWNERS: [&str; 5] = ["a", "b", "c", "d@example.org", "ö"];
const KEYS: [&str; 4] = ["x", "y", "z", ""];
const DOCS: [DocTable; 2] = [DocTable("one"), DocTable("two")];
const MAPS: [MapTable; 2] = [MapTable("one"), MapTable("two")];
const LOGS: [LogTable; 2] = [LogTable("one"), LogTable("two")];
const SEEDS: u64 = 6;
const BATCHES: usize = 60;

/// xorshift64: the same seed, the same batches.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    fn owner(&mut self) -> Box<str> {
        self.of(&OWNERS).into()
    }

    fn key(&mut self) -> Box<str> {
        self.of(&KEYS).into()
    }

    fn value(&mut self) -> bytes::Bytes {
        let long = self.below(20) == 0;
        let len = self.below(if long { 20_000 } else { 50 });
        vec![self.below(256) as u8; len].into()
    }

    fn condition(&mut self) -> Condition {
        match self.below(6) {
            0 => Condition::AccountExists(self.owner()),
            1 => Condition::AccountAbsent(self.owner()),
            2 => Condition::MapExists(self.of(&MAPS), self.owner(), self.key()),
            3 => Condition::MapAbsent(self.of(&MAPS), self.owner(), self.key()),
            4 => Condition::MapBegins(self.of(&MAPS), self.owner(), self.key(), vec![self.below(256) as u8].into()),
            _ => Condition::MapFewerThan(self.of(&MAPS), self.owner(), self.below(4) as u64),
        }
    }

    fn write(&mut self, log_id: &mut u64) -> Write {
        match self.below(17) {
            0 | 1 => Write::AccountPut { owner: self.owner(), value: self.value() },
            2 => Write::AccountRemove { owner: self.owner() },
            3 => Write::DocPut { table: self.of(&DOCS), owner: self.owner(), value: self.value() },
            4 => Write::DocRemove { table: self.of(&DOCS), owner: self.owner() },
            5..=7 => {
                let second = (self.below(2) == 0).then(|| self.key());
                let (table, owner, key, value) = (self.of(&MAPS), self.owner(), self.key(), self.value());
                Write::MapPut { table, owner, key, second, value }
            }
            8 => Write::MapRemove { table: self.of(&MAPS), owner: self.owner(), key: self.key() },
            10 => Write::MapTrim { table: self.of(&MAPS), owner: self.owner(), second: self.key(), keep: 1 },
            9 => Write::MapClear { table: self.of(&MAPS), owner: self.owner() },
            11..=13 => {
                let rows = (0..self.below(4)).map(|_| {
                    // Once in a while an id that may be there, which is refused.
                    *log_id += u64::from(self.below(60) != 0);
                    LogIndex { owner: self.owner(), id: *log_id, peer: self.key(), flags: 1 + self.below(7) as u32 }
                });
                let rows = rows.collect();
                Write::LogAppend { table: self.of(&LOGS), rows, body: self.value() }
            }
            // Numbers of bodies are the back end's own; some of these are late, some ahead.
            14 => Write::LogIndex { table: self.of(&LOGS), up_to: *log_id / 2, texts: Vec::new() },
            _ => {
                let count = self.below(12);
                let ids = (0..count).map(|_| log_id.saturating_sub(self.below(40) as u64)).collect();
                let ids = (self.below(5) != 0).then_some(ids);
                Write::LogClearFlags { table: self.of(&LOGS), owner: self.owner(), ids, flags: self.below(8) as u32 }
            }
        }
    }

    fn entry(&mut self, id: u64, log_id: &mut u64) -> Entry {
        let conditions = (0..self.below(3)).map(|_| self.condition()).collect();
        let mut writes: Vec<Write> = (0..1 + self.below(6)).map(|_| self.write(log_id)).collect();
        if self.below(80) == 0 {
            let large = vec![0; MAX_VALUE_BYTES + 1].into();
            writes.push(Write::DocPut { table: DOCS[0], owner: self.owner(), value: large });
        }
        Entry { id, conditions, writes }
    }
}

/// Everything that can be read, as text.
fn contents(store: &dyn Store) -> String {
    let mut all = format!("{:?} {:?}", block_on(store.high_water()), block_on(store.accounts(None, 100)));
    let mut add = |text: String| all.push_str(&format!("\n{text}"));
    add(format!("{:?}", block_on(store.account_count())));
    for owner in OWNERS {
        add(format!("{owner} {:?}", block_on(store.account(owner))));
        for table in DOCS {
            add(format!("{:?}", block_on(store.doc(table, owner))));
        }
        for table in MAPS {
            add(format!("{:?}", block_on(store.map_rows(table, owner, None, 100))));
        }
        for table in LOGS {
            let query = LogQuery { limit: 10_000, ..LogQuery::default() };
            let newest = LogQuery { peer: Some("x".into()), any_flag: 5, backwards: true, limit: 7, ..query.clone() };
            add(format!("{:?}", block_on(store.log_rows(table, owner, query))));
            add(format!("{:?}", block_on(store.log_rows(table, owner, newest))));
            add(format!("{:?}", block_on(store.log_count(table, owner, 2))));
        }
    }
    for (table, key) in MAPS.into_iter().flat_map(|table| KEYS.map(|key| (table, key))) {
        add(format!("{:?}", block_on(store.map_second(table, key, 3))));
        add(format!("{:?}", block_on(store.map_row(table, OWNERS[3], key))));
    }
    all
}

#[test]
fn both_back_ends_agree_on_random_batches() {
    for seed in 1..=SEEDS {
        let directory = Directory::new();
        let options = Options { max_log_bytes: 200_000, ..Options::default() };
        let (mut sqlite, memory) = (Sqlite::open_with(directory.path(), &options).unwrap(), Memory::new());
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (mut id, mut log_id) = (0, 0);
        for turn in 0..BATCHES {
            let batch: Vec<Entry> = (0..1 + random.below(8))
                .map(|_| {
                    id += 1 + random.below(3) as u64;
                    random.entry(id, &mut log_id)
                })
                .collect();
            for _ in 0..1 + random.below(2) {
                let (one, other) = (block_on(sqlite.apply(batch.clone())), block_on(memory.apply(batch.clone())));
                let refused = |result: &Result<_, _>| matches!(result, Err(StoreError::Refused(_)));
                assert!(one == other || refused(&one) && refused(&other), "seed {seed}, {turn}: {one:?}, {other:?}");
            }
            assert_eq!(contents(&sqlite), contents(&memory), "seed {seed}, batch {turn}");
            if random.below(20) == 0 {
                drop(sqlite);
                sqlite = Sqlite::open_with(directory.path(), &options).unwrap();
            }
        }
        drop(sqlite);
        assert_eq!(directory.count("SELECT count(*) FROM log_bodies"), memory.log_body_count(), "seed {seed}");
    }
}
