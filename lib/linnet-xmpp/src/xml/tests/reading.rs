//! Reading from the tape, and what is refused with which error.

use super::*;
use crate::ns;

#[test]
fn a_stanza_is_read() {
    let document = document(
        "<message to='b@a.example/r' type=\"chat\" xml:lang='en'><body>Hi &amp; bye</body>\
         <x xmlns='urn:x' a = '1'><y/> t <![CDATA[<&]]>&#x41;</x></message>",
    );
    let root = document.root();
    assert!(root.is("message", ns::CLIENT));
    assert!(!root.is("message", ns::SERVER) && !root.is("iq", ns::CLIENT));
    assert_eq!(root.attr("to").as_deref(), Some("b@a.example/r"));
    assert_eq!(root.attr("type").as_deref(), Some("chat"));
    assert_eq!(root.attr("lang"), None);
    assert_eq!(root.lang().as_deref(), Some("en"));
    assert_eq!(root.child("body", ns::CLIENT).unwrap().text(), "Hi & bye");
    assert!(root.child("body", "").is_none());
    let x = root.child("x", "urn:x").unwrap();
    assert_eq!(x.attrs().collect::<Vec<_>>(), [("", "a", "1".into())]);
    assert_eq!(x.children().map(|child| (child.ns(), child.name())).collect::<Vec<_>>(), [("urn:x", "y")]);
    assert_eq!(x.text(), " t <&A");
    assert!(
        matches!(document.root().child("body", ns::CLIENT).unwrap().to_bytes(ns::CLIENT), bytes if bytes == "<body>Hi &amp; bye</body>")
    );
}

#[test]
fn namespaces_are_resolved() {
    let document = document(
        "<message><p:x xmlns:p='urn:1' xmlns:q='urn:2' q:a='1' a='2' xml:lang='de'><q:y/><z xmlns=''/>\
         <w xmlns='urn:3'><p:v/><p:v xmlns:p='urn:&amp;'/></w></p:x><stream:error/></message>",
    );
    let names =
        |node: Node<'_>| node.children().map(|child| format!("{{{}}}{}", child.ns(), child.name())).collect::<Vec<_>>();
    assert_eq!(names(document.root()), ["{urn:1}x", "{http://etherx.jabber.org/streams}error"]);
    let x = document.root().child("x", "urn:1").unwrap();
    assert_eq!(names(x), ["{urn:2}y", "{}z", "{urn:3}w"]);
    assert_eq!(names(x.child("w", "urn:3").unwrap()), ["{urn:1}v", "{urn:&}v"]);
    assert_eq!(x.attr("a").as_deref(), Some("2"));
    let attrs: Vec<_> = x.attrs().map(|(ns, name, _)| (ns, name)).collect();
    assert_eq!(attrs, [("urn:2", "a"), ("", "a"), (ns::XML, "lang")]);
}

#[test]
fn a_header_opens_a_scope() {
    let (header, scope) = Document::parse_header(Bytes::from_static(HEADER.as_bytes())).unwrap();
    assert!(header.root().is("stream", ns::STREAM));
    assert_eq!(header.root().attr("to").as_deref(), Some("a.example"));
    assert_eq!(header.root().children().count(), 0);
    assert_eq!(scope.default_ns(), ns::CLIENT);
    let other = "<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns:x='urn:x' xmlns='urn:y'>";
    let (_, scope) = Document::parse_header(Bytes::from_static(other.as_bytes())).unwrap();
    let document = Document::parse(Bytes::from_static(b"<a><x:b/><s:c/></a>"), &scope).unwrap();
    assert_eq!(document.root().ns(), "urn:y");
    assert_eq!(document.root().children().map(|child| child.ns()).collect::<Vec<_>>(), ["urn:x", ns::STREAM]);
    assert!(Document::parse(Bytes::from_static(b"<stream:a/>"), &scope).is_err());
}

#[test]
fn headers_are_validated() {
    for (header, expected) in [
        ("<?xml version='1.0' encoding='ISO-8859-1'?><a>", "Encoding"),
        ("<?xml version='1.1'?><a>", "NotWellFormed"),
        ("<?xml encoding='utf-8'?><a>", "NotWellFormed"),
        ("<?xml version='1.0' standalone='maybe'?><a>", "NotWellFormed"),
        ("<?xml version='1.0' a='b'?><a>", "NotWellFormed"),
        ("<?xml version='1.0'encoding='utf-8'?><a>", "NotWellFormed"),
        ("<stream:stream>", "Namespace"),
        ("<a/>", "NotWellFormed"),
        ("<a><b>", "NotWellFormed"),
        ("<!DOCTYPE a><a>", "Restricted"),
        ("", "NotWellFormed"),
    ] {
        let error = Document::parse_header(Bytes::from_static(header.as_bytes())).unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{header}: {error:?}");
    }
    let fine = "<?xml version=\"1.0\" encoding = 'UTF-8' standalone='yes' ?>\n<a>";
    assert!(Document::parse_header(Bytes::from_static(fine.as_bytes())).is_ok());
}

#[test]
fn bad_xml_is_refused_with_the_right_error() {
    let cases: &[(&[u8], &str)] = &[
        (b"<a><b></a>", "NotWellFormed"),
        (b"<a></b>", "NotWellFormed"),
        (b"<a></a><b/>", "NotWellFormed"),
        (b"<a/> ", "NotWellFormed"),
        (b"<a>", "NotWellFormed"),
        (b"<a", "NotWellFormed"),
        (b"", "NotWellFormed"),
        (b"<a b='1' b='2'/>", "NotWellFormed"),
        (b"<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>", "NotWellFormed"),
        (b"<a xmlns='u' xmlns='v'/>", "NotWellFormed"),
        (b"<a xmlns:p='u' xmlns:p='v'/>", "NotWellFormed"),
        (b"<a b='<'/>", "NotWellFormed"),
        (b"<a b=c/>", "NotWellFormed"),
        (b"<a b/>", "NotWellFormed"),
        (b"<a b='1'c='2'/>", "NotWellFormed"),
        (b"<a>]]></a>", "NotWellFormed"),
        (b"<a>&nbsp;</a>", "Restricted"),
        (b"<a b='&nbsp;'/>", "Restricted"),
        (b"<a>& b</a>", "NotWellFormed"),
        (b"<a>&lt</a>", "NotWellFormed"),
        (b"<a>&#0;</a>", "NotWellFormed"),
        (b"<a>&#x1F;</a>", "NotWellFormed"),
        (b"<a>&#xD800;</a>", "NotWellFormed"),
        (b"<a>&#x110000;</a>", "NotWellFormed"),
        (b"<a>&#99999999999999999999;</a>", "NotWellFormed"),
        (b"<a>&#X41;</a>", "NotWellFormed"),
        (b"<a>&#;</a>", "NotWellFormed"),
        (b"<a>&#x41</a>", "NotWellFormed"),
        (b"<a>\x00</a>", "NotWellFormed"),
        (b"<a>\x08</a>", "NotWellFormed"),
        (b"<a>\xEF\xBF\xBE</a>", "NotWellFormed"),
        (b"<a>\xFF</a>", "Encoding"),
        (b"<a>\xC0\x80</a>", "Encoding"),
        (b"<a>\xED\xA0\x80</a>", "Encoding"),
        (b"<a>\xF4\x90\x80\x80</a>", "Encoding"),
        (b"<a><!-- x --></a>", "Restricted"),
        (b"<a><?x y?></a>", "Restricted"),
        (b"<!DOCTYPE a><a/>", "Restricted"),
        (b"<a><![CDATA[x</a>", "NotWellFormed"),
        (b"<p:a/>", "Namespace"),
        (b"<a p:b=''/>", "Namespace"),
        (b"<a:b:c xmlns:a='u'/>", "Namespace"),
        (b"<:a/>", "Namespace"),
        (b"<a xmlns:p=''/>", "Namespace"),
        (b"<a xmlns:xml='u'/>", "Namespace"),
        (b"<a xmlns:xmlns='u'/>", "Namespace"),
        (b"<xmlns:a/>", "Namespace"),
        (b"<a xmlns='http://www.w3.org/2000/xmlns/'/>", "Namespace"),
        (b"<a xmlns='http://www.w3.org/XML/1998/namespace'/>", "Namespace"),
        (b"<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>", "Namespace"),
        ("<\u{d7}/>".as_bytes(), "NotWellFormed"),
        ("<a\u{d7}/>".as_bytes(), "NotWellFormed"),
        (b"<-a/>", "NotWellFormed"),
    ];
    for (bytes, expected) in cases {
        let shown = String::from_utf8_lossy(bytes);
        match Document::parse(Bytes::from_static(bytes), &scope()) {
            Ok(_) => panic!("{shown} was accepted"),
            Err(error) => assert!(format!("{error:?}").starts_with(expected), "{shown}: {error:?}"),
        }
    }
    for fine in [
        "<a xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:b='1'/>",
        "<\u{e9}\u{b7} \u{e9}='1'/>",
        "<a xmlns='' b='>'>></a >",
        "<a b='\t\n'/>",
    ] {
        document(fine);
    }
}

#[test]
fn limits_hold() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    let wide = |count: usize| format!("<a {}/>", (0..count).map(|n| format!(" a{n}='1'")).collect::<String>());
    let named = |len: usize| format!("<{0}></{0}>", "n".repeat(len));
    let prefixes = |count: usize| {
        let open: String = (0..count).map(|n| format!("<a xmlns:p{n}='u' xmlns:q{n}='u'>")).collect();
        format!("{open}{}", "</a>".repeat(count))
    };
    let many = |count: usize| format!("<a>{}</a>", "<b/>".repeat(count));
    let space = |len: usize| format!("<a xmlns='{}'/>", "u".repeat(len));
    let cases: [(&dyn Fn(usize) -> String, usize); 6] = [
        (&nested, limits::DEPTH),
        (&wide, limits::ATTRIBUTES - 1),
        (&named, limits::NAME),
        (&prefixes, limits::PREFIXES / 2),
        (&many, limits::CELLS - 1),
        (&space, limits::NAMESPACE),
    ];
    for (make, limit) in cases {
        document(&make(limit));
        let error = Document::parse(make(limit + 1).into(), &scope()).unwrap_err();
        assert!(matches!(error, XmlError::Limit(_)), "{error:?}");
    }
    let added = |count: usize| {
        let space = "u".repeat(1000);
        format!("<a xmlns:p='{space}'>{}</a>", "<p:b/>".repeat(count))
    };
    assert!(document(&added(64)).inner().len() < 70_000);
    assert!(matches!(Document::parse(added(65).into(), &scope()), Err(XmlError::Limit(_))));
    let back =
        |count: usize| format!("<p:a xmlns:p='{}' xmlns='v'>{}</p:a>", "u".repeat(1000), "<b><p:c/></b>".repeat(count));
    document(&back(60));
    assert!(matches!(Document::parse(back(65).into(), &scope()), Err(XmlError::Limit(_))));
    let many: String = (0..17).map(|n| format!(" xmlns:p{n}='u'")).collect();
    assert!(matches!(Document::parse_header(format!("<a{many}>").into()), Err(XmlError::Limit(_))));
}

#[test]
fn line_ends_and_white_space_are_normalised() {
    let document = document("<a b='1\r\n2\t3&#10;4\r5'>x\r\ny\rz<![CDATA[\r\n]]>&#13;</a>");
    assert_eq!(document.root().attr("b").unwrap(), "1 2 3\n4 5");
    assert_eq!(document.root().text(), "x\ny\nz\n\r");
}

#[test]
fn a_cell_is_small() {
    assert!(size_of::<super::super::tape::Cell>() <= 32);
    assert!(size_of::<Framer>() <= 96);
}
