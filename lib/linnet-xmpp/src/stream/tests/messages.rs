//! Streams whose elements are messages of a WebSocket (RFC 7395).

use super::*;
use crate::stream::framing::frames::{self, Frames, Message, Sender};

const OPEN: &str = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='capulet.example' version='1.0'/>";
const AUTH: &str =
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGp1bGlldAByMG0zMG15cjBtMzA=</auth>";
const BIND: &str = "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>balcony</resource></bind></iq>";
const CLOSE: &str = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>";

fn server() -> Server {
    Server::with(Framing::Messages, accept_config(), Some(secured()))
}

/// What came, each message on its own; a close frame as its code.
fn messages(server: &mut Server) -> Vec<String> {
    let written = std::mem::take(&mut server.written);
    let (mut frames, mut input, mut all) = (Frames::new(1 << 20, Sender::Server), &written[..], Vec::new());
    while let Some(message) = frames.next(&mut input).unwrap() {
        all.push(match message {
            Message::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
            Message::Close(code) => format!("closed {}", code.unwrap_or_default()),
            other => format!("{other:?}"),
        });
    }
    assert!(input.is_empty() && frames.kept() == 0);
    all
}

fn say(server: &mut Server, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    frames::text(text.as_bytes(), Some([1, 2, 3, 4]), &mut out);
    server.drive(&out);
    messages(server)
}

fn in_session() -> Server {
    let mut server = server();
    for text in [OPEN, AUTH, OPEN, BIND] {
        say(&mut server, text);
    }
    assert_eq!(server.bound.as_ref().unwrap().as_str(), "juliet@capulet.example/balcony");
    server
}

#[test]
fn a_login_in_messages_rfc7395_3_4() {
    let mut server = server();
    let opened = say(&mut server, OPEN);
    assert_eq!(opened.len(), 2);
    assert!(opened[0].starts_with("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' from='capulet.example' id='"));
    assert!(opened[0].ends_with("' version='1.0' xml:lang='en'/>"), "{opened:?}");
    assert!(opened[1].starts_with("<stream:features xmlns:stream='http://etherx.jabber.org/streams'><"), "{opened:?}");
    // §3.9: TLS is under the WebSocket.
    assert!(opened[1].contains("<mechanism>PLAIN") && !opened[1].contains("starttls"), "{opened:?}");
    assert_eq!(say(&mut server, AUTH), ["<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"]);
    // §3.7: a new <open/>, and no <close/> before it.
    assert!(say(&mut server, OPEN)[1].contains("<bind "));
    let bound = "<iq xmlns='jabber:client' id='b' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>juliet@capulet.example/balcony</jid></bind></iq>";
    assert_eq!(say(&mut server, BIND), [bound]);
    say(&mut server, "<message xmlns='jabber:client' to='romeo@montague.example'><body>Art thou not?</body></message>");
    let stanza = server.stanzas.pop().unwrap().unwrap();
    assert_eq!(&stanza.inner()[..], b"<body>Art thou not?</body>");
    assert_eq!(say(&mut server, CLOSE), [CLOSE, "closed 1000"]);
    assert_eq!((server.condition(), server.gone), (None, false));
}

#[test]
fn a_document_of_its_own_may_have_a_declaration() {
    let mut server = in_session();
    say(&mut server, "<?xml version='1.0'?><presence xmlns='jabber:client'/>");
    say(&mut server, "<c:presence xmlns:c='jabber:client'/>");
    assert_eq!((server.stanzas.len(), server.condition()), (1, Some(StreamCondition::BadNamespacePrefix)));
}

#[test]
fn what_is_no_message_of_a_stream_ends_it() {
    use StreamCondition::*;
    let header =
        "<stream:stream to='capulet.example' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
    let cases = [
        (header, InvalidNamespace),
        ("<open xmlns='jabber:client'/>", InvalidNamespace),
        ("<close/>", InvalidNamespace),
        (OPEN, UnsupportedStanzaType),
        (" ", NotWellFormed),
        ("", NotWellFormed),
        (" <presence xmlns='jabber:client'/>", NotWellFormed),
        ("<presence xmlns='jabber:client'>", NotWellFormed),
        ("<presence xmlns='jabber:client'/><presence xmlns='jabber:client'/>", NotWellFormed),
        ("<presence xmlns='jabber:client'/> ", NotWellFormed),
        ("<?pi x?><presence xmlns='jabber:client'/>", RestrictedXml),
        ("<!DOCTYPE x><presence xmlns='jabber:client'/>", RestrictedXml),
        ("<presence/>", UnsupportedStanzaType),
        ("<stream:error/>", BadNamespacePrefix),
    ];
    for (text, condition) in cases {
        let mut server = in_session();
        let answer = say(&mut server, text);
        assert_eq!((server.condition(), answer.len()), (Some(condition), 3), "{text}: {answer:?}");
        let error = format!("<stream:error xmlns:stream='http://etherx.jabber.org/streams'><{}", condition.name());
        assert!(answer[0].starts_with(&error), "{text}: {answer:?}");
        assert_eq!(answer[1..], [CLOSE, "closed 1000"], "{text}");
    }
}

#[test]
fn errors_before_the_stream_come_behind_our_header_rfc7395_3_5() {
    for text in
        ["<presence xmlns='jabber:client'/>", "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0'/>"]
    {
        let mut server = server();
        let answer = say(&mut server, text);
        assert_eq!((answer.len(), answer[0].starts_with("<open "), &*answer[2]), (4, true, CLOSE), "{answer:?}");
    }
}

#[test]
fn bad_frames_close_with_their_code() {
    let cases: [(&[u8], &str); 4] = [
        (&[0x81, 0x00], "closed 1002"),
        (&[0x82, 0x81, 0, 0, 0, 0, b'<'], "closed 1003"),
        (&[0x81, 0x83, 0, 0, 0, 0, b'<', 0xff, b'>'], "closed 1007"),
        (&[0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], "closed 1009"),
    ];
    for (frame, closed) in cases {
        let mut server = in_session();
        server.drive(frame);
        let answer = messages(&mut server);
        assert_eq!(answer.last().map(|last| &**last), Some(closed), "{answer:?}");
        assert!(server.closed.is_some_and(|error| error.is_some()));
    }
}

#[test]
fn limits_are_counted_over_fragments_and_grow_with_the_login() {
    let text = format!("<message xmlns='jabber:client'><body>{}</body></message>", "x".repeat(20_400));
    let mut fragments = Vec::new();
    for (number, piece) in text.as_bytes().chunks(1000).enumerate() {
        let is_last = (number + 1) * 1000 >= text.len();
        let first = u8::from(number == 0) | if is_last { 0x80 } else { 0 };
        fragments.extend([first, 0xfe]);
        fragments.extend(u16::try_from(piece.len()).unwrap().to_be_bytes());
        fragments.extend([0; 4]);
        fragments.extend(piece);
        // §5.4: control frames may come between fragments.
        fragments.extend([0x89, 0x81, 0, 0, 0, 0, b'p']);
    }
    let mut bound = in_session();
    bound.drive(&fragments);
    assert_eq!(bound.stanzas.len(), 1);
    assert!(messages(&mut bound).iter().all(|message| message == "Pong") || bound.closed.is_none());
    let mut fresh = server();
    say(&mut fresh, OPEN);
    fresh.drive(&fragments);
    assert_eq!(fresh.condition(), Some(StreamCondition::PolicyViolation));
    assert_eq!(messages(&mut fresh).last().unwrap(), "closed 1009");
}

#[test]
fn a_connection_that_is_closed_without_its_stream_leaves_the_session_rfc7395_3_6() {
    let mut server = in_session();
    let mut out = Vec::new();
    frames::close(Some(1001), Some([1, 2, 3, 4]), &mut out);
    server.drive(&out);
    assert_eq!(messages(&mut server), ["closed 1001"]);
    assert!(server.gone && server.closed.is_none());
}

#[test]
fn clients_can_be_sent_elsewhere_rfc7395_3_6_1() {
    let config = AcceptConfig { elsewhere: Some("wss://other.example/ws".into()), ..accept_config() };
    let mut server = Server::with(Framing::Messages, config, Some(secured()));
    let close = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing' see-other-uri='wss://other.example/ws'/>";
    assert_eq!(say(&mut server, OPEN), [close, "closed 1000"]);
    assert_eq!(server.condition(), None);
}

#[test]
fn an_idle_stream_keeps_nothing() {
    let server = in_session();
    assert_eq!(server.accept.kept(), 0);
}
