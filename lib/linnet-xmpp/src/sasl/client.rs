//! The client's side of all mechanisms.

use std::fmt;

use super::{ChannelBindings, Hash, Mechanism, plain, scram::ClientExchange};

/// Why a client stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs)]
#[non_exhaustive]
pub enum ClientError {
    BadChallenge,
    ServerNotAuthentic,
    IterationsTooFew,
    IterationsTooMany,
    BadPassword,
    /// Somebody has changed what the server advertises (XEP-0474).
    Downgrade,
}

/// One authentication, client's side.
pub struct Client {
    mechanism: Mechanism,
    state: State,
}

enum State {
    Scram(ClientExchange),
    /// The one message of another mechanism.
    Single(Vec<u8>),
}

impl Client {
    /// The best mechanism of those offered that is allowed: SCRAM with -PLUS first where a binding type is shared,
    /// then the stronger hash; PLAIN only if `plain` is true. `cb_types`: what the server advertises (XEP-0440), empty
    /// where it says nothing.
    pub fn choose(offered: &[&str], bindings: &ChannelBindings, cb_types: &[&str], plain: bool) -> Option<Mechanism> {
        let bound = bindings.shared(cb_types).is_some();
        // The list has the best first.
        Mechanism::ALL.into_iter().find(|mechanism| {
            let allowed = match mechanism {
                Mechanism::Scram { plus, .. } => bound || !plus,
                Mechanism::Plain => plain,
                Mechanism::External | Mechanism::Anonymous => false,
            };
            allowed && offered.contains(&mechanism.name())
        })
    }

    /// Starts. For EXTERNAL `username` is the authorization identity, which may be empty. `cb_types`: as for
    /// [`Client::choose`]; `server_offers_plus`: whether any -PLUS was among the mechanisms. `nonce`: at least 18
    /// random bytes as printable text without comma.
    pub fn new(
        mechanism: Mechanism,
        username: &str,
        password: &str,
        bindings: ChannelBindings,
        cb_types: &[&str],
        server_offers_plus: bool,
        nonce: String,
    ) -> Client {
        let state = match mechanism {
            Mechanism::Plain => State::Single(plain::write(username, password)),
            Mechanism::External => State::Single(username.as_bytes().to_vec()),
            Mechanism::Anonymous => State::Single(Vec::new()),
            Mechanism::Scram { hash, plus } => {
                State::Scram(scram(hash, plus, username, password, &bindings, cb_types, server_offers_plus, nonce))
            }
        };
        Client { mechanism, state }
    }

    /// The mechanism.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Has SCRAM notice if what the server advertised was changed on its way (XEP-0474). `offer`: what came, as
    /// [`super::offer`] writes it.
    pub fn compare(mut self, offer: String) -> Client {
        if let State::Scram(exchange) = &mut self.state {
            exchange.compare(offer);
        }
        self
    }

    /// The initial response.
    pub fn initial(&mut self) -> Vec<u8> {
        match &self.state {
            State::Scram(exchange) => exchange.initial(),
            State::Single(message) => message.clone(),
        }
    }

    /// Answers a challenge. Slow for SCRAM (PBKDF2).
    pub fn challenge(&mut self, data: &[u8]) -> Result<Vec<u8>, ClientError> {
        match &mut self.state {
            State::Scram(exchange) => exchange.challenge(data),
            // These have nothing to answer: all was said in the initial response.
            State::Single(_) => Err(ClientError::BadChallenge),
        }
    }

    /// Checks the data that came with success (the server's signature).
    pub fn success(&mut self, data: Option<&[u8]>) -> Result<(), ClientError> {
        match &mut self.state {
            State::Scram(exchange) => exchange.success(data),
            State::Single(_) => Ok(()),
        }
    }
}

/// Chooses the flag of the GS2 header (RFC 5802 §6) and starts an exchange.
#[expect(clippy::too_many_arguments, reason = "those of Client::new")]
fn scram(
    hash: Hash,
    plus: bool,
    username: &str,
    password: &str,
    bindings: &ChannelBindings,
    cb_types: &[&str],
    server_offers_plus: bool,
    nonce: String,
) -> ClientExchange {
    let bound = bindings.shared(cb_types).filter(|_| plus);
    let header = match bound {
        Some(name) => format!("p={name},,"),
        // We could, and the server seems not to: it will know whether that is so.
        None if bindings.types().next().is_some() && !server_offers_plus => "y,,".to_owned(),
        // We cannot, or not with any type that the server has, in which case `y` would be refused.
        None => "n,,".to_owned(),
    };
    ClientExchange::new(hash, username, password, header, bound.and_then(|name| bindings.data(name)), nonce)
}

impl fmt::Debug for Client {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClientError::BadChallenge => "the server's challenge is not what the mechanism defines",
            ClientError::ServerNotAuthentic => "the server has not proved that it knows the password",
            ClientError::IterationsTooFew => "the server asks for too few iterations to be safe",
            ClientError::IterationsTooMany => "the server asks for too many iterations",
            ClientError::Downgrade => "somebody between us and the server has changed what it offers",
            ClientError::BadPassword => "the password is empty or has characters that are not allowed",
        })
    }
}
impl std::error::Error for ClientError {}
