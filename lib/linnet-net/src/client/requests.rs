//! Requests that wait for their answer, and who may give it.

use super::RequestError;
use linnet_xmpp::{Jid, Stanza, StanzaError, stanza::Type};
use std::collections::HashMap;
use tokio::sync::oneshot;

/// The requests of one connection.
#[derive(Debug)]
pub(super) struct Requests {
    /// Drawn anew for each connection, so that nobody can guess the ids.
    prefix: String,
    count: u64,
    waiting: HashMap<Box<str>, Waiting>,
    /// At this number those that nobody waits for any more are thrown out.
    sweep_at: usize,
}

#[derive(Debug)]
struct Waiting {
    to: Option<Jid>,
    reply: oneshot::Sender<Result<Stanza, RequestError>>,
}

impl Requests {
    pub(super) fn new(random: fn(&mut [u8])) -> Requests {
        let mut bytes = [0; 8];
        random(&mut bytes);
        let prefix = format!("{:016x}", u64::from_le_bytes(bytes));
        Requests { prefix, count: 0, waiting: HashMap::new(), sweep_at: 64 }
    }

    /// An id that was not given before.
    pub(super) fn id(&mut self) -> String {
        self.count += 1;
        format!("{}-{:x}", self.prefix, self.count)
    }

    /// Gives a request its id and remembers it.
    pub(super) fn add(&mut self, stanza: Stanza, reply: oneshot::Sender<Result<Stanza, RequestError>>) -> Stanza {
        if self.waiting.len() >= self.sweep_at {
            self.waiting.retain(|_, waiting| !waiting.reply.is_closed());
            self.sweep_at = (self.waiting.len() * 2).max(64);
        }
        let id = self.id();
        let stanza = stanza.id(Some(&id));
        self.waiting.insert(id.into(), Waiting { to: stanza.to.clone(), reply });
        stanza
    }

    /// Hands an answer to who waits for it. What nobody asked for, or asked somebody else, is dropped: an answer counts
    /// only from whom the request went to.
    pub(super) fn answer(&mut self, stanza: Stanza, own: &Jid) {
        let Some(id) = stanza.id.as_deref() else { return };
        let Some(waiting) = self.waiting.get(id) else { return };
        if !may_answer(waiting.to.as_ref(), stanza.from.as_ref(), own) {
            tracing::debug!(from = ?stanza.from, "an answer from somebody who was not asked");
            return;
        }
        let Some(waiting) = self.waiting.remove(id) else { return };
        let result = match stanza.ty {
            Type::Error => Err(RequestError::Refused(
                StanzaError::read(&stanza)
                    .unwrap_or_else(|| StanzaError::new(linnet_xmpp::stanza::Condition::UndefinedCondition)),
            )),
            _ => Ok(stanza),
        };
        // Who asked may have given up.
        let _ = waiting.reply.send(result);
    }
}

/// Whether an answer from `from` is one to a request to `to`. Without `to` the own server is asked on behalf of the
/// account (RFC 6120 §8.1.2.1, §10.3.3); servers answer with the bare address, the full one, their domain or none.
fn may_answer(to: Option<&Jid>, from: Option<&Jid>, own: &Jid) -> bool {
    let own_side = |jid: &Jid| *jid == own.bare() || *jid == own.domain_jid();
    match (to, from) {
        (None, None) => true,
        (None, Some(from)) => own_side(from) || from == own,
        (Some(to), None) => own_side(to),
        (Some(to), Some(from)) => to == from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linnet_xmpp::stanza::Kind;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    #[test]
    fn only_who_was_asked_may_answer() {
        let own = jid("me@example.org/r");
        for (to, from, may) in [
            (None, None, true),
            (None, Some("me@example.org"), true),
            (None, Some("me@example.org/r"), true),
            (None, Some("example.org"), true),
            (None, Some("me@example.org/other"), false),
            (None, Some("evil.example"), false),
            (Some("me@example.org"), None, true),
            (Some("example.org"), None, true),
            (Some("you@example.net"), None, false),
            (Some("you@example.net"), Some("you@example.net"), true),
            (Some("you@example.net"), Some("you@example.net/r"), false),
            (Some("you@example.net/r"), Some("you@example.net"), false),
        ] {
            let (to_jid, from_jid) = (to.map(jid), from.map(jid));
            assert_eq!(may_answer(to_jid.as_ref(), from_jid.as_ref(), &own), may, "{to:?} {from:?}");
        }
    }

    #[test]
    fn answers_find_their_request() {
        let own = jid("me@example.org/r");
        let mut requests = Requests::new(crate::random);
        let (reply, mut answer) = oneshot::channel();
        let asked = requests.add(Stanza::new(Kind::Iq, Type::Get, "<x xmlns='a'/>".into()), reply);
        let id = asked.id.clone();
        let result = |id: Option<&str>| Stanza::new(Kind::Iq, Type::Result, bytes::Bytes::new()).id(id);
        requests.answer(result(Some("other")), &own);
        requests.answer(result(id.as_deref()).from(jid("evil.example")), &own);
        assert!(answer.try_recv().is_err());
        requests.answer(result(id.as_deref()), &own);
        assert!(answer.try_recv().unwrap().is_ok());
    }

    #[test]
    fn those_that_nobody_waits_for_are_thrown_out() {
        let mut requests = Requests::new(crate::random);
        for _ in 0..1000 {
            let (reply, _) = oneshot::channel();
            requests.add(Stanza::new(Kind::Iq, Type::Get, "<x xmlns='a'/>".into()), reply);
        }
        assert!(requests.waiting.len() <= 64);
    }
}
