//! Tests of stanzas: reading, answering, editing and writing.

use super::*;
use crate::xml::XmlError;

fn parse(text: &str, default: &str) -> Result<Document, XmlError> {
    Document::parse(Bytes::from(text.to_owned()), &Scope::new(default))
}

fn read(text: &str) -> Result<Stanza, Box<Rejected>> {
    Stanza::read(parse(text, ns::CLIENT).unwrap()).unwrap()
}

fn stanza(text: &str) -> Stanza {
    read(text).unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_stanza_is_read_and_written_as_it_came() {
    let all = "<message from='a@b.example/c' to='d@e.example' id='1' type='chat' xml:lang='en' x='&lt;'>\
               <body>x</body><y xmlns='u'/></message>";
    let read = stanza(all);
    assert_eq!((read.kind, read.ty), (Kind::Message, Type::Chat));
    assert_eq!(read.from.as_ref().unwrap().as_str(), "a@b.example/c");
    assert_eq!(read.to.as_ref().unwrap().as_str(), "d@e.example");
    assert_eq!((read.id.as_deref(), read.lang.as_deref()), (Some("1"), Some("en")));
    assert_eq!(text(&read.to_bytes()), all);
    assert_eq!(text(&Stanza::from_bytes(read.to_bytes()).unwrap().to_bytes()), all);
    assert_eq!(read.child("body", ns::CLIENT).unwrap().text(), "x");
    assert_eq!(read.payload().unwrap().name(), "body");
    assert_eq!(read.children().count(), 2);
    let mut out = Vec::new();
    let to = Jid::parse("f@g.example").unwrap();
    read.write(Some(ns::SERVER), Some(&to), b"<z xmlns='v'/>", &mut out);
    assert_eq!(
        text(&out),
        "<message xmlns='jabber:server' from='a@b.example/c' to='f@g.example' id='1' type='chat' xml:lang='en' \
         x='&lt;'><body>x</body><y xmlns='u'/><z xmlns='v'/></message>"
    );
}

#[test]
fn what_was_parsed_is_not_parsed_again() {
    let stanza = stanza("<message><body><![CDATA[x]]></body></message>");
    assert!(stanza.content.get().is_some());
    assert_eq!(text(stanza.inner()), "<body>x</body>");
    assert_eq!(stanza.child("body", ns::CLIENT).unwrap().text(), "x");
}

#[test]
fn a_server_stanza_reads_as_a_client_stanza() {
    for start in ["<message xmlns='jabber:server'>", "<message xmlns='jabber:server' xmlns:s='jabber:server'>"] {
        let document = parse(&format!("{start}<body>x</body></message>"), "").unwrap();
        let stanza = Stanza::read(document).unwrap().unwrap();
        assert_eq!(stanza.child("body", ns::CLIENT).unwrap().text(), "x");
        assert_eq!(text(&stanza.to_bytes()), "<message><body>x</body></message>");
    }
}

#[test]
fn what_is_no_stanza_is_none() {
    for (text, default) in [("<message/>", "u"), ("<features/>", ns::CLIENT), ("<message xmlns=''/>", ns::CLIENT)] {
        assert!(Stanza::read(parse(text, default).unwrap()).is_none(), "{text}");
    }
}

#[test]
fn types_are_those_of_the_kind() {
    for (text, ty) in [
        ("<message/>", Type::Normal),
        ("<message type='normal'/>", Type::Normal),
        ("<message type='fetch'/>", Type::Normal),
        ("<message type='get'/>", Type::Normal),
        ("<message type='error'/>", Type::Error),
        ("<presence/>", Type::Available),
        ("<presence type='probe'/>", Type::Probe),
        ("<iq type='result' id='1'/>", Type::Result),
        ("<iq type='error' id='1'/>", Type::Error),
    ] {
        assert_eq!(stanza(text).ty, ty, "{text}");
    }
}

#[test]
fn rules_of_rfc6120_8_2_3_and_8_3_3_8() {
    for (text, condition) in [
        ("<iq type='get'><p xmlns='u'/></iq>", Condition::BadRequest),
        ("<iq id='1'><p xmlns='u'/></iq>", Condition::BadRequest),
        ("<iq id='1' type='fetch'><p xmlns='u'/></iq>", Condition::BadRequest),
        ("<iq id='1' type='get'/>", Condition::BadRequest),
        ("<iq id='1' type='set'><p xmlns='u'/><q xmlns='u'/></iq>", Condition::BadRequest),
        ("<iq id='1' type='result'><p xmlns='u'/><q xmlns='u'/></iq>", Condition::BadRequest),
        ("<presence type='available'/>", Condition::BadRequest),
        ("<presence type='chat'/>", Condition::BadRequest),
        ("<message id='1' to='@b.example'/>", Condition::JidMalformed),
        ("<message id='1' from='/x'/>", Condition::JidMalformed),
        ("<iq id='1' type='fetch' to='@@'/>", Condition::JidMalformed),
    ] {
        let rejected = read(text).unwrap_err();
        assert_eq!(rejected.error.condition, condition, "{text}");
        assert_eq!(rejected.stanza.error(&rejected.error).is_some(), !text.contains("result"), "{text}");
    }
    assert!(read("<iq id='1' type='get'> <p xmlns='u'/>\n</iq>").is_ok());
}

#[test]
fn answers_swap_addresses_and_keep_the_id() {
    let get = stanza("<iq from='a@b.example' to='c@d.example' id='1' type='get' xml:lang='de'><p xmlns='u'/></iq>");
    let result = get.result(Bytes::from_static(b"<p xmlns='u'/>"));
    assert_eq!(
        text(&result.to_bytes()),
        "<iq from='c@d.example' to='a@b.example' id='1' type='result'><p xmlns='u'/></iq>"
    );
    let error = get.error(&StanzaError::new(Condition::Forbidden).text("no")).unwrap();
    assert_eq!(
        text(&error.to_bytes()),
        "<iq from='c@d.example' to='a@b.example' id='1' type='error'><error type='auth'>\
         <forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no</text></error></iq>"
    );
    assert!(error.error(&Condition::Forbidden.into()).is_none());
    assert!(result.error(&Condition::Forbidden.into()).is_none());
}

#[test]
fn errors_survive_being_written_and_read() {
    for condition in Condition::all() {
        assert_eq!(Condition::named(condition.name()), Some(condition));
        for class in [Class::Auth, Class::Cancel, Class::Continue, Class::Modify, Class::Wait] {
            let error = StanzaError::new(condition).class(class).text("xmpp:a@b?<&").extra("<x xmlns='u'/>".into());
            let stanza = Stanza::new(Kind::Message, Type::Normal, Bytes::new()).error(&error).unwrap();
            let again = Stanza::from_bytes(stanza.to_bytes()).unwrap();
            assert_eq!(StanzaError::read(&again), Some(error));
        }
    }
    assert_eq!(Condition::all().count(), 22);
    let gone = StanzaError::new(Condition::Gone).text("xmpp:a@b.example");
    assert_eq!(
        text(&gone.to_bytes()),
        "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:a@b.example</gone></error>"
    );
}

#[test]
fn errors_of_others_are_read_as_far_as_possible() {
    let error = |inner: &str| StanzaError::read(&stanza(&format!("<message type='error'>{inner}</message>")));
    assert_eq!(error(""), None);
    assert_eq!(error("<error/>"), Some(StanzaError::new(Condition::UndefinedCondition)));
    assert_eq!(error("<error code='404'/>"), Some(StanzaError::new(Condition::ItemNotFound)));
    let unknown = "<error type='wait'><x xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    assert_eq!(error(unknown), Some(StanzaError::new(Condition::UndefinedCondition).class(Class::Wait)));
    assert_eq!(StanzaError::read(&stanza("<message><error/></message>")), None);
}

#[test]
fn editing_drops_and_appends() {
    let original = stanza("<message><delay xmlns='urn:xmpp:delay'/>a&lt;<body>x</body><delay xmlns='v'/></message>");
    let mut edited = original.clone();
    edited.edit(|child| child.is("delay", "urn:xmpp:delay"), b"<z xmlns='w'/>");
    assert_eq!(text(edited.inner()), "a&lt;<body>x</body><delay xmlns='v'/><z xmlns='w'/>");
    assert!(edited.child("z", "w").is_some() && edited.child("delay", "urn:xmpp:delay").is_none());
    assert_eq!(original.children().count(), 3);
    edited.edit(|_| false, b"");
    edited.edit(|_| true, b"");
    assert_eq!(text(edited.inner()), "a&lt;");
    let document = parse("<message xmlns='jabber:server'><body>x</body><b xmlns='u'/></message>", "").unwrap();
    let mut server = Stanza::read(document).unwrap().unwrap();
    server.edit(|child| child.is("b", "u"), b"");
    assert_eq!(text(server.inner()), "<body>x</body>");
}

#[test]
fn a_stanza_without_content_is_an_empty_element() {
    let presence = Stanza::new(Kind::Presence, Type::Unavailable, Bytes::new()).id(Some("a'b"));
    assert_eq!(text(&presence.to_bytes()), "<presence id='a&apos;b' type='unavailable'/>");
    assert!(presence.payload().is_none());
    let mut out = Vec::new();
    presence.write(None, None, b"<x xmlns='u'/>", &mut out);
    assert_eq!(text(&out), "<presence id='a&apos;b' type='unavailable'><x xmlns='u'/></presence>");
}

#[test]
fn attributes_that_nobody_defines() {
    let stanza = stanza("<presence xmlns:p='u' p:a='1' b='2' xml:space='preserve'/>");
    assert_eq!(text(&stanza.to_bytes()), "<presence b='2'/>");
    let many: String = (0..60).map(|n| format!(" a{n}=''")).collect();
    let stanza = self::stanza(&format!("<presence{many}/>")).to(Jid::parse("a@b").unwrap()).id(Some("1"));
    assert_eq!(text(&stanza.to_bytes()).matches('=').count(), 16 + 2);
}

#[test]
fn a_stanza_is_small() {
    assert!(size_of::<Stanza>() <= 160, "{}", size_of::<Stanza>());
}
