//! The canonical form: what is shared, what is written anew, and that both mean the same.

use super::*;
use crate::ns;
use proptest::prelude::*;

fn inner(text: &str, scope: &Scope) -> String {
    let document = Document::parse(text.to_owned().into(), scope).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    String::from_utf8(document.inner().to_vec()).unwrap()
}

#[test]
fn canonical_content_is_shared() {
    for content in [
        "<body>Hi &amp; &lt;bye&gt; &apos;&quot;&#13;</body><x xmlns='urn:x' a = \"1&#10;\"><y /></x> text",
        "<p:x xmlns:p='urn:1' xmlns:q='urn:2' q:a='1'><q:y/><z xmlns=''/><w xmlns='urn:3'><p:v/></w></p:x>",
        "\u{e9}\u{1F600}",
        "",
    ] {
        for start in ["<message>", "<message xmlns='jabber:client'>", "<message xmlns:unused='u' unused:a='b'>"] {
            let bytes = Bytes::from(format!("{start}{content}</message>"));
            let document = Document::parse(bytes.clone(), &scope()).unwrap();
            assert_eq!(document.inner(), content);
            if !content.is_empty() {
                assert_eq!(document.inner().as_ptr(), bytes[start.len()..].as_ptr());
            }
        }
    }
}

#[test]
fn odd_content_is_written_anew() {
    let client = scope();
    for (text, expected) in [
        ("<m><a><![CDATA[<&>]]]]></a></m>", "<a>&lt;&amp;&gt;]]</a>"),
        ("<m>&#65;&#x1F600;</m>", "A\u{1F600}"),
        ("<m><a b='&#65;'/></m>", "<a b='A'/>"),
        ("<m>a\r\nb</m>", "a\nb"),
        ("<m><a b='1\n2'/></m>", "<a b='1 2'/>"),
        ("<m xmlns:p='u'><p:a p:b='1'/></m>", "<a xmlns='u' xmlns:n0='u' n0:b='1'/>"),
        ("<m><stream:a/></m>", "<a xmlns='http://etherx.jabber.org/streams'/>"),
        ("<c:m xmlns:c='jabber:client'><c:a><b xmlns='u'/></c:a></c:m>", "<a><b xmlns='u'/></a>"),
        ("<c:m xmlns:c='jabber:client' xmlns='u'><a/></c:m>", "<a xmlns='u'/>"),
        ("<m><a><![CDATA[]]></a></m>", "<a/>"),
    ] {
        assert_eq!(inner(text, &client), expected, "{text}");
    }
}

#[test]
fn content_of_a_server_stanza_becomes_that_of_a_client_stanza() {
    let server = Scope::new(ns::SERVER);
    for (text, expected) in [
        ("<message><body>x</body><y xmlns='u'/></message>", "<body>x</body><y xmlns='u'/>"),
        ("<message><body xmlns='jabber:server'>x</body></message>", "<body>x</body>"),
        (
            "<message><f xmlns='u'><message xmlns='jabber:client'/></f></message>",
            "<f xmlns='u'><message xmlns='jabber:client'/></f>",
        ),
        ("<s:message xmlns:s='jabber:server'><s:body/></s:message>", "<body/>"),
    ] {
        assert_eq!(inner(text, &server), expected, "{text}");
    }
    assert_eq!(inner("<message xmlns='jabber:server'><body/></message>", &scope()), "<body/>");
}

#[test]
fn an_element_stands_alone_under_any_default_namespace() {
    let document = document("<message><body>x</body><p:a xmlns:p='u'><b/></p:a><c xmlns='v'/></message>");
    let [body, a, c] = document.root().children().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(body.to_bytes(ns::CLIENT), "<body>x</body>");
    assert_eq!(body.to_bytes("u"), "<body xmlns='jabber:client'>x</body>");
    assert_eq!(a.to_bytes(ns::CLIENT), "<a xmlns='u'><b xmlns='jabber:client'/></a>");
    assert_eq!(c.to_bytes("u"), "<c xmlns='v'/>");
    let mut writer = Writer::new("");
    writer.open("r", "u").node(body).node(c).close();
    assert_eq!(writer.finish(), "<r xmlns='u'><body xmlns='jabber:client'>x</body><c xmlns='v'/></r>");
}

#[test]
fn the_writer_declares_only_what_changes() {
    let mut writer = Writer::new(ns::CLIENT);
    writer.open("iq", ns::CLIENT).attr("id", "<'\">&\n").attr_opt("to", None);
    writer.open("query", "u").attr_opt("ver", Some("1")).leaf("a", "u", "").leaf("b", "v", "x").close();
    writer.leaf("c", ns::CLIENT, "]]>\u{1}\u{FFFE}\r").raw(b"<d/>").close();
    assert_eq!(
        writer.finish(),
        "<iq id='&lt;&apos;&quot;&gt;&amp;&#10;'><query xmlns='u' ver='1'><a/><b xmlns='v'>x</b></query>\
         <c>]]&gt;\u{FFFD}\u{FFFD}&#13;</c><d/></iq>"
    );
}

/// Prefixes declared outside of what is forwarded, as many as the limits allow: written anew, each needs a declaration.
#[test]
fn what_is_written_anew_is_within_the_limits() {
    let declarations = |count: usize| (0..count).map(|n| format!(" xmlns:p{n}='u{n}'")).collect::<String>();
    let uses = |count: usize| (0..count).map(|n| format!(" p{n}:a='1'")).collect::<String>();
    let mut refused = 0;
    for spaces in [1, 5, 20, 30, 40, 60] {
        for depth in [1, 2, 7, 20, 62] {
            let start = format!("<a{}>", uses(spaces));
            let inside = format!("{}{}", start.repeat(depth), "</a>".repeat(depth));
            let text = format!("<message{}>{inside}</message>", declarations(spaces));
            match Document::parse(text.into(), &scope()) {
                Ok(document) => {
                    let inner = document.inner();
                    let again = Document::parse_content(inner.clone(), &Scope::new(ns::CLIENT));
                    assert!(again.is_ok_and(|again| again.inner() == inner), "{spaces} {depth}");
                }
                Err(error) => {
                    assert!(matches!(error, XmlError::Limit(_)), "{error:?}");
                    refused += 1;
                }
            }
        }
    }
    assert!((1..25).contains(&refused), "{refused}");
    let longest = format!("<m xmlns:p='u'><a p:{}='1'/></m>", "n".repeat(limits::NAME - 4));
    let inner = Document::parse(longest.into(), &scope()).unwrap().inner();
    assert!(Document::parse_content(inner, &scope()).is_ok());
}

proptest! {
    /// What is written means the same as what was read, and is canonical.
    #[test]
    fn writing_keeps_the_meaning(text in super::differential::element()) {
        let Ok(document) = Document::parse(text.clone().into(), &Scope::new("")) else { return Ok(()) };
        for default in ["", "urn:a", ns::CLIENT] {
            let written = document.root().to_bytes(default);
            let again = Document::parse(written.clone(), &Scope::new(default)).unwrap();
            prop_assert_eq!(meaning(again.root()), meaning(document.root()), "{:?}", written);
            prop_assert_eq!(again.root().to_bytes(default), &written);
            prop_assert_eq!(again.root().to_bytes(default).as_ptr(), written.as_ptr());
        }
    }

    /// The content of a stanza is that of the same one in `jabber:client`.
    #[test]
    fn content_keeps_its_meaning(text in super::differential::element(), server: bool) {
        let default = if server { ns::SERVER } else { ns::CLIENT };
        let text = text.replace("urn:a", default);
        let Ok(document) = Document::parse(text.into(), &Scope::new(default)) else { return Ok(()) };
        let inner = document.inner();
        // Other elements than stanzas are left in their namespace.
        let root_ns = document.root().ns();
        let renamed = if root_ns == ns::SERVER { ns::CLIENT } else { root_ns };
        let again = Document::parse_content(inner.clone(), &Scope::new(renamed)).unwrap();
        let mut before = meaning(document.root());
        before.pop();
        before.remove(0);
        let root = format!("<{{{root_ns}}}");
        let before: Vec<_> = before.iter().map(|line| match line.strip_prefix(&root) {
            Some(rest) => format!("<{{{renamed}}}{rest}"),
            None => line.clone(),
        }).collect();
        prop_assert_eq!(meaning(again.root()), before, "{:?}", inner);
        prop_assert_eq!(again.inner(), inner);
    }

    /// Text and values survive, but for the characters that XML has not.
    #[test]
    fn text_and_values_survive(text: String, value: String) {
        let mut writer = Writer::new("");
        writer.open("a", "").attr("b", &value).text(&text).close();
        let document = Document::parse(writer.finish(), &Scope::new("")).unwrap();
        let clean = |text: &str| text.chars().map(|char| if crate::xml::chars::is_char(char) { char } else { '\u{FFFD}' }).collect::<String>();
        prop_assert_eq!(document.root().text(), clean(&text));
        prop_assert_eq!(document.root().attr("b").unwrap(), clean(&value));
    }
}
