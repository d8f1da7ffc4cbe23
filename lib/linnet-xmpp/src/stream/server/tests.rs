//! Both sides in one thread: what one writes the other reads, and what a driver would do is done here.

use super::*;
use crate::{
    stanza::{Condition, StanzaError},
    stream::StreamCondition,
};
use std::{sync::Arc, time::Instant};

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
    xmlns:stream='http://etherx.jabber.org/streams' from='b.example' to='a.example' version='1.0'>";
const MESSAGE: &str = "<message from='x@b.example' to='y@a.example'><body>hi</body></message>";

fn config(own: &'static str, secret: u8) -> Arc<ServerConfig> {
    Arc::new(ServerConfig {
        serves: Box::new(move |domain| domain == own || domain.strip_suffix(own).is_some_and(|sub| sub == "rooms.")),
        secret: [secret; 32],
        limit_before: 10_000,
        limit_after: 100_000,
        timeout: Duration::from_secs(60),
        bidi: true,
        random: |bytes| bytes.fill(7),
    })
}

fn pair(local: &str, remote: &str) -> Pair {
    Pair { local: local.into(), remote: remote.into() }
}

/// The accepting side under test, with what came out of it.
struct Accepted {
    stream: ServerAccept,
    now: Instant,
    identity: Identity,
    verdict: Option<Verdict>,
    written: String,
    proved: Vec<(Pair, ServerProof)>,
    stanzas: usize,
    claims: Vec<Claim>,
    closed: Option<Option<ServerError>>,
}

impl Accepted {
    fn new(identity: Identity) -> Accepted {
        let now = Instant::now();
        let stream = ServerAccept::new(config("a.example", 1), now, true);
        let (written, proved, claims) = (String::new(), Vec::new(), Vec::new());
        let verdict = Some(Verdict::Valid);
        Accepted { stream, now, identity, verdict, written, proved, stanzas: 0, claims, closed: None }
    }

    /// After a dialback for b.example.
    fn proved() -> Accepted {
        let mut accepted = Accepted::new(Identity::Unproven);
        accepted.send(HEADER);
        accepted.send("<db:result from='b.example' to='a.example'>k</db:result>");
        assert_eq!(accepted.proved, [(pair("a.example", "b.example"), ServerProof::Dialback)]);
        accepted
    }

    fn send(&mut self, text: &str) -> String {
        let mut input = text.as_bytes();
        while let Some(output) = self.stream.poll(&mut input, self.now) {
            match output {
                ServerOutput::Write(bytes) => self.written.push_str(std::str::from_utf8(&bytes).unwrap()),
                ServerOutput::Identify(_) => self.stream.identified(self.identity.clone()),
                ServerOutput::Dialback(claim) => {
                    if let Some(verdict) = self.verdict.clone() {
                        self.stream.dialback(&claim.pair, verdict);
                    }
                    self.claims.push(claim);
                }
                ServerOutput::Proved(pair, proof) => self.proved.push((pair, proof)),
                ServerOutput::Stanza(stanza) => self.stanzas += usize::from(stanza.is_ok()),
                ServerOutput::Closed(error) => self.closed = Some(error),
                other => panic!("{other:?}"),
            }
        }
        std::mem::take(&mut self.written)
    }

    fn condition(&self) -> Option<StreamCondition> {
        match &self.closed {
            Some(Some(ServerError::Local(error))) => Some(error.condition),
            _ => None,
        }
    }
}

/// Lets two sides talk until both are silent. Gives what the acceptor was shown, and how the initiator ended.
fn converse(accepted: &mut Accepted, initiate: &mut ServerInitiate) -> Option<Option<ServerError>> {
    let mut to_initiator = String::new();
    let mut ended = None;
    for _ in 0..20 {
        let mut to_acceptor = String::new();
        let mut input = to_initiator.as_bytes();
        while let Some(output) = initiate.poll(&mut input, accepted.now) {
            match output {
                ServerOutput::Write(bytes) => to_acceptor.push_str(std::str::from_utf8(&bytes).unwrap()),
                ServerOutput::Closed(error) => ended = Some(error),
                ServerOutput::Proved(pair, proof) => {
                    assert_eq!(pair, self::pair("b.example", "a.example"));
                    assert_eq!(accepted.proved, [(self::pair("a.example", "b.example"), proof)]);
                }
                ServerOutput::Management(Management::Offered) => {}
                other => panic!("{other:?}"),
            }
        }
        to_initiator = accepted.send(&to_acceptor);
        if to_acceptor.is_empty() && to_initiator.is_empty() {
            break;
        }
    }
    ended
}

fn stanzas(trusted: bool) -> Purpose {
    Purpose::Stanzas { certificate: true, trusted }
}

fn initiate(purpose: Purpose) -> ServerInitiate {
    let pair = pair("b.example", "a.example");
    ServerInitiate::new(config("b.example", 2), pair, purpose, Instant::now(), true)
}

#[test]
fn a_certificate_that_is_good_logs_in_xep0178() {
    let mut accepted = Accepted::new(Identity::Certificate);
    let mut initiate = initiate(stanzas(true));
    assert_eq!(converse(&mut accepted, &mut initiate), None);
    assert_eq!(accepted.proved, [(pair("a.example", "b.example"), ServerProof::External)]);
    assert!(initiate.is_bidi() && accepted.stream.is_bidi());
    accepted.send(MESSAGE);
    // A certificate proves the domain, whomever of ours it writes to.
    accepted.send(&MESSAGE.replace("a.example", "rooms.a.example"));
    assert_eq!((accepted.stanzas, &accepted.closed), (2, &None));
}

#[test]
fn without_a_good_certificate_dialback_tells_xep0220() {
    let mut accepted = Accepted::new(Identity::Unproven);
    let mut initiate = initiate(stanzas(false));
    assert_eq!(converse(&mut accepted, &mut initiate), None);
    assert_eq!(accepted.proved, [(pair("a.example", "b.example"), ServerProof::Dialback)]);
    assert!(!initiate.is_bidi(), "stanzas come back only from who has shown a good certificate");
    // The key is the one that the domain would call its own.
    let claim = &accepted.claims[0];
    assert_eq!(*claim.key, *dialback::key(&[2; 32], "a.example", "b.example", &claim.id));
}

#[test]
fn a_wrong_key_ends_the_stream_and_a_failure_does_not_xep0220_2_2_1() {
    let mut accepted = Accepted::new(Identity::Unproven);
    accepted.verdict = Some(Verdict::Invalid);
    let ended = converse(&mut accepted, &mut initiate(stanzas(false)));
    assert_eq!(ended, Some(Some(ServerError::WrongKey)));
    assert_eq!(accepted.closed, Some(None));
    accepted.send(MESSAGE);
    assert_eq!(accepted.stanzas, 0);
    let mut accepted = Accepted::new(Identity::Unproven);
    let error = StanzaError::new(Condition::RemoteServerTimeout);
    accepted.verdict = Some(Verdict::Failed(error));
    let ended = converse(&mut accepted, &mut initiate(stanzas(false)));
    assert!(
        matches!(ended, Some(Some(ServerError::Dialback(error))) if error.condition == Condition::RemoteServerTimeout)
    );
    assert_eq!(accepted.closed, Some(None), "the initiator has closed it");
}

#[test]
fn the_authoritative_server_knows_its_own_keys() {
    let ask = |key: &str, id: &str| {
        let mut accepted = Accepted::new(Identity::Unproven);
        accepted.send(HEADER);
        accepted.send(&format!("<db:verify from='b.example' to='a.example' id='{id}'>{key}</db:verify>"))
    };
    let right = dialback::key(&[1; 32], "b.example", "a.example", "s1");
    assert_eq!(ask(&right, "s1"), "<db:verify from='a.example' to='b.example' id='s1' type='valid'/>");
    // Replayed for another stream, or made by somebody else.
    assert!(ask(&right, "s2").contains("type='invalid'"));
    assert!(ask("00", "s1").contains("type='invalid'"));
}

#[test]
fn a_key_can_be_asked_about() {
    let claim = |key: String| Claim { pair: pair("b.example", "a.example"), id: "s".into(), key: key.into() };
    for (key, wanted) in [
        (dialback::key(&[1; 32], "b.example", "a.example", "s"), Verdict::Valid),
        ("wrong".to_owned(), Verdict::Invalid),
    ] {
        let mut accepted = Accepted::new(Identity::Unproven);
        let mut initiate = initiate(Purpose::Verify(claim(key)));
        let (mut to_initiator, mut verdict) = (String::new(), None);
        for _ in 0..4 {
            let mut to_acceptor = String::new();
            let mut input = to_initiator.as_bytes();
            while let Some(output) = initiate.poll(&mut input, accepted.now) {
                match output {
                    ServerOutput::Write(bytes) => to_acceptor.push_str(std::str::from_utf8(&bytes).unwrap()),
                    ServerOutput::Verdict(said) => verdict = Some(said),
                    ServerOutput::Closed(error) => assert_eq!(error, None),
                    other => panic!("{other:?}"),
                }
            }
            to_initiator = accepted.send(&to_acceptor);
        }
        assert_eq!(verdict, Some(wanted));
    }
}

#[test]
fn stanzas_come_only_from_what_was_proved() {
    for (stanza, condition) in [
        (MESSAGE.replace("b.example", "other.example"), StreamCondition::InvalidFrom),
        (MESSAGE.replace("b.example", "sub.b.example"), StreamCondition::InvalidFrom),
        (MESSAGE.replace("b.example", "a.example"), StreamCondition::InvalidFrom),
        (MESSAGE.replace("a.example", "rooms.a.example"), StreamCondition::InvalidFrom),
        (MESSAGE.replace("a.example", "third.example"), StreamCondition::HostUnknown),
        (MESSAGE.replace(" from='x@b.example'", ""), StreamCondition::ImproperAddressing),
        (MESSAGE.replace(" to='y@a.example'", ""), StreamCondition::ImproperAddressing),
    ] {
        let mut accepted = Accepted::proved();
        accepted.send(&stanza);
        assert_eq!((accepted.stanzas, accepted.condition()), (0, Some(condition)), "{stanza}");
    }
    let mut accepted = Accepted::new(Identity::Certificate);
    accepted.send(HEADER);
    accepted.send(MESSAGE);
    assert_eq!((accepted.stanzas, accepted.condition()), (0, Some(StreamCondition::NotAuthorized)));
}

#[test]
fn more_domains_on_one_stream_are_proved_one_by_one_xep0220_2_6() {
    let mut accepted = Accepted::proved();
    accepted.send("<db:result from='b.example' to='rooms.a.example'>k</db:result>");
    accepted.send(&MESSAGE.replace("a.example", "rooms.a.example"));
    accepted.send("<db:result from='rooms.b.example' to='a.example'>k</db:result>");
    accepted.send(&MESSAGE.replace("b.example", "rooms.b.example"));
    assert_eq!((accepted.stanzas, accepted.proved.len()), (2, 3));
    let answer = accepted.send("<db:result from='b.example' to='nobody.example'>k</db:result>");
    assert!(answer.contains("type='error'") && answer.contains("item-not-found"), "{answer}");
    accepted.send(MESSAGE);
    assert_eq!((accepted.stanzas, &accepted.closed), (3, &None));
    // Keys that nobody answers for are bounded.
    accepted.verdict = None;
    let all: String = (0..20).map(|n| format!("<db:result from='n{n}.example' to='a.example'>k</db:result>")).collect();
    assert_eq!(accepted.send(&all).matches("resource-constraint").count(), 4);
}

#[test]
fn answers_to_what_nobody_asked_end_the_stream() {
    for element in [
        "<db:result from='victim.example' to='a.example' type='valid'/>",
        "<db:verify from='victim.example' to='a.example' id='x' type='valid'/>",
    ] {
        let mut accepted = Accepted::new(Identity::Unproven);
        accepted.send(HEADER);
        accepted.send(element);
        accepted.send(&MESSAGE.replace("b.example", "victim.example"));
        assert_eq!((accepted.stanzas, accepted.condition()), (0, Some(StreamCondition::NotAuthorized)));
    }
}

#[test]
fn headers_that_are_wrong_are_answered() {
    for (header, condition) in [
        (HEADER.replace("to='a.example'", "to='c.example'"), StreamCondition::HostUnknown),
        (HEADER.replace(" to='a.example'", ""), StreamCondition::HostUnknown),
        (HEADER.replace("from='b.example'", "from='a.example'"), StreamCondition::InvalidFrom),
        (HEADER.replace("from='b.example'", "from='x@b.example'"), StreamCondition::InvalidFrom),
        (HEADER.replace(" version='1.0'>", ">"), StreamCondition::UnsupportedVersion),
        (HEADER.replace("'jabber:server'", "'jabber:client'"), StreamCondition::InvalidNamespace),
    ] {
        let mut accepted = Accepted::new(Identity::Unproven);
        let answer = accepted.send(&header);
        assert_eq!(accepted.condition(), Some(condition), "{header}");
        assert!(answer.contains("<stream:stream") && answer.ends_with("</stream:stream>"), "{answer}");
    }
}

#[test]
fn external_needs_a_certificate_and_the_name_in_it() {
    let auth = |identity, name: &str| {
        let mut accepted = Accepted::new(identity);
        accepted.send(HEADER);
        let name = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, name);
        let auth = format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{name}</auth>");
        let answer = accepted.send(&auth);
        assert!(accepted.proved.is_empty() || answer.contains("<success"));
        answer
    };
    assert!(auth(Identity::Certificate, "b.example").contains("<success"));
    assert!(auth(Identity::Certificate, "B.example").contains("<success"));
    assert!(auth(Identity::Certificate, "c.example").contains("<invalid-authzid"));
    assert!(auth(Identity::Unproven, "b.example").contains("<not-authorized"));
    let refused = StreamError::new(StreamCondition::NotAuthorized).text("expired");
    let mut accepted = Accepted::new(Identity::Refused(refused));
    assert!(accepted.send(HEADER).contains("expired"));
    assert_eq!(accepted.condition(), Some(StreamCondition::NotAuthorized));
}

#[test]
fn who_proves_nothing_in_time_is_left() {
    let mut accepted = Accepted::new(Identity::Unproven);
    accepted.send(HEADER);
    accepted.now += Duration::from_secs(61);
    accepted.send("");
    assert_eq!(accepted.condition(), Some(StreamCondition::ConnectionTimeout));
    let mut accepted = Accepted::proved();
    accepted.now += Duration::from_secs(3600);
    accepted.send(MESSAGE);
    assert_eq!((accepted.stanzas, accepted.closed), (1, None));
}

#[test]
fn nothing_goes_before_tls() {
    let now = Instant::now();
    let mut stream = ServerAccept::new(config("a.example", 1), now, false);
    let mut input = HEADER.as_bytes();
    let mut written = String::new();
    while let Some(output) = stream.poll(&mut input, now) {
        let ServerOutput::Write(bytes) = output else { panic!("{output:?}") };
        written.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    assert!(written.contains("<starttls") && written.contains("<required/>") && !written.contains("dialback'>"));
    let mut input = b"<db:result from='b.example' to='a.example'>k</db:result>".as_slice();
    let outputs: Vec<_> = std::iter::from_fn(|| stream.poll(&mut input, now)).collect();
    let Some(ServerOutput::Closed(Some(ServerError::Local(error)))) = outputs.last() else { panic!("{outputs:?}") };
    assert_eq!(error.condition, StreamCondition::PolicyViolation);
}
