//! The heart of the server: who owns what, in which order things happen, and when they are durable.
//!
//! Read in this order: [`owner`] (state behind one lock), [`lane`] (the ordered stream of one sender), [`effects`] (what
//! one stanza causes), [`commit`] (how effects become durable and are then performed), [`mailbox`] (what waits for one
//! session). [`route`] is the way of a stanza through them, [`hooks`] where features take part in it.
//!
//! The kernel knows no XEP, no SQL and no socket.

pub mod access;
pub mod account;
pub mod claims;
pub mod codec;
pub mod command;
pub mod commit;
pub mod context;
mod counts;
pub mod effects;
mod enter;
pub mod hooks;
mod ids;
mod iq;
pub mod jobs;
mod keep;
pub mod lane;
mod later;
pub mod limits;
pub mod mailbox;
mod notes;
mod offline;
mod origin;
mod outbox;
pub mod owner;
mod pace;
pub mod peer;
pub mod remote;
mod repeats;
pub mod request;
mod reroute;
mod resume;
pub mod route;
pub mod service;
pub mod session;
mod sides;
pub mod trace;
pub mod turn;
pub mod web;

pub use account::{Account, Attached, Mark};
pub use context::Context;
pub use hooks::{Feature, Hook};
pub use service::Service;
pub use session::Session;
pub use turn::Turn;

use hashbrown::HashMap;
use linnet_xmpp::Jid;
use parking_lot::Mutex;
use std::{
    any::{Any, TypeId},
    fmt,
    sync::Arc,
};
use store::{Blobs, Store, StoreError};

/// What the administrator says about the server as a whole.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The domains served; the first is the main one.
    pub domains: Vec<Jid>,
    /// Bare addresses that may run administrative commands.
    pub admins: Vec<Jid>,
    /// Whether strangers may create accounts in band (XEP-0077).
    pub registration: bool,
    /// Contact addresses by role, e.g. `abuse-addresses` (XEP-0157).
    pub contacts: Vec<(String, Vec<String>)>,
    /// Days for which an archive keeps a message, where nothing else is said for its account; 0: for ever.
    pub archive_days: u32,
    /// Iterations of PBKDF2 for new passwords.
    pub iterations: u32,
    /// What app servers are told in push notifications (XEP-0357 §7).
    pub push: PushSummary,
    /// Stanzas that the sessions of one account may send in a second, all together; 0: no limit.
    pub stanzas_per_second: u32,
    /// People outside of its roster whom one account may write to in an hour; 0: no limit.
    pub strangers_per_hour: u32,
    /// Name and version told to others.
    pub version: &'static str,
    /// Where this server is reached over HTTP: a URL without a `/` at its end. `None`: nowhere.
    pub web: Option<String>,
    /// What accounts may keep as files.
    pub files: Files,
    /// Other servers that are wanted, and those that are not.
    pub domains_elsewhere: Elsewhere,
    /// Relays for calls that clients are told of.
    pub relays: Relays,
}

/// Which other domains may be talked to. A name stands for its sub-domains too.
#[derive(Debug, Clone, Default)]
pub struct Elsewhere {
    /// If there are any, only these.
    pub allowed: Vec<Box<str>>,
    /// Not these.
    pub blocked: Vec<Box<str>>,
}

/// Relays for calls, which others run (XEP-0215).
#[derive(Clone, Default)]
pub struct Relays {
    /// Each of them.
    pub services: Vec<Relay>,
    /// What the relays share with us, so that we can make credentials. Not for logs.
    pub secret: Option<String>,
    /// How long credentials are good for.
    pub credentials: std::time::Duration,
}

impl fmt::Debug for Relays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relays").field("services", &self.services).finish_non_exhaustive()
    }
}

/// A relay, or who tells a client its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// `stun`, `stuns`, `turn` or `turns`.
    pub kind: String,
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// `udp` or `tcp`.
    pub transport: String,
}

/// What accounts may keep as files.
#[derive(Debug, Clone)]
pub struct Files {
    /// Largest file, in bytes.
    pub size: u64,
    /// All files of an account, in bytes.
    pub quota: u64,
    /// How long a file is kept; `None`: as long as its account.
    pub keep: Option<std::time::Duration>,
}

/// What a push notification says beside that there is something. What is written to whom is the app server's business
/// only if the administrator says so: it is run by the makers of an app, and others read it on its way to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushSummary {
    /// How many messages nobody has read.
    pub message_count: bool,
    /// How many requests for a subscription nobody has answered.
    pub subscription_count: bool,
    /// Who sent the last message.
    pub sender: bool,
    /// What it says, if it is not encrypted.
    pub body: bool,
}

impl Default for PushSummary {
    fn default() -> PushSummary {
        PushSummary { message_count: true, subscription_count: true, sender: false, body: false }
    }
}

/// One running server without its sockets.
pub struct Kernel {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// Large contents.
    pub blobs: Arc<dyn Blobs>,
    /// Clock, randomness, spawning.
    pub context: Arc<dyn Context>,
    /// The administrator's word.
    pub settings: Settings,
    /// What features take part in.
    pub hooks: hooks::Table,
    /// A secret of this server, for decoys and opaque ids; kept in the store.
    pub secret: [u8; 32],
    pub(crate) owners: owner::Owners,
    pub(crate) commit: Arc<commit::Commit>,
    pub(crate) ids: ids::Ids,
    pub(crate) hosted: Vec<service::Hosted>,
    pub(crate) hasher: hashbrown::DefaultHashBuilder,
    pub(crate) requests: request::Requests,
    pub(crate) remotes: remote::Remotes,
    pub(crate) traces: trace::Traces,
    /// What features keep in memory that belongs to no account.
    shared: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
    pub(crate) claims: claims::Claims,
    /// Outboxes that somebody works on.
    pub(crate) outboxes: std::sync::atomic::AtomicUsize,
    /// Nobody waits for jobs any more.
    pub(crate) stopping: std::sync::atomic::AtomicBool,
    started: std::time::Instant,
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.commit.stop();
    }
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel").field("domains", &self.settings.domains).finish_non_exhaustive()
    }
}

/// Where the server keeps what belongs to no account.
const SERVER_SECRET: store::DocTable = store::DocTable("server-secret");

impl Kernel {
    /// Starts on a store: reads the largest ids, makes the server's secret if there is none, and begins to commit.
    pub async fn start(
        store: Arc<dyn Store>,
        blobs: Arc<dyn Blobs>,
        context: Arc<dyn Context>,
        settings: Settings,
        features: &'static [&'static Feature],
    ) -> Result<Arc<Kernel>, StoreError> {
        let (log_id, entry_id) = store.high_water().await?;
        let mut next_entry = entry_id + 1;
        let secret = match store.doc(SERVER_SECRET, "").await?.and_then(|value| <[u8; 32]>::try_from(&value[..]).ok()) {
            Some(secret) => secret,
            None => {
                let mut secret = [0; 32];
                context.random(&mut secret);
                let value = bytes::Bytes::copy_from_slice(&secret);
                let write = store::Write::DocPut { table: SERVER_SECRET, owner: "".into(), value };
                let entry = store::Entry { id: next_entry, conditions: Vec::new(), writes: vec![write] };
                store.apply(vec![entry]).await?;
                next_entry += 1;
                secret
            }
        };
        let hooks = hooks::Table::build(features, &settings);
        let kernel = Arc::new(Kernel {
            hosted: service::host(&hooks.services, &settings),
            hooks,
            owners: owner::Owners::default(),
            commit: Arc::new(commit::Commit::new(next_entry)),
            ids: ids::Ids::new(log_id, &secret),
            hasher: Default::default(),
            requests: Default::default(),
            remotes: Default::default(),
            traces: Default::default(),
            shared: Default::default(),
            outboxes: Default::default(),
            stopping: Default::default(),
            started: context.instant(),
            claims: claims::Claims::default(),
            store,
            blobs,
            context,
            settings,
            secret,
        });
        commit::run(&kernel);
        kernel.resume_departures().await?;
        kernel.resume_transit().await?;
        jobs::run(&kernel);
        Ok(kernel)
    }

    /// Whether a domain is one of ours.
    pub fn serves(&self, domain: &str) -> bool {
        self.settings.domains.iter().any(|ours| ours.domain() == domain)
    }

    /// Whether the administrator lets stanzas come from a domain elsewhere, and go there.
    pub fn federates(&self, domain: &str) -> bool {
        let covers = |name: &str| domain.strip_suffix(name).is_some_and(|sub| sub.is_empty() || sub.ends_with('.'));
        let Elsewhere { allowed, blocked } = &self.settings.domains_elsewhere;
        (allowed.is_empty() || allowed.iter().any(|name| covers(name))) && !blocked.iter().any(|name| covers(name))
    }

    /// A number that nobody has seen before and nobody can guess, for ids of our own stanzas.
    pub fn unique(&self) -> u64 {
        self.ids.opaque(self.ids.next(self.context.now()))
    }

    /// What a feature keeps in memory that belongs to no account and is not stored: one value of its type, made when it is
    /// first asked for. Who locks it may hold an owner's lock, not the other way round.
    pub fn shared<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        let mut shared = self.shared.lock();
        let value = shared.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        // The value was made of this type, under its id.
        value.clone().downcast().unwrap_or_default()
    }

    /// Tells features that the server serves from now on. Not for a kernel that only runs a command.
    pub fn started(self: &Arc<Self>) {
        for run in &self.hooks.started {
            self.context.spawn(run(self.clone()));
        }
    }

    /// Whether the server is being stopped: nothing new is begun.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(std::sync::atomic::Ordering::Acquire)
    }

    /// How long the server has been running.
    pub fn uptime(&self) -> std::time::Duration {
        self.context.instant().saturating_duration_since(self.started)
    }

    /// From now on nothing new is begun: the server is being stopped.
    pub fn begin_stop(&self) {
        self.stopping.store(true, std::sync::atomic::Ordering::Release);
    }

    /// Waits until everything handed over is durable and performed and every outbox is empty, keeps the sessions that wait
    /// for their clients, and closes the store. Sessions with a connection have been ended by whoever made them.
    pub async fn stop(self: &Arc<Self>) -> Result<(), StoreError> {
        self.begin_stop();
        self.barrier().await;
        while self.outboxes.load(std::sync::atomic::Ordering::Acquire) > 0 {
            self.context.sleep(std::time::Duration::from_millis(1)).await;
            self.barrier().await;
        }
        if let Err(error) = self.keep_sessions().await {
            // As after a crash: their clients are told how much was handled, and what is stored is not lost.
            tracing::error!(%error, "sessions that wait for their clients could not be kept");
        }
        self.store.close().await
    }
}
