//! A device of an account: what it has sent and knows, the wire to the server, and how it reads stanzas.

use linnet_xmpp::{
    Jid, Stanza,
    stanza::{Kind, Type},
    stream::{Control, Enabled, Managed, Notice, Signal},
};
use std::collections::{BTreeSet, VecDeque};
use testkit::{Peer, history::Event, jid};

/// What is on its way to the server.
pub(crate) enum Up {
    Stanza(String),
    Ask,
    Handled,
    Active(bool),
}

/// What is on its way to the client.
pub(crate) enum Down {
    Stanza(String),
    Ask,
    Handled(u32),
}

/// A connection with what is under way on it.
pub(crate) struct Wire {
    pub(crate) peer: Peer,
    pub(crate) up: VecDeque<Up>,
    pub(crate) down: VecDeque<Down>,
}

/// A device.
pub(crate) struct Device {
    pub(crate) account: &'static str,
    /// `account/resource`, as the history names it.
    pub(crate) name: String,
    pub(crate) address: Jid,
    pub(crate) managed: Managed,
    pub(crate) wire: Option<Wire>,
    /// The newest id of the archive pages read so far.
    pub(crate) cursor: Option<String>,
    /// Whether a query is under way, and whether the archive was read up to its end in this session.
    pub(crate) is_reading: bool,
    pub(crate) has_read: bool,
    /// Whether it uses stream management.
    pub(crate) counts: bool,
    /// Sent again as soon as there is a session.
    pub(crate) again: Vec<Stanza>,
    /// What it was told is refused: that it does not send again.
    pub(crate) refused: BTreeSet<u64>,
}

pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before).and_then(|(_, rest)| rest.split_once(after)).map_or("", |(found, _)| found)
}

impl Device {
    pub(crate) fn new(account: &'static str, resource: u64, counts: bool) -> Device {
        let name = format!("{account}/{resource}");
        Device {
            account,
            address: jid(&format!("{account}@example.com/{resource}")),
            name,
            managed: Managed::default(),
            wire: None,
            cursor: None,
            is_reading: false,
            has_read: false,
            counts,
            again: Vec::new(),
            refused: BTreeSet::new(),
        }
    }

    /// A new session on a connection.
    pub(crate) fn begin(&mut self, peer: Peer) {
        (self.is_reading, self.has_read) = (false, false);
        self.managed = Managed::default();
        if self.counts {
            self.managed.enable(None);
            let enabled = peer.control(Control::Enable { resume: true, max: None });
            let Ok(Some(Signal::Enabled(Some((id, _))))) = enabled else { panic!("{enabled:?}") };
            let enabled = Enabled { id: Some(id), ..Enabled::default() };
            self.managed.notice(Notice::Enabled(enabled)).expect("nothing was counted yet");
        }
        self.wire = Some(Wire { peer, up: VecDeque::new(), down: VecDeque::new() });
    }

    /// Puts a stanza on the wire.
    pub(crate) fn send(&mut self, stanza: &Stanza) {
        let Some(wire) = &mut self.wire else { return };
        wire.up.push_back(Up::Stanza(String::from_utf8_lossy(&stanza.to_bytes()).into_owned()));
        self.managed.sent(stanza);
        if self.managed.request().is_some() {
            wire.up.push_back(Up::Ask);
        }
    }

    /// Asks for what is behind the newest page that it has.
    pub(crate) fn read_archive(&mut self) {
        if self.is_reading || self.wire.is_none() {
            return;
        }
        self.is_reading = true;
        let after = self.cursor.as_ref().map(|id| format!("<after>{id}</after>")).unwrap_or_default();
        let query = format!(
            "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>{after}<max>20</max></set></query>"
        );
        self.send(&Stanza::new(Kind::Iq, Type::Set, query.into()).id(Some("archive")));
    }

    /// Reads what has come, at most so much of it, and says what that means for the history.
    pub(crate) fn receive(&mut self, most: u64) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..most {
            let Some(wire) = &mut self.wire else { break };
            let Some(next) = wire.down.pop_front() else { break };
            match next {
                Down::Ask => wire.up.push_back(Up::Handled),
                Down::Handled(handled) => {
                    let done = self.managed.notice(Notice::Handled(handled)).expect("the server counts what was sent");
                    events.extend(acknowledged(&done));
                    if self.managed.request().is_some() {
                        wire.up.push_back(Up::Ask);
                    }
                }
                Down::Stanza(xml) => {
                    self.managed.received();
                    events.extend(self.seen(&xml));
                }
            }
        }
        events
    }

    fn seen(&mut self, xml: &str) -> Option<Event> {
        if xml.starts_with("<iq") && xml.contains(" id='archive'") {
            self.is_reading = false;
            if between(xml, "", ">").contains("type='error'") {
                // What the last page ended with is gone: from the beginning.
                self.cursor = None;
                return None;
            }
            let last = between(xml, "<last>", "</last>");
            if !last.is_empty() {
                self.cursor = Some(last.to_owned());
            }
            if xml.contains(" complete='true'") {
                self.has_read = true;
            } else {
                self.read_archive();
            }
            return None;
        }
        if !xml.starts_with("<message") {
            return None;
        }
        let (account, device) = (self.account.to_owned(), self.name.clone());
        if let Some((head, rest)) = xml.split_once("<result ") {
            assert!(!head.contains("<body>"), "{xml}");
            let stanza_id = between(rest, " id='", "'");
            let stanza_id = if stanza_id.is_empty() { between(rest, "id='", "'") } else { stanza_id };
            let id = message_id(rest.split_once("<message ")?.1)?;
            return Some(Event::Fetched { account, device, id, stanza_id: stanza_id.to_owned() });
        }
        // A carbon copy: the message that counts is inside.
        let inner =
            xml.split_once("<forwarded ").and_then(|(_, rest)| rest.split_once("<message ")).map(|(_, rest)| rest);
        let message = inner.unwrap_or_else(|| &xml["<message ".len()..]);
        let id = message_id(message)?;
        if between(message, "", ">").contains("type='error'") {
            self.refused.insert(id);
            return Some(Event::Refused { id });
        }
        let stanza_id = between(between(message, "<stanza-id ", ">"), " id='", "'");
        let stanza_id =
            if stanza_id.is_empty() { between(between(message, "<stanza-id", ">"), "id='", "'") } else { stanza_id };
        let stanza_id = stanza_id.to_owned();
        Some(match inner {
            Some(_) => Event::Copied { account, device, id, stanza_id },
            None => Event::Received { account, device, id, stanza_id },
        })
    }
}

/// The number in the start tag that a text begins behind the name of.
fn message_id(text: &str) -> Option<u64> {
    let tag = text.split_once('>')?.0;
    format!(" {tag}").split_once(" id='")?.1.split_once('\'')?.0.parse().ok()
}

/// What acknowledged stanzas mean for the history.
pub(crate) fn acknowledged(stanzas: &[Stanza]) -> Vec<Event> {
    let id = |stanza: &Stanza| stanza.id.as_deref()?.parse().ok();
    stanzas
        .iter()
        .filter(|stanza| stanza.kind == Kind::Message)
        .filter_map(id)
        .map(|id| Event::Acknowledged { id })
        .collect()
}
