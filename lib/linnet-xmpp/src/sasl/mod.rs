//! SASL, both sides: PLAIN (RFC 4616), SCRAM (RFC 5802, 7677) with channel binding (RFC 9266, 5929), EXTERNAL, ANONYMOUS.

/// The mechanisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs)]
pub enum Mechanism { Plain, External, Anonymous, Scram { hash: Hash, plus: bool } }
impl Mechanism {
    /// The registered name, e.g. `SCRAM-SHA-256-PLUS`.
    pub fn name(self) -> &'static str { todo!() }
    /// The mechanism of a registered name.
    pub fn named(_name: &str) -> Option<Mechanism> { todo!() }
}

/// The hashes of SCRAM, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs)]
pub enum Hash { Sha1, Sha256, Sha512 }

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
    pub fn derive(_hash: Hash, _password: &str, _salt: &[u8], _iterations: u32) -> Result<ScramKeys, BadPassword> { todo!() }
    /// Whether the password gives these keys; constant time in the comparison. Slow by intent.
    pub fn verify(&self, _password: &str) -> bool { todo!() }
    /// Keys for a name that does not exist, the same at each try: salt and keys are HMACs of name and server secret,
    /// so that unknown names take the same steps as known ones (RFC 6120 §13.11).
    pub fn decoy(_hash: Hash, _username: &str, _secret: &[u8; 32], _iterations: u32) -> ScramKeys { todo!() }
}
/// A password that cannot be prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPassword;

/// Channel-binding data of a TLS connection.
#[derive(Debug, Clone, Default)]
pub struct ChannelBindings {
    /// `tls-exporter` (RFC 9266): 32 bytes exported with label `EXPORTER-Channel-Binding`; only TLS 1.3.
    pub exporter: Option<Box<[u8]>>,
    /// `tls-server-end-point` (RFC 5929 §4): hash of the server's certificate.
    pub server_end_point: Option<Box<[u8]>>,
}
impl ChannelBindings {
    /// The types at hand, strongest first, as registered names.
    pub fn types(&self) -> impl Iterator<Item = &'static str> { std::iter::empty() }
    /// The data of a type.
    pub fn data(&self, _name: &str) -> Option<&[u8]> { todo!() }
}

/// Why a server refuses (RFC 6120 §6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs)]
#[non_exhaustive]
pub enum Failure {
    Aborted, AccountDisabled, CredentialsExpired, EncryptionRequired, IncorrectEncoding, InvalidAuthzid,
    InvalidMechanism, MalformedRequest, MechanismTooWeak, NotAuthorized, TemporaryAuthFailure,
}
impl Failure {
    /// The element's name.
    pub fn name(self) -> &'static str { todo!() }
    /// The failure of an element's name.
    pub fn named(_name: &str) -> Option<Failure> { todo!() }
}

/// What the server's side wants next.
#[derive(Debug)]
pub enum ServerStep {
    /// Look up the keys of `username` (already prepared) for the hash, then call [`Server::keys`].
    Keys { /** The simple user name. */ username: String, /** Which keys. */ hash: Hash },
    /// Check a password, then call [`Server::verified`].
    Verify { /** The simple user name. */ username: String, /** The password as sent. */ password: String },
    /// Decide who the certificate's holder is, then call [`Server::verified`] (EXTERNAL).
    Certificate { /** The authorization identity asked for, if any. */ authzid: Option<String> },
    /// Send this challenge and call [`Server::response`] with the answer.
    Challenge(Vec<u8>),
    /// Authenticated. `username`: None for ANONYMOUS.
    Done { /** Who. */ username: Option<String>, /** Data to send with success. */ data: Option<Vec<u8>> },
    /// Refused.
    Failed(Failure),
}

/// One authentication, server's side.
#[derive(Debug)]
pub struct Server { /* private */ }
impl Server {
    /// Starts. `offers_plus`: whether any -PLUS was advertised (for the `y` flag, RFC 5802 §6). `nonce`: at least 18
    /// random bytes as printable text without comma. `domain`: an authzid must be empty or `username@domain`.
    pub fn new(_mechanism: Mechanism, _domain: &str, _bindings: ChannelBindings, _offers_plus: bool, _nonce: String) -> Server { todo!() }
    /// The initial response (None: the client sent none) or the answer to a challenge.
    pub fn response(&mut self, _data: Option<&[u8]>) -> ServerStep { todo!() }
    /// The keys asked for; for unknown names, [`ScramKeys::decoy`] with `known` false.
    pub fn keys(&mut self, _keys: ScramKeys, _known: bool) -> ServerStep { todo!() }
    /// Whether the password or certificate is right; `username` to go on with.
    pub fn verified(&mut self, _username: Result<String, Failure>) -> ServerStep { todo!() }
}

/// Why a client stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs)]
#[non_exhaustive]
pub enum ClientError { BadChallenge, ServerNotAuthentic, IterationsTooFew, IterationsTooMany, BadPassword }

/// One authentication, client's side.
#[derive(Debug)]
pub struct Client { /* private */ }
impl Client {
    /// The best mechanism of those offered that is allowed: SCRAM with -PLUS first where a binding type is shared,
    /// then the stronger hash; PLAIN only if `plain` is true. `cb_types`: what the server advertises (XEP-0440), empty
    /// where it says nothing.
    pub fn choose(_offered: &[&str], _bindings: &ChannelBindings, _cb_types: &[&str], _plain: bool) -> Option<Mechanism> { todo!() }
    /// Starts.
    pub fn new(_mechanism: Mechanism, _username: &str, _password: &str, _bindings: ChannelBindings, _cb_types: &[&str], _server_offers_plus: bool, _nonce: String) -> Client { todo!() }
    /// The initial response.
    pub fn initial(&mut self) -> Vec<u8> { todo!() }
    /// Answers a challenge. Slow for SCRAM (PBKDF2).
    pub fn challenge(&mut self, _data: &[u8]) -> Result<Vec<u8>, ClientError> { todo!() }
    /// Checks the data that came with success (the server's signature).
    pub fn success(&mut self, _data: Option<&[u8]>) -> Result<(), ClientError> { todo!() }
}
impl std::fmt::Debug for ScramKeys { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.debug_struct("ScramKeys").field("hash", &self.hash).finish_non_exhaustive() } }
