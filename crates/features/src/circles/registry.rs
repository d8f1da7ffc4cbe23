//! The circles of all domains in memory, read when they are first asked for. Invariant: whoever reads or changes those of
//! a domain, or brings a roster in step with them, holds all of them meanwhile, so that no step is taken by what has
//! changed; a change is durable, with the list of whom it touches, before memory has it.

use super::{
    gift::Names,
    record::{self, CIRCLES, Circle},
};
use kernel::Kernel;
use linnet_xmpp::Jid;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use store::{Condition, Outcome, StoreError, Write};
use tokio::sync::OwnedMutexGuard;

/// Circles by id.
pub(super) type Circles = BTreeMap<u64, Circle>;

/// Those of each domain that was asked for.
#[derive(Debug, Default)]
struct Registry(Arc<tokio::sync::Mutex<BTreeMap<Box<str>, Circles>>>);

/// The circles of a domain, held.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) domain: Box<str>,
    all: OwnedMutexGuard<BTreeMap<Box<str>, Circles>>,
}

/// What circles give an account in another member.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fellow {
    /// What he is called.
    pub(super) name: Box<str>,
    /// The circles that both are in.
    pub(super) circles: Names,
}

/// Takes hold of the circles of a domain. Not while the value of an account is being changed by the same task's doing:
/// whoever holds them loads accounts.
pub(super) async fn hold(kernel: &Kernel, domain: &str) -> Result<Held, StoreError> {
    let mut all = kernel.shared::<Registry>().0.clone().lock_owned().await;
    if !all.contains_key(domain) {
        let rows = kernel.store.map_rows(CIRCLES, domain, None, usize::MAX).await?;
        let mut circles = Circles::new();
        for row in &rows {
            match Circle::read(row) {
                Some((id, circle)) => {
                    circles.insert(id, circle);
                }
                None => tracing::error!(key = %row.key, domain, "a circle cannot be read"),
            }
        }
        all.insert(domain.into(), circles);
    }
    Ok(Held { domain: domain.into(), all })
}

impl Held {
    pub(super) fn circles(&self) -> &Circles {
        const NONE: &Circles = &Circles::new();
        // It was put in by `hold`, and goes only with what cannot be trusted any more.
        self.all.get(&self.domain).unwrap_or(NONE)
    }

    /// The circle with a name. Names that differ in case only would be one group in the eyes of people.
    pub(super) fn named(&self, name: &str) -> Option<(u64, &Circle)> {
        let name = name.trim().to_lowercase();
        self.circles().iter().find(|(_, circle)| circle.name.to_lowercase() == name).map(|(id, circle)| (*id, circle))
    }

    /// The circles that an account is in.
    pub(super) fn of<'a>(&'a self, account: &'a Jid) -> impl Iterator<Item = (u64, &'a Circle)> {
        self.circles().iter().filter(|(_, circle)| circle.members.contains_key(account)).map(|(id, one)| (*id, one))
    }

    /// Everybody who is in a circle with an account.
    pub(super) fn fellows(&self, account: &Jid) -> BTreeMap<Jid, Fellow> {
        let mut fellows = BTreeMap::<Jid, Fellow>::new();
        for (id, circle) in self.of(account) {
            for (jid, name) in circle.members.iter().filter(|(jid, _)| *jid != account) {
                let fellow = fellows.entry(jid.clone()).or_default();
                if fellow.name.is_empty() {
                    fellow.name.clone_from(name);
                }
                fellow.circles.insert(id, circle.name.clone());
            }
        }
        fellows
    }

    /// The names of the rooms that an account shares by circles.
    pub(super) fn rooms(&self, account: &Jid) -> BTreeMap<Jid, Box<str>> {
        let mut rooms = BTreeMap::new();
        for (jid, name) in self.of(account).flat_map(|(_, circle)| &circle.rooms) {
            rooms.entry(jid.clone()).or_insert_with(|| name.clone());
        }
        rooms
    }

    /// Changes a circle, or removes it, and notes that all who are in it, before or after, have to follow.
    pub(super) async fn change(
        &mut self,
        kernel: &Kernel,
        id: u64,
        circle: Option<Circle>,
        conditions: Vec<Condition>,
    ) -> Result<Outcome, StoreError> {
        let mut writes = vec![match &circle {
            Some(circle) => circle.put(&self.domain, id),
            None => Circle::remove(&self.domain, id),
        }];
        let both = self.circles().get(&id).into_iter().chain(&circle);
        let touched: BTreeSet<&Jid> = both.flat_map(|circle| circle.members.keys()).collect();
        writes.extend(touched.into_iter().map(|account| record::work(&self.domain, account, false)));
        let outcome = kernel.apply(conditions, writes).await;
        match outcome {
            Ok(Outcome::Done) => {
                let circles = self.all.entry(self.domain.clone()).or_default();
                match circle {
                    Some(circle) => circles.insert(id, circle),
                    None => circles.remove(&id),
                };
            }
            Ok(_) => {}
            Err(_) => self.distrust(),
        }
        outcome
    }

    /// What an account that is removed leaves to be written, and to whom.
    pub(super) fn without(&self, account: &Jid) -> Vec<Write> {
        let mut writes = Vec::new();
        for (id, circle) in self.of(account) {
            let mut circle = circle.clone();
            circle.members.remove(account);
            writes.push(circle.put(&self.domain, id));
            writes.extend(circle.members.keys().map(|fellow| record::work(&self.domain, fellow, false)));
        }
        writes
    }

    /// Has all read anew by whoever comes next.
    pub(super) fn distrust(&mut self) {
        self.all.remove(&self.domain);
    }
}
