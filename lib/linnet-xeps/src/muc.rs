//! Multi-user chat (XEP-0045), what stands in presence and messages: how a client enters a room, and what a room says of
//! its occupants.

use crate::{Payload, attr, child_text, datetime, expect, jid_attr, ns, pubsub::named};
use linnet_xmpp::{
    Jid, StanzaError,
    xml::{Node, Writer},
};
use std::time::SystemTime;

named! {
    /// What somebody may do while he is in a room (§5.1), in ascending order.
    Role {
        /// He is not in it.
        None = "none",
        /// Listens.
        Visitor = "visitor",
        /// Speaks.
        Participant = "participant",
        /// Looks after the others.
        Moderator = "moderator",
    }
}

named! {
    /// How somebody stands to a room, whether he is in it or not (§5.2), in ascending order.
    Affiliation {
        /// May not enter.
        Outcast = "outcast",
        /// Not at all.
        None = "none",
        /// Belongs to it.
        Member = "member",
        /// Says who belongs to it.
        Admin = "admin",
        /// Says what it is.
        Owner = "owner",
    }
}

/// `<x/>` with which a client enters (§7.2.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Join {
    /// The room's password.
    pub password: Option<String>,
    /// How much of what was said before is wanted.
    pub history: Option<History>,
}

/// `<history/>` (§7.2.14): all that is said must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// Characters of all stanzas together.
    pub max_chars: Option<u64>,
    /// Messages.
    pub max_stanzas: Option<u64>,
    /// Of the last seconds.
    pub seconds: Option<u64>,
    /// Since this time.
    pub since: Option<SystemTime>,
}

/// `<x/>` of a room (§7.2.2, §7.8.2, §10.9).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// Whom it is about.
    pub item: Option<Item>,
    /// Codes of what has happened (§16.6).
    pub statuses: Vec<u16>,
    /// Invitations.
    pub invites: Vec<Invite>,
    /// That an invitation was declined.
    pub decline: Option<Invite>,
    /// That the room is no more.
    pub destroy: Option<Destroy>,
    /// The room's password, for whom is invited.
    pub password: Option<String>,
}

/// `<item/>`, of `muc#user` and `muc#admin` alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// His affiliation.
    pub affiliation: Option<Affiliation>,
    /// His role.
    pub role: Option<Role>,
    /// His address.
    pub jid: Option<Jid>,
    /// His nickname.
    pub nick: Option<String>,
    /// Why something was done.
    pub reason: Option<String>,
    /// Who did it.
    pub actor: Option<Actor>,
}

/// `<actor/>`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actor {
    /// His address.
    pub jid: Option<Jid>,
    /// His nickname.
    pub nick: Option<String>,
}

/// `<invite/>` and `<decline/>` (§7.8.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Invite {
    /// For whom it is; in what clients send.
    pub to: Option<Jid>,
    /// Who it is from; in what rooms send.
    pub from: Option<Jid>,
    /// Words with it.
    pub reason: Option<String>,
    /// It goes on with a conversation of two, with this thread (§7.9).
    pub continues: Option<Option<String>>,
}

/// `<destroy/>` (§10.9).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Destroy {
    /// Where one meets instead.
    pub jid: Option<Jid>,
    /// The password there.
    pub password: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl Payload for Join {
    /// What is no number or no time in `<history/>` is passed over: entering is not refused for it.
    fn read(node: Node<'_>) -> Result<Join, StanzaError> {
        expect(node, "x", ns::MUC)?;
        let history = node.child("history", ns::MUC).map(|history| {
            let number = |name: &str| history.attr(name).and_then(|value| value.trim().parse().ok());
            History {
                max_chars: number("maxchars"),
                max_stanzas: number("maxstanzas"),
                seconds: number("seconds"),
                since: history.attr("since").and_then(|value| datetime::parse(&value)),
            }
        });
        Ok(Join { password: child_text(node, "password", ns::MUC), history })
    }

    fn write(&self, out: &mut Writer) {
        out.open("x", ns::MUC);
        if let Some(history) = &self.history {
            out.open("history", ns::MUC);
            let numbers =
                [("maxchars", history.max_chars), ("maxstanzas", history.max_stanzas), ("seconds", history.seconds)];
            for (name, number) in numbers {
                out.attr_opt(name, number.map(|number| number.to_string()).as_deref());
            }
            out.attr_opt("since", history.since.map(datetime::format_ms).as_deref()).close();
        }
        if let Some(password) = &self.password {
            out.leaf("password", ns::MUC, password);
        }
        out.close();
    }
}

impl User {
    /// With codes alone.
    pub fn of(statuses: &[u16]) -> User {
        User { statuses: statuses.to_vec(), ..User::default() }
    }
}

impl Payload for User {
    /// What is not known is passed over; jid-malformed for what is no address.
    fn read(node: Node<'_>) -> Result<User, StanzaError> {
        expect(node, "x", ns::MUC_USER)?;
        let mut user = User { password: child_text(node, "password", ns::MUC_USER), ..User::default() };
        for child in node.children().filter(|child| child.ns() == ns::MUC_USER) {
            match child.name() {
                "item" => user.item = Some(Item::read_in(child, ns::MUC_USER)?),
                "status" => user.statuses.extend(child.attr("code").and_then(|code| code.parse::<u16>().ok())),
                "invite" => user.invites.push(Invite::read(child)?),
                "decline" => user.decline = Some(Invite::read(child)?),
                "destroy" => user.destroy = Some(Destroy::read_in(child, ns::MUC_USER)?),
                _ => {}
            }
        }
        Ok(user)
    }

    fn write(&self, out: &mut Writer) {
        out.open("x", ns::MUC_USER);
        self.item.iter().for_each(|item| item.write_in(ns::MUC_USER, out));
        self.invites.iter().for_each(|invite| invite.write("invite", out));
        self.decline.iter().for_each(|decline| decline.write("decline", out));
        self.destroy.iter().for_each(|destroy| destroy.write_in(ns::MUC_USER, out));
        if let Some(password) = &self.password {
            out.leaf("password", ns::MUC_USER, password);
        }
        for code in &self.statuses {
            out.open("status", ns::MUC_USER).attr("code", &code.to_string()).close();
        }
        out.close();
    }
}

impl Item {
    pub(crate) fn read_in(node: Node<'_>, space: &str) -> Result<Item, StanzaError> {
        let unknown = |name: &str| crate::bad_request(&format!("there is no such {name}"));
        let affiliation = node.attr("affiliation").map(|value| Affiliation::named(&value));
        let role = node.attr("role").map(|value| Role::named(&value));
        let actor = match node.child("actor", space) {
            Some(actor) => Some(Actor { jid: jid_attr(actor, "jid")?, nick: attr(actor, "nick") }),
            None => None,
        };
        Ok(Item {
            affiliation: affiliation.map(|value| value.ok_or_else(|| unknown("affiliation"))).transpose()?,
            role: role.map(|value| value.ok_or_else(|| unknown("role"))).transpose()?,
            jid: jid_attr(node, "jid")?,
            nick: attr(node, "nick"),
            reason: child_text(node, "reason", space).filter(|text| !text.is_empty()),
            actor,
        })
    }

    pub(crate) fn write_in(&self, space: &str, out: &mut Writer) {
        out.open("item", space);
        out.attr_opt("affiliation", self.affiliation.map(Affiliation::name));
        out.attr_opt("role", self.role.map(Role::name));
        out.attr_opt("jid", self.jid.as_ref().map(Jid::as_str)).attr_opt("nick", self.nick.as_deref());
        if let Some(actor) = &self.actor {
            out.open("actor", space).attr_opt("jid", actor.jid.as_ref().map(Jid::as_str));
            out.attr_opt("nick", actor.nick.as_deref()).close();
        }
        if let Some(reason) = &self.reason {
            out.leaf("reason", space, reason);
        }
        out.close();
    }
}

impl Invite {
    fn read(node: Node<'_>) -> Result<Invite, StanzaError> {
        Ok(Invite {
            to: jid_attr(node, "to")?,
            from: jid_attr(node, "from")?,
            reason: child_text(node, "reason", ns::MUC_USER).filter(|text| !text.is_empty()),
            continues: node.child("continue", ns::MUC_USER).map(|node| attr(node, "thread")),
        })
    }

    fn write(&self, name: &str, out: &mut Writer) {
        out.open(name, ns::MUC_USER).attr_opt("to", self.to.as_ref().map(Jid::as_str));
        out.attr_opt("from", self.from.as_ref().map(Jid::as_str));
        if let Some(reason) = &self.reason {
            out.leaf("reason", ns::MUC_USER, reason);
        }
        if let Some(thread) = &self.continues {
            out.open("continue", ns::MUC_USER).attr_opt("thread", thread.as_deref()).close();
        }
        out.close();
    }
}

impl Destroy {
    pub(crate) fn read_in(node: Node<'_>, space: &str) -> Result<Destroy, StanzaError> {
        Ok(Destroy {
            jid: jid_attr(node, "jid")?,
            password: child_text(node, "password", space),
            reason: child_text(node, "reason", space).filter(|text| !text.is_empty()),
        })
    }

    pub(crate) fn write_in(&self, space: &str, out: &mut Writer) {
        out.open("destroy", space).attr_opt("jid", self.jid.as_ref().map(Jid::as_str));
        for (name, text) in [("password", &self.password), ("reason", &self.reason)] {
            if let Some(text) = text {
                out.leaf(name, space, text);
            }
        }
        out.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, refused, written};
    use linnet_xmpp::stanza::Condition;

    /// XEP-0045 examples 26 and 35 to 38.
    #[test]
    fn entering() {
        let join = read::<Join>(
            "<x xmlns='http://jabber.org/protocol/muc'><password>cauldronburn</password>\
             <history maxchars='65000' maxstanzas='20' seconds='180' since='1970-01-01T00:00:00Z'/></x>",
        )
        .unwrap();
        let history = join.history.unwrap();
        assert_eq!((history.max_chars, history.max_stanzas, history.seconds), (Some(65000), Some(20), Some(180)));
        assert_eq!(history.since, Some(SystemTime::UNIX_EPOCH));
        written(&join);
        let odd = "<x xmlns='http://jabber.org/protocol/muc'><history maxchars='many' since='then'/></x>";
        assert_eq!(read::<Join>(odd).unwrap().history, Some(History::default()));
        assert_eq!(written(&Join::default()), "<x xmlns='http://jabber.org/protocol/muc'/>");
    }

    /// XEP-0045 examples 57, 59, 92, 134 and 202.
    #[test]
    fn what_rooms_say() {
        for xml in [
            "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'>\
             <actor jid='fluellen@shakespeare.lit' nick='Fluellen'/><reason>Avaunt!</reason></item><status code='307'/></x>",
            "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='crone1@shakespeare.lit/desktop'>\
             <reason>Hey</reason><continue thread='e0'/></invite><password>cauldronburn</password></x>",
            "<x xmlns='http://jabber.org/protocol/muc#user'><decline from='hecate@shakespeare.lit'/></x>",
            "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'/>\
             <destroy jid='coven@chat.shakespeare.lit'><reason>Macbeth doth come.</reason></destroy></x>",
        ] {
            assert_eq!(written(&read::<User>(xml).unwrap()), xml);
        }
        for bad in ["<item affiliation='emperor'/>", "<item role='emperor'/>"] {
            let xml = format!("<x xmlns='http://jabber.org/protocol/muc#user'>{bad}</x>");
            assert_eq!(refused::<User>(&xml), Some(Condition::BadRequest));
        }
    }

    #[test]
    fn ranks() {
        assert!(Role::Moderator > Role::Participant && Role::Visitor > Role::None);
        assert!(Affiliation::Owner > Affiliation::Admin && Affiliation::None > Affiliation::Outcast);
    }
}
