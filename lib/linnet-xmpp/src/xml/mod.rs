//! The XML of a stream: what RFC 6120 §11 allows of XML 1.0 and Namespaces in XML, and nothing else.
//!
//! [`Framer`] finds where the next first-level element ends; [`Document`] validates it in one pass and keeps a tape of
//! offsets into its bytes; [`Writer`] writes the canonical form. What is canonical when it comes in goes out as the
//! same bytes. Not canonical are: CDATA sections, characters by number where they could stand as they are, raw
//! carriage returns, raw tabs and line ends in attribute values, and prefixes declared outside what is forwarded:
//! two parsers may differ about them, or they mean nothing elsewhere.

mod attributes;
mod chars;
mod declaration;
mod document;
mod escape;
mod framer;
pub mod limits;
mod parse;
mod scope;
mod tape;
mod write;

#[cfg(test)]
mod tests;

pub use document::{Content, Document, Node};
pub use escape::{escape_attr, escape_text};
pub use framer::{Frame, FrameKind, Framer};
pub use scope::Scope;
pub use write::Writer;

use std::fmt;

/// Why bytes are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum XmlError {
    /// XML 1.0 forbids it: `not-well-formed`.
    NotWellFormed(&'static str),
    /// RFC 6120 §11.1 forbids it (comment, processing instruction, DTD, entity): `restricted-xml`.
    Restricted(&'static str),
    /// Namespaces in XML forbids it, or a prefix is not bound: `bad-namespace-prefix`.
    Namespace(&'static str),
    /// Not UTF-8, or declared to be something else: `unsupported-encoding` (RFC 6120 §4.9.3.22, §11.6).
    Encoding(&'static str),
    /// Over a limit of size, depth, or number: `policy-violation`.
    Limit(&'static str),
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (XmlError::NotWellFormed(why)
        | XmlError::Restricted(why)
        | XmlError::Namespace(why)
        | XmlError::Encoding(why)
        | XmlError::Limit(why)) = self;
        f.write_str(why)
    }
}

impl std::error::Error for XmlError {}
