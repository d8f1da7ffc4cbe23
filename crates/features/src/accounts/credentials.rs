//! What is stored of an account, and how it is made and changed.

use crate::{
    circles,
    codec::{Decoder, Encoder},
    devices, presence, pubsub, rooms, upload,
};
use bytes::Bytes;
use kernel::{Kernel, account::Document, command::CommandError, context::blocking};
use linnet_xmpp::{
    Jid,
    sasl::{BadPassword, Hash, ScramKeys},
    stream::{StreamCondition, StreamError},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
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

/// What is kept of an account in memory: whether anybody may log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) disabled: bool,
}

impl Standing {
    /// An account whose value cannot be read lets nobody in.
    pub(super) fn decode(value: &[u8]) -> Document {
        Arc::new(Standing { disabled: Credentials::decode(value).is_none_or(|credentials| credentials.disabled) })
    }
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
pub async fn create(kernel: &Arc<Kernel>, account: &Jid, password: &str) -> Result<(), CommandError> {
    let keys = derive(kernel, password).await?;
    let value = Credentials { created: kernel.context.now(), disabled: false, keys }.encode();
    let name: Box<str> = account.bare_str().into();
    let write = Write::AccountPut { owner: name.clone(), value };
    let owner = kernel.owner(account).await?;
    match kernel.apply_to(&owner, vec![Condition::AccountAbsent(name)], vec![write]).await? {
        Outcome::Done => Ok(()),
        Outcome::ConditionFailed => Err(CommandError::Exists(format!("{} exists already", account.bare_str()))),
    }
}

/// Gives an account a new password. Sessions go on, but no token leads to a new one.
pub async fn set_password(kernel: &Arc<Kernel>, account: &Jid, password: &str) -> Result<(), CommandError> {
    // One at a time per account: deriving is slow by intent.
    let _alone = kernel.change_gate(account).await;
    let keys = derive(kernel, password).await?;
    change(kernel, account, forget_devices(account), |credentials| credentials.keys = keys).await
}

/// Adds keys to those of an account, in place of older ones for the same hash (XEP-0480).
pub(super) async fn add_keys(kernel: &Arc<Kernel>, account: &Jid, keys: ScramKeys) -> Result<(), CommandError> {
    let _alone = kernel.change_gate(account).await;
    let add = |credentials: &mut Credentials| {
        credentials.keys.retain(|known| known.hash != keys.hash);
        credentials.keys.push(keys);
    };
    change(kernel, account, None, add).await
}

/// No device knows the password, and none has a token.
fn forget_devices(account: &Jid) -> Option<Write> {
    Some(Write::MapClear { table: devices::TABLE, owner: account.bare_str().into() })
}

/// Forbids or allows an account to log in; forbidding ends its sessions.
pub async fn set_disabled(kernel: &Arc<Kernel>, account: &Jid, disabled: bool) -> Result<(), CommandError> {
    let _alone = kernel.change_gate(account).await;
    let devices = forget_devices(account).filter(|_| disabled);
    change(kernel, account, devices, |credentials| credentials.disabled = disabled).await?;
    if disabled {
        let text = "this account was disabled by the administrator of the server";
        let error = StreamError::new(StreamCondition::NotAuthorized).text(text);
        kernel.expel(&kernel.owner(account).await?, &error);
    }
    Ok(())
}

/// Removes an account and everything that it owns. Its sessions end, and its contacts are told.
pub async fn remove(kernel: &Arc<Kernel>, account: &Jid) -> Result<(), CommandError> {
    let _alone = kernel.change_gate(account).await;
    if read(kernel, account).await?.is_none() {
        return Err(missing(account));
    }
    let owner = kernel.owner(account).await?;
    let kept = upload::Kept::of(kernel, account.bare_str()).await?;
    kernel.expel(&owner, &StreamError::new(StreamCondition::NotAuthorized).text("this account was removed"));
    kernel.act(&owner, true, presence::part_from_all);
    pubsub::leave(kernel, account).await;
    rooms::forget(kernel, account).await;
    let leaving = circles::Leaving::of(kernel, account).await?;
    let name: Box<str> = account.bare_str().into();
    let conditions = vec![Condition::AccountExists(name.clone())];
    let mut writes = leaving.writes();
    writes.push(Write::AccountRemove { owner: name });
    match kernel.apply_to(&owner, conditions, writes).await? {
        Outcome::Done => {
            leaving.finish(kernel).await;
            kept.discard(kernel).await;
            Ok(())
        }
        Outcome::ConditionFailed => Err(missing(account)),
    }
}

/// An account's value; not found if there is none.
pub(super) async fn read(kernel: &Kernel, account: &Jid) -> Result<Option<Credentials>, CommandError> {
    let Some(value) = kernel.account_value(account).await? else { return Ok(None) };
    let damaged = || CommandError::Fault(format!("what is stored of {} cannot be read", account.bare_str()));
    Credentials::decode(&value).map(Some).ok_or_else(damaged)
}

/// Reads, edits and writes an account's value, together with another write; the caller holds the gate.
async fn change(
    kernel: &Arc<Kernel>,
    account: &Jid,
    also: Option<Write>,
    edit: impl FnOnce(&mut Credentials),
) -> Result<(), CommandError> {
    let Some(mut credentials) = read(kernel, account).await? else { return Err(missing(account)) };
    edit(&mut credentials);
    let name: Box<str> = account.bare_str().into();
    let mut writes = vec![Write::AccountPut { owner: name.clone(), value: credentials.encode() }];
    writes.extend(also);
    let owner = kernel.owner(account).await?;
    match kernel.apply_to(&owner, vec![Condition::AccountExists(name)], writes).await? {
        Outcome::Done => Ok(()),
        Outcome::ConditionFailed => Err(missing(account)),
    }
}

fn missing(account: &Jid) -> CommandError {
    CommandError::NotFound(format!("there is no account {}", account.bare_str()))
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
