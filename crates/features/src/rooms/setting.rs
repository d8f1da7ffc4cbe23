//! One thing that owners of rooms may set: how it stands in a form, and how its value is read and written.

use super::{
    config::{Config, Named, ROLES, Roles},
    limits,
};
use linnet_xeps::forms::{Field, FieldType};
use linnet_xmpp::{StanzaError, stanza::Condition};

/// How an option is shown and where it is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// One line.
    Text(fn(&mut Config) -> &mut String),
    /// One line that is not shown.
    Secret(fn(&mut Config) -> &mut String),
    /// Yes or no.
    Flag(fn(&mut Config) -> &mut bool),
    /// One of some.
    One(&'static [Named], fn(&mut Config) -> &mut u8),
    /// Some roles.
    Roles(fn(&mut Config) -> &mut Roles),
    /// A number: one of some, where there are any; 0 is `none`.
    Number(&'static [u32], fn(&mut Config) -> &mut u32),
}

/// One thing that owners may set.
pub(super) struct Setting {
    /// The name of its field.
    pub(super) var: &'static str,
    /// Its name for people.
    pub(super) label: &'static str,
    /// How it is shown and where it is.
    pub(super) kind: Kind,
    /// The fields in which service discovery tells it (§6.4, §16.5.4).
    pub(super) info: &'static [&'static str],
    /// The service discovery features for the values of flags and lists, the first for no (§16.3).
    pub(super) features: &'static [&'static str],
}

pub(super) fn not_allowed(var: &str) -> StanzaError {
    StanzaError::new(Condition::NotAcceptable).text(format!("{var} has a value that is not allowed"))
}

impl Setting {
    pub(super) fn values(&self, config: &Config) -> Vec<String> {
        let config = &mut config.clone();
        match self.kind {
            Kind::Text(at) | Kind::Secret(at) => vec![at(config).clone()],
            Kind::Flag(at) => vec![if *at(config) { "1" } else { "0" }.into()],
            Kind::One(all, at) => {
                all.get(usize::from(*at(config))).map(|(value, _)| (*value).into()).into_iter().collect()
            }
            Kind::Roles(at) => {
                let roles = *at(config);
                let is_in = |index: usize| roles.0 & 1 << index != 0;
                ROLES
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| is_in(*index))
                    .map(|(_, (value, _))| (*value).into())
                    .collect()
            }
            Kind::Number(choices, at) => vec![number(choices, *at(config))],
        }
    }

    /// The index of a flag or of one of some.
    pub(super) fn index(&self, config: &Config) -> usize {
        let config = &mut config.clone();
        match self.kind {
            Kind::Flag(at) => usize::from(*at(config)),
            Kind::One(_, at) => usize::from(*at(config)),
            _ => usize::MAX,
        }
    }

    /// The type of its field.
    pub(super) fn ty(&self) -> FieldType {
        match self.kind {
            Kind::Text(_) => FieldType::TextSingle,
            Kind::Secret(_) => FieldType::TextPrivate,
            Kind::Flag(_) => FieldType::Boolean,
            Kind::One(..) => FieldType::ListSingle,
            Kind::Roles(_) => FieldType::ListMulti,
            Kind::Number([], _) => FieldType::TextSingle,
            Kind::Number(..) => FieldType::ListSingle,
        }
    }

    pub(super) fn field(&self, config: &Config) -> Field {
        let field = Field { values: self.values(config), ..Field::new(self.ty(), self.var).label(self.label) };
        match self.kind {
            Kind::One(all, _) => all.iter().fold(field, |field, (value, label)| field.option(label, value)),
            Kind::Roles(_) => ROLES.iter().fold(field, |field, (value, label)| field.option(label, value)),
            Kind::Number(choices, _) if !choices.is_empty() => {
                let mut offered: Vec<String> = choices.iter().map(|choice| number(choices, *choice)).collect();
                // One that a client has set, and that is not among them.
                offered
                    .extend(field.values.iter().filter(|value| !offered.contains(value)).cloned().collect::<Vec<_>>());
                offered.iter().fold(field, |field, value| field.option(value, value))
            }
            _ => field,
        }
    }

    pub(super) fn set(&self, config: &mut Config, values: &[String]) -> Result<(), StanzaError> {
        let refused = || not_allowed(self.var);
        let value = values.first().map_or("", |value| value.trim());
        match self.kind {
            Kind::Text(at) | Kind::Secret(at) => {
                let text = values.join("\n");
                if text.len() > limits::TEXT_BYTES {
                    return Err(refused());
                }
                *at(config) = text;
            }
            Kind::Flag(at) => {
                *at(config) = match value {
                    "1" | "true" => true,
                    "0" | "false" | "" => false,
                    _ => return Err(refused()),
                }
            }
            Kind::One(all, at) => {
                let index = all.iter().position(|(known, _)| *known == value).ok_or_else(refused)?;
                *at(config) = index as u8;
            }
            Kind::Roles(at) => {
                let mut bits = 0;
                for value in values.iter().filter(|value| !value.is_empty()) {
                    let index = ROLES.iter().position(|(known, _)| known == value).ok_or_else(refused)?;
                    bits |= 1 << index;
                }
                *at(config) = Roles(bits);
            }
            Kind::Number(_, at) => {
                *at(config) = if matches!(value, "none" | "") { 0 } else { value.parse().map_err(|_| refused())? }
            }
        }
        Ok(())
    }
}

fn number(choices: &[u32], value: u32) -> String {
    if value == 0 && !choices.is_empty() { "none".into() } else { value.to_string() }
}
