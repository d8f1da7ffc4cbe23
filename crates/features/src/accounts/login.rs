//! What a stream needs to know of an account during login. Names that do not exist take the same steps as those that
//! do (RFC 6120 §13.11).

use super::credentials::{Credentials, Standing, add_keys, read};
use kernel::{Account, Kernel, context::blocking};
use linnet_xmpp::{
    Jid, StanzaError,
    sasl::{DECOY_SALT, Failure, Hash, MIN_ITERATIONS, ScramKeys},
    stanza::Condition,
    stream::{Answer, Need, Upgrade},
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
            Need::Upgrades { username, domain, wanted } => {
                Some(Answer::Upgrades(upgrades(&kernel, &username, &domain, wanted).await))
            }
            Need::Upgrade { username, domain, keys } => {
                Some(Answer::Upgraded(upgrade(&kernel, &username, &domain, keys).await))
            }
            _ => None,
        }
    })
}

/// Whether nobody may log in.
pub(crate) fn is_disabled(account: &Account) -> bool {
    account.document::<Standing>().is_some_and(|standing| standing.disabled)
}

/// Of the keys that a client would give, those that the account has not, or has with fewer iterations than new ones get
/// (XEP-0480 §2.2).
async fn upgrades(kernel: &Kernel, username: &str, domain: &str, wanted: Vec<Hash>) -> Vec<Upgrade> {
    let Ok(Some(credentials)) = find(kernel, username, domain).await else { return Vec::new() };
    let iterations = kernel.settings.iterations.max(MIN_ITERATIONS);
    let is_better = |hash: &Hash| credentials.keys(*hash).is_none_or(|keys| keys.iterations < iterations);
    let new = |hash| {
        let mut salt = [0; DECOY_SALT];
        kernel.context.random(&mut salt);
        Upgrade { hash, salt: salt.into(), iterations }
    };
    wanted.into_iter().filter(is_better).map(new).collect()
}

async fn upgrade(kernel: &Arc<Kernel>, username: &str, domain: &str, keys: ScramKeys) -> Result<(), Failure> {
    let account = Jid::new(Some(username), domain, None).map_err(|_| Failure::NotAuthorized)?;
    add_keys(kernel, &account, keys).await.map_err(|error| {
        tracing::error!(%error, %account, "better keys of an account could not be kept");
        Failure::TemporaryAuthFailure
    })
}

/// An account that was disabled while it logged in gets no session.
pub(super) fn admit(account: &Account) -> Result<(), StanzaError> {
    if is_disabled(account) {
        let text = "your account was disabled by the administrator of the server";
        return Err(StanzaError::new(Condition::NotAllowed).text(text));
    }
    Ok(())
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
