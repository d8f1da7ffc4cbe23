//! Roles and affiliations of a room against a reference model: random operations by random actors, and after each the room
//! must look to a client as the model says. The model is written from the tables of XEP-0045 §5 and the rules of §8 to §10,
//! one rule a line, and knows nothing of the server.

use linnet_xmpp::{
    Stanza,
    stanza::{Kind, Type},
};
use std::collections::BTreeMap;
use testkit::{Peer, Random, Server};

/// Steps in every run; `LINNET_MODEL_STEPS=100000` for a long one.
const STEPS: usize = 20_000;
/// Steps between two looks at the whole.
const BATCH: usize = 20;
const PEOPLE: [&str; 6] = ["ann", "bob", "cat", "dan", "eve", "fay"];
const ROOM: &str = "model@rooms.example.com";
const AFFILIATIONS: [&str; 5] = ["outcast", "none", "member", "admin", "owner"];
const ROLES: [&str; 4] = ["none", "visitor", "participant", "moderator"];

const OUTCAST: usize = 0;
const NONE: usize = 1;
const MEMBER: usize = 2;
const ADMIN: usize = 3;
const OWNER: usize = 4;

const ABSENT: usize = 0;
const VISITOR: usize = 1;
const PARTICIPANT: usize = 2;
const MODERATOR: usize = 3;

/// What a room is, in the simplest words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Model {
    moderated: bool,
    members_only: bool,
    affiliations: [usize; 6],
    roles: [usize; 6],
    /// Voice that was given or taken, while the room lives in memory: for ever here, for the watcher never leaves.
    voices: BTreeMap<usize, usize>,
}

impl Model {
    fn default_role(&self, affiliation: usize) -> usize {
        match affiliation {
            OUTCAST => ABSENT,
            NONE if self.moderated => VISITOR,
            NONE | MEMBER => PARTICIPANT,
            _ => MODERATOR,
        }
    }

    fn enter(&mut self, who: usize) {
        let affiliation = self.affiliations[who];
        let may = affiliation != OUTCAST && (!self.members_only || affiliation >= MEMBER);
        if may && self.roles[who] == ABSENT {
            let voice = self.voices.get(&who).copied().filter(|_| affiliation < ADMIN);
            self.roles[who] = voice.unwrap_or(self.default_role(affiliation));
        }
    }

    fn set_role(&mut self, actor: usize, target: usize, new: usize) -> bool {
        let (role, affiliation) = (self.roles[target], self.affiliations[target]);
        let is_admin = self.affiliations[actor] >= ADMIN;
        let is_lower = self.affiliations[actor] < affiliation;
        let may = (self.roles[actor] == MODERATOR || is_admin) && role != ABSENT;
        let allowed = match new {
            _ if !may => false,
            _ if new == role => true,
            ABSENT => actor != target && !is_lower && (role != MODERATOR || is_admin),
            MODERATOR => is_admin,
            PARTICIPANT if role == VISITOR => true,
            // From here on somebody loses something.
            _ if affiliation >= ADMIN || is_lower => false,
            _ if role == MODERATOR => is_admin,
            _ => affiliation < MEMBER || self.affiliations[actor] > affiliation,
        };
        if !allowed {
            return false;
        }
        if new != role && new != ABSENT {
            self.voices.remove(&target);
            if new != MODERATOR && new != self.default_role(affiliation) {
                self.voices.insert(target, new);
            }
        }
        self.roles[target] = new;
        true
    }

    fn set_affiliation(&mut self, actor: usize, target: usize, new: usize) -> bool {
        let (by, old) = (self.affiliations[actor], self.affiliations[target]);
        let concerns_officers = old >= ADMIN || new >= ADMIN;
        // The watcher is an owner too, so nobody is the last one.
        let allowed =
            by >= ADMIN && !(actor == target && new == OUTCAST) && (by == OWNER || !concerns_officers || old == new);
        if !allowed {
            return false;
        }
        self.affiliations[target] = new;
        if old == new || self.roles[target] == ABSENT {
            return true;
        }
        let default = self.default_role(new);
        let role = &mut self.roles[target];
        *role = match new {
            OUTCAST => ABSENT,
            NONE if self.members_only => ABSENT,
            _ if old >= ADMIN && new < ADMIN => default,
            NONE if old == MEMBER && *role < MODERATOR => default,
            _ => default.max(*role),
        };
        true
    }

    fn configure(&mut self, moderated: bool, members_only: bool) {
        if members_only && !self.members_only {
            for who in 0..6 {
                if self.affiliations[who] < MEMBER {
                    self.roles[who] = ABSENT;
                }
            }
        }
        if self.moderated && !moderated {
            for role in self.roles.iter_mut().filter(|role| **role == VISITOR) {
                *role = PARTICIPANT;
            }
            self.voices.clear();
        }
        (self.moderated, self.members_only) = (moderated, members_only);
    }
}

/// What a client in the room has been told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    affiliations: [usize; 6],
    roles: [usize; 6],
}

impl Seen {
    fn take(&mut self, xml: &str) {
        let Some(stanza) = Stanza::from_bytes(xml.to_owned().into()) else { panic!("not a stanza: {xml}") };
        let space = "http://jabber.org/protocol/muc#user";
        let Some(item) = stanza.child("x", space).and_then(|x| x.child("item", space)) else { return };
        let from = stanza.from.as_ref().and_then(|from| from.resource().map(str::to_owned));
        let jid = item.attr("jid").map(|jid| jid.split('@').next().unwrap_or_default().to_owned());
        let name = from.or(jid);
        let who = PEOPLE.iter().position(|person| name.as_deref() == Some(person));
        let Some(who) = who.filter(|_| stanza.ty != Type::Error) else { return };
        let index = |all: &[&str], name: &str| all.iter().position(|known| item.attr(name).as_deref() == Some(known));
        self.affiliations[who] = index(&AFFILIATIONS, "affiliation").unwrap();
        if stanza.kind == Kind::Presence {
            self.roles[who] = index(&ROLES, "role").unwrap();
            assert_eq!(self.roles[who] == ABSENT, stanza.ty == Type::Unavailable, "{xml}");
        }
    }
}

fn config(moderated: bool, members_only: bool) -> String {
    let field = |var: &str, value: &str| format!("<field var='muc#roomconfig_{var}'><value>{value}</value></field>");
    let flag = |var: &str, on: bool| field(var, if on { "1" } else { "0" });
    format!(
        "<iq type='set' id='c' to='{ROOM}'><query xmlns='http://jabber.org/protocol/muc#owner'>\
         <x xmlns='jabber:x:data' type='submit'>{}{}{}</x></query></iq>",
        flag("moderatedroom", moderated),
        flag("membersonly", members_only),
        field("whois", "anyone")
    )
}

fn admin(items: &str) -> String {
    format!(
        "<iq type='set' id='a' to='{ROOM}'><query xmlns='http://jabber.org/protocol/muc#admin'>{items}</query></iq>"
    )
}

fn role(target: usize, new: usize) -> String {
    format!("<item nick='{}' role='{}'/>", PEOPLE[target], ROLES[new])
}

fn affiliation(target: usize, new: usize) -> String {
    format!("<item jid='{}@example.com' affiliation='{}'/>", PEOPLE[target], AFFILIATIONS[new])
}

/// One operation, in the model and as what a client sends.
async fn step(random: &mut Random, model: &mut Model, peers: &[Peer], watcher: &Peer) -> String {
    let mut pick = |limit: usize| random.below(limit as u64) as usize;
    let (actor, target, other) = (pick(6), pick(6), pick(6));
    let (sender, xml) = match pick(20) {
        0..=4 => {
            model.enter(actor);
            let x = "<x xmlns='http://jabber.org/protocol/muc'/>";
            (&peers[actor], format!("<presence to='{ROOM}/{}'>{x}</presence>", PEOPLE[actor]))
        }
        5 => {
            model.roles[actor] = ABSENT;
            (&peers[actor], format!("<presence to='{ROOM}/{}' type='unavailable'/>", PEOPLE[actor]))
        }
        6..=10 => {
            let new = pick(4);
            model.set_role(actor, target, new);
            (&peers[actor], admin(&role(target, new)))
        }
        11..=15 => {
            let new = pick(5);
            model.set_affiliation(actor, target, new);
            (&peers[actor], admin(&affiliation(target, new)))
        }
        16 => {
            // Several items: all or none. Who acts is judged by what he was before.
            let (role_of, affiliation_of) = (pick(4), pick(5));
            let mut after = model.clone();
            let items = [affiliation(target, affiliation_of), role(other, role_of)].concat();
            let done = target != actor
                && other != actor
                && after.set_affiliation(actor, target, affiliation_of)
                && after.set_role(actor, other, role_of);
            if done {
                *model = after;
            } else if target == actor || other == actor {
                return String::new();
            }
            (&peers[actor], admin(&items))
        }
        17 => {
            // The watcher keeps the room from being without anybody who can do something.
            let new = 1 + pick(4);
            let old = model.affiliations[target];
            let mut by_owner = model.clone();
            by_owner.affiliations[actor] = OWNER;
            if actor == target || old == new {
                return String::new();
            }
            by_owner.set_affiliation(actor, target, new);
            by_owner.affiliations[actor] = model.affiliations[actor];
            *model = by_owner;
            (watcher, admin(&affiliation(target, new)))
        }
        18 => {
            let (moderated, members_only) = (pick(2) == 0, pick(4) == 0);
            model.configure(moderated, members_only);
            (watcher, config(moderated, members_only))
        }
        _ => return String::new(),
    };
    sender.send(&xml).await;
    xml
}

#[tokio::test]
async fn random_operations_leave_what_the_model_says() {
    let server = Server::with_accounts(&["wat", "ann", "bob", "cat", "dan", "eve", "fay"]).await;
    let watcher = server.bind("wat@example.com/w").await;
    watcher.send(&format!("<presence to='{ROOM}/wat'><x xmlns='http://jabber.org/protocol/muc'/></presence>")).await;
    server.settle().await;
    watcher.send(&config(false, false)).await;
    server.settle().await;
    let mut peers = Vec::new();
    for name in PEOPLE {
        peers.push(server.bind(&format!("{name}@example.com/p")).await);
    }
    let mut model = Model { affiliations: [NONE; 6], ..Model::default() };
    let mut seen = Seen { affiliations: [NONE; 6], ..Seen::default() };
    let mut random = Random::new(45);
    let mut done = Vec::new();
    let steps = std::env::var("LINNET_MODEL_STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(STEPS);
    for number in 0..steps {
        done.push(step(&mut random, &mut model, &peers, &watcher).await);
        // Presence goes by the outbox of its sender, behind what is not yet durable: what others do must not overtake it.
        server.settle().await;
        if number % BATCH == BATCH - 1 {
            watcher.read_all().iter().for_each(|xml| seen.take(xml));
            peers.iter().for_each(|peer| drop(peer.read_all()));
            let expected = Seen { affiliations: model.affiliations, roles: model.roles };
            assert_eq!(seen, expected, "after step {number}; the last of them:\n{}", done.join("\n"));
            done.clear();
        }
    }
}
