//! What the clients of this server want to be notified of, learned from their capabilities (XEP-0115, XEP-0390). What a
//! hash stands for is asked of one client, verified, and known for all that tell the same.

use super::{Interests, greet};
use kernel::{Attached, Kernel, Turn, owner::Owner};
use linnet_xeps::{
    Payload,
    caps::{Caps, HashSet},
    disco::Info,
    ns,
};
use linnet_xmpp::{Jid, Stanza, stanza::Type};
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, LazyLock},
};

/// Names of nodes, in order.
pub(super) type Names = Arc<[Box<str>]>;

/// Hashes that are known: there are some hundred versions of clients about, with some settings each.
const KNOWN: usize = 4096;
/// Nodes that a client may want notifications of; one wants about ten.
const WANTED: usize = 200;

/// What hashes stand for. Each was verified, so it is the same for every server in the process.
static VERIFIED: LazyLock<Mutex<Verified>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Verified {
    names: HashMap<Box<str>, Names>,
    oldest_first: VecDeque<Box<str>>,
}

impl Verified {
    fn put(&mut self, key: &str, names: &Names) {
        if self.names.insert(key.into(), names.clone()).is_none() {
            self.oldest_first.push_back(key.into());
        }
        if self.oldest_first.len() > KNOWN
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.names.remove(&oldest);
        }
    }
}

/// The capabilities that a presence tells.
pub(super) enum Told {
    /// XEP-0115.
    One(Caps),
    /// XEP-0390.
    Many(HashSet),
}

impl Told {
    pub(super) fn read(stanza: &Stanza) -> Option<Told> {
        let many = stanza.child("c", ns::CAPS2).and_then(|node| HashSet::read(node).ok());
        if let Some(many) = many.filter(|set| set.disco_nodes().next().is_some()) {
            return Some(Told::Many(many));
        }
        stanza.child("c", ns::CAPS).and_then(|node| Caps::read(node).ok()).map(Told::One)
    }

    /// The node to ask about, which is also what the answer is known by.
    pub(super) fn node(&self) -> Option<String> {
        match self {
            Told::One(caps) => Some(caps.disco_node()),
            Told::Many(set) => set.disco_nodes().next(),
        }
    }

    /// Whether the answer is the one that was told, so that others may be believed the same.
    fn proves(&self, info: &Info) -> bool {
        match self {
            Told::One(caps) => caps.proves(info),
            Told::Many(set) => set.proves(info),
        }
    }
}

/// A session of the account has sent available presence: what its client wants is found out, if it is not known.
pub(crate) fn told(turn: &mut Turn<'_>, session: &Attached, stanza: &Stanza) {
    let told = Told::read(stanza);
    let key: Box<str> = told.as_ref().and_then(Told::node).unwrap_or_default().into();
    let known = session.remembered::<Interests>();
    if known.is_some_and(|known| known.key == key) {
        // The same again. One that was away has missed what was sent meanwhile.
        if let Some(known) = known.filter(|_| session.presence.is_none()) {
            greet(turn, session, known);
        }
        return;
    }
    let Some(told) = told.filter(|_| !key.is_empty()) else {
        if known.is_some() {
            turn.remember(session, Arc::new(Interests { key, nodes: Arc::from([]) }));
        }
        return;
    };
    match verified(&key) {
        Some(nodes) => {
            let interests = Interests { key, nodes };
            greet(turn, session, &interests);
            turn.remember(session, Arc::new(interests));
        }
        None => {
            // Remembered at once, so that the same presence again does not ask again.
            turn.remember(session, Arc::new(Interests { key: key.clone(), nodes: Arc::from([]) }));
            let (kernel, owner, address) =
                (turn.kernel.clone(), session.session.owner.clone(), session.session.address.clone());
            turn.afterwards(Box::pin(async move { learn(&kernel, &owner, address, told, key).await }));
        }
    }
}

/// What a hash stands for, if somebody has told it.
pub(super) fn verified(key: &str) -> Option<Names> {
    VERIFIED.lock().names.get(key).cloned()
}

/// Asks a client what it wants to be notified of.
pub(super) async fn ask(
    kernel: &Arc<Kernel>,
    owner: &Arc<Owner>,
    address: &Jid,
    told: &Told,
    key: &str,
) -> Option<Names> {
    let question = Info::question(Some(key)).to_bytes();
    let answer = kernel.request(&owner.address, address.clone(), Type::Get, question).await.ok()?;
    let info = Info::read(answer.payload()?).ok()?;
    let wanted: BTreeSet<Box<str>> =
        info.features.iter().filter_map(|feature| feature.strip_suffix("+notify")).map(Box::from).collect();
    let nodes: Names = wanted.into_iter().take(WANTED).collect();
    if told.proves(&info) {
        VERIFIED.lock().put(key, &nodes);
    }
    Some(nodes)
}

/// Learns what the client of a session wants.
async fn learn(kernel: &Arc<Kernel>, owner: &Arc<Owner>, address: Jid, told: Told, key: Box<str>) {
    let Some(nodes) = ask(kernel, owner, &address, &told, &key).await else { return };
    kernel.act(owner, false, |turn| {
        let account = turn.account;
        let session = address.resource().and_then(|resource| account.resource(resource));
        // It may have gone, or told something else meanwhile.
        let is_same = |session: &&Attached| {
            session.presence.is_some() && session.remembered::<Interests>().is_some_and(|known| known.key == key)
        };
        if let Some(session) = session.filter(is_same) {
            let interests = Interests { key: key.clone(), nodes };
            greet(turn, session, &interests);
            turn.remember(session, Arc::new(interests));
        }
    });
}
