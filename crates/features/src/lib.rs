//! What the server can do: one folder per family of XEPs. [`FEATURES`] is the only place where order is written.

pub mod accounts;
pub mod archive;
pub mod avatars;
pub mod blocking;
pub mod bookmarks;
pub mod carbons;
pub mod circles;
mod codec;
pub mod commands;
pub mod devices;
pub mod discovery;
pub mod displayed;
pub mod entity;
pub mod federation;
mod marks;
pub mod messages;
pub mod offline;
pub mod pep;
pub mod presence;
pub mod pubsub;
pub mod push;
pub mod registration;
pub mod relays;
pub mod reports;
pub mod requests;
pub mod rooms;
pub mod roster;
pub mod storage;
pub mod strangers;
pub mod streams;
pub mod upload;

use bytes::Bytes;
use kernel::{Feature, Kernel};

/// All features, in the order in which their hooks run: what refuses before what acts.
pub static FEATURES: &[&Feature] = &[
    &blocking::FEATURE,
    &reports::FEATURE,
    &strangers::FEATURE,
    &accounts::FEATURE,
    &devices::FEATURE,
    &roster::FEATURE,
    &presence::FEATURE,
    &displayed::FEATURE,
    &circles::FEATURE,
    &messages::FEATURE,
    &carbons::FEATURE,
    &archive::FEATURE,
    &push::FEATURE,
    &requests::FEATURE,
    &offline::FEATURE,
    &pubsub::FEATURE,
    &pep::FEATURE,
    &bookmarks::FEATURE,
    &avatars::FEATURE,
    &rooms::FEATURE,
    &discovery::FEATURE,
    &entity::FEATURE,
    &storage::FEATURE,
    &registration::FEATURE,
    &relays::FEATURE,
    &upload::FEATURE,
    &streams::FEATURE,
    &federation::FEATURE,
    &commands::FEATURE,
];

/// The services that features host at sub-domains.
pub fn services() -> impl Iterator<Item = &'static kernel::Service> {
    FEATURES.iter().flat_map(|feature| feature.hooks).filter_map(|hook| match hook {
        kernel::Hook::Service(service) => Some(service),
        _ => None,
    })
}

/// The feature elements that client streams tell after login and that ask for no negotiation, canonical XML.
pub fn stream_features(kernel: &Kernel) -> Bytes {
    let mut all = discovery::server_caps(kernel).to_vec();
    for feature in kernel.hooks.features.iter().flat_map(|feature| feature.stream_features) {
        all.extend_from_slice(feature.as_bytes());
    }
    all.into()
}
