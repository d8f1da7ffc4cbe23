//! The server, its store and its devices, and what happens to them, step by step as chance wants it.

use crate::device::{Device, Down, Up, acknowledged};
use linnet_xmpp::{
    Stanza,
    stanza::{Kind, Type},
    stream::{Control, NotResumed, Signal},
};
use std::{sync::Arc, task::Waker, time::Duration};
use store::{
    StoreError,
    faulty::{Call, Faulty, Moment},
};
use testkit::{FakeContext, PASSWORD, Random, Server, history::Event, jid, quiet, settings};
use tokio::runtime::{Builder, Runtime};

const USERS: [&str; 4] = ["benvolio", "juliet", "nurse", "romeo"];
const DEVICES: u64 = 3;
/// Whether the server knows a message again that an earlier stream of the same sender had brought: only then can a client
/// send again what it does not know the fate of.
pub(crate) const KNOWS_REPEATED: bool = true;

pub(crate) struct World {
    /// A process: what runs in it ends when it is dropped.
    process: Option<(Runtime, Server)>,
    faulty: Faulty,
    random: Random,
    seed: u64,
    devices: Vec<Device>,
    pub(crate) history: Vec<Event>,
    message: u64,
    is_held: bool,
    pub(crate) kills: usize,
    pub(crate) resumed: usize,
    /// Messages sent again in a new session.
    pub(crate) again: usize,
}

impl World {
    pub(crate) fn new(seed: u64) -> World {
        let devices = USERS.into_iter().flat_map(|user| (1..=DEVICES).map(move |n| Device::new(user, n, n != 3)));
        let mut world = World {
            process: None,
            faulty: Faulty::new(),
            random: Random::new(seed),
            seed,
            devices: devices.collect(),
            history: Vec::new(),
            message: 0,
            is_held: false,
            kills: 0,
            resumed: 0,
            again: 0,
        };
        world.boot();
        let (runtime, server) = world.process.as_ref().expect("booted");
        for user in USERS {
            runtime.block_on(server.account(&format!("{user}@example.com"), PASSWORD));
        }
        world
    }

    fn boot(&mut self) {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        self.seed += 1_000_003;
        let context = FakeContext::new(self.seed);
        // Every process begins later than the last one ended.
        context.pass(Duration::from_secs(3600 * (1 + self.kills as u64)));
        let server = runtime.block_on(Server::start(Arc::new(self.faulty.clone()), context, settings()));
        self.process = Some((runtime, server.expect("a store in memory can be opened")));
    }

    fn server(&self) -> (&Runtime, &Server) {
        let (runtime, server) = self.process.as_ref().expect("there is a process between two steps");
        (runtime, server)
    }

    fn chance(&mut self, below: u64) -> u64 {
        self.random.below(below)
    }

    fn any(&mut self) -> usize {
        self.chance(self.devices.len() as u64) as usize
    }

    pub(crate) fn step(&mut self) {
        let place = self.any();
        match self.chance(1000) {
            0..140 => self.come(place),
            140..150 => self.go(place),
            150..170 => self.cut(place),
            170..420 => self.say(place),
            420..460 => self.devices[place].read_archive(),
            460..470 => self.look(place),
            470..480 => self.hold(),
            480..540 => self.release(),
            540..550 => self.fail(),
            550..551 => self.kill(),
            551..552 => self.restart(),
            552..570 => self.pass(),
            570..780 => self.up(place),
            _ => self.down(place),
        }
        let (runtime, _) = self.server();
        runtime.block_on(quiet());
    }

    /// From now on the store says that it has written what it has not.
    pub(crate) fn lie(&mut self) {
        self.faulty.sync();
        self.faulty.set_sync_late(true);
    }

    /// Connects a device: goes on with its session, or begins a new one.
    fn come(&mut self, place: usize) {
        // To log in is to read behind the commit that is held open.
        if self.is_held || self.devices[place].wire.is_some() {
            return;
        }
        let (runtime, server) = self.process.as_ref().expect("there is a process");
        let device = &mut self.devices[place];
        let address = device.address.clone();
        if let Some(resumption) = device.managed.resumption(&address) {
            let resumed = server.resume(address.as_str(), &resumption.id, resumption.handled);
            match runtime.block_on(resumed) {
                Ok((peer, handled)) => {
                    let (done, again) = device.managed.resumed(handled).expect("the server counts what was sent");
                    self.history.extend(acknowledged(&done));
                    let up = again.iter().map(|stanza| Up::Stanza(String::from_utf8_lossy(&stanza.to_bytes()).into()));
                    let up = up.chain(device.managed.request().map(|_| Up::Ask)).collect();
                    device.wire = Some(crate::device::Wire { peer, up, down: Default::default() });
                    self.resumed += 1;
                    return;
                }
                Err(error) => {
                    let handled = if let NotResumed::Unknown(handled) = error { handled } else { None };
                    let (done, left) = device.managed.not_resumed(handled);
                    self.history.extend(acknowledged(&done));
                    device
                        .again
                        .extend(left.into_iter().filter(|stanza| stanza.kind == Kind::Message && is_kept(stanza)));
                }
            }
        }
        let peer = runtime.block_on(server.login(&address, PASSWORD)).expect("the account is there");
        device.begin(peer);
        self.history.push(Event::Ended { account: device.account.to_owned() });
        self.history.push(Event::Began { device: device.name.clone() });
        let mut again = std::mem::take(&mut device.again);
        let is_refused = |id: &str| id.parse().is_ok_and(|id| device.refused.contains(&id));
        again.retain(|stanza| !stanza.id.as_deref().is_some_and(is_refused));
        if KNOWS_REPEATED {
            self.again += again.len();
            again.iter().for_each(|stanza| device.send(stanza));
        }
        let reads_first = self.random.below(2) == 0;
        if reads_first {
            device.read_archive();
        }
        if self.random.below(2) == 0 {
            let enable = "<enable xmlns='urn:xmpp:carbons:2'/>".into();
            device.send(&Stanza::new(Kind::Iq, Type::Set, enable).id(Some("carbons")));
        }
        let priority = self.random.below(3) as i64 - 1;
        let presence = format!("<priority>{priority}</priority>");
        device.send(&Stanza::new(Kind::Presence, Type::Available, presence.into()));
        if !reads_first {
            device.read_archive();
        }
    }

    /// Leaves in order, or as in order as one can whose stanzas are still under way.
    fn go(&mut self, place: usize) {
        if self.is_held {
            return;
        }
        self.up_all(place);
        let events = self.devices[place].receive(u64::MAX);
        self.history.extend(events);
        self.up_all(place);
        let device = &mut self.devices[place];
        let Some(wire) = device.wire.take() else { return };
        self.history.push(Event::Ended { account: device.account.to_owned() });
        let (runtime, _) = self.process.as_ref().expect("there is a process");
        runtime.block_on(async { wire.peer.end(Vec::new()) });
        // What was not acknowledged is nobody's any more.
        device.managed.give_up();
    }

    /// The connection breaks with everything that is on it.
    fn cut(&mut self, place: usize) {
        let device = &mut self.devices[place];
        let Some(wire) = device.wire.take() else { return };
        let (runtime, _) = self.process.as_ref().expect("there is a process");
        runtime.block_on(async { wire.peer.cut() });
        device.is_reading = false;
        if !device.counts {
            self.history.push(Event::Ended { account: device.account.to_owned() });
        }
    }

    fn say(&mut self, place: usize) {
        let to = USERS[self.chance(USERS.len() as u64) as usize];
        let device = &mut self.devices[place];
        if device.wire.is_none() || device.account == to || device.managed.waiting() > 200 {
            return;
        }
        self.message += 1;
        let id = self.message;
        let content = match self.random.below(10) {
            0 => "<body>not to be kept</body><no-store xmlns='urn:xmpp:hints'/>",
            1 => "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
            _ => "<body>hello</body>",
        };
        let to_address = jid(&format!("{to}@example.com"));
        let stanza = Stanza::new(Kind::Message, Type::Chat, content.into()).to(to_address).id(Some(&id.to_string()));
        let kept = is_kept(&stanza);
        self.history.push(Event::Sent { sender: device.name.clone(), to: to.to_owned(), id, kept });
        device.send(&stanza);
    }

    /// Somebody looks at the device, or does not.
    fn look(&mut self, place: usize) {
        let active = self.chance(2) == 0;
        if let Some(wire) = &mut self.devices[place].wire {
            wire.up.push_back(Up::Active(active));
        }
    }

    fn up(&mut self, place: usize) {
        let most = self.chance(30);
        self.carry_up(place, most);
    }

    fn up_all(&mut self, place: usize) {
        self.carry_up(place, u64::MAX);
    }

    /// Carries what is on its way to the server.
    fn carry_up(&mut self, place: usize, most: u64) {
        let (runtime, server) = self.process.as_ref().expect("there is a process");
        let device = &mut self.devices[place];
        for _ in 0..most {
            let Some(wire) = &mut device.wire else { return };
            if wire.peer.session.mailbox.is_closed() {
                return;
            }
            // A stanza for somebody who is not in memory would wait for the commit that is held open.
            if self.is_held
                && USERS.iter().any(|user| server.kernel.loaded_owner(&format!("{user}@example.com")).is_none())
            {
                return;
            }
            let Some(next) = wire.up.pop_front() else { return };
            let control = match next {
                Up::Stanza(xml) => {
                    runtime.block_on(wire.peer.send(&xml));
                    continue;
                }
                Up::Ask => Control::Request,
                Up::Handled => {
                    Control::Handled(device.managed.resumption(&device.address).map_or(0, |known| known.handled))
                }
                Up::Active(active) => Control::Active(active),
            };
            let said = runtime.block_on(async { wire.peer.control(control) });
            match said {
                Ok(Some(Signal::Handled(handled))) => wire.down.push_back(Down::Handled(handled)),
                Ok(_) => {}
                Err(error) => panic!("{}: {error}", device.name),
            }
        }
    }

    /// Carries what is on its way to the device, and lets it read.
    fn down(&mut self, place: usize) {
        let (written, read) = (self.chance(30), self.chance(30));
        self.carry_down(place, written, read);
    }

    fn carry_down(&mut self, place: usize, written: u64, read: u64) {
        let (runtime, server) = self.process.as_ref().expect("there is a process");
        let device = &mut self.devices[place];
        let Some(wire) = &mut device.wire else { return };
        let mut is_over = false;
        runtime.block_on(async {
            for _ in 0..written {
                match wire.peer.read() {
                    Some(Ok(xml)) => wire.down.push_back(Down::Stanza(xml)),
                    Some(Err(_)) => {
                        is_over = true;
                        break;
                    }
                    None => break,
                }
            }
            if let Some(Signal::Handled(handled)) = server.kernel.acknowledgement(&wire.peer.session, Waker::noop()) {
                wire.down.push_back(Down::Handled(handled));
            }
            if wire.peer.session.mailbox.asks() {
                wire.down.push_back(Down::Ask);
            }
        });
        let events = device.receive(read);
        self.history.extend(events);
        if is_over {
            // The server ended the session.
            let account = self.devices[place].account.to_owned();
            self.history.push(Event::Ended { account });
            self.cut(place);
        }
    }

    /// From now on commits are slow: none is finished.
    fn hold(&mut self) {
        self.faulty.hold();
        self.is_held = true;
    }

    fn release(&mut self) {
        self.faulty.release();
        self.is_held = false;
    }

    /// A commit fails, and its senders are told. Only if it is asked for: an `<a/>` that counts a refused stanza may overtake
    /// the error, and a server that dies between both has told a sender that a message is safe that it refused.
    fn fail(&mut self) {
        if std::env::var_os("LINNET_FAILURES").is_none() {
            return;
        }
        let error = if self.chance(2) == 0 { StoreError::Full } else { StoreError::Refused("for a test".into()) };
        let kth = 1 + self.chance(3);
        self.faulty.fail(Call::Apply, kth, error, Moment::Before);
    }

    fn pass(&mut self) {
        let time = Duration::from_millis(self.chance(3000));
        let (_, server) = self.server();
        server.context.pass(time);
    }

    /// The machine loses its power and gets it back.
    pub(crate) fn kill(&mut self) {
        self.process = None;
        self.faulty.lose_power();
        self.is_held = false;
        self.after_death();
        self.boot();
    }

    /// The server is stopped in order and started again.
    fn restart(&mut self) {
        self.release();
        let (runtime, server) = self.process.take().expect("there is a process");
        for device in &mut self.devices {
            if let Some(wire) = device.wire.take() {
                runtime.block_on(async { wire.peer.cut() });
            }
        }
        runtime.block_on(async {
            server.pass(Duration::from_millis(600)).await;
            server.kernel.stop().await.expect("a store in memory can be closed");
        });
        drop((server, runtime));
        self.after_death();
        self.boot();
    }

    fn after_death(&mut self) {
        self.kills += 1;
        for device in &mut self.devices {
            device.wire = None;
            device.is_reading = false;
        }
        self.history.extend(USERS.map(|user| Event::Ended { account: user.to_owned() }));
    }

    /// Everybody comes back and reads everything; then each account's archive is read by somebody new.
    pub(crate) fn finish(&mut self) {
        self.release();
        self.settle();
        for place in 0..self.devices.len() {
            self.come(place);
            self.devices[place].has_read = false;
        }
        self.exhaust(0);
        // Once more, so that what the others sent meanwhile is read too.
        for place in 0..self.devices.len() {
            self.devices[place].has_read = false;
        }
        self.exhaust(0);
        for device in &self.devices {
            let (account, device) = (device.account.to_owned(), device.name.clone());
            self.history.push(Event::Synced { account, device });
        }
        let known = self.devices.len();
        for user in USERS {
            self.devices.push(Device::new(user, 100, false));
        }
        let before = self.history.len();
        for place in known..self.devices.len() {
            self.come(place);
        }
        self.exhaust(known);
        let fresh = self.history.split_off(before);
        for event in fresh {
            match event {
                Event::Fetched { account, device, id, stanza_id } if device.ends_with("/100") => {
                    self.history.push(Event::Archived { account, id, stanza_id });
                }
                Event::Received { device, .. } | Event::Copied { device, .. } | Event::Began { device }
                    if device.ends_with("/100") => {}
                event => self.history.push(event),
            }
        }
    }

    /// Carries and reads until nothing moves any more and all from this place on have read their archives to the end.
    fn exhaust(&mut self, from: usize) {
        for round in 0.. {
            assert!(round < 2000, "the run does not come to rest (seed behind {})", self.seed);
            let before = self.history.len();
            for place in from..self.devices.len() {
                if self.devices[place].wire.is_none() {
                    self.come(place);
                }
                if !self.devices[place].has_read {
                    self.devices[place].read_archive();
                }
                self.up_all(place);
                self.settle();
                self.carry_down(place, u64::MAX, u64::MAX);
                self.up_all(place);
            }
            self.settle();
            let is_done = |device: &Device| {
                device.wire.is_some() && device.has_read && device.managed.waiting() == 0 && !device.is_reading
            };
            if self.history.len() == before && self.devices[from..].iter().all(is_done) {
                return;
            }
        }
    }

    fn settle(&mut self) {
        let (runtime, server) = self.server();
        runtime.block_on(server.pass(Duration::from_millis(600)));
    }
}

fn is_kept(stanza: &Stanza) -> bool {
    stanza.child("body", linnet_xmpp::ns::CLIENT).is_some() && stanza.child("no-store", "urn:xmpp:hints").is_none()
}
