//! The limits of one document, all counted while parsing and before anything is allocated for what exceeds them.
//! The size in bytes is the framer's limit, because it differs before and after login.

/// Elements inside one another, the first-level element included. The deepest nesting known in use (a result of an
/// archive with a forwarded, encrypted, replying message) stays under 20.
pub const DEPTH: usize = 64;

/// Attributes of one element, namespace declarations included. Keeps the search for duplicates short.
pub const ATTRIBUTES: usize = 64;

/// Octets of an element's or attribute's name, its prefix included.
pub const NAME: usize = 1024;

/// Octets of a prefix.
pub const PREFIX: usize = 128;

/// Octets of a namespace name.
pub const NAMESPACE: usize = 1024;

/// Prefixes in force at one place, those of the stream header apart. Keeps the look-up of a prefix short.
pub const PREFIXES: usize = 64;

/// Prefixes that a stream header may declare; they stay in memory as long as the stream.
pub const HEADER_PREFIXES: usize = 16;

/// Elements and attributes of one document: its tape takes at most 2 MiB.
pub const CELLS: usize = 65_536;

/// Octets of one document, so that offsets and marks fit into 32 bits. The framer's limit is far below.
pub(super) const DOCUMENT: usize = 1 << 28;
