//! The installations of clients that have access to an account: what is known of each, tokens by which they log in again
//! in one round trip (XEP-0484), and the owner's view of them (XEP-0494).
//!
//! An installation is known by the id that its user agent says (XEP-0388 §2.3). The id itself is not kept: a name of ours
//! stands for it. Tokens are kept as they are, since they are the keys of HMACs. A new password ends all of them.

mod commands;
mod list;
mod login;
mod record;

pub(crate) use record::TABLE;

use kernel::{
    Feature, Hook,
    hooks::{At, Handler, Iq, Xep},
};
use linnet_xeps::ns;
use linnet_xmpp::stream::steps::Fast;

/// Devices of accounts.
pub static FEATURE: Feature = Feature {
    name: "devices",
    xeps: &[
        Xep { number: 484, version: "0.2.0", note: "no early data of TLS" },
        Xep {
            number: 494,
            version: "0.1.0",
            note: "a client that knows the password loses tokens and sessions before it is said that a new one is needed",
        },
    ],
    server_features: &[],
    account_features: &[ns::CLIENT_ACCESS],
    stream_features: &[],
    hooks: &[
        Hook::Step(&Fast, |_| true),
        Hook::Stream(login::answer),
        Hook::Entered(login::entered),
        Hook::Iq(iq("list", true, list::answer)),
        Hook::Iq(iq("revoke", false, list::revoke)),
        Hook::Command(&commands::LIST),
        Hook::Command(&commands::REVOKE),
    ],
};

type Answer = fn(kernel::hooks::Ask) -> store::Future<'static, Result<bytes::Bytes, linnet_xmpp::StanzaError>>;

const fn iq(name: &'static str, get: bool, answer: Answer) -> Iq {
    Iq { name, ns: ns::CLIENT_ACCESS, get, set: !get, at: &[At::Own], handler: Handler::Later(answer) }
}
