//! The tape tokenizer: validates one element and writes its tape in the same pass.

use super::{
    Document, Scope, XmlError,
    chars::{QName, Summary, qname, skip_space, summary},
    escape::{CDATA, reference, unescape_attr},
    limits,
    tape::{Attribute, Cell, Element, Found, Marks, Space, value_len},
};
use crate::ns;
use bytes::Bytes;
use memchr::{memchr, memchr2, memchr3, memmem};
use smallvec::SmallVec;

/// What the bytes are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One complete element.
    Element,
    /// What stands inside an element that is not there itself.
    Content,
}

/// Validates and writes the tape.
pub(super) fn parse(bytes: Bytes, scope: Scope, form: Form) -> Result<Document, XmlError> {
    let mut parser = Parser::new(&bytes, &scope)?;
    match form {
        Form::Element => parser.element()?,
        Form::Content => parser.content()?,
    }
    let Parser { tape, owned, inside, .. } = parser;
    Ok(Document { bytes, tape, scope, owned, inside })
}

/// Validates a stream header; gives also the scope that it opens.
pub(super) fn parse_header(bytes: Bytes, tag: usize) -> Result<(Document, Scope), XmlError> {
    let scope = Scope::new("");
    let mut parser = Parser::new(&bytes, &scope)?;
    parser.header(tag)?;
    let Parser { tape, owned, inside, bindings, default, .. } = parser;
    let document = Document { bytes, tape, scope, owned, inside };
    let opened = {
        let prefix = |binding: &Binding| document.str_at(binding.prefix, usize::from(binding.prefix_len));
        let declared = bindings.iter().map(|binding| (prefix(binding), document.space(binding.space)));
        Scope::declared(document.space(default), &declared.collect::<SmallVec<[_; 4]>>())?
    };
    Ok((document, opened))
}

struct Parser<'a> {
    bytes: &'a [u8],
    scope: &'a Scope,
    summary: Summary,
    tape: Vec<Cell>,
    open: SmallVec<[Open; 8]>,
    /// Prefixes in force, innermost last.
    bindings: SmallVec<[Binding; 4]>,
    /// Namespace names that do not stand for themselves in the bytes.
    owned: Vec<Box<str>>,
    /// The default namespace in force.
    default: Space,
    /// At which depth it was declared; 0: outside.
    default_depth: u8,
    /// What is true of all that is inside the root element.
    inside: Marks,
}

/// An element that is not closed yet.
#[derive(Clone, Copy)]
struct Open {
    /// Where it is on the tape.
    cell: u32,
    /// How many bindings are in force outside.
    bindings: u8,
    /// The default namespace outside, and at which depth it was declared.
    default: Space,
    default_depth: u8,
    /// Octets of its name with prefix.
    name_len: u16,
    /// The start of its name.
    name: u32,
    /// What its start tag takes from outside.
    own: Needs,
    /// What all that is in it takes from outside.
    inside: Needs,
}

/// What is taken from outside: the depths of the outermost declarations used.
#[derive(Clone, Copy)]
struct Needs {
    prefix: u8,
    default: u8,
    odd: bool,
}

impl Needs {
    const NOTHING: Needs = Needs { prefix: u8::MAX, default: u8::MAX, odd: false };

    fn and(self, other: Needs) -> Needs {
        Needs {
            prefix: self.prefix.min(other.prefix),
            default: self.default.min(other.default),
            odd: self.odd | other.odd,
        }
    }

    /// As seen by what is at `depth`, when all that is declared above is outside.
    fn marks(self, depth: u8) -> Marks {
        let mut marks = Marks::NOTHING;
        if self.odd {
            marks = marks.with(Marks::ODD);
        }
        if self.prefix < depth {
            marks = marks.with(Marks::OUTER_PREFIX);
        }
        if self.default < depth {
            marks = marks.with(Marks::OUTER_DEFAULT);
        }
        marks
    }
}

#[derive(Clone, Copy)]
struct Binding {
    prefix: u32,
    prefix_len: u8,
    depth: u8,
    space: Space,
}

/// What the attributes of a start tag were found to be.
struct Tag {
    /// Behind its `>`.
    end: usize,
    /// Whether it is an empty-element tag.
    empty: bool,
    /// How many attributes are on the tape.
    attributes: u8,
    /// Whether one of them has a prefix other than `xml`.
    prefixed: bool,
    needs: Needs,
}

impl<'a> Parser<'a> {
    fn new(bytes: &'a [u8], scope: &'a Scope) -> Result<Parser<'a>, XmlError> {
        if bytes.len() > limits::DOCUMENT {
            return Err(XmlError::Limit("too large"));
        }
        Ok(Parser {
            bytes,
            scope,
            summary: summary(bytes)?,
            // Ordinary stanzas have one cell for about 30 octets.
            tape: Vec::with_capacity((bytes.len() / 24 + 4).min(64)),
            open: SmallVec::new(),
            bindings: SmallVec::new(),
            owned: Vec::new(),
            default: Space::SCOPE_DEFAULT,
            default_depth: 0,
            inside: Marks::NOTHING,
        })
    }

    fn element(&mut self) -> Result<(), XmlError> {
        if self.bytes.first() != Some(&b'<') {
            return Err(XmlError::NotWellFormed("text outside the element"));
        }
        let mut at = self.markup(0)?;
        while !self.open.is_empty() {
            at = self.text(at)?;
            at = self.markup(at)?;
        }
        if at == self.bytes.len() { Ok(()) } else { Err(XmlError::NotWellFormed("something behind the element")) }
    }

    fn header(&mut self, tag: usize) -> Result<(), XmlError> {
        let end = match self.bytes.get(tag..) {
            Some([b'<', b'!' | b'?', ..]) => return Err(XmlError::Restricted("something before the stream header")),
            Some([b'<', ..]) => self.start_tag(tag)?,
            _ => return Err(XmlError::NotWellFormed("text before the stream header")),
        };
        if end != self.bytes.len() || self.open.is_empty() {
            return Err(XmlError::NotWellFormed("not one start tag that stays open"));
        }
        if let Some(Cell::Element(root)) = self.tape.first_mut() {
            root.close = narrow(end);
            root.end = narrow(end);
        }
        self.close_root();
        Ok(())
    }

    fn content(&mut self) -> Result<(), XmlError> {
        let len = narrow(self.bytes.len());
        self.tape.push(Cell::Element(Element {
            start: 0,
            content: 0,
            close: len,
            end: len,
            next: 0,
            space: self.default,
            name_len: 0,
            prefix_len: 0,
            attributes: 0,
            marks: Marks::NOTHING,
        }));
        self.open.push(Open {
            cell: 0,
            bindings: 0,
            default: self.default,
            default_depth: 0,
            name_len: 0,
            name: 0,
            own: Needs::NOTHING,
            inside: Needs::NOTHING,
        });
        let mut at = self.text(0)?;
        while at < self.bytes.len() {
            at = self.markup(at)?;
            if self.open.is_empty() {
                return Err(XmlError::NotWellFormed("an end tag that does not match"));
            }
            at = self.text(at)?;
        }
        if self.open.len() != 1 {
            return Err(XmlError::NotWellFormed("not complete"));
        }
        self.close_root();
        Ok(())
    }

    /// Completes the root's cell when nothing more comes, although no end tag was seen.
    fn close_root(&mut self) {
        let next = narrow(self.tape.len());
        if let (Some(Cell::Element(root)), Some(open)) = (self.tape.first_mut(), self.open.first()) {
            root.next = next;
            root.marks = open.own.and(open.inside).marks(1);
            self.inside = open.inside.marks(2);
        }
    }

    /// Goes over the markup that starts at `at`, where a `<` is.
    #[inline]
    fn markup(&mut self, at: usize) -> Result<usize, XmlError> {
        match self.bytes.get(at + 1) {
            Some(b'/') => self.end_tag(at),
            Some(b'!') => self.section(at),
            Some(b'?') => Err(XmlError::Restricted("a processing instruction")),
            Some(_) => self.start_tag(at),
            None => Err(XmlError::NotWellFormed("not complete")),
        }
    }

    /// Goes over character data up to the next `<`, or to the end.
    #[inline]
    fn text(&mut self, at: usize) -> Result<usize, XmlError> {
        let here = self.bytes.get(at..).unwrap_or(&[]);
        if here.first() == Some(&b'<') {
            return Ok(at);
        }
        let len = memchr(b'<', here).unwrap_or(here.len());
        if self.summary.ampersand || self.summary.bracket || self.summary.carriage_return {
            self.special_text(&here[..len])?;
        }
        Ok(at + len)
    }

    fn special_text(&mut self, text: &[u8]) -> Result<(), XmlError> {
        let mut odd = self.summary.carriage_return && memchr(b'\r', text).is_some();
        if self.summary.bracket && memmem::find(text, b"]]>").is_some() {
            return Err(XmlError::NotWellFormed("`]]>` in text"));
        }
        if self.summary.ampersand {
            for at in memchr::memchr_iter(b'&', text) {
                let reference = reference(&text[at..])?;
                odd |= reference.numeric && reference.char != '\r';
            }
        }
        if odd {
            self.mark_odd();
        }
        Ok(())
    }

    /// Goes over a CDATA section; nothing else may start with `<!`.
    fn section(&mut self, at: usize) -> Result<usize, XmlError> {
        let here = &self.bytes[at..];
        if !here.starts_with(CDATA) || self.open.is_empty() {
            return Err(XmlError::Restricted("a comment or a document type declaration"));
        }
        let len = memmem::find(&here[CDATA.len()..], b"]]>").ok_or(XmlError::NotWellFormed("not complete"))?;
        self.mark_odd();
        Ok(at + CDATA.len() + len + 3)
    }

    fn mark_odd(&mut self) {
        if let Some(open) = self.open.last_mut() {
            open.inside.odd = true;
        }
    }

    #[inline]
    fn start_tag(&mut self, at: usize) -> Result<usize, XmlError> {
        let depth = self.open.len() + 1;
        if depth > limits::DEPTH {
            return Err(XmlError::Limit("too deep"));
        }
        // Below the limit of depth, which is far below 255.
        let depth = depth as u8;
        let name = qname(self.bytes, at + 1)?;
        let (name_len, prefix_len) = lengths(at + 1, name)?;
        let outer = Open {
            cell: narrow(self.tape.len()),
            bindings: self.bindings.len() as u8,
            default: self.default,
            default_depth: self.default_depth,
            name_len,
            name: narrow(at + 1),
            own: Needs::NOTHING,
            inside: Needs::NOTHING,
        };
        let cell = self.tape.len();
        self.push(Cell::Element(Element {
            start: narrow(at),
            content: 0,
            close: 0,
            end: 0,
            next: 0,
            space: Space::NONE,
            name_len,
            prefix_len,
            attributes: 0,
            marks: Marks::NOTHING,
        }))?;
        let mut tag = self.attributes(name.end, depth)?;
        if tag.attributes > 1 || tag.prefixed {
            self.check_attributes(cell + 1, &mut tag)?;
        }
        let space = if prefix_len == 0 {
            tag.needs.default = self.default_depth;
            self.default
        } else {
            let (space, depth) = self.resolve(narrow(at + 1), prefix_len)?;
            tag.needs.prefix = tag.needs.prefix.min(depth);
            space
        };
        let end = narrow(tag.end);
        let behind = narrow(self.tape.len());
        if let Some(Cell::Element(element)) = self.tape.get_mut(cell) {
            element.content = end;
            element.close = end;
            element.end = end;
            element.next = behind;
            element.space = space;
            element.attributes = tag.attributes;
            element.marks = tag.needs.marks(depth);
        }
        if tag.empty {
            self.leave(outer, tag.needs, Needs::NOTHING);
        } else {
            self.open.push(Open { own: tag.needs, ..outer });
        }
        Ok(tag.end)
    }

    #[inline]
    fn end_tag(&mut self, at: usize) -> Result<usize, XmlError> {
        const MISMATCH: XmlError = XmlError::NotWellFormed("an end tag that does not match");
        let open = self.open.pop().ok_or(MISMATCH)?;
        let name = self.slice(open.name, usize::from(open.name_len));
        let behind = at + 2 + name.len();
        if self.bytes.get(at + 2..behind) != Some(name) || name.is_empty() {
            return Err(MISMATCH);
        }
        let end = skip_space(self.bytes, behind);
        if self.bytes.get(end) != Some(&b'>') {
            return Err(MISMATCH);
        }
        let depth = self.open.len() as u8 + 1;
        let needs = open.own.and(open.inside);
        let next = narrow(self.tape.len());
        if let Some(Cell::Element(element)) = self.tape.get_mut(open.cell as usize) {
            element.close = narrow(at);
            element.end = narrow(end + 1);
            element.next = next;
            element.marks = needs.marks(depth);
        }
        self.leave(open, needs, open.inside);
        Ok(end + 1)
    }

    /// Puts the namespaces outside an element in force again, and hands on what it takes from outside.
    #[inline]
    fn leave(&mut self, element: Open, needs: Needs, inside: Needs) {
        self.bindings.truncate(usize::from(element.bindings));
        self.default = element.default;
        self.default_depth = element.default_depth;
        match self.open.last_mut() {
            Some(parent) => parent.inside = parent.inside.and(needs),
            None => self.inside = self.inside.with(inside.marks(2)),
        }
    }

    /// Goes over the attributes of a start tag and its end. Namespace declarations come into force; all others are
    /// put on the tape.
    #[inline]
    fn attributes(&mut self, mut at: usize, depth: u8) -> Result<Tag, XmlError> {
        let bytes = self.bytes;
        let mut tag = Tag { end: 0, empty: false, attributes: 0, prefixed: false, needs: Needs::NOTHING };
        let mut seen = 0;
        loop {
            let space = at;
            at = skip_space(bytes, at);
            match bytes.get(at) {
                Some(b'>') => {
                    tag.end = at + 1;
                    return Ok(tag);
                }
                Some(b'/') if bytes.get(at + 1) == Some(&b'>') => {
                    tag.end = at + 2;
                    tag.empty = true;
                    return Ok(tag);
                }
                Some(_) if at > space => {}
                _ => return Err(XmlError::NotWellFormed("a start tag that does not end")),
            }
            seen += 1;
            if seen > limits::ATTRIBUTES {
                return Err(XmlError::Limit("too many attributes"));
            }
            at = self.attribute(at, depth, &mut tag)?;
        }
    }

    /// Goes over one attribute.
    #[inline]
    fn attribute(&mut self, at: usize, depth: u8, tag: &mut Tag) -> Result<usize, XmlError> {
        let bytes = self.bytes;
        let name = qname(bytes, at)?;
        let (name_len, prefix_len) = lengths(at, name)?;
        let (quote, start) = match bytes.get(name.end..) {
            Some(&[b'=', quote @ (b'"' | b'\''), ..]) => (quote, name.end + 2),
            _ => value_start(bytes, name.end)?,
        };
        let len = match memchr2(quote, b'<', &bytes[start..]) {
            Some(len) if bytes.get(start + len) == Some(&quote) => len,
            Some(_) => return Err(XmlError::NotWellFormed("`<` in an attribute value")),
            None => return Err(XmlError::NotWellFormed("an attribute value without an end")),
        };
        let mut plain = true;
        if self.summary.ampersand || self.summary.control {
            let (as_is, odd) = special_value(&bytes[start..start + len])?;
            plain = as_is;
            tag.needs.odd |= odd;
        }
        let end = start + len + 1;
        if bytes[at] == b'x' && bytes[at..name.end].starts_with(b"xmlns") && (prefix_len == 5 || name_len == 5) {
            let prefix = if prefix_len == 0 { &[][..] } else { &bytes[at + 6..name.end] };
            self.declare(at, prefix, start, len, plain, depth)?;
            return Ok(end);
        }
        let space = match &bytes[at..at + usize::from(prefix_len)] {
            b"" => Space::NONE,
            b"xml" => Space::XML,
            _ => {
                tag.prefixed = true;
                Space::NONE
            }
        };
        self.push(Cell::Attribute(Attribute {
            name: narrow(at),
            value: narrow(start),
            value_len: narrow(len),
            space,
            name_len,
            prefix_len,
            plain,
        }))?;
        tag.attributes += 1;
        Ok(end)
    }

    /// A namespace declaration; an empty `prefix` declares the default namespace (Namespaces in XML 1.0 §3, §6).
    fn declare(
        &mut self,
        at: usize,
        prefix: &[u8],
        start: usize,
        len: usize,
        plain: bool,
        depth: u8,
    ) -> Result<(), XmlError> {
        let raw = &self.bytes[start..start + len];
        let unescaped = (!plain).then(|| unescape_attr(std::str::from_utf8(raw).unwrap_or_default()));
        let name = unescaped.as_ref().map_or(raw, |name| name.as_bytes());
        if name.len() > limits::NAMESPACE {
            return Err(XmlError::Limit("a namespace is too long"));
        }
        let xml = name == ns::XML.as_bytes();
        if (xml != (prefix == b"xml")) || name == ns::XMLNS.as_bytes() || prefix == b"xmlns" {
            return Err(XmlError::Namespace("a reserved prefix or namespace"));
        }
        if name == ns::SERVER.as_bytes() && depth > 1 {
            self.inside = self.inside.with(Marks::SERVER);
        }
        let space = match &unescaped {
            _ if name.is_empty() => Space::NONE,
            None => Space::bytes(narrow(start)),
            Some(name) => {
                self.owned.push(name.as_str().into());
                Space::owned(narrow(self.owned.len() - 1))
            }
        };
        const TWICE: XmlError = XmlError::NotWellFormed("an attribute twice");
        if prefix.is_empty() {
            if self.default_depth == depth {
                return Err(TWICE);
            }
            self.default = space;
            self.default_depth = depth;
            return Ok(());
        }
        if name.is_empty() {
            return Err(XmlError::Namespace("a prefix without a namespace"));
        }
        if self.bindings.len() >= limits::PREFIXES {
            return Err(XmlError::Limit("too many prefixes"));
        }
        let same = |binding: &&Binding| {
            binding.depth == depth && self.slice(binding.prefix, usize::from(binding.prefix_len)) == prefix
        };
        if self.bindings.iter().rev().find(same).is_some() {
            return Err(TWICE);
        }
        if prefix.len() > limits::PREFIX {
            return Err(XmlError::Limit("a prefix is too long"));
        }
        self.bindings.push(Binding { prefix: narrow(at + 6), prefix_len: prefix.len() as u8, depth, space });
        Ok(())
    }

    /// The namespace of the prefix at `at`, and at which depth it was declared.
    fn resolve(&self, at: u32, len: u8) -> Result<(Space, u8), XmlError> {
        let prefix = self.slice(at, usize::from(len));
        for binding in self.bindings.iter().rev() {
            if self.slice(binding.prefix, usize::from(binding.prefix_len)) == prefix {
                return Ok((binding.space, binding.depth));
            }
        }
        if prefix == b"xml" {
            return Ok((Space::XML, u8::MAX));
        }
        match self.scope.position(prefix) {
            Some(position) => Ok((Space::scope(narrow(position)), 0)),
            None => Err(XmlError::Namespace("a prefix that is not declared")),
        }
    }

    /// Resolves the prefixes of the attributes on the tape from `first` on, and refuses one that comes twice.
    fn check_attributes(&mut self, first: usize, tag: &mut Tag) -> Result<(), XmlError> {
        let last = self.tape.len();
        if tag.prefixed {
            for position in first..last {
                let Some(Cell::Attribute(attribute)) = self.tape.get(position).copied() else { continue };
                if attribute.prefix_len == 0 || attribute.space == Space::XML {
                    continue;
                }
                let (space, depth) = self.resolve(attribute.name, attribute.prefix_len)?;
                tag.needs.prefix = tag.needs.prefix.min(depth);
                if let Some(Cell::Attribute(attribute)) = self.tape.get_mut(position) {
                    attribute.space = space;
                }
            }
        }
        // One bit for each of 64 classes of names: only names of one class can be the same.
        let mut classes = 0_u64;
        for position in first..last {
            let Some(Cell::Attribute(attribute)) = self.tape.get(position) else { continue };
            let local = self.local(attribute);
            let (first_byte, last_byte) = (local.first().unwrap_or(&0), local.last().unwrap_or(&0));
            let class = 1 << ((usize::from(first_byte ^ last_byte.rotate_left(3)) + local.len()) % 64);
            if classes & class != 0 {
                let twice = self.tape[first..position].iter().any(|cell| {
                    matches!(cell, Cell::Attribute(other) if self.local(other) == local
                        && self.name(other.space) == self.name(attribute.space))
                });
                if twice {
                    return Err(XmlError::NotWellFormed("an attribute twice"));
                }
            }
            classes |= class;
        }
        Ok(())
    }

    /// The local name of an attribute.
    fn local(&self, attribute: &Attribute) -> &[u8] {
        let prefix = if attribute.prefix_len == 0 { 0 } else { usize::from(attribute.prefix_len) + 1 };
        let name = self.slice(attribute.name, usize::from(attribute.name_len));
        name.get(prefix..).unwrap_or(&[])
    }

    /// The name of a namespace.
    fn name(&self, space: Space) -> &[u8] {
        match space.find() {
            Found::Bytes(at) => self.slice(narrow(at), value_len(self.bytes, at)),
            Found::Owned(position) => self.owned.get(position).map_or(&[], |name| name.as_bytes()),
            Found::ScopeDefault => self.scope.default_ns().as_bytes(),
            Found::ScopePrefix(position) => self.scope.prefixed(position).as_bytes(),
            Found::Xml => ns::XML.as_bytes(),
            Found::None => &[],
        }
    }

    fn push(&mut self, cell: Cell) -> Result<(), XmlError> {
        if self.tape.len() >= limits::CELLS {
            return Err(XmlError::Limit("too many elements and attributes"));
        }
        self.tape.push(cell);
        Ok(())
    }

    fn slice(&self, at: u32, len: usize) -> &'a [u8] {
        self.bytes.get(at as usize..at as usize + len).unwrap_or(&[])
    }
}

/// Where an attribute's value starts, and its quote, when there is white space around the `=`.
fn value_start(bytes: &[u8], at: usize) -> Result<(u8, usize), XmlError> {
    let equals = skip_space(bytes, at);
    if bytes.get(equals) != Some(&b'=') {
        return Err(XmlError::NotWellFormed("an attribute without a value"));
    }
    let at = skip_space(bytes, equals + 1);
    match bytes.get(at) {
        Some(&quote @ (b'"' | b'\'')) => Ok((quote, at + 1)),
        _ => Err(XmlError::NotWellFormed("an attribute value without quotes")),
    }
}

/// Checks the references in a value. Gives whether it stands for itself, and whether it is not in canonical form.
fn special_value(value: &[u8]) -> Result<(bool, bool), XmlError> {
    let mut plain = true;
    let mut odd = false;
    let mut at = 0;
    while let Some(offset) = value.get(at..).and_then(|rest| memchr3(b'&', b'\n', b'\t', rest)) {
        plain = false;
        at += offset;
        if value[at] != b'&' {
            odd = true;
            at += 1;
            continue;
        }
        let reference = reference(&value[at..])?;
        odd |= reference.numeric && !matches!(reference.char, '\t' | '\n' | '\r');
        at += reference.len;
    }
    if memchr(b'\r', value).is_some() {
        (plain, odd) = (false, true);
    }
    Ok((plain, odd))
}

/// The lengths of a name and its prefix, if they are within the limits.
#[inline]
fn lengths(start: usize, name: QName) -> Result<(u16, u8), XmlError> {
    let len = name.end - start;
    if len > limits::NAME || name.prefix > limits::PREFIX {
        return Err(XmlError::Limit("a name is too long"));
    }
    // Both limits are far below the types' largest numbers.
    Ok((len as u16, name.prefix as u8))
}

/// Offsets stay below the limit of a document.
#[inline]
fn narrow(at: usize) -> u32 {
    at as u32
}
