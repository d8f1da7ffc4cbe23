//! Who may do what: one function. Features ask it; none decides by itself.

use crate::{Kernel, account::Account, hooks::Relation};
use linnet_xmpp::Jid;

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// See what an account shows to everybody (vCard).
    ReadProfile,
    /// See what an account shows to those who see its presence (last activity, features of the account).
    ReadPresence,
    /// Read or change what is an account's own (roster, private data, block list, password).
    Own,
    /// Run administrative commands.
    Administer,
}

/// Whether an actor may do something to an account. For [`Action::Administer`] the account is the actor's own.
pub fn may(kernel: &Kernel, actor: &Jid, action: Action, object: &Account) -> bool {
    match action {
        Action::ReadProfile => true,
        Action::ReadPresence => relation(kernel, object, actor) >= Relation::Subscriber,
        Action::Own => relation(kernel, object, actor) == Relation::Own,
        Action::Administer => is_admin(kernel, actor),
    }
}

/// Whether the administrator has named this address.
pub fn is_admin(kernel: &Kernel, actor: &Jid) -> bool {
    kernel.settings.admins.iter().any(|admin| admin.as_str() == actor.bare_str())
}

/// Whether an actor has an account at one of our domains.
pub fn is_ours(kernel: &Kernel, actor: &Jid) -> bool {
    actor.local().is_some() && kernel.serves(actor.domain())
}

/// How an actor stands to an account.
pub fn relation(kernel: &Kernel, account: &Account, actor: &Jid) -> Relation {
    if actor.bare_str() == account.address.as_str() {
        return Relation::Own;
    }
    kernel.hooks.relation.map_or(Relation::Stranger, |relation| relation(account, actor))
}
