//! A session with stream management whose connection is cut after any number of bytes: nothing is lost, nothing comes
//! twice, on both sides, whether the session then goes on or not.

use super::{steps::StreamManagement, *};
use crate::stanza::{Kind, Type};

/// What outlives the connections on the server's side.
#[derive(Default)]
struct Session {
    handled: u32,
    /// Ids of what came, and was new.
    received: Vec<String>,
    /// What the client has not acknowledged, and how many it has.
    unacknowledged: Vec<Stanza>,
    acknowledged: u32,
    /// What it is still to be sent.
    left: Vec<Stanza>,
    is_lost: bool,
    is_counted: bool,
}

impl Session {
    fn answer(&mut self, need: &Need) -> Answer {
        let address = Jid::parse("juliet@capulet.example/balcony").unwrap();
        match need {
            Need::Verify { username, .. } => Answer::Verified(Ok(username.clone())),
            Need::Resume { .. } if self.is_lost => Answer::Resumed(Err(NotResumed::Unknown(None))),
            Need::Resume { handled, .. } => {
                self.acknowledge(*handled);
                self.left = std::mem::take(&mut self.unacknowledged).into_iter().chain(self.left.drain(..)).collect();
                Answer::Resumed(Ok(Resumed { address, handled: self.handled }))
            }
            Need::Bind { .. } => {
                self.left = std::mem::take(&mut self.unacknowledged).into_iter().chain(self.left.drain(..)).collect();
                (self.handled, self.acknowledged, self.is_counted) = (0, 0, false);
                Answer::Bound(Ok(address))
            }
            _ => panic!("{need:?}"),
        }
    }

    fn acknowledge(&mut self, handled: u32) {
        let newly = handled - self.acknowledged;
        self.unacknowledged.drain(..newly as usize);
        self.acknowledged = handled;
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        for stanza in std::mem::take(&mut self.left) {
            stanza.write(None, None, &[], out);
            self.unacknowledged.push(stanza);
        }
        out.extend_from_slice(&Signal::Request.to_bytes());
    }

    fn control(&mut self, control: Control, out: &mut Vec<u8>) {
        match control {
            Control::Enable { .. } => {
                self.is_counted = true;
                let enabled = Signal::Enabled(Some(("known".into(), Duration::from_secs(60))));
                out.extend_from_slice(&enabled.to_bytes());
                self.write(out);
            }
            Control::Handled(handled) => self.acknowledge(handled),
            Control::Request => out.extend_from_slice(&Signal::Handled(self.handled).to_bytes()),
            Control::Active(_) => {}
        }
    }
}

/// What outlives the connections on the client's side.
#[derive(Default)]
struct Client {
    managed: Managed,
    address: Option<Jid>,
    left: Vec<Stanza>,
    received: Vec<String>,
    acknowledged: Vec<String>,
    is_bound: bool,
}

impl Client {
    fn output(&mut self, output: InitiateOutput, initiate: &mut Initiate, out: &mut Vec<u8>) {
        match output {
            InitiateOutput::Write(bytes) => out.extend_from_slice(&bytes),
            InitiateOutput::Bound { jid, outcome, .. } => {
                self.is_bound = true;
                let again = match outcome {
                    Outcome::Resumed(handled) => {
                        let (done, again) = self.managed.resumed(handled).unwrap();
                        self.done(done);
                        again.iter().for_each(|stanza| stanza.write(None, None, &[], out));
                        Vec::new()
                    }
                    Outcome::Failed(handled) => {
                        let (done, again) = self.managed.not_resumed(handled);
                        self.done(done);
                        again
                    }
                    Outcome::None => self.managed.give_up(),
                };
                if !matches!(outcome, Outcome::Resumed(_)) {
                    out.extend_from_slice(&self.managed.enable(None));
                }
                self.address = Some(jid);
                for stanza in again.into_iter().chain(self.left.drain(..)) {
                    stanza.write(None, None, &[], out);
                    self.managed.sent(&stanza);
                }
                out.extend_from_slice(self.managed.request().unwrap_or_default());
            }
            InitiateOutput::Notice(notice) => {
                if notice == Notice::Request {
                    out.extend_from_slice(&self.managed.answer().unwrap_or_default());
                }
                let done = self.managed.notice(notice).unwrap();
                self.done(done);
                out.extend_from_slice(self.managed.request().unwrap_or_default());
            }
            InitiateOutput::Stanza(stanza) => {
                self.managed.received();
                let id = stanza.unwrap().id.unwrap().to_string();
                if !self.received.contains(&id) {
                    self.received.push(id);
                }
            }
            InitiateOutput::StartTls => panic!("no TLS was asked for: {initiate:?}"),
            InitiateOutput::Closed(error) => panic!("{error:?}"),
        }
    }

    fn done(&mut self, stanzas: Vec<Stanza>) {
        self.acknowledged.extend(stanzas.into_iter().filter_map(|stanza| stanza.id).map(String::from));
    }
}

/// One connection, until both ends are still or so many bytes have passed in all. Says how many bytes passed.
fn connection(client: &mut Client, session: &mut Session, cut: usize) -> usize {
    let plain = vec![Mechanism::Plain];
    let mut config = AcceptConfig { require_tls: false, mechanisms: plain.clone(), ..accept_config() };
    config.steps.remove(0);
    config.steps.push(&StreamManagement);
    let mut accept = Accept::new(Arc::new(config), start(), None);
    let resumption = client.address.as_ref().and_then(|address| client.managed.resumption(address));
    let config = InitiateConfig { require_tls: false, mechanisms: plain, resumption, ..initiate_config() };
    let mut initiate = Initiate::new(Arc::new(config), start(), None);
    let (mut passed, mut to_client) = (0, Vec::new());
    loop {
        let mut to_server = Vec::new();
        to_client.truncate(cut - passed);
        passed += to_client.len();
        let mut input = &to_client[..];
        while let Some(output) = initiate.poll(&mut input, start()) {
            client.output(output, &mut initiate, &mut to_server);
        }
        to_server.truncate(cut - passed);
        passed += to_server.len();
        to_client = Vec::new();
        let mut input = &to_server[..];
        while let Some(output) = accept.poll(&mut input, start()) {
            match output {
                Output::Write(bytes) => to_client.extend_from_slice(&bytes),
                Output::Need(need) => {
                    let is_resumption = matches!(need, Need::Resume { .. });
                    accept.answer(session.answer(&need));
                    if is_resumption && !session.is_lost {
                        // <resumed/> first.
                        while let Some(Output::Write(bytes)) = accept.poll(&mut &[][..], start()) {
                            to_client.extend_from_slice(&bytes);
                        }
                        session.write(&mut to_client);
                    }
                }
                Output::Control(control) => session.control(control, &mut to_client),
                Output::Stanza(stanza) => {
                    session.handled += u32::from(session.is_counted);
                    let id = stanza.unwrap().id.unwrap().to_string();
                    // What a new session is sent again is known by its id.
                    if !session.received.contains(&id) {
                        session.received.push(id);
                    }
                }
                Output::Bound(_) => {}
                Output::StartTls | Output::Closed(_) | Output::Gone => panic!("{output:?}"),
            }
        }
        if to_client.is_empty() || passed == cut {
            return passed;
        }
    }
}

fn stanzas(ids: [&str; 4]) -> Vec<Stanza> {
    ids.map(|id| Stanza::new(Kind::Message, Type::Chat, "<body>x</body>".into()).id(Some(id))).into()
}

#[test]
fn a_cut_at_any_byte_loses_and_doubles_nothing() {
    let (ours, theirs) = (["c1", "c2", "c3", "c4"], ["s1", "s2", "s3", "s4"]);
    let mut resumed = 0;
    for is_lost in [false, true] {
        for cut in 1.. {
            let mut client = Client { left: stanzas(ours), ..Client::default() };
            let mut session = Session { left: stanzas(theirs), ..Session::default() };
            let passed = connection(&mut client, &mut session, cut);
            // What was written is on its way; a client that is not bound has written nothing.
            resumed += usize::from(client.managed.resumption(&Jid::parse("a@b/c").unwrap()).is_some() && !is_lost);
            session.is_lost = is_lost;
            connection(&mut client, &mut session, usize::MAX);
            assert_eq!(session.received, ours, "to the server, cut after {cut}");
            assert_eq!(client.received, theirs, "to the client, cut after {cut}");
            assert_eq!(client.acknowledged, ours, "acknowledged, cut after {cut}");
            assert_eq!((client.managed.waiting(), session.unacknowledged.len()), (0, 0), "cut after {cut}");
            assert!(client.is_bound);
            if passed < cut {
                break;
            }
        }
    }
    assert!(resumed > 100, "only {resumed} cuts hit a session that can be resumed");
}

#[test]
fn a_server_that_counts_too_much_is_left_xep0198_4() {
    let mut peer = super::client::logged_in(super::client::BIND).0;
    peer.send(super::client::BOUND);
    let mut managed = Managed::default();
    managed.enable(None);
    peer.send("<a xmlns='urn:xmpp:sm:3' h='3'/>");
    let error = managed.notice(peer.notices.remove(0)).unwrap_err();
    peer.initiate.abort(error);
    let end = peer.send("");
    assert!(end.contains("<handled-count-too-high ") && end.ends_with("</stream:error></stream:stream>"), "{end}");
}

#[test]
fn how_many_were_handled_is_taken_from_failed_xep0198_5() {
    let offer = super::client::BIND.replace("<bind", "<sm xmlns='urn:xmpp:sm:3'/><bind");
    for (answer, outcome) in [("h='7'", Outcome::Failed(Some(7))), ("", Outcome::Failed(None))] {
        let address = Jid::parse("juliet@capulet.example/balcony").unwrap();
        let resumption = Some(Resumption { id: "i&i".into(), handled: 5, address });
        let config = InitiateConfig { resumption, ..initiate_config() };
        let (mut peer, sent) = super::client::logged_in_with(config, &offer);
        assert_eq!(sent, "<resume xmlns='urn:xmpp:sm:3' previd='i&amp;i' h='5'/>");
        let bind = peer.send(format!("<failed xmlns='urn:xmpp:sm:3' {answer}><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"));
        assert!(bind.starts_with("<iq id='bind'"), "{bind}");
        peer.send(super::client::BOUND);
        assert_eq!(peer.outcome, outcome);
    }
}
