//! The tape tokenizer: validates one element and writes its tape in the same pass.

use super::{
    Document, Scope, XmlError,
    attributes::{Binding, Tag},
    chars::{QName, Summary, qname, skip_space, summary},
    escape::{CDATA, reference},
    limits,
    tape::{Cell, Element, Marks, Space},
};
use bytes::Bytes;
use memchr::{memchr, memmem};
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

pub(super) struct Parser<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) scope: &'a Scope,
    pub(super) summary: Summary,
    pub(super) tape: Vec<Cell>,
    pub(super) open: SmallVec<[Open; 8]>,
    /// Prefixes in force, innermost last.
    pub(super) bindings: SmallVec<[Binding; 4]>,
    /// Namespace names that do not stand for themselves in the bytes.
    pub(super) owned: Vec<Box<str>>,
    /// The default namespace in force.
    pub(super) default: Space,
    /// At which depth it was declared; 0: outside.
    pub(super) default_depth: u8,
    /// What is true of all that is inside the root element.
    pub(super) inside: Marks,
    /// See `limits::PREFIXES`.
    prefixes: usize,
    /// See `limits::ADDED_NAMESPACES`.
    pub(super) added: usize,
}

/// An element that is not closed yet.
#[derive(Clone, Copy)]
pub(super) struct Open {
    /// Where it is on the tape.
    cell: u32,
    /// How many bindings are in force outside.
    bindings: u8,
    /// How many prefixes count outside.
    prefixes: u8,
    /// Its namespace.
    space: Space,
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
pub(super) struct Needs {
    pub(super) prefix: u8,
    pub(super) default: u8,
    pub(super) odd: bool,
}

impl Needs {
    pub(super) const NOTHING: Needs = Needs { prefix: u8::MAX, default: u8::MAX, odd: false };

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
            prefixes: 0,
            added: 0,
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
            prefixes: 0,
            space: self.default,
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
            prefixes: self.prefixes as u8,
            space: Space::NONE,
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
        self.count_prefixes(self.bindings.len() - usize::from(outer.bindings), &tag)?;
        if tag.attributes > 1 || tag.foreign > 0 {
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
        // Written anew, it would need a declaration that is not in its own start tag.
        let declared = prefix_len == 0 && self.default_depth == depth;
        if !declared && self.open.last().is_some_and(|parent| parent.space != space) {
            self.add_namespace(space)?;
        }
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
            self.open.push(Open { own: tag.needs, space, ..outer });
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
        self.prefixes = usize::from(element.prefixes);
        self.default = element.default;
        self.default_depth = element.default_depth;
        match self.open.last_mut() {
            Some(parent) => parent.inside = parent.inside.and(needs),
            None => self.inside = self.inside.with(inside.marks(2)),
        }
    }

    /// Counts what a start tag has, and what it would have when it is written anew.
    #[inline]
    fn count_prefixes(&mut self, declared: usize, tag: &Tag) -> Result<(), XmlError> {
        let prefixes = declared.max(usize::from(tag.foreign));
        self.prefixes += prefixes;
        if usize::from(tag.attributes) + prefixes >= limits::ATTRIBUTES {
            return Err(XmlError::Limit("too many attributes"));
        }
        if self.prefixes > limits::PREFIXES {
            return Err(XmlError::Limit("too many prefixes"));
        }
        Ok(())
    }

    pub(super) fn push(&mut self, cell: Cell) -> Result<(), XmlError> {
        if self.tape.len() >= limits::CELLS {
            return Err(XmlError::Limit("too many elements and attributes"));
        }
        self.tape.push(cell);
        Ok(())
    }

    pub(super) fn slice(&self, at: u32, len: usize) -> &'a [u8] {
        self.bytes.get(at as usize..at as usize + len).unwrap_or(&[])
    }
}

/// The lengths of a name and its prefix, if they are within the limits.
#[inline]
pub(super) fn lengths(start: usize, name: QName) -> Result<(u16, u8), XmlError> {
    let len = name.end - start;
    if len > limits::NAME || name.prefix > limits::PREFIX {
        return Err(XmlError::Limit("a name is too long"));
    }
    // Both limits are far below the types' largest numbers.
    Ok((len as u16, name.prefix as u8))
}

/// Offsets stay below the limit of a document.
#[inline]
pub(super) fn narrow(at: usize) -> u32 {
    at as u32
}
