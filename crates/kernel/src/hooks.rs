//! All the places where features take part in the way of a stanza. What a hook may do is its signature: most are
//! synchronous and leave their changes in a [`Turn`], which the kernel applies after the last hook, so that a panic costs
//! one stanza and leaves nothing half changed.
//!
//! The order of hooks is the order of `FEATURES`; there are no priorities. Tables are built at start, so that a stanza
//! runs only what asked for it.

use crate::{
    Kernel, Settings,
    account::{Account, Document},
    command::Command,
    jobs::Job,
    mailbox::{HeadKind, Item},
    service::{Documents, Part, Service},
    session::{Bound, Session},
    turn::Turn,
    web::Route,
};
use bytes::Bytes;
use hashbrown::HashMap;
use linnet_xmpp::{
    Jid, Stanza, StanzaError,
    stanza::Kind,
    stream::{Answer, Entry, Need, steps::AcceptStep},
    xml::Node,
};
use std::{
    any::{Any, TypeId},
    sync::Arc,
};
use store::{DocTable, Future, LogTable, MapRow, MapTable};

/// A feature: what it is called, what it implements, what it announces and where it takes part.
#[derive(Debug)]
pub struct Feature {
    /// Plain name, as the folder's.
    pub name: &'static str,
    /// The XEPs it implements, for docs and DOAP.
    pub xeps: &'static [Xep],
    /// Service discovery features of the server's domain.
    pub server_features: &'static [&'static str],
    /// Service discovery features of an account.
    pub account_features: &'static [&'static str],
    /// Elements added to the stream features after login, canonical XML (e.g. `<ver xmlns='…'/>`).
    pub stream_features: &'static [&'static str],
    /// Where it takes part.
    pub hooks: &'static [Hook],
}

/// A XEP that a feature implements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Xep {
    /// Its number.
    pub number: u16,
    /// The version implemented.
    pub version: &'static str,
    /// What is not done; empty if it is complete.
    pub note: &'static str,
}

/// On whose behalf a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The sender's account: the stanza leaves it.
    Out,
    /// The recipient's account: the stanza comes to it.
    In,
}

/// Why a stanza goes no further.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// Without a word.
    Silent,
    /// With an error to its sender.
    Error(StanzaError),
}

impl From<StanzaError> for Refusal {
    fn from(error: StanzaError) -> Refusal {
        Refusal::Error(error)
    }
}

/// What becomes of a stanza after its sender's side.
#[derive(Debug)]
pub enum Onward {
    /// It goes to its recipient.
    Forward,
    /// It was for the server; nothing goes on but what the turn says.
    Done,
}

/// Whom an iq addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The sender's own account.
    Own,
    /// Another account, on whose behalf the server answers.
    Account,
    /// The server.
    Server,
    /// The service with this label, or one of its rooms.
    Service(&'static str),
    /// Any service or room; only for saying what an [`Iq`] may be addressed to.
    AnyService,
}

impl At {
    /// Whether what is declared covers what a stanza addresses.
    fn covers(self, at: At) -> bool {
        self == at || (self == At::AnyService && matches!(at, At::Service(_)))
    }
}

/// An iq that leaves its lane because it has to read or compute something.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The server.
    pub kernel: Arc<Kernel>,
    /// The request.
    pub stanza: Arc<Stanza>,
    /// Whom it addresses.
    pub at: At,
    /// The bare address whose data is meant (the sender's own, the other account, the domain, or the service or room).
    pub owner: Jid,
    /// The session that asks, if it is here.
    pub session: Option<Arc<Session>>,
    /// Of the asking session's account: rows with smaller ids can be read, those with greater ones came later.
    pub next_row: u64,
}

impl Ask {
    /// Who asks: the full address.
    pub fn actor(&self) -> &Jid {
        self.stanza.from.as_ref().unwrap_or(&self.owner)
    }
}

/// How an iq is answered.
#[derive(Debug, Clone, Copy)]
pub enum Handler {
    /// In the lane: what memory can answer, and what writes.
    Now(fn(&mut Turn<'_>) -> Result<Bytes, StanzaError>),
    /// Beside the lane, behind everything handed over before: what has to read stored data or takes long.
    Later(fn(Ask) -> Future<'static, Result<Bytes, StanzaError>>),
}

/// An iq that a feature answers, by its payload.
#[derive(Debug)]
pub struct Iq {
    /// Local name of the payload.
    pub name: &'static str,
    /// Namespace of the payload.
    pub ns: &'static str,
    /// Whether `get` is answered.
    pub get: bool,
    /// Whether `set` is answered.
    pub set: bool,
    /// To whom it may be addressed.
    pub at: &'static [At],
    /// How.
    pub handler: Handler,
}

/// What a client can ask for together with binding, in `<bind/>` (XEP-0386 §3.1).
#[derive(Debug, Clone, Copy)]
pub struct BindFeature {
    /// The namespace of what is asked, which is what is announced.
    pub ns: &'static str,
    /// Does it: the turn's session is the new one, and there is no stanza.
    pub run: fn(&mut Turn<'_>, Node<'_>),
}

/// Where a document comes from, and how rows become it.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// All rows of the owner.
    Map(MapTable, fn(Vec<MapRow>) -> Document),
    /// One value.
    Doc(DocTable, fn(Option<Bytes>) -> Document),
    /// The account's own value.
    Account(fn(&[u8]) -> Document),
}

/// How one account stands to an actor; features of roster and presence say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// Neither.
    Stranger,
    /// May see the account's presence.
    Subscriber,
    /// The account itself.
    Own,
}

/// A point on the way of a stanza, or in the life of a session.
#[derive(Debug)]
pub enum Hook {
    /// May refuse. Reads only.
    Guard {
        /// For which stanzas.
        kinds: &'static [Kind],
        /// Says whether it may go on.
        run: fn(&Turn<'_>) -> Result<(), Refusal>,
    },
    /// May change content, before anything is recorded or copied.
    Rewrite {
        /// For which stanzas.
        kinds: &'static [Kind],
        /// The changed stanza; `None` where nothing has to change, which is the rule and costs nothing.
        run: fn(&Kernel, &Account, Side, &Stanza) -> Option<Stanza>,
    },
    /// The sender's side of the rules for a kind of stanza (presence: RFC 6121 §3, §4). May change the stanza, which costs
    /// a copy of it; the turn's is as it was sent.
    Send {
        /// For which stanzas; one hook per kind.
        kind: Kind,
        /// Does it.
        run: fn(&mut Turn<'_>, &mut Arc<Stanza>) -> Result<Onward, Refusal>,
    },
    /// Says with which flags a message becomes a row of the account's log; 0: none. Asked for the sender's account too;
    /// both rows share one body.
    Record {
        /// Which log.
        table: LogTable,
        /// Says the flags.
        run: fn(&Turn<'_>) -> u32,
    },
    /// The recipient's side of the rules for a kind of stanza: to which sessions it goes (RFC 6121 §8.5). `row` is the
    /// row that was made of it, or 0.
    Receive {
        /// For which stanzas; one hook per kind.
        kind: Kind,
        /// Does it.
        run: fn(&mut Turn<'_>, row: u64) -> Result<(), Refusal>,
    },
    /// Gives copies of a message to further sessions of the account, once it is known which get it itself. `row` is the
    /// account's row of it, or 0. On the sender's side, `refused` is what its sender is told where nobody took it.
    Copy(fn(&mut Turn<'_>, row: u64, refused: Option<&StanzaError>)),
    /// A message that was recorded for the recipient's account, once it is known which sessions get it: somebody may have
    /// to be told who has no session. `row` is its row. Reads, and begins work ([`Turn::afterwards`]).
    Notify(fn(&mut Turn<'_>, row: u64)),
    /// Answers an iq.
    Iq(Iq),
    /// Says whether a session may be made for an account that exists. Reads only.
    Admit(fn(&Account) -> Result<(), StanzaError>),
    /// A session has ended, or its stream broke. The turn's session is still attached; there is no stanza.
    Ended(fn(&mut Turn<'_>)),
    /// A session's connection broke, and the session waits for its client (XEP-0198 §5). The turn's session is that one;
    /// there is no stanza.
    Detached(fn(&mut Turn<'_>)),
    /// A session from before a restart of the server has a connection again: what features remembered of it is gone
    /// ([`Turn::remember`]), its presence and its marks are not. There is no stanza.
    Restored(fn(&mut Turn<'_>)),
    /// The server has started: clients may come from now on ([`Kernel::started`]).
    Started(fn(Arc<Kernel>) -> Future<'static, ()>),
    /// A document kept with each loaded account.
    Document {
        /// Its type.
        type_id: fn() -> TypeId,
        /// Where it comes from.
        source: Source,
    },
    /// Hosts a service at a sub-domain of every domain.
    Service(Service),
    /// Takes what an owner tells another one beside a stanza ([`Turn::emit_with`]): says whether it was its own.
    Notice(fn(&mut Turn<'_>, &Notice) -> bool),
    /// Says which messages to other servers are kept until they have arrived, and bounced if they do not.
    Depart(fn(&Stanza) -> bool),
    /// Rows of this log with one of these flags are given to the first session that takes messages, unless they have one
    /// of the others and that session's client knows them from the archive ([`Kernel::has_read`]).
    Offline {
        /// Which log.
        table: LogTable,
        /// Nobody has taken the row.
        unread: u32,
        /// It is in the archive.
        archived: u32,
    },
    /// Writes what follows the content of a stanza with this kind of head.
    Head(fn(&Kernel, HeadKind, &Item, &Jid, &mut Vec<u8>)),
    /// How an actor stands to an account.
    Relation(fn(&Account, &Jid) -> Relation),
    /// Answers what a stream needs to know; `None` where it is another feature's.
    Stream(fn(Arc<Kernel>, Need) -> Future<'static, Option<Answer>>),
    /// Does what is asked for together with binding.
    Bind(BindFeature),
    /// Says something in `<bound/>`, canonical XML. All rows of before can be read.
    Bound(fn(Arc<Kernel>, Bound) -> Future<'static, Bytes>),
    /// Says something in the answer to a login by SASL 2, canonical XML. Not called where a login fails.
    Entered(fn(Arc<Kernel>, Arc<Entry>) -> Future<'static, Bytes>),
    /// Whether a message has a name of its sender's by which it is known again when it is sent again.
    Named(fn(&Stanza) -> bool),
    /// Which stanzas can wait while nobody looks at the client, the latest of each sender in place of all.
    CanWait(fn(&Stanza) -> bool),
    /// An administrative command.
    Command(&'static Command),
    /// Work done now and then.
    Job(Job),
    /// Answers requests over HTTP.
    Web(&'static Route),
    /// A negotiation step of client streams, where the settings want it.
    Step(&'static dyn AcceptStep, fn(&Settings) -> bool),
}

/// What an owner tells another one of this server beside a stanza; its type is the feature's that understands it.
pub type Notice = Arc<dyn Any + std::marker::Send + Sync>;

type Guard = fn(&Turn<'_>) -> Result<(), Refusal>;
type Rewrite = fn(&Kernel, &Account, Side, &Stanza) -> Option<Stanza>;
type Send = fn(&mut Turn<'_>, &mut Arc<Stanza>) -> Result<Onward, Refusal>;
type Admit = fn(&Account) -> Result<(), StanzaError>;
type Record = fn(&Turn<'_>) -> u32;
type Head = fn(&Kernel, HeadKind, &Item, &Jid, &mut Vec<u8>);
type Stream = fn(Arc<Kernel>, Need) -> Future<'static, Option<Answer>>;
type BoundHook = fn(Arc<Kernel>, Bound) -> Future<'static, Bytes>;
type EnteredHook = fn(Arc<Kernel>, Arc<Entry>) -> Future<'static, Bytes>;
type Receive = fn(&mut Turn<'_>, u64) -> Result<(), Refusal>;
type Copies = fn(&mut Turn<'_>, u64, Option<&StanzaError>);

/// The hooks of all features, by the place where they run.
#[derive(Debug, Default)]
pub struct Table {
    /// All features, in order.
    pub features: &'static [&'static Feature],
    /// All commands, in order.
    pub commands: Vec<&'static Command>,
    /// What features answer over HTTP.
    pub web: Vec<&'static Route>,
    /// Negotiation steps beyond those of RFC 6120, in order.
    pub steps: Vec<&'static dyn AcceptStep>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) guards: [Vec<Guard>; 3],
    pub(crate) rewrites: [Vec<Rewrite>; 3],
    pub(crate) send: [Option<Send>; 3],
    pub(crate) record: Option<(LogTable, Record)>,
    pub(crate) receive: [Option<Receive>; 3],
    pub(crate) copies: Vec<Copies>,
    pub(crate) notify: Vec<fn(&mut Turn<'_>, u64)>,
    pub(crate) iqs: HashMap<(&'static str, &'static str), Vec<&'static Iq>>,
    pub(crate) admit: Vec<Admit>,
    pub(crate) ended: Vec<fn(&mut Turn<'_>)>,
    pub(crate) detached: Vec<fn(&mut Turn<'_>)>,
    pub(crate) restored: Vec<fn(&mut Turn<'_>)>,
    pub(crate) started: Vec<fn(Arc<Kernel>) -> Future<'static, ()>>,
    /// Of accounts.
    pub(crate) documents: Documents,
    pub(crate) services: Vec<&'static Service>,
    pub(crate) notices: Vec<fn(&mut Turn<'_>, &Notice) -> bool>,
    pub(crate) depart: Option<fn(&Stanza) -> bool>,
    pub(crate) offline: Option<(LogTable, u32)>,
    pub(crate) archived: u32,
    pub(crate) heads: Vec<Head>,
    pub(crate) relation: Option<fn(&Account, &Jid) -> Relation>,
    pub(crate) stream: Vec<Stream>,
    pub(crate) named: Option<fn(&Stanza) -> bool>,
    pub(crate) can_wait: Option<crate::resume::CanWait>,
    /// What can be asked for together with binding.
    pub bind: Vec<BindFeature>,
    pub(crate) bound: Vec<BoundHook>,
    pub(crate) entered: Vec<EnteredHook>,
}

impl Table {
    pub(crate) fn build(features: &'static [&'static Feature], settings: &Settings) -> Table {
        let mut table = Table { features, ..Table::default() };
        for hook in features.iter().flat_map(|feature| feature.hooks) {
            table.add(hook, settings);
        }
        table.documents.wanted.logs.extend(table.offline);
        table
    }

    fn add(&mut self, hook: &'static Hook, settings: &Settings) {
        match hook {
            Hook::Guard { kinds, run } => kinds.iter().for_each(|kind| self.guards[*kind as usize].push(*run)),
            Hook::Rewrite { kinds, run } => kinds.iter().for_each(|kind| self.rewrites[*kind as usize].push(*run)),
            Hook::Send { kind, run } => self.send[*kind as usize] = Some(*run),
            Hook::Record { table, run } => self.record = Some((*table, *run)),
            Hook::Receive { kind, run } => self.receive[*kind as usize] = Some(*run),
            Hook::Copy(run) => self.copies.push(*run),
            Hook::Notify(run) => self.notify.push(*run),
            Hook::Iq(iq) => self.iqs.entry((iq.name, iq.ns)).or_default().push(iq),
            Hook::Admit(run) => self.admit.push(*run),
            Hook::Ended(run) => self.ended.push(*run),
            Hook::Detached(run) => self.detached.push(*run),
            Hook::Restored(run) => self.restored.push(*run),
            Hook::Started(run) => self.started.push(*run),
            Hook::Document { type_id, source } => {
                self.documents.add(Part { type_id: *type_id, source: *source });
            }
            Hook::Service(service) => self.services.push(service),
            Hook::Notice(run) => self.notices.push(*run),
            Hook::Depart(run) => self.depart = Some(*run),
            Hook::Offline { table, unread, archived } => {
                (self.offline, self.archived) = (Some((*table, *unread)), *archived);
            }
            Hook::Head(run) => self.heads.push(*run),
            Hook::Relation(run) => self.relation = Some(*run),
            Hook::Stream(run) => self.stream.push(*run),
            Hook::Named(run) => self.named = Some(*run),
            Hook::CanWait(run) => self.can_wait = Some(*run),
            Hook::Bind(feature) => self.bind.push(*feature),
            Hook::Bound(run) => self.bound.push(*run),
            Hook::Entered(run) => self.entered.push(*run),
            Hook::Command(command) => self.commands.push(command),
            Hook::Job(job) => self.jobs.push(*job),
            Hook::Web(route) => self.web.push(route),
            Hook::Step(step, wanted) if wanted(settings) => self.steps.push(*step),
            Hook::Step(..) => {}
        }
    }

    /// The command with this node.
    pub fn command(&self, node: &str) -> Option<&'static Command> {
        self.commands.iter().copied().find(|command| command.node == node)
    }

    /// The iq handler for a payload; `Err` says why there is none.
    pub(crate) fn iq(&self, name: &str, ns: &str, is_get: bool, at: At) -> Result<&'static Iq, NoHandler> {
        let Some(found) = self.iqs.get(&Payload(name, ns)) else { return Err(NoHandler::UnknownPayload) };
        let mut here = found.iter().filter(|iq| iq.at.iter().any(|declared| declared.covers(at))).peekable();
        if here.peek().is_none() {
            if at == At::Account && found.iter().any(|iq| iq.at == [At::Own]) {
                return Err(NoHandler::OwnersAlone);
            }
            return Err(NoHandler::UnknownPayload);
        }
        here.find(|iq| if is_get { iq.get } else { iq.set }).copied().ok_or(NoHandler::WrongType)
    }
}

/// Finds a handler by texts that live shorter than the table.
#[derive(Hash)]
struct Payload<'a>(&'a str, &'a str);

impl hashbrown::Equivalent<(&'static str, &'static str)> for Payload<'_> {
    fn equivalent(&self, key: &(&'static str, &'static str)) -> bool {
        self.0 == key.0 && self.1 == key.1
    }
}

/// Why no feature answers an iq.
pub(crate) enum NoHandler {
    /// Nobody knows the payload there.
    UnknownPayload,
    /// An account answers it to its owner, and to nobody else.
    OwnersAlone,
    /// It is known, but not as get, or not as set.
    WrongType,
}
