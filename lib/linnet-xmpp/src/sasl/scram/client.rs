//! The client's side of a SCRAM exchange.

use super::{
    MAX_ITERATIONS, MIN_ITERATIONS,
    keys::{Salted, digest},
    message::{self, ServerFinal},
};
use crate::sasl::{ClientError, Hash, prepare_password};
use subtle::ConstantTimeEq;

/// An exchange with what it needs to know.
pub(in crate::sasl) struct Exchange {
    hash: Hash,
    password: String,
    nonce: String,
    /// The GS2 header, and behind it the channel's data if there is binding.
    header: String,
    binding: Vec<u8>,
    first_bare: String,
    /// What the server seemed to advertise.
    offer: Option<String>,
    stage: Stage,
}

enum Stage {
    /// Nothing came from the server yet.
    First,
    /// The proof is sent; success has to come with this signature.
    Final(Vec<u8>),
    /// The server has proved itself.
    Proved,
    /// The server said that it refuses.
    Refused,
}

impl Exchange {
    /// `header`: the GS2 header; `binding`: the channel's data. The name is sent as it is.
    pub(in crate::sasl) fn new(
        hash: Hash,
        username: &str,
        password: &str,
        header: String,
        binding: Option<&[u8]>,
        nonce: String,
    ) -> Exchange {
        let first_bare = format!("n={},r={nonce}", message::escape(username));
        let binding = [header.as_bytes(), binding.unwrap_or_default()].concat();
        Exchange {
            hash,
            password: password.to_owned(),
            nonce,
            header,
            binding,
            first_bare,
            offer: None,
            stage: Stage::First,
        }
    }

    /// Has what the server advertised compared with what it says to have advertised (XEP-0474 §6.2).
    pub(in crate::sasl) fn compare(&mut self, offer: String) {
        self.offer = Some(offer);
    }

    /// `client-first-message`.
    pub(in crate::sasl) fn initial(&self) -> Vec<u8> {
        format!("{}{}", self.header, self.first_bare).into_bytes()
    }

    /// Answers `server-first-message`, or an additional message of the server with which it ends: success then comes
    /// without data.
    pub(in crate::sasl) fn challenge(&mut self, data: &[u8]) -> Result<Vec<u8>, ClientError> {
        match &self.stage {
            Stage::First => self.prove(data),
            Stage::Final(_) => self.check(data).map(|()| Vec::new()),
            Stage::Proved | Stage::Refused => Err(ClientError::BadChallenge),
        }
    }

    /// Whether the server has proved that it knows our keys (RFC 5802 §5).
    pub(in crate::sasl) fn success(&mut self, data: Option<&[u8]>) -> Result<(), ClientError> {
        match (&self.stage, data) {
            (Stage::Final(_), Some(data)) => {
                self.check(data)?;
                self.success(None)
            }
            (Stage::Proved, None | Some([])) => Ok(()),
            _ => Err(ClientError::ServerNotAuthentic),
        }
    }

    fn prove(&mut self, data: &[u8]) -> Result<Vec<u8>, ClientError> {
        let first = message::server_first(data).ok_or(ClientError::BadChallenge)?;
        // §5.1: the nonce begins with ours, and the server adds to it.
        let added = first.nonce.strip_prefix(&*self.nonce).is_some_and(|rest| !rest.is_empty());
        if !added {
            return Err(ClientError::BadChallenge);
        }
        if first.iterations < u64::from(MIN_ITERATIONS) {
            return Err(ClientError::IterationsTooFew);
        }
        let iterations = u32::try_from(first.iterations)
            .ok()
            .filter(|i| *i <= MAX_ITERATIONS)
            .ok_or(ClientError::IterationsTooMany)?;
        if let (Some(said), Some(seen)) = (first.offer, &self.offer)
            && said != message::base64(&digest(self.hash, seen.as_bytes()))
        {
            return Err(ClientError::Downgrade);
        }
        let password = prepare_password(&self.password).map_err(|_| ClientError::BadPassword)?;
        let salted = Salted::new(self.hash, password.as_bytes(), &first.salt, iterations);
        let without_proof = format!("c={},r={}", message::base64(&self.binding), first.nonce);
        let auth_message: [&[u8]; 5] = [self.first_bare.as_bytes(), b",", data, b",", without_proof.as_bytes()];
        let proof = salted.proof(&auth_message);
        self.stage = Stage::Final(salted.server_signature(&auth_message));
        Ok(format!("{without_proof},p={}", message::base64(&proof)).into_bytes())
    }

    /// Checks `server-final-message`.
    fn check(&mut self, data: &[u8]) -> Result<(), ClientError> {
        let Stage::Final(signature) = &self.stage else { return Err(ClientError::ServerNotAuthentic) };
        match message::server_final(data) {
            Some(ServerFinal::Verifier(sent)) if bool::from(sent.ct_eq(signature)) => self.stage = Stage::Proved,
            // The failure itself follows as one of SASL.
            Some(ServerFinal::Error) => self.stage = Stage::Refused,
            Some(ServerFinal::Verifier(_)) | None => return Err(ClientError::ServerNotAuthentic),
        }
        Ok(())
    }
}
