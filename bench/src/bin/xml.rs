//! How fast the XML of a stream is read: our framer and tape, quick-xml's `NsReader` and rxml, on the same stanzas in
//! one run. `cargo run --release -p bench --bin xml`

use bytes::Bytes;
use linnet_xmpp::xml::{Content, Document, FrameKind, Framer, Node, Scope};
use quick_xml::{NsReader, events::Event, name::ResolveResult};
use rxml::Parse as _;
use std::{fmt::Write as _, hint::black_box, time::Instant};

const STANZAS: usize = 20_000;
const ROUNDS: usize = 30;
const HEADER: &str =
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";

/// Reads a whole stream; gives a number that depends on all of it.
type Read = fn(&str) -> usize;

fn main() {
    let stream = stream();
    let bytes = stream.len() - HEADER.len();
    println!("{STANZAS} stanzas, mean {:.0} B, best of {ROUNDS}", bytes as f64 / STANZAS as f64);
    let readers: [(&str, Read); 4] = [
        ("linnet: framer and tape", linnet),
        ("linnet: and all of it read", linnet_read),
        ("quick-xml: NsReader, attributes", quick),
        ("rxml: Parser", rxml),
    ];
    let mut best = [f64::MAX; 4];
    // In turn, so that a change of the machine's speed meets all of them.
    for _ in 0..ROUNDS {
        for (best, (_, read)) in best.iter_mut().zip(&readers) {
            let start = Instant::now();
            black_box(read(black_box(&stream)));
            *best = best.min(start.elapsed().as_secs_f64());
        }
    }
    println!("{:32} {:>8} {:>12} {:>10} {:>8}", "", "MB/s", "stanzas/s", "ns/stanza", "speed");
    for (time, (name, _)) in best.iter().zip(&readers) {
        println!(
            "{name:32} {:8.0} {:12.0} {:10.0} {:7.2}x",
            bytes as f64 / time / 1e6,
            STANZAS as f64 / time,
            time * 1e9 / STANZAS as f64,
            best[0] / time
        );
    }
    println!("tape / quick-xml: {:.2}; tape / rxml: {:.2}", best[2] / best[0], best[3] / best[0]);
}

/// As a stream's input does it: frame, copy, parse.
fn each(stream: &str, mut read: impl FnMut(&Document)) {
    let mut framer = Framer::new(1 << 20);
    let mut unread = stream.as_bytes();
    let mut scope = Scope::new("");
    while let Some(frame) = framer.next(unread).expect("the stanzas are well-formed") {
        let bytes = Bytes::copy_from_slice(&unread[..frame.len]);
        unread = &unread[frame.len..];
        match frame.kind {
            FrameKind::Header => scope = Document::parse_header(bytes).expect("the header is well-formed").1,
            FrameKind::Element => read(&Document::parse(bytes, &scope).expect("the stanzas are well-formed")),
            FrameKind::Whitespace | FrameKind::End => {}
        }
    }
}

fn linnet(stream: &str) -> usize {
    let mut count = 0;
    each(stream, |document| {
        black_box(document);
        count += 1;
    });
    count
}

fn linnet_read(stream: &str) -> usize {
    fn visit(node: Node<'_>) -> usize {
        let mut len = node.name().len() + node.ns().len();
        for (space, name, value) in node.attrs() {
            len += space.len() + name.len() + value.len();
        }
        for content in node.contents() {
            len += match content {
                Content::Element(child) => visit(child),
                Content::Text(text) => text.len(),
            };
        }
        len
    }
    let mut len = 0;
    each(stream, |document| len += visit(document.root()));
    len
}

fn quick(stream: &str) -> usize {
    let mut reader = NsReader::from_str(stream);
    let mut len = 0;
    loop {
        let (space, event) = reader.read_resolved_event().expect("the stanzas are well-formed");
        if let ResolveResult::Bound(space) = space {
            len += space.as_ref().len();
        }
        match &event {
            Event::Start(tag) | Event::Empty(tag) => {
                for attribute in tag.attributes() {
                    let attribute = attribute.expect("the stanzas are well-formed");
                    let (space, name) = reader.resolver().resolve_attribute(attribute.key);
                    len += name.as_ref().len() + attribute.value.len();
                    black_box(space);
                }
            }
            Event::Text(text) => len += text.len(),
            Event::End(_) => {}
            Event::Eof => return len,
            _ => {}
        }
    }
}

fn rxml(stream: &str) -> usize {
    let mut parser = rxml::Parser::default();
    let mut unread = stream.as_bytes();
    let mut len = 0;
    loop {
        match parser.parse(&mut unread, false) {
            Ok(Some(rxml::Event::StartElement(_, name, attributes))) => len += name.1.len() + attributes.len(),
            Ok(Some(rxml::Event::Text(_, text))) => len += text.len(),
            Ok(Some(event)) => _ = black_box(event),
            Ok(None) | Err(_) => break,
        }
    }
    assert!(unread.len() < 16, "rxml stopped early");
    len
}

/// A stream as clients send it: 75 % messages, 17 % presence, 8 % queries.
fn stream() -> String {
    let mut random = Random(0x5DEE_CE66_D1CE_4E5B);
    let mut out = String::from(HEADER);
    for number in 0..STANZAS {
        match random.below(100) {
            0..75 => message(&mut out, &mut random, number),
            75..92 => presence(&mut out, &mut random),
            _ => query(&mut out, &mut random, number),
        }
    }
    out
}

fn message(out: &mut String, random: &mut Random, number: usize) {
    let (to, from) = (random.below(500), random.below(500));
    let id = format!(
        "{:08x}-{:04x}-4{:03x}-{:012x}",
        random.next() as u32,
        number % 65536,
        number % 4096,
        random.next() >> 16
    );
    let _ = write!(
        out,
        "<message xmlns='jabber:client' to='user{to}@example.org/phone.{:06x}' from='user{from}@example.org/desk' \
         type='chat' id='{id}' xml:lang='en'>",
        random.below(1 << 24)
    );
    match random.below(10) {
        0 => {
            out.push_str("<composing xmlns='http://jabber.org/protocol/chatstates'/><no-store xmlns='urn:xmpp:hints'/>")
        }
        1 => {
            let _ = write!(out, "<received xmlns='urn:xmpp:receipts' id='{id}'/><store xmlns='urn:xmpp:hints'/>");
        }
        2 => encrypted(out, random),
        kind => {
            out.push_str("<body>");
            text(out, random, kind);
            out.push_str("</body><active xmlns='http://jabber.org/protocol/chatstates'/>");
            let _ = write!(out, "<request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/>");
            let _ = write!(out, "<origin-id xmlns='urn:xmpp:sid:0' id='{id}'/>");
        }
    }
    out.push_str("</message>");
}

fn text(out: &mut String, random: &mut Random, kind: u64) {
    const WORDS: [&str; 16] = [
        "the",
        "meeting",
        "tomorrow",
        "at",
        "seven",
        "would",
        "be",
        "fine",
        "I",
        "think",
        "we",
        "should",
        "bring",
        "something",
        "to",
        "eat",
    ];
    const OTHERS: [&str; 6] = ["Grüße", "aus", "Zürich", "привет", "😀", "日本語"];
    let words = 4 + random.below(20);
    for _ in 0..words {
        out.push_str(WORDS[random.below(16) as usize]);
        out.push(' ');
    }
    match kind {
        3 => out.push_str(OTHERS[random.below(6) as usize]),
        4 => out.push_str("&amp; don&apos;t &lt;forget&gt;"),
        5 => out.push_str("line one\nline two"),
        _ => {}
    }
}

fn encrypted(out: &mut String, random: &mut Random) {
    let _ = write!(out, "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='{}'>", random.next() as u32);
    for _ in 0..3 {
        let _ = write!(out, "<key rid='{}'>", random.next() as u32);
        base64(out, random, 64);
        out.push_str("</key>");
    }
    out.push_str("<iv>");
    base64(out, random, 16);
    out.push_str("</iv></header><payload>");
    base64(out, random, 120);
    out.push_str("</payload></encrypted><encryption xmlns='urn:xmpp:eme:0' name='OMEMO' namespace='eu.siacs.conversations.axolotl'/>");
    out.push_str(
        "<body>I sent you an OMEMO encrypted message but your client doesn&apos;t seem to support that.</body>",
    );
}

fn base64(out: &mut String, random: &mut Random, len: usize) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for _ in 0..len {
        out.push(char::from(DIGITS[random.below(64) as usize]));
    }
}

fn presence(out: &mut String, random: &mut Random) {
    let _ = write!(out, "<presence from='user{}@example.org/phone'><show>away</show>", random.below(500));
    out.push_str("<status>Back in half an hour</status><priority>5</priority>");
    out.push_str("<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://client.example' ver='");
    base64(out, random, 27);
    out.push_str("='/><x xmlns='vcard-temp:x:update'><photo>");
    let _ = write!(out, "{:040x}</photo></x></presence>", random.next());
}

fn query(out: &mut String, random: &mut Random, number: usize) {
    match random.below(3) {
        0 => {
            let _ = write!(
                out,
                "<iq type=\"get\" id=\"ping{number}\" to=\"example.org\"><ping xmlns=\"urn:xmpp:ping\"/></iq>"
            );
        }
        1 => {
            let _ = write!(out, "<iq type='get' id='{number}' to='user{}@example.org'>", random.below(500));
            out.push_str("<query xmlns='http://jabber.org/protocol/disco#info'/></iq>");
        }
        _ => {
            let _ = write!(out, "<iq type='result' id='{number}'><query xmlns='jabber:iq:roster' ver='{number}'>");
            for contact in 0..random.below(12) {
                let _ = write!(
                    out,
                    "<item jid='contact{contact}@example.net' name='Contact {contact}' subscription='both'>"
                );
                out.push_str("<group>Friends</group></item>");
            }
            out.push_str("</query></iq>");
        }
    }
}

/// The same numbers in every run (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
