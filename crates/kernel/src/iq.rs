//! An iq that is for the server, for an account as such, or for a service: which feature answers it, and whether in the lane
//! or beside it.

use crate::{
    Kernel,
    account::Account,
    hooks::{At, Handler, NoHandler, Refusal, Side},
    origin::Origin,
    route::{Passage, absent},
    turn::Turn,
};
use bytes::Bytes;
use linnet_xmpp::{
    Jid, Stanza, StanzaError,
    stanza::{Condition, Type},
};
use std::sync::Arc;

impl Kernel {
    /// An iq that the server answers itself.
    pub(crate) fn iq(
        self: &Arc<Self>,
        at: At,
        account: &Account,
        origin: Origin<'_>,
        stanza: &Arc<Stanza>,
        passage: &mut Passage,
    ) -> Result<(), Refusal> {
        if !matches!(stanza.ty, Type::Get | Type::Set) {
            // An answer: somebody may wait for it. From others, e.g. those to roster pushes, nothing follows.
            self.answered(stanza);
            return Ok(());
        }
        let Some(payload) = stanza.payload() else { return Err(StanzaError::new(Condition::BadRequest).into()) };
        let found = self.hooks.iq(payload.name(), payload.ns(), stanza.ty == Type::Get, at);
        let iq = match found {
            // First of all, so that it does not tell whether there is such an account.
            Err(NoHandler::OwnersAlone) => return Err(StanzaError::new(Condition::Forbidden).into()),
            _ if at == At::Account && !account.exists => return Err(absent(stanza)),
            Ok(iq) => iq,
            // What is known there to be read only: nobody writes to the account of somebody else.
            Err(NoHandler::WrongType) if at == At::Account => return Err(StanzaError::new(Condition::Forbidden).into()),
            Err(NoHandler::WrongType) => return Err(StanzaError::new(Condition::BadRequest).into()),
            Err(NoHandler::UnknownPayload) => return Err(StanzaError::new(Condition::ServiceUnavailable).into()),
        };
        match iq.handler {
            Handler::Now(run) => {
                let session = origin.session().map(|session| session.id);
                let mut turn = Turn::new(self, account, stanza, Side::In, at, session);
                let answer: Bytes = run(&mut turn)?;
                passage.inward = Some(turn.into_changes());
                passage.reply = Some(stanza.result(answer));
            }
            Handler::Later(_) => {
                let owner = match at {
                    At::Own | At::Account | At::Service(_) | At::AnyService => account.address.clone(),
                    At::Server => stanza.to.as_ref().map_or_else(|| account.address.domain_jid(), Jid::domain_jid),
                };
                passage.later = Some((iq, at, owner));
            }
        }
        Ok(())
    }
}
