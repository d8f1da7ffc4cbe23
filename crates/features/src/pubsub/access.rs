//! Who may do what with a node: affiliations, access model and publish model (XEP-0060 §4.1, §4.5). Everything else in
//! this folder asks here.

use super::document::{Node, Nodes};
use kernel::{
    Account, Kernel, Turn,
    access::{self, Action},
    hooks::Relation,
};
use linnet_xeps::{
    pubsub::{Affiliation, error},
    pubsub_config::{AccessModel, PublishModel},
};
use linnet_xmpp::{Jid, StanzaError, stanza::Condition};
use std::sync::Arc;

use crate::roster::Roster;

/// Whose nodes they are, and who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) account: &'a Account,
    pub(crate) actor: &'a Jid,
}

impl<'a> Host<'a> {
    /// Of the nodes that a stanza is about.
    pub(crate) fn of(turn: &Turn<'a>) -> Host<'a> {
        let actor = turn.stanza.from.as_ref().unwrap_or(&turn.account.address);
        Host { kernel: turn.kernel, account: turn.account, actor }
    }

    /// Whether the nodes are an account's (XEP-0163), not a service's.
    pub(crate) fn is_account(&self) -> bool {
        self.account.address.local().is_some()
    }

    pub(crate) fn nodes(&self) -> &'a Nodes {
        self.account.document().unwrap_or(Nodes::NONE)
    }

    pub(crate) fn node(&self, name: &str) -> Result<&'a Arc<Node>, StanzaError> {
        self.nodes().get(name).ok_or_else(|| Condition::ItemNotFound.into())
    }

    /// A node that the actor owns (§8).
    pub(crate) fn owned(&self, name: &str) -> Result<&'a Arc<Node>, StanzaError> {
        let node = self.node(name)?;
        if self.affiliation(node, self.actor) == Affiliation::Owner {
            Ok(node)
        } else {
            Err(Condition::Forbidden.into())
        }
    }

    /// How somebody stands to a node.
    pub(crate) fn affiliation(&self, node: &Node, who: &Jid) -> Affiliation {
        let is_owner = if self.is_account() {
            who.bare_str() == self.account.address.as_str()
        } else {
            access::is_admin(self.kernel, who)
        };
        if is_owner {
            return Affiliation::Owner;
        }
        node.affiliation(who.bare_str())
    }

    /// Whether the actor may make nodes here: an account's only itself; a service's everybody with an account here.
    pub(crate) fn may_create(&self) -> bool {
        if self.is_account() {
            access::may(self.kernel, self.actor, Action::Own, self.account)
        } else {
            access::is_ours(self.kernel, self.actor)
        }
    }

    /// Whether somebody may read items (§6.5.9). With `authorize` only subscribers and those with an affiliation.
    pub(crate) fn may_read(&self, node: &Node, who: &Jid) -> Result<(), StanzaError> {
        if self.may_subscribe(node, who)? || node.is_subscribed(who.bare_str(), self.now()) {
            return Ok(());
        }
        Err(error(Condition::NotAuthorized, "not-subscribed"))
    }

    /// Whether somebody may subscribe (§6.1.3); false: an owner has to approve it.
    pub(crate) fn may_subscribe(&self, node: &Node, who: &Jid) -> Result<bool, StanzaError> {
        match self.affiliation(node, who) {
            Affiliation::Owner | Affiliation::Publisher | Affiliation::Member => return Ok(true),
            Affiliation::Outcast | Affiliation::PublishOnly => return Err(Condition::Forbidden.into()),
            Affiliation::None => {}
        }
        match node.config.access {
            AccessModel::Open => Ok(true),
            AccessModel::Authorize => Ok(false),
            AccessModel::Whitelist => Err(error(Condition::NotAllowed, "closed-node")),
            AccessModel::Presence if self.relation(who) >= Relation::Subscriber => Ok(true),
            AccessModel::Presence => Err(error(Condition::NotAuthorized, "presence-subscription-required")),
            AccessModel::Roster if self.is_in_groups(node, who) => Ok(true),
            AccessModel::Roster => Err(error(Condition::NotAuthorized, "not-in-roster-group")),
        }
    }

    /// Whether the actor may publish (§7.1.3.1).
    pub(crate) fn may_publish(&self, node: &Node) -> bool {
        match (self.affiliation(node, self.actor), node.config.publish) {
            (Affiliation::Owner | Affiliation::Publisher | Affiliation::PublishOnly, _) => true,
            (Affiliation::Outcast, _) | (_, PublishModel::Publishers) => false,
            (_, PublishModel::Open) => true,
            (_, PublishModel::Subscribers) => node.is_subscribed(self.actor.bare_str(), self.now()),
        }
    }

    /// Whether the actor may put items in place of others', and take them away; everybody else only his own (§4.1).
    pub(crate) fn may_replace(&self, node: &Node) -> bool {
        self.affiliation(node, self.actor) == Affiliation::Owner
    }

    fn now(&self) -> std::time::SystemTime {
        self.kernel.context.now()
    }

    fn relation(&self, who: &Jid) -> Relation {
        access::relation(self.kernel, self.account, who)
    }

    fn is_in_groups(&self, node: &Node, who: &Jid) -> bool {
        let contact = self.account.document::<Roster>().and_then(|roster| roster.contact(&who.bare()));
        contact.is_some_and(|contact| {
            contact.groups.iter().any(|group| node.config.groups.iter().any(|name| **group == **name))
        })
    }
}
