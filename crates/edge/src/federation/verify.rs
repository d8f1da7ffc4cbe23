//! Dialback as the receiving server (XEP-0220 §2.1.2): the domain that a key speaks for is asked on a connection of its own.

use super::{
    Federation,
    dial::{DialError, Dialed, Wanted, dial},
};
use linnet_net::dns::DnsError;
use linnet_xmpp::{
    StanzaError,
    stanza::Condition,
    stream::{
        StreamCondition,
        server::{Claim, Pair, ServerError, Verdict},
    },
};
use std::sync::Arc;

/// An answer about a pair.
pub(super) type Asked = (Pair, Verdict);

/// Asks, and says what XEP-0220 §2.5 wants said where there is no answer.
pub(super) async fn verify(federation: &Arc<Federation>, claim: Claim) -> Verdict {
    let pair = claim.pair.clone();
    if !federation.kernel.federates(&pair.remote) {
        return Verdict::Failed(Condition::PolicyViolation.into());
    }
    let mut steps = Vec::new();
    match dial(federation, &pair, &Wanted::Verdict(claim), &mut steps).await {
        Ok(Dialed::Verdict(verdict)) => verdict,
        Ok(Dialed::Ready(_)) => Verdict::Failed(Condition::InternalServerError.into()),
        Err(error) => {
            tracing::debug!(domain = &*pair.remote, reason = %error, "a dialback key could not be verified");
            let text = super::sentence(&pair.remote, &error);
            Verdict::Failed(StanzaError::new(condition(&error)).text(text))
        }
    }
}

fn condition(error: &DialError) -> Condition {
    match error {
        DialError::Dns(DnsError::NoAnswer { .. }) => Condition::RemoteServerTimeout,
        DialError::Dns(_) => Condition::RemoteServerNotFound,
        DialError::Stream(ServerError::Remote(error)) if error.condition == StreamCondition::HostUnknown => {
            Condition::RemoteServerNotFound
        }
        DialError::Certificate(_) => Condition::NotAuthorized,
        DialError::Connect(_) | DialError::Tls(_) | DialError::Stream(_) => Condition::RemoteServerTimeout,
    }
}
