//! The server's side of a SCRAM exchange.

use super::{ScramKeys, keys::digest, message};
use crate::sasl::{ChannelBindings, Failure};
use message::Flag;
use subtle::ConstantTimeEq;

/// An exchange of which the client's first message has arrived.
#[derive(Debug)]
pub(in crate::sasl) struct Exchange {
    pub(in crate::sasl) username: String,
    pub(in crate::sasl) authzid: Option<String>,
    /// What the client has to send back as `c=`: the GS2 header and the channel's data.
    binding: Vec<u8>,
    first_bare: String,
    client_nonce: String,
    /// What was sent with it, and with which keys, once that is done.
    challenge: Option<Challenge>,
}

#[derive(Debug)]
struct Challenge {
    keys: ScramKeys,
    proved: Result<(), Failure>,
    nonce: String,
    server_first: String,
}

/// How an exchange ends.
#[derive(Debug)]
pub(in crate::sasl) enum Outcome {
    /// The proof is right; to be sent with success.
    Proved(Vec<u8>),
    /// It is not.
    Refused(Failure),
}

impl Exchange {
    /// Takes `client-first-message`. `plus`: the mechanism is a -PLUS one; `offers_plus`: such are advertised.
    pub(in crate::sasl) fn start(
        data: &[u8],
        plus: bool,
        offers_plus: bool,
        bindings: &ChannelBindings,
    ) -> Result<Exchange, Failure> {
        let first = message::client_first(data).ok_or(Failure::MalformedRequest)?;
        let mut binding = first.header.as_bytes().to_vec();
        match first.flag {
            // §6: the type is one that we have, or authentication fails.
            Flag::Bound(name) if plus => {
                binding.extend_from_slice(bindings.data(name).ok_or(Failure::NotAuthorized)?);
            }
            Flag::No if !plus => {}
            // §6: the client saw no -PLUS where we offered one: somebody took it out of the list.
            Flag::NotOffered if !plus && !offers_plus => {}
            Flag::Bound(_) | Flag::No | Flag::NotOffered => return Err(Failure::NotAuthorized),
        }
        Ok(Exchange {
            username: first.username,
            authzid: first.authzid,
            binding,
            first_bare: first.bare.to_owned(),
            client_nonce: first.nonce.to_owned(),
            challenge: None,
        })
    }

    /// Makes `server-first-message`. `proved`: what follows when the client's proof is right.
    /// `offer`: what was advertised, whose hash goes with it (XEP-0474).
    pub(in crate::sasl) fn challenge(
        &mut self,
        keys: ScramKeys,
        proved: Result<(), Failure>,
        nonce: &str,
        offer: Option<&str>,
    ) -> Vec<u8> {
        let nonce = format!("{}{nonce}", self.client_nonce);
        let mut server_first = format!("r={nonce},s={},i={}", message::base64(&keys.salt), keys.iterations);
        if let Some(offer) = offer {
            server_first.push_str(",h=");
            server_first.push_str(&message::base64(&digest(keys.hash, offer.as_bytes())));
        }
        let out = server_first.clone().into_bytes();
        self.challenge = Some(Challenge { keys, proved, nonce, server_first });
        out
    }

    /// Takes `client-final-message`.
    pub(in crate::sasl) fn finish(&self, data: &[u8]) -> Outcome {
        let Some(last) = message::client_final(data) else { return Outcome::Refused(Failure::MalformedRequest) };
        let Some(challenge) = &self.challenge else { return Outcome::Refused(Failure::MalformedRequest) };
        let auth_message: [&[u8]; 5] =
            [self.first_bare.as_bytes(), b",", challenge.server_first.as_bytes(), b",", last.without_proof.as_bytes()];
        // All is computed before anything is decided, so that time tells nothing.
        let is_right = challenge.keys.accepts(&last.proof, &auth_message);
        let bound = bool::from(last.binding.ct_eq(&self.binding));
        let same_nonce = last.nonce == challenge.nonce;
        let signature = challenge.keys.signature(&auth_message);
        match challenge.proved {
            _ if !(is_right & bound & same_nonce) => Outcome::Refused(Failure::NotAuthorized),
            Ok(()) => Outcome::Proved(format!("v={}", message::base64(&signature)).into_bytes()),
            Err(failure) => Outcome::Refused(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::sasl::{Hash, Mechanism, ScramKeys, Server, ServerStep, offer};

    /// The example of XEP-0474 §6.3.
    #[test]
    fn the_hash_of_what_is_advertised_goes_with_the_challenge_xep0474_6_1() {
        let offer = offer(&["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"], &["tls-server-end-point", "tls-exporter"]);
        assert_eq!(offer, "SCRAM-SHA-1\x1eSCRAM-SHA-1-PLUS\x1ftls-exporter\x1etls-server-end-point");
        let mechanism = Mechanism::Scram { hash: Hash::Sha1, plus: false };
        let mut server = Server::new(mechanism, "example.org", Default::default(), false, "server".into());
        server = server.advertised(offer);
        server.response(Some(b"n,,n=user,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6"));
        let keys = ScramKeys::derive(Hash::Sha1, "pencil", b"salt", 4096).unwrap();
        let ServerStep::Challenge(first) = server.keys(keys, Ok(())) else { panic!("no challenge") };
        assert!(String::from_utf8(first).unwrap().ends_with(",h=G6k/rBLDqgOhRRaCuuatSDFkJ08="));
    }
}
