//! What a script runs against: a server in the same thread, or a process behind sockets.

use super::Setup;
use crate::{
    FakeContext, Peer, Server,
    server::{jid, settings},
};
use linnet_xmpp::Jid;
use std::{
    collections::BTreeMap,
    future::{Future, poll_fn},
    sync::Arc,
    time::Duration,
};
use store::memory::Memory;
use tokio::{sync::mpsc, task::JoinHandle};

/// What comes to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A stanza.
    Stanza(String),
    /// The stream's end; with its condition if it was an error.
    Ended(Option<String>),
}

/// A server with clients, by their names in the script. `Err`s end the script.
pub trait World: Sized {
    /// What the server runs on, e.g. the path of its program.
    type Ground;
    /// Starts an empty server.
    fn start(ground: &Self::Ground, setup: &Setup) -> impl Future<Output = Result<Self, String>>;
    /// Makes an account.
    fn account(&mut self, address: &Jid, password: &str) -> impl Future<Output = Result<(), String>>;
    /// Logs in and binds. The inner `Err` is the condition of a refusal.
    fn connect(
        &mut self,
        name: &str,
        address: &Jid,
        password: &str,
    ) -> impl Future<Output = Result<Result<(), String>, String>>;
    /// Sends a stanza, and comes back when what it causes at this server has happened as far as one can know.
    fn send(&mut self, name: &str, xml: &str) -> impl Future<Output = Result<(), String>>;
    /// What comes next to a client; `None` after a time that is long enough.
    fn next(&mut self, name: &str) -> impl Future<Output = Result<Option<Event>, String>>;
    /// What has come to a client, without waiting for more than what is under way.
    fn rest(&mut self, name: &str) -> impl Future<Output = Result<Vec<Event>, String>>;
    /// Ends a client's connection; politely: with `</stream:stream>`.
    fn disconnect(&mut self, name: &str, politely: bool) -> impl Future<Output = Result<(), String>>;
    /// Time passes.
    fn pass(&mut self, time: Duration) -> impl Future<Output = Result<(), String>>;
    /// The server is stopped in order and started again on what it has stored; all clients are gone.
    fn restart(&mut self) -> impl Future<Output = Result<(), String>>;
}

/// A server in the same thread, on a store in memory.
#[derive(Debug)]
pub struct InProcess {
    server: Server,
    memory: Memory,
    setup: Setup,
    clients: BTreeMap<String, Client>,
}

#[derive(Debug)]
struct Client {
    peer: Arc<Peer>,
    events: mpsc::UnboundedReceiver<Event>,
    /// Moves what is in the mailbox to `events`, as a socket with a quick reader behind it would.
    pump: JoinHandle<()>,
}

impl Client {
    fn new(peer: Peer) -> Client {
        let peer = Arc::new(peer);
        let (sender, events) = mpsc::unbounded_channel();
        let pump = tokio::spawn(pump(peer.clone(), sender));
        Client { peer, events, pump }
    }
}

async fn pump(peer: Arc<Peer>, events: mpsc::UnboundedSender<Event>) {
    loop {
        let event = match poll_fn(|cx| peer.session.mailbox.poll_next(peer.connection, cx)).await {
            Ok(next) => Event::Stanza(peer.write(&next)),
            Err(error) => {
                peer.end(Vec::new());
                Event::Ended(error.map(|error| error.condition.name().to_owned()))
            }
        };
        let is_over = matches!(event, Event::Ended(_));
        if events.send(event).is_err() || is_over {
            return;
        }
    }
}

impl InProcess {
    fn client(&mut self, name: &str) -> Result<&mut Client, String> {
        self.clients.get_mut(name).ok_or_else(|| format!("{name} is not connected"))
    }

    async fn boot(memory: &Memory, context: FakeContext, setup: &Setup) -> Result<Server, String> {
        let mut settings = settings();
        settings.admins.clone_from(&setup.admins);
        settings.contacts.clone_from(&setup.contacts);
        let server = Server::start(Arc::new(memory.clone()), context, settings).await;
        server.map_err(|error| format!("the server does not start: {error}"))
    }
}

impl World for InProcess {
    type Ground = ();

    async fn start(_: &(), setup: &Setup) -> Result<InProcess, String> {
        let memory = Memory::new();
        let server = InProcess::boot(&memory, FakeContext::new(1), setup).await?;
        Ok(InProcess { server, memory, setup: setup.clone(), clients: BTreeMap::new() })
    }

    async fn account(&mut self, address: &Jid, password: &str) -> Result<(), String> {
        self.server.account(address.as_str(), password).await;
        Ok(())
    }

    async fn connect(&mut self, name: &str, address: &Jid, password: &str) -> Result<Result<(), String>, String> {
        let address = if address.is_bare() { jid(&format!("{address}/{name}")) } else { address.clone() };
        match self.server.login(&address, password).await {
            Ok(peer) => {
                if self.clients.insert(name.to_owned(), Client::new(peer)).is_some() {
                    return Err(format!("{name} is connected already"));
                }
                self.server.settle().await;
                Ok(Ok(()))
            }
            Err(condition) => Ok(Err(condition)),
        }
    }

    async fn send(&mut self, name: &str, xml: &str) -> Result<(), String> {
        let peer = self.client(name)?.peer.clone();
        peer.send(xml).await;
        self.server.settle().await;
        Ok(())
    }

    async fn next(&mut self, name: &str) -> Result<Option<Event>, String> {
        self.server.settle().await;
        Ok(self.client(name)?.events.try_recv().ok())
    }

    async fn rest(&mut self, name: &str) -> Result<Vec<Event>, String> {
        self.server.settle().await;
        let client = self.client(name)?;
        Ok(std::iter::from_fn(|| client.events.try_recv().ok()).collect())
    }

    async fn disconnect(&mut self, name: &str, _politely: bool) -> Result<(), String> {
        self.server.settle().await;
        let client = self.clients.remove(name).ok_or_else(|| format!("{name} is not connected"))?;
        client.pump.abort();
        client.peer.end(Vec::new());
        self.server.settle().await;
        Ok(())
    }

    async fn pass(&mut self, time: Duration) -> Result<(), String> {
        self.server.pass(time).await;
        Ok(())
    }

    async fn restart(&mut self) -> Result<(), String> {
        self.server.settle().await;
        for client in std::mem::take(&mut self.clients).into_values() {
            client.pump.abort();
            client.peer.end(Vec::new());
        }
        self.server.settle().await;
        self.server.kernel.stop().await.map_err(|error| error.to_string())?;
        self.server = InProcess::boot(&self.memory, self.server.context.clone(), &self.setup).await?;
        Ok(())
    }
}
