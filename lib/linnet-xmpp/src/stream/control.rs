//! What a client says about its session between stanzas, and what the server says back: stream management (XEP-0198) and
//! client state indication (XEP-0352).

use super::{StreamCondition, StreamError};
use crate::{jid::Jid, ns, xml::Writer};
use bytes::Bytes;
use std::time::Duration;

/// What a client says about its session. The server behind the stream acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// `<enable/>` (XEP-0198 §3). Answer: [`Signal::Enabled`] or [`Signal::Failed`].
    Enable {
        /// Whether the session shall outlive its connection.
        resume: bool,
        /// For how long at most, if the client says.
        max: Option<Duration>,
    },
    /// `<a/>`: so many stanzas has the client handled (§4).
    Handled(u32),
    /// `<r/>`: how many has the server handled? Answer: [`Signal::Handled`].
    Request,
    /// `<active/>` or `<inactive/>` (XEP-0352 §4): whether somebody looks at the client.
    Active(bool),
}

/// What the server says about a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// `<enabled/>`, with id and time if the session can be resumed (XEP-0198 §3).
    Enabled(Option<(Box<str>, Duration)>),
    /// `<failed/>`: not at this point (§3).
    Failed,
    /// `<a/>`: so many stanzas has the server handled (§4).
    Handled(u32),
    /// `<r/>`.
    Request,
}

/// A session that goes on (XEP-0198 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// The full address.
    pub address: Jid,
    /// How many of the client's stanzas the server has handled.
    pub handled: u32,
}

/// Why no session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotResumed {
    /// There is no such session of this account any more, or there never was. Of one that there was: how many of the
    /// client's stanzas the server has handled.
    Unknown(Option<u32>),
    /// The client counts more stanzas than it was sent. The stream ends.
    TooHigh {
        /// What the client says.
        handled: u32,
        /// What it was sent.
        sent: u32,
    },
    /// It cannot be found out now.
    Fault,
}

impl Signal {
    /// The element, canonical under `jabber:client`.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Writer::new(ns::CLIENT);
        match self {
            Signal::Enabled(None) => out.open("enabled", ns::STREAM_MANAGEMENT).close(),
            Signal::Enabled(Some((id, max))) => out
                .open("enabled", ns::STREAM_MANAGEMENT)
                .attr("id", id)
                .attr("resume", "true")
                .attr("max", &max.as_secs().to_string())
                .close(),
            Signal::Failed => return failed("unexpected-request"),
            Signal::Handled(count) => out.open("a", ns::STREAM_MANAGEMENT).attr("h", &count.to_string()).close(),
            Signal::Request => out.open("r", ns::STREAM_MANAGEMENT).close(),
        };
        out.finish()
    }
}

/// `<failed/>` with a condition of RFC 6120 §8.3.3 (XEP-0198 §3, §5).
pub(super) fn failed(condition: &str) -> Bytes {
    failed_after(None, condition)
}

/// The same of a session that the server knows, with the number of stanzas that it has handled (§5).
pub(super) fn failed_after(handled: Option<u32>, condition: &str) -> Bytes {
    let mut out = Writer::new(ns::CLIENT);
    let failed = out.open("failed", ns::STREAM_MANAGEMENT);
    if let Some(handled) = handled {
        failed.attr("h", &handled.to_string());
    }
    failed.open(condition, ns::STANZA_ERROR).close().close();
    out.finish()
}

/// How a stream ends whose client has handled what it was not sent (XEP-0198 §4).
pub fn too_high(handled: u32, sent: u32) -> StreamError {
    let mut condition = Writer::new(ns::CLIENT);
    condition
        .open("handled-count-too-high", ns::STREAM_MANAGEMENT)
        .attr("h", &handled.to_string())
        .attr("send-count", &sent.to_string())
        .close();
    let text = "you acknowledge more than you were sent";
    StreamError::new(StreamCondition::UndefinedCondition).text(text).application(condition.finish())
}
