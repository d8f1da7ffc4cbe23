//! Tests of the XML layer.

use super::*;
use bytes::Bytes;

const HEADER: &str = "<?xml version='1.0'?><stream:stream to='a.example' xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";

fn scope() -> Scope {
    Document::parse_header(Bytes::from_static(HEADER.as_bytes())).unwrap().1
}

fn document(text: &str) -> Document {
    Document::parse(text.to_owned().into(), &scope()).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

#[test]
fn a_stanza_is_read_and_shared() {
    let text = "<message to='b@a.example/r' type='chat' xml:lang='en'><body>Hi &amp; bye</body><x xmlns='urn:x' a='1'><y/> t </x></message>";
    let document = document(text);
    let root = document.root();
    assert!(root.is("message", "jabber:client"));
    assert_eq!(root.attr("to").as_deref(), Some("b@a.example/r"));
    assert_eq!(root.lang().as_deref(), Some("en"));
    assert_eq!(root.child("body", "jabber:client").unwrap().text(), "Hi & bye");
    let x = root.child("x", "urn:x").unwrap();
    assert_eq!(x.children().map(|child| (child.ns(), child.name())).collect::<Vec<_>>(), [("urn:x", "y")]);
    assert_eq!(x.text(), " t ");
    let inner = document.inner();
    assert_eq!(inner, text[text.find("<body").unwrap()..text.len() - "</message>".len()]);
    assert_eq!(inner.as_ptr(), document.bytes()[text.find("<body").unwrap()..].as_ptr());
}

#[test]
fn frames_are_found_at_every_split() {
    let rest = " \n<presence/><message a='>'><![CDATA[</a>]]><b c=\"'\"/></message></stream:stream >";
    let all = format!("{HEADER}{rest}");
    let bytes = all.as_bytes();
    let frames = |step: usize| {
        let mut framer = Framer::new(10_000);
        let (mut from, mut to, mut frames) = (0, 0, Vec::new());
        loop {
            match framer.next(&bytes[from..to]).unwrap() {
                Some(frame) => {
                    if frame.kind != FrameKind::Whitespace {
                        frames.push((frame.kind, &all[from..from + frame.len]));
                    }
                    from += frame.len;
                }
                None if to == bytes.len() => return frames,
                None => to = (to + step).min(bytes.len()),
            }
        }
    };
    let whole = frames(all.len());
    assert_eq!(
        whole.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
        [FrameKind::Header, FrameKind::Element, FrameKind::Element, FrameKind::End]
    );
    for step in 1..all.len() {
        assert_eq!(frames(step), whole, "{step}");
    }
}
