//! Sessions without the loop: what goes to the stream, and who gets which answer.

use super::{
    body,
    session::{Fate, Session},
};
use std::{
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};
use tokio::sync::oneshot::{Receiver, error::TryRecvError};

struct Test {
    session: Session,
    now: Instant,
}

fn request(rid: u64, attributes: &str, content: &str) -> body::Request {
    let text = format!(
        "<body xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh' rid='{rid}'{attributes}>{content}</body>"
    );
    body::read(text.into()).unwrap()
}

const MESSAGE: &str = "<message xmlns='jabber:client'/>";

impl Test {
    /// With the first request answered; it has the id 100.
    fn new(attributes: &str) -> Test {
        let now = Instant::now();
        let first = request(100, attributes, "");
        let test = Test { session: Session::new("s".to_owned(), &first, now), now };
        let mut answer = test.hangs(first);
        assert!(test.input().starts_with("<open "));
        test.say("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' from='a.example' version='1.0'/>");
        assert!(taken(&mut answer).unwrap().contains(" sid='s' wait='"));
        test
    }

    fn ask(&self, rid: u64, attributes: &str, content: &str) -> Fate {
        self.session.take(request(rid, attributes, content), self.now)
    }

    fn hangs(&self, request: body::Request) -> Receiver<bytes::Bytes> {
        match self.session.take(request, self.now) {
            Fate::Held(receiver) => receiver,
            Fate::Answered(body) => panic!("{body:?}"),
        }
    }

    /// What came for the stream, without the frames' heads, which are not text.
    fn input(&self) -> String {
        match self.session.poll_input(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(bytes) => {
                let mut frames = linnet_xmpp::stream::framing::frames::Frames::new(
                    1 << 20,
                    linnet_xmpp::stream::framing::frames::Sender::Client,
                );
                let (mut input, mut all) = (&bytes[..], String::new());
                while let Some(message) = frames.next(&mut input).unwrap() {
                    if let linnet_xmpp::stream::framing::frames::Message::Text(text) = message {
                        all.push_str(std::str::from_utf8(&text).unwrap());
                    }
                }
                all
            }
            Poll::Pending => String::new(),
        }
    }

    fn say(&self, element: &str) -> bool {
        let mut out = Vec::new();
        linnet_xmpp::stream::framing::frames::text(element.as_bytes(), None, &mut out);
        self.session.write(&out);
        self.session.poll_flush(&mut Context::from_waker(Waker::noop())).is_ready()
    }
}

fn taken(receiver: &mut Receiver<bytes::Bytes>) -> Option<String> {
    match receiver.try_recv() {
        Ok(body) => Some(String::from_utf8(body.to_vec()).unwrap()),
        Err(TryRecvError::Empty) => None,
        Err(TryRecvError::Closed) => panic!("no answer"),
    }
}

fn answered(fate: Fate) -> String {
    match fate {
        Fate::Answered(body) => String::from_utf8(body.to_vec()).unwrap(),
        Fate::Held(mut receiver) => taken(&mut receiver).expect("an answer at once"),
    }
}

#[test]
fn requests_hang_until_there_is_something_to_say() {
    let test = Test::new("");
    let mut hanging = test.hangs(request(101, "", ""));
    assert_eq!(taken(&mut hanging), None);
    assert!(test.say(MESSAGE));
    assert!(taken(&mut hanging).unwrap().contains(MESSAGE));
    // Nobody hangs: what is said waits, and the loop with it.
    assert!(!test.say(MESSAGE));
    assert!(answered(test.ask(102, "", "")).contains(MESSAGE));
    assert!(test.session.poll_flush(&mut Context::from_waker(Waker::noop())).is_ready());
}

#[test]
fn one_more_request_than_may_hang_answers_the_oldest() {
    let test = Test::new("");
    let mut first = test.hangs(request(101, "", ""));
    let mut second = test.hangs(request(102, "", MESSAGE));
    assert!(taken(&mut first).unwrap().ends_with("'/>"));
    assert_eq!((taken(&mut second), &*test.input()), (None, MESSAGE));
    test.session.expire(102, test.now);
    assert!(taken(&mut second).unwrap().ends_with("'/>"));
}

#[test]
fn content_is_in_the_order_of_ids() {
    let test = Test::new("");
    let mut second = test.hangs(request(102, "", "<b xmlns='b'/>"));
    assert_eq!(test.input(), "");
    // What is said meanwhile waits for the request that is missing.
    test.say(MESSAGE);
    assert_eq!(taken(&mut second), None);
    assert!(answered(test.ask(101, "", "<a xmlns='a'/>")).contains(MESSAGE));
    assert_eq!(test.input(), "<a xmlns='a'/><b xmlns='b'/>");
    assert_eq!(taken(&mut second), None);
}

#[test]
fn ids_out_of_the_window_end_the_session_xep0124_14_2() {
    let test = Test::new("");
    assert!(answered(test.ask(99, "", MESSAGE)).contains("condition='item-not-found'"));
    let mut hanging = test.hangs(request(101, "", ""));
    assert!(answered(test.ask(600, "", MESSAGE)).contains("condition='item-not-found'"));
    assert!(taken(&mut hanging).unwrap().contains("type='terminate'"));
    assert_eq!(test.input(), "");
}

#[test]
fn a_repeated_request_gets_the_same_answer_and_is_not_done_twice_xep0124_14_3() {
    let test = Test::new("");
    let mut hanging = test.hangs(request(101, "", MESSAGE));
    assert_eq!(test.input(), MESSAGE);
    test.say("<presence xmlns='jabber:client'/>");
    let answer = taken(&mut hanging).unwrap();
    assert_eq!(answered(test.ask(101, "", MESSAGE)), answer);
    assert_eq!(test.input(), "");
    // While it hangs, the newer connection gets the answer.
    let mut old = test.hangs(request(102, "", ""));
    let mut new = test.hangs(request(102, "", ""));
    assert!(taken(&mut old).unwrap().contains("type='error'"));
    test.say(MESSAGE);
    assert!(taken(&mut new).unwrap().contains(MESSAGE));
}

#[test]
fn what_is_for_a_broken_connection_waits_for_the_next() {
    let test = Test::new("");
    drop(test.hangs(request(101, "", "")));
    test.session.let_go(test.now);
    assert!(!test.say(MESSAGE));
    assert!(taken(&mut test.hangs(request(101, "", ""))).is_none_or(|answer| answer.contains(MESSAGE)));
}

#[test]
fn keys_are_hashes_of_the_next_xep0124_15() {
    // SHA-1 of "b" and of the hexadecimal of that.
    let (first, second) = ("e9d71f5ee7c92d6dc9e92ffdad17b8bd49418f98", "b");
    let test = Test::new(&format!(" newkey='{first}'"));
    drop(test.hangs(request(101, &format!(" key='{second}' newkey='{first}'"), MESSAGE)));
    assert_eq!(test.input(), MESSAGE);
    drop(test.hangs(request(102, &format!(" key='{second}'"), MESSAGE)));
    assert_eq!(test.input(), MESSAGE);
    for wrong in [" key='wrong'", ""] {
        let test = Test::new(&format!(" newkey='{first}'"));
        assert!(answered(test.ask(101, wrong, MESSAGE)).contains("condition='item-not-found'"));
        assert_eq!(test.input(), "");
    }
}

#[test]
fn acknowledgements_xep0124_9() {
    let test = Test::new(" ack='1'");
    let mut first = test.hangs(request(101, "", ""));
    let mut second = test.hangs(request(102, "", ""));
    assert!(taken(&mut first).unwrap().contains(" ack='102'"));
    // The client has not got the answer to 101.
    let _third = test.hangs(request(103, " ack='100'", ""));
    let report = taken(&mut second).unwrap();
    assert!(report.contains(" ack='103' report='101' time='"), "{report}");
}

#[test]
fn too_many_requests_end_the_session_xep0124_11() {
    let test = Test::new("");
    // Two that have to wait for one that is missing, and a third.
    let mut second = test.hangs(request(102, "", ""));
    let _third = test.hangs(request(103, "", ""));
    assert_eq!(taken(&mut second), None);
    assert!(answered(test.ask(104, "", "")).contains("item-not-found"));
    assert!(taken(&mut second).unwrap().contains("type='terminate'"));
}

#[test]
fn a_pause_answers_all_and_gives_time_xep0124_10() {
    let test = Test::new("");
    let mut hanging = test.hangs(request(101, "", ""));
    let pause = answered(test.ask(102, " pause='100'", ""));
    assert!(taken(&mut hanging).unwrap().ends_with("'/>") && pause.ends_with("'/>"));
    let deadline = test.session.deadline(&mut Context::from_waker(Waker::noop())).unwrap();
    let patience = deadline.saturating_duration_since(test.now);
    assert!((99..=101).contains(&patience.as_secs()), "{patience:?}");
    // A request ends the pause, and nobody is away who has one hanging.
    let _hanging = test.hangs(request(103, "", ""));
    assert_eq!(test.session.deadline(&mut Context::from_waker(Waker::noop())), None);
}

#[test]
fn the_client_ends_the_session_xep0124_13() {
    let test = Test::new("");
    let mut hanging = test.hangs(request(101, "", ""));
    let mut last =
        test.hangs(request(102, " type='terminate'", "<presence xmlns='jabber:client' type='unavailable'/>"));
    assert!(test.input().ends_with("/><close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"));
    assert!(taken(&mut hanging).is_some());
    test.say("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>");
    assert!(taken(&mut last).unwrap().contains("type='terminate'"));
    test.session.end();
    assert!(answered(test.ask(103, "", "")).contains("item-not-found"));
}

#[test]
fn errors_of_the_stream_end_the_session_with_their_condition_xep0124_17() {
    let test = Test::new("");
    let mut hanging = test.hangs(request(101, "", ""));
    test.say("<stream:error xmlns:stream='http://etherx.jabber.org/streams'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>");
    let answer = taken(&mut hanging).unwrap();
    assert!(answer.contains("condition='remote-stream-error'") && answer.contains("<conflict "), "{answer}");
}

#[test]
fn who_polls_too_often_is_refused_xep0124_12() {
    let mut test = Test::new(" hold='0'");
    assert!(answered(test.ask(101, "", MESSAGE)).ends_with("'/>"));
    assert!(answered(test.ask(102, "", "")).ends_with("'/>"));
    test.now += Duration::from_secs(3);
    assert!(!answered(test.ask(103, "", "")).contains("policy-violation"));
    assert!(answered(test.ask(104, "", "")).contains("policy-violation"));
}
