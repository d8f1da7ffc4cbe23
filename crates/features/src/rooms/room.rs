//! A room as one stanza finds it and leaves it: a working copy of what is stored and of who is in it. Use cases change
//! it and send what they have to; [`Room::save`] hands all changes to the turn at once, so that one that is refused
//! midway changes nothing.

use super::{
    limits,
    occupants::{Occupant, Occupants},
    privileges::{self, Privilege, Standing},
    record::{Entry, Member, Members, Record, Stored},
};
use hmac::{Hmac, KeyInit, Mac};
use kernel::{Account, Kernel, Turn};
use linnet_xeps::muc::{Affiliation, Role};
use linnet_xmpp::{Jid, StanzaError, stanza::Condition};
use sha2::Sha256;
use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};
use store::Write;

/// What is in memory only, while somebody is in a room.
#[derive(Debug, Clone, Default)]
pub(super) struct Live {
    pub(super) occupants: Occupants,
    /// A room that nobody has configured yet (§10.1.1).
    draft: Option<Draft>,
    /// Who was invited and may decline, the latest last.
    pub(super) invited: Arc<Vec<Jid>>,
    /// Voice that was given or taken and differs from what one has on entering (§5.1).
    pub(super) voices: Arc<BTreeMap<Jid, Role>>,
    /// The row of what was said last.
    pub(super) last_row: u64,
    /// It was made since somebody came: before `last_row` nothing was said.
    pub(super) is_new: bool,
}

#[derive(Debug, Clone)]
struct Draft {
    record: Arc<Record>,
    members: Arc<Members>,
}

/// The working copy.
#[derive(Debug)]
pub(super) struct Room {
    /// The room's address.
    pub(super) address: Jid,
    /// Its configuration and subject.
    pub(super) record: Arc<Record>,
    /// Its affiliations.
    pub(super) members: Arc<Members>,
    /// Who is in it.
    pub(super) live: Live,
    /// It is not stored and nobody but its owner may enter.
    pub(super) is_locked: bool,
    was_stored: bool,
    before: Arc<Record>,
    changed: Vec<Jid>,
    is_destroyed: bool,
}

impl Room {
    /// The room at the turn's address, if there is one. One that does not stay ends with its last occupant, so what a
    /// crash has left of it is none.
    pub(super) fn open(account: &Account) -> Option<Room> {
        let live = account.held::<Live>().cloned().unwrap_or_default();
        let stored = account.document::<Stored>().and_then(|stored| stored.0.clone());
        let stored = stored.filter(|record| record.config.persistent || !live.occupants.is_empty());
        let (record, members, was_stored) = match stored {
            Some(record) => (record, Arc::new(account.document::<Members>().cloned().unwrap_or_default()), true),
            None => live.draft.clone().map(|draft| (draft.record, draft.members, false))?,
        };
        Some(Room {
            address: account.address.clone(),
            before: record.clone(),
            record,
            members,
            live,
            is_locked: !was_stored,
            was_stored,
            changed: Vec::new(),
            is_destroyed: false,
        })
    }

    /// The same; item-not-found where there is none, or where it is locked for the actor (§7.2.10).
    pub(super) fn of(turn: &Turn<'_>) -> Result<Room, StanzaError> {
        let room = Room::open(turn.account).ok_or(Condition::ItemNotFound)?;
        if room.is_locked && room.affiliation(&turn.actor().bare()) != Affiliation::Owner {
            return Err(Condition::ItemNotFound.into());
        }
        Ok(room)
    }

    /// A new one that only its owner knows of.
    pub(super) fn create(address: Jid, owner: Jid, record: Record) -> Room {
        let record = Arc::new(record);
        let mut members = Members::default();
        let member = Member { affiliation: Affiliation::Owner, nick: None, key: None, reason: None };
        members.set(owner, Some(member));
        Room {
            address,
            before: record.clone(),
            record,
            members: Arc::new(members),
            live: Live { is_new: true, ..Live::default() },
            is_locked: true,
            was_stored: false,
            changed: Vec::new(),
            is_destroyed: false,
        }
    }

    /// How somebody stands to it, by his bare address.
    pub(super) fn affiliation(&self, bare: &Jid) -> Affiliation {
        self.members.affiliation(bare)
    }

    /// How the sender of an iq stands to it: any of his clients may be in the room (§8, §9).
    pub(super) fn standing_of_person(&self, actor: &Jid) -> Standing {
        let bare = actor.bare();
        let role = self.live.occupants.of(&bare).map(|occupant| occupant.role).max().unwrap_or(Role::None);
        Standing { role, affiliation: self.affiliation(&bare) }
    }

    pub(super) fn occupant_standing(&self, occupant: &Occupant) -> Standing {
        Standing { role: occupant.role, affiliation: self.affiliation(&occupant.real) }
    }

    /// Refuses with forbidden.
    pub(super) fn demand(&self, actor: &Jid, privilege: Privilege) -> Result<(), StanzaError> {
        let may = self.standing_of_person(actor).may(privilege, &self.record.config);
        if may { Ok(()) } else { Err(Condition::Forbidden.into()) }
    }

    /// Whether an occupant sees real addresses.
    pub(super) fn sees_addresses(&self, occupant: &Occupant) -> bool {
        self.occupant_standing(occupant).may(Privilege::SeeAddresses, &self.record.config)
    }

    /// The occupant that a client is.
    pub(super) fn occupant(&self, actor: &Jid) -> Result<Arc<Occupant>, StanzaError> {
        self.live.occupants.seat(actor).cloned().ok_or_else(|| Condition::NotAcceptable.into())
    }

    /// Changes configuration or subject.
    pub(super) fn edit(&mut self) -> &mut Record {
        Arc::make_mut(&mut self.record)
    }

    /// The nickname that is somebody's.
    pub(super) fn reserved_nick(&self, bare: &Jid) -> Option<&str> {
        self.members.get(bare)?.nick.as_deref()
    }

    /// Sets somebody's affiliation; with none he is forgotten, and his nickname too.
    ///
    /// # Errors
    /// There are too many, or the nickname is somebody else's.
    pub(super) fn set_member(&mut self, bare: &Jid, member: Option<Member>) -> Result<(), StanzaError> {
        if member.is_some() && self.members.get(bare).is_none() && self.members.len() >= limits::MEMBERS {
            return Err(StanzaError::new(Condition::ResourceConstraint).text("the room has too many members"));
        }
        if let Some(key) = member.as_ref().and_then(|member| member.key.as_deref())
            && self.is_taken(key, bare)
        {
            return Err(Condition::Conflict.into());
        }
        Arc::make_mut(&mut self.members).set(bare.clone(), member);
        if !self.changed.contains(bare) {
            self.changed.push(bare.clone());
        }
        Ok(())
    }

    /// Whether affiliations have changed.
    pub(super) fn has_new_members(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Whether a nickname is reserved or used by somebody else.
    pub(super) fn is_taken(&self, key: &str, bare: &Jid) -> bool {
        self.members.holder(key).is_some_and(|holder| holder != bare)
            || self.live.occupants.key(key).is_some_and(|occupant| occupant.real != *bare)
    }

    /// The role that somebody has on entering: what he has under this nickname, or what was remembered, or the default.
    pub(super) fn role_of(&self, bare: &Jid, key: &str) -> Role {
        let affiliation = self.affiliation(bare);
        let default = privileges::default_role(affiliation, &self.record.config);
        if let Some(occupant) = self.live.occupants.key(key) {
            return occupant.role;
        }
        let remembered = self.live.voices.get(bare).copied().filter(|_| affiliation < Affiliation::Admin);
        remembered.unwrap_or(default)
    }

    /// Remembers voice that was given or taken.
    pub(super) fn remember_voice(&mut self, bare: &Jid, role: Role) {
        let default = privileges::default_role(self.affiliation(bare), &self.record.config);
        let voices = Arc::make_mut(&mut self.live.voices);
        if role == default || !matches!(role, Role::Visitor | Role::Participant) {
            voices.remove(bare);
        } else if voices.len() < limits::REMEMBERED || voices.contains_key(bare) {
            voices.insert(bare.clone(), role);
        }
    }

    /// Ends the room.
    pub(super) fn destroy(&mut self) {
        self.is_destroyed = true;
    }

    /// Hands all changes to the turn.
    pub(super) fn save(mut self, turn: &mut Turn<'_>) {
        let is_over = self.live.occupants.is_empty() && !self.record.config.persistent;
        if self.is_destroyed || self.live.occupants.is_empty() && self.is_locked || self.was_stored && is_over {
            if self.was_stored {
                turn.write(Write::AccountRemove { owner: self.address.as_str().into() });
                turn.write(Entry::remove(&self.address));
                turn.set(Stored(None));
                turn.set(Members::default());
            }
            return turn.hold::<Live>(None);
        }
        if self.is_locked {
            self.live.draft = Some(Draft { record: self.record, members: self.members });
            return turn.hold(Some(self.live));
        }
        self.write(turn);
        // If the write that unlocks a room fails, it is locked again.
        if self.was_stored {
            self.live.draft = None;
        }
        let is_needed = !self.live.occupants.is_empty();
        turn.hold(is_needed.then_some(self.live));
    }

    fn write(&self, turn: &mut Turn<'_>) {
        let room = &self.address;
        if !self.was_stored {
            // What a crash has left of an earlier one is not this one's.
            turn.write(Write::AccountRemove { owner: room.as_str().into() });
        }
        if !self.was_stored || self.record != self.before {
            turn.write(self.record.put(room));
            turn.set(Stored(Some(self.record.clone())));
        }
        let (old, new) = (&self.before.config, &self.record.config);
        if !self.was_stored || (&old.name, old.public, old.persistent) != (&new.name, new.public, new.persistent) {
            turn.write(Entry::put(room, new));
        }
        if self.was_stored {
            for bare in &self.changed {
                turn.write(self.members.write(room, bare));
            }
        } else {
            for (bare, _) in self.members.iter() {
                turn.write(self.members.write(room, bare));
            }
        }
        if !self.was_stored || !self.changed.is_empty() {
            turn.set(Members::clone(&self.members));
        }
    }
}

/// The id of somebody in a room (XEP-0421 §4.1): the same whenever he comes, and nothing that anybody could guess.
pub(super) fn occupant_id(kernel: &Kernel, room: &Jid, bare: &Jid) -> Arc<str> {
    let mut id = String::with_capacity(32);
    // HMAC takes keys of any length.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&kernel.secret) {
        mac.update(b"occupant-id\0");
        mac.update(room.as_str().as_bytes());
        mac.update(b"\0");
        mac.update(bare.as_str().as_bytes());
        for byte in &mac.finalize().into_bytes()[..16] {
            let _ = write!(id, "{byte:02x}");
        }
    }
    id.into()
}
