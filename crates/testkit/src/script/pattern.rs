//! Stanzas as scripts write them, compared with stanzas as they came. Strict: what is not written may not come, but for
//! the few things that [`Pattern::matches`] names.

use linnet_xmpp::{
    Jid, ns,
    xml::{Content, Document, Node, Scope},
};
use std::collections::BTreeMap;

/// Values that a script has captured, by name.
pub type Captured = BTreeMap<String, String>;

/// An element as a script writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    root: Element,
    /// As written, for messages.
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Element {
    name: String,
    ns: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

const STANZA_ID: &str = "urn:xmpp:sid:0";

/// An element of this name in a pattern stands for any further children.
const REST: &str = "etc";

/// Removes the white space between elements that only lays a script out: what has a line break in it.
pub(super) fn without_layout(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.trim();
    while let Some(place) = rest.find('>') {
        let (head, tail) = rest.split_at(place + 1);
        out.push_str(head);
        let behind = tail.trim_start();
        let space = &tail[..tail.len() - behind.len()];
        rest = if behind.starts_with('<') && space.contains('\n') { behind } else { tail };
    }
    out.push_str(rest);
    out
}

/// The elements of a block, each by itself in canonical form. `Err` says what is wrong.
pub(super) fn elements(text: &str) -> Result<Vec<String>, String> {
    let document = Document::parse_content(without_layout(text).into(), &Scope::new(ns::CLIENT));
    let document = document.map_err(|error| format!("{error}: {text}"))?;
    let mut found = Vec::new();
    for content in document.root().contents() {
        match content {
            Content::Element(node) => found.push(String::from_utf8_lossy(&node.to_bytes(ns::CLIENT)).into_owned()),
            Content::Text(text) if text.trim().is_empty() => {}
            Content::Text(text) => return Err(format!("text outside of elements: {text}")),
        }
    }
    if found.is_empty() { Err("there is no element".into()) } else { Ok(found) }
}

/// Puts captured values in the place of `{name}`. `Err` names one that was not captured.
pub(super) fn fill(text: &str, captured: &Captured) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let Some(length) = rest[start..].find('}') else { break };
        let name = &rest[start + 1..start + length];
        if !is_name(name) {
            // Clark notation (XEP-0068 §3.4) and the like.
            out.push_str(&rest[..=start]);
            rest = &rest[start + 1..];
            continue;
        }
        let value = captured.get(name).ok_or_else(|| format!("'{{{name}}}' was not captured"))?;
        out.push_str(&rest[..start]);
        out.push_str(value);
        rest = &rest[start + length + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Whether what stands in braces is the name of a captured value.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

impl Pattern {
    /// Reads one element. `Err` says what is wrong.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let root = parse(text)?;
        Ok(Pattern { root, text: text.to_owned() })
    }

    /// Compares with what came to `receiver`. Where the pattern says nothing, these may come: `to`, if it is the
    /// receiver's own address; a `stanza-id` (XEP-0359); the `text` of an error. `Err` says what differs; nothing is
    /// captured then.
    pub fn matches(&self, xml: &str, receiver: &Jid, captured: &mut Captured) -> Result<(), String> {
        let mut actual = parse(xml)?;
        if !self.root.attributes.iter().any(|(name, _)| name == "to") {
            let own = |value: &str| value == receiver.as_str() || value == receiver.bare_str();
            actual.attributes.retain(|(name, value)| name != "to" || !own(value));
        }
        let mut trial = captured.clone();
        compare(&self.root, &actual, &mut trial)?;
        *captured = trial;
        Ok(())
    }
}

fn parse(text: &str) -> Result<Element, String> {
    let document = Document::parse(text.to_owned().into(), &Scope::new(ns::CLIENT));
    document.map(|document| element(document.root())).map_err(|error| format!("{error}: {text}"))
}

fn element(node: Node<'_>) -> Element {
    let attribute = |(space, name, value): (&str, &str, std::borrow::Cow<'_, str>)| {
        (if space.is_empty() { name.to_owned() } else { format!("{{{space}}}{name}") }, value.into_owned())
    };
    Element {
        name: node.name().to_owned(),
        ns: node.ns().to_owned(),
        attributes: node.attrs().map(attribute).collect(),
        children: node.children().map(element).collect(),
        text: node.text().into_owned(),
    }
}

fn compare(pattern: &Element, actual: &Element, captured: &mut Captured) -> Result<(), String> {
    if (&pattern.name, &pattern.ns) != (&actual.name, &actual.ns) {
        let Element { name, ns, .. } = actual;
        return Err(format!("<{name} xmlns='{ns}'> instead of <{} xmlns='{}'>", pattern.name, pattern.ns));
    }
    let place = &actual.name;
    for (name, value) in &pattern.attributes {
        let came = actual.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value);
        let came = came.ok_or_else(|| format!("<{place}> has no '{name}'"))?;
        compare_value(value, came, captured).map_err(|why| format!("'{name}' of <{place}>: {why}"))?;
    }
    if let Some((name, value)) =
        actual.attributes.iter().find(|(name, _)| !pattern.attributes.iter().any(|(known, _)| known == name))
    {
        return Err(format!("<{place}> has {name}='{value}', which was not expected"));
    }
    compare_value(&pattern.text, &actual.text, captured).map_err(|why| format!("text of <{place}>: {why}"))?;
    compare_children(pattern, actual, captured)
}

/// In any order: no specification gives one to the children of what is tested here.
fn compare_children(pattern: &Element, actual: &Element, captured: &mut Captured) -> Result<(), String> {
    let mut left: Vec<&Element> = actual.children.iter().collect();
    for wanted in pattern.children.iter().filter(|child| child.name != REST) {
        let mut why = format!("<{}> has no <{} xmlns='{}'>", actual.name, wanted.name, wanted.ns);
        let found = left.iter().position(|child| {
            let mut trial = captured.clone();
            match compare(wanted, child, &mut trial) {
                Ok(()) => {
                    *captured = trial;
                    true
                }
                Err(other) => {
                    if (&child.name, &child.ns) == (&wanted.name, &wanted.ns) {
                        why = other;
                    }
                    false
                }
            }
        });
        match found {
            Some(place) => left.remove(place),
            None => return Err(why),
        };
    }
    let takes_more = pattern.children.iter().any(|child| child.name == REST);
    match left.iter().find(|child| !takes_more && !is_passed_over(child)) {
        Some(child) => {
            Err(format!("<{}> has <{} xmlns='{}'>, which was not expected", actual.name, child.name, child.ns))
        }
        None => Ok(()),
    }
}

fn is_passed_over(child: &Element) -> bool {
    child.name == "stanza-id" && child.ns == STANZA_ID || child.name == "text" && child.ns == ns::STANZA_ERROR
}

fn compare_value(pattern: &str, came: &str, captured: &mut Captured) -> Result<(), String> {
    let name = pattern.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).filter(|name| is_name(name));
    if let Some(name) = name
        && !captured.contains_key(name)
    {
        captured.insert(name.to_owned(), came.to_owned());
        return Ok(());
    }
    let wanted = fill(pattern, captured)?;
    let same = match wanted.split_once('*') {
        Some((head, tail)) => came.len() >= head.len() + tail.len() && came.starts_with(head) && came.ends_with(tail),
        None => wanted == came,
    };
    if same { Ok(()) } else { Err(format!("'{came}' instead of '{wanted}'")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, xml: &str) -> Result<Captured, String> {
        let mut captured = Captured::new();
        let me = Jid::parse("romeo@example.com/orchard").unwrap();
        Pattern::parse(pattern)?.matches(xml, &me, &mut captured).map(|()| captured)
    }

    #[test]
    fn what_is_written_must_come_and_nothing_else() {
        let xml = "<message from='a@b' type='chat'><body>Hi</body></message>";
        check(xml, xml).unwrap();
        for wrong in [
            "<presence from='a@b' type='chat'><body>Hi</body></presence>",
            "<message from='a@c' type='chat'><body>Hi</body></message>",
            "<message from='a@b'><body>Hi</body></message>",
            "<message from='a@b' type='chat' id='1'><body>Hi</body></message>",
            "<message from='a@b' type='chat'><body>Ho</body></message>",
            "<message from='a@b' type='chat'/>",
            "<message from='a@b' type='chat'><body>Hi</body><thread>1</thread></message>",
            "<message from='a@b' type='chat'><body xmlns='urn:x'>Hi</body></message>",
            "<message from='a@b' type='chat'><body>Hi</body><body>Hi</body></message>",
        ] {
            check(wrong, xml).unwrap_err();
        }
        check("<message from='a@b'/>", "<message from='a@b'><body>Hi</body></message>").unwrap_err();
    }

    #[test]
    fn own_addresses_stanza_ids_and_texts_of_errors_need_not_be_written() {
        check("<message/>", "<message to='romeo@example.com'/>").unwrap();
        check("<message/>", "<message to='romeo@example.com/orchard'/>").unwrap();
        check("<message/>", "<message to='romeo@example.com/balcony'/>").unwrap_err();
        check("<message/>", "<message><stanza-id xmlns='urn:xmpp:sid:0' id='1'/></message>").unwrap();
        check(
            "<message><stanza-id xmlns='urn:xmpp:sid:0' id='2'/></message>",
            "<message><stanza-id xmlns='urn:xmpp:sid:0' id='1'/></message>",
        )
        .unwrap_err();
        let text = "<iq><error><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>why</text></error></iq>";
        check("<iq><error/></iq>", text).unwrap();
    }

    #[test]
    fn values_are_captured_and_used_again() {
        let captured = check("<iq id='{id}' x='*'><a b='{id}'/></iq>", "<iq id='7' x='y'><a b='7'/></iq>").unwrap();
        assert_eq!(captured["id"], "7");
        check("<iq id='{id}'><a b='{id}'/></iq>", "<iq id='7'><a b='8'/></iq>").unwrap_err();
        check("<a b='2026-*Z'/>", "<a b='2026-01-01T00:00:00Z'/>").unwrap();
        check("<a b='2026-*Z'/>", "<a b='2025-01-01T00:00:00Z'/>").unwrap_err();
        assert_eq!(fill("<a b='{id}'/>", &captured).unwrap(), "<a b='7'/>");
        fill("{unknown}", &captured).unwrap_err();
    }

    #[test]
    fn etc_stands_for_further_children() {
        check("<iq><a/><etc/></iq>", "<iq><b/><a/><c/></iq>").unwrap();
        check("<iq><a/><etc/></iq>", "<iq><b/></iq>").unwrap_err();
    }

    #[test]
    fn layout_is_not_content() {
        assert_eq!(elements("<a>\n  <b> </b>\n</a>\n<c/>").unwrap(), ["<a><b> </b></a>", "<c/>"]);
        elements("<a/> text").unwrap_err();
        elements("<a>").unwrap_err();
    }
}
