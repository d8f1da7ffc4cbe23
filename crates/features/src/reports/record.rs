//! A report as it is kept: one row of the server's.

use super::TEXT;
use crate::codec::{Decoder, Encoder};
use linnet_xeps::{datetime, reports::Report};
use linnet_xmpp::Jid;
use std::{fmt, time::SystemTime};
use store::{MapRow, MapTable, Write};

/// Rows of the server, by a key that says nothing.
pub(super) const TABLE: MapTable = MapTable("reports");

/// Characters kept of a reason, which is a URN.
const REASON: usize = 200;

/// A report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) came: String,
    pub(super) reporter: Jid,
    pub(super) reported: Jid,
    pub(super) reason: String,
    pub(super) text: String,
    pub(super) messages: Vec<Message>,
}

/// A message that a report is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) came: String,
    pub(super) text: String,
}

impl Record {
    pub(super) fn new(now: SystemTime, reporter: Jid, reported: Jid, report: &Report) -> Record {
        let texts: Vec<&str> = report.texts.iter().map(|(_, text)| text.as_str()).collect();
        Record {
            came: datetime::format(now),
            reporter,
            reported,
            reason: report.reason.chars().take(REASON).collect(),
            text: texts.join("\n").chars().take(TEXT).collect(),
            messages: Vec::new(),
        }
    }

    pub(super) fn put(&self, key: &str) -> Write {
        let mut value = Encoder::default()
            .byte(1)
            .text(&self.came)
            .text(self.reporter.as_str())
            .text(self.reported.as_str())
            .text(&self.reason)
            .text(&self.text)
            .number(self.messages.len() as u64);
        for message in &self.messages {
            value = value.text(&message.came).text(&message.text);
        }
        Write::MapPut { table: TABLE, owner: "".into(), key: key.into(), second: None, value: value.finish() }
    }

    pub(super) fn read(row: &MapRow) -> Option<Record> {
        let mut value = Decoder(&row.value);
        if value.byte()? != 1 {
            return None;
        }
        let came = value.text()?.to_owned();
        let (reporter, reported) = (Jid::parse(value.text()?).ok()?, Jid::parse(value.text()?).ok()?);
        let (reason, text) = (value.text()?.to_owned(), value.text()?.to_owned());
        let mut messages = Vec::new();
        for _ in 0..value.number()? {
            messages.push(Message { came: value.text()?.to_owned(), text: value.text()?.to_owned() });
        }
        Some(Record { came, reporter, reported, reason, text, messages })
    }

    /// The reason as people call it.
    pub(super) fn reason(&self) -> &str {
        self.reason.strip_prefix("urn:xmpp:reporting:").unwrap_or(&self.reason)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} reports {} for {}.", self.reporter, self.reported, self.reason())?;
        if !self.text.is_empty() {
            write!(f, "\n{}", self.text)?;
        }
        for message in &self.messages {
            write!(f, "\n\n{}:\n{}", message.came, message.text)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn what_is_stored_is_read_again_and_told_in_words() {
        let report = Report {
            reason: linnet_xeps::reports::SPAM.into(),
            texts: vec![(None, "a".into()), (Some("de".into()), "b".into())],
            ..Report::default()
        };
        let jid = |text: &str| Jid::parse(text).unwrap();
        let mut record = Record::new(UNIX_EPOCH, jid("juliet@example.com"), jid("romeo@example.net/x"), &report);
        record.messages.push(Message { came: "1970-01-01T00:00:00Z".into(), text: "buy".into() });
        let Write::MapPut { key, value, .. } = record.put("1") else { panic!("a row") };
        let row = MapRow { key, sequence: 1, second: None, value };
        assert_eq!(Record::read(&row), Some(record.clone()));
        assert_eq!(
            record.to_string(),
            "juliet@example.com reports romeo@example.net/x for spam.\na\nb\n\n1970-01-01T00:00:00Z:\nbuy"
        );
    }
}
