//! What the server can do: one folder per family of XEPs. [`FEATURES`] is the only place where order is written.

pub mod accounts;
pub mod blocking;
mod codec;
pub mod commands;
pub mod discovery;
pub mod entity;
mod marks;
pub mod messages;
pub mod offline;
pub mod presence;
pub mod registration;
pub mod roster;
pub mod storage;

use kernel::Feature;

/// All features, in the order in which their hooks run: what refuses before what acts.
pub static FEATURES: &[&Feature] = &[
    &blocking::FEATURE,
    &accounts::FEATURE,
    &roster::FEATURE,
    &presence::FEATURE,
    &messages::FEATURE,
    &offline::FEATURE,
    &discovery::FEATURE,
    &entity::FEATURE,
    &storage::FEATURE,
    &registration::FEATURE,
    &commands::FEATURE,
];
