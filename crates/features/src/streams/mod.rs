//! What clients say about their streams between stanzas: stream management (XEP-0198), so that a session outlives its
//! connection and nothing is lost with it, and client state indication (XEP-0352), so that a phone sleeps.
//!
//! Beside the login of RFC 6120 clients have that of one exchange (XEP-0388, XEP-0386), in their first segment if they like
//! (XEP-0509), and are told how large a stanza may be (XEP-0478).
//!
//! Streams come over TCP, over WebSocket and over BOSH, which is edge's work, and portal says where.
//!
//! The elements are read by steps of the stream, and the kernel counts and keeps; here is the rule of what can wait.

use kernel::{Feature, Hook, hooks::Xep};
use linnet_xeps::ns;
use linnet_xmpp::{
    Stanza,
    stanza::{Kind, Type},
    stream::steps::{ClientState, Limits, Pipelining, Sasl2, StreamManagement},
};

/// Streams of clients.
pub static FEATURE: Feature = Feature {
    name: "streams",
    xeps: &[
        Xep { number: 124, version: "1.11.2", note: "one stream in a session; answers are always text/xml" },
        Xep { number: 156, version: "1.4.0", note: "" },
        Xep { number: 198, version: "1.6.3", note: "a restart of the server ends all sessions; no 'location'" },
        Xep { number: 206, version: "1.4", note: "" },
        Xep { number: 352, version: "1.0.0", note: "" },
        Xep { number: 368, version: "1.1.0", note: "" },
        Xep { number: 386, version: "1.1.0", note: "" },
        Xep { number: 388, version: "1.0.4", note: "" },
        Xep { number: 474, version: "0.5.0", note: "" },
        Xep { number: 478, version: "0.2.0", note: "nothing is said of idle streams: they are not ended" },
        Xep { number: 487, version: "0.1.0", note: "where the public addresses are configured; no 'ech'" },
        Xep { number: 509, version: "0.2.0", note: "" },
    ],
    server_features: &[],
    account_features: &[],
    stream_features: &[],
    hooks: &[
        Hook::Step(&Sasl2, |_| true),
        Hook::Step(&StreamManagement, |_| true),
        Hook::Step(&ClientState, |_| true),
        Hook::Step(&Limits, |_| true),
        Hook::Step(&Pipelining, |_| true),
        Hook::CanWait(can_wait),
    ],
};

/// Presence, and messages that say nothing but a chat state: what counts is the latest (XEP-0352 §5).
fn can_wait(stanza: &Stanza) -> bool {
    match stanza.kind {
        Kind::Presence => matches!(stanza.ty, Type::Available | Type::Unavailable),
        Kind::Message => {
            let mut is_state = false;
            let only_state = stanza.children().all(|node| {
                is_state |= node.ns() == ns::CHAT_STATES;
                matches!(node.ns(), ns::CHAT_STATES | ns::HINTS | ns::STANZA_ID)
                    || node.is("thread", linnet_xmpp::ns::CLIENT)
            });
            stanza.ty != Type::Error && is_state && only_state
        }
        Kind::Iq => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn waits(xml: &'static str) -> bool {
        can_wait(&Stanza::from_bytes(Bytes::from_static(xml.as_bytes())).unwrap())
    }

    #[test]
    fn presence_and_chat_states_can_wait_and_nothing_else_xep0352_5() {
        const STATE: &str = "<message type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>";
        assert!(waits(STATE));
        assert!(waits("<presence/>") && waits("<presence type='unavailable'/>"));
        assert!(!waits("<presence type='subscribe'/>") && !waits("<presence type='error'/>"));
        assert!(!waits("<message><body>b</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>"));
        assert!(!waits("<message/>"));
        assert!(!waits("<message><received xmlns='urn:xmpp:receipts' id='1'/></message>"));
        assert!(!waits("<iq type='result' id='1'/>"));
    }
}
