//! Who may do what in a room: the tables of XEP-0045 §5.1.1 and §5.2.1, and the state charts of §5.1.3 and §5.2.2. All
//! else in this folder asks here.

use super::config::{Config, Roles};
use linnet_xeps::muc::{Affiliation, Role};
use linnet_xmpp::stanza::Condition;

/// What one may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Privilege {
    /// Send messages to all (§7.4).
    Speak,
    /// Change the subject (§8.1).
    ChangeSubject,
    /// Send a message to one occupant (§7.5).
    SpeakPrivately,
    /// Have somebody invited by the room (§7.8.2).
    Invite,
    /// See real addresses where not everybody does (§7.2.4).
    SeeAddresses,
    /// See lists of occupants by role; ask in the name of the room, give voice (§8).
    Moderate,
    /// See who is a member (§9.5).
    ReadMembers,
    /// See who is admin or owner (§10.5, §10.8).
    ReadOfficers,
    /// Change who is a member or outcast, and who is moderator; see outcasts (§9).
    Administer,
    /// Change who is admin or owner, and the configuration; end the room (§10).
    Own,
}

/// What somebody must be: at least of this role, or at least of this affiliation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needs {
    role: Option<Role>,
    affiliation: Option<Affiliation>,
}

const fn role(role: Role) -> Needs {
    Needs { role: Some(role), affiliation: None }
}

const fn affiliation(affiliation: Affiliation) -> Needs {
    Needs { role: None, affiliation: Some(affiliation) }
}

const NOBODY: Needs = Needs { role: None, affiliation: None };

impl Privilege {
    /// The table.
    fn needs(self, config: &Config) -> Needs {
        match self {
            Privilege::Speak => role(Role::Participant),
            Privilege::ChangeSubject if config.subject_by_all => role(Role::Participant),
            Privilege::ChangeSubject => role(Role::Moderator),
            Privilege::SpeakPrivately => config.private_messages().map_or(NOBODY, role),
            // §9.5: into a members-only room it makes the invited one a member.
            Privilege::Invite if !config.members_only => role(Role::Visitor),
            Privilege::Invite if config.invites_by_members => affiliation(Affiliation::Member),
            Privilege::Invite => affiliation(Affiliation::Admin),
            Privilege::SeeAddresses if config.is_open_about_addresses() => role(Role::Visitor),
            Privilege::SeeAddresses => role(Role::Moderator),
            Privilege::Moderate => role(Role::Moderator),
            // §5.2.1: where addresses are hidden, the list that consists of them is too.
            Privilege::ReadMembers if !config.is_open_about_addresses() => affiliation(Affiliation::Admin),
            Privilege::ReadOfficers if !config.is_open_about_addresses() => affiliation(Affiliation::Owner),
            Privilege::ReadMembers => {
                Needs { role: config.roles_that_list_members().lowest(), affiliation: Some(Affiliation::Member) }
            }
            Privilege::ReadOfficers => affiliation(Affiliation::Member),
            Privilege::Administer => affiliation(Affiliation::Admin),
            Privilege::Own => affiliation(Affiliation::Owner),
        }
    }
}

/// How somebody stands to a room at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// His role; [`Role::None`]: he is not in it.
    pub(super) role: Role,
    /// His affiliation.
    pub(super) affiliation: Affiliation,
}

impl Standing {
    /// Whether he has a privilege.
    pub(super) fn may(self, privilege: Privilege, config: &Config) -> bool {
        let needs = privilege.needs(config);
        needs.role.is_some_and(|role| self.role >= role)
            || needs.affiliation.is_some_and(|affiliation| self.affiliation >= affiliation)
    }
}

/// The role that one has on entering (§5.1.2).
pub(super) fn default_role(affiliation: Affiliation, config: &Config) -> Role {
    match affiliation {
        Affiliation::Owner | Affiliation::Admin => Role::Moderator,
        Affiliation::Member => Role::Participant,
        Affiliation::None if config.moderated => Role::Visitor,
        Affiliation::None => Role::Participant,
        Affiliation::Outcast => Role::None,
    }
}

/// Whether the actor may change a role (§5.1.3, §8.2 to §8.5, §9.6 to §9.8); else the condition that he is told.
pub(super) fn change_role(actor: Standing, target: Standing, new: Role, is_self: bool) -> Result<(), Condition> {
    let is_admin = actor.affiliation >= Affiliation::Admin;
    if actor.role < Role::Moderator && !is_admin {
        return Err(Condition::Forbidden);
    }
    // Admins and owners are moderators and stay so; who is above one is out of reach.
    let out_of_reach = target.affiliation > actor.affiliation;
    match (target.role, new) {
        (old, new) if old == new => Ok(()),
        (_, Role::Moderator) => {
            if is_admin {
                Ok(())
            } else {
                Err(Condition::Forbidden)
            }
        }
        (_, Role::None) if is_self => Err(Condition::Conflict),
        (Role::Moderator, Role::None) if out_of_reach || !is_admin => Err(Condition::NotAllowed),
        (_, Role::None) => {
            if out_of_reach {
                Err(Condition::NotAllowed)
            } else {
                Ok(())
            }
        }
        (Role::Visitor, Role::Participant) => Ok(()),
        _ if target.affiliation >= Affiliation::Admin || out_of_reach => Err(Condition::NotAllowed),
        (Role::Moderator, _) => {
            if is_admin {
                Ok(())
            } else {
                Err(Condition::Forbidden)
            }
        }
        // §8.4: not from whom one is equal to; among those without affiliation the role decides.
        (_, Role::Visitor) if target.affiliation == actor.affiliation && target.affiliation > Affiliation::None => {
            Err(Condition::NotAllowed)
        }
        _ => Ok(()),
    }
}

/// Whether the actor may change an affiliation (§5.2.2, §9.1 to §9.5, §10.3 to §10.8); else the condition that he is
/// told. `other_owners`: how many there are beside the one whose affiliation it is.
pub(super) fn change_affiliation(
    actor: Affiliation,
    old: Affiliation,
    new: Affiliation,
    is_self: bool,
    other_owners: usize,
) -> Result<(), Condition> {
    if actor < Affiliation::Admin {
        return Err(Condition::Forbidden);
    }
    if is_self && new == Affiliation::Outcast {
        return Err(Condition::Conflict);
    }
    let concerns_officers = old >= Affiliation::Admin || new >= Affiliation::Admin;
    if actor != Affiliation::Owner && concerns_officers && old != new {
        return Err(if new == Affiliation::Outcast { Condition::NotAllowed } else { Condition::Forbidden });
    }
    if old == Affiliation::Owner && new != Affiliation::Owner && other_owners == 0 {
        return Err(Condition::Conflict);
    }
    Ok(())
}

/// The role of an occupant whose affiliation changes (§5.1.3).
pub(super) fn role_after(role: Role, old: Affiliation, new: Affiliation, config: &Config) -> Role {
    let default = default_role(new, config);
    if old >= Affiliation::Admin && new < Affiliation::Admin || new == Affiliation::Outcast {
        return default;
    }
    // What was gained stays, but for the voice that only membership gave.
    if new == Affiliation::None && old == Affiliation::Member && role < Role::Moderator {
        default
    } else {
        role.max(default)
    }
}

impl Roles {
    /// The lowest of them.
    fn lowest(self) -> Option<Role> {
        [Role::Visitor, Role::Participant, Role::Moderator].into_iter().find(|role| self.has(*role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Affiliation::{Admin, Member, None, Outcast, Owner};

    fn standing(role: Role, affiliation: Affiliation) -> Standing {
        Standing { role, affiliation }
    }

    /// XEP-0045 §5.1.1, §5.2.1.
    #[test]
    fn the_tables() {
        let config = Config::plain();
        let may = |role, affiliation, privilege| standing(role, affiliation).may(privilege, &config);
        assert!(!may(Role::Visitor, None, Privilege::Speak) && may(Role::Participant, None, Privilege::Speak));
        assert!(may(Role::Visitor, None, Privilege::SpeakPrivately) && may(Role::Visitor, None, Privilege::Invite));
        assert!(!may(Role::None, None, Privilege::Invite) && !may(Role::None, Owner, Privilege::Speak));
        assert!(!may(Role::Participant, Owner, Privilege::ChangeSubject));
        assert!(may(Role::Moderator, None, Privilege::ChangeSubject));
        assert!(!may(Role::Moderator, Member, Privilege::Administer) && may(Role::None, Admin, Privilege::Administer));
        assert!(!may(Role::None, Admin, Privilege::Own) && may(Role::None, Owner, Privilege::Own));
        assert!(!may(Role::Participant, Member, Privilege::ReadMembers));
        let group = Config::group();
        assert!(standing(Role::None, Member).may(Privilege::ReadMembers, &group));
        assert!(!standing(Role::None, None).may(Privilege::ReadMembers, &group));
        assert!(standing(Role::Participant, Member).may(Privilege::Invite, &group));
        let strict = Config { invites_by_members: false, ..group };
        assert!(!standing(Role::Participant, Member).may(Privilege::Invite, &strict));
    }

    /// XEP-0045 §5.1.3, §8.2, §8.4, §9.7.
    #[test]
    fn roles() {
        let moderator = standing(Role::Moderator, None);
        let participant = standing(Role::Participant, None);
        let owner = standing(Role::Moderator, Owner);
        let change = |actor, target, new| change_role(actor, target, new, false);
        assert_eq!(change(participant, standing(Role::Visitor, None), Role::Participant), Err(Condition::Forbidden));
        assert_eq!(change(moderator, participant, Role::None), Ok(()));
        assert_eq!(change(moderator, moderator, Role::None), Err(Condition::NotAllowed));
        assert_eq!(change(moderator, owner, Role::None), Err(Condition::NotAllowed));
        assert_eq!(change(standing(Role::Moderator, Admin), owner, Role::None), Err(Condition::NotAllowed));
        assert_eq!(change(owner, moderator, Role::None), Ok(()));
        assert_eq!(change(owner, owner, Role::Visitor), Err(Condition::NotAllowed));
        assert_eq!(change(moderator, participant, Role::Moderator), Err(Condition::Forbidden));
        assert_eq!(change(moderator, moderator, Role::Participant), Err(Condition::Forbidden));
        assert_eq!(change(moderator, participant, Role::Visitor), Ok(()));
        assert_eq!(change_role(owner, owner, Role::None, true), Err(Condition::Conflict));
    }

    /// XEP-0045 §5.2.2, §9.1, §10.4.
    #[test]
    fn affiliations() {
        assert_eq!(change_affiliation(Member, None, Member, false, 1), Err(Condition::Forbidden));
        assert_eq!(change_affiliation(Admin, None, Outcast, false, 1), Ok(()));
        assert_eq!(change_affiliation(Admin, Owner, Outcast, false, 0), Err(Condition::NotAllowed));
        assert_eq!(change_affiliation(Admin, None, Admin, false, 1), Err(Condition::Forbidden));
        assert_eq!(change_affiliation(Owner, Owner, Outcast, true, 1), Err(Condition::Conflict));
        assert_eq!(change_affiliation(Owner, Owner, None, true, 0), Err(Condition::Conflict));
        assert_eq!(change_affiliation(Owner, Owner, None, true, 1), Ok(()));
    }

    #[test]
    fn roles_follow_affiliations() {
        let moderated = Config { moderated: true, ..Config::plain() };
        assert_eq!(role_after(Role::Visitor, None, Member, &moderated), Role::Participant);
        assert_eq!(role_after(Role::Participant, Member, None, &moderated), Role::Visitor);
        assert_eq!(role_after(Role::Moderator, Member, None, &moderated), Role::Moderator);
        assert_eq!(role_after(Role::Moderator, Admin, None, &moderated), Role::Visitor);
        assert_eq!(role_after(Role::Participant, Member, Owner, &moderated), Role::Moderator);
        assert_eq!(role_after(Role::Moderator, Owner, Outcast, &moderated), Role::None);
    }
}
