//! Accounts: their keys, and the answers to a stream that wants to know them. Only SCRAM keys are stored, never a
//! password (RFC 5802 §9).

mod commands;
mod credentials;
mod login;

use credentials::Standing;
pub use credentials::{Credentials, create, remove, set_disabled, set_password};
pub(crate) use login::is_disabled;

use kernel::{
    Feature, Hook,
    hooks::{Source, Xep},
};
use std::any::TypeId;

/// Accounts.
pub static FEATURE: Feature = Feature {
    name: "accounts",
    xeps: &[Xep { number: 480, version: "0.2.0", note: "" }],
    server_features: &[],
    account_features: &[],
    stream_features: &[],
    hooks: &[
        Hook::Document { type_id: TypeId::of::<Standing>, source: Source::Account(Standing::decode) },
        Hook::Stream(login::answer),
        Hook::Admit(login::admit),
        Hook::Command(&commands::ADD),
        Hook::Command(&commands::PASSWORD),
        Hook::Command(&commands::LIST),
        Hook::Command(&commands::REMOVE),
        Hook::Command(&commands::DISABLE),
        Hook::Command(&commands::ENABLE),
    ],
};
