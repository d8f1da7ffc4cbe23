//! The client's side of SCRAM-SHA-1 and -SHA-256 (RFC 5802, RFC 7677), with salted passwords remembered across runs.
//!
//! The salted password is what makes SCRAM dear for a client; remembering it (RFC 5802 §5.1 allows it) leaves the machine to the server.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Which hash a login uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// SCRAM-SHA-1
    Sha1,
    /// SCRAM-SHA-256
    Sha256,
}

impl Mechanism {
    /// The name in SASL.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SCRAM-SHA-1",
            Self::Sha256 => "SCRAM-SHA-256",
        }
    }

    fn hash(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(data).to_vec(),
            Self::Sha256 => Sha256::digest(data).to_vec(),
        }
    }

    fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => mac::<Hmac<Sha1>>(key, data),
            Self::Sha256 => mac::<Hmac<Sha256>>(key, data),
        }
    }

    fn salted(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        // Hi() of RFC 5802 §2.2; HMAC takes keys of any length, so this cannot fail.
        let mut out = vec![0; if self == Self::Sha1 { 20 } else { 32 }];
        let done = match self {
            Self::Sha1 => pbkdf2::pbkdf2::<Hmac<Sha1>>(password, salt, iterations, &mut out),
            Self::Sha256 => pbkdf2::pbkdf2::<Hmac<Sha256>>(password, salt, iterations, &mut out),
        };
        debug_assert!(done.is_ok());
        out
    }
}

/// Salted passwords by mechanism, salt, iterations and password, kept in memory and in a file.
#[derive(Default)]
pub(crate) struct Salted {
    known: Mutex<HashMap<String, Vec<u8>>>,
}

impl Salted {
    /// Reads what earlier runs left in `path`; a missing or unreadable file is an empty one.
    pub(crate) fn load(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let entry = |line: &str| {
            let (key, value) = line.rsplit_once(' ')?;
            Some((key.to_owned(), BASE64.decode(value).ok()?))
        };
        Self { known: Mutex::new(text.lines().filter_map(entry).collect()) }
    }

    /// Writes everything known to `path`.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        let mut file = io::BufWriter::new(fs::File::create(path)?);
        for (key, value) in self.known.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            writeln!(file, "{key} {}", BASE64.encode(value))?;
        }
        file.flush()
    }

    fn password(&self, mechanism: Mechanism, password: &str, salt: &str, iterations: u32) -> Option<Vec<u8>> {
        let key = format!("{} {salt} {iterations} {password}", mechanism.name());
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Some(known.clone());
        }
        let salted = mechanism.salted(password.as_bytes(), &BASE64.decode(salt).ok()?, iterations);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, salted.clone());
        Some(salted)
    }
}

/// One login under way.
pub(crate) struct Exchange {
    mechanism: Mechanism,
    nonce: String,
    user: String,
    expected: Vec<u8>,
}

impl Exchange {
    /// Begins a login of `user` (plain ASCII without `,` and `=`) without channel binding.
    pub(crate) fn new(mechanism: Mechanism, user: &str) -> io::Result<Self> {
        let mut random = [0; 18];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        Ok(Self { mechanism, nonce: BASE64.encode(random), user: user.to_owned(), expected: Vec::new() })
    }

    /// The first message, in base64.
    pub(crate) fn first(&self) -> String {
        BASE64.encode(format!("n,,{}", self.first_bare()))
    }

    /// Answers the server's challenge (base64); `None` when it is malformed.
    pub(crate) fn answer(&mut self, challenge: &str, password: &str, salted: &Salted) -> Option<String> {
        let challenge = String::from_utf8(BASE64.decode(challenge.trim()).ok()?).ok()?;
        let part = |name: &str| challenge.split(',').find_map(|each| each.strip_prefix(name));
        let (nonce, salt, iterations) = (part("r=")?, part("s=")?, part("i=")?.parse().ok()?);
        if !nonce.starts_with(&self.nonce) {
            return None;
        }
        let key = salted.password(self.mechanism, password, salt, iterations)?;
        let unproved = format!("c=biws,r={nonce}");
        let signed = format!("{},{challenge},{unproved}", self.first_bare());
        let client_key = self.mechanism.hmac(&key, b"Client Key");
        let signature = self.mechanism.hmac(&self.mechanism.hash(&client_key), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        self.expected = self.mechanism.hmac(&self.mechanism.hmac(&key, b"Server Key"), signed.as_bytes());
        Some(BASE64.encode(format!("{unproved},p={}", BASE64.encode(proof))))
    }

    /// Whether the server's final message (base64) proves that it knows the password.
    pub(crate) fn verify(&self, outcome: &str) -> bool {
        let decoded = BASE64.decode(outcome.trim()).unwrap_or_default();
        decoded.strip_prefix(b"v=").and_then(|value| BASE64.decode(value).ok()).as_deref() == Some(&self.expected)
    }

    fn first_bare(&self) -> String {
        format!("n={},r={}", self.user, self.nonce)
    }
}

/// The first message of HT-SHA-256-NONE, in base64.
pub(crate) fn token_message(user: &str, token: &str) -> String {
    let hash = Mechanism::Sha256.hmac(token.as_bytes(), b"Initiator");
    BASE64.encode([user.as_bytes(), b"\0", &hash].concat())
}

fn mac<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return Vec::new() };
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677 §3.
    #[test]
    fn follows_rfc_7677() {
        let mut exchange = Exchange {
            mechanism: Mechanism::Sha256,
            nonce: "rOprNGfwEbeRWgbNEkqO".into(),
            user: "user".into(),
            expected: Vec::new(),
        };
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let answer = exchange.answer(&BASE64.encode(challenge), "pencil", &Salted::default()).unwrap();
        let answer = String::from_utf8(BASE64.decode(answer).unwrap()).unwrap();
        assert!(answer.ends_with(",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), "{answer}");
        assert!(exchange.verify(&BASE64.encode("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")));
    }
}
