//! The server's side of all mechanisms.

use std::fmt;

use super::{
    ChannelBindings, Failure, Hash, Mechanism, ScramKeys, plain, prepare_password,
    scram::{Outcome, ServerExchange},
};
use crate::jid::{self, Jid};

/// What the server's side wants next.
pub enum ServerStep {
    /// Look up the keys of `username` (already prepared) for the hash, then call [`Server::keys`].
    Keys {
        /** The simple user name. */
        username: String,
        /** Which keys. */
        hash: Hash,
    },
    /// Check a password, then call [`Server::verified`].
    Verify {
        /** The simple user name. */
        username: String,
        /** The password as sent. */
        password: String,
    },
    /// Decide who the certificate's holder is, then call [`Server::verified`] (EXTERNAL).
    Certificate {
        /** The authorization identity asked for, if any. */
        authzid: Option<String>,
    },
    /// Send this challenge and call [`Server::response`] with the answer.
    Challenge(Vec<u8>),
    /// Authenticated. `username`: None for ANONYMOUS.
    Done {
        /** Who. */
        username: Option<String>,
        /** Data to send with success. */
        data: Option<Vec<u8>>,
    },
    /// Refused.
    Failed(Failure),
}

/// One authentication, server's side.
#[derive(Debug)]
pub struct Server {
    mechanism: Mechanism,
    domain: String,
    bindings: ChannelBindings,
    offers_plus: bool,
    nonce: String,
    /// What was advertised, as [`offer`] writes it.
    offer: Option<String>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing came yet. `asked`: an empty challenge has been sent, as the client sent no initial response.
    Start { asked: bool },
    /// Waiting for keys.
    Keys(ServerExchange),
    /// Waiting for the client's proof.
    Proof(ServerExchange),
    /// Waiting for whether a password or certificate is right.
    Verdict { authzid: Option<String> },
    /// Over.
    Over,
}

impl Server {
    /// Starts. `offers_plus`: whether any -PLUS was advertised (for the `y` flag, RFC 5802 §6). `nonce`: at least 18
    /// random bytes as printable text without comma. `domain`: an authzid must be empty or `username@domain`.
    pub fn new(
        mechanism: Mechanism,
        domain: &str,
        bindings: ChannelBindings,
        offers_plus: bool,
        nonce: String,
    ) -> Server {
        let state = State::Start { asked: false };
        Server { mechanism, domain: domain.to_owned(), bindings, offers_plus, nonce, offer: None, state }
    }

    /// The mechanism.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// With SCRAM, tells the client what was advertised, so that it notices if somebody has changed it (XEP-0474 §6.1).
    /// `offer`: as [`offer`] writes it.
    pub fn advertised(mut self, offer: String) -> Server {
        self.offer = Some(offer);
        self
    }

    /// The initial response (None: the client sent none) or the answer to a challenge.
    pub fn response(&mut self, data: Option<&[u8]>) -> ServerStep {
        match std::mem::replace(&mut self.state, State::Over) {
            // All mechanisms are client-first: without initial response the server sends an empty challenge
            // (RFC 4422 §3.3).
            State::Start { asked: false } if data.is_none() => {
                self.state = State::Start { asked: true };
                ServerStep::Challenge(Vec::new())
            }
            State::Start { .. } => self.start(data.unwrap_or_default()).unwrap_or_else(ServerStep::Failed),
            State::Proof(exchange) => self.finish(&exchange, data.unwrap_or_default()),
            State::Keys(_) | State::Verdict { .. } | State::Over => ServerStep::Failed(Failure::MalformedRequest),
        }
    }

    /// The keys asked for, and what follows when the client's proof is right: for unknown names [`ScramKeys::decoy`] and
    /// not-authorized, for a disabled account account-disabled, so that only who knows the password learns of it.
    pub fn keys(&mut self, keys: ScramKeys, proved: Result<(), Failure>) -> ServerStep {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Keys(mut exchange) if self.mechanism_hash() == Some(keys.hash) => {
                let challenge = exchange.challenge(keys, proved, &self.nonce, self.offer.as_deref());
                self.state = State::Proof(exchange);
                ServerStep::Challenge(challenge)
            }
            // Not the client's fault: nobody asked, or not for these.
            _ => ServerStep::Failed(Failure::TemporaryAuthFailure),
        }
    }

    /// Whether the password or certificate is right; `username` to go on with.
    pub fn verified(&mut self, username: Result<String, Failure>) -> ServerStep {
        let State::Verdict { authzid } = std::mem::replace(&mut self.state, State::Over) else {
            return ServerStep::Failed(Failure::TemporaryAuthFailure);
        };
        match username {
            Err(failure) => ServerStep::Failed(failure),
            Ok(username) if self.may_act_as(&username, authzid.as_deref()) => {
                ServerStep::Done { username: Some(username), data: None }
            }
            Ok(_) => ServerStep::Failed(Failure::InvalidAuthzid),
        }
    }

    fn mechanism_hash(&self) -> Option<Hash> {
        match self.mechanism {
            Mechanism::Scram { hash, .. } => Some(hash),
            Mechanism::Plain | Mechanism::External | Mechanism::Anonymous => None,
        }
    }

    fn start(&mut self, data: &[u8]) -> Result<ServerStep, Failure> {
        match self.mechanism {
            Mechanism::Plain => self.plain(data),
            Mechanism::External => self.external(data),
            Mechanism::Anonymous => anonymous(data),
            Mechanism::Scram { hash, plus } => self.scram(hash, plus, data),
        }
    }

    fn plain(&mut self, data: &[u8]) -> Result<ServerStep, Failure> {
        let message = plain::read(data).ok_or(Failure::MalformedRequest)?;
        let username = simple_username(message.authcid).ok_or(Failure::NotAuthorized)?;
        // RFC 4616 §2: where preparation fails, verification does.
        prepare_password(message.password).map_err(|_| Failure::NotAuthorized)?;
        let authzid = message.authzid.map(str::to_owned);
        if !self.may_act_as(&username, authzid.as_deref()) {
            return Err(Failure::InvalidAuthzid);
        }
        self.state = State::Verdict { authzid };
        Ok(ServerStep::Verify { username, password: message.password.to_owned() })
    }

    /// RFC 4422 appendix A: the message is the authorization identity, or empty.
    fn external(&mut self, data: &[u8]) -> Result<ServerStep, Failure> {
        let text = std::str::from_utf8(data).map_err(|_| Failure::MalformedRequest)?;
        if text.contains('\0') {
            return Err(Failure::MalformedRequest);
        }
        let authzid = Some(text.to_owned()).filter(|text| !text.is_empty());
        self.state = State::Verdict { authzid: authzid.clone() };
        Ok(ServerStep::Certificate { authzid })
    }

    fn scram(&mut self, hash: Hash, plus: bool, data: &[u8]) -> Result<ServerStep, Failure> {
        let mut exchange = ServerExchange::start(data, plus, self.offers_plus, &self.bindings)?;
        let username = simple_username(&exchange.username).ok_or(Failure::NotAuthorized)?;
        if !self.may_act_as(&username, exchange.authzid.as_deref()) {
            return Err(Failure::InvalidAuthzid);
        }
        exchange.username.clone_from(&username);
        self.state = State::Keys(exchange);
        Ok(ServerStep::Keys { username, hash })
    }

    fn finish(&mut self, exchange: &ServerExchange, data: &[u8]) -> ServerStep {
        match exchange.finish(data) {
            Outcome::Proved(data) => ServerStep::Done { username: Some(exchange.username.clone()), data: Some(data) },
            Outcome::Refused(failure) => ServerStep::Failed(failure),
        }
    }

    /// RFC 6120 §6.3.8: the authorization identity is the bare address of who logs in, or for servers the domain.
    fn may_act_as(&self, username: &str, authzid: Option<&str>) -> bool {
        let Some(authzid) = authzid else { return true };
        let Ok(asked) = Jid::parse(authzid) else { return false };
        match self.mechanism {
            // Who holds a certificate may be another server, whose name is a domain.
            Mechanism::External if asked.is_domain() => jid::prepare_domain(username).is_ok_and(|own| asked == *own),
            _ => Jid::new(Some(username), &self.domain, None).is_ok_and(|own| asked == own),
        }
    }
}

/// What is hashed of what a server advertises (XEP-0474 §6.1): mechanisms of the profile in use, and channel-binding types
/// if such are advertised (XEP-0440).
pub fn offer(mechanisms: &[&str], binding_types: &[&str]) -> String {
    let sorted = |names: &[&str]| {
        let mut names = names.to_vec();
        names.sort_unstable();
        names.join("\x1e")
    };
    match binding_types {
        [] => sorted(mechanisms),
        types => format!("{}\x1f{}", sorted(mechanisms), sorted(types)),
    }
}

/// RFC 4505 §2: trace information of up to 255 characters, with which nothing is done.
fn anonymous(data: &[u8]) -> Result<ServerStep, Failure> {
    let trace = std::str::from_utf8(data).map_err(|_| Failure::MalformedRequest)?;
    if trace.chars().count() > 255 || trace.contains(char::is_control) {
        return Err(Failure::MalformedRequest);
    }
    Ok(ServerStep::Done { username: None, data: None })
}

/// A user name as the localpart that it is (RFC 6120 §6.3.8), also where a client has applied no more than SASLprep
/// asks for: what that maps and PRECIS refuses is mapped first.
pub(super) fn simple_username(name: &str) -> Option<String> {
    match jid::prepare_local(name) {
        Ok(local) => Some(local.into_owned()),
        Err(_) => {
            let mapped = prepare_password(name).ok()?;
            Some(jid::prepare_local(&mapped).ok()?.into_owned())
        }
    }
}

impl fmt::Debug for ServerStep {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerStep::Keys { username, hash } => {
                f.debug_struct("Keys").field("username", username).field("hash", hash).finish()
            }
            ServerStep::Verify { username, .. } => {
                f.debug_struct("Verify").field("username", username).finish_non_exhaustive()
            }
            ServerStep::Certificate { authzid } => f.debug_struct("Certificate").field("authzid", authzid).finish(),
            ServerStep::Challenge(data) => f.debug_tuple("Challenge").field(data).finish(),
            ServerStep::Done { username, .. } => {
                f.debug_struct("Done").field("username", username).finish_non_exhaustive()
            }
            ServerStep::Failed(failure) => f.debug_tuple("Failed").field(failure).finish(),
        }
    }
}
