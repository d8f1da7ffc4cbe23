//! Frames, read and written.

use super::*;
use proptest::prelude::*;

fn read(wire: &[u8]) -> Result<Vec<Message>, FrameError> {
    let (mut frames, mut input, mut messages) = (Frames::new(1000, Sender::Client), wire, Vec::new());
    while let Some(message) = frames.next(&mut input)? {
        messages.push(message);
    }
    Ok(messages)
}

fn text_of(text: &str) -> Message {
    Message::Text(Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn the_examples_of_rfc6455_5_7() {
    let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(read(&masked), Ok(vec![text_of("Hello")]));
    let ping = [0x89, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(read(&ping), Ok(vec![Message::Ping("Hello".into())]));
    let mut out = Vec::new();
    let begun = begin(&mut out);
    out.extend_from_slice(b"Hello");
    end(begun, &mut out);
    assert_eq!(out, [0x81, 5, b'H', b'e', b'l', b'l', b'o']);
    let mut frames = Frames::new(1000, Sender::Server);
    let mut fragments = &[0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f][..];
    assert_eq!(frames.next(&mut fragments), Ok(Some(text_of("Hello"))));
}

#[test]
fn heads_are_as_short_as_possible() {
    for (payload, size) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
        let (mut out, mut whole) = (vec![7], vec![7]);
        let begun = begin(&mut out);
        out.extend(std::iter::repeat_n(b'x', payload));
        end(begun, &mut out);
        text(&vec![b'x'; payload], None, &mut whole);
        assert_eq!((out.len(), &out), (1 + size + payload, &whole));
    }
    // A length in more bytes than it needs.
    assert!(matches!(read(&[0x81, 0xfe, 0, 5, 0, 0, 0, 0]), Err(FrameError::Protocol(_))));
}

#[test]
fn what_the_protocol_forbids() {
    let bad: [&[u8]; 11] = [
        &[0x81, 0x00],
        &[0xf1, 0x80],
        &[0x85, 0x80],
        &[0x09, 0x80],
        &[0x89, 0xfe],
        &[0x80, 0x80, 0, 0, 0, 0],
        &[0x01, 0x80, 0, 0, 0, 0, 0x81, 0x80, 0, 0, 0, 0],
        &[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x88, 0x81, 0, 0, 0, 0, 3],
        &[0x88, 0x82, 0, 0, 0, 0, 3, 0xed],
        &[0x88, 0x83, 0, 0, 0, 0, 3, 0xe8, 0xff],
    ];
    for bad in bad {
        assert!(matches!(read(bad), Err(FrameError::Protocol(_))), "{bad:x?}");
    }
    assert_eq!(read(&[0x82, 0x80, 0, 0, 0, 0]), Err(FrameError::Binary));
}

#[test]
fn the_limit_is_for_all_fragments_together_and_known_at_the_head() {
    let fragment = |first: u8, size: usize| {
        let mut out = vec![first, 0xfe];
        out.extend_from_slice(&u16::try_from(size).unwrap().to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend(std::iter::repeat_n(b'x', size));
        out
    };
    assert!(read(&[fragment(0x01, 500), fragment(0x80, 500)].concat()).is_ok());
    assert_eq!(read(&[fragment(0x01, 500), fragment(0x00, 501)].concat()), Err(FrameError::TooLarge));
    assert_eq!(read(&[0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Err(FrameError::TooLarge));
}

#[test]
fn nothing_is_kept_between_messages() {
    let mut wire = Vec::new();
    text(b"<presence/>", Some([1, 2, 3, 4]), &mut wire);
    let mut frames = Frames::new(1000, Sender::Client);
    for at in 0..wire.len() {
        let (mut first, mut second) = wire.split_at(at);
        assert_eq!(frames.next(&mut first), Ok(None));
        assert_eq!(frames.next(&mut second), Ok(Some(text_of("<presence/>"))));
        assert_eq!(frames.kept(), 0);
    }
}

proptest! {
    #[test]
    fn however_it_is_cut(texts in prop::collection::vec("[a-z]{0,300}", 1..6), cut in prop::collection::vec(1usize..50, 1..80), mask: [u8; 4]) {
        let mut wire = Vec::new();
        for one in &texts {
            text(one.as_bytes(), Some(mask), &mut wire);
            ping(Some(mask), &mut wire);
        }
        let (mut frames, mut got, mut rest) = (Frames::new(1000, Sender::Client), Vec::new(), &wire[..]);
        for cut in cut.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (mut piece, behind) = rest.split_at((*cut).min(rest.len()));
            rest = behind;
            while let Some(message) = frames.next(&mut piece).unwrap() {
                got.extend((message != Message::Ping(Bytes::new())).then_some(message));
            }
        }
        prop_assert_eq!(got, texts.iter().map(|one| text_of(one)).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_panics(wire in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&wire);
    }
}
