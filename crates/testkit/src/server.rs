//! A whole server without sockets: the kernel with all features on a store of the test's choice.

use crate::{FakeContext, Peer};
use features::{FEATURES, accounts};
use kernel::{Feature, Files, Kernel, PushSummary, Relay, Relays, Settings};
use linnet_xmpp::{
    Jid,
    sasl::Hash,
    stream::{Answer, Need, NotResumed},
};
use std::{sync::Arc, time::Duration};
use store::{MemoryBlobs, Store, StoreError};

/// The domain that servers under test serve.
pub const DOMAIN: &str = "example.com";
/// The password of accounts that are made without one.
pub const PASSWORD: &str = "pencil";

/// A server in the same thread.
#[derive(Debug)]
pub struct Server {
    /// The kernel.
    pub kernel: Arc<Kernel>,
    /// Its clock and randomness.
    pub context: FakeContext,
    /// Its store.
    pub store: Arc<dyn Store>,
    /// Its large contents.
    pub blobs: MemoryBlobs,
}

/// Settings of a server under test: one domain, hashing that costs nothing.
pub fn settings() -> Settings {
    Settings {
        domains: vec![jid(DOMAIN)],
        admins: Vec::new(),
        registration: false,
        contacts: Vec::new(),
        push: PushSummary::default(),
        stanzas_per_second: kernel::limits::STANZAS_PER_SECOND,
        strangers_per_hour: kernel::limits::STRANGERS_PER_HOUR,
        archive_days: 0,
        iterations: 1,
        version: "1.0-test",
        web: Some("https://example.com:5443".to_owned()),
        domains_elsewhere: kernel::Elsewhere::default(),
        relays: relays(),
        files: Files { size: 100_000, quota: 250_000, keep: Some(Duration::from_secs(30 * 24 * 3600)) },
    }
}

/// Relays that there are not.
fn relays() -> Relays {
    let relay = |kind: &str, port, transport: &str| Relay {
        kind: kind.to_owned(),
        host: "relay.example.com".to_owned(),
        port,
        transport: transport.to_owned(),
    };
    Relays {
        services: vec![relay("stun", 3478, "udp"), relay("turn", 3478, "udp"), relay("turns", 5349, "tcp")],
        secret: Some("north".to_owned()),
        credentials: Duration::from_secs(12 * 3600),
    }
}

/// An address in a test.
///
/// # Panics
/// If it is none.
pub fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap_or_else(|error| panic!("{text} is no address: {error:?}"))
}

impl Server {
    /// Starts on a store.
    pub async fn start(store: Arc<dyn Store>, context: FakeContext, settings: Settings) -> Result<Server, StoreError> {
        Server::start_with(store, context, settings, FEATURES).await
    }

    /// Starts with other features than the usual ones.
    pub async fn start_with(
        store: Arc<dyn Store>,
        context: FakeContext,
        settings: Settings,
        features: &'static [&'static Feature],
    ) -> Result<Server, StoreError> {
        let blobs = MemoryBlobs::new();
        let world = Arc::new(context.clone());
        let kernel = Kernel::start(store.clone(), Arc::new(blobs.clone()), world, settings, features).await?;
        kernel.restore_sessions().await?;
        kernel.started();
        Ok(Server { kernel, context, store, blobs })
    }

    /// Starts on an empty store in memory, with accounts named by their local parts.
    ///
    /// # Panics
    /// If it cannot.
    pub async fn with_accounts(names: &[&str]) -> Server {
        let server = Server::start(Arc::new(store::memory::Memory::new()), FakeContext::new(1), settings()).await;
        let server = server.expect("a store in memory does not fail");
        for name in names {
            server.account(&format!("{name}@{DOMAIN}"), PASSWORD).await;
        }
        server
    }

    /// Makes an account.
    ///
    /// # Panics
    /// If it cannot.
    pub async fn account(&self, address: &str, password: &str) {
        accounts::create(&self.kernel, &jid(address), password).await.expect("an account");
    }

    /// Logs in with a password and binds the resource of a full address, as a stream with SCRAM does. `Err`: the condition.
    pub async fn login(&self, address: &Jid, password: &str) -> Result<Peer, String> {
        let username = address.local().unwrap_or_default().to_owned();
        let domain: Box<str> = address.domain().into();
        let need = Need::Keys { username: username.clone(), domain: domain.clone(), hash: Hash::Sha256 };
        match self.kernel.answer(need).await.0 {
            Answer::Keys(Ok((keys, proved))) => match proved {
                Ok(()) if keys.verify(password) => {}
                Err(failure) if keys.verify(password) => return Err(failure.name().to_owned()),
                _ => return Err("not-authorized".to_owned()),
            },
            Answer::Keys(Err(failure)) => return Err(failure.name().to_owned()),
            other => return Err(format!("{other:?}")),
        }
        let resource = address.resource().map(str::to_owned);
        let need = Need::Bind { username: Some(username), domain, resource };
        match self.kernel.answer(need).await {
            (Answer::Bound(Ok(_)), Some((session, number))) => Ok(Peer::new(self.kernel.clone(), session, number)),
            (Answer::Bound(Err(error)), _) => Err(error.condition.name().to_owned()),
            (other, _) => Err(format!("{other:?}")),
        }
    }

    /// Goes on with a session on a new connection (XEP-0198 §5). Gives what the server has handled.
    pub async fn resume(&self, address: &str, id: &str, handled: u32) -> Result<(Peer, u32), NotResumed> {
        let address = jid(address);
        let (username, domain) = (address.local().map(str::to_owned), address.domain().into());
        match self.kernel.answer(Need::Resume { username, domain, id: id.to_owned(), handled }).await {
            (Answer::Resumed(Ok(resumed)), Some((session, number))) => {
                Ok((Peer::new(self.kernel.clone(), session, number), resumed.handled))
            }
            (Answer::Resumed(Err(error)), _) => Err(error),
            _ => Err(NotResumed::Fault),
        }
    }

    /// Binds a full address whose account has the usual password.
    ///
    /// # Panics
    /// If it cannot.
    pub async fn bind(&self, address: &str) -> Peer {
        self.login(&jid(address), PASSWORD).await.unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    /// Waits until nothing moves any more: everything handed over is durable and performed, and what owners sent on has
    /// arrived. Not while a store holds commits open.
    pub async fn settle(&self) {
        for _ in 0..4 {
            self.kernel.barrier().await;
            quiet().await;
        }
    }

    /// Moves the clock, and lets happen what waited for it.
    pub async fn pass(&self, time: Duration) {
        self.context.pass(time);
        self.settle().await;
    }
}

/// Lets all tasks go on until each of them waits for something.
pub async fn quiet() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}
