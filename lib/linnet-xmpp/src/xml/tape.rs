//! The tape: what the parser found, as offsets into the bytes of the document. An element is followed by its
//! attributes, then by its child elements; text has no cells, it is what stands between them.

use std::num::NonZeroU8;

/// A namespace name: where it stands. Either an offset into the document's bytes, right behind the quote that also
/// ends it, or one of the marks below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Space(u32);

/// Where the text of a [`Space`] is.
pub(super) enum Found {
    /// In the document's bytes, from here to the quote.
    Bytes(usize),
    /// Among the names that had to be unescaped, by number.
    Owned(usize),
    /// The default namespace of the scope.
    ScopeDefault,
    /// A prefix of the scope, by number.
    ScopePrefix(usize),
    /// That of the prefix `xml`.
    Xml,
    /// No namespace.
    None,
}

/// Marks are above all offsets (`limits::DOCUMENT`).
const OWNED: u32 = 0xE000_0000;
const SCOPE: u32 = 0xF000_0000;

impl Space {
    pub(super) const NONE: Space = Space(u32::MAX);
    pub(super) const XML: Space = Space(u32::MAX - 1);
    pub(super) const SCOPE_DEFAULT: Space = Space(u32::MAX - 2);

    pub(super) fn bytes(at: u32) -> Space {
        Space(at)
    }

    pub(super) fn owned(position: u32) -> Space {
        Space(OWNED + position)
    }

    pub(super) fn scope(position: u32) -> Space {
        Space(SCOPE + position)
    }

    pub(super) fn find(self) -> Found {
        match self {
            Space::NONE => Found::None,
            Space::XML => Found::Xml,
            Space::SCOPE_DEFAULT => Found::ScopeDefault,
            Space(at) if at >= SCOPE => Found::ScopePrefix((at - SCOPE) as usize),
            Space(at) if at >= OWNED => Found::Owned((at - OWNED) as usize),
            Space(at) => Found::Bytes(at as usize),
        }
    }
}

/// The length of the value that starts at `at`, behind its quote.
pub(super) fn value_len(bytes: &[u8], at: usize) -> usize {
    match (at.checked_sub(1).and_then(|quote| bytes.get(quote)), bytes.get(at..)) {
        (Some(&quote), Some(value)) => memchr::memchr(quote, value).unwrap_or(value.len()),
        _ => 0,
    }
}

/// An entry of the tape.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell {
    Element(Element),
    Attribute(Attribute),
}

/// An element. All positions are offsets into the document's bytes unless said otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    /// Its `<`.
    pub(super) start: u32,
    /// Behind the `>` of its start tag.
    pub(super) content: u32,
    /// The `<` of its end tag; for an empty-element tag the same as `content`.
    pub(super) close: u32,
    /// Behind its last `>`.
    pub(super) end: u32,
    /// The position on the tape behind it and all that is in it.
    pub(super) next: u32,
    /// Its namespace.
    pub(super) space: Space,
    /// Octets of its name with prefix.
    pub(super) name_len: u16,
    /// Octets of its prefix.
    pub(super) prefix_len: u8,
    /// How many attributes follow on the tape.
    pub(super) attributes: u8,
    /// See [`Marks`].
    pub(super) marks: Marks,
}

/// An attribute that is not a namespace declaration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute {
    pub(super) name: u32,
    pub(super) value: u32,
    pub(super) value_len: u32,
    pub(super) space: Space,
    /// Octets of its name with prefix.
    pub(super) name_len: u16,
    pub(super) prefix_len: u8,
    /// Whether the value stands for itself.
    pub(super) plain: bool,
}

/// What is true of an element and all that is in it. Never zero, so that a cell needs no room for its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks(NonZeroU8);

impl Marks {
    pub(super) const NOTHING: Marks = Marks::bit(0);
    /// Not in canonical form: CDATA, a carriage return, a reference where plain text would do.
    pub(super) const ODD: Marks = Marks::bit(1);
    /// Uses a prefix that is declared outside.
    pub(super) const OUTER_PREFIX: Marks = Marks::bit(2);
    /// Uses a default namespace that is in force outside.
    pub(super) const OUTER_DEFAULT: Marks = Marks::bit(4);
    /// Declares `jabber:server` again.
    pub(super) const SERVER: Marks = Marks::bit(8);

    const ALWAYS: u8 = 0x80;

    const fn bit(bit: u8) -> Marks {
        match NonZeroU8::new(Marks::ALWAYS | bit) {
            Some(marks) => Marks(marks),
            None => Marks(NonZeroU8::MAX),
        }
    }

    pub(super) fn has(self, marks: Marks) -> bool {
        self.0.get() & marks.0.get() & !Marks::ALWAYS != 0
    }

    pub(super) fn with(self, marks: Marks) -> Marks {
        Marks(self.0 | marks.0)
    }
}
