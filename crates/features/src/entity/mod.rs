//! What anybody may ask of the server: whether it is there (XEP-0199), what it is (XEP-0092), what its clock says
//! (XEP-0202), and when an account was seen last (XEP-0012).

mod last;

pub(crate) use last::seen;

use bytes::Bytes;
use kernel::{
    Feature, Hook, Turn,
    hooks::{At, Handler, Iq, Xep},
};
use linnet_xeps::{Payload, ns, time::Time, version::Version};
use linnet_xmpp::StanzaError;

/// Ping, version, time, last activity.
pub static FEATURE: Feature = Feature {
    name: "entity",
    xeps: &[
        Xep { number: 12, version: "2.0", note: "" },
        Xep { number: 92, version: "1.1", note: "" },
        Xep { number: 199, version: "2.0.1", note: "" },
        Xep { number: 202, version: "2.0", note: "" },
    ],
    server_features: &[ns::PING, ns::VERSION, ns::TIME, ns::LAST],
    account_features: &[ns::PING, ns::LAST],
    stream_features: &[],
    hooks: &[
        Hook::Iq(iq("ping", ns::PING, &[At::Own, At::Server, At::AnyService], Handler::Now(|_| Ok(Bytes::new())))),
        Hook::Iq(iq("query", ns::VERSION, &[At::Server], Handler::Now(version))),
        Hook::Iq(iq("time", ns::TIME, &[At::Server], Handler::Now(time))),
        Hook::Iq(iq("query", ns::LAST, &[At::Server], Handler::Now(last::uptime))),
        Hook::Iq(iq("query", ns::LAST, &[At::Own, At::Account], Handler::Later(last::of_account))),
    ],
};

const fn iq(name: &'static str, namespace: &'static str, at: &'static [At], handler: Handler) -> Iq {
    Iq { name, ns: namespace, get: true, set: false, at, handler }
}

fn version(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    // The operating system is nobody's business (XEP-0092 §5).
    let version = turn.kernel.settings.version.to_owned();
    Ok(Version { name: Some("Linnet".into()), version: Some(version), os: None }.to_bytes())
}

fn time(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    Ok(Time::Answer { utc: turn.now(), offset_minutes: 0 }.to_bytes())
}
