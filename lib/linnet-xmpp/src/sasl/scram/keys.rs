//! What is derived from a password, and how proofs are made from it (RFC 5802 §3).

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::sasl::{BadPassword, Hash, prepare_password};

/// Octets in the salt of [`ScramKeys::decoy`]. Accounts take salts of the same length, or names could be told apart.
pub const DECOY_SALT: usize = 16;

/// What a server keeps of a password for one hash (RFC 5802 §3).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// For which hash.
    pub hash: Hash,
    /// The salt.
    pub salt: Box<[u8]>,
    /// The iteration count.
    pub iterations: u32,
    /// H(ClientKey).
    pub stored_key: Box<[u8]>,
    /// HMAC(SaltedPassword, "Server Key").
    pub server_key: Box<[u8]>,
}

impl ScramKeys {
    /// Derives the keys. Slow by intent: call it on a thread that may block.
    /// Fails where the password is empty or has characters that SASLprep/OpaqueString forbid.
    pub fn derive(hash: Hash, password: &str, salt: &[u8], iterations: u32) -> Result<ScramKeys, BadPassword> {
        let prepared = prepare_password(password)?;
        let salted = Salted::new(hash, prepared.as_bytes(), salt, iterations);
        Ok(ScramKeys {
            hash,
            salt: salt.into(),
            iterations,
            stored_key: digest(hash, &salted.client_key()).into(),
            server_key: salted.server_key().into(),
        })
    }

    /// Of a SaltedPassword that a client has derived (XEP-0480 §3). `None` where it has not the hash's size.
    pub fn of_salted(hash: Hash, salted: &[u8], salt: &[u8], iterations: u32) -> Option<ScramKeys> {
        let salted = (salted.len() == hash.size()).then(|| Salted { hash, key: salted.to_vec() })?;
        Some(ScramKeys {
            hash,
            salt: salt.into(),
            iterations,
            stored_key: digest(hash, &salted.client_key()).into(),
            server_key: salted.server_key().into(),
        })
    }

    /// Whether the password gives these keys; constant time in the comparison. Slow by intent.
    pub fn verify(&self, password: &str) -> bool {
        ScramKeys::derive(self.hash, password, &self.salt, self.iterations)
            .is_ok_and(|keys| bool::from(keys.stored_key.ct_eq(&self.stored_key)))
    }

    /// Keys for a name that does not exist, the same at each try: salt and keys are HMACs of name and server secret,
    /// so that unknown names take the same steps as known ones (RFC 6120 §13.11). No password gives these keys.
    ///
    /// `iterations` is what new accounts get.
    pub fn decoy(hash: Hash, username: &str, secret: &[u8; 32], iterations: u32) -> ScramKeys {
        let name = username.as_bytes();
        let mac = |what: &[u8]| hmac(hash, secret, &[what, b"\0", name]);
        let mut salt = mac(b"decoy salt");
        salt.truncate(DECOY_SALT);
        ScramKeys {
            hash,
            salt: salt.into(),
            iterations,
            stored_key: mac(b"decoy stored key").into(),
            server_key: mac(b"decoy server key").into(),
        }
    }

    /// Whether a client's proof is right: ClientKey is the proof XOR ClientSignature, and its hash has to be StoredKey.
    pub(super) fn accepts(&self, proof: &[u8], auth_message: &[&[u8]]) -> bool {
        let mut key = hmac(self.hash, &self.stored_key, auth_message);
        if proof.len() != key.len() {
            return false;
        }
        xor(&mut key, proof);
        digest(self.hash, &key).ct_eq(&self.stored_key).into()
    }

    /// The server's signature of an exchange.
    pub(super) fn signature(&self, auth_message: &[&[u8]]) -> Vec<u8> {
        hmac(self.hash, &self.server_key, auth_message)
    }
}

impl std::fmt::Debug for ScramKeys {
    /// Without anything that would help to log in or to guess.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramKeys").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// SaltedPassword, from which all keys come.
pub(super) struct Salted {
    hash: Hash,
    key: Vec<u8>,
}

impl Salted {
    /// Hi(password, salt, iterations). The password is prepared already. No iterations are taken as one.
    pub(super) fn new(hash: Hash, password: &[u8], salt: &[u8], iterations: u32) -> Salted {
        let mut key = vec![0; hash.size()];
        let rounds = iterations.max(1);
        let done = match hash {
            Hash::Sha1 => pbkdf2::pbkdf2::<Hmac<Sha1>>(password, salt, rounds, &mut key),
            Hash::Sha256 => pbkdf2::pbkdf2::<Hmac<Sha256>>(password, salt, rounds, &mut key),
            Hash::Sha512 => pbkdf2::pbkdf2::<Hmac<Sha512>>(password, salt, rounds, &mut key),
        };
        debug_assert!(done.is_ok(), "HMAC takes keys of any length (RFC 2104 §2)");
        Salted { hash, key }
    }

    /// The octets (XEP-0480 §3 has them sent).
    pub(super) fn into_octets(self) -> Vec<u8> {
        self.key
    }

    fn client_key(&self) -> Vec<u8> {
        hmac(self.hash, &self.key, &[b"Client Key"])
    }

    fn server_key(&self) -> Vec<u8> {
        hmac(self.hash, &self.key, &[b"Server Key"])
    }

    /// ClientProof: ClientKey XOR HMAC(StoredKey, AuthMessage).
    pub(super) fn proof(&self, auth_message: &[&[u8]]) -> Vec<u8> {
        let mut proof = self.client_key();
        let signature = hmac(self.hash, &digest(self.hash, &proof), auth_message);
        xor(&mut proof, &signature);
        proof
    }

    /// ServerSignature: HMAC(ServerKey, AuthMessage).
    pub(super) fn server_signature(&self, auth_message: &[&[u8]]) -> Vec<u8> {
        hmac(self.hash, &self.server_key(), auth_message)
    }
}

/// SaltedPassword, which a client gives for an upgrade (XEP-0480 §3). Slow by intent.
pub fn salted_password(hash: Hash, password: &str, salt: &[u8], iterations: u32) -> Result<Vec<u8>, BadPassword> {
    let prepared = prepare_password(password)?;
    Ok(Salted::new(hash, prepared.as_bytes(), salt, iterations).into_octets())
}

fn xor(into: &mut [u8], with: &[u8]) {
    into.iter_mut().zip(with).for_each(|(a, b)| *a ^= b);
}

pub(super) fn digest(hash: Hash, data: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha1 => Sha1::digest(data).to_vec(),
        Hash::Sha256 => Sha256::digest(data).to_vec(),
        Hash::Sha512 => Sha512::digest(data).to_vec(),
    }
}

fn hmac(hash: Hash, key: &[u8], data: &[&[u8]]) -> Vec<u8> {
    fn mac<M: Mac + KeyInit>(key: &[u8], data: &[&[u8]]) -> Vec<u8> {
        let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
            // HMAC takes keys of any length (RFC 2104 §2); an empty result equals no signature and no proof.
            return Vec::new();
        };
        data.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().to_vec()
    }
    match hash {
        Hash::Sha1 => mac::<Hmac<Sha1>>(key, data),
        Hash::Sha256 => mac::<Hmac<Sha256>>(key, data),
        Hash::Sha512 => mac::<Hmac<Sha512>>(key, data),
    }
}
