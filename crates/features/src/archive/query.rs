//! Answers to queries of the archive (XEP-0313 §4, §5): the results as messages, then what ends them.

use super::{
    failed,
    page::{self, Found, Range, Wanted},
    shown,
};
use crate::messages;
use bytes::Bytes;
use kernel::{
    Turn,
    hooks::{Ask, At},
    mailbox::Item,
};
use linnet_xeps::{
    Payload, datetime,
    mam::{Fin, Metadata, Query, write_fields},
    ns,
    rsm::Page,
};
use linnet_xmpp::{
    Stanza, StanzaError,
    stanza::{Condition, Kind, Type},
    xml::{Writer, escape_attr},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use store::{Future, LogRow};

/// Results on a page where the client does not say how many.
const PAGE: usize = 50;
/// Results on a page at most, whatever the client says.
const MAX_PAGE: usize = 100;

/// The fields that a query may have (§4.1.5).
pub(crate) fn fields(_: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    write_fields(&mut out);
    Ok(out.finish())
}

pub(super) fn answer(ask: Ask) -> Future<'static, Result<Bytes, StanzaError>> {
    Box::pin(async move {
        let query = ask.stanza.payload().ok_or(Condition::BadRequest).map(Query::read)??;
        serve(&ask, &query, &|_| Bytes::new()).await
    })
}

/// What is added to a message as it is shown, canonical.
pub(crate) type Added<'a> = &'a (dyn Fn(&LogRow) -> Bytes + Send + Sync);

/// Answers a query of the archive of the one who is asked. Whether the asker may read it is the caller's business.
pub(crate) async fn serve(ask: &Ask, query: &Query, added: Added<'_>) -> Result<Bytes, StanzaError> {
    if query.node.is_some() {
        return Err(StanzaError::new(Condition::ItemNotFound).text("this archive has no nodes"));
    }
    if query.page.index.is_some() {
        // XEP-0059 §2.6: positions would have to be counted.
        let text = "pages are found by the ids of results, not by positions";
        return Err(StanzaError::new(Condition::FeatureNotImplemented).text(text));
    }
    let limit = query.page.max.map_or(PAGE, |max| usize::try_from(max).map_or(MAX_PAGE, |max| max.min(MAX_PAGE)));
    let backwards = query.page.before.is_some();
    let found = find(ask, query, backwards, limit + 1).await?;
    let complete = found.rows.len() <= limit && !found.is_full();
    let mut rows = found.rows;
    rows.truncate(limit);
    if backwards {
        rows.reverse();
    }
    let ends =
        rows.first().zip(rows.last()).map(|(first, last)| (shown(&ask.kernel, first.id), shown(&ask.kernel, last.id)));
    if query.flip {
        rows.reverse();
    }
    for row in rows {
        let added = added(&row);
        if !send(ask, query, row, &added).await {
            return Err(Condition::ServiceUnavailable.into());
        }
    }
    if ask.at == At::Own
        && let Some(session) = ask.session.as_ref().filter(|_| reads_on(query, complete))
    {
        ask.kernel.has_read(session, ask.next_row);
    }
    let count = count(ask, query).await?;
    Ok(Fin { complete, page: Page { ends, count } }.to_bytes())
}

/// Whether the client knows by the answer what is newest: the last page forwards, or the first one backwards, of all
/// conversations.
fn reads_on(query: &Query, complete: bool) -> bool {
    let filter = &query.filter;
    let all = filter.with.is_none() && filter.text.is_none() && filter.ids.is_none();
    let to_the_end = filter.end.is_none() && filter.before_id.is_none();
    let page = &query.page;
    all && to_the_end && page.max != Some(0) && page.before.as_ref().map_or(complete, |before| before.is_empty())
}

/// Ids and times of the first and of the last message (§5).
pub(super) fn metadata(ask: Ask) -> Future<'static, Result<Bytes, StanzaError>> {
    Box::pin(async move { ends(&ask).await })
}

/// The same for the archive of the one who is asked. Whether the asker may read it is the caller's business.
pub(crate) async fn ends(ask: &Ask) -> Result<Bytes, StanzaError> {
    let mut ends = Vec::new();
    for backwards in [false, true] {
        let rows = page::rows(ask, Range::default(), &Wanted::ALL, backwards, 1).await;
        ends.extend(rows.map_err(|error| failed(ask, &error))?.rows);
    }
    let end = |row: &LogRow| (shown(&ask.kernel, row.id), came(row.id));
    let ends = match &ends[..] {
        [first, last] => Some([end(first), end(last)]),
        _ => None,
    };
    Ok(Metadata { ends }.to_bytes())
}

/// At most `limit` rows that the query wants, from the end where it begins.
async fn find(ask: &Ask, query: &Query, backwards: bool, limit: usize) -> Result<Found, StanzaError> {
    let filter = &query.filter;
    let mut range = Range::default();
    if let Some(start) = filter.start {
        // Times are told in milliseconds, so they are compared so.
        let start = millis(start, true).saturating_mul(1000);
        start.checked_sub(1).into_iter().for_each(|before_it| range.after(before_it));
    }
    if let Some(end) = filter.end {
        range.before(millis(end, false).saturating_add(1).saturating_mul(1000));
    }
    for id in [&filter.after_id, &query.page.after].into_iter().flatten() {
        range.after(known(ask, id).await?.id);
    }
    let before = query.page.before.as_ref().filter(|id| !id.is_empty());
    for id in [filter.before_id.as_ref(), before].into_iter().flatten() {
        range.before(known(ask, id).await?.id);
    }
    let wanted = Wanted::new(filter.with.as_ref(), filter.text.as_deref());
    let Some(ids) = &filter.ids else {
        return page::rows(ask, range, &wanted, backwards, limit).await.map_err(|error| failed(ask, &error));
    };
    if ids.len() > MAX_PAGE {
        let text = format!("at most {MAX_PAGE} ids at once");
        return Err(StanzaError::new(Condition::ResourceConstraint).text(text));
    }
    let mut named = Vec::new();
    for id in ids {
        let row = known(ask, id).await?;
        if range.contains(row.id) && wanted.matches(&row) {
            named.push(row.id);
        }
    }
    named.sort_unstable();
    named.dedup();
    if backwards {
        named.reverse();
    }
    // Read again, so that no more is in memory than belongs on the page.
    let mut found = Found::default();
    for id in named.into_iter().take(limit) {
        if let (false, Some(row)) = (found.is_full(), page::row(ask, id).await.map_err(|error| failed(ask, &error))?) {
            found.push(row);
        }
    }
    Ok(found)
}

/// The row that a client names (§4.1.3, §4.3.2).
async fn known(ask: &Ask, id: &str) -> Result<LogRow, StanzaError> {
    let row = match messages::row_of(&ask.kernel, id) {
        Some(row) => page::row(ask, row).await.map_err(|error| failed(ask, &error))?,
        None => None,
    };
    row.ok_or_else(|| Condition::ItemNotFound.into())
}

/// How many messages there are, where only that is asked for (XEP-0059 §2.7) and it need not read them.
async fn count(ask: &Ask, query: &Query) -> Result<Option<u64>, StanzaError> {
    let mut filter = query.filter.clone();
    filter.groupchat = None;
    if query.page.max != Some(0) || filter != Default::default() {
        return Ok(None);
    }
    let count = ask.kernel.store.log_count(messages::LOG, ask.owner.as_str(), messages::ARCHIVED).await;
    count.map(Some).map_err(|error| failed(ask, &error))
}

/// Sends a result (§4.2), as soon as the session has room for it. False: the session has ended.
async fn send(ask: &Ask, query: &Query, row: LogRow, added: &Bytes) -> bool {
    // What is archived says something, so no message is an empty element.
    let rest = row.body.strip_prefix(b"<message").and_then(|rest| rest.strip_suffix(b"</message>"));
    let Some(rest) = rest else {
        tracing::error!(id = row.id, account = %ask.owner, "a stored message cannot be read");
        return true;
    };
    let mut inner = Vec::with_capacity(rest.len() + 300);
    let mut add = |text: &str| inner.extend_from_slice(text.as_bytes());
    add(&format!("<result xmlns='{}' id='{}'", ns::MAM, shown(&ask.kernel, row.id)));
    if let Some(queryid) = &query.queryid {
        add(" queryid='");
        escape_attr(queryid, &mut inner);
        inner.push(b'\'');
    }
    let stamp = datetime::format_ms(came(row.id));
    let delay = format!("><forwarded xmlns='{}'><delay xmlns='{}' stamp='{stamp}'/>", ns::FORWARD, ns::DELAY);
    inner.extend_from_slice(delay.as_bytes());
    // What is stored is canonical under jabber:client: in another namespace it has to say so, and nothing else.
    inner.extend_from_slice(format!("<message xmlns='{}'", linnet_xmpp::ns::CLIENT).as_bytes());
    inner.extend_from_slice(rest);
    inner.extend_from_slice(added);
    inner.extend_from_slice(b"</message></forwarded></result>");
    let result = Stanza::new(Kind::Message, Type::Normal, inner.into()).from(ask.owner.clone());
    match &ask.session {
        Some(session) => {
            let item = Item::plain(Arc::new(result.to(session.address.clone())));
            session.mailbox.push_pulled(item).await.is_ok()
        }
        // Somebody elsewhere: a page is bounded, and so is what waits for him.
        None => {
            let Some(owner) = ask.kernel.find_owner(ask.owner.as_str()) else { return false };
            ask.kernel.act(&owner, false, |turn| turn.emit(result, vec![ask.actor().clone()]));
            true
        }
    }
}

/// When the message with this row came: ids are microseconds since 1970.
fn came(row: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(row)
}

/// Milliseconds since 1970, the part of one counted or not.
fn millis(time: SystemTime, up: bool) -> u64 {
    let nanos = time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    let millis = if up { nanos.div_ceil(1_000_000) } else { nanos / 1_000_000 };
    u64::try_from(millis).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_compared_as_they_are_told() {
        let time = |nanos| UNIX_EPOCH + Duration::from_nanos(nanos);
        assert_eq!((millis(time(2_000_000), true), millis(time(2_000_000), false)), (2, 2));
        assert_eq!((millis(time(2_000_001), true), millis(time(2_999_999), false)), (3, 2));
        assert_eq!(millis(UNIX_EPOCH - Duration::from_secs(1), true), 0);
    }
}
