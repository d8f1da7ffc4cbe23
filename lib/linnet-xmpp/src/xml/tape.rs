//! The tape: what the parser found, as offsets into the bytes of the document. An element is followed by its
//! attributes, then by its child elements; text has no cells, it is what stands between them.

/// A namespace name: where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Space {
    /// An offset into the document's bytes, or one of the marks below.
    at: u32,
    len: u16,
}

/// Where the text of a [`Space`] is.
pub(super) enum Found {
    /// In the document's bytes.
    Bytes(usize, usize),
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
    pub(super) const NONE: Space = Space { at: u32::MAX, len: 0 };
    pub(super) const XML: Space = Space { at: u32::MAX - 1, len: 0 };
    pub(super) const SCOPE_DEFAULT: Space = Space { at: u32::MAX - 2, len: 0 };

    pub(super) fn bytes(at: u32, len: u16) -> Space {
        Space { at, len }
    }

    pub(super) fn owned(position: u32) -> Space {
        Space { at: OWNED + position, len: 0 }
    }

    pub(super) fn scope(position: u32) -> Space {
        Space { at: SCOPE + position, len: 0 }
    }

    pub(super) fn find(self) -> Found {
        match self {
            Space::NONE => Found::None,
            Space::XML => Found::Xml,
            Space::SCOPE_DEFAULT => Found::ScopeDefault,
            Space { at, .. } if at >= SCOPE => Found::ScopePrefix((at - SCOPE) as usize),
            Space { at, .. } if at >= OWNED => Found::Owned((at - OWNED) as usize),
            Space { at, len } => Found::Bytes(at as usize, len as usize),
        }
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

/// What is true of an element and all that is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks(u8);

impl Marks {
    pub(super) const NOTHING: Marks = Marks(0);
    /// Not in canonical form: CDATA, a carriage return, a reference where plain text would do.
    pub(super) const ODD: Marks = Marks(1);
    /// Uses a prefix that is declared outside.
    pub(super) const OUTER_PREFIX: Marks = Marks(2);
    /// Uses a default namespace that is in force outside.
    pub(super) const OUTER_DEFAULT: Marks = Marks(4);

    /// Declares `jabber:server` again.
    pub(super) const SERVER: Marks = Marks(8);

    pub(super) fn has(self, marks: Marks) -> bool {
        self.0 & marks.0 != 0
    }

    pub(super) fn with(self, marks: Marks) -> Marks {
        Marks(self.0 | marks.0)
    }
}
