//! What a stream needs to know of an account during login. Names that do not exist take the same steps as those that
//! do (RFC 6120 §13.11).

use super::credentials::{Credentials, Standing, read};
use kernel::{Account, Kernel, context::blocking};
use linnet_xmpp::{
    Jid, StanzaError,
    sasl::{Failure, Hash, ScramKeys},
    stanza::Condition,
    stream::{Answer, Need},
};
use std::sync::Arc;
use store::Future;

pub(super) fn answer(kernel: Arc<Kernel>, need: Need) -> Future<'static, Option<Answer>> {
    Box::pin(async move {
        match need {
            Need::Keys { username, domain, hash } => Some(Answer::Keys(keys(&kernel, &username, &domain, hash).await)),
            Need::Verify { username, domain, password } => {
                Some(Answer::Verified(verify(kernel, username, &domain, password).await))
            }
            _ => None,
        }
    })
}

/// An account that was disabled while it logged in gets no session.
pub(super) fn admit(account: &Account) -> Result<(), StanzaError> {
    match account.document::<Standing>() {
        Some(Standing { disabled: true }) => {
            let text = "your account was disabled by the administrator of the server";
            Err(StanzaError::new(Condition::NotAllowed).text(text))
        }
        _ => Ok(()),
    }
}

/// The account of a user name, if there is one. A failure of the store is a failure for now.
async fn find(kernel: &Kernel, username: &str, domain: &str) -> Result<Option<Credentials>, Failure> {
    let Ok(jid) = Jid::new(Some(username), domain, None) else { return Ok(None) };
    read(kernel, &jid).await.map_err(|error| {
        tracing::error!(%error, "an account could not be read at login");
        Failure::TemporaryAuthFailure
    })
}

/// The keys of an account, or decoys; and what follows when the client proves that it knows the password (RFC 6120 §6.5.2:
/// only then does it learn that the account is disabled).
async fn keys(kernel: &Kernel, username: &str, domain: &str, hash: Hash) -> Result<(ScramKeys, Proved), Failure> {
    let found = find(kernel, username, domain).await?;
    let known = found.and_then(|credentials| Some((credentials.keys(hash)?.clone(), credentials.disabled)));
    Ok(match known {
        Some((keys, false)) => (keys, Ok(())),
        Some((keys, true)) => (keys, Err(Failure::AccountDisabled)),
        None => {
            let decoy = ScramKeys::decoy(hash, username, &kernel.secret, kernel.settings.iterations);
            (decoy, Err(Failure::NotAuthorized))
        }
    })
}

type Proved = Result<(), Failure>;

async fn verify(kernel: Arc<Kernel>, username: String, domain: &str, password: String) -> Result<String, Failure> {
    let found = find(&kernel, &username, domain).await?;
    let known = found.as_ref().and_then(|credentials| credentials.keys(Hash::Sha256)).cloned();
    let is_known = known.is_some();
    let is_disabled = found.is_some_and(|credentials| credentials.disabled);
    let (secret, iterations, name) = (kernel.secret, kernel.settings.iterations, username.clone());
    let is_right = blocking(&*kernel.context, move || {
        let keys = known.unwrap_or_else(|| ScramKeys::decoy(Hash::Sha256, &name, &secret, iterations));
        keys.verify(&password)
    });
    match is_right.await {
        Some(true) if is_known && is_disabled => Err(Failure::AccountDisabled),
        Some(true) if is_known => Ok(username),
        Some(_) => Err(Failure::NotAuthorized),
        None => Err(Failure::TemporaryAuthFailure),
    }
}
