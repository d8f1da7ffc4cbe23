//! Tests of the XML layer.

mod canonical;
mod differential;
mod framer;
mod reading;

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

/// All that an element means, in order, with text in one piece: what has to be equal whatever the bytes are.
fn meaning(node: Node<'_>) -> Vec<String> {
    fn visit(node: Node<'_>, out: &mut Vec<String>) {
        let mut attrs: Vec<_> = node.attrs().map(|(ns, name, value)| format!(" {{{ns}}}{name}={value:?}")).collect();
        attrs.sort();
        out.push(format!("<{{{}}}{}{}", node.ns(), node.name(), attrs.concat()));
        inside(node, out);
        out.push(">".to_owned());
    }
    fn inside(node: Node<'_>, out: &mut Vec<String>) {
        let mut text = String::new();
        for content in node.contents() {
            match content {
                Content::Text(piece) => text.push_str(&piece),
                Content::Element(child) => {
                    flush(&mut text, out);
                    visit(child, out);
                }
            }
        }
        flush(&mut text, out);
    }
    let mut out = Vec::new();
    if node.name().is_empty() {
        inside(node, &mut out)
    } else {
        visit(node, &mut out)
    }
    out
}

fn flush(text: &mut String, out: &mut Vec<String>) {
    if !text.is_empty() {
        out.push(format!("{:?}", std::mem::take(text)));
    }
}
