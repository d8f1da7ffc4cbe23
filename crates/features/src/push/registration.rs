//! What clients have enabled: one row per app server and node, kept in memory with the account.

use super::limits::{BACKOFF, LONGEST_BACKOFF};
use crate::codec::{Decoder, Encoder};
use kernel::{Session, account::Document, hooks::Source};
use linnet_xeps::{Payload, forms::Form};
use linnet_xmpp::{
    Jid,
    xml::{Document as Xml, Scope},
};
use std::{
    any::TypeId,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use store::{MapRow, MapTable, Write};

/// Rows by app server and node.
pub(super) const TABLE: MapTable = MapTable("push");

/// The registrations of an account, in the order in which they were enabled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Registrations(pub(super) Vec<Registration>);

/// One device that can be woken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registration {
    /// The app server.
    pub(super) jid: Jid,
    /// The node there.
    pub(super) node: Option<Box<str>>,
    /// What goes with each publication.
    pub(super) options: Option<Form>,
    /// Whose sessions make it needless.
    pub(super) device: Device,
    /// What has become of it.
    pub(super) history: History,
}

/// What has become of a registration. Times are microseconds since 1970, as ids of rows are; 0: never.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct History {
    /// When it was enabled last.
    pub(super) enabled: u64,
    /// When a session of the device ended last.
    pub(super) seen: u64,
    /// When the app server took a notification last.
    pub(super) sent: u64,
    /// When it did not, last.
    pub(super) failed: u64,
    /// Why.
    pub(super) error: Box<str>,
    /// How often in a row.
    pub(super) failures: u32,
}

/// The device that enabled push: the installation of a client where it said one (XEP-0388 §2.3), else the resource, with
/// a `/` before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device(Box<str>);

impl Device {
    pub(super) fn of(session: &Session) -> Device {
        match session.device() {
            Some(installation) => Device(installation.into()),
            None => Device(format!("/{}", session.address.resource().unwrap_or_default()).into()),
        }
    }

    /// As people see it.
    pub(super) fn name(&self) -> &str {
        self.0.trim_start_matches('/')
    }
}

impl History {
    /// What was recorded after this, the device may not know of.
    pub(super) fn knows_until(&self) -> u64 {
        self.enabled.max(self.seen).max(self.sent)
    }

    /// How long after the last failure the next try comes.
    pub(super) fn backoff(&self) -> Duration {
        match self.failures {
            0 => Duration::ZERO,
            failures => BACKOFF.saturating_mul(1 << (failures - 1).min(20)).min(LONGEST_BACKOFF),
        }
    }

    /// How long to wait before something is published.
    pub(super) fn wait(&self, now: u64) -> Duration {
        let until = self.failed.saturating_add(micros_of(self.backoff()));
        Duration::from_micros(if self.failures == 0 { 0 } else { until.saturating_sub(now) })
    }
}

/// A moment as ids of rows count.
pub(super) fn micros(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, micros_of)
}

fn micros_of(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Registration {
    /// Its key among those of its account.
    pub(super) fn key(&self) -> Box<str> {
        key(&self.jid, self.node.as_deref())
    }

    pub(super) fn put(&self, owner: &Jid) -> Write {
        let History { enabled, seen, sent, failed, error, failures } = &self.history;
        let options = self.options.as_ref().map(Payload::to_bytes).unwrap_or_default();
        let value = Encoder::default()
            .byte(1)
            .text(self.jid.as_str())
            .byte(u8::from(self.node.is_some()))
            .text(self.node.as_deref().unwrap_or_default())
            .bytes(&options)
            .text(&self.device.0)
            .number(*enabled)
            .number(*seen)
            .number(*sent)
            .number(*failed)
            .text(error)
            .number(u64::from(*failures))
            .finish();
        let (owner, second) = (owner.as_str().into(), Some(bucket(owner.as_str()).into()));
        Write::MapPut { table: TABLE, owner, key: self.key(), second, value }
    }

    pub(super) fn remove(&self, owner: &Jid) -> Write {
        Write::MapRemove { table: TABLE, owner: owner.as_str().into(), key: self.key() }
    }

    fn read(row: &MapRow) -> Option<Registration> {
        let mut value = Decoder(&row.value);
        if value.byte()? != 1 {
            return None;
        }
        let jid = Jid::parse(value.text()?).ok()?;
        let has_node = value.byte()? != 0;
        let node = Some(value.text()?).filter(|_| has_node).map(Into::into);
        let options = bytes::Bytes::copy_from_slice(value.bytes()?);
        let options = match options.is_empty() {
            true => None,
            false => Some(Form::read(Xml::parse(options, &Scope::new(linnet_xmpp::ns::CLIENT)).ok()?.root()).ok()?),
        };
        let device = Device(value.text()?.into());
        let (enabled, seen) = (value.number()?, value.number()?);
        let (sent, failed) = (value.number()?, value.number()?);
        let (error, failures) = (value.text()?.into(), u32::try_from(value.number()?).ok()?);
        let history = History { enabled, seen, sent, failed, error, failures };
        Some(Registration { jid, node, options, device, history })
    }
}

/// An address has no line break: RFC 7622 forbids control characters in every part.
pub(super) fn key(jid: &Jid, node: Option<&str>) -> Box<str> {
    match node {
        Some(node) => format!("{jid}\n{node}").into(),
        None => jid.as_str().into(),
    }
}

/// The buckets in which the rows of all accounts can be found when the server starts, so that they need not be in memory
/// at once.
pub(super) fn buckets() -> impl Iterator<Item = String> {
    (0..=255u8).map(|number| format!("{number:02x}"))
}

fn bucket(owner: &str) -> String {
    let sum = owner.bytes().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    format!("{sum:02x}")
}

impl Registrations {
    pub(super) const SOURCE: Source = Source::Map(TABLE, decode);

    pub(super) fn type_id() -> TypeId {
        TypeId::of::<Registrations>()
    }

    pub(super) fn find(&self, key: &str) -> Option<&Registration> {
        self.0.iter().find(|registration| *registration.key() == *key)
    }

    /// With this one at its end, in place of one with the same key.
    pub(super) fn with(&self, registration: Registration) -> Registrations {
        let mut after = self.without(&registration.key());
        after.0.push(registration);
        after
    }

    /// With this one in the place of the one with the same key.
    pub(super) fn replacing(&self, registration: Registration) -> Registrations {
        let key = registration.key();
        let mut after = self.clone();
        if let Some(place) = after.0.iter_mut().find(|known| known.key() == key) {
            *place = registration;
        }
        after
    }

    pub(super) fn without(&self, key: &str) -> Registrations {
        Registrations(self.0.iter().filter(|known| *known.key() != *key).cloned().collect())
    }
}

fn decode(rows: Vec<MapRow>) -> Document {
    let mut registrations: Vec<Registration> = rows.iter().filter_map(Registration::read).collect();
    registrations.sort_by_key(|registration| registration.history.enabled);
    Arc::new(Registrations(registrations))
}

#[cfg(test)]
mod tests {
    use super::*;
    use linnet_xeps::{
        forms::{Field, FormType},
        ns,
    };

    fn registration() -> Registration {
        Registration {
            jid: Jid::parse("push.example.net").unwrap(),
            node: Some("n".into()),
            options: Some(Form::of(FormType::Submit, ns::PUBLISH_OPTIONS).field(Field::untyped("secret", "<s>"))),
            device: Device("/phone".into()),
            history: History { enabled: 1, seen: 2, sent: 3, failed: 4, error: "gone".into(), failures: 5 },
        }
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let owner = Jid::parse("juliet@example.com").unwrap();
        let bare = Registration { node: None, options: None, ..registration() };
        let empty = Registration { node: Some("".into()), ..registration() };
        for registration in [registration(), bare, empty] {
            let Write::MapPut { key, second, value, .. } = registration.put(&owner) else { panic!("a row") };
            assert!(buckets().any(|bucket| Some(bucket.as_str()) == second.as_deref()));
            assert_eq!(Registration::read(&MapRow { key, sequence: 1, second, value }), Some(registration));
        }
    }

    #[test]
    fn tries_become_rarer_and_never_end_at_once() {
        let mut history = History::default();
        assert_eq!(history.wait(10), Duration::ZERO);
        history = History { failed: 1_000_000, failures: 1, ..history };
        assert_eq!(history.wait(1_000_000), BACKOFF);
        assert_eq!(history.wait(31_000_000), Duration::from_secs(30));
        assert_eq!(history.wait(61_000_000), Duration::ZERO);
        history.failures = 3;
        assert_eq!(history.backoff(), BACKOFF * 4);
        history.failures = 4_000_000_000;
        assert_eq!(history.backoff(), LONGEST_BACKOFF);
    }

    #[test]
    fn one_for_each_app_server_and_node() {
        let (first, second) = (registration(), Registration { node: None, ..registration() });
        let both = Registrations::default().with(first.clone()).with(second.clone());
        let again = both.with(Registration { options: None, ..first.clone() });
        assert_eq!(again.0, [second.clone(), Registration { options: None, ..first.clone() }]);
        assert_eq!(both.without(&first.key()).0, [second]);
        assert_eq!(both.replacing(first.clone()), both);
        assert_eq!(both.find(&first.key()), Some(&first));
    }
}
