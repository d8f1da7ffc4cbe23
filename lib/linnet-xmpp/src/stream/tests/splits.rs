//! However the network splits the bytes, what comes out is the same.

use super::*;
use proptest::prelude::*;

const SESSION: &str = "<?xml version='1.0'?><stream:stream to='capulet.example' version='1.0' xmlns='jabber:client' \
     xmlns:stream='http://etherx.jabber.org/streams'> <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>\
     AGp1bGlldAByMG0zMG15cjBtMzA=</auth><stream:stream to='capulet.example' version='1.0' xmlns='jabber:client' \
     xmlns:stream='http://etherx.jabber.org/streams'><iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>\
     \n<message to='romeo@montague.example'><body>h\u{e9}\u{1F600} &amp; <![CDATA[<]]></body></message> \
     <iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq><presence/>\
     <iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq></stream:stream>";

fn whole(pieces: &[&[u8]]) -> (String, Vec<String>, bool) {
    let mut server = Server::new(accept_config(), Some(secured()));
    for piece in pieces {
        server.drive(piece);
    }
    let stanzas = server
        .stanzas
        .iter()
        .map(|stanza| String::from_utf8_lossy(&stanza.as_ref().unwrap().to_bytes()).into_owned())
        .collect();
    (server.taken(), stanzas, server.closed == Some(None))
}

#[test]
fn byte_by_byte_is_the_same_as_at_once_rfc6120_4_1() {
    let bytes: Vec<&[u8]> = SESSION.as_bytes().chunks(1).collect();
    let at_once = whole(&[SESSION.as_bytes()]);
    assert_eq!(at_once.1.len(), 3);
    assert!(at_once.2);
    assert_eq!(whole(&bytes), at_once);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_split_is_the_same_as_at_once(mut cuts in proptest::collection::vec(0..SESSION.len(), 0..12)) {
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&SESSION.as_bytes()[from..cut]);
            from = cut;
        }
        pieces.push(&SESSION.as_bytes()[from..]);
        prop_assert_eq!(whole(&pieces), whole(&[SESSION.as_bytes()]));
    }

    #[test]
    fn a_changed_session_never_panics_and_ends_at_most_once(at in 0..SESSION.len(), byte in any::<u8>(), cut in 0..SESSION.len(), drop in any::<bool>()) {
        let mut bytes = SESSION.as_bytes().to_vec();
        if drop { bytes.remove(at); } else { bytes[at] = byte; }
        let (start, rest) = bytes.split_at(cut.min(bytes.len()));
        let mut server = Server::new(accept_config(), Some(secured()));
        server.drive(start);
        server.drive(rest);
        server.drive(b"</stream:stream>");
        let written = String::from_utf8(server.written).unwrap();
        prop_assert!(written.matches("<stream:error>").count() <= 1);
        prop_assert!(written.matches("</stream:stream>").count() <= 1);
    }

    #[test]
    fn no_bytes_make_the_streams_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0usize..4) {
        let mut server = match at {
            0 => Server::new(accept_config(), None),
            1 => Server::in_tls(),
            2 => Server::logged_in(),
            _ => Server::in_session(),
        };
        server.drive(&bytes);
        let mut peer = Peer::new(initiate_config(), Some(secured()));
        peer.send(&bytes);
    }
}
