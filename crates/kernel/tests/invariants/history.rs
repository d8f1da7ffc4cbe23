//! The promise under chance: users with several sessions send, come, go, are cut off and resume, read slowly or not at all,
//! while commits are held open, fail or lose their power; the judge of histories finds nothing wrong with what they saw.

use crate::{between, message};
use linnet_xmpp::stream::{Control, NotResumed, Signal};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use store::{
    StoreError,
    faulty::{Call, Faulty, Moment},
};
use testkit::{
    FakeContext, PASSWORD, Peer, Random, Server,
    history::{Event, Fault, judge},
    quiet, settings,
};

const USERS: [&str; 4] = ["benvolio", "juliet", "nurse", "romeo"];
const STEPS: u64 = 3000;
const SEEDS: u64 = 20;

struct Client {
    user: &'static str,
    device: String,
    peer: Peer,
    managed: Option<Managed>,
}

/// A client with stream management.
struct Managed {
    id: String,
    handled: u32,
    is_cut: bool,
}

impl Client {
    fn is_cut(&self) -> bool {
        self.managed.as_ref().is_some_and(|managed| managed.is_cut)
    }

    fn acknowledge(&self) {
        if let Some(managed) = &self.managed {
            self.peer.control(Control::Handled(managed.handled)).unwrap();
        }
    }
}

/// A run: a server with its clients, and what they have seen.
struct Play {
    server: Server,
    faulty: Faulty,
    random: Random,
    clients: Vec<Client>,
    history: Vec<Event>,
    /// Messages, and sessions.
    numbers: (u64, u64),
    held: bool,
}

impl Play {
    async fn new(seed: u64) -> Play {
        let faulty = Faulty::new();
        let server = Server::start(Arc::new(faulty.clone()), FakeContext::new(seed), settings()).await.unwrap();
        for user in USERS {
            server.account(&format!("{user}@example.com"), PASSWORD).await;
        }
        let (random, clients, history) = (Random::new(seed), Vec::new(), Vec::new());
        Play { server, faulty, random, clients, history, numbers: (0, 0), held: false }
    }

    async fn step(&mut self) {
        match self.random.below(100) {
            0..8 => self.come().await,
            8..12 => self.go(),
            12..52 => self.send().await,
            52..60 => self.ping().await,
            60..80 => self.read(),
            80..84 => self.hold(),
            84..88 => self.faulty.release_one(),
            88..90 if self.held => self.hold(),
            90..92 => self.fail(),
            92..94 => self.server.context.pass(Duration::from_millis(self.random.below(1500))),
            94..95 => self.change_priority().await,
            95 => self.cut(),
            96..99 => self.resume().await,
            _ => quiet().await,
        }
    }

    async fn come(&mut self) {
        if self.clients.len() >= 10 || self.held {
            // To log in is to read behind the commit that is held open.
            return;
        }
        self.numbers.1 += 1;
        let user = USERS[self.random.below(USERS.len() as u64) as usize];
        let device = format!("{user}/{}", self.numbers.1);
        let peer = self.server.bind(&format!("{user}@example.com/{}", self.numbers.1)).await;
        let managed = (self.random.below(2) == 0).then(|| {
            let enabled = peer.control(Control::Enable { resume: true, max: None });
            let Ok(Some(Signal::Enabled(Some((id, _))))) = enabled else { panic!("{enabled:?}") };
            Managed { id: id.into(), handled: 0, is_cut: false }
        });
        let priority = self.random.below(3) as i64 - 1;
        peer.send(&format!("<presence><priority>{priority}</priority></presence>")).await;
        self.clients.push(Client { user, device, peer, managed });
    }

    /// The connection of one breaks, with what is on its way.
    fn cut(&mut self) {
        let Some(place) = self.any() else { return };
        let most = self.random.below(4) as usize;
        let Client { peer, managed, .. } = &mut self.clients[place];
        let Some(managed) = managed else { return };
        let _lost: Vec<_> = std::iter::from_fn(|| peer.take()).take(most).collect();
        peer.cut();
        managed.is_cut = true;
    }

    /// One that was cut off comes back. It does not wait for a commit that is held open.
    async fn resume(&mut self) {
        let place = self.clients.iter().position(Client::is_cut).filter(|_| !self.held);
        let Some(place) = place else { return };
        let Client { peer, managed: Some(managed), .. } = &mut self.clients[place] else { return };
        let address = peer.session.address.to_string();
        match self.server.resume(&address, &managed.id, managed.handled).await {
            Ok((resumed, _)) => {
                *peer = resumed;
                managed.is_cut = false;
            }
            // A stanza of it was refused and the error was never told: it has to begin anew.
            Err(NotResumed::Unknown(Some(_))) => {
                let client = self.clients.swap_remove(place);
                self.history.push(Event::Ended { account: client.user.to_owned() });
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    fn go(&mut self) {
        let Some(place) = self.any() else { return };
        let client = self.clients.swap_remove(place);
        client.acknowledge();
        // What the socket had taken over and not accepted.
        let most = self.random.below(4) as usize;
        let taken: Vec<_> = std::iter::from_fn(|| client.peer.take().and_then(Result::ok)).take(most).collect();
        self.history.push(Event::Ended { account: client.user.to_owned() });
        // With stream management the mailbox keeps what was taken.
        client.peer.end(if client.managed.is_some() { Vec::new() } else { taken });
    }

    fn any(&mut self) -> Option<usize> {
        let connected = |place: &usize| !self.clients[*place].is_cut();
        let connected: Vec<usize> = (0..self.clients.len()).filter(connected).collect();
        let count = connected.len() as u64;
        (count > 0).then(|| connected[self.random.below(count) as usize])
    }

    /// One whose stanzas need not wait for an account that is read behind the commit that is held open.
    fn any_that_may_send(&mut self) -> Option<usize> {
        let place = self.any()?;
        let address = self.clients[place].peer.session.owner.address.clone();
        (!self.held || self.server.kernel.loaded_owner(address.as_str()).is_some()).then_some(place)
    }

    async fn send(&mut self) {
        let Some(place) = self.any_that_may_send() else { return };
        let to = USERS[self.random.below(USERS.len() as u64) as usize];
        let address = format!("{to}@example.com");
        if self.held && self.server.kernel.loaded_owner(&address).is_none() {
            return;
        }
        let client = &self.clients[place];
        if to == client.user || client.peer.session.mailbox.is_closed() {
            return;
        }
        self.numbers.0 += 1;
        let id = self.numbers.0;
        self.history.push(Event::Sent { sender: client.device.clone(), to: to.to_owned(), id, kept: true });
        client.peer.send(&message(&address, &id.to_string())).await;
    }

    async fn ping(&mut self) {
        let Some(place) = self.any_that_may_send() else { return };
        let ping = format!("<iq type='get' id='ping-{}'><ping xmlns='urn:xmpp:ping'/></iq>", self.numbers.0);
        self.clients[place].peer.send(&ping).await;
    }

    fn read(&mut self) {
        let Some(place) = self.any() else { return };
        let most = self.random.below(20) as usize;
        self.read_from(place, most);
    }

    fn read_from(&mut self, place: usize, most: usize) {
        let Client { user, device, peer, managed } = &mut self.clients[place];
        for _ in 0..most {
            let Some(Ok(xml)) = peer.read() else { break };
            if let Some(managed) = managed {
                managed.handled += 1;
            }
            if xml.starts_with("<iq") && xml.contains("type='result'") {
                let up_to = between(&xml, " id='ping-", "'").parse().unwrap_or(0);
                let safe = self.history.iter().filter_map(|event| match event {
                    Event::Sent { sender, id, .. } if sender == device && *id <= up_to => {
                        Some(Event::Acknowledged { id: *id })
                    }
                    _ => None,
                });
                let safe: Vec<_> = safe.collect();
                self.history.extend(safe);
            } else if let Some(event) = seen(user, device, &xml) {
                self.history.push(event);
            }
        }
        if most.is_multiple_of(2) {
            self.clients[place].acknowledge();
        }
    }

    fn hold(&mut self) {
        if self.held {
            self.faulty.release();
        } else {
            self.faulty.hold();
        }
        self.held = !self.held;
    }

    fn fail(&mut self) {
        let error = if self.random.below(2) == 0 { StoreError::Full } else { StoreError::Refused("for a test".into()) };
        self.faulty.fail(Call::Apply, 1 + self.random.below(3), error, Moment::Before);
    }

    async fn change_priority(&mut self) {
        let Some(place) = self.any_that_may_send() else { return };
        // Never below 0: a session that stops taking messages while it is given stored ones may see an older one late.
        let priority = self.random.below(2);
        self.clients[place].peer.send(&format!("<presence><priority>{priority}</priority></presence>")).await;
    }

    /// Everybody reads what there is; then each account fetches what is left in the store.
    async fn finish(&mut self) {
        self.faulty.release();
        self.held = false;
        self.server.pass(Duration::from_secs(5)).await;
        while self.clients.iter().any(Client::is_cut) {
            self.resume().await;
        }
        for place in 0..self.clients.len() {
            self.drain(place).await;
        }
        for client in self.clients.drain(..) {
            client.acknowledge();
            client.peer.end(Vec::new());
        }
        self.server.pass(Duration::from_secs(5)).await;
        for user in USERS {
            let device = format!("{user}/last");
            let peer = self.server.bind(&format!("{user}@example.com/last")).await;
            peer.send("<presence/>").await;
            self.clients.push(Client { user, device, peer, managed: None });
        }
        for place in 0..self.clients.len() {
            self.drain(place).await;
        }
    }

    async fn drain(&mut self, place: usize) {
        loop {
            self.server.settle().await;
            let before = self.history.len();
            self.read_from(place, 1000);
            if self.history.len() == before {
                return;
            }
        }
    }
}

/// What a stanza means for the history.
fn seen(user: &str, device: &str, xml: &str) -> Option<Event> {
    if !xml.starts_with("<message") {
        return None;
    }
    let id = between(xml, " id='", "'").parse().ok()?;
    if xml.contains("type='error'") {
        return Some(Event::Refused { id });
    }
    let stanza_id = between(xml, "<stanza-id ", "/>").to_owned();
    Some(Event::Received { account: user.to_owned(), device: device.to_owned(), id, stanza_id })
}

async fn play(seed: u64) -> (BTreeSet<Fault>, usize) {
    let mut play = Play::new(seed).await;
    for _ in 0..STEPS {
        play.step().await;
    }
    play.finish().await;
    let received = play.history.iter().filter(|event| matches!(event, Event::Received { .. })).count();
    (judge(&play.history), received)
}

#[test]
fn nothing_is_lost_repeated_reordered_or_leaked_whatever_happens() {
    let mut total = 0;
    for seed in 1..=SEEDS {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (faults, received) = runtime.block_on(play(seed));
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(faults.is_empty(), "seed {seed}: {faults:#?}");
        total += received;
    }
    assert!(total as u64 > SEEDS * STEPS / 15, "only {total} messages came");
}
