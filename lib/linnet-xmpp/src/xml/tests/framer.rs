//! The framer: where frames end, what is refused before the end has come, and that splits do not matter.

use super::*;
use proptest::prelude::*;

fn open() -> Framer {
    let mut framer = Framer::new(1000);
    assert_eq!(framer.next(HEADER.as_bytes()).unwrap().unwrap().kind, FrameKind::Header);
    framer
}

/// All frames but white space of `bytes` that come in steps of these sizes, and how it ended.
fn frames(bytes: &[u8], limit: usize, mut steps: impl Iterator<Item = usize>) -> (Vec<(FrameKind, Vec<u8>)>, bool) {
    let mut framer = Framer::new(limit);
    let (mut from, mut to, mut frames) = (0, 0, Vec::new());
    loop {
        match framer.next(&bytes[from..to]) {
            Err(_) => return (frames, false),
            Ok(Some(frame)) => {
                if frame.kind != FrameKind::Whitespace {
                    frames.push((frame.kind, bytes[from..from + frame.len].to_vec()));
                }
                from += frame.len;
            }
            Ok(None) if to == bytes.len() => return (frames, true),
            Ok(None) => to = (to + steps.next().unwrap_or(bytes.len())).min(bytes.len()),
        }
    }
}

#[test]
fn frames_are_found_at_every_split() {
    let all = format!(
        "{HEADER} \n<presence/><message a='>/' ><![CDATA[</a>]]]>]]><b c=\"'\"/></message\t><p:x/>\n</stream:stream >"
    );
    let (whole, fine) = frames(all.as_bytes(), 1000, [all.len()].into_iter());
    assert!(fine);
    let kinds: Vec<_> = whole.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [FrameKind::Header, FrameKind::Element, FrameKind::Element, FrameKind::Element, FrameKind::End]);
    for step in 1..all.len() {
        assert_eq!(frames(all.as_bytes(), 1000, std::iter::repeat(step)), (whole.clone(), true), "{step}");
        assert_eq!(frames(all.as_bytes(), 1000, [step].into_iter()), (whole.clone(), true), "{step}");
    }
}

#[test]
fn what_can_be_seen_is_refused_before_the_end_comes() {
    for (bytes, expected) in [
        ("<message><body></message>", "NotWellFormed"),
        ("</message>", "NotWellFormed"),
        ("</stream:streams>", "NotWellFormed"),
        ("<!-- x", "Restricted"),
        ("<a><!-- x", "Restricted"),
        ("<?php x", "Restricted"),
        ("<?xml version='1.0'?>", "Restricted"),
        ("<!DOCTYPE x [", "Restricted"),
        ("<a><![CDAT[", "Restricted"),
        ("<![CDATA[x]]>", "NotWellFormed"),
        ("hello", "NotWellFormed"),
        ("<a b='<", "NotWellFormed"),
        ("<a <b>", "NotWellFormed"),
        ("< a>", "NotWellFormed"),
        ("<a></a b", "NotWellFormed"),
        ("<1>", "NotWellFormed"),
    ] {
        let error = open().next(bytes.as_bytes()).unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{bytes}: {error:?}");
    }
}

#[test]
fn the_limit_holds_before_the_end_comes() {
    let large = |head: &str, unit: &str| {
        let mut framer = open();
        let mut sent = head.to_owned();
        loop {
            match framer.next(sent.as_bytes()) {
                Ok(None) => sent.push_str(unit),
                Ok(Some(frame)) => panic!("{frame:?} of {sent}"),
                Err(error) => return (error, sent.len()),
            }
            assert!(sent.len() < 2000, "{sent}");
        }
    };
    for (head, unit) in [
        ("<a b='", "x"),
        ("<a ", " "),
        ("<a", "a"),
        ("<a>", "text"),
        ("<a>", "<b/>"),
        ("<a><![CDATA[", "]"),
        ("<a></a", " "),
    ] {
        let (error, len) = large(head, unit);
        assert_eq!(error, XmlError::Limit("too large"), "{head}");
        assert!((1000..1005).contains(&len), "{head}: {len}");
    }
    assert_eq!(large("", "<a>").0, XmlError::Limit("too deep"));
    for head in ["<stream:stream to='", "<stream:stream ", "<stream:stream", "<?xml version='1.0'?>"] {
        let header = format!("{head}{}", " ".repeat(1000 - head.len()));
        assert_eq!(Framer::new(1000).next(header.as_bytes()), Err(XmlError::Limit("too large")), "{head}");
        assert_eq!(Framer::new(1000).next(&header.as_bytes()[..999]), Ok(None), "{head}");
    }
}

#[test]
fn a_name_over_the_limit_is_refused_at_its_end_tag() {
    let mut framer = open();
    framer.set_limit(100_000);
    let name = "n".repeat(limits::NAME + 1);
    let error = framer.next(format!("<{name}></").as_bytes());
    assert_eq!(error, Err(XmlError::Limit("a name is too long")));
}

#[test]
fn a_frame_of_exactly_the_limit_passes() {
    let frame = format!("<a>{}</a>", "x".repeat(993));
    assert_eq!(open().next(frame.as_bytes()), Ok(Some(Frame { kind: FrameKind::Element, len: 1000 })));
    let frame = format!("<a>{}</a>", "x".repeat(994));
    assert_eq!(open().next(frame.as_bytes()), Err(XmlError::Limit("too large")));
    // White space is consumed as it comes.
    assert_eq!(open().next(&[b' '; 5000]), Ok(Some(Frame { kind: FrameKind::Whitespace, len: 5000 })));
}

#[test]
fn other_encodings_are_refused_at_the_first_byte_rfc6120_11_6() {
    let header = HEADER.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    for bytes in [&b"\xFF\xFE"[..], b"\xFE\xFF", b"\xEF\xBB\xBF<", b"\0<", &header] {
        assert!(matches!(Framer::new(100).next(bytes), Err(XmlError::Encoding(_))), "{bytes:?}");
    }
}

#[test]
fn before_the_header_comes_an_xml_declaration_or_nothing() {
    for (bytes, expected) in [
        ("<!DOCTYPE s [<!ENTITY a 'x'>]><stream:stream>", "Restricted"),
        ("<?xml version='1.0'?><!DOCTYPE s>", "Restricted"),
        ("<!-- x --><stream:stream>", "Restricted"),
        ("<?xml-stylesheet href='a'?><stream:stream>", "Restricted"),
        ("<?xml version='1.0'?>x<stream:stream>", "NotWellFormed"),
        ("GET / HTTP/1.1", "NotWellFormed"),
        ("</stream:stream>", "NotWellFormed"),
        ("<stream:stream/>", "NotWellFormed"),
    ] {
        let error = Framer::new(1000).next(bytes.as_bytes()).unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{bytes}: {error:?}");
    }
    let mut framer = Framer::new(1000);
    assert_eq!(framer.next(b" \n").unwrap().unwrap().kind, FrameKind::Whitespace);
    assert!(framer.next(HEADER.as_bytes()).is_err(), "an XML declaration behind white space");
    assert!(matches!(Framer::new(1000).next(&[b"<?xml ".to_vec(), vec![b' '; 500]].concat()), Err(XmlError::Limit(_))));
}

#[test]
fn after_a_restart_white_space_is_of_the_stream_before() {
    let mut framer = open();
    framer.restart();
    assert_eq!(framer.next(b"\n").unwrap().unwrap().kind, FrameKind::Whitespace);
    assert_eq!(framer.next(HEADER.as_bytes()).unwrap().unwrap().len, HEADER.len());
}

#[test]
fn the_end_tag_is_that_of_the_header() {
    let mut framer = Framer::new(1000);
    let header = b"<s:stream xmlns:s='http://etherx.jabber.org/streams'>";
    assert_eq!(framer.next(header).unwrap().unwrap().kind, FrameKind::Header);
    assert_eq!(framer.next(b"</s:stream>"), Ok(Some(Frame { kind: FrameKind::End, len: 11 })));
    assert!(framer.next(b"</stream:stream>").is_err());
}

proptest! {
    /// Whatever comes, it makes no difference in which pieces.
    #[test]
    fn splits_do_not_matter(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24),
        steps in prop::collection::vec(1_usize..9, 0..200),
        limit in prop::sample::select(&[40_usize, 1000]),
    ) {
        let bytes = format!("<stream:stream>{}", pieces.concat());
        let whole = frames(bytes.as_bytes(), limit, [bytes.len()].into_iter());
        prop_assert_eq!(frames(bytes.as_bytes(), limit, steps.into_iter()), whole);
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = frames(&bytes, 100, std::iter::repeat(3));
        let _ = frames(&[b"<a>", &*bytes].concat(), 100, std::iter::repeat(3));
    }
}

const PIECES: &[&str] = &[
    "<a>",
    "</a>",
    "<a/>",
    "<a b='",
    "'",
    "\"",
    ">",
    "<",
    "/",
    "<b",
    " ",
    "x",
    "<![CDATA[",
    "]]>",
    "]",
    "</b>",
    "<b>",
    "<?",
    "<!",
    "</stream:stream>",
    "&",
    "=",
    "</",
    "\u{e9}",
];
