//! Owners: state behind one mutex each, no task. Invariants: an owner is loaded once at a time; no one awaits under its
//! lock; never more than two are locked, in the order of their addresses; one that is pinned (somebody holds it, or an
//! entry of it is not yet performed) is never evicted.

use crate::{Kernel, account::Account, limits, outbox::Outbox, pace::Pace};
use bytes::Bytes;
use hashbrown::HashMap;
use linnet_xmpp::Jid;
use parking_lot::{Mutex, MutexGuard};
use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use store::StoreError;

/// An account, a service or a room behind its lock.
#[derive(Debug)]
pub struct Owner {
    /// The bare address.
    pub address: Jid,
    pub(crate) account: Mutex<Account>,
    /// Entries handed over under this owner's lock and not yet performed.
    pub(crate) pending: AtomicU32,
    /// Grows when a write of this owner failed: entries that were computed before fail too.
    pub(crate) epoch: AtomicU32,
    /// Grows whenever what is in memory may no longer be what is stored.
    generation: AtomicU32,
    /// The generation that was loaded; another one must be loaded before the next stanza.
    loaded: AtomicU32,
    pub(crate) outbox: Outbox,
    /// Questions of its own that it waits for answers to.
    pub(crate) requests: AtomicU32,
    /// How fast its sessions may send.
    pub(crate) pace: Pace,
}

impl Owner {
    /// Locks the account. Not across an await, and not while another owner is locked (see [`lock_two`]).
    pub fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock()
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.loaded.load(Ordering::Acquire) != self.generation.load(Ordering::Acquire)
    }

    /// Has the account loaded from the store again before its next stanza. Sessions stay.
    pub fn make_stale(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn has_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire) > 0
    }
}

/// Locks two different owners in the order of their addresses, so that no two lanes wait for each other.
pub(crate) fn lock_two<'a>(a: &'a Owner, b: &'a Owner) -> (MutexGuard<'a, Account>, MutexGuard<'a, Account>) {
    if a.address < b.address {
        let first = a.lock();
        (first, b.lock())
    } else {
        let second = b.lock();
        (a.lock(), second)
    }
}

const SHARDS: usize = 32;

/// All owners in memory.
#[derive(Debug)]
pub(crate) struct Owners {
    hasher: RandomState,
    shards: [Mutex<HashMap<Jid, Arc<Owner>, RandomState>>; SHARDS],
    /// One load at a time for the addresses that share a gate.
    gates: [tokio::sync::Mutex<()>; SHARDS],
    /// One change of an account's value at a time for the addresses that share a gate.
    changes: [tokio::sync::Mutex<()>; SHARDS],
}

impl Default for Owners {
    fn default() -> Owners {
        let hasher = RandomState::new();
        Owners {
            shards: std::array::from_fn(|_| Mutex::new(HashMap::with_hasher(hasher.clone()))),
            gates: std::array::from_fn(|_| tokio::sync::Mutex::new(())),
            changes: std::array::from_fn(|_| tokio::sync::Mutex::new(())),
            hasher,
        }
    }
}

impl Owners {
    fn shard(&self, address: &str) -> (u64, usize) {
        let hash = self.hasher.hash_one(address);
        // The map uses the low bits itself.
        (hash, (hash >> 40) as usize % SHARDS)
    }

    /// The owner of a bare address, if it is loaded and true to the store.
    pub(crate) fn loaded(&self, bare: &str) -> Option<Arc<Owner>> {
        self.find(bare).filter(|owner| !owner.is_stale())
    }

    /// The owner of a bare address, if it is in memory at all.
    pub(crate) fn find(&self, bare: &str) -> Option<Arc<Owner>> {
        let (_, shard) = self.shard(bare);
        let map = self.shards[shard].lock();
        map.get(&Bare(bare)).cloned()
    }

    fn insert(&self, bare: &Jid) -> Arc<Owner> {
        let (_, shard) = self.shard(bare.as_str());
        let mut map = self.shards[shard].lock();
        if let Some(owner) = map.get(&Bare(bare.as_str())) {
            return owner.clone();
        }
        if map.len() >= limits::IDLE_OWNERS / SHARDS && map.len().is_multiple_of(16) {
            map.retain(|_, owner| Arc::strong_count(owner) > 1 || owner.lock().is_needed());
        }
        let owner = Arc::new(Owner {
            address: bare.clone(),
            account: Mutex::new(Account::new(bare.clone())),
            pending: AtomicU32::new(0),
            epoch: AtomicU32::new(0),
            generation: AtomicU32::new(1),
            loaded: AtomicU32::new(0),
            outbox: Outbox::default(),
            requests: AtomicU32::new(0),
            pace: Pace::default(),
        });
        map.insert(bare.clone(), owner.clone());
        owner
    }

    /// All owners that have sessions.
    pub(crate) fn with_sessions(&self) -> Vec<Arc<Owner>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            found.extend(shard.lock().values().filter(|owner| !owner.lock().sessions.is_empty()).cloned());
        }
        found.sort_by(|a, b| a.address.cmp(&b.address));
        found
    }
}

/// Finds an owner by text, without making an address of it.
#[derive(Hash)]
struct Bare<'a>(&'a str);

impl hashbrown::Equivalent<Jid> for Bare<'_> {
    fn equivalent(&self, jid: &Jid) -> bool {
        self.0 == jid.as_str()
    }
}

impl Kernel {
    /// The owner of a bare address, loaded. Its documents are read behind everything that was handed over before.
    pub async fn owner(&self, bare: &Jid) -> Result<Arc<Owner>, StoreError> {
        if let Some(owner) = self.owners.loaded(bare.bare_str()) {
            return Ok(owner);
        }
        let bare = bare.bare();
        let (_, gate) = self.owners.shard(bare.as_str());
        let _alone = self.owners.gates[gate].lock().await;
        let owner = self.owners.insert(&bare);
        if !owner.is_stale() {
            return Ok(owner);
        }
        // A change that is made while this reads makes the account stale again.
        let generation = owner.generation.load(Ordering::Acquire);
        self.barrier().await;
        let (text, documents) = (bare.as_str(), self.documents_for(&bare));
        let loaded = self.store.load(text, &documents.wanted).await?;
        let mut account = owner.lock();
        account.exists = loaded.is_some();
        (account.stored, account.stored_bytes) = (0, 0);
        account.documents = Vec::new();
        account.value = None;
        account.sent = None;
        if let Some(loaded) = loaded {
            account.stored = loaded.logs.iter().map(|size| size.rows).sum::<u64>() as u32;
            account.stored_bytes = loaded.logs.iter().map(|size| size.bytes).sum();
            account.documents = documents.read(&loaded);
            account.value = account.sessions.is_empty().then_some(loaded.account);
        }
        owner.loaded.store(generation, Ordering::Release);
        drop(account);
        Ok(owner)
    }

    /// The owner of a bare address if it is in memory and true to the store; never loads.
    pub fn loaded_owner(&self, bare: &str) -> Option<Arc<Owner>> {
        self.owners.loaded(bare)
    }

    /// The owner of a bare address if it is in memory, even if it has to be loaded anew.
    pub fn find_owner(&self, bare: &str) -> Option<Arc<Owner>> {
        self.owners.find(bare)
    }

    /// All owners that have sessions, in the order of their addresses.
    pub fn owners_online(&self) -> Vec<Arc<Owner>> {
        self.owners.with_sessions()
    }

    /// The value of an account; `None` if there is none.
    pub async fn account_value(&self, bare: &Jid) -> Result<Option<Bytes>, StoreError> {
        let owner = self.owner(bare).await?;
        let (exists, value) = {
            let account = owner.lock();
            (account.exists, account.value.clone())
        };
        match value {
            Some(value) => Ok(Some(value)),
            // One that is logged in does not keep it in memory.
            None if exists => self.store.account(bare.bare_str()).await,
            None => Ok(None),
        }
    }

    /// Held while the value of an account is read, changed and written, so that no change is lost.
    pub async fn change_gate(&self, bare: &Jid) -> tokio::sync::MutexGuard<'_, ()> {
        let (_, gate) = self.owners.shard(bare.bare_str());
        self.owners.changes[gate].lock().await
    }
}
