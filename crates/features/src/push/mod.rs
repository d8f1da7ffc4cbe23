//! Push notifications (XEP-0357): a device that has no connection is woken through the app server of its client's
//! makers.
//!
//! [`registration`] holds what clients have enabled, [`wake`] decides which device has to be woken when, and [`courier`]
//! publishes: one task per device that has something to hear, so that much news becomes few notifications.
//!
//! Not done: a presence subscription alone wakes nobody (the next notification counts it); what was disabled because its
//! app server is gone is not tried again after a day (§7.1 leaves it open): clients enable push at every login.

mod command;
mod courier;
mod limits;
mod registration;
mod request;
mod settings;
mod start;
mod wake;

pub(crate) use wake::for_room as wake_for_room;
pub use wake::wakes;

use kernel::{
    Feature, Hook,
    hooks::{At, Handler, Iq, Xep},
};
use linnet_xeps::ns;
use registration::Registrations;

/// Push notifications.
pub static FEATURE: Feature = Feature {
    name: "push",
    xeps: &[Xep { number: 357, version: "0.4.1", note: "" }],
    server_features: &[],
    account_features: &[ns::PUSH],
    stream_features: &[],
    hooks: &[
        Hook::Document { type_id: Registrations::type_id, source: Registrations::SOURCE },
        Hook::Iq(iq("enable", Handler::Now(request::enable))),
        Hook::Iq(iq("disable", Handler::Now(request::disable))),
        Hook::Copy(wake::in_room),
        Hook::Notify(wake::notify),
        Hook::Detached(wake::detached),
        Hook::Ended(wake::ended),
        Hook::Started(start::started),
        Hook::Command(&command::LIST),
    ],
};

const fn iq(name: &'static str, handler: Handler) -> Iq {
    Iq { name, ns: ns::PUSH, get: false, set: true, at: &[At::Own], handler }
}
