//! What of a client outlives its connections: the requests that wait for answers, the stanzas that wait for their
//! acknowledgement (XEP-0198), and what was handed over while there was no connection.

use super::{Config, Event, io::Io, requests::Requests};
use crate::dns::Target;
use linnet_xmpp::{
    Jid, Stanza,
    stanza::{Kind, Type},
    stream::{Managed, Notice, Outcome, Resumption, StreamError},
};

/// While so many stanzas are not acknowledged, handles wait.
const MOST_UNACKNOWLEDGED: usize = 1000;

/// The session of a client with its server, which may be a new one with each connection.
#[derive(Debug)]
pub(super) struct Session {
    managed: Managed,
    pub(super) requests: Requests,
    /// The full address, once it was bound.
    address: Option<Jid>,
    /// Where the server wants the session to be resumed.
    location: Option<Target>,
    /// Handed over while there was no connection.
    held: Vec<Stanza>,
}

impl Session {
    pub(super) fn new() -> Session {
        Session {
            managed: Managed::default(),
            requests: Requests::new(crate::random),
            address: None,
            location: None,
            held: Vec::new(),
        }
    }

    /// What to ask for at the next login.
    pub(super) fn resumption(&self) -> Option<Resumption> {
        self.managed.resumption(self.address.as_ref()?)
    }

    /// Where to connect before all other places.
    pub(super) fn location(&self) -> Option<Target> {
        self.location.clone().filter(|_| self.resumption().is_some())
    }

    /// A connection has ended. Requests outlive it only if the session can go on.
    pub(super) fn disconnected(&mut self) {
        if self.resumption().is_none() {
            self.requests = Requests::new(crate::random);
        }
    }

    /// Keeps a stanza for the next connection.
    pub(super) fn hold(&mut self, stanza: Stanza) {
        let stanza = self.named(stanza);
        self.held.push(stanza);
    }

    /// Negotiation is over: goes on with the session, or begins to count for a new one, in which messages are sent again
    /// that the old one lost. Gives the events that follow from it.
    pub(super) fn bound(
        &mut self,
        config: &Config,
        (jid, outcome, is_offered): (&Jid, Outcome, bool),
        io: &mut Io,
    ) -> Result<Vec<Event>, StreamError> {
        self.address = Some(jid.clone());
        let held = std::mem::take(&mut self.held);
        if let Outcome::Resumed(handled) = outcome {
            let (acknowledged, again) = self.managed.resumed(handled)?;
            again.iter().for_each(|stanza| put(stanza, io));
            held.iter().for_each(|stanza| self.write(stanza, io));
            self.ask(io);
            return Ok(delivered(acknowledged));
        }
        let handled = if let Outcome::Failed(handled) = outcome { handled } else { None };
        let (acknowledged, lost) = self.managed.not_resumed(handled);
        self.requests = Requests::new(crate::random);
        self.location = None;
        if config.stream_management && is_offered {
            io.out().extend_from_slice(&self.managed.enable(config.resume_for));
        }
        let mut events = delivered(acknowledged);
        for stanza in lost.into_iter().filter(is_worth_repeating) {
            self.write(&stanza, io);
            events.push(Event::Resent(stanza));
        }
        held.iter().filter(|stanza| is_worth_repeating(stanza)).for_each(|stanza| self.write(stanza, io));
        Ok(events)
    }

    /// Writes a stanza of the application's, with an id by which the server knows a second copy.
    pub(super) fn send(&mut self, stanza: Stanza, io: &mut Io) {
        let stanza = self.named(stanza);
        self.write(&stanza, io);
    }

    /// Writes a stanza, which is counted.
    pub(super) fn write(&mut self, stanza: &Stanza, io: &mut Io) {
        put(stanza, io);
        self.managed.sent(stanza);
        self.ask(io);
    }

    fn named(&mut self, stanza: Stanza) -> Stanza {
        if stanza.kind == Kind::Message && stanza.id.is_none() {
            return stanza.id(Some(&self.requests.id()));
        }
        stanza
    }

    fn ask(&mut self, io: &mut Io) {
        io.out().extend_from_slice(self.managed.request().unwrap_or_default());
    }

    /// A stanza came.
    pub(super) fn received(&mut self) {
        self.managed.received();
    }

    /// What the server says about the session. `reached`: where this connection leads. Gives the events that follow.
    pub(super) fn notice(&mut self, notice: Notice, reached: &Target, io: &mut Io) -> Result<Vec<Event>, StreamError> {
        let events = match notice {
            Notice::Request => {
                self.answer(io);
                Vec::new()
            }
            Notice::Failed => self.give_up(),
            notice => delivered(self.managed.notice(notice)?),
        };
        self.location = self
            .managed
            .enabled()
            .and_then(|enabled| enabled.location.clone())
            .map(|(host, port)| Target { host, port: port.unwrap_or(reached.port), security: reached.security });
        self.ask(io);
        Ok(events)
    }

    /// Tells the server what was handled.
    pub(super) fn answer(&self, io: &mut Io) {
        io.out().extend_from_slice(&self.managed.answer().unwrap_or_default());
    }

    /// Whether everything sent is acknowledged, as far as anything is counted.
    pub(super) fn is_settled(&self) -> bool {
        self.managed.waiting() == 0
    }

    /// Whether more may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.managed.waiting() < MOST_UNACKNOWLEDGED
    }

    /// Nobody will acknowledge what is left.
    pub(super) fn give_up(&mut self) -> Vec<Event> {
        let left = self.managed.give_up().into_iter().chain(self.held.drain(..));
        left.filter(|stanza| stanza.kind == Kind::Message).map(Event::Unacknowledged).collect()
    }
}

/// Requests have answers, and presence says what is, not what was: only messages are reported.
fn delivered(acknowledged: Vec<Stanza>) -> Vec<Event> {
    acknowledged.into_iter().filter(|stanza| stanza.kind == Kind::Message).map(Event::Acknowledged).collect()
}

/// In a session other than the one it was meant for. Errors answer what nobody waits for any more.
fn is_worth_repeating(stanza: &Stanza) -> bool {
    stanza.kind == Kind::Message && stanza.ty != Type::Error
}

fn put(stanza: &Stanza, io: &mut Io) {
    let mut bytes = Vec::with_capacity(256);
    stanza.write(None, None, &[], &mut bytes);
    io.out().extend_from_slice(&bytes);
}
