//! The limits of one document, all counted while parsing and before anything is allocated for what exceeds them.
//! The size in bytes is the framer's limit, because it differs before and after login.

/// Elements inside one another, the first-level element included. The deepest nesting known in use (a result of an
/// archive with a forwarded, encrypted, replying message) stays under 20.
pub const DEPTH: usize = 64;

/// Attributes of one element, namespace declarations included; `xmlns` counts where it is not written, too, and
/// attributes with a prefix count twice, because they may need declarations when they are written anew. Keeps the
/// search for duplicates short.
pub const ATTRIBUTES: usize = 64;

/// Octets of an element's or attribute's name, its prefix included.
pub const NAME: usize = 1024;

/// Octets of a prefix.
pub const PREFIX: usize = 128;

/// Octets of a namespace name.
pub const NAMESPACE: usize = 1024;

/// Prefixes in force at one place, those of the stream header apart. Keeps the look-up of a prefix short. An
/// element counts with its attributes that have a prefix where these are more than its declarations, because each may
/// need one when it is written anew.
pub const PREFIXES: usize = 64;

/// Prefixes that a stream header may declare; they stay in memory as long as the stream.
pub const HEADER_PREFIXES: usize = 16;

/// Elements and attributes of one document: its tape takes at most 2 MiB.
pub const CELLS: usize = 65_536;

/// Octets of namespaces that may have to be added when a document is written anew without the prefixes that stand for
/// them; else a short document with one long namespace would become a hundred times longer.
pub const ADDED_NAMESPACES: usize = 65_536;

/// Octets of one document, so that offsets and marks fit into 32 bits. The framer's limit is far below.
pub(super) const DOCUMENT: usize = 1 << 28;
