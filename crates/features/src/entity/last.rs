//! When an account was seen last (XEP-0012 §3), and how long the server has been up (§4).

use crate::codec::{Decoder, Encoder};
use bytes::Bytes;
use kernel::{
    Turn,
    access::{self, Action},
    hooks::Ask,
};
use linnet_xeps::{Payload, last::Last};
use linnet_xmpp::{StanzaError, ns, stanza::Condition};
use std::time::{Duration, UNIX_EPOCH};
use store::{DocTable, Future, Write};

const TABLE: DocTable = DocTable("last-seen");

/// Notes that the account's last available session has gone, with the status it left (§3).
pub(crate) fn seen(turn: &mut Turn<'_>) {
    let now = turn.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let stanza = turn.stanza.clone();
    let status = stanza.child("status", ns::CLIENT).map(|status| status.text().into_owned()).unwrap_or_default();
    let owner = turn.account.address.as_str().into();
    let value = Encoder::default().number(now).text(&status).finish();
    // Beside the presence: that one is gone is told even where it cannot be noted.
    turn.write_beside(Write::DocPut { table: TABLE, owner, value });
}

pub(super) fn uptime(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    Ok(Last { seconds: Some(turn.kernel.uptime().as_secs()), status: None }.to_bytes())
}

/// Zero while somebody is there; told only to those who see the account's presence (§6).
pub(super) fn of_account(ask: Ask) -> Future<'static, Result<Bytes, StanzaError>> {
    Box::pin(async move {
        let failed = |error: store::StoreError| {
            tracing::error!(%error, "last activity could not be read");
            StanzaError::new(Condition::InternalServerError)
        };
        let owner = ask.kernel.owner(&ask.owner).await.map_err(failed)?;
        {
            let account = owner.lock();
            if !access::may(&ask.kernel, ask.actor(), Action::ReadPresence, &account) {
                return Err(Condition::Forbidden.into());
            }
            if account.available().next().is_some() {
                return Ok(Last { seconds: Some(0), status: None }.to_bytes());
            }
        }
        let value = ask.kernel.store.doc(TABLE, ask.owner.as_str()).await.map_err(failed)?;
        let value = value.ok_or_else(|| StanzaError::new(Condition::ItemNotFound).text("never seen"))?;
        let mut decoder = Decoder(&value);
        let (Some(when), Some(status)) = (decoder.number(), decoder.text()) else {
            return Err(Condition::InternalServerError.into());
        };
        let when = UNIX_EPOCH + Duration::from_secs(when);
        let seconds = ask.kernel.context.now().duration_since(when).unwrap_or_default().as_secs();
        let status = (!status.is_empty()).then(|| status.to_owned());
        Ok(Last { seconds: Some(seconds), status }.to_bytes())
    })
}
