//! Accounts: their keys, and the answers to a stream that wants to know them. Only SCRAM keys are stored, never a
//! password (RFC 5802 §9).

mod commands;
mod credentials;
mod login;

pub use credentials::{Credentials, create, remove, set_disabled, set_password};

use kernel::{Feature, Hook};

/// Accounts.
pub static FEATURE: Feature = Feature {
    name: "accounts",
    xeps: &[],
    server_features: &[],
    account_features: &[],
    stream_features: &[],
    hooks: &[
        Hook::Stream(login::answer),
        Hook::Command(&commands::ADD),
        Hook::Command(&commands::PASSWORD),
        Hook::Command(&commands::LIST),
        Hook::Command(&commands::REMOVE),
        Hook::Command(&commands::DISABLE),
        Hook::Command(&commands::ENABLE),
    ],
};
