//! Asking for pages of one's archive (XEP-0313 §4, XEP-0059) and counting what comes.

use std::io;

use crate::session::{has, is_error, refused};
use crate::wire::Wire;

/// Messages asked for in a page.
pub(crate) const PAGE: usize = 50;

/// Which page.
pub(crate) enum Query {
    /// The oldest.
    First,
    /// The one behind this archive id.
    After(String),
    /// The newest.
    Last,
    /// The oldest with this word (XEP-0431).
    Word(&'static str),
    /// The one with this word behind this archive id.
    WordAfter(&'static str, String),
}

/// What came.
pub(crate) struct Page {
    /// How many messages.
    pub(crate) messages: usize,
    /// The archive id of the last one.
    pub(crate) last: Option<String>,
    /// Whether nothing is behind it.
    pub(crate) is_complete: bool,
}

/// A session that reads its archive.
pub(crate) struct Pages {
    wire: Wire,
    asked: u64,
}

impl Pages {
    /// Takes a session that is logged in.
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire, asked: 0 }
    }

    /// Gives the session back.
    pub(crate) fn into_wire(self) -> Wire {
        self.wire
    }

    /// Asks for a page and reads it.
    pub(crate) async fn read(&mut self, query: &Query) -> io::Result<Page> {
        self.asked += 1;
        let (word, place) = match query {
            Query::First => (None, String::new()),
            Query::After(id) => (None, format!("<after>{id}</after>")),
            Query::Last => (None, "<before/>".to_owned()),
            Query::Word(word) => (Some(word), String::new()),
            Query::WordAfter(word, id) => (Some(word), format!("<after>{id}</after>")),
        };
        let form = word.map_or(String::new(), |word| {
            format!(
                "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>\
                 <field var='{{urn:xmpp:fulltext:0}}fulltext'><value>{word}</value></field></x>"
            )
        });
        let request = format!(
            "<iq type='set' id='page{}'><query xmlns='urn:xmpp:mam:2'>{form}<set xmlns='http://jabber.org/protocol/rsm'>\
             <max>{PAGE}</max>{place}</set></query></iq>",
            self.asked
        );
        self.wire.send(request.as_bytes()).await?;
        let mut messages = 0;
        loop {
            let item = self.wire.item().await?;
            if has(item, b"<result") {
                messages += 1;
            } else if has(item, b"<fin") {
                let is_complete = has(item, b"complete='true'") || has(item, b"complete=\"true\"");
                return Ok(Page { messages, last: last(item), is_complete });
            } else if is_error(item) {
                return Err(refused("archive", item));
            }
        }
    }
}

/// The text of `<last/>`.
fn last(fin: &[u8]) -> Option<String> {
    let fin = str::from_utf8(fin).ok()?;
    let (_, rest) = fin.split_once("<last>")?;
    Some(rest.split_once("</last>")?.0.to_owned())
}
