//! What ends with somebody or something: the affiliations of an account that is removed, and rooms that do not stay and
//! were left by a crash.

use super::{
    LABEL, admin,
    broadcast::Note,
    record::{Entry, INDEX, MEMBERS, Member},
    room::Room,
};
use kernel::Kernel;
use linnet_xeps::muc::Affiliation;
use linnet_xmpp::Jid;
use std::sync::Arc;
use store::{Future, StoreError, Write};

/// Takes an account that is removed out of all rooms, so that whoever takes its name later does not inherit its
/// affiliations. A room that had no other owner goes to the first of its admins or members; if there is none, it ends.
pub(crate) async fn account(kernel: &Arc<Kernel>, account: &Jid) {
    let rows = match kernel.store.map_second(MEMBERS, account.bare_str(), usize::MAX).await {
        Ok(rows) => rows,
        Err(error) => return tracing::error!(%error, %account, "the rooms of an account could not be read"),
    };
    for (room, _) in rows {
        let Ok(room) = Jid::parse(&room) else { continue };
        match kernel.owner(&room).await {
            Ok(owner) => kernel.act(&owner, false, |turn| {
                let Some(mut room) = Room::open(turn.account) else { return };
                if !has_heir(&mut room, account) {
                    room.destroy();
                }
                let note = Note::default();
                // Nothing is reserved and nobody is added, so nothing can be refused.
                if admin::set_affiliation(turn, &mut room, &account.bare(), None, &note).is_ok() {
                    room.save(turn);
                }
            }),
            Err(error) => tracing::error!(%error, %room, "a room could not be read"),
        }
    }
}

/// Whether the room has an owner without this one, or gets one.
fn has_heir(room: &mut Room, leaving: &Jid) -> bool {
    let others = |affiliation| room.members.with(affiliation).find(|(jid, _)| jid.as_str() != leaving.bare_str());
    if room.affiliation(&leaving.bare()) != Affiliation::Owner || others(Affiliation::Owner).is_some() {
        return true;
    }
    let heir = [Affiliation::Admin, Affiliation::Member].into_iter().find_map(others);
    let Some((jid, member)) = heir.filter(|(jid, _)| jid.local().is_some()) else { return false };
    let (jid, member) = (jid.clone(), Member { affiliation: Affiliation::Owner, ..Member::clone(member) });
    room.set_member(&jid, Some(member)).is_ok()
}

/// At start: rooms that do not stay have nobody in them.
pub(super) fn left_over(kernel: Arc<Kernel>) -> Future<'static, ()> {
    Box::pin(async move {
        for hosted in kernel.settings.domains.iter().flat_map(|domain| kernel.services_of(domain.domain())) {
            if hosted.service.label == LABEL
                && let Err(error) = sweep(&kernel, hosted.address.as_str()).await
            {
                tracing::error!(%error, service = %hosted.address, "rooms that are over could not be removed");
            }
        }
    })
}

async fn sweep(kernel: &Arc<Kernel>, service: &str) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let rows = kernel.store.map_rows(INDEX, service, after, 200).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some(last.sequence);
        for row in rows.iter().filter(|row| Entry::read(row).is_none_or(|entry| !entry.persistent)) {
            let Ok(room) = Jid::new(Some(&row.key), service, None) else { continue };
            let owner = kernel.owner(&room).await?;
            // Somebody may have made it anew by now.
            kernel.act(&owner, false, |turn| {
                if Room::open(turn.account).is_none() {
                    turn.write(Write::AccountRemove { owner: room.as_str().into() });
                    turn.write(Entry::remove(&room));
                }
            });
        }
    }
}
