//! Ad-hoc commands (XEP-0050): every administrative command of the registry as a form. What the registry holds of
//! service administration (XEP-0133) stands in the folders of the features that it is about, and in `admin`.

mod admin;
mod run;

use kernel::{
    Feature, Hook, Turn, access,
    hooks::{At, Handler, Iq, Xep},
};
use linnet_xeps::{
    disco::{Identity, Info, Item},
    ns,
};

/// Ad-hoc commands and service administration.
pub static FEATURE: Feature = Feature {
    name: "commands",
    xeps: &[
        Xep { number: 50, version: "1.3.0", note: "" },
        Xep { number: 133, version: "1.3.1", note: "accounts, sessions, counts and announcements" },
    ],
    server_features: &[ns::COMMANDS],
    account_features: &[],
    stream_features: &[],
    hooks: &[
        Hook::Iq(Iq {
            name: "command",
            ns: ns::COMMANDS,
            get: false,
            set: true,
            at: &[At::Server],
            handler: Handler::Later(run::answer),
        }),
        Hook::Command(&admin::USERS_NUM),
        Hook::Command(&admin::ONLINE_NUM),
        Hook::Command(&admin::ONLINE_LIST),
        Hook::Command(&admin::DISABLED_LIST),
        Hook::Command(&admin::END_SESSION),
        Hook::Command(&admin::ROSTER),
        Hook::Command(&admin::ANNOUNCE),
    ],
};

/// What a node says of itself (XEP-0050 §2.3); `None` where there is no such command for the actor.
pub(crate) fn info(turn: &Turn<'_>, node: &str) -> Option<Info> {
    if node == ns::COMMANDS {
        let identities = vec![Identity::new("automation", "command-list", "")];
        return Some(Info { identities, features: vec![ns::COMMANDS.into()], ..Info::default() });
    }
    let command = turn.kernel.hooks.command(node).filter(|_| access::is_admin(turn.kernel, turn.actor()))?;
    let features = vec![ns::COMMANDS.into(), ns::DATA_FORMS.into()];
    Some(Info {
        identities: vec![Identity::new("automation", "command-node", command.help)],
        features,
        ..Info::default()
    })
}

/// The commands that the actor may run (XEP-0050 §2.2): none for ordinary users.
pub(crate) fn items(turn: &Turn<'_>) -> Vec<Item> {
    if !access::is_admin(turn.kernel, turn.actor()) {
        return Vec::new();
    }
    let Some(server) = turn.stanza.to.clone() else { return Vec::new() };
    let commands = turn.kernel.hooks.commands.iter();
    commands
        .map(|command| Item { jid: server.clone(), node: Some(command.node.into()), name: Some(command.help.into()) })
        .collect()
}
