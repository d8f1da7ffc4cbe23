//! Brings rosters and bookmarks in step with circles, one account after the other. Who is not in step stands in a table, and
//! goes from it in the transaction that changes the roster; so whatever breaks off goes on later, and what is done twice is done
//! once. A command does its work at once; the job does what was left.

use super::{
    bookmarked, gift,
    limits::{CONTACTS_OF_A_TURN, TURNS},
    record::{self, WORK},
    registry::{self, Fellow},
};
use crate::{
    pep, presence,
    roster::{self, BYTES, CONTACTS, Contact, Roster, State},
};
use kernel::{
    Account, Kernel, Turn,
    jobs::{JobError, Step},
};
use linnet_xmpp::Jid;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};
use store::{Future, StoreError};

/// How far a pass through the table has come.
#[derive(Debug, Clone, Copy, Default)]
struct Pass {
    /// The sequence of the last row that is behind it.
    after: Option<u64>,
    /// Turns that the row in hand has had.
    turns: usize,
}

/// Where the job is: the domain's place in the settings, and the pass through its table.
#[derive(Debug, Default)]
struct Progress(Mutex<(usize, Pass)>);

/// One step of the job: one turn for one account.
pub(super) fn job(kernel: Arc<Kernel>) -> Future<'static, Result<Step, JobError>> {
    Box::pin(async move {
        let progress = kernel.shared::<Progress>();
        let (place, mut pass) = *progress.0.lock();
        let Some(domain) = kernel.settings.domains.get(place) else {
            *progress.0.lock() = (0, Pass::default());
            return Ok(Step::Done);
        };
        let next = match step(&kernel, domain.domain(), &mut pass).await {
            Ok(Step::More) => (place, pass),
            Ok(Step::Done) => (place + 1, Pass::default()),
            Err(error) => {
                *progress.0.lock() = (0, Pass::default());
                return Err(error.into());
            }
        };
        *progress.0.lock() = next;
        Ok(Step::More)
    })
}

/// Brings all rosters in step that are not, as far as that can be done now.
pub(super) async fn all(kernel: &Arc<Kernel>, domain: &str) -> Result<(), StoreError> {
    let mut pass = Pass::default();
    while step(kernel, domain, &mut pass).await? == Step::More {}
    kernel.barrier().await;
    Ok(())
}

async fn step(kernel: &Arc<Kernel>, domain: &str, pass: &mut Pass) -> Result<Step, StoreError> {
    kernel.barrier().await;
    let rows = kernel.store.map_rows(WORK, domain, pass.after, 1).await?;
    let Some(row) = rows.first() else { return Ok(Step::Done) };
    let is_done = match Jid::parse(&row.key) {
        Ok(account) => turn(kernel, domain, &account, record::was_full(row)).await?,
        Err(_) => true,
    };
    pass.turns += 1;
    if is_done || pass.turns > TURNS {
        *pass = Pass { after: Some(row.sequence), turns: 0 };
    }
    Ok(Step::More)
}

/// One turn of an account: some of the contacts in which its roster differs from what circles give. True if no more are
/// left that can be brought in step.
async fn turn(kernel: &Arc<Kernel>, domain: &str, account: &Jid, was_full: bool) -> Result<bool, StoreError> {
    let held = registry::hold(kernel, domain).await?;
    let (fellows, rooms) = (held.fellows(account), held.rooms(account));
    let bookmarked = bookmarked::given(kernel, account).await?;
    let owner = kernel.owner(account).await?;
    let Some(mut differing) = differing(&owner.lock(), &fellows) else {
        kernel.apply(Vec::new(), vec![record::done(domain, account.as_str())]).await?;
        return Ok(true);
    };
    let is_last = differing.len() <= CONTACTS_OF_A_TURN;
    differing.truncate(CONTACTS_OF_A_TURN);
    let differing: Vec<(Jid, State)> = differing
        .into_iter()
        .map(|jid| {
            let there = seen_from(kernel, &jid, account);
            (jid, there)
        })
        .collect();
    let mut given = Given::default();
    kernel.act(&owner, false, |turn| {
        given = give(turn, &fellows, &differing);
        if is_last && let Err(error) = bookmarked::settle(turn, &rooms, &bookmarked) {
            tracing::warn!(%account, %error, "a bookmark of a circle finds no room");
            given.is_full = true;
        }
        match (is_last, given.is_full) {
            (true, false) => turn.write(record::done(domain, account.as_str())),
            // It is tried again with each pass, and comes behind all others once.
            (true, true) if !was_full => turn.write(record::work(domain, account, true)),
            _ => {}
        }
    });
    for fellow in given.shows {
        show(kernel, &fellow, account);
    }
    // What has no room now would be first again: the others wait until there is room.
    Ok(is_last || given.is_full)
}

/// The contacts of an account that are not as circles want them; none where there is no such account.
fn differing(account: &Account, fellows: &BTreeMap<Jid, Fellow>) -> Option<Vec<Jid>> {
    let roster = account.document::<Roster>().filter(|_| account.exists)?;
    let nobody = Fellow::default();
    let is_settled = |jid: &Jid| {
        let fellow = fellows.get(jid).unwrap_or(&nobody);
        gift::is_settled(roster.contact(jid), &fellow.circles, &fellow.name)
    };
    // Those who go make room for those who come.
    let given = roster.contacts().iter().filter(|contact| contact.gift.is_some()).map(|contact| &contact.jid);
    let left = given.filter(|jid| !fellows.contains_key(*jid));
    Some(left.chain(fellows.keys()).filter(|jid| !is_settled(jid)).cloned().collect())
}

/// How a fellow with sessions stands to an account; nothing where there is no session to show and to see.
fn seen_from(kernel: &Kernel, fellow: &Jid, account: &Jid) -> State {
    let Some(owner) = kernel.find_owner(fellow.as_str()) else { return State::default() };
    let there = owner.lock();
    let roster = there.document::<Roster>().filter(|_| there.available().next().is_some());
    roster.and_then(|roster| roster.contact(account)).map_or(State::default(), |contact| contact.state)
}

/// What a turn has done.
#[derive(Debug, Default)]
struct Given {
    /// Who has to show his sessions now.
    shows: Vec<Jid>,
    /// Somebody had no room in the roster, or a bookmark had none.
    is_full: bool,
}

/// Gives and takes back. `differing`: which contacts, and how the account stands in their rosters. Who comes second has
/// both show themselves: only then both have the other in their rosters, and clients do not know what to do with the
/// presence of strangers.
fn give(turn: &mut Turn<'_>, fellows: &BTreeMap<Jid, Fellow>, differing: &[(Jid, State)]) -> Given {
    let mut given = Given::default();
    let Some(roster) = turn.document::<Roster>() else { return given };
    let (nobody, mut changed) = (Fellow::default(), Vec::new());
    let (mut count, mut bytes) = (roster.contacts().len(), roster.size());
    let (mut hidden, mut shown) = (Vec::new(), Vec::new());
    for (jid, there) in differing {
        let fellow = fellows.get(jid).unwrap_or(&nobody);
        let known = roster.contact(jid);
        let mut contact = known.cloned().unwrap_or_else(|| Contact::new(jid.clone()));
        gift::settle(&mut contact, &fellow.circles, &fellow.name);
        let before = known.map(|contact| contact.state).unwrap_or_default();
        let grows = contact.size().saturating_sub(known.map_or(0, Contact::size));
        if known.is_none() && count >= CONTACTS || grows > 0 && bytes + grows > BYTES {
            given.is_full = true;
            continue;
        }
        count = count + usize::from(known.is_none()) - usize::from(known.is_some() && !contact.is_worth_keeping());
        bytes += grows;
        match (before.from, contact.state.from) {
            (true, false) => hidden.push(jid.clone()),
            (false, true) if there.to => shown.push(jid.clone()),
            _ => {}
        }
        if !before.to && contact.state.to && there.from {
            given.shows.push(jid.clone());
        }
        changed.push(contact);
    }
    roster::put(turn, roster, changed);
    for jid in presence::unblocked(turn, hidden) {
        presence::hide_from(turn, &jid);
    }
    for jid in presence::unblocked(turn, shown) {
        presence::show_to(turn, &jid);
        pep::approved(turn, &jid);
    }
    given
}

/// Has a fellow show himself to an account that has him in its roster now.
fn show(kernel: &Arc<Kernel>, fellow: &Jid, account: &Jid) {
    let Some(owner) = kernel.loaded_owner(fellow.as_str()) else { return };
    kernel.act(&owner, false, |turn| {
        let roster = turn.document::<Roster>();
        let sees = roster.and_then(|roster| roster.contact(account)).is_some_and(|contact| contact.state.from);
        for jid in presence::unblocked(turn, vec![account.clone()]).iter().filter(|_| sees) {
            presence::show_to(turn, jid);
            pep::approved(turn, jid);
        }
    });
}
