//! Login by tokens, and what is noted and given at each login by SASL 2 (XEP-0484 §3, §5.1).

use super::record::{Device, TABLE, Token, Tokens, name};
use crate::accounts;
use bytes::Bytes;
use kernel::Kernel;
use linnet_xeps::{
    Payload,
    fast::{self, Fast, RequestToken},
    ns,
};
use linnet_xmpp::{
    Jid,
    sasl::{Failure, TokenMechanism, TokenProof},
    stream::{Answer, Entry, Need, Proof},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use store::{Condition, Future, StoreError, Write};

/// How long a token can be used: a device that was in a drawer for a month asks for the password.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// A token that is older is replaced when it is used: each day is enough to notice that two know it.
const ROTATION: Duration = Duration::from_secs(24 * 3600);
/// How exactly it is noted when a device was seen, so that not every login writes.
const SEEN: Duration = Duration::from_secs(3600);
/// Devices of one account that are remembered; a new one takes the place of that which has not changed for longest.
const DEVICES: usize = 100;

/// Answers what the stream asks about a token.
pub(super) fn answer(kernel: Arc<Kernel>, need: Need) -> Future<'static, Option<Answer>> {
    Box::pin(async move {
        let Need::Token { username, domain, device, proof } = need else { return None };
        Some(Answer::Token(check(&kernel, &username, &domain, &device, &proof).await))
    })
}

/// What a token's proof is.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Unknown,
    Expired,
    /// Right, and used before.
    Current,
    /// Right, and used for the first time.
    Fresh,
    /// Right once, but its successor was used.
    Replaced,
}

impl Tokens {
    /// Which token it is that a client knows, and the token.
    fn find(&self, proof: &TokenProof, now: SystemTime) -> (Found, Option<&Token>) {
        let is_it = |token: &&Token| token.mechanism == proof.mechanism && proof.accepts(&token.secret);
        for (token, found) in
            [(&self.fresh, Found::Fresh), (&self.current, Found::Current), (&self.replaced, Found::Replaced)]
        {
            let Some(token) = token.as_ref().filter(is_it) else { continue };
            return if now >= token.made + LIFETIME { (Found::Expired, None) } else { (found, Some(token)) };
        }
        (Found::Unknown, None)
    }

    /// The token that was given last is used: it takes the place of the one before.
    fn advance(&mut self) {
        if let Some(fresh) = self.fresh.take() {
            self.replaced = self.current.replace(fresh);
        }
    }
}

async fn check(
    kernel: &Arc<Kernel>,
    username: &str,
    domain: &str,
    id: &str,
    proof: &TokenProof,
) -> Result<Vec<u8>, Failure> {
    let account = Jid::new(Some(username), domain, None).map_err(|_| Failure::NotAuthorized)?;
    let key = name(kernel, &account, id);
    let device = read(kernel, &account, &key).await?.ok_or(Failure::NotAuthorized)?;
    match device.tokens.find(proof, kernel.context.now()) {
        (Found::Current, Some(token)) => {
            admit(kernel, &account).await?;
            Ok(proof.answer(&token.secret))
        }
        (Found::Fresh, Some(token)) => {
            admit(kernel, &account).await?;
            let answer = proof.answer(&token.secret);
            let secret = token.secret.clone();
            // Before the client knows that it is in, the token before is worth nothing any more (§3.5).
            let changed = change(kernel, &account, &key, |device| {
                let device = device.as_mut().filter(|device| is_fresh(device, &secret));
                device.map(|device| device.tokens.advance()).is_some()
            });
            changed.await.map_err(|error| failed(&account, &error))?;
            Ok(answer)
        }
        (Found::Replaced, _) => {
            tracing::warn!(%account, device = key, "a token was used whose successor was used before: the device is locked out");
            let changed = change(kernel, &account, &key, |device| {
                device.as_mut().map(|device| device.tokens = Tokens::default()).is_some()
            });
            changed.await.map_err(|error| failed(&account, &error))?;
            super::list::end_sessions(kernel, &account, &key, None);
            Err(Failure::CredentialsExpired)
        }
        (Found::Expired, _) => Err(Failure::CredentialsExpired),
        _ => Err(Failure::NotAuthorized),
    }
}

fn is_fresh(device: &Device, secret: &str) -> bool {
    device.tokens.fresh.as_ref().is_some_and(|fresh| *fresh.secret == *secret)
}

/// Whether the account may be used.
async fn admit(kernel: &Arc<Kernel>, account: &Jid) -> Result<(), Failure> {
    let owner = kernel.owner(account).await.map_err(|error| failed(account, &error))?;
    let account = owner.lock();
    if !account.exists {
        return Err(Failure::NotAuthorized);
    }
    if accounts::is_disabled(&account) { Err(Failure::AccountDisabled) } else { Ok(()) }
}

fn failed(account: &Jid, error: &StoreError) -> Failure {
    tracing::error!(%error, %account, "the devices of an account could not be read or written");
    Failure::TemporaryAuthFailure
}

async fn read(kernel: &Kernel, account: &Jid, key: &str) -> Result<Option<Device>, Failure> {
    let row = kernel.store.map_row(TABLE, account.bare_str(), key).await.map_err(|error| failed(account, &error))?;
    Ok(row.and_then(|row| Device::decode(&row.value)))
}

/// Reads, changes and writes a device, one change of an account at a time. `edit` says whether there is something to
/// write; without a device it may make one, or else leaves none.
pub(super) async fn change(
    kernel: &Arc<Kernel>,
    account: &Jid,
    key: &str,
    edit: impl FnOnce(&mut Option<Device>) -> bool,
) -> Result<(), StoreError> {
    let _alone = kernel.change_gate(account).await;
    let owner: Box<str> = account.bare_str().into();
    let row = kernel.store.map_row(TABLE, &owner, key).await?;
    let is_new = row.is_none();
    let mut device = row.and_then(|row| Device::decode(&row.value));
    if !edit(&mut device) {
        return Ok(());
    }
    let key: Box<str> = key.into();
    let mut writes = Vec::new();
    match device {
        Some(device) => {
            if is_new {
                let rows = kernel.store.map_rows(TABLE, &owner, None, usize::MAX).await?;
                let surplus = (rows.len() + 1).saturating_sub(DEVICES);
                let oldest = rows.into_iter().take(surplus);
                writes.extend(oldest.map(|row| Write::MapRemove { table: TABLE, owner: owner.clone(), key: row.key }));
            }
            writes.push(Write::MapPut {
                table: TABLE,
                owner: owner.clone(),
                key,
                second: None,
                value: device.encode(),
            });
        }
        None => writes.push(Write::MapRemove { table: TABLE, owner: owner.clone(), key }),
    }
    kernel.keep(&kernel.owner(account).await?, vec![Condition::AccountExists(owner)], writes).await.map(|_| ())
}

/// Notes that a device was there, and gives it a token if it wants one or if that which it used is to be replaced.
pub(super) fn entered(kernel: Arc<Kernel>, entry: Arc<Entry>) -> Future<'static, Bytes> {
    Box::pin(async move {
        let (Some(username), Some(id)) = (&entry.username, &entry.agent.id) else { return Bytes::new() };
        let Ok(account) = Jid::new(Some(username), &entry.domain, None) else { return Bytes::new() };
        let key = name(&kernel, &account, id);
        let now = kernel.context.now();
        let Ok(known) = read(&kernel, &account, &key).await else { return Bytes::new() };
        let visit = Visit::of(&entry, now);
        // Most logins change nothing.
        if known.is_some_and(|mut device| !visit.note(&mut device, None)) && visit.wanted.is_none() {
            return Bytes::new();
        }
        let secret = secret(&kernel);
        let mut given = None;
        let changed = change(&kernel, &account, &key, |device| {
            let is_new = device.is_none();
            let device = device.get_or_insert_with(|| Device::new(now));
            let is_changed = visit.note(device, Some(&secret));
            given = device.tokens.fresh.clone().filter(|fresh| *fresh.secret == *secret);
            is_new || is_changed
        });
        if let Err(error) = changed.await {
            failed(&account, &error);
            return Bytes::new();
        }
        let token = given.map(|token| fast::Token { token: token.secret.into(), expiry: token.made + LIFETIME });
        token.map(|token| token.to_bytes()).unwrap_or_default()
    })
}

/// A login, as far as a device's record is concerned.
struct Visit<'a> {
    entry: &'a Entry,
    now: SystemTime,
    /// It wants a token for this mechanism (§3.2).
    wanted: Option<TokenMechanism>,
    /// The token that it has used is not to be used again (§3.6).
    invalidates: bool,
}

impl Visit<'_> {
    fn of(entry: &Entry, now: SystemTime) -> Visit<'_> {
        let request = entry.request.root();
        let wanted = request.child("request-token", ns::FAST).and_then(|wanted| RequestToken::read(wanted).ok());
        let fast = request.child("fast", ns::FAST).and_then(|fast| Fast::read(fast).ok()).unwrap_or_default();
        Visit {
            entry,
            now,
            wanted: wanted.and_then(|wanted| TokenMechanism::named(&wanted.mechanism)),
            invalidates: fast.invalidate && entry.proof == Proof::Token,
        }
    }

    /// Notes it; `secret`: of a new token, if one is to be given. False where nothing is new.
    fn note(&self, device: &mut Device, secret: Option<&str>) -> bool {
        let before = device.clone();
        let agent = &self.entry.agent;
        if self.now >= device.last_seen + SEEN {
            device.last_seen = self.now;
        }
        device.software.clone_from(&agent.software);
        device.device.clone_from(&agent.device);
        device.knows_password |= self.entry.proof == Proof::Password;
        let mut mechanism = self.wanted;
        if self.invalidates {
            device.tokens = Tokens::default();
        } else if mechanism.is_none() && self.entry.proof == Proof::Token {
            // §3.5
            let due = |token: &&Token| self.now >= token.made + ROTATION;
            mechanism = device.tokens.current.as_ref().filter(due).map(|token| token.mechanism);
        }
        match (mechanism, secret) {
            (Some(mechanism), Some(secret)) => {
                device.tokens.fresh = Some(Token { secret: secret.into(), mechanism, made: self.now });
            }
            (Some(_), None) => return true,
            (None, _) => {}
        }
        *device != before
    }
}

/// 192 bits as text.
fn secret(kernel: &Kernel) -> String {
    let mut random = [0; 24];
    kernel.context.random(&mut random);
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}
