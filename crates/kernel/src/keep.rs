//! Sessions that wait for their clients while the server is stopped and started again. Invariant: a session that is kept is
//! restored as it was: the same address, counts, presence and stanzas that its client has not acknowledged; of those that
//! the archive has, the ids alone.
//!
//! What features remember of a session in memory is not kept (`Hook::Restored`), and neither is what owners hold.

use crate::{
    Kernel,
    account::Attached,
    codec::{Decoder, Encoder},
    effects::Delivery,
    lane::Lane,
    limits,
    mailbox::{HeadKind, Item, Mailbox, waiting::Contents},
    owner::Owner,
    resume::Kept,
    session::Session,
};
use bytes::Bytes;
use linnet_xmpp::{
    Jid, Stanza,
    stream::{Agent, Proof},
};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use store::{MapTable, StoreError, Write};

/// By the session's number.
const KEPT: MapTable = MapTable("kept-sessions");
/// All of them are one group, so that they are found without knowing whose they are.
const GROUP: &str = "kept";
/// How records are written.
const VERSION: u8 = 1;

/// What a record says of a session.
struct Record {
    session: Session,
    kept: Kept,
    parts: Parts,
}

/// What the account knows of it.
struct Parts {
    presence: Option<Arc<Stanza>>,
    priority: i8,
    marks: u32,
    directed: Vec<Jid>,
}

impl Kernel {
    /// Keeps the sessions that wait for their clients, for the next start. Nothing is handed over any more.
    pub(crate) async fn keep_sessions(self: &Arc<Self>) -> Result<(), StoreError> {
        let (mut writes, mut bytes) = (Vec::new(), 0);
        for owner in self.owners_online() {
            let sessions: Vec<_> = owner.lock().sessions.iter().map(|attached| attached.session.clone()).collect();
            for session in sessions {
                let Some(value) = self.kept_value(&session) else { continue };
                if value.len() > store::MAX_VALUE_BYTES {
                    tracing::warn!(account = %owner.address, "a session is too large to be kept");
                    continue;
                }
                bytes += value.len();
                let (key, second) = (format!("{:016x}", session.id).into(), Some(GROUP.into()));
                let owner = owner.address.as_str().into();
                writes.push(Write::MapPut { table: KEPT, owner, key, second, value });
                if bytes > limits::KEPT_BYTES {
                    self.apply(Vec::new(), std::mem::take(&mut writes)).await?;
                    bytes = 0;
                }
            }
        }
        if !writes.is_empty() {
            self.apply(Vec::new(), writes).await?;
        }
        Ok(())
    }

    /// What is kept of a session, if it waits for its client.
    fn kept_value(&self, session: &Session) -> Option<Bytes> {
        let kept = session.kept(self.context.instant())?;
        let account = session.owner.lock();
        let attached = account.session(session.id).filter(|_| !session.mailbox.is_closed())?;
        session.mailbox.shrink(self.hooks.archived);
        let contents = session.mailbox.contents();
        let until = micros(self.context.now() + kept.left);
        let mut out = Encoder::default()
            .byte(VERSION)
            .text(session.address.as_str())
            .number(session.id)
            .number(micros(session.since))
            .byte(session.proof as u8)
            .number(session.known.load(Ordering::Acquire))
            .number(kept.max.as_secs())
            .number(until)
            .number(kept.handled.into())
            .byte(attached.priority.cast_unsigned())
            .number(attached.marks.into())
            .bytes(&attached.presence.as_ref().map(|presence| presence.to_bytes()).unwrap_or_default());
        let agent = session.agent.as_deref().cloned().unwrap_or_default();
        for text in [&agent.id, &agent.software, &agent.device] {
            out = out.maybe(text.as_deref());
        }
        out = out.number(attached.directed.len() as u64);
        for to in &attached.directed {
            out = out.text(to.as_str());
        }
        out = out.number(contents.acknowledged.into()).number(contents.sent as u64).number(contents.items.len() as u64);
        Some(contents.items.iter().fold(out, write_item).finish())
    }

    /// Takes up the sessions that were kept when the server was stopped. To be called before clients come; not for a
    /// kernel that only runs a command.
    pub async fn restore_sessions(self: &Arc<Self>) -> Result<(), StoreError> {
        let rows = self.store.map_second(KEPT, GROUP, usize::MAX).await?;
        let mut removals = Vec::new();
        for (address, row) in rows {
            match Jid::parse(&address) {
                Ok(jid) => self.restore(self.owner(&jid).await?, &row.value),
                Err(_) => tracing::error!(owner = %address, "a session was kept for nobody"),
            }
            removals.push(Write::MapRemove { table: KEPT, owner: address, key: row.key });
        }
        if !removals.is_empty() {
            self.apply(Vec::new(), removals).await?;
        }
        Ok(())
    }

    /// Takes up one session.
    fn restore(self: &Arc<Self>, owner: Arc<Owner>, value: &[u8]) {
        let Some(Record { session, kept, parts }) = self.read(&owner, value) else {
            tracing::error!(account = %owner.address, "a session that was kept cannot be read");
            return;
        };
        let session = Arc::new(session);
        {
            let mut account = owner.lock();
            if !account.exists || self.hooks.admit.iter().any(|admit| admit(&account).is_err()) {
                return;
            }
            let rows = session.mailbox.contents().items.into_iter().filter(|item| item.row != 0);
            let flights = rows.map(|item| Delivery { session: session.clone(), item }.flight());
            account.in_flight.extend(flights);
            account.value = None;
            account.sessions.push(Attached {
                session: session.clone(),
                presence: parts.presence,
                priority: parts.priority,
                directed: parts.directed,
                marks: parts.marks,
                remembered: Vec::new(),
                waits_for_stored: false,
            });
        }
        self.restore_counts(&session, kept);
    }

    fn read(&self, owner: &Arc<Owner>, value: &[u8]) -> Option<Record> {
        let mut from = Decoder(value);
        if from.byte()? != VERSION {
            return None;
        }
        let address = Jid::parse(from.text()?).ok()?;
        let (id, since) = (from.number()?, UNIX_EPOCH + Duration::from_micros(from.number()?));
        let proof = [Proof::Password, Proof::Token, Proof::Certificate, Proof::Anonymous];
        let proof = *proof.get(usize::from(from.byte()?))?;
        let known = from.number()?;
        let (max, until) = (Duration::from_secs(from.number()?), Duration::from_micros(from.number()?));
        let left = until.saturating_sub(Duration::from_micros(micros(self.context.now())));
        let left = left.max(max.min(Duration::from_secs(limits::RESTARTED_SECONDS)));
        let handled = u32::try_from(from.number()?).ok()?;
        let priority = from.byte()?.cast_signed();
        let marks = u32::try_from(from.number()?).ok()?;
        let presence = Bytes::copy_from_slice(from.bytes()?);
        let mut agent = || Some(from.maybe()?.map(Box::from));
        let agent = Agent { id: agent()?, software: agent()?, device: agent()? };
        let mut directed = Vec::new();
        for _ in 0..from.number()? {
            directed.push(Jid::parse(from.text()?).ok()?);
        }
        let (acknowledged, sent) = (u32::try_from(from.number()?).ok()?, from.number()? as usize);
        let count = from.number()?;
        let items = (0..count).map(|_| read_item(&mut from)).collect::<Option<Vec<_>>>()?;
        let session = Session {
            address,
            id,
            mailbox: Mailbox::with(Contents { acknowledged, sent, items }),
            lane: Lane::default(),
            owner: owner.clone(),
            since,
            proof,
            agent: (agent != Agent::default()).then(|| Box::new(agent)),
            later: AtomicU32::new(0),
            known: AtomicU64::new(known),
            detached: AtomicBool::new(true),
            counting: AtomicU32::new(0),
            refused: AtomicU32::new(0),
            managed: Mutex::new(None),
        };
        let presence = Stanza::from_bytes(presence).map(Arc::new);
        let parts = Parts { presence, priority, marks, directed };
        Some(Record { session, kept: Kept { max, left, handled }, parts })
    }
}

/// A stanza that is in the log as its id; another one whole.
fn write_item(out: Encoder, item: &Item) -> Encoder {
    // A copy is a stanza like others now: the row is with whom it was for.
    let (row, flags) = if item.head.flags() == 0 { (0, 0) } else { (item.row, item.head.flags()) };
    let out = out.number(row).number(flags.into());
    match item.is_stored() {
        true => out.byte(0),
        false => out.byte(1).bytes(&item.stanza.to_bytes()).maybe(item.to.as_ref().map(Jid::as_str)),
    }
}

fn read_item(from: &mut Decoder<'_>) -> Option<Item> {
    let (row, flags) = (from.number()?, u32::try_from(from.number()?).ok()?);
    if from.byte()? == 0 {
        return Some(Item::stored(row, flags));
    }
    let stanza = Arc::new(Stanza::from_bytes(Bytes::copy_from_slice(from.bytes()?))?);
    let to = match from.maybe()? {
        Some(to) => Some(Jid::parse(to).ok()?),
        None => None,
    };
    let head = match row {
        0 => HeadKind::Plain,
        _ => HeadKind::Late(flags, UNIX_EPOCH + Duration::from_micros(row)),
    };
    Some(Item { stanza, to, head, row })
}

fn micros(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_micros() as u64)
}
