//! The part of the tokenizer that is about attributes and namespaces (Namespaces in XML 1.0).

use super::{
    XmlError,
    chars::{qname, skip_space},
    escape::{reference, unescape_attr},
    limits,
    parse::{Needs, Parser, lengths, narrow},
    tape::{Attribute, Cell, Found, Marks, Space, value_len},
};
use crate::ns;
use memchr::{memchr, memchr2, memchr3};

/// What the attributes of a start tag were found to be.
pub(super) struct Tag {
    /// Behind its `>`.
    pub(super) end: usize,
    /// Whether it is an empty-element tag.
    pub(super) empty: bool,
    /// How many attributes are on the tape.
    pub(super) attributes: u8,
    /// How many of them have a prefix other than `xml`.
    pub(super) foreign: u8,
    pub(super) needs: Needs,
}

/// A prefix in force.
#[derive(Clone, Copy)]
pub(super) struct Binding {
    pub(super) prefix: u32,
    pub(super) prefix_len: u8,
    pub(super) depth: u8,
    pub(super) space: Space,
}

impl Parser<'_> {
    /// Goes over the attributes of a start tag and its end. Namespace declarations come into force; all others are
    /// put on the tape.
    #[inline]
    pub(super) fn attributes(&mut self, mut at: usize, depth: u8) -> Result<Tag, XmlError> {
        let bytes = self.bytes;
        let mut tag = Tag { end: 0, empty: false, attributes: 0, foreign: 0, needs: Needs::NOTHING };
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
                tag.foreign += 1;
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
    pub(super) fn resolve(&self, at: u32, len: u8) -> Result<(Space, u8), XmlError> {
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
    pub(super) fn check_attributes(&mut self, first: usize, tag: &mut Tag) -> Result<(), XmlError> {
        let last = self.tape.len();
        if tag.foreign > 0 {
            for position in first..last {
                let Some(Cell::Attribute(attribute)) = self.tape.get(position).copied() else { continue };
                if attribute.prefix_len == 0 || attribute.space == Space::XML {
                    continue;
                }
                let (space, depth) = self.resolve(attribute.name, attribute.prefix_len)?;
                tag.needs.prefix = tag.needs.prefix.min(depth);
                self.add_namespace(space)?;
                // What is written anew has to be within the limits, too.
                if self.local(&attribute).len() + LONGEST_PREFIX > limits::NAME {
                    return Err(XmlError::Limit("a name is too long"));
                }
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

    /// Counts a namespace that has to be added when this is written anew.
    pub(super) fn add_namespace(&mut self, space: Space) -> Result<(), XmlError> {
        const DECLARATION: usize = " xmlns:n63=''".len();
        self.added += self.name(space).len() + DECLARATION;
        if self.added > limits::ADDED_NAMESPACES {
            return Err(XmlError::Limit("too many prefixes"));
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
}

/// The longest prefix that writing anew gives to an attribute: there are fewer than `limits::PREFIXES`.
const LONGEST_PREFIX: usize = "n63:".len();

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
