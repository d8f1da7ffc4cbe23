//! The client's half of stream management (XEP-0198): what was sent and not acknowledged, what was handled, and what is
//! left to do when a session goes on, or another takes its place. Lives longer than the streams that it counts.
//!
//! Who drives an [`Initiate`](super::Initiate) tells it of every stanza that is sent ([`Managed::sent`]) or came
//! ([`Managed::received`]) and of every [`Notice`]. On a new stream the answer to [`Managed::resumption`] goes into the
//! configuration, and what [`Bound`](super::InitiateOutput::Bound) says about it comes back: [`Managed::resumed`] or
//! [`Managed::not_resumed`]. Both say what has to be sent again; nothing else has to be remembered.

use super::{StreamError, control::too_high};
use crate::{
    jid::Jid,
    ns,
    stanza::Stanza,
    xml::{Node, Writer},
};
use bytes::Bytes;
use std::{collections::VecDeque, time::Duration};

/// A session to go on with, for a login (XEP-0198 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumption {
    /// What the server calls the session.
    pub id: Box<str>,
    /// How many of the server's stanzas were handled.
    pub handled: u32,
    /// The session's full address.
    pub address: Jid,
}

/// What became of a [`Resumption`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// None was asked for, or it is not offered.
    None,
    /// The session goes on; so many of our stanzas were handled.
    Resumed(u32),
    /// There is a new session. Of the old one so many of our stanzas were handled, if the server still knows
    /// (XEP-0198 §5: `h` of `<failed/>`).
    Failed(Option<u32>),
}

/// What the server says of a session between stanzas (XEP-0198 §3, §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// `<enabled/>`.
    Enabled(Enabled),
    /// `<failed/>`: the server does not count.
    Failed,
    /// `<a/>`: so many of our stanzas are handled.
    Handled(u32),
    /// `<r/>`: how many have we handled?
    Request,
}

/// The content of `<enabled/>` (XEP-0198 §3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Enabled {
    /// What the session is resumed by, if it can be.
    pub id: Option<Box<str>>,
    /// How long the server keeps it without a connection.
    pub max: Option<Duration>,
    /// Where to connect first for that: a host or address, and a port if there is one.
    pub location: Option<(Box<str>, Option<u16>)>,
}

/// The counts and the queue of a client's session.
#[derive(Debug, Default)]
pub struct Managed {
    state: State,
    enabled: Enabled,
    /// The server's stanzas that were handled, modulo 2^32.
    handled: u32,
    /// How many of ours are acknowledged, modulo 2^32.
    acknowledged: u32,
    unacknowledged: VecDeque<Stanza>,
    /// `<r/>` was sent and not answered.
    is_asked: bool,
    /// How many had been sent when `<r/>` was.
    asked_at: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Nothing is counted.
    #[default]
    Off,
    /// `<enable/>` was sent: what we send counts (§3).
    Asked,
    /// `<enabled/>` came: what comes counts as well.
    On,
}

impl Managed {
    /// Begins to count for a new session that is just bound; [`Managed::request_to_enable`] is to be written before the
    /// session's first stanza.
    pub fn enable(&mut self, max: Option<Duration>) -> Bytes {
        *self = Managed { state: State::Asked, ..Managed::default() };
        Managed::request_to_enable(max)
    }

    /// Begins to count for a new session that the server counts already: it was asked with a login by SASL 2 (XEP-0386).
    pub fn enabled_with_login(&mut self, enabled: Enabled) {
        *self = Managed { state: State::On, enabled, ..Managed::default() };
    }

    /// `<enable/>`. `max`: for how long the session should be kept without a connection, if the server's choice is not right.
    pub fn request_to_enable(max: Option<Duration>) -> Bytes {
        let mut out = Writer::new(ns::CLIENT);
        let seconds = max.map(|max| max.as_secs().to_string());
        out.open("enable", ns::STREAM_MANAGEMENT).attr("resume", "true").attr_opt("max", seconds.as_deref()).close();
        out.finish()
    }

    /// The stanza is being written. It is kept until it is acknowledged.
    pub fn sent(&mut self, stanza: &Stanza) {
        if self.state != State::Off {
            self.unacknowledged.push_back(stanza.clone());
        }
    }

    /// A stanza came.
    pub fn received(&mut self) {
        if self.state == State::On {
            self.handled = self.handled.wrapping_add(1);
        }
    }

    /// What the server says; gives the stanzas that it has acknowledged with it, oldest first. After [`Notice::Failed`]
    /// nobody will: they are given up by [`Managed::give_up`].
    ///
    /// # Errors
    /// The server counts more than it was sent: the stream is to be ended so (§4).
    pub fn notice(&mut self, notice: Notice) -> Result<Vec<Stanza>, StreamError> {
        match notice {
            Notice::Enabled(enabled) if self.state == State::Asked => {
                self.enabled = enabled;
                self.state = State::On;
            }
            Notice::Failed => self.state = State::Off,
            Notice::Handled(handled) => {
                self.is_asked = false;
                return self.acknowledge(handled);
            }
            Notice::Enabled(_) | Notice::Request => {}
        }
        Ok(Vec::new())
    }

    /// What to ask for at the next login, if the session can be resumed. `address`: the session's.
    pub fn resumption(&self, address: &Jid) -> Option<Resumption> {
        let id = self.enabled.id.clone().filter(|_| self.state == State::On)?;
        Some(Resumption { id, handled: self.handled, address: address.clone() })
    }

    /// The session goes on. Gives what the server has acknowledged by that, and what is to be written again now: it is
    /// counted already.
    ///
    /// # Errors
    /// The server counts more than it was sent: the stream is to be ended so.
    pub fn resumed(&mut self, handled: u32) -> Result<(Vec<Stanza>, Vec<Stanza>), StreamError> {
        let acknowledged = self.acknowledge(handled)?;
        (self.is_asked, self.asked_at) = (false, self.acknowledged);
        Ok((acknowledged, self.unacknowledged.iter().cloned().collect()))
    }

    /// The session is over and another one has begun. Gives what was handled in the old one as the server says, and what
    /// was not as far as anybody knows: what is worth it has to be sent again, with the same ids.
    pub fn not_resumed(&mut self, handled: Option<u32>) -> (Vec<Stanza>, Vec<Stanza>) {
        // A count that makes no sense covers nothing: what comes twice is found out by its id, what is lost is lost.
        let acknowledged = handled.and_then(|handled| self.acknowledge(handled).ok()).unwrap_or_default();
        (acknowledged, self.give_up())
    }

    /// Ends the counting: what nobody has acknowledged, oldest first.
    pub fn give_up(&mut self) -> Vec<Stanza> {
        std::mem::take(self).unacknowledged.into()
    }

    /// `<r/>`, if something was sent since the last one, and that one was answered. One at a time keeps their number small
    /// under load, and still each stanza is asked about. A server that answers with less than it was asked about
    /// says more when it can.
    pub fn request(&mut self) -> Option<&'static [u8]> {
        let asks = self.state == State::On && !self.is_asked && self.total() != self.asked_at;
        if asks {
            self.is_asked = true;
            self.asked_at = self.total();
        }
        asks.then_some(b"<r xmlns='urn:xmpp:sm:3'/>")
    }

    /// `<a/>`, if the server counts: to be written for a [`Notice::Request`], and before the stream is closed.
    pub fn answer(&self) -> Option<Bytes> {
        (self.state == State::On).then(|| {
            let mut out = Writer::new(ns::CLIENT);
            out.open("a", ns::STREAM_MANAGEMENT).attr("h", &self.handled.to_string()).close();
            out.finish()
        })
    }

    /// What the server said when it began to count.
    pub fn enabled(&self) -> Option<&Enabled> {
        (self.state == State::On).then_some(&self.enabled)
    }

    /// How many stanzas wait for their acknowledgement.
    pub fn waiting(&self) -> usize {
        self.unacknowledged.len()
    }

    /// How many of ours were sent, modulo 2^32.
    fn total(&self) -> u32 {
        self.acknowledged.wrapping_add(self.unacknowledged.len() as u32)
    }

    fn acknowledge(&mut self, handled: u32) -> Result<Vec<Stanza>, StreamError> {
        let newly = handled.wrapping_sub(self.acknowledged) as usize;
        if newly > self.unacknowledged.len() {
            // Counts go round at 2^32, and what is far behind is old.
            let is_old = newly > (u32::MAX / 2) as usize;
            return if is_old { Ok(Vec::new()) } else { Err(too_high(handled, self.total())) };
        }
        self.acknowledged = handled;
        Ok(self.unacknowledged.drain(..newly).collect())
    }
}

impl Notice {
    /// Reads an element in the namespace of stream management. `None`: a server says no such thing there.
    pub fn read(element: Node<'_>) -> Option<Notice> {
        Some(match element.name() {
            "enabled" => Notice::Enabled(Enabled::read(element)),
            "failed" => Notice::Failed,
            "a" => Notice::Handled(count(element)?),
            "r" => Notice::Request,
            _ => return None,
        })
    }
}

impl Enabled {
    pub(super) fn read(element: Node<'_>) -> Enabled {
        let may_resume = element.attr("resume").is_some_and(|resume| matches!(&*resume, "true" | "1"));
        let id = element.attr("id").filter(|id| may_resume && !id.is_empty());
        let max = element.attr("max").and_then(|max| max.parse().ok());
        Enabled {
            id: id.map(|id| (&*id).into()),
            max: max.map(Duration::from_secs),
            location: element.attr("location").and_then(|place| location(&place)),
        }
    }
}

/// The count in `h`.
pub(super) fn count(element: Node<'_>) -> Option<u32> {
    element.attr("h").filter(|h| h.bytes().all(|byte| byte.is_ascii_digit())).and_then(|h| h.parse().ok())
}

/// A host or address and a port, as RFC 6120 §4.9.3.19 writes them: IPv6 addresses in brackets.
fn location(text: &str) -> Option<(Box<str>, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, behind) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (address, behind.strip_prefix(':').or_else(|| behind.is_empty().then_some(""))?)
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let port = if port.is_empty() { None } else { Some(port.parse().ok()?) };
    let is_name = !host.is_empty() && !host.contains(['/', '@', '[', ']']);
    is_name.then(|| (host.into(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stanza::{Kind, Type};
    use crate::xml::{Document, Scope};

    fn message(id: &str) -> Stanza {
        Stanza::new(Kind::Message, Type::Chat, Bytes::new()).id(Some(id))
    }

    fn ids(stanzas: &[Stanza]) -> Vec<&str> {
        stanzas.iter().filter_map(|stanza| stanza.id.as_deref()).collect()
    }

    fn on() -> Managed {
        let mut managed = Managed::default();
        assert_eq!(managed.enable(None), "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
        ["1", "2", "3"].iter().for_each(|id| managed.sent(&message(id)));
        let enabled = Enabled { id: Some("x".into()), ..Enabled::default() };
        managed.received();
        managed.notice(Notice::Enabled(enabled)).unwrap();
        managed.received();
        managed
    }

    fn read(xml: &'static str) -> Option<Notice> {
        Notice::read(Document::parse(xml.into(), &Scope::new(ns::CLIENT)).unwrap().root())
    }

    #[test]
    fn counting_begins_with_enable_and_with_enabled_xep0198_3() {
        let mut managed = on();
        assert_eq!(managed.answer().unwrap(), "<a xmlns='urn:xmpp:sm:3' h='1'/>", "what came before does not count");
        assert_eq!(ids(&managed.notice(Notice::Handled(2)).unwrap()), ["1", "2"]);
        assert_eq!(managed.waiting(), 1);
        let mut off = Managed::default();
        off.sent(&message("1"));
        off.received();
        assert_eq!((off.waiting(), off.answer(), off.request()), (0, None, None));
    }

    #[test]
    fn one_question_at_a_time() {
        let mut managed = on();
        assert!(managed.request().is_some() && managed.request().is_none());
        managed.sent(&message("4"));
        assert!(managed.request().is_none(), "a question is open");
        managed.notice(Notice::Handled(2)).unwrap();
        assert!(managed.request().is_some());
        managed.notice(Notice::Handled(3)).unwrap();
        assert!(managed.request().is_none(), "the server says more when it can");
        managed.resumed(3).unwrap();
        assert!(managed.request().is_some());
    }

    #[test]
    fn a_resumed_session_sends_the_rest_again_and_keeps_it_xep0198_5() {
        let mut managed = on();
        let address = Jid::parse("juliet@capulet.example/balcony").unwrap();
        assert_eq!(managed.resumption(&address), Some(Resumption { id: "x".into(), handled: 1, address }));
        let (acknowledged, again) = managed.resumed(1).unwrap();
        assert_eq!((ids(&acknowledged), ids(&again)), (vec!["1"], vec!["2", "3"]));
        assert_eq!(managed.waiting(), 2);
        assert!(managed.resumed(4).is_err());
    }

    #[test]
    fn what_a_lost_session_had_handled_is_not_sent_again_xep0198_5() {
        for (handled, done, left) in [
            (Some(2), vec!["1", "2"], vec!["3"]),
            (None, vec![], vec!["1", "2", "3"]),
            (Some(9), vec![], vec!["1", "2", "3"]),
            (Some(3), vec!["1", "2", "3"], vec![]),
        ] {
            let (acknowledged, again) = on().not_resumed(handled);
            assert_eq!((ids(&acknowledged), ids(&again)), (done, left), "{handled:?}");
        }
        // After a crash the count may be behind what was acknowledged before.
        let mut managed = on();
        managed.notice(Notice::Handled(2)).unwrap();
        let (acknowledged, again) = managed.not_resumed(Some(1));
        assert_eq!((ids(&acknowledged), ids(&again)), (vec![], vec!["3"]));
    }

    #[test]
    fn counts_go_round_and_never_back_xep0198_4() {
        let mut managed = on();
        managed.acknowledged = u32::MAX;
        assert_eq!(ids(&managed.notice(Notice::Handled(1)).unwrap()), ["1", "2"]);
        assert!(managed.notice(Notice::Handled(0)).unwrap().is_empty());
        let error = managed.notice(Notice::Handled(3)).unwrap_err();
        assert!(String::from_utf8_lossy(&error.to_bytes()).contains("h='3' send-count='2'"));
    }

    #[test]
    fn a_server_that_does_not_count_leaves_what_nobody_acknowledges() {
        let mut managed = on();
        managed.notice(Notice::Failed).unwrap();
        managed.sent(&message("4"));
        assert_eq!(ids(&managed.give_up()), ["1", "2", "3"]);
        assert_eq!(managed.resumption(&Jid::parse("a@b/c").unwrap()), None);
    }

    #[test]
    fn notices_are_read() {
        let whole = "<enabled xmlns='urn:xmpp:sm:3' id='i' resume='1' max='60' location='[2001:db8::1]:9222'/>";
        let location = Some(("2001:db8::1".into(), Some(9222)));
        let enabled = Enabled { id: Some("i".into()), max: Some(Duration::from_secs(60)), location };
        assert_eq!(read(whole), Some(Notice::Enabled(enabled)));
        assert_eq!(read("<enabled xmlns='urn:xmpp:sm:3' id='i'/>"), Some(Notice::Enabled(Enabled::default())));
        assert_eq!(read("<a xmlns='urn:xmpp:sm:3' h='7'/>"), Some(Notice::Handled(7)));
        assert_eq!(read("<a xmlns='urn:xmpp:sm:3' h='-7'/>"), None);
        assert_eq!(read("<resume xmlns='urn:xmpp:sm:3'/>"), None);
    }

    #[test]
    fn locations_are_hosts_with_or_without_a_port_rfc6120_4_9_3_19() {
        for (text, host, port) in [
            ("a.example", "a.example", None),
            ("a.example:5222", "a.example", Some(5222)),
            ("192.0.2.1:1", "192.0.2.1", Some(1)),
            ("[::1]", "::1", None),
            ("[::1]:5222", "::1", Some(5222)),
        ] {
            assert_eq!(location(text), Some((host.into(), port)), "{text}");
        }
        for wrong in ["", ":5222", "a:b", "a:1:2", "[a]:1", "[::1", "[::1]x", "a:70000", "a/b", "x@a"] {
            assert_eq!(location(wrong), None, "{wrong}");
        }
    }
}
