//! The namespaces that a stream header puts in force for all that follows.

use super::{XmlError, limits};
use crate::ns;
use std::sync::Arc;

/// Namespaces in force outside an element: those of the stream header. Cheap to clone; what clients ordinarily
/// declare takes no memory of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// One of the usual default namespaces, with or without the usual prefix `stream`.
    Usual { default: &'static str, stream: bool },
    /// Anything else.
    Other(Arc<Declared>),
}

#[derive(Debug, PartialEq, Eq)]
struct Declared {
    default: Box<str>,
    prefixes: Vec<(Box<str>, Box<str>)>,
}

impl Scope {
    /// Only a default namespace; all that clients ordinarily declare beside it is `stream`.
    pub fn new(default: &str) -> Scope {
        match usual(default) {
            Some(default) => Scope(Kind::Usual { default, stream: false }),
            None => Scope(Kind::Other(Arc::new(Declared { default: default.into(), prefixes: Vec::new() }))),
        }
    }

    /// A default namespace and prefixes.
    pub(super) fn declared(default: &str, prefixes: &[(&str, &str)]) -> Result<Scope, XmlError> {
        if prefixes.len() > limits::HEADER_PREFIXES {
            return Err(XmlError::Limit("too many prefixes in the stream header"));
        }
        let kind = match (usual(default), prefixes) {
            (Some(default), []) => Kind::Usual { default, stream: false },
            (Some(default), [("stream", ns::STREAM)]) => Kind::Usual { default, stream: true },
            _ => {
                let prefixes = prefixes.iter().map(|(prefix, name)| ((*prefix).into(), (*name).into())).collect();
                Kind::Other(Arc::new(Declared { default: default.into(), prefixes }))
            }
        };
        Ok(Scope(kind))
    }

    /// The default namespace.
    pub fn default_ns(&self) -> &str {
        match &self.0 {
            Kind::Usual { default, .. } => default,
            Kind::Other(declared) => &declared.default,
        }
    }

    /// The number of a prefix.
    pub(super) fn position(&self, prefix: &[u8]) -> Option<usize> {
        match &self.0 {
            Kind::Usual { stream, .. } => (*stream && prefix == b"stream").then_some(0),
            Kind::Other(declared) => declared.prefixes.iter().position(|(known, _)| known.as_bytes() == prefix),
        }
    }

    /// The namespace of a prefix by its number.
    pub(super) fn prefixed(&self, position: usize) -> &str {
        match &self.0 {
            Kind::Usual { .. } => ns::STREAM,
            Kind::Other(declared) => declared.prefixes.get(position).map_or("", |(_, name)| name),
        }
    }
}

fn usual(default: &str) -> Option<&'static str> {
    ["", ns::CLIENT, ns::SERVER].into_iter().find(|usual| *usual == default)
}
