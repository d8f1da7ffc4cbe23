//! The same documents through rxml: what it refuses is refused, and what is accepted means the same.

use super::*;
use proptest::prelude::*;
use rxml::Parse as _;

/// What rxml reads, in the form of [`meaning`]; none if it refuses. It is given line ends as line feeds, which is what
/// they mean (XML 1.0 §2.11): it drops or refuses some in attribute values, and leaves one behind a `]`.
fn rxml(bytes: &[u8]) -> Option<Vec<String>> {
    let mut feeds = Vec::with_capacity(bytes.len());
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' if bytes.get(at + 1) == Some(&b'\n') => {}
            b'\r' => feeds.push(b'\n'),
            _ => feeds.push(byte),
        }
    }
    let bytes = feeds;
    let mut parser = rxml::Parser::default();
    let mut unread = &*bytes;
    let (mut out, mut text) = (Vec::new(), String::new());
    loop {
        match parser.parse(&mut unread, true) {
            Ok(Some(rxml::Event::StartElement(_, (ns, name), attrs))) => {
                flush(&mut text, &mut out);
                let attrs = attrs.iter().map(|((ns, name), value)| format!(" {{{}}}{name}={value:?}", ns.as_str()));
                let mut attrs: Vec<_> = attrs.collect();
                attrs.sort();
                out.push(format!("<{{{}}}{name}{}", ns.as_str(), attrs.concat()));
            }
            Ok(Some(rxml::Event::EndElement(_))) => {
                flush(&mut text, &mut out);
                out.push(">".to_owned());
            }
            Ok(Some(rxml::Event::Text(_, piece))) => text.push_str(&piece),
            Ok(Some(_)) => {}
            Ok(None) => return Some(out),
            Err(_) => return None,
        }
    }
}

/// Checks one document with both, and that the framer agrees with the tape.
fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    let ours = Document::parse(Bytes::copy_from_slice(bytes), &Scope::new(""));
    let theirs = rxml(bytes);
    let shown = String::from_utf8_lossy(bytes);
    match (&ours, theirs) {
        (Ok(document), Some(theirs)) => {
            prop_assert_eq!(meaning(document.root()), theirs, "{}", shown);
            let mut framer = Framer::new(1 << 20);
            framer.next(b"<a>").unwrap();
            let frame = framer.next(bytes);
            prop_assert_eq!(frame, Ok(Some(Frame { kind: FrameKind::Element, len: bytes.len() })), "{}", shown);
        }
        (Ok(_), None) => return Err(TestCaseError::fail(format!("rxml refuses {shown}"))),
        (Err(XmlError::Limit(_)), _) | (Err(_), None) => {}
        // It takes a namespace declaration that comes twice with the same name.
        (Err(XmlError::NotWellFormed("an attribute twice")), _) if shown.matches(" xmlns").count() > 1 => {}
        // A document may have an XML declaration and white space around it; an element may not.
        (Err(_), Some(_)) if bytes.starts_with(b"<?xml") => {}
        (Err(XmlError::NotWellFormed("text outside the element" | "something behind the element")), Some(_)) => {}
        (Err(error), Some(_)) => return Err(TestCaseError::fail(format!("{error:?}: rxml accepts {shown}"))),
    }
    Ok(())
}

fn name() -> impl Strategy<Value = String> {
    const NAMES: &[&str] = &["a", "b", "message", "x-1.y_", "\u{e9}t\u{e9}", "p:a", "q:b", "xml:c", "a\u{b7}"];
    prop::sample::select(NAMES).prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ -%'-;=?-~]{0,12}".prop_map(|text| text.replace("]]>", "")),
        1 => "\\PC{0,4}".prop_map(|text| text.replace(['<', '&', ']'], "")),
        2 => prop::sample::select(&["&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#65;", "&#x1F600;", "&#13;", "&#9;", "&#10;"][..])
            .prop_map(str::to_owned),
        1 => prop::sample::select(&["\r\n", "\r", "\n", "\t", ">", "]]", "]"][..]).prop_map(str::to_owned),
    ]
}

fn attribute() -> impl Strategy<Value = String> {
    let declaration = (
        prop::sample::select(&["xmlns", "xmlns:p", "xmlns:q", "xmlns:r"][..]),
        prop::sample::select(&["urn:a", "urn:b", "", "urn:&amp;", "http://www.w3.org/XML/1998/namespace"][..]),
    );
    prop_oneof![
        2 => declaration.prop_map(|(name, value)| format!(" {name}='{value}'")),
        3 => (name(), prop::collection::vec(text(), 0..3), any::<bool>()).prop_map(|(name, value, double)| {
            let (quote, space) = if double { ("\"", " ") } else { ("'", "") };
            format!("{space} {name}{space}={space}{quote}{}{quote}", value.concat().replace(quote, ""))
        }),
    ]
}

fn tag(inside: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (name(), prop::collection::vec(attribute(), 0..3), inside, any::<bool>()).prop_map(
        |(name, attributes, inside, space)| {
            let space = if space { " " } else { "" };
            if inside.is_empty() {
                format!("<{name}{}{space}/>", attributes.concat())
            } else {
                format!("<{name}{}{space}>{inside}</{name}{space}>", attributes.concat())
            }
        },
    )
}

/// An element, mostly valid.
pub(super) fn element() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => text(),
        1 => "[ -~]{0,8}".prop_map(|text| format!("<![CDATA[{}]]>", text.replace("]]>", ""))),
        1 => Just("<![CDATA[\r\n]]]>".to_owned() + "]>"),
    ];
    let inside = leaf.prop_recursive(4, 24, 4, |inside| {
        prop_oneof![
            3 => tag(prop::collection::vec(inside.clone(), 0..4).prop_map(|inside| inside.concat())),
            1 => inside,
        ]
    });
    let root = (prop::collection::vec(inside, 0..4), prop::collection::vec(attribute(), 0..2), any::<bool>());
    root.prop_map(|(inside, attributes, prefixed)| {
        let name = if prefixed { "p:message" } else { "message" };
        format!("<{name} xmlns:p='urn:p' xmlns:q='urn:a'{}>{}</{name}>", attributes.concat(), inside.concat())
    })
}

/// Pieces that matter to XML, so that a change often hits something.
const PIECES: &[&[u8]] = &[
    b"<",
    b">",
    b"/",
    b"'",
    b"\"",
    b"&",
    b";",
    b"=",
    b":",
    b" ",
    b"!",
    b"?",
    b"]",
    b"]]>",
    b"<![CDATA[",
    b"#",
    b"x",
    b"\0",
    b"\x1F",
    b"\xFF",
    b"\xC3",
    b"\xEF\xBF\xBF",
    b"\xED\xA0\x80",
    b"&amp;",
    b"</",
    b"/>",
    b"<!--",
    b"-->",
    b"<a>",
    b"</a>",
    b"xmlns",
    b" a='1'",
    b"\r",
    b"\t",
    b"&#",
    b"<?a?>",
    b" xmlns='u'",
    b" xmlns:xml='u'",
    b" xmlns:a=''",
];

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), 0_usize..3, prop::sample::select(PIECES));
    (element(), prop::collection::vec(change, 1..4)).prop_map(|(text, changes)| {
        let mut bytes = text.into_bytes();
        for (at, removed, piece) in changes {
            let at = at.index(bytes.len());
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, piece.iter().copied());
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), ..ProptestConfig::default() })]

    #[test]
    fn valid_documents(text in element()) {
        check(text.as_bytes())?;
    }

    #[test]
    fn nearly_valid_documents(bytes in mutated()) {
        check(&bytes)?;
    }

    #[test]
    fn pieces_of_markup(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..12)) {
        check(&[b"<a", &*pieces.concat()].concat())?;
        check(&[b"<a>", &*pieces.concat(), b"</a>"].concat())?;
        let _ = Document::parse_header([b"<a", &*pieces.concat(), b">"].concat().into());
        let _ = Document::parse_content(pieces.concat().into(), &Scope::new(""));
    }

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        check(&bytes)?;
        check(&[b"<a>", &*bytes, b"</a>"].concat())?;
        let _ = Document::parse_header(bytes.clone().into());
        let _ = Document::parse_content(bytes.into(), &Scope::new(""));
    }

    /// XML declarations, as both read them.
    #[test]
    fn declarations(parts in prop::collection::vec(prop::sample::select(DECLARATION), 0..8)) {
        let header = format!("<?xml{}?><a>", parts.concat());
        let ours = Document::parse_header(header.clone().into());
        let theirs = rxml(format!("{header}</a>").as_bytes());
        // It takes `standalone` only behind an encoding and with `yes`; XML 1.0 §2.8 is not so strict.
        let lenient = header.contains("standalone") && ours.is_ok();
        prop_assert_eq!(ours.is_ok(), theirs.is_some() || lenient, "{} {:?}", header, ours);
    }
}

const DECLARATION: &[&str] = &[
    " ",
    " version='1.0'",
    " version=\"1.0\"",
    " encoding='UTF-8'",
    " encoding='utf-8'",
    " encoding='latin1'",
    " standalone='yes'",
    " standalone='no'",
    " version = '1.0'",
    " version='1.1'",
    " x='y'",
    "\n",
];
