//! `<body/>` (XEP-0124 §6): what a request says, and what an answer is made of.

use bytes::Bytes;
use linnet_xmpp::{
    ns::{FRAMING, STREAM},
    xml::{Document, Node, Writer, escape_attr},
};
use std::fmt::Write as _;

const NS: &str = "http://jabber.org/protocol/httpbind";
/// XEP-0206.
const XBOSH: &str = "urn:xmpp:xbosh";
/// The largest request id (§14.1).
const MOST: u64 = (1 << 53) - 1;

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) rid: u64,
    /// None: for a new session.
    pub(super) sid: Option<String>,
    pub(super) key: Option<String>,
    pub(super) new_key: Option<String>,
    pub(super) ack: Option<u64>,
    /// In seconds.
    pub(super) pause: Option<u64>,
    pub(super) is_end: bool,
    /// A new stream on the session (XEP-0206 §5).
    pub(super) is_restart: bool,
    /// `<open/>` as a WebSocket would have it (RFC 7395 §3.3.2), with what the request says of the stream.
    pub(super) open: Bytes,
    /// In seconds.
    pub(super) wait: u64,
    pub(super) hold: u64,
    /// The version of BOSH, major and minor.
    pub(super) version: (u64, u64),
    /// Each a document of its own.
    pub(super) payloads: Vec<Bytes>,
}

/// Reads a request. `None`: a bad one.
pub(super) fn read(bytes: Bytes) -> Option<Request> {
    let document = Document::parse_document(bytes).ok()?;
    let body = document.root();
    if !body.is("body", NS) {
        return None;
    }
    let number =
        |name: &str| body.attr(name).map(|value| value.parse::<u64>().ok()).map_or(Some(None), |n| n.map(Some));
    let text = |name: &str| body.attr(name).map(|value| value.into_owned());
    let version = text("ver").and_then(|version| {
        let (major, minor) = version.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    Some(Request {
        rid: number("rid")?.filter(|rid| *rid <= MOST)?,
        sid: text("sid"),
        key: text("key"),
        new_key: text("newkey"),
        ack: number("ack")?,
        pause: number("pause")?,
        is_end: body.attr("type").is_some_and(|kind| kind == "terminate"),
        is_restart: extension(body, "restart").is_some_and(|restart| restart == "true" || restart == "1"),
        open: open(body),
        wait: number("wait")?.unwrap_or(super::WAIT),
        hold: number("hold")?.unwrap_or(1),
        version: version.unwrap_or((1, 6)),
        payloads: body.children().map(|child| child.to_bytes("")).collect(),
    })
}

/// An attribute of XEP-0206.
fn extension(body: Node<'_>, name: &str) -> Option<String> {
    let found = body.attrs().find(|(ns, local, _)| *ns == XBOSH && *local == name);
    found.map(|(_, _, value)| value.into_owned())
}

fn open(body: Node<'_>) -> Bytes {
    let mut open = Writer::new("");
    let version = extension(body, "version").unwrap_or_else(|| "1.0".to_owned());
    open.open("open", FRAMING)
        .attr_opt("to", body.attr("to").as_deref())
        .attr_opt("from", body.attr("from").as_deref());
    open.attr("version", &version).attr_opt("xml:lang", body.lang().as_deref()).close();
    open.finish()
}

/// What the stream says.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Attributes of its header, for `<body/>`.
    pub(super) header: String,
    /// Elements in order.
    pub(super) payloads: Vec<Bytes>,
    /// How it ended.
    pub(super) end: Option<End>,
}

/// How a session ends (§17.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct End {
    pub(super) condition: Option<&'static str>,
    /// Where to go instead.
    pub(super) elsewhere: Option<String>,
}

impl End {
    pub(super) fn because(condition: &'static str) -> End {
        End { condition: Some(condition), elsewhere: None }
    }
}

impl Said {
    pub(super) fn is_empty(&self) -> bool {
        self.header.is_empty() && self.payloads.is_empty() && self.end.is_none()
    }

    /// Adds a message of the stream (RFC 7395 §3.3).
    pub(super) fn add(&mut self, message: Bytes) {
        let is = |start: &str| message.starts_with(start.as_bytes());
        if is("<open ") {
            self.header = header(&message).unwrap_or_default();
        } else if is("<close ") {
            let elsewhere = Document::parse_document(message)
                .ok()
                .and_then(|close| close.root().attr("see-other-uri").map(|uri| uri.into_owned()));
            let condition = elsewhere.is_some().then_some("see-other-uri");
            self.end.get_or_insert(End { condition, elsewhere });
        } else if is("<stream:error ") {
            let is_unknown = memchr_of(&message, b"<host-unknown ");
            self.end = Some(End::because(if is_unknown { "host-unknown" } else { "remote-stream-error" }));
            self.payloads.push(message);
        } else {
            self.payloads.push(message);
        }
    }
}

fn memchr_of(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}

/// Of `<open/>`, what an answer says of the stream (XEP-0206 §4).
fn header(open: &Bytes) -> Option<String> {
    let open = Document::parse_document(open.clone()).ok()?;
    let mut header = attribute("xmpp:version", &open.root().attr("version").unwrap_or_default());
    for (name, value) in [("from", open.root().attr("from")), ("authid", open.root().attr("id"))] {
        header.push_str(&attribute(name, &value.unwrap_or_default()));
    }
    Some(header)
}

/// An attribute with a space before it.
pub(super) fn attribute(name: &str, value: &str) -> String {
    let mut escaped = Vec::new();
    escape_attr(value, &mut escaped);
    format!(" {name}='{}'", String::from_utf8_lossy(&escaped))
}

/// An answer; `attributes`: further ones, written by `attribute`.
pub(super) fn write(attributes: &str, said: Said) -> Bytes {
    let mut start =
        format!("<body xmlns='{NS}' xmlns:xmpp='{XBOSH}' xmlns:stream='{STREAM}'{attributes}{}", said.header);
    let mut elsewhere = Vec::new();
    if let Some(end) = said.end {
        start.push_str(" type='terminate'");
        if let Some(condition) = end.condition {
            // Writing to a string does not fail.
            let _ = write!(start, " condition='{condition}'");
        }
        if let Some(uri) = end.elsewhere {
            let mut content = Writer::new(NS);
            content.leaf("uri", NS, &uri);
            elsewhere.extend_from_slice(&content.finish());
        }
    }
    let mut out = start.into_bytes();
    if said.payloads.is_empty() && elsewhere.is_empty() {
        out.extend_from_slice(b"/>");
        return out.into();
    }
    out.push(b'>');
    said.payloads.iter().for_each(|payload| out.extend_from_slice(payload));
    out.extend_from_slice(&elsewhere);
    out.extend_from_slice(b"</body>");
    out.into()
}

/// The answer that ends what cannot go on.
pub(super) fn refusal(condition: &'static str) -> Bytes {
    write("", Said { end: Some(End::because(condition)), ..Said::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_with_its_payloads_as_documents() {
        let request = read(
            "<body rid='1573741820' xmlns='http://jabber.org/protocol/httpbind' to='example.com' xml:lang='en' wait='60' \
             hold='1' ver='1.6' ack='1' xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh' xmlns:p='urn:p'>\
             <message xmlns='jabber:client'><body>1</body></message> <p:x/></body>"
                .into(),
        )
        .unwrap();
        assert_eq!((request.rid, request.wait, request.hold, request.ack), (1_573_741_820, 60, 1, Some(1)));
        let open = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='example.com' version='1.0' xml:lang='en'/>";
        assert_eq!(request.open, open);
        assert_eq!(request.payloads, ["<message xmlns='jabber:client'><body>1</body></message>", "<x xmlns='urn:p'/>"]);
    }

    #[test]
    fn bad_requests() {
        let bad = [
            "<body rid='1",
            "<body xmlns='http://jabber.org/protocol/httpbind'/>",
            "<body xmlns='http://jabber.org/protocol/httpbind' rid='9007199254740992'/>",
            "<body xmlns='http://jabber.org/protocol/httpbind' rid='-1'/>",
            "<body xmlns='http://jabber.org/protocol/httpbind' rid='1' wait='long'/>",
            "<body xmlns='jabber:client' rid='1'/>",
            "<!DOCTYPE x><body xmlns='http://jabber.org/protocol/httpbind' rid='1'/>",
        ];
        for bad in bad {
            assert!(read(bad.into()).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_the_stream_says_becomes_an_answer() {
        let mut said = Said::default();
        said.add("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' from='a.example' id='i' version='1.0'/>".into());
        said.add("<presence xmlns='jabber:client'/>".into());
        let start = "<body xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh' \
                     xmlns:stream='http://etherx.jabber.org/streams'";
        let expected = format!(
            "{start} sid='s' xmpp:version='1.0' from='a.example' authid='i'><presence xmlns='jabber:client'/></body>"
        );
        assert_eq!(write(&attribute("sid", "s"), said), expected);
        let mut said = Said::default();
        said.add("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing' see-other-uri='https://b.example/'/>".into());
        let expected =
            format!("{start} type='terminate' condition='see-other-uri'><uri>https://b.example/</uri></body>");
        assert_eq!(write("", said), expected);
        assert_eq!(refusal("bad-request"), format!("{start} type='terminate' condition='bad-request'/>"));
    }
}
