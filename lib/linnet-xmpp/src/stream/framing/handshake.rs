//! What both sides compute for the opening handshake of a WebSocket (RFC 6455 §4).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

/// The subprotocol (RFC 7395 §3.1).
pub const PROTOCOL: &str = "xmpp";
/// The version of the WebSocket protocol (RFC 6455 §4.1).
pub const VERSION: &str = "13";

/// `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (RFC 6455 §4.2.2). `None`: it is no key, which has 16 bytes.
///
/// ```
/// use linnet_xmpp::stream::framing::handshake::accept;
///
/// assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ==").as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
/// ```
pub fn accept(key: &str) -> Option<String> {
    const WEBSOCKET: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let is_key = STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16);
    is_key.then(|| STANDARD.encode(Sha1::new().chain_update(key).chain_update(WEBSOCKET).finalize()))
}

/// A new `Sec-WebSocket-Key`.
pub fn key(random: fn(&mut [u8])) -> String {
    let mut bytes = [0; 16];
    random(&mut bytes);
    STANDARD.encode(bytes)
}
