//! What circles have given an account in one of its contacts. It is kept with the contact, so that exactly that can be
//! taken back, and nothing that is the user's own.

use crate::{
    codec::{Decoder, Encoder},
    roster::{Contact, State},
};
use std::collections::BTreeMap;

/// Names of circles by id.
pub(crate) type Names = BTreeMap<u64, Box<str>>;

/// What circles have given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Gift {
    /// The circles for which it was given.
    circles: BTreeMap<u64, Share>,
    /// The name of the contact, while the user has not given another.
    name: Option<Box<str>>,
    /// That the user sees the contact's presence.
    to: bool,
    /// That the contact sees the user's presence.
    from: bool,
    /// That the contact stands in the roster.
    listed: bool,
}

/// What one circle has given.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Share {
    /// The circle's name when it did.
    name: Box<str>,
    group: Group,
}

/// The group with the circle's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    /// The circle has put the contact into it.
    Given,
    /// The user had, before.
    Own,
    /// The user has taken the contact out of it.
    Gone,
}

const GROUPS: [Group; 3] = [Group::Given, Group::Own, Group::Gone];

impl Gift {
    /// What is left of it once the user, or the contact, has made this of the contact: what they have taken away is not
    /// given again, and what they make themselves later is theirs.
    pub(crate) fn left_in(mut self, contact: &Contact) -> Gift {
        for share in self.circles.values_mut() {
            if !contact.listed || !contact.groups.contains(&share.name) {
                share.group = Group::Gone;
            }
        }
        if self.name != contact.name {
            self.name = None;
        }
        self.to &= contact.state.to;
        self.from &= contact.state.from;
        self.listed &= contact.listed;
        self
    }

    /// Whether it is what these circles give in a contact of this name.
    fn is_of(&self, wanted: &Names, name: &str) -> bool {
        self.circles.iter().map(|(id, share)| (id, &share.name)).eq(wanted)
            && self.name.as_deref().is_none_or(|given| given == name)
    }

    pub(crate) fn write(&self, encoder: Encoder) -> Encoder {
        let flags = [self.to, self.from, self.listed];
        let bits = flags.iter().enumerate().fold(0u8, |bits, (place, flag)| bits | u8::from(*flag) << place);
        let encoder = encoder.byte(bits).text(self.name.as_deref().unwrap_or_default());
        let encoder = encoder.number(self.circles.len() as u64);
        self.circles
            .iter()
            .fold(encoder, |encoder, (id, share)| encoder.number(*id).text(&share.name).byte(share.group as u8))
    }

    pub(crate) fn read(decoder: &mut Decoder<'_>) -> Option<Gift> {
        let bits = decoder.byte()?;
        let name = decoder.text()?;
        let name = (!name.is_empty()).then(|| name.into());
        let mut circles = BTreeMap::new();
        for _ in 0..decoder.number()? {
            let (id, name) = (decoder.number()?, decoder.text()?.into());
            let group = *GROUPS.get(usize::from(decoder.byte()?))?;
            circles.insert(id, Share { name, group });
        }
        Some(Gift { circles, name, to: bits & 1 != 0, from: bits & 2 != 0, listed: bits & 4 != 0 })
    }
}

/// Whether something has to be done so that the contact has what these circles give, and nothing that others gave.
pub(super) fn is_settled(contact: Option<&Contact>, wanted: &Names, name: &str) -> bool {
    match contact.and_then(|contact| contact.gift.as_ref()) {
        None => wanted.is_empty(),
        Some(gift) => gift.is_of(wanted, name),
    }
}

/// Gives a contact what these circles give, and takes back what others had given. `name`: what the contact is called where
/// the user has not said it. Done twice it is done once.
pub(crate) fn settle(contact: &mut Contact, wanted: &Names, name: &str) {
    let mut gift = contact.gift.take().map(|gift| *gift).unwrap_or_default();
    let is_new = wanted.keys().any(|id| !gift.circles.contains_key(id));
    let mut groups = std::mem::take(&mut contact.groups).into_vec();
    let left = leave_groups(&mut gift, wanted, &mut groups);
    for (id, name) in wanted {
        if gift.circles.contains_key(id) {
            continue;
        }
        let group = match left.get(id) {
            Some(Group::Gone) => Group::Gone,
            _ if groups.contains(name) => Group::Own,
            _ => {
                groups.push(name.clone());
                Group::Given
            }
        };
        gift.circles.insert(*id, Share { name: name.clone(), group });
    }
    contact.groups = groups.into();
    if is_new {
        give(contact, &mut gift, name);
    }
    if wanted.is_empty() {
        take(contact, &gift);
        return;
    }
    if gift.name.as_deref().is_some_and(|given| given != name) {
        contact.name = Some(name.into());
        gift.name.clone_from(&contact.name);
    }
    contact.gift = Some(Box::new(gift));
}

/// Takes the contact out of groups that circles gave which are not wanted, or not under this name. Says what the groups
/// of those circles were.
fn leave_groups(gift: &mut Gift, wanted: &Names, groups: &mut Vec<Box<str>>) -> BTreeMap<u64, Group> {
    let is_over = |id: &u64, share: &Share| wanted.get(id) != Some(&share.name);
    let over: Vec<u64> = gift.circles.iter().filter(|(id, share)| is_over(id, share)).map(|(id, _)| *id).collect();
    let mut left = BTreeMap::new();
    for id in over {
        let Some(share) = gift.circles.remove(&id) else { continue };
        if share.group == Group::Given {
            groups.retain(|group| *group != share.name);
        }
        left.insert(id, share.group);
    }
    left
}

/// A new circle has both in it: each sees the other, whatever was before. A request that waited is answered by that.
fn give(contact: &mut Contact, gift: &mut Gift, name: &str) {
    let State { to, from, approved, .. } = contact.state;
    gift.to |= !to;
    gift.from |= !from;
    gift.listed |= !contact.listed;
    contact.state = State { to: true, from: true, approved, ..State::default() };
    contact.request = None;
    contact.listed = true;
    if contact.name.is_none() {
        contact.name = Some(name.into());
        gift.name.clone_from(&contact.name);
    }
}

/// No circle has both in it any more. Of a contact that a circle put into the roster nothing stays, unless the user has
/// made it his own: by a group, a name or a subscription.
fn take(contact: &mut Contact, gift: &Gift) {
    contact.state.to &= !gift.to;
    contact.state.from &= !gift.from;
    let is_named = contact.name != gift.name;
    if !gift.listed {
        if !is_named {
            contact.name = None;
        }
        return;
    }
    if !is_named && contact.groups.is_empty() && contact.state == State::default() {
        contact.name = None;
        contact.listed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linnet_xmpp::Jid;

    fn nobody() -> Contact {
        Contact::new(Jid::parse("juliet@example.com").unwrap())
    }

    fn names(names: &[(u64, &str)]) -> Names {
        names.iter().map(|(id, name)| (*id, Box::from(*name))).collect()
    }

    /// The contact once circles give this.
    fn settled(contact: &Contact, circles: &[(u64, &str)]) -> Contact {
        let mut after = contact.clone();
        settle(&mut after, &names(circles), "Juliet");
        assert!(is_settled(Some(&after), &names(circles), "Juliet"));
        let mut again = after.clone();
        settle(&mut again, &names(circles), "Juliet");
        assert_eq!(again, after, "twice is once");
        after
    }

    /// The user has edited the contact.
    fn edited(contact: &Contact, edit: impl FnOnce(&mut Contact)) -> Contact {
        let mut after = contact.clone();
        edit(&mut after);
        after.gift = contact.gift.as_ref().map(|gift| Box::new(Gift::clone(gift).left_in(&after)));
        after
    }

    fn groups(contact: &Contact) -> Vec<&str> {
        contact.groups.iter().map(|group| &**group).collect()
    }

    fn both() -> State {
        State { to: true, from: true, ..State::default() }
    }

    #[test]
    fn what_was_given_to_nobody_goes_without_a_trace() {
        let given = settled(&nobody(), &[(1, "Verona")]);
        assert_eq!((given.state, given.listed, given.name.as_deref()), (both(), true, Some("Juliet")));
        assert_eq!(groups(&given), ["Verona"]);
        assert_eq!(settled(&given, &[]), nobody());
    }

    #[test]
    fn the_users_own_contact_is_as_before() {
        let (name, groups) = (Some("My Juliet".into()), ["Friends".into(), "Verona".into()].into());
        let own = Contact { name, groups, state: both(), listed: true, ..nobody() };
        let given = settled(&own, &[(1, "Verona"), (2, "Choir")]);
        assert_eq!(self::groups(&given), ["Friends", "Verona", "Choir"]);
        assert_eq!(settled(&given, &[]), own);
        // Where he sees nothing and has no name for her.
        let state = State { from: true, approved: true, ..State::default() };
        let own = Contact { state, listed: true, ..nobody() };
        let given = settled(&own, &[(1, "Verona")]);
        assert_eq!((given.state.subscription(), given.name.as_deref()), (both().subscription(), Some("Juliet")));
        assert_eq!(settled(&given, &[]), own);
    }

    #[test]
    fn one_in_two_circles_stays_until_both_are_gone() {
        let given = settled(&settled(&nobody(), &[(1, "Verona")]), &[(1, "Verona"), (2, "Choir")]);
        let one = settled(&given, &[(2, "Choir")]);
        assert_eq!((groups(&one), one.state), (vec!["Choir"], both()));
        assert_eq!(settled(&one, &[]), nobody());
    }

    #[test]
    fn a_new_name_takes_the_place_of_the_old_one() {
        let given = settled(&nobody(), &[(1, "Verona")]);
        assert_eq!(groups(&settled(&given, &[(1, "Mantua")])), ["Mantua"]);
        // Names that change places.
        let given = settled(&nobody(), &[(1, "A"), (2, "B")]);
        let after = settled(&given, &[(1, "B"), (2, "A")]);
        assert_eq!(groups(&after).len(), 2);
        assert_eq!(groups(&settled(&after, &[(1, "B")])), ["B"]);
        // His own group stays, and he is in the new one.
        let own = Contact { groups: ["Verona".into()].into(), state: both(), listed: true, ..nobody() };
        let after = settled(&settled(&own, &[(1, "Verona")]), &[(1, "Mantua")]);
        assert_eq!(groups(&after), ["Verona", "Mantua"]);
    }

    #[test]
    fn what_the_user_takes_away_does_not_come_back() {
        let given = settled(&nobody(), &[(1, "Verona")]);
        let moved = edited(&given, |contact| contact.groups = ["Friends".into()].into());
        assert_eq!(groups(&settled(&moved, &[(1, "Mantua")])), ["Friends"]);
        let removed = edited(&given, |contact| *contact = nobody());
        assert!(!settled(&removed, &[(1, "Mantua")]).listed);
        assert_eq!(settled(&removed, &[]), nobody());
        // Another circle is another matter.
        let again = settled(&removed, &[(1, "Verona"), (2, "Choir")]);
        assert_eq!((again.listed, again.state, groups(&again)), (true, both(), vec!["Choir"]));
        assert_eq!(settled(&again, &[(1, "Verona")]).state, both());
        assert_eq!(settled(&again, &[]), nobody());
    }

    #[test]
    fn what_the_user_adds_stays() {
        let given = settled(&nobody(), &[(1, "Verona")]);
        let grouped = edited(&given, |contact| contact.groups = ["Verona".into(), "Friends".into()].into());
        let after = settled(&grouped, &[]);
        assert_eq!((after.listed, after.state, groups(&after)), (true, State::default(), vec!["Friends"]));
        let named = edited(&given, |contact| contact.name = Some("Jule".into()));
        let after = settled(&named, &[]);
        assert_eq!((after.listed, after.name.as_deref()), (true, Some("Jule")));
        // A subscription that both made anew, after one had ended what the circle gave.
        let ended = edited(&given, |contact| contact.state = State::default());
        let anew = edited(&ended, |contact| contact.state = both());
        assert_eq!(settled(&anew, &[]).state, both());
    }

    #[test]
    fn a_new_name_of_the_member_reaches_those_who_have_not_given_another() {
        let given = settled(&nobody(), &[(1, "Verona")]);
        assert!(!is_settled(Some(&given), &names(&[(1, "Verona")]), "Julia"));
        let mut after = given.clone();
        settle(&mut after, &names(&[(1, "Verona")]), "Julia");
        assert_eq!(after.name.as_deref(), Some("Julia"));
        let named = edited(&given, |contact| contact.name = Some("Jule".into()));
        assert!(is_settled(Some(&named), &names(&[(1, "Verona")]), "Julia"));
    }

    #[test]
    fn a_request_that_waited_is_answered() {
        let state = State { pending_in: true, pending_out: true, ..State::default() };
        let asked = Contact { state, request: Some("<presence/>".into()), ..nobody() };
        let given = settled(&asked, &[(1, "Verona")]);
        assert_eq!((given.state, &given.request), (both(), &None));
    }
}
