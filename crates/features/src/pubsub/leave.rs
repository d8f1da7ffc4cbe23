//! What an account that is removed leaves at the services: its affiliations and subscriptions end, so that whoever takes
//! its name later does not inherit them, and nodes that nobody else owns are deleted.

use super::document::{Node, Nodes};
use kernel::Kernel;
use linnet_xeps::pubsub::Affiliation;
use linnet_xmpp::Jid;
use std::sync::Arc;

/// Takes an account out of all nodes of the services.
pub(crate) async fn leave(kernel: &Arc<Kernel>, account: &Jid) {
    for domain in &kernel.settings.domains {
        for hosted in kernel.services_of(domain.domain()).filter(|hosted| hosted.service.label == super::LABEL) {
            match kernel.owner(&hosted.address).await {
                Ok(owner) => while leave_one(kernel, &owner, account) {},
                Err(error) => tracing::error!(%error, service = %hosted.address, "the service could not be read"),
            }
        }
    }
}

/// Takes it out of one node; false if there is none left. One at a time: a turn sees what was before it.
fn leave_one(kernel: &Arc<Kernel>, owner: &Arc<kernel::owner::Owner>, account: &Jid) -> bool {
    let mut found = false;
    kernel.act(owner, false, |turn| {
        let nodes = turn.account.document::<Nodes>().unwrap_or(Nodes::NONE);
        let is_in = |node: &&Arc<Node>| {
            node.affiliation(account.as_str()) != Affiliation::None
                || node.subscriptions.iter().any(|one| one.jid.bare_str() == account.as_str())
        };
        let Some(node) = nodes.iter().find(is_in) else { return };
        found = true;
        let mut node = Node::clone(node);
        node.set_affiliation(account, Affiliation::None);
        node.subscriptions.retain(|one| one.jid.bare_str() != account.as_str());
        if node.affiliations.iter().any(|(_, affiliation)| *affiliation == Affiliation::Owner) {
            Nodes::put(turn, node);
        } else {
            node.changed();
            Nodes::remove(turn, &[node.name]);
        }
    });
    found
}
