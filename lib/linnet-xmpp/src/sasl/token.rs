//! Hashed tokens (HT-*, draft-schmaus-kitten-sasl-ht-09): a server gives a client a secret, and later each proves to the
//! other with one message that it knows it. The client's is `username NUL HMAC(token, "Initiator" + binding)`, the
//! server's `HMAC(token, "Responder" + binding)`. Used by FAST (XEP-0484).

use super::{ChannelBindings, Failure, server::simple_username};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq;

/// The mechanisms, by what they bind to. `tls-unique` does not exist in TLS 1.3, and our TLS does not tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs)]
pub enum TokenMechanism {
    Exporter,
    ServerEndPoint,
    Unbound,
}

impl TokenMechanism {
    /// All of them, strongest first.
    pub const ALL: [TokenMechanism; 3] =
        [TokenMechanism::Exporter, TokenMechanism::ServerEndPoint, TokenMechanism::Unbound];

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            TokenMechanism::Exporter => "HT-SHA-256-EXPR",
            TokenMechanism::ServerEndPoint => "HT-SHA-256-ENDP",
            TokenMechanism::Unbound => "HT-SHA-256-NONE",
        }
    }

    /// The mechanism of a registered name.
    pub fn named(name: &str) -> Option<TokenMechanism> {
        TokenMechanism::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }

    /// What is bound to; `None` where the connection does not have it.
    fn binding(self, bindings: &ChannelBindings) -> Option<&[u8]> {
        match self {
            TokenMechanism::Exporter => bindings.exporter.as_deref(),
            TokenMechanism::ServerEndPoint => bindings.server_end_point.as_deref(),
            TokenMechanism::Unbound => Some(&[]),
        }
    }

    /// Whether it can be used on a connection.
    pub fn is_possible(self, bindings: &ChannelBindings) -> bool {
        self.binding(bindings).is_some()
    }
}

/// A client's message, server's side.
#[derive(Clone)]
pub struct TokenProof {
    /// By which mechanism.
    pub mechanism: TokenMechanism,
    /// Whose token it says to know, prepared.
    pub username: String,
    hash: Box<[u8]>,
    binding: Box<[u8]>,
}

impl TokenProof {
    /// Reads the message. malformed-request where it is none, invalid-mechanism where the connection has not what is
    /// bound to.
    pub fn read(mechanism: TokenMechanism, data: &[u8], bindings: &ChannelBindings) -> Result<TokenProof, Failure> {
        let binding = mechanism.binding(bindings).ok_or(Failure::InvalidMechanism)?;
        let end = data.iter().position(|byte| *byte == 0).ok_or(Failure::MalformedRequest)?;
        let (username, hash) = data.split_at(end);
        let username = std::str::from_utf8(username).map_err(|_| Failure::MalformedRequest)?;
        if username.is_empty() || hash.len() != 33 {
            return Err(Failure::MalformedRequest);
        }
        let username = simple_username(username).ok_or(Failure::NotAuthorized)?;
        Ok(TokenProof { mechanism, username, hash: hash[1..].into(), binding: binding.into() })
    }

    /// Whether it proves knowledge of this token; in constant time.
    pub fn accepts(&self, token: &str) -> bool {
        hmac(token.as_bytes(), &[b"Initiator", &self.binding]).ct_eq(&self.hash).into()
    }

    /// The server's message, which proves the same to the client.
    pub fn answer(&self, token: &str) -> Vec<u8> {
        hmac(token.as_bytes(), &[b"Responder", &self.binding]).to_vec()
    }
}

impl fmt::Debug for TokenProof {
    /// Without the proof: unbound, it could be used again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenProof")
            .field("mechanism", &self.mechanism)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// The client's message. `None` where the connection has not what is bound to.
pub fn token_message(
    mechanism: TokenMechanism,
    username: &str,
    token: &str,
    bindings: &ChannelBindings,
) -> Option<Vec<u8>> {
    let hash = hmac(token.as_bytes(), &[b"Initiator", mechanism.binding(bindings)?]);
    Some([username.as_bytes(), b"\0", &hash].concat())
}

/// Whether the server's message proves that it knows the token.
pub fn is_token_answer(mechanism: TokenMechanism, token: &str, bindings: &ChannelBindings, data: &[u8]) -> bool {
    let expected = mechanism.binding(bindings).map(|binding| hmac(token.as_bytes(), &[b"Responder", binding]));
    expected.is_some_and(|expected| expected.ct_eq(data).into())
}

/// A name that stands for something and says nothing of it: 96 bits of a keyed hash as letters, digits, `-` and `_`. The
/// same for the same secret and parts.
pub fn keyed_name(secret: &[u8], parts: &[&str]) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let parts: Vec<&[u8]> = parts.iter().flat_map(|part| [part.as_bytes(), b"\0"]).collect();
    URL_SAFE_NO_PAD.encode(&hmac(secret, &parts)[..12])
}

fn hmac(key: &[u8], data: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length (RFC 2104 §2)");
    };
    data.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bindings() -> ChannelBindings {
        ChannelBindings { exporter: Some([7; 32].into()), server_end_point: Some([9; 32].into()) }
    }

    #[test]
    fn both_sides_prove_that_they_know_the_token() {
        for mechanism in TokenMechanism::ALL {
            assert_eq!(TokenMechanism::named(mechanism.name()), Some(mechanism));
            let sent = token_message(mechanism, "juliet", "secret", &bindings()).unwrap();
            let proof = TokenProof::read(mechanism, &sent, &bindings()).unwrap();
            assert_eq!(proof.username, "juliet");
            assert!(proof.accepts("secret") && !proof.accepts("secreT"));
            assert!(is_token_answer(mechanism, "secret", &bindings(), &proof.answer("secret")));
            assert!(!is_token_answer(mechanism, "secret", &bindings(), &proof.answer("secreT")));
            assert!(!is_token_answer(mechanism, "secret", &bindings(), b""));
        }
    }

    #[test]
    fn a_proof_counts_on_its_own_channel_only() {
        let sent = token_message(TokenMechanism::Exporter, "juliet", "secret", &bindings()).unwrap();
        let other = ChannelBindings { exporter: Some([8; 32].into()), ..bindings() };
        assert!(!TokenProof::read(TokenMechanism::Exporter, &sent, &other).unwrap().accepts("secret"));
        let none = TokenProof::read(TokenMechanism::Exporter, &sent, &ChannelBindings::default());
        assert_eq!(none.unwrap_err(), Failure::InvalidMechanism);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bad in [
            &b""[..],
            b"juliet",
            b"juliet\0short",
            b"\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            b"\xff\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            let read = TokenProof::read(TokenMechanism::Unbound, bad, &ChannelBindings::default());
            assert_eq!(read.unwrap_err(), Failure::MalformedRequest, "{bad:?}");
        }
    }

    /// HMAC-SHA-256 with key "secret-token:fast-abc" of "Initiator", by Python's hmac.
    #[test]
    fn the_hash_is_that_of_the_draft() {
        let sent = token_message(TokenMechanism::Unbound, "u", "secret-token:fast-abc", &bindings()).unwrap();
        let hex: String = sent[2..].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "31a40f95e222589afb8c28c212119413c99f1530ed11458f2ccd141988ee709e");
    }
}
