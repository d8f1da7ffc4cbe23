//! What a user keeps at the server for himself (private XML, XEP-0049) and for all to see (vcard-temp, XEP-0054).
//! Bookmarks in private XML are `bookmarks`' own, and so is the photo of a vCard `avatars`'.

use crate::{avatars, bookmarks};
use bytes::Bytes;
use kernel::{
    Feature, Hook, Kernel, Turn,
    hooks::{Ask, At, Handler, Iq, Xep},
};
use linnet_xeps::{
    Payload,
    avatar::Photo,
    ns,
    private::{Entry, Private},
    vcard::VCard,
};
use linnet_xmpp::{
    Jid, StanzaError,
    stanza::Condition,
    xml::{Document, Scope},
};
use store::{DocTable, Future, MapTable, StoreError, Write};

/// Private XML and vcard-temp.
pub static FEATURE: Feature = Feature {
    name: "storage",
    xeps: &[Xep { number: 49, version: "1.2", note: "" }, Xep { number: 54, version: "1.3.0", note: "" }],
    server_features: &[ns::VCARD, ns::PRIVATE],
    account_features: &[ns::VCARD],
    stream_features: &[],
    hooks: &[
        Hook::Iq(iq("query", ns::PRIVATE, true, &[At::Own], Handler::Later(read_private))),
        Hook::Iq(iq("query", ns::PRIVATE, false, &[At::Own], Handler::Now(write_private))),
        Hook::Iq(iq("vCard", ns::VCARD, true, &[At::Own, At::Account], Handler::Later(read_vcard))),
        Hook::Iq(iq("vCard", ns::VCARD, false, &[At::Own], Handler::Now(write_vcard))),
        Hook::Iq(iq("vCard", ns::VCARD, true, &[At::Server], Handler::Now(server_vcard))),
    ],
};

const fn iq(name: &'static str, namespace: &'static str, get: bool, at: &'static [At], handler: Handler) -> Iq {
    Iq { name, ns: namespace, get, set: !get, at, handler }
}

const PRIVATE: MapTable = MapTable("private-xml");
const VCARD: DocTable = DocTable("vcard");

/// Elements of one account. Clients keep a handful: bookmarks, settings, annotations.
const ELEMENTS: u64 = 500;

/// Bytes of an element's name and namespace.
const KEY_BYTES: usize = 1024;

/// The key of an element: its name cannot have a space, so the pair is unique.
fn key(name: &str, namespace: &str) -> Box<str> {
    format!("{name} {namespace}").into()
}

/// The element as stored; where nothing is stored, as it was asked for (XEP-0049 §2.3).
fn read_private(ask: Ask) -> Future<'static, Result<Bytes, StanzaError>> {
    Box::pin(async move {
        let mut query: Private = payload(&ask.stanza)?;
        let wanted = query.wanted()?;
        if is_bookmarks(wanted) {
            let owner = ask.kernel.owner(&ask.owner).await.map_err(failed)?;
            let xml = bookmarks::list(&owner.lock());
            query.entries = vec![Entry { xml, ..wanted.clone() }];
            return Ok(query.to_bytes());
        }
        let key = key(&wanted.name, &wanted.ns);
        let row = ask.kernel.store.map_row(PRIVATE, ask.owner.as_str(), &key).await.map_err(failed)?;
        if let (Some(row), Some(entry)) = (row, query.entries.first_mut()) {
            entry.xml = row.value;
        }
        Ok(query.to_bytes())
    })
}

/// Bookmarks are the same as those in nodes (XEP-0402 §5.3).
fn is_bookmarks(entry: &Entry) -> bool {
    entry.name == "storage" && entry.ns == ns::BOOKMARKS_STORAGE
}

fn write_private(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let query: Private = payload(turn.stanza)?;
    let owner: Box<str> = turn.account.address.as_str().into();
    let (lists, others): (Vec<_>, Vec<_>) = query.entries.into_iter().partition(is_bookmarks);
    for list in lists {
        bookmarks::set_list(turn, list.xml)?;
    }
    if !others.is_empty() {
        turn.require(store::Condition::MapFewerThan(PRIVATE, owner.clone(), ELEMENTS));
    }
    for entry in others {
        let (owner, key) = (owner.clone(), key(&entry.name, &entry.ns));
        if key.len() > KEY_BYTES {
            return Err(StanzaError::new(Condition::NotAcceptable).text("the name of the element is too long"));
        }
        turn.write(Write::MapPut { table: PRIVATE, owner, key, second: None, value: entry.xml });
    }
    Ok(Bytes::new())
}

/// An account without a vCard answers with an empty one to its owner and with an error to others (XEP-0054 §3.1, §3.3).
fn read_vcard(ask: Ask) -> Future<'static, Result<Bytes, StanzaError>> {
    Box::pin(async move {
        let stored = ask.kernel.store.doc(VCARD, ask.owner.as_str()).await.map_err(failed)?;
        let photo = avatars::photo(&ask).await.map_err(failed)?;
        match stored {
            Some(xml) if photo.is_none() => Ok(xml),
            stored if photo.is_some() => Ok(Photo::put(photo.as_ref(), &stored.unwrap_or_default())),
            _ if ask.at == At::Own => Ok(VCard::question().to_bytes()),
            // §3.3: the same as where there is no such account, so that nobody learns who exists.
            _ => Err(Condition::ServiceUnavailable.into()),
        }
    })
}

fn write_vcard(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let card: VCard = payload(turn.stanza)?;
    let owner = turn.account.address.as_str().into();
    let value = avatars::take(turn, card.xml)?;
    turn.write(Write::DocPut { table: VCARD, owner, value });
    Ok(Bytes::new())
}

/// The name for people in an account's vCard.
pub(crate) async fn full_name(kernel: &Kernel, account: &Jid) -> Result<Option<String>, StoreError> {
    let Some(xml) = kernel.store.doc(VCARD, account.bare_str()).await? else { return Ok(None) };
    let document = Document::parse(xml, &Scope::new(linnet_xmpp::ns::CLIENT)).ok();
    Ok(document.and_then(|document| VCard::read(document.root()).ok()).and_then(|card| card.full_name))
}

fn server_vcard(_: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    Ok(Bytes::from_static(b"<vCard xmlns='vcard-temp'><FN>Linnet</FN><DESC>XMPP server</DESC></vCard>"))
}

fn payload<T: Payload>(stanza: &linnet_xmpp::Stanza) -> Result<T, StanzaError> {
    stanza.payload().ok_or_else(|| StanzaError::new(Condition::BadRequest)).and_then(T::read)
}

fn failed(error: StoreError) -> StanzaError {
    tracing::error!(%error, "stored data could not be read");
    StanzaError::new(Condition::InternalServerError).text("your data cannot be read at the moment")
}
