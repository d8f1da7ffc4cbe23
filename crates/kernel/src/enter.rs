//! A client that logs in and gets its session in one exchange: what it asks for inline is done in the order of XEP-0386
//! §3.2 (first going on with a session, else binding), and features add what they have to say. What the stream's steps
//! do not know is an opaque payload here, and a feature's.

use crate::{
    Account, Kernel,
    effects::Effects,
    hooks::{At, Side},
    owner::Owner,
    session::{Bound, Session},
    turn::Turn,
};
use linnet_xmpp::{
    Jid, Stanza,
    sasl::{Failure, keyed_name},
    stanza::{Condition, Kind, Type},
    stream::{Answer, Entered, Entry},
};
use std::sync::Arc;

impl Kernel {
    /// Does what the client wants with its login. With the answer comes the session, if there is one now, and the number
    /// of this connection.
    pub(crate) async fn enter(self: &Arc<Self>, entry: Entry) -> (Answer, Option<(Arc<Session>, u32)>) {
        let mut entered = Entered::default();
        let mut connected = None;
        if let Some((id, handled)) = &entry.resume {
            let resumed = self.resume(entry.username.as_deref(), &entry.domain, id, *handled).await;
            entered.resumed = Some(resumed.map(|(resumed, session)| {
                entered.address = Some(resumed.address.clone());
                connected = Some(session);
                resumed
            }));
        }
        if connected.is_none() && entry.bind.is_some() {
            match self.bind_inline(&entry).await {
                Ok(bound) => {
                    entered.address = Some(bound.session.address.clone());
                    connected = Some((bound.session.clone(), 0));
                    entered.bound = Some(self.say_bound(bound).await.into());
                }
                Err(failure) => return (Answer::Entered(Err(failure)), None),
            }
        }
        let entry = Arc::new(entry);
        let mut more = Vec::new();
        for hook in &self.hooks.entered {
            more.extend_from_slice(&hook(self.clone(), entry.clone()).await);
        }
        entered.more = more.into();
        (Answer::Entered(Ok(Box::new(entered))), connected)
    }

    async fn bind_inline(self: &Arc<Self>, entry: &Entry) -> Result<Bound, Failure> {
        let name = entry.username.clone().unwrap_or_else(|| self.random_name());
        let bare = Jid::new(Some(&name), &entry.domain, None).map_err(|_| Failure::NotAuthorized)?;
        let address = self.resource(&bare, entry).ok_or(Failure::TemporaryAuthFailure)?;
        self.attach(address, entry.username.is_some(), Some(entry)).await.map_err(|error| match error.condition {
            Condition::NotAllowed => Failure::AccountDisabled,
            _ => Failure::TemporaryAuthFailure,
        })
    }

    /// The client's tag, as far as it may stand in an address, and a name of ours: for an installation of a client always
    /// the same, and saying nothing of its id (XEP-0386 §3.2.1).
    fn resource(&self, bare: &Jid, entry: &Entry) -> Option<Jid> {
        let tag = entry.bind.as_ref().and_then(|bind| bind.tag.as_deref());
        let own = match &entry.agent.id {
            Some(id) => keyed_name(&self.secret, &["resource", bare.as_str(), id, tag.unwrap_or_default()]),
            None => self.random_name(),
        };
        let tagged = tag.and_then(|tag| bare.with_resource(&format!("{tag}/{own}")).ok());
        tagged.or_else(|| bare.with_resource(&own).ok())
    }

    /// Does what the stream's steps have read about a session that nobody else knows yet. What is to be said of it.
    pub(crate) fn begin(&self, session: &Arc<Session>, entry: Option<&Entry>) -> Vec<u8> {
        let mut said = Vec::new();
        for control in entry.iter().filter_map(|entry| entry.bind.as_ref()).flat_map(|bind| &bind.controls) {
            if let Ok(Some(signal)) = self.control(session, session.mailbox.connection(), *control) {
                said.extend_from_slice(&signal.to_bytes());
            }
        }
        said
    }

    /// Offers features what was asked for in `<bind/>`, under the account's lock. The owners whose outboxes the caller
    /// has to settle.
    pub(crate) fn offer_payloads(
        self: &Arc<Self>,
        account: &mut Account,
        session: &Arc<Session>,
        entry: &Entry,
    ) -> Vec<Arc<Owner>> {
        let payloads = entry.bind.as_ref().map_or(&[][..], |bind| &bind.payloads);
        if payloads.is_empty() {
            return Vec::new();
        }
        let stanza = Stanza::new(Kind::Presence, Type::Unavailable, bytes::Bytes::new());
        let stanza = Arc::new(stanza.from(session.address.clone()));
        let mut turn = Turn::new(self, account, &stanza, Side::Out, At::Own, Some(session.id));
        for payload in payloads {
            let root = payload.root();
            self.hooks.bind.iter().filter(|feature| feature.ns == root.ns()).for_each(|f| (f.run)(&mut turn, root));
        }
        let mut effects = Effects::default();
        turn.into_changes().apply(&session.owner, account, &mut effects);
        self.hand_over(effects, &[&session.owner], None)
    }

    /// The content of `<bound/>`.
    async fn say_bound(self: &Arc<Self>, bound: Bound) -> Vec<u8> {
        let mut content = bound.signals.clone();
        if !self.hooks.bound.is_empty() {
            // What was handed over before the session was there can be read.
            self.barrier().await;
        }
        for hook in &self.hooks.bound {
            content.extend_from_slice(&hook(self.clone(), bound.clone()).await);
        }
        content
    }
}
