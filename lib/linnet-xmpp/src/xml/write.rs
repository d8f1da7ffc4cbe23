//! Writing canonical XML: no prefixes on elements, `xmlns` where the default namespace changes, no CDATA, `'` around
//! values, references only where they are needed.

use super::{
    document::{Content, Node},
    escape::{escape_attr, escape_text},
};
use crate::ns;
use bytes::Bytes;
use smallvec::SmallVec;

/// Writes canonical XML. Names and namespaces are the caller's and must be valid; text and values are escaped.
/// Characters that XML 1.0 forbids are replaced by U+FFFD.
///
/// ```
/// use linnet_xmpp::xml::Writer;
///
/// let mut writer = Writer::new("jabber:client");
/// writer.leaf("body", "jabber:client", "1 < 2").open("active", "urn:x").attr("by", "a'b").close();
/// assert_eq!(writer.finish(), "<body>1 &lt; 2</body><active xmlns='urn:x' by='a&apos;b'/>");
/// ```
#[derive(Debug)]
pub struct Writer {
    out: Vec<u8>,
    open: SmallVec<[Open; 8]>,
    /// The default namespaces in force, one behind the other; the innermost is the last `default` octets.
    spaces: String,
    default: usize,
    /// Whether the last start tag still lacks its `>`.
    in_tag: bool,
}

#[derive(Debug)]
struct Open {
    /// Where its name is in `out`.
    name: usize,
    name_len: usize,
    /// The length of the default namespace outside, if it changed here.
    outer: Option<usize>,
}

impl Writer {
    /// A writer into an empty buffer, inside an element whose default namespace is `default_ns`.
    pub fn new(default_ns: &str) -> Writer {
        Writer {
            out: Vec::with_capacity(256),
            open: SmallVec::new(),
            spaces: default_ns.to_owned(),
            default: default_ns.len(),
            in_tag: false,
        }
    }

    /// Opens an element; `xmlns` is written only where the default namespace changes.
    pub fn open(&mut self, name: &str, ns: &str) -> &mut Writer {
        self.end_tag();
        self.out.push(b'<');
        let start = self.out.len();
        self.out.extend_from_slice(name.as_bytes());
        let mut outer = None;
        if self.default_ns() != ns {
            self.out.extend_from_slice(b" xmlns='");
            escape_attr(ns, &mut self.out);
            self.out.push(b'\'');
            outer = Some(self.default);
            self.spaces.push_str(ns);
            self.default = ns.len();
        }
        self.open.push(Open { name: start, name_len: name.len(), outer });
        self.in_tag = true;
        self
    }

    /// Adds an attribute to the element just opened.
    pub fn attr(&mut self, name: &str, value: &str) -> &mut Writer {
        debug_assert!(self.in_tag, "an attribute behind content");
        write_attribute(&mut self.out, name, value);
        self
    }

    /// Adds an attribute if there is a value.
    pub fn attr_opt(&mut self, name: &str, value: Option<&str>) -> &mut Writer {
        match value {
            Some(value) => self.attr(name, value),
            None => self,
        }
    }

    /// Adds text.
    pub fn text(&mut self, text: &str) -> &mut Writer {
        if !text.is_empty() {
            self.end_tag();
            escape_text(text, &mut self.out);
        }
        self
    }

    /// Closes the element opened last (`<a/>` if nothing is in it).
    pub fn close(&mut self) -> &mut Writer {
        let Some(open) = self.open.pop() else {
            debug_assert!(false, "nothing to close");
            return self;
        };
        if self.in_tag {
            self.in_tag = false;
            self.out.extend_from_slice(b"/>");
        } else {
            self.out.extend_from_slice(b"</");
            self.out.extend_from_within(open.name..open.name + open.name_len);
            self.out.push(b'>');
        }
        if let Some(outer) = open.outer {
            self.spaces.truncate(self.spaces.len() - self.default);
            self.default = outer;
        }
        self
    }

    /// An element with text and nothing else.
    pub fn leaf(&mut self, name: &str, ns: &str, text: &str) -> &mut Writer {
        self.open(name, ns).text(text).close()
    }

    /// Copies an element in canonical form.
    pub fn node(&mut self, node: Node<'_>) -> &mut Writer {
        self.end_tag();
        let default = &self.spaces[self.spaces.len() - self.default..];
        write_element(node, Target { default, renamed: None }, &mut self.out);
        self
    }

    /// Adds bytes that are already canonical under the default namespace in force.
    pub fn raw(&mut self, canonical: &[u8]) -> &mut Writer {
        if !canonical.is_empty() {
            self.end_tag();
            self.out.extend_from_slice(canonical);
        }
        self
    }

    /// What was written. Every open element must have been closed.
    pub fn finish(self) -> Bytes {
        debug_assert!(self.open.is_empty(), "an element was not closed");
        self.out.into()
    }

    fn default_ns(&self) -> &str {
        &self.spaces[self.spaces.len() - self.default..]
    }

    fn end_tag(&mut self) {
        if self.in_tag {
            self.in_tag = false;
            self.out.push(b'>');
        }
    }
}

/// Where an element is written.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    /// The default namespace in force there.
    pub(super) default: &'a str,
    /// A namespace to write as another one. Nothing is copied then, because declarations would be copied too.
    pub(super) renamed: Option<(&'a str, &'a str)>,
}

/// Appends an element in canonical form. The depth of elements is limited, thus that of the recursion.
pub(super) fn write_element(node: Node<'_>, target: Target<'_>, out: &mut Vec<u8>) {
    if let Some(bytes) = node.as_is(target.default).filter(|_| target.renamed.is_none()) {
        return out.extend_from_slice(bytes);
    }
    let name = node.name();
    let ns = match target.renamed {
        Some((from, to)) if node.ns() == from => to,
        _ => node.ns(),
    };
    if name.is_empty() {
        // Content without an element around it.
        return write_contents(node, target, out);
    }
    // The namespace of `xml` cannot be a default namespace (Namespaces in XML 1.0 §3).
    let (prefix, default) = if ns == ns::XML { ("xml:", target.default) } else { ("", ns) };
    out.push(b'<');
    out.extend_from_slice(prefix.as_bytes());
    out.extend_from_slice(name.as_bytes());
    if default != target.default {
        write_attribute(out, "xmlns", default);
    }
    write_attributes(node, out);
    let start = out.len();
    out.push(b'>');
    write_contents(node, Target { default, ..target }, out);
    if out.len() == start + 1 {
        out.truncate(start);
        out.extend_from_slice(b"/>");
        return;
    }
    out.extend_from_slice(b"</");
    out.extend_from_slice(prefix.as_bytes());
    out.extend_from_slice(name.as_bytes());
    out.push(b'>');
}

/// Appends the attributes of an element, with prefixes of our own for those that have a namespace.
fn write_attributes(node: Node<'_>, out: &mut Vec<u8>) {
    let mut prefixes = SmallVec::<[&str; 4]>::new();
    for (space, name, value) in node.attrs() {
        match space {
            "" => write_attribute(out, name, &value),
            ns::XML => write_attribute(out, &["xml:", name].concat(), &value),
            _ => {
                let known = prefixes.iter().position(|known| *known == space);
                let number = known.unwrap_or(prefixes.len());
                if known.is_none() {
                    prefixes.push(space);
                    write_attribute(out, &format!("xmlns:n{number}"), space);
                }
                write_attribute(out, &format!("n{number}:{name}"), &value);
            }
        }
    }
}

/// Appends what is inside an element in canonical form.
pub(super) fn write_contents(node: Node<'_>, target: Target<'_>, out: &mut Vec<u8>) {
    for content in node.contents() {
        match content {
            Content::Element(child) => write_element(child, target, out),
            Content::Text(text) => escape_text(&text, out),
        }
    }
}

fn write_attribute(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"='");
    escape_attr(value, out);
    out.push(b'\'');
}
