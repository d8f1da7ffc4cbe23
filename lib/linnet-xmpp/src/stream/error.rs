//! Stream errors: their conditions, their element, and which of them bad XML leads to (RFC 6120 §4.9).

use crate::{
    ns,
    xml::{Node, Writer, XmlError},
};
use bytes::Bytes;
use std::fmt;

/// A stream error (RFC 6120 §4.9). There is no way on after one: who sends it closes the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamError {
    /// What went wrong.
    pub condition: StreamCondition,
    /// Words for people.
    pub text: Option<Box<str>>,
    /// A condition of the application, canonical under `jabber:client` (RFC 6120 §4.9.4). Boxed: hardly any error has one.
    pub application: Option<Box<Bytes>>,
}

/// The defined conditions (RFC 6120 §4.9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs)]
pub enum StreamCondition {
    BadFormat,
    BadNamespacePrefix,
    Conflict,
    ConnectionTimeout,
    HostGone,
    HostUnknown,
    ImproperAddressing,
    InternalServerError,
    InvalidFrom,
    InvalidNamespace,
    InvalidXml,
    NotAuthorized,
    NotWellFormed,
    PolicyViolation,
    RemoteConnectionFailed,
    Reset,
    ResourceConstraint,
    RestrictedXml,
    SeeOtherHost,
    SystemShutdown,
    UndefinedCondition,
    UnsupportedEncoding,
    UnsupportedFeature,
    UnsupportedStanzaType,
    UnsupportedVersion,
}

impl StreamCondition {
    /// The element's name.
    pub fn name(self) -> &'static str {
        let (_, name) = NAMES[self as usize];
        name
    }

    /// The condition of an element's name.
    pub fn named(name: &str) -> Option<StreamCondition> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(condition, _)| *condition)
    }
}

impl StreamError {
    /// An error without words.
    pub fn new(condition: StreamCondition) -> StreamError {
        StreamError { condition, text: None, application: None }
    }

    /// With words.
    pub fn text(mut self, text: impl Into<Box<str>>) -> StreamError {
        self.text = Some(text.into());
        self
    }

    /// With a condition of the application.
    pub fn application(mut self, condition: Bytes) -> StreamError {
        self.application = Some(Box::new(condition));
        self
    }

    /// The element (RFC 6120 §4.9.2), with the prefix `stream`.
    pub fn to_bytes(&self) -> Bytes {
        let mut content = Writer::new(ns::CLIENT);
        content.open(self.condition.name(), ns::STREAM_ERROR).close();
        if let Some(text) = &self.text {
            content.open("text", ns::STREAM_ERROR).attr("xml:lang", "en").text(text).close();
        }
        if let Some(application) = &self.application {
            content.raw(application);
        }
        [b"<stream:error>", &*content.finish(), b"</stream:error>"].concat().into()
    }

    /// Reads an error element. A condition that is not defined is `undefined-condition` (RFC 6120 §4.9.1.1).
    pub fn read(error: Node<'_>) -> StreamError {
        let mut condition = StreamCondition::UndefinedCondition;
        let mut text = None;
        for child in error.children().filter(|child| child.ns() == ns::STREAM_ERROR) {
            match child.name() {
                "text" => text = Some(child.text().into()),
                name => condition = StreamCondition::named(name).unwrap_or(condition),
            }
        }
        StreamError { condition, text, application: None }
    }
}

impl From<StreamCondition> for StreamError {
    fn from(condition: StreamCondition) -> StreamError {
        StreamError::new(condition)
    }
}

/// The condition that [`XmlError`]'s variants name, with what was wrong as text.
impl From<XmlError> for StreamError {
    fn from(error: XmlError) -> StreamError {
        let (condition, text) = match error {
            XmlError::NotWellFormed(text) => (StreamCondition::NotWellFormed, text),
            XmlError::Restricted(text) => (StreamCondition::RestrictedXml, text),
            XmlError::Namespace(text) => (StreamCondition::BadNamespacePrefix, text),
            XmlError::Encoding(text) => (StreamCondition::UnsupportedEncoding, text),
            XmlError::Limit(text) => (StreamCondition::PolicyViolation, text),
        };
        StreamError::new(condition).text(text)
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => write!(f, "stream error {}: {text}", self.condition.name()),
            None => write!(f, "stream error {}", self.condition.name()),
        }
    }
}

impl std::error::Error for StreamError {}

/// In the order of the enum, so that a condition is the index of its name.
const NAMES: [(StreamCondition, &str); 25] = [
    (StreamCondition::BadFormat, "bad-format"),
    (StreamCondition::BadNamespacePrefix, "bad-namespace-prefix"),
    (StreamCondition::Conflict, "conflict"),
    (StreamCondition::ConnectionTimeout, "connection-timeout"),
    (StreamCondition::HostGone, "host-gone"),
    (StreamCondition::HostUnknown, "host-unknown"),
    (StreamCondition::ImproperAddressing, "improper-addressing"),
    (StreamCondition::InternalServerError, "internal-server-error"),
    (StreamCondition::InvalidFrom, "invalid-from"),
    (StreamCondition::InvalidNamespace, "invalid-namespace"),
    (StreamCondition::InvalidXml, "invalid-xml"),
    (StreamCondition::NotAuthorized, "not-authorized"),
    (StreamCondition::NotWellFormed, "not-well-formed"),
    (StreamCondition::PolicyViolation, "policy-violation"),
    (StreamCondition::RemoteConnectionFailed, "remote-connection-failed"),
    (StreamCondition::Reset, "reset"),
    (StreamCondition::ResourceConstraint, "resource-constraint"),
    (StreamCondition::RestrictedXml, "restricted-xml"),
    (StreamCondition::SeeOtherHost, "see-other-host"),
    (StreamCondition::SystemShutdown, "system-shutdown"),
    (StreamCondition::UndefinedCondition, "undefined-condition"),
    (StreamCondition::UnsupportedEncoding, "unsupported-encoding"),
    (StreamCondition::UnsupportedFeature, "unsupported-feature"),
    (StreamCondition::UnsupportedStanzaType, "unsupported-stanza-type"),
    (StreamCondition::UnsupportedVersion, "unsupported-version"),
];
