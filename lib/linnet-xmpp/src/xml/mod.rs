//! The XML of a stream: what RFC 6120 §11 allows of XML 1.0 and Namespaces in XML, and nothing else.
//!
//! [`Framer`] finds where the next first-level element ends; [`Document`] validates it in one pass and keeps a tape of
//! offsets into its bytes; [`Writer`] writes the canonical form.

use bytes::{Bytes, BytesMut};
use std::borrow::Cow;

/// Why bytes are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum XmlError {
    /// XML 1.0 forbids it: `not-well-formed`.
    NotWellFormed(&'static str),
    /// RFC 6120 §11.1 forbids it (comment, processing instruction, DTD, entity): `restricted-xml`.
    Restricted(&'static str),
    /// Namespaces in XML forbids it, or a prefix is not bound: `not-well-formed` / `bad-namespace-prefix`.
    Namespace(&'static str),
    /// Not UTF-8 (RFC 6120 §11.6): `unsupported-encoding` for a declaration or BOM that says so, else `not-well-formed`.
    Encoding(&'static str),
    /// Over a limit of size, depth, or number: `policy-violation`.
    Limit(&'static str),
}

/// What is found at the front of the unread bytes; the caller consumes `len` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame { /** What it is. */ pub kind: FrameKind, /** Its length in bytes. */ pub len: usize }

/// The kinds of frames in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// White space between elements (a keepalive, RFC 6120 §4.6.1).
    Whitespace,
    /// The XML declaration with the stream's start tag, or that tag alone.
    Header,
    /// A complete first-level element.
    Element,
    /// The stream's end tag.
    End,
}

/// Finds frames. Holds no bytes: it is given all unread ones and remembers how far it has looked.
#[derive(Debug)]
pub struct Framer { /* private */ _limit: usize }
impl Framer {
    /// A framer that waits for a stream header. `limit`: bytes of the largest frame.
    pub fn new(_limit: usize) -> Framer { todo!() }
    /// The next frame of `unread` (all bytes not yet consumed), or `None` until more have come.
    pub fn next(&mut self, _unread: &[u8]) -> Result<Option<Frame>, XmlError> { todo!() }
    /// Waits for a new stream header (after TLS or SASL).
    pub fn restart(&mut self) { todo!() }
    /// Sets the largest frame, in bytes.
    pub fn set_limit(&mut self, _limit: usize) { todo!() }
}

/// Namespaces in force outside an element: those of the stream header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope { /* private: default namespace and prefixes */ _default: Box<str> }
impl Scope {
    /// Only a default namespace; all that clients ordinarily declare beside it is `stream`.
    pub fn new(_default: &str) -> Scope { todo!() }
    /// The default namespace.
    pub fn default_ns(&self) -> &str { todo!() }
}

/// One element, validated, with its bytes.
#[derive(Debug, Clone)]
pub struct Document { _bytes: Bytes }
impl Document {
    /// Validates one complete element: UTF-8, Char, Name, nesting, attributes, prefixes, entities, depth.
    pub fn parse(_bytes: Bytes, _scope: &Scope) -> Result<Document, XmlError> { todo!() }
    /// Validates a stream header (an optional XML declaration and one start tag that stays open) and gives the scope
    /// that it opens.
    pub fn parse_header(_bytes: Bytes) -> Result<(Document, Scope), XmlError> { todo!() }
    /// The element.
    pub fn root(&self) -> Node<'_> { todo!() }
    /// The bytes that were parsed.
    pub fn bytes(&self) -> &Bytes { todo!() }
    /// The bytes between start tag and end tag, shared, if they are canonical and depend on nothing outside but the
    /// default namespace; otherwise written anew in canonical form.
    pub fn inner(&self) -> Bytes { todo!() }
}

/// A view of an element on the tape.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> { _document: &'a Document }
impl<'a> Node<'a> {
    /// The local name.
    pub fn name(&self) -> &'a str { todo!() }
    /// The namespace name; empty for none.
    pub fn ns(&self) -> &'a str { todo!() }
    /// Whether name and namespace are these.
    pub fn is(&self, _name: &str, _ns: &str) -> bool { todo!() }
    /// An attribute without a prefix, unescaped.
    pub fn attr(&self, _name: &str) -> Option<Cow<'a, str>> { todo!() }
    /// `xml:lang` of this element itself.
    pub fn lang(&self) -> Option<Cow<'a, str>> { todo!() }
    /// All attributes but namespace declarations: (namespace, name, value).
    pub fn attrs(&self) -> impl Iterator<Item = (&'a str, &'a str, Cow<'a, str>)> + 'a { std::iter::empty() }
    /// The child elements.
    pub fn children(&self) -> impl Iterator<Item = Node<'a>> + 'a { std::iter::empty() }
    /// The first child with this name and namespace.
    pub fn child(&self, _name: &str, _ns: &str) -> Option<Node<'a>> { todo!() }
    /// The text directly inside, joined and unescaped; borrowed where it stands in one piece.
    pub fn text(&self) -> Cow<'a, str> { todo!() }
    /// Child elements and text in document order.
    pub fn contents(&self) -> impl Iterator<Item = Content<'a>> + 'a { std::iter::empty() }
    /// This element as standing alone under the given default namespace, in canonical form: the original bytes where
    /// they already are, else written anew.
    pub fn to_bytes(&self, _default_ns: &str) -> Bytes { todo!() }
}

/// What stands inside an element.
#[derive(Debug, Clone)]
pub enum Content<'a> { /** A child element. */ Element(Node<'a>), /** Text, unescaped. */ Text(Cow<'a, str>) }

/// Writes canonical XML. Names and namespaces are the caller's and must be valid; text and values are escaped.
/// Characters that XML 1.0 forbids are replaced by U+FFFD.
#[derive(Debug)]
pub struct Writer { _out: BytesMut }
impl Writer {
    /// A writer into an empty buffer, inside an element whose default namespace is `default_ns`.
    pub fn new(_default_ns: &str) -> Writer { todo!() }
    /// Opens an element; `xmlns` is written only where the default namespace changes.
    pub fn open(&mut self, _name: &str, _ns: &str) -> &mut Writer { todo!() }
    /// Adds an attribute to the element just opened.
    pub fn attr(&mut self, _name: &str, _value: &str) -> &mut Writer { todo!() }
    /// Adds an attribute if there is a value.
    pub fn attr_opt(&mut self, _name: &str, _value: Option<&str>) -> &mut Writer { todo!() }
    /// Adds text.
    pub fn text(&mut self, _text: &str) -> &mut Writer { todo!() }
    /// Closes the element opened last (`<a/>` if nothing is in it).
    pub fn close(&mut self) -> &mut Writer { todo!() }
    /// An element with text and nothing else.
    pub fn leaf(&mut self, _name: &str, _ns: &str, _text: &str) -> &mut Writer { todo!() }
    /// Copies an element in canonical form.
    pub fn node(&mut self, _node: Node<'_>) -> &mut Writer { todo!() }
    /// Adds bytes that are already canonical under the default namespace in force.
    pub fn raw(&mut self, _canonical: &[u8]) -> &mut Writer { todo!() }
    /// What was written. Every open element must have been closed.
    pub fn finish(self) -> Bytes { todo!() }
}

/// Appends text with `&`, `<`, `>` escaped.
pub fn escape_text(_text: &str, _out: &mut Vec<u8>) { todo!() }
/// Appends an attribute value with `&`, `<`, `>`, `'`, `"` and white space other than a space escaped.
pub fn escape_attr(_text: &str, _out: &mut Vec<u8>) { todo!() }
