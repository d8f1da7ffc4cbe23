//! How slots and files are stored: rows of their account, found by their id too.

use super::limits;
use crate::codec::{Decoder, Encoder};
use bytes::Bytes;
use kernel::Kernel;
use linnet_xeps::upload::Purpose;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::{MapRow, MapTable, StoreError, Write};

/// Slots that wait for their file.
pub(super) const SLOTS: MapTable = MapTable("upload-slots");
/// Files that are there.
pub(super) const FILES: MapTable = MapTable("upload-files");

/// A slot, and the file that it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Its name, made safe.
    pub(super) name: String,
    /// Its size in bytes.
    pub(super) size: u64,
    /// Its media type, if somebody said one.
    pub(super) media: Option<String>,
    /// To which part of the account's quota it counts.
    pub(super) is_profile: bool,
    /// When the slot was given; of a file, when it was there.
    pub(super) since: SystemTime,
    /// When the file goes; `None`: with its account.
    pub(super) until: Option<SystemTime>,
    /// The blob; empty while there is none.
    pub(super) blob: String,
}

impl Record {
    /// Whether a slot waits no longer.
    pub(super) fn is_late(&self, now: SystemTime) -> bool {
        now >= self.since + limits::SLOT
    }

    /// Whether a file must not be given to anybody any more.
    pub(super) fn is_over(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    pub(super) fn encode(&self) -> Bytes {
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Encoder::default()
            .byte(VERSION)
            .text(&self.name)
            .number(self.size)
            .text(self.media.as_deref().unwrap_or_default())
            .byte(u8::from(self.is_profile))
            .number(seconds(self.since))
            .number(self.until.map_or(0, seconds))
            .text(&self.blob)
            .finish()
    }

    pub(super) fn decode(value: &[u8]) -> Option<Record> {
        let mut decoder = Decoder(value);
        if decoder.byte()? != VERSION {
            return None;
        }
        let time = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        Some(Record {
            name: decoder.text()?.to_owned(),
            size: decoder.number()?,
            media: Some(decoder.text()?).filter(|media| !media.is_empty()).map(str::to_owned),
            is_profile: decoder.byte()? != 0,
            since: time(decoder.number()?),
            until: Some(decoder.number()?).filter(|seconds| *seconds != 0).map(time),
            blob: decoder.text()?.to_owned(),
        })
    }

    /// The row of this id.
    pub(super) fn put(&self, table: MapTable, owner: &str, id: &str) -> Write {
        let (owner, key, second) = (owner.into(), id.into(), Some(id.into()));
        Write::MapPut { table, owner, key, second, value: self.encode() }
    }
}

const VERSION: u8 = 1;

/// When a file for this purpose goes that is asked for now.
pub(super) fn until(purpose: Purpose, keep: Option<Duration>, now: SystemTime) -> Option<SystemTime> {
    let usual = keep.map(|keep| now + keep);
    match purpose {
        Purpose::Message => usual,
        Purpose::Ephemeral(wanted) => Some(usual.map_or(wanted, |usual| usual.min(wanted))),
        Purpose::Profile | Purpose::Permanent => None,
    }
}

/// A slot or file by its id, and whose it is.
pub(super) async fn find(kernel: &Kernel, table: MapTable, id: &str) -> Result<Option<(Box<str>, Record)>, StoreError> {
    let found = kernel.store.map_second(table, id, 1).await?;
    Ok(found.into_iter().next().and_then(|(owner, row)| Some((owner, Record::decode(&row.value)?))))
}

/// All slots or files of an account, with their ids, oldest first.
pub(super) async fn all(kernel: &Kernel, table: MapTable, owner: &str) -> Result<Vec<(Box<str>, Record)>, StoreError> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = kernel.store.map_rows(table, owner, after, limits::PAGE).await?;
        let Some(last) = page.last() else { return Ok(all) };
        after = Some(last.sequence);
        let is_last = page.len() < limits::PAGE;
        all.extend(page.into_iter().filter_map(|MapRow { key, value, .. }| Some((key, Record::decode(&value)?))));
        if is_last {
            return Ok(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        let since = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let record = Record {
            name: "très cool.jpg".into(),
            size: 5,
            media: Some("image/jpeg".into()),
            is_profile: false,
            since,
            until: Some(since + Duration::from_secs(60)),
            blob: "ab/abcd".into(),
        };
        assert_eq!(Record::decode(&record.encode()), Some(record.clone()));
        let other = Record { media: None, until: None, is_profile: true, ..record };
        assert_eq!(Record::decode(&other.encode()), Some(other));
        assert_eq!(Record::decode(b""), None);
    }

    #[test]
    fn how_long_files_stay() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let (day, month) = (Duration::from_secs(86_400), Duration::from_secs(30 * 86_400));
        assert_eq!(until(Purpose::Message, Some(month), now), Some(now + month));
        assert_eq!(until(Purpose::Message, None, now), None);
        assert_eq!(until(Purpose::Permanent, Some(month), now), None);
        assert_eq!(until(Purpose::Ephemeral(now + day), Some(month), now), Some(now + day));
        assert_eq!(until(Purpose::Ephemeral(now + 2 * month), Some(month), now), Some(now + month));
        assert_eq!(until(Purpose::Ephemeral(now + day), None, now), Some(now + day));
    }
}
