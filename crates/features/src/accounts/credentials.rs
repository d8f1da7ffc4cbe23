//! What is stored of an account, and how it is made and changed.

use crate::codec::{Decoder, Encoder};
use bytes::Bytes;
use kernel::{Kernel, command::CommandError, context::blocking};
use linnet_xmpp::{
    Jid,
    sasl::{BadPassword, Hash, ScramKeys},
    stream::{StreamCondition, StreamError},
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::{Condition, Outcome, Write};

/// An account's value in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// When the account was made.
    pub created: SystemTime,
    /// Nobody may log in.
    pub disabled: bool,
    /// Keys for each hash, so that a client may choose.
    pub keys: Vec<ScramKeys>,
}

const HASHES: [Hash; 3] = [Hash::Sha1, Hash::Sha256, Hash::Sha512];

impl Credentials {
    pub(crate) fn decode(value: &[u8]) -> Option<Credentials> {
        let mut decoder = Decoder(value);
        let created = UNIX_EPOCH + Duration::from_secs(decoder.number()?);
        let disabled = decoder.byte()? != 0;
        let count = decoder.byte()?;
        let keys = (0..count).map(|_| read_keys(&mut decoder)).collect::<Option<_>>()?;
        Some(Credentials { created, disabled, keys })
    }

    pub(crate) fn encode(&self) -> Bytes {
        let created = self.created.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut encoder = Encoder::default().number(created).byte(self.disabled.into()).byte(self.keys.len() as u8);
        for keys in &self.keys {
            let place = HASHES.iter().position(|hash| *hash == keys.hash).unwrap_or_default() as u8;
            encoder = encoder.byte(place).bytes(&keys.salt).number(keys.iterations.into());
            encoder = encoder.bytes(&keys.stored_key).bytes(&keys.server_key);
        }
        encoder.finish()
    }

    /// The keys for a hash.
    pub(crate) fn keys(&self, hash: Hash) -> Option<&ScramKeys> {
        self.keys.iter().find(|keys| keys.hash == hash)
    }
}

fn read_keys(decoder: &mut Decoder<'_>) -> Option<ScramKeys> {
    Some(ScramKeys {
        hash: *HASHES.get(usize::from(decoder.byte()?))?,
        salt: decoder.bytes()?.into(),
        iterations: decoder.number()?.try_into().ok()?,
        stored_key: decoder.bytes()?.into(),
        server_key: decoder.bytes()?.into(),
    })
}

/// Derives keys for every hash, on the pool of slow work.
async fn derive(kernel: &Kernel, password: &str) -> Result<Vec<ScramKeys>, CommandError> {
    let mut salt = [0; 16];
    kernel.context.random(&mut salt);
    let (password, iterations) = (password.to_owned(), kernel.settings.iterations);
    let derived = blocking(&*kernel.context, move || {
        HASHES.iter().map(|hash| ScramKeys::derive(*hash, &password, &salt, iterations)).collect::<Result<_, _>>()
    });
    match derived.await {
        Some(Ok(keys)) => Ok(keys),
        Some(Err(BadPassword)) => {
            Err(CommandError::BadInput("the password is empty or has characters that are not allowed".into()))
        }
        None => Err(CommandError::Fault("the password's keys could not be derived".into())),
    }
}

/// Makes an account.
pub async fn create(kernel: &Kernel, account: &Jid, password: &str) -> Result<(), CommandError> {
    let keys = derive(kernel, password).await?;
    let value = Credentials { created: kernel.context.now(), disabled: false, keys }.encode();
    let owner: Box<str> = account.bare_str().into();
    let write = Write::AccountPut { owner: owner.clone(), value };
    match kernel.apply(vec![Condition::AccountAbsent(owner)], vec![write]).await? {
        Outcome::Done => kernel.forget(account.bare_str()),
        Outcome::ConditionFailed => return Err(CommandError::Exists(format!("{} exists already", account.bare_str()))),
    }
    Ok(())
}

/// Gives an account a new password. Sessions go on.
pub async fn set_password(kernel: &Kernel, account: &Jid, password: &str) -> Result<(), CommandError> {
    let keys = derive(kernel, password).await?;
    change(kernel, account, |credentials| credentials.keys = keys).await
}

/// Forbids or allows an account to log in; forbidding ends its sessions.
pub async fn set_disabled(kernel: &Kernel, account: &Jid, disabled: bool) -> Result<(), CommandError> {
    change(kernel, account, |credentials| credentials.disabled = disabled).await?;
    if disabled {
        let text = "this account was disabled by the administrator of the server";
        end_sessions(kernel, account, StreamError::new(StreamCondition::NotAuthorized).text(text));
    }
    Ok(())
}

/// Removes an account and everything that it owns, and ends its sessions.
pub async fn remove(kernel: &Kernel, account: &Jid) -> Result<(), CommandError> {
    let owner: Box<str> = account.bare_str().into();
    let conditions = vec![Condition::AccountExists(owner.clone())];
    match kernel.apply(conditions, vec![Write::AccountRemove { owner }]).await? {
        Outcome::Done => kernel.forget(account.bare_str()),
        Outcome::ConditionFailed => return Err(missing(account)),
    }
    end_sessions(kernel, account, StreamError::new(StreamCondition::NotAuthorized).text("this account was removed"));
    Ok(())
}

/// An account's value; not found if there is none.
pub(super) async fn read(kernel: &Kernel, account: &Jid) -> Result<Option<Credentials>, CommandError> {
    let Some(value) = kernel.store.account(account.bare_str()).await? else { return Ok(None) };
    let damaged = || CommandError::Fault(format!("what is stored of {} cannot be read", account.bare_str()));
    Credentials::decode(&value).map(Some).ok_or_else(damaged)
}

async fn change(kernel: &Kernel, account: &Jid, edit: impl FnOnce(&mut Credentials)) -> Result<(), CommandError> {
    let Some(mut credentials) = read(kernel, account).await? else { return Err(missing(account)) };
    edit(&mut credentials);
    let owner: Box<str> = account.bare_str().into();
    let write = Write::AccountPut { owner: owner.clone(), value: credentials.encode() };
    match kernel.apply(vec![Condition::AccountExists(owner)], vec![write]).await? {
        Outcome::Done => Ok(()),
        Outcome::ConditionFailed => Err(missing(account)),
    }
}

fn missing(account: &Jid) -> CommandError {
    CommandError::NotFound(format!("there is no account {}", account.bare_str()))
}

fn end_sessions(kernel: &Kernel, account: &Jid, error: StreamError) {
    if let Some(owner) = kernel.find_owner(account.bare_str()) {
        for attached in &owner.lock().sessions {
            attached.session.mailbox.close(Some(error.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_as_they_were_written() {
        let keys = HASHES.iter().map(|hash| ScramKeys::derive(*hash, "pencil", b"salt", 4096).unwrap()).collect();
        let created = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let credentials = Credentials { created, disabled: true, keys };
        assert_eq!(Credentials::decode(&credentials.encode()), Some(credentials));
    }
}
