//! Who is in a room, in memory: found by nickname and by the address of each client. Cloning is cheap; a change copies
//! two lists of references.

use bytes::Bytes;
use linnet_xeps::muc::Role;
use linnet_xmpp::Jid;
use std::sync::Arc;

/// Somebody in a room under one nickname, with one client or several.
#[derive(Debug, Clone)]
pub(super) struct Occupant {
    /// His address in the room; the resource is the nickname.
    pub(super) address: Jid,
    /// The form in which the nickname is compared.
    pub(super) key: Box<str>,
    /// His real bare address.
    pub(super) real: Jid,
    /// His role.
    pub(super) role: Role,
    /// His id (XEP-0421).
    pub(super) id: Arc<str>,
    /// His clients; never none. The first is the one whose presence is shown.
    pub(super) seats: Vec<Seat>,
}

/// A client of an occupant.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    /// Its full address.
    pub(super) jid: Jid,
    /// What its presence says, canonical.
    pub(super) presence: Bytes,
    /// The language of that.
    pub(super) lang: Option<Box<str>>,
    /// It is being given what was said before, and gets what is said now behind that.
    pub(super) reads: bool,
}

impl Occupant {
    pub(super) fn nick(&self) -> &str {
        self.address.resource().unwrap_or_default()
    }

    /// The client whose presence is shown.
    pub(super) fn shown(&self) -> Option<&Seat> {
        self.seats.first()
    }

    pub(super) fn seat(&self, jid: &Jid) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.jid == *jid)
    }

    /// Puts a client in, or in place of itself; it is shown from now on.
    pub(super) fn put(&mut self, seat: Seat) {
        self.seats.retain(|known| known.jid != seat.jid);
        self.seats.insert(0, seat);
    }

    pub(super) fn jids(&self) -> Vec<Jid> {
        self.seats.iter().map(|seat| seat.jid.clone()).collect()
    }
}

/// All occupants.
#[derive(Debug, Clone, Default)]
pub(super) struct Occupants {
    /// By key.
    by_key: Arc<Vec<Arc<Occupant>>>,
    /// By the address of a client.
    by_seat: Arc<Vec<(Jid, Arc<Occupant>)>>,
}

impl Occupants {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Occupant>> {
        self.by_key.iter()
    }

    /// By nickname, in the form in which it is compared.
    pub(super) fn key(&self, key: &str) -> Option<&Arc<Occupant>> {
        self.by_key.get(self.place(key).ok()?)
    }

    /// By nickname, as it stands in an address.
    pub(super) fn nick(&self, nick: &str) -> Option<&Arc<Occupant>> {
        self.key(&super::names::key(nick).ok()?).filter(|occupant| occupant.nick() == nick)
    }

    /// By the address of one of his clients.
    pub(super) fn seat(&self, jid: &Jid) -> Option<&Arc<Occupant>> {
        let place = self.by_seat.binary_search_by(|(known, _)| known.cmp(jid)).ok()?;
        self.by_seat.get(place).map(|(_, occupant)| occupant)
    }

    /// All under whose nicknames somebody is here.
    pub(super) fn of<'a>(&'a self, bare: &'a Jid) -> impl Iterator<Item = &'a Arc<Occupant>> {
        self.by_key.iter().filter(move |occupant| occupant.real == *bare)
    }

    fn place(&self, key: &str) -> Result<usize, usize> {
        self.by_key.binary_search_by(|occupant| (*occupant.key).cmp(key))
    }

    /// Puts one in, or in place of the one with his nickname.
    pub(super) fn put(&mut self, occupant: Occupant) -> Arc<Occupant> {
        self.remove(&occupant.key);
        let occupant = Arc::new(occupant);
        let place = self.place(&occupant.key).unwrap_or_else(|place| place);
        Arc::make_mut(&mut self.by_key).insert(place, occupant.clone());
        let seats = Arc::make_mut(&mut self.by_seat);
        for seat in &occupant.seats {
            let place = seats.binary_search_by(|(known, _)| known.cmp(&seat.jid)).unwrap_or_else(|place| place);
            seats.insert(place, (seat.jid.clone(), occupant.clone()));
        }
        occupant
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Arc<Occupant>> {
        let place = self.place(key).ok()?;
        let occupant = Arc::make_mut(&mut self.by_key).remove(place);
        let seats = Arc::make_mut(&mut self.by_seat);
        for seat in &occupant.seats {
            if let Ok(place) = seats.binary_search_by(|(known, _)| known.cmp(&seat.jid)) {
                seats.remove(place);
            }
        }
        Some(occupant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occupant(nick: &str, clients: &[&str]) -> Occupant {
        let jid = |text: &str| Jid::parse(text).unwrap();
        let seat = |client: &&str| Seat { jid: jid(client), presence: Bytes::new(), lang: None, reads: false };
        Occupant {
            address: jid(&format!("room@rooms.example.org/{nick}")),
            key: super::super::names::key(nick).unwrap(),
            real: jid(clients[0]).bare(),
            role: Role::Participant,
            id: "1".into(),
            seats: clients.iter().map(seat).collect(),
        }
    }

    #[test]
    fn found_by_nickname_and_by_client() {
        let jid = |text: &str| Jid::parse(text).unwrap();
        let mut all = Occupants::default();
        all.put(occupant("Witch", &["a@b/1", "a@b/2"]));
        all.put(occupant("hag", &["c@d/1"]));
        let before = all.clone();
        assert_eq!(all.nick("Witch").unwrap().seats.len(), 2);
        assert!(all.nick("witch").is_none() && all.key("witch").is_some());
        assert_eq!(all.seat(&jid("a@b/2")).unwrap().nick(), "Witch");
        all.put(occupant("Witch", &["a@b/2"]));
        assert!(all.seat(&jid("a@b/1")).is_none());
        assert_eq!((all.len(), all.of(&jid("a@b")).count()), (2, 1));
        all.remove("hag");
        assert!(all.seat(&jid("c@d/1")).is_none() && before.seat(&jid("c@d/1")).is_some());
    }
}
