//! The owner's view of the clients that have access (XEP-0494). A client whose user agent has no id is seen as long as its
//! session lasts.

use super::{
    login,
    record::{Device, TABLE, Tokens, name},
};
use bytes::Bytes;
use kernel::{Kernel, Session, hooks::Ask};
use linnet_xeps::{
    Payload,
    clients::{Auth, Client, Clients, List, Revoke, UserAgent, password_reset_required},
};
use linnet_xmpp::{
    Jid, StanzaError,
    sasl::keyed_name,
    stanza::Condition,
    stream::{Proof, StreamCondition, StreamError},
};
use std::{sync::Arc, time::Duration};
use store::{Future, StoreError};

/// Devices that nobody has seen for so long are not kept.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// How a client's access was withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Revoked {
    /// There is no such client.
    Unknown,
    /// It has no access any more.
    Wholly,
    /// Its sessions and tokens are gone, but it knows the password.
    KnowsPassword,
}

pub(super) fn answer(ask: Ask) -> Future<'static, Result<Bytes, StanzaError>> {
    Box::pin(async move {
        ask.stanza.payload().ok_or(Condition::BadRequest).map(List::read)??;
        clients(&ask.kernel, &ask.owner)
            .await
            .map(|clients| clients.to_bytes())
            .map_err(|error| failed(&ask.owner, &error))
    })
}

pub(super) fn revoke(ask: Ask) -> Future<'static, Result<Bytes, StanzaError>> {
    Box::pin(async move {
        let Revoke { id } = ask.stanza.payload().ok_or(Condition::BadRequest).map(Revoke::read)??;
        let asker = ask.session.as_deref();
        match withdraw(&ask.kernel, &ask.owner, &id, asker).await.map_err(|error| failed(&ask.owner, &error))? {
            Revoked::Wholly => Ok(Bytes::new()),
            Revoked::Unknown => Err(Condition::ItemNotFound.into()),
            Revoked::KnowsPassword => {
                let text = "this client knows your password: choose another one";
                let error = StanzaError::new(Condition::ServiceUnavailable).text(text);
                Err(error.extra(password_reset_required()))
            }
        }
    })
}

fn failed(account: &Jid, error: &StoreError) -> StanzaError {
    tracing::error!(%error, %account, "the devices of an account could not be read or written");
    StanzaError::new(Condition::InternalServerError).text("your devices cannot be read or changed at the moment")
}

/// All clients of an account, those of devices first, that seen last before the others.
pub(super) async fn clients(kernel: &Arc<Kernel>, account: &Jid) -> Result<Clients, StoreError> {
    let rows = kernel.store.map_rows(TABLE, account.bare_str(), None, usize::MAX).await?;
    let sessions = sessions(kernel, account);
    let now = kernel.context.now();
    let mut clients = Vec::new();
    for row in rows {
        let Some(device) = Device::decode(&row.value) else { continue };
        let connected = sessions.iter().any(|session| is_of(kernel, account, session, &row.key));
        if !connected && now >= device.last_seen + KEPT {
            login::change(kernel, account, &row.key, |device| device.take().is_some()).await?;
            continue;
        }
        clients.push(Client {
            id: row.key.into(),
            connected,
            is_session: true,
            first_seen: device.first_seen,
            last_seen: if connected { now } else { device.last_seen },
            auth: Auth {
                password: device.knows_password,
                grant: false,
                fast: device.tokens.fresh.is_some() || device.tokens.current.is_some(),
            },
            agent: UserAgent { software: text(device.software), uri: None, device: text(device.device) },
        });
    }
    clients.sort_by_key(|client| std::cmp::Reverse(client.last_seen));
    clients.extend(sessions.iter().filter(|session| session.device().is_none()).map(|session| Client {
        id: session_name(kernel, session),
        connected: true,
        is_session: true,
        first_seen: session.since,
        last_seen: now,
        auth: Auth { password: session.proof == Proof::Password, ..Auth::default() },
        agent: session.agent.as_ref().map_or_else(UserAgent::default, |agent| UserAgent {
            software: text(agent.software.clone()),
            uri: None,
            device: text(agent.device.clone()),
        }),
    }));
    Ok(Clients(clients))
}

fn text(text: Option<Box<str>>) -> Option<String> {
    text.map(String::from)
}

/// Withdraws a client's access, as far as the server can: ends its sessions and its tokens. `asker`: the session that
/// wants it, which is still to get the answer.
pub(super) async fn withdraw(
    kernel: &Arc<Kernel>,
    account: &Jid,
    id: &str,
    asker: Option<&Session>,
) -> Result<Revoked, StoreError> {
    let mut revoked = Revoked::Unknown;
    login::change(kernel, account, id, |device| {
        match device {
            None => return false,
            Some(known) if known.knows_password => {
                revoked = Revoked::KnowsPassword;
                known.tokens = Tokens::default();
            }
            Some(_) => {
                revoked = Revoked::Wholly;
                *device = None;
            }
        }
        true
    })
    .await?;
    let ended = end_sessions(kernel, account, id, asker);
    if revoked == Revoked::Unknown && ended > 0 {
        // A session of no device: whoever has it has shown the password.
        revoked = Revoked::KnowsPassword;
    }
    Ok(revoked)
}

/// Ends the sessions of a client; the asker's a moment later. How many there are.
pub(super) fn end_sessions(kernel: &Arc<Kernel>, account: &Jid, id: &str, asker: Option<&Session>) -> usize {
    let mut found = sessions(kernel, account);
    found.retain(|session| is_of(kernel, account, session, id));
    let end = |session: &Session| {
        let error = StreamError::new(StreamCondition::NotAuthorized).text("the access of this client was withdrawn");
        session.mailbox.close(Some(error));
    };
    for session in &found {
        if asker.is_none_or(|asker| asker.id != session.id) {
            end(session);
            continue;
        }
        let (session, context) = (session.clone(), kernel.context.clone());
        kernel.context.spawn(Box::pin(async move {
            context.sleep(Duration::from_millis(100)).await;
            end(&session);
        }));
    }
    found.len()
}

fn sessions(kernel: &Kernel, account: &Jid) -> Vec<Arc<Session>> {
    let owner = kernel.find_owner(account.bare_str());
    owner.map_or_else(Vec::new, |owner| owner.lock().sessions.iter().map(|attached| attached.session.clone()).collect())
}

/// Whether a session is of the client with this id.
fn is_of(kernel: &Kernel, account: &Jid, session: &Session, id: &str) -> bool {
    match session.device() {
        Some(device) => name(kernel, account, device) == id,
        None => session_name(kernel, session) == id,
    }
}

fn session_name(kernel: &Kernel, session: &Session) -> String {
    keyed_name(&kernel.secret, &["session", session.address.as_str(), &session.id.to_string()])
}
