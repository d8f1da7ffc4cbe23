//! A validated element and the views of it.

use super::{
    Scope, XmlError,
    declaration::declaration,
    escape::{unescape_attr, unescape_text},
    parse::{Form, parse, parse_header},
    tape::{Attribute, Cell, Element, Found, Marks, Space, value_len},
    write::{Target, write_contents, write_element},
};
use crate::ns;
use bytes::Bytes;
use std::borrow::Cow;

/// One element, validated, with its bytes.
///
/// ```
/// use bytes::Bytes;
/// use linnet_xmpp::xml::{Document, Scope};
///
/// let bytes = Bytes::from_static(b"<message to='a@b'><body>Hello &amp; welcome</body></message>");
/// let document = Document::parse(bytes, &Scope::new("jabber:client"))?;
/// let body = document.root().child("body", "jabber:client").unwrap();
/// assert_eq!(body.text(), "Hello & welcome");
/// # Ok::<(), linnet_xmpp::xml::XmlError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Document {
    pub(super) bytes: Bytes,
    /// Starts with the root element.
    pub(super) tape: Vec<Cell>,
    pub(super) scope: Scope,
    /// Namespace names that do not stand for themselves in the bytes.
    pub(super) owned: Vec<Box<str>>,
    /// What is true of all that is inside the root element.
    pub(super) inside: Marks,
}

impl Document {
    /// Validates one complete element: UTF-8, Char, Name, nesting, attributes, prefixes, entities, depth.
    pub fn parse(bytes: Bytes, scope: &Scope) -> Result<Document, XmlError> {
        parse(bytes, scope.clone(), Form::Element)
    }

    /// Validates a whole document: an optional XML declaration, and one element in no namespace but those that it declares.
    pub fn parse_document(bytes: Bytes) -> Result<Document, XmlError> {
        let root = declaration(&bytes)?;
        parse(bytes.slice(root..), Scope::new(""), Form::Element)
    }

    /// Validates a stream header (an optional XML declaration and one start tag that stays open) and gives the scope
    /// that it opens.
    pub fn parse_header(bytes: Bytes) -> Result<(Document, Scope), XmlError> {
        let tag = declaration(&bytes)?;
        parse_header(bytes, tag)
    }

    /// Validates what may stand inside an element: any number of elements and text. The root of what is given has no
    /// name.
    pub fn parse_content(bytes: Bytes, scope: &Scope) -> Result<Document, XmlError> {
        parse(bytes, scope.clone(), Form::Content)
    }

    /// The element.
    pub fn root(&self) -> Node<'_> {
        Node { document: self, at: 0 }
    }

    /// The bytes that were parsed.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The bytes between start tag and end tag, shared, if they are canonical and depend on nothing outside but the
    /// default namespace; otherwise written anew in canonical form. What is in the namespace of the root element is
    /// in the default namespace there: the content of a stanza in `jabber:server` reads as that of one in
    /// `jabber:client`.
    pub fn inner(&self) -> Bytes {
        let root = self.root();
        let element = root.element();
        let outer_default = self.inside.has(Marks::OUTER_DEFAULT) && element.prefix_len != 0;
        let renamed = self.inside.has(Marks::SERVER) && root.ns() == ns::SERVER;
        if !(self.inside.has(Marks::ODD.with(Marks::OUTER_PREFIX)) || outer_default || renamed) {
            return self.bytes.slice(element.content as usize..element.close as usize);
        }
        let mut out = Vec::with_capacity((element.close - element.content) as usize + 64);
        let target = match root.ns() {
            ns::SERVER => Target { default: ns::CLIENT, renamed: Some((ns::SERVER, ns::CLIENT)) },
            default => Target { default, renamed: None },
        };
        write_contents(root, target, &mut out);
        out.into()
    }

    /// The text of a namespace.
    pub(super) fn space(&self, space: Space) -> &str {
        match space.find() {
            Found::Bytes(at) => self.str_at(at as u32, value_len(&self.bytes, at)),
            Found::Owned(position) => self.owned.get(position).map_or("", |name| name),
            Found::ScopeDefault => self.scope.default_ns(),
            Found::ScopePrefix(position) => self.scope.prefixed(position),
            Found::Xml => ns::XML,
            Found::None => "",
        }
    }

    /// A piece of the bytes. All of them were found to be UTF-8, and pieces start and end between characters.
    pub(super) fn str_at(&self, at: u32, len: usize) -> &str {
        let piece = self.bytes.get(at as usize..at as usize + len).unwrap_or(&[]);
        std::str::from_utf8(piece).unwrap_or("")
    }
}

/// A view of an element on the tape.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    document: &'a Document,
    at: u32,
}

/// What stands where there is no element, so that no position can be wrong.
const NOTHING: Element = Element {
    start: 0,
    content: 0,
    close: 0,
    end: 0,
    next: u32::MAX,
    space: Space::NONE,
    name_len: 0,
    prefix_len: 0,
    attributes: 0,
    marks: Marks::NOTHING,
};

impl<'a> Node<'a> {
    /// The local name.
    pub fn name(&self) -> &'a str {
        std::str::from_utf8(self.local()).unwrap_or("")
    }

    /// The namespace name; empty for none.
    pub fn ns(&self) -> &'a str {
        self.document.space(self.element().space)
    }

    /// Whether name and namespace are these.
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.local() == name.as_bytes() && self.has_ns(ns)
    }

    /// An attribute without a prefix, unescaped.
    pub fn attr(&self, name: &str) -> Option<Cow<'a, str>> {
        self.attributes()
            .find(|attribute| attribute.prefix_len == 0 && self.is_named(attribute, name))
            .map(|attribute| self.value(attribute))
    }

    /// `xml:lang` of this element itself.
    pub fn lang(&self) -> Option<Cow<'a, str>> {
        let lang = |attribute: &&Attribute| attribute.space == Space::XML && self.is_named(attribute, "xml:lang");
        self.attributes().find(lang).map(|attribute| self.value(attribute))
    }

    /// All attributes but namespace declarations: (namespace, name, value).
    pub fn attrs(&self) -> impl Iterator<Item = (&'a str, &'a str, Cow<'a, str>)> + use<'a> {
        let node = *self;
        node.attributes().map(move |attribute| {
            let prefix = if attribute.prefix_len == 0 { 0 } else { usize::from(attribute.prefix_len) + 1 };
            let name = node.document.str_at(attribute.name, usize::from(attribute.name_len));
            (node.document.space(attribute.space), name.get(prefix..).unwrap_or(""), node.value(attribute))
        })
    }

    /// The child elements.
    pub fn children(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let element = self.element();
        let document = self.document;
        let mut at = self.at + 1 + u32::from(element.attributes);
        std::iter::from_fn(move || {
            if at >= element.next || at as usize >= document.tape.len() {
                return None;
            }
            let child = Node { document, at };
            at = child.element().next;
            Some(child)
        })
    }

    /// The first child with this name and namespace.
    pub fn child(&self, name: &str, ns: &str) -> Option<Node<'a>> {
        self.children().find(|child| child.is(name, ns))
    }

    /// The text directly inside, joined and unescaped; borrowed where it stands in one piece.
    pub fn text(&self) -> Cow<'a, str> {
        let mut pieces = self.contents().filter_map(|content| match content {
            Content::Text(text) => Some(text),
            Content::Element(_) => None,
        });
        let mut text = pieces.next().unwrap_or(Cow::Borrowed(""));
        for piece in pieces {
            text.to_mut().push_str(&piece);
        }
        text
    }

    /// Child elements and text in document order.
    pub fn contents(&self) -> impl Iterator<Item = Content<'a>> + use<'a> {
        let document = self.document;
        let close = self.element().close;
        let mut at = self.element().content;
        let mut children = self.children().peekable();
        std::iter::from_fn(move || {
            let until = children.peek().map_or(close, |child| child.element().start);
            if at < until {
                let raw = document.str_at(at, (until - at) as usize);
                at = until;
                return Some(Content::Text(unescape_text(raw)));
            }
            let child = children.next()?;
            at = child.element().end;
            Some(Content::Element(child))
        })
    }

    /// This element as standing alone under the given default namespace, in canonical form: the original bytes where
    /// they already are, else written anew.
    pub fn to_bytes(&self, default_ns: &str) -> Bytes {
        let element = self.element();
        if self.stands_under(default_ns) {
            return self.document.bytes.slice(element.start as usize..element.end as usize);
        }
        let mut out = Vec::with_capacity((element.end - element.start) as usize + 64);
        write_element(*self, Target { default: default_ns, renamed: None }, &mut out);
        out.into()
    }

    /// The bytes of this element, if they can stand under this default namespace as they are.
    pub(super) fn as_is(&self, default_ns: &str) -> Option<&'a [u8]> {
        let element = self.element();
        let raw = self.document.bytes.get(element.start as usize..element.end as usize);
        raw.filter(|_| self.stands_under(default_ns))
    }

    fn stands_under(&self, default_ns: &str) -> bool {
        let element = self.element();
        // Where a child takes the default namespace from outside but the element has a prefix, what that default
        // namespace is would have to be found out first: rare, so it is written anew.
        !element.marks.has(Marks::ODD.with(Marks::OUTER_PREFIX))
            && element.name_len != 0
            && (!element.marks.has(Marks::OUTER_DEFAULT) || element.prefix_len == 0 && self.has_ns(default_ns))
    }

    fn element(&self) -> Element {
        match self.document.tape.get(self.at as usize) {
            Some(Cell::Element(element)) => *element,
            _ => NOTHING,
        }
    }

    fn local(&self) -> &'a [u8] {
        let element = self.element();
        let prefix = if element.prefix_len == 0 { 0 } else { usize::from(element.prefix_len) + 1 };
        let start = element.start as usize + 1;
        self.document.bytes.get(start + prefix..start + usize::from(element.name_len)).unwrap_or(&[])
    }

    fn has_ns(&self, ns: &str) -> bool {
        match self.element().space.find() {
            Found::Bytes(at) => {
                let bytes = &self.document.bytes;
                // The quote must not be in what was compared: a namespace may have the other quote in it.
                bytes.get(at..at + ns.len()) == Some(ns.as_bytes()) && value_len(bytes, at) == ns.len()
            }
            _ => self.ns() == ns,
        }
    }

    fn attributes(&self) -> impl Iterator<Item = &'a Attribute> + use<'a> {
        let first = self.at as usize + 1;
        let cells = self.document.tape.get(first..first + usize::from(self.element().attributes)).unwrap_or(&[]);
        cells.iter().filter_map(|cell| match cell {
            Cell::Attribute(attribute) => Some(attribute),
            Cell::Element(_) => None,
        })
    }

    /// Whether an attribute has this name, prefix included.
    fn is_named(&self, attribute: &Attribute, name: &str) -> bool {
        let start = attribute.name as usize;
        self.document.bytes.get(start..start + usize::from(attribute.name_len)) == Some(name.as_bytes())
    }

    fn value(&self, attribute: &Attribute) -> Cow<'a, str> {
        let raw = self.document.str_at(attribute.value, attribute.value_len as usize);
        if attribute.plain { Cow::Borrowed(raw) } else { Cow::Owned(unescape_attr(raw)) }
    }
}

/// What stands inside an element.
#[derive(Debug, Clone)]
pub enum Content<'a> {
    /// A child element.
    Element(Node<'a>),
    /// Text, unescaped.
    Text(Cow<'a, str>),
}
