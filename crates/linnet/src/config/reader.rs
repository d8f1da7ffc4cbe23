//! Reads typed values from TOML and says where in the file something is wrong.

use super::{ConfigError, keys::KEYS};
use std::ops::Range;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A configuration's text, read.
pub(super) struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    table: DeTable<'a>,
}

/// One of its tables.
pub(super) struct Section<'a> {
    reader: &'a Reader<'a>,
    name: &'static str,
    table: Option<&'a DeTable<'a>>,
}

/// A value, and where it was said.
pub(super) struct Said<'a, T> {
    pub(super) value: T,
    reader: &'a Reader<'a>,
    span: Range<usize>,
}

impl<T> Said<'_, T> {
    /// An error at this place.
    pub(super) fn error(&self, text: impl AsRef<str>) -> ConfigError {
        self.reader.error(&self.span, text.as_ref())
    }
}

impl<'a> Reader<'a> {
    /// Reads the text, and refuses keys that there are not.
    pub(super) fn new(name: &'a str, text: &'a str) -> Result<Reader<'a>, ConfigError> {
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or_else(String::new, |span| format!(":{}", line(text, span.start)));
            ConfigError(format!("{name}{line}: this is not TOML: {}", error.message().replace('\n', "; ")))
        })?;
        let reader = Reader { name, text, table: table.into_inner() };
        for (key, value) in &reader.table {
            reader.known("", key)?;
            if let (true, DeValue::Table(table)) = (is_section(key.get_ref()), value.get_ref()) {
                table.keys().try_for_each(|inner| reader.known(key.get_ref(), inner))?;
            }
        }
        Ok(reader)
    }

    pub(super) fn section(&'a self, name: &'static str) -> Result<Section<'a>, ConfigError> {
        let table = if name.is_empty() {
            Some(&self.table)
        } else {
            match self.table.get(name).map(|value| (value.get_ref(), value.span())) {
                None => None,
                Some((DeValue::Table(table), _)) => Some(table),
                Some((_, span)) => {
                    return Err(self.error(&span, &format!("'{name}' is a table: begin it with [{name}]")));
                }
            }
        };
        Ok(Section { reader: self, name, table })
    }

    fn known<K: AsRef<str>>(&self, section: &str, key: &Spanned<K>) -> Result<(), ConfigError> {
        let name = key.get_ref().as_ref();
        let here = |key: &&super::keys::Key| key.section == section;
        if KEYS.iter().filter(here).any(|key| key.name == name) || (section.is_empty() && is_section(name)) {
            return Ok(());
        }
        let place = if section.is_empty() { String::new() } else { format!(" in [{section}]") };
        let elsewhere = KEYS.iter().find(|key| key.name == name).map(|key| match key.section {
            "" => format!("'{name}' belongs to the top of the file, before the first [table]"),
            section => format!("'{name}' belongs to [{section}]"),
        });
        let mut names: Vec<&str> = KEYS.iter().filter(here).map(|key| key.name).collect();
        if section.is_empty() {
            names.extend(KEYS.iter().map(|key| key.section).filter(|section| !section.is_empty()));
        }
        let near = names.iter().map(|known| (distance(name, known), *known)).min();
        let hint = elsewhere.unwrap_or_else(|| match near {
            Some((far, known)) if far <= 1 + name.chars().count() / 3 => format!("did you mean '{known}'?"),
            _ => "'linnet check --keys' lists all keys".to_owned(),
        });
        Err(self.error(&key.span(), &format!("unknown key '{name}'{place}: {hint}")))
    }

    fn error(&self, span: &Range<usize>, text: &str) -> ConfigError {
        ConfigError(format!("{}:{}: {text}", self.name, line(self.text, span.start)))
    }
}

impl<'a> Section<'a> {
    pub(super) fn text(&self, key: &str) -> Result<Option<Said<'a, String>>, ConfigError> {
        self.value(key, "a text in quotes", text)
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        let flag = self.value(key, "true or false", |value| match value {
            DeValue::Boolean(flag) => Some(*flag),
            _ => None,
        });
        Ok(flag?.map(|said| said.value))
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<Said<'a, u64>>, ConfigError> {
        self.value(key, "a whole number, not negative", |value| match value {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        })
    }

    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<Said<'a, String>>>, ConfigError> {
        let wanted = "a list of texts in quotes: [\"…\"]";
        let said = self.value(key, wanted, |value| match value {
            DeValue::Array(values) => values
                .iter()
                .map(|value| text(value.get_ref()).map(|text| (text, value.span())))
                .collect::<Option<Vec<_>>>(),
            _ => None,
        });
        let reader = self.reader;
        Ok(said?.map(|said| said.value.into_iter().map(|(value, span)| Said { value, reader, span }).collect()))
    }

    fn value<T>(
        &self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(&DeValue<'_>) -> Option<T>,
    ) -> Result<Option<Said<'a, T>>, ConfigError> {
        debug_assert!(KEYS.iter().any(|known| known.section == self.name && known.name == key), "{key} is in no table");
        let Some(value) = self.table.and_then(|table| table.get(key)) else { return Ok(None) };
        let (reader, span) = (self.reader, value.span());
        match read(value.get_ref()) {
            Some(value) => Ok(Some(Said { value, reader, span })),
            None => Err(reader.error(&span, &format!("'{key}' must be {wanted}"))),
        }
    }
}

fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        _ => None,
    }
}

fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| !key.section.is_empty() && key.section == name)
}

fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// How many characters have to be put in, taken out or changed to make one of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let changed = diagonal + usize::from(x != *y);
            diagonal = *cell;
            left = changed.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
