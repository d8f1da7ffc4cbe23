//! The options of a pubsub subscription (XEP-0060 §6.3, §16.4.2), as a form.
//!
//! Not offered: message bodies, which need to understand what is published (§12.8), and kinds of subscriptions to collections.

use crate::{
    datetime,
    forms::{Field, FieldType, Form, FormType},
    ns,
    pubsub::error,
};
use linnet_xmpp::{StanzaError, stanza::Condition};
use std::time::SystemTime;

/// The options of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether notifications are wanted at present.
    pub deliver: bool,
    /// Whether notifications wait to be sent together.
    pub digest: bool,
    /// How long they wait, in milliseconds.
    pub digest_ms: u64,
    /// When it ends.
    pub expire: Expire,
    /// While the subscriber shows what they come to him.
    pub shows: Shows,
}

/// Approximately one digest a day (§6.3.3).
const DAY_MS: u64 = 24 * 3600 * 1000;

impl Default for Options {
    fn default() -> Options {
        Options { deliver: true, digest: false, digest_ms: DAY_MS, expire: Expire::Never, shows: Shows::ALL }
    }
}

/// When a subscription ends (§12.5, §12.19).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expire {
    /// Not of itself.
    Never,
    /// When the subscriber sends unavailable presence.
    Presence,
    /// At this moment.
    At(SystemTime),
}

impl Expire {
    /// Whether it is over.
    pub fn is_over(self, now: SystemTime) -> bool {
        matches!(self, Expire::At(end) if end <= now)
    }
}

/// Kinds of availability (RFC 6121 §4.7.2.1), as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shows(pub u8);

impl Shows {
    /// The names of the bits, the lowest first.
    const NAMES: [(&'static str, &'static str); 5] = [
        ("chat", "Want to chat"),
        ("online", "Available"),
        ("away", "Away"),
        ("xa", "Extended away"),
        ("dnd", "Do not disturb"),
    ];

    /// Whatever the subscriber shows, and if he shows nothing.
    pub const ALL: Shows = Shows(0b1_1111);

    /// Whether what a presence shows is among them; without `<show/>` it is `online`.
    pub fn has(self, show: Option<&str>) -> bool {
        let show = show.unwrap_or("online").trim();
        Shows::bit(show).is_some_and(|bit| self.0 & bit != 0)
    }

    fn bit(name: &str) -> Option<u8> {
        Shows::NAMES.iter().position(|(known, _)| *known == name).map(|at| 1 << at)
    }

    /// What is chosen in a form; `None` where there is something else.
    fn named(values: &[String]) -> Option<Shows> {
        let bits = values.iter().map(|value| Shows::bit(value)).try_fold(0, |bits, bit| Some(bits | bit?))?;
        // Whoever chooses nothing would get nothing, for which there is `deliver`.
        Some(if bits == 0 { Shows::ALL } else { Shows(bits) })
    }
}

impl Options {
    /// The form that subscribers fill in.
    pub fn form(self) -> Form {
        let flag = |value: bool| if value { "1" } else { "0" };
        let frequency = self.digest_ms.to_string();
        let expire = match self.expire {
            Expire::Never => String::new(),
            Expire::Presence => "presence".into(),
            Expire::At(end) => datetime::format(end),
        };
        let mut shows = Field::new(FieldType::ListMulti, "pubsub#show-values").label("Deliver only while you are");
        for (name, label) in Shows::NAMES {
            shows = shows.option(label, name);
            if self.shows.has(Some(name)) {
                shows.values.push(name.into());
            }
        }
        Form::of(FormType::Form, ns::PUBSUB_SUBSCRIBE_OPTIONS)
            .field(
                Field::new(FieldType::Boolean, "pubsub#deliver")
                    .label("Deliver notifications")
                    .value(flag(self.deliver)),
            )
            .field(
                Field::new(FieldType::Boolean, "pubsub#digest")
                    .label("Deliver many notifications together")
                    .value(flag(self.digest)),
            )
            .field(
                Field::new(FieldType::TextSingle, "pubsub#digest_frequency")
                    .label("Milliseconds between two of them")
                    .value(frequency),
            )
            .field(Field::new(FieldType::TextSingle, "pubsub#expire").label("When it ends (or presence)").value(expire))
            .field(shows)
    }

    /// What a form says: bad-request with invalid-options where that is not known, or over already (§6.3.6.2).
    pub fn apply(&mut self, form: &Form, now: SystemTime) -> Result<(), StanzaError> {
        let invalid = || error(Condition::BadRequest, "invalid-options");
        for var in form.fields.iter().filter_map(|field| field.var.as_deref()) {
            match var {
                "FORM_TYPE" => {}
                "pubsub#deliver" => self.deliver = form.boolean(var).map_err(|_| invalid())?.unwrap_or(true),
                "pubsub#digest" => self.digest = form.boolean(var).map_err(|_| invalid())?.unwrap_or(false),
                "pubsub#digest_frequency" => {
                    let wanted = form.value(var).and_then(|text| text.trim().parse::<u64>().ok());
                    // More often than once a second is no digest, and longer than a month is never.
                    self.digest_ms = wanted.ok_or_else(invalid)?.clamp(1000, 31 * DAY_MS);
                }
                "pubsub#expire" => {
                    self.expire = match form.value(var).unwrap_or_default().trim() {
                        "" => Expire::Never,
                        "presence" => Expire::Presence,
                        text => Expire::At(datetime::parse(text).filter(|end| *end > now).ok_or_else(invalid)?),
                    }
                }
                "pubsub#show-values" => self.shows = Shows::named(form.values(var)).ok_or_else(invalid)?,
                _ => return Err(invalid()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn form(var: &str, values: &[&str]) -> Form {
        let field = Field { values: values.iter().map(|value| value.to_string()).collect(), ..Field::untyped(var, "") };
        Form::new(FormType::Submit).field(field)
    }

    #[test]
    fn forms_are_read() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let apply = |var: &str, values: &[&str]| {
            let mut options = Options::default();
            options.apply(&form(var, values), now).map(|()| options)
        };
        assert!(!apply("pubsub#deliver", &["0"]).unwrap().deliver);
        assert_eq!(apply("pubsub#expire", &["presence"]).unwrap().expire, Expire::Presence);
        let end = now + Duration::from_secs(60);
        let options = apply("pubsub#expire", &[&datetime::format(end)]).unwrap();
        assert_eq!(options.expire, Expire::At(end));
        assert_eq!((options.expire.is_over(now), options.expire.is_over(end)), (false, true));
        assert!(apply("pubsub#expire", &[&datetime::format(now)]).is_err());
        assert!(apply("pubsub#expire", &["soon"]).is_err());
        let some = apply("pubsub#show-values", &["chat", "online"]).unwrap();
        assert!(some.shows.has(None) && some.shows.has(Some("chat")) && !some.shows.has(Some("away")));
        assert_eq!(apply("pubsub#show-values", &[]).unwrap().shows, Shows::ALL);
        assert!(apply("pubsub#show-values", &["asleep"]).is_err());
        assert!(apply("pubsub#digest", &["1"]).unwrap().digest);
        assert_eq!(apply("pubsub#digest_frequency", &["1"]).unwrap().digest_ms, 1000);
        assert!(apply("pubsub#digest_frequency", &["often"]).is_err());
        assert!(apply("pubsub#include_body", &["1"]).is_err());
        let mut again = Options::default();
        again.apply(&Form { ty: FormType::Submit, ..some.form() }, now).unwrap();
        assert_eq!(again, some);
    }
}
