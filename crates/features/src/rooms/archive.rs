//! The archive of a room (XEP-0313 §3.3.2, §6.1.2), for who may enter at the time when he asks; with real addresses for
//! who may see them. Old messages leave it when the administrator's time is over.

use super::{
    LABEL,
    occupants::Occupant,
    privileges::Privilege,
    record::{INDEX, Members},
    room::Room,
};
use crate::{archive, messages};
use bytes::Bytes;
use kernel::{
    Kernel, Turn,
    hooks::Ask,
    jobs::{Job, JobError, Step},
    limits,
};
use linnet_xeps::{
    Payload,
    mam::Query,
    muc::{Affiliation, Item, Role, User},
};
use linnet_xmpp::{Jid, StanzaError, stanza::Condition};
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use store::{Future, LogQuery, LogRow, Write};

/// What an asker may see of an archive.
struct View {
    members: Arc<Members>,
    occupants: Vec<Arc<Occupant>>,
    sees_addresses: bool,
}

/// The fields that a query may have.
pub(super) fn fields(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    Room::of(turn)?;
    archive::fields(turn)
}

/// A query.
pub(super) async fn answer(ask: Ask) -> Result<Bytes, StanzaError> {
    let view = view(&ask).await?;
    let query = ask.stanza.payload().ok_or(Condition::BadRequest).map(Query::read)??;
    // §4.1.1: who somebody is cannot be found out by asking for his address.
    let asks_for_address = query.filter.with.as_ref().is_some_and(|with| !with.same_bare(&ask.owner));
    if asks_for_address && !view.sees_addresses {
        return Err(Condition::Forbidden.into());
    }
    archive::serve(&ask, &query, &|row| view.added(row)).await
}

/// Ids and times of the first and of the last message.
pub(super) async fn metadata(ask: Ask) -> Result<Bytes, StanzaError> {
    view(&ask).await?;
    archive::ends(&ask).await
}

/// Who may enter may read (§6.1.2); forbidden for others.
async fn view(ask: &Ask) -> Result<View, StanzaError> {
    let owner = ask.kernel.owner(&ask.owner).await.map_err(|_| Condition::InternalServerError)?;
    let account = owner.lock();
    let room = Room::open(&account).ok_or(Condition::ItemNotFound)?;
    let (standing, config) = (room.standing_of_person(ask.actor()), &room.record.config);
    if room.is_locked && standing.affiliation != Affiliation::Owner {
        return Err(Condition::ItemNotFound.into());
    }
    // A password is no part of a query: who is in the room has said it.
    let is_closed = config.members_only || config.protected;
    let may_enter = standing.role > Role::None || !is_closed || standing.affiliation >= Affiliation::Member;
    if standing.affiliation == Affiliation::Outcast || !may_enter {
        return Err(Condition::Forbidden.into());
    }
    // Who is outside sees what everybody inside does.
    let sees_addresses = config.is_open_about_addresses() || standing.may(Privilege::SeeAddresses, config);
    let occupants = if sees_addresses { room.live.occupants.iter().cloned().collect() } else { Vec::new() };
    Ok(View { members: room.members.clone(), occupants, sees_addresses })
}

impl View {
    /// Who said it: his address, and how he stands to the room now.
    fn added(&self, row: &LogRow) -> Bytes {
        let Some(real) = Jid::parse(&row.peer).ok().filter(|_| self.sees_addresses) else { return Bytes::new() };
        let present = self.occupants.iter().find(|occupant| occupant.real == real);
        let item = Item {
            affiliation: Some(self.members.affiliation(&real)),
            role: Some(present.map_or(Role::None, |occupant| occupant.role)),
            jid: Some(real),
            ..Item::default()
        };
        User { item: Some(item), ..User::default() }.to_bytes()
    }
}

/// Removes what is older than archives keep.
pub(super) const RETENTION: Job = Job { name: "room retention", every: Duration::from_secs(6 * 60 * 60), step };

/// The domain and the row of the list of rooms that come next.
#[derive(Debug, Default)]
struct Cursor(Mutex<(usize, Option<u64>)>);

fn step(kernel: Arc<Kernel>) -> Future<'static, Result<Step, JobError>> {
    Box::pin(async move {
        let days = u64::from(kernel.settings.archive_days);
        let cursor = kernel.shared::<Cursor>();
        let (domain, after) = *cursor.0.lock();
        let service = kernel.settings.domains.get(domain).and_then(|domain| {
            kernel
                .services_of(domain.domain())
                .find(|hosted| hosted.service.label == LABEL)
                .map(|hosted| &hosted.address)
        });
        let Some(service) = service.filter(|_| days > 0) else {
            *cursor.0.lock() = (0, None);
            return Ok(Step::Done);
        };
        let rows = kernel.store.map_rows(INDEX, service.as_str(), after, 1).await?;
        let Some(row) = rows.first() else {
            *cursor.0.lock() = (domain + 1, None);
            return Ok(Step::More);
        };
        let room = format!("{}@{service}", row.key);
        let now = kernel.context.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Ids are microseconds since 1970.
        let before = now.saturating_sub(Duration::from_secs(days * 24 * 60 * 60)).as_micros();
        let query = LogQuery {
            before: u64::try_from(before).ok(),
            any_flag: messages::ARCHIVED,
            limit: limits::JOB_ROWS,
            ..LogQuery::default()
        };
        let old = kernel.store.log_rows(messages::LOG, &room, query).await?;
        if old.len() < limits::JOB_ROWS {
            *cursor.0.lock() = (domain, Some(row.sequence));
        }
        if !old.is_empty() {
            let flags = messages::ARCHIVED | messages::PLAYED;
            let ids = Some(old.into_iter().map(|row| row.id).collect());
            let write = Write::LogClearFlags { table: messages::LOG, owner: room.into(), ids, flags };
            kernel.apply(Vec::new(), vec![write]).await?;
        }
        Ok(Step::More)
    })
}
