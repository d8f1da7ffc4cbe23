//! Reading the rows of one page: an exclusive range of ids, walked from either end until the page is full.

use super::text;
use crate::messages;
use kernel::hooks::Ask;
use linnet_xmpp::{Jid, Stanza};
use store::{
    LogQuery, LogRow, StoreError,
    search::{Search, Words},
};

/// Rows read at once where most of them may be passed over.
const SCAN: usize = 200;
/// Bytes of messages on a page; then it ends before it has as many as were asked for (XEP-0313 §4.3.1).
const BYTES: usize = 512 * 1024;

/// Ids between which rows are wanted; both ends are excluded.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Range {
    after: Option<u64>,
    before: Option<u64>,
}

/// Whose messages are wanted (XEP-0313 §4.1.1).
#[derive(Debug)]
pub(super) enum With {
    Anybody,
    /// To or from this bare address. Of messages to oneself, the peer is oneself.
    Peer(Jid),
    /// To or from this full address.
    Resource(Jid),
}

/// Which rows of a range are wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) with: With,
    /// With all of these words (XEP-0431).
    pub(super) search: Option<Search>,
}

impl Wanted {
    /// Every row.
    pub(super) const ALL: Wanted = Wanted { with: With::Anybody, search: None };

    pub(super) fn new(with: Option<&Jid>, words: Option<&str>) -> Wanted {
        let search = words.map(|words| Search { words: Words::parse(words), text: text::of });
        Wanted { with: With::of(with), search }
    }

    pub(super) fn matches(&self, row: &LogRow) -> bool {
        self.with.matches(row) && self.search.as_ref().is_none_or(|search| search.finds(row))
    }
}

impl Range {
    pub(super) fn after(&mut self, id: u64) {
        self.after = Some(self.after.map_or(id, |after| after.max(id)));
    }

    pub(super) fn before(&mut self, id: u64) {
        self.before = Some(self.before.map_or(id, |before| before.min(id)));
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.after.is_none_or(|after| id > after) && self.before.is_none_or(|before| id < before)
    }
}

impl With {
    fn of(jid: Option<&Jid>) -> With {
        match jid {
            None => With::Anybody,
            Some(jid) if jid.is_bare() => With::Peer(jid.clone()),
            Some(jid) => With::Resource(jid.clone()),
        }
    }

    fn matches(&self, row: &LogRow) -> bool {
        match self {
            With::Anybody => true,
            With::Peer(peer) => *row.peer == *peer.as_str(),
            With::Resource(jid) => Stanza::from_bytes(row.body.clone())
                .is_some_and(|stanza| stanza.from.as_ref() == Some(jid) || stanza.to.as_ref() == Some(jid)),
        }
    }

    /// The peer of all rows that match, where there is one.
    fn peer(&self, owner: &Jid) -> Option<Box<str>> {
        match self {
            With::Anybody => None,
            With::Peer(jid) => Some(jid.as_str().into()),
            // One's own resources are in all messages.
            With::Resource(jid) if jid.bare_str() == owner.as_str() => None,
            With::Resource(jid) => Some(jid.bare_str().into()),
        }
    }
}

/// The row with this id, if it is in the archive.
pub(super) async fn row(ask: &Ask, id: u64) -> Result<Option<LogRow>, StoreError> {
    let (Some(after), Some(before)) = (id.checked_sub(1), id.checked_add(1)) else { return Ok(None) };
    let range = Range { after: Some(after), before: Some(before) };
    Ok(rows(ask, range, &Wanted::ALL, false, 1).await?.rows.pop())
}

/// Rows that were found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) rows: Vec<LogRow>,
    bytes: usize,
}

impl Found {
    /// Whether the page is full, however few rows it has.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BYTES
    }

    pub(super) fn push(&mut self, row: LogRow) {
        self.bytes += row.body.len();
        self.rows.push(row);
    }
}

/// The first rows of a range, or the last ones, newest first, where it is walked backwards.
pub(super) async fn rows(
    ask: &Ask,
    mut range: Range,
    wanted: &Wanted,
    backwards: bool,
    limit: usize,
) -> Result<Found, StoreError> {
    let at_once = if matches!(wanted.with, With::Resource(_)) { SCAN } else { limit };
    let mut found = Found::default();
    loop {
        let query = LogQuery {
            after: range.after,
            before: range.before,
            peer: wanted.with.peer(&ask.owner),
            any_flag: messages::ARCHIVED,
            backwards,
            limit: at_once,
            bytes: BYTES,
        };
        let (store, owner) = (&ask.kernel.store, ask.owner.as_str());
        let rows = match &wanted.search {
            None => store.log_rows(messages::LOG, owner, query).await?,
            Some(search) => store.log_search(messages::LOG, owner, query, search.clone()).await?,
        };
        let bytes: usize = rows.iter().map(|row| row.body.len()).sum();
        let is_last = rows.len() < at_once && bytes < BYTES;
        match rows.last() {
            Some(last) if backwards => range.before(last.id),
            Some(last) => range.after(last.id),
            None => {}
        }
        rows.into_iter().filter(|row| wanted.with.matches(row)).for_each(|row| found.push(row));
        if is_last || found.rows.len() >= limit || found.is_full() {
            found.rows.truncate(limit);
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(peer: &str, body: &'static str) -> LogRow {
        LogRow { id: 1, peer: peer.into(), flags: messages::ARCHIVED, body: body.into() }
    }

    #[test]
    fn a_range_only_becomes_narrower() {
        let mut range = Range::default();
        assert!(range.contains(0) && range.contains(u64::MAX));
        range.after(5);
        range.after(3);
        range.before(9);
        range.before(12);
        assert_eq!((1..15).filter(|id| range.contains(*id)).collect::<Vec<_>>(), [6, 7, 8]);
    }

    #[test]
    fn addresses_match_as_much_as_they_say() {
        let sent = row("a@example.org", "<message from='me@example.org/one' to='a@example.org/home'/>");
        let with = |jid: &str| With::of(Some(&Jid::parse(jid).unwrap()));
        assert!(With::of(None).matches(&sent) && with("a@example.org").matches(&sent));
        assert!(with("a@example.org/home").matches(&sent) && with("me@example.org/one").matches(&sent));
        assert!(!with("a@example.org/work").matches(&sent) && !with("me@example.org").matches(&sent));
        let own = Jid::parse("me@example.org").unwrap();
        assert_eq!(with("a@example.org/home").peer(&own).as_deref(), Some("a@example.org"));
        assert_eq!(with("me@example.org/one").peer(&own), None);
    }
}
