//! The scenarios: one file each, listed in `ALL`. Adding one is writing its file and its line here.

mod again;
mod chat;
mod idle;
mod login;
mod presence;
mod resets;

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::json;

use crate::figure::Figure;
use crate::relay::Relay;
use crate::session::Target;
use crate::window::Window;

/// Every scenario, in the order of the table.
pub(crate) const ALL: &[Scenario] =
    &[login::SCENARIO, again::SCENARIO, idle::SCENARIO, chat::SCENARIO, presence::SCENARIO, resets::SCENARIO];

/// Something to measure, in one or more variants; each variant gets a fresh server process.
pub(crate) struct Scenario {
    /// First column of the table.
    pub(crate) name: &'static str,
    /// One sentence for the page that explains the table.
    pub(crate) about: &'static str,
    /// Second column of the table.
    pub(crate) variants: &'static [&'static str],
    /// Those of them that the bare relay can do too; they hold "TLS" when the relay must.
    pub(crate) on_relay: &'static [&'static str],
    /// Measures one variant.
    pub(crate) run: fn(Run, &'static str) -> Pending,
}

/// What a scenario returns when it is done.
pub(crate) type Pending = Pin<Box<dyn Future<Output = io::Result<Vec<Figure>>>>>;

/// What a scenario works on.
pub(crate) struct Run {
    /// The one to load.
    pub(crate) subject: Subject,
    /// Its process.
    pub(crate) pid: u32,
    /// How long to measure.
    pub(crate) window: Window,
}

impl Run {
    /// The server under test; the relay is an error.
    pub(crate) fn server(&self) -> io::Result<&Arc<Target>> {
        match &self.subject {
            Subject::Server(target) => Ok(target),
            Subject::Relay(_) => Err(io::Error::other("the relay cannot do this scenario")),
        }
    }
}

/// Who is measured.
pub(crate) enum Subject {
    /// An XMPP server.
    Server(Arc<Target>),
    /// The bare relay.
    Relay(Relay),
}

impl Scenario {
    /// The scenario as a line of JSON.
    pub(crate) fn line(&self) -> String {
        json!({"scenario": self.name, "about": self.about, "variants": self.variants, "on_relay": self.on_relay})
            .to_string()
    }
}

/// Looks up a scenario and its variant by name.
pub(crate) fn find(scenario: &str, variant: &str) -> io::Result<(&'static Scenario, &'static str)> {
    let found = ALL.iter().find(|each| each.name == scenario);
    let variant = found.and_then(|found| Some((found, *found.variants.iter().find(|each| **each == variant)?)));
    variant.ok_or_else(|| io::Error::other(format!("no scenario {scenario:?} with that variant; see `bench list`")))
}
