//! Publish-subscribe (XEP-0060): what entities ask of a service and of nodes as their owners, and the errors of its own
//! that it answers with. The configuration of nodes is in `pubsub_config`.

use crate::{Payload, attr, bad_request, forms::Form, jid_attr, ns, required, rsm};
use linnet_xmpp::{
    Jid, StanzaError,
    stanza::Condition,
    xml::{Node, Writer},
};

macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$case_meta:meta])* $case:ident = $text:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$case_meta])* $case),* }

        impl $name {
            /// All, in order.
            pub const ALL: &[$name] = &[$($name::$case),*];

            /// As it is written.
            pub fn name(self) -> &'static str {
                match self { $($name::$case => $text),* }
            }

            /// What a text names.
            pub fn named(text: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|value| value.name() == text)
            }
        }
    };
}
pub(crate) use named;

named! {
    /// How somebody stands to a node (XEP-0060 §4.1).
    Affiliation {
        /// Everything.
        Owner = "owner",
        /// Publishes, and reads.
        Publisher = "publisher",
        /// Publishes.
        PublishOnly = "publish-only",
        /// Reads, where not everybody may.
        Member = "member",
        /// As the node's access model says.
        None = "none",
        /// Nothing.
        Outcast = "outcast",
    }
}

named! {
    /// The state of a subscription (§4.2).
    SubscriptionState {
        /// There is none.
        None = "none",
        /// An owner has to approve it.
        Pending = "pending",
        /// It has to be configured.
        Unconfigured = "unconfigured",
        /// It is in force.
        Subscribed = "subscribed",
    }
}

/// An item as it is published (§7.1) or told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// Its id, if it has been given one.
    pub id: Option<String>,
    /// Its payload: one canonical element; empty where there is none.
    pub payload: bytes::Bytes,
    /// Who published it, where the node says so (§12.17). What a publisher says himself means nothing (§7.1.2.3).
    pub publisher: Option<String>,
}

/// What anybody may ask (namespace `pubsub`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as the attributes of the specification")]
pub enum Request {
    /// §8.1.
    Create { node: Option<String>, configure: Option<Form> },
    /// §7.1.
    Publish { node: String, items: Vec<Item>, options: Option<Form> },
    /// §7.2.
    Retract { node: String, notify: bool, ids: Vec<String> },
    /// §6.1.
    Subscribe { node: String, jid: Jid, options: Option<Form> },
    /// §6.2.
    Unsubscribe { node: String, jid: Jid, subid: Option<String> },
    /// §6.3.
    Options { node: String, jid: Jid, subid: Option<String>, form: Option<Form> },
    /// §6.4.
    Default { node: Option<String> },
    /// §6.5.
    Items { node: String, max_items: Option<u64>, ids: Vec<String>, page: Option<rsm::Wanted> },
    /// §5.6.
    Subscriptions { node: Option<String> },
    /// §5.7.
    Affiliations { node: Option<String> },
}

/// What owners ask (namespace `pubsub#owner`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are named as the attributes of the specification")]
pub enum OwnerRequest {
    /// §8.2.
    Configure { node: String, form: Option<Form> },
    /// §8.3.
    Default,
    /// §8.4.
    Delete { node: String, redirect: Option<String> },
    /// §8.5.
    Purge { node: String },
    /// §8.8.
    Subscriptions { node: String, changes: Vec<(Jid, SubscriptionState, Option<String>)> },
    /// §8.9.
    Affiliations { node: String, changes: Vec<(Jid, Affiliation)> },
}

/// An error with a condition of pubsub's own (§11).
pub fn error(condition: Condition, own: &str) -> StanzaError {
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open(own, ns::PUBSUB_ERRORS).close();
    StanzaError::new(condition).extra(out.finish())
}

/// A feature that is not there (§11): feature-not-implemented with its name.
pub fn unsupported(feature: &str) -> StanzaError {
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("unsupported", ns::PUBSUB_ERRORS).attr("feature", feature).close();
    StanzaError::new(Condition::FeatureNotImplemented).extra(out.finish())
}

fn node_required() -> StanzaError {
    error(Condition::BadRequest, "nodeid-required")
}

fn named_node(node: Node<'_>) -> Result<String, StanzaError> {
    attr(node, "node").filter(|name| !name.is_empty()).ok_or_else(node_required)
}

fn subscriber(node: Node<'_>) -> Result<Jid, StanzaError> {
    jid_attr(node, "jid")?.ok_or_else(|| error(Condition::BadRequest, "jid-required"))
}

fn form_in(node: Node<'_>) -> Result<Option<Form>, StanzaError> {
    node.child("x", ns::DATA_FORMS).map(Form::read).transpose()
}

fn ids(node: Node<'_>) -> Vec<String> {
    let items = node.children().filter(|child| child.name() == "item");
    items.filter_map(|child| attr(child, "id")).filter(|id| !id.is_empty()).collect()
}

impl Request {
    /// Reads `<pubsub/>`. `is_set`: of an iq of type set.
    pub fn read(node: Node<'_>, is_set: bool) -> Result<Request, StanzaError> {
        let space = ns::PUBSUB;
        let child = |name| node.child(name, space);
        let first = node.children().find(|child| child.ns() == space && !matches!(child.name(), "configure"));
        let what = first.ok_or_else(|| bad_request("nothing is asked"))?;
        let optional = |node| attr(node, "node").filter(|name| !name.is_empty());
        Ok(match (what.name(), is_set) {
            ("create", true) => Request::Create {
                node: optional(what),
                configure: child("configure").map(form_in).transpose()?.flatten(),
            },
            ("publish", true) => {
                let items = what.children().filter(|child| child.is("item", space));
                let options = child("publish-options").map(form_in).transpose()?.flatten();
                Request::Publish {
                    node: named_node(what)?,
                    items: items.map(read_item).collect::<Result<_, _>>()?,
                    options,
                }
            }
            ("retract", true) => {
                let notify = matches!(attr(what, "notify").as_deref(), Some("true" | "1"));
                Request::Retract { node: named_node(what)?, notify, ids: ids(what) }
            }
            ("subscribe", true) => {
                let options = child("options").map(form_in).transpose()?.flatten();
                Request::Subscribe { node: named_node(what)?, jid: subscriber(what)?, options }
            }
            // Options alone (§6.3.5); together with `subscribe` they were read with it.
            ("options", _) if child("subscribe").is_some() => {
                let subscribe = child("subscribe").ok_or_else(node_required)?;
                Request::Subscribe {
                    node: named_node(subscribe)?,
                    jid: subscriber(subscribe)?,
                    options: form_in(what)?,
                }
            }
            ("options", _) => Request::Options {
                node: named_node(what)?,
                jid: subscriber(what)?,
                subid: attr(what, "subid"),
                form: form_in(what)?.filter(|_| is_set),
            },
            ("unsubscribe", true) => {
                Request::Unsubscribe { node: named_node(what)?, jid: subscriber(what)?, subid: attr(what, "subid") }
            }
            ("default", false) => Request::Default { node: optional(what) },
            ("items", false) => Request::Items {
                node: named_node(what)?,
                max_items: attr(what, "max_items")
                    .map(|max| max.parse().map_err(|_| bad_request("max_items is no number")))
                    .transpose()?,
                ids: ids(what),
                page: node.child("set", ns::RSM).map(rsm::Wanted::read).transpose()?,
            },
            ("subscriptions", false) => Request::Subscriptions { node: optional(what) },
            ("affiliations", false) => Request::Affiliations { node: optional(what) },
            _ => return Err(bad_request("this is not asked so")),
        })
    }
}

impl OwnerRequest {
    /// Reads `<pubsub/>` of an owner. `is_set`: of an iq of type set.
    pub fn read(node: Node<'_>, is_set: bool) -> Result<OwnerRequest, StanzaError> {
        let what = node.children().find(|child| child.ns() == ns::PUBSUB_OWNER);
        let what = what.ok_or_else(|| bad_request("nothing is asked"))?;
        let children =
            |name: &'static str| what.children().filter(move |child| child.is(name, ns::PUBSUB_OWNER) && is_set);
        Ok(match (what.name(), is_set) {
            ("configure", _) => {
                OwnerRequest::Configure { node: named_node(what)?, form: form_in(what)?.filter(|_| is_set) }
            }
            ("default", false) => OwnerRequest::Default,
            ("delete", true) => {
                let redirect = what.child("redirect", ns::PUBSUB_OWNER).and_then(|redirect| attr(redirect, "uri"));
                OwnerRequest::Delete { node: named_node(what)?, redirect }
            }
            ("purge", true) => OwnerRequest::Purge { node: named_node(what)? },
            ("subscriptions", _) => {
                let change = |child| {
                    let state = SubscriptionState::named(&required(child, "subscription")?);
                    let state = state.ok_or_else(|| bad_request("not a state of a subscription"))?;
                    Ok((subscriber(child)?, state, attr(child, "subid")))
                };
                let changes = children("subscription").map(change).collect::<Result<_, StanzaError>>()?;
                OwnerRequest::Subscriptions { node: named_node(what)?, changes }
            }
            ("affiliations", _) => {
                let change = |child| {
                    let affiliation = Affiliation::named(&required(child, "affiliation")?);
                    Ok((subscriber(child)?, affiliation.ok_or_else(|| bad_request("not an affiliation"))?))
                };
                let changes = children("affiliation").map(change).collect::<Result<_, StanzaError>>()?;
                OwnerRequest::Affiliations { node: named_node(what)?, changes }
            }
            _ => return Err(bad_request("this is not asked so")),
        })
    }
}

/// More than one payload is none (§7.1.3.5).
fn read_item(node: Node<'_>) -> Result<Item, StanzaError> {
    let mut children = node.children();
    let payload = children.next().map(|child| child.to_bytes(linnet_xmpp::ns::CLIENT));
    if children.next().is_some() {
        return Err(error(Condition::BadRequest, "invalid-payload"));
    }
    let id = attr(node, "id").filter(|id| !id.is_empty());
    Ok(Item { id, payload: payload.unwrap_or_default(), publisher: None })
}

impl Item {
    /// An item with an id.
    pub fn new(id: impl Into<String>, payload: bytes::Bytes) -> Item {
        Item { id: Some(id.into()), payload, publisher: None }
    }

    /// Writes `<item/>` in the namespace of its parent.
    pub fn write(&self, space: &str, out: &mut Writer) {
        out.open("item", space).attr_opt("id", self.id.as_deref()).attr_opt("publisher", self.publisher.as_deref());
        if !self.payload.is_empty() {
            write_foreign(&self.payload, out);
        }
        out.close();
    }
}

/// Writes an element that was kept as canonical under `jabber:client` where another default namespace is in force.
pub fn write_foreign(element: &bytes::Bytes, out: &mut Writer) {
    use linnet_xmpp::xml::{Document, Scope};
    if let Ok(document) = Document::parse(element.clone(), &Scope::new(linnet_xmpp::ns::CLIENT)) {
        out.node(document.root());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::parse;

    fn read(xml: &str, is_set: bool) -> Result<Request, StanzaError> {
        Request::read(parse(&format!("<pubsub xmlns='{}'>{xml}</pubsub>", ns::PUBSUB)).root(), is_set)
    }

    fn own(result: Result<Request, StanzaError>) -> String {
        let extra = result.unwrap_err().extra.unwrap_or_default();
        String::from_utf8(extra.to_vec()).unwrap()
    }

    #[test]
    fn requests_are_read() {
        let publish = read("<publish node='n'><item id='1'><a xmlns='urn:a'/></item></publish>", true).unwrap();
        let item = Item::new("1", "<a xmlns='urn:a'/>".into());
        assert_eq!(publish, Request::Publish { node: "n".into(), items: vec![item], options: None });
        let retract = read("<retract node='n' notify='1'><item id='1'/></retract>", true).unwrap();
        assert_eq!(retract, Request::Retract { node: "n".into(), notify: true, ids: vec!["1".into()] });
        let create = read("<create/><configure/>", true).unwrap();
        assert_eq!(create, Request::Create { node: None, configure: None });
        let jid = Jid::parse("a@b").unwrap();
        let subscribe = read("<subscribe node='n' jid='a@b'/><options/>", true).unwrap();
        assert_eq!(subscribe, Request::Subscribe { node: "n".into(), jid, options: None });
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(own(read("<publish><item/></publish>", true)).contains("nodeid-required"));
        assert!(own(read("<subscribe node='n'/>", true)).contains("jid-required"));
        let two = "<publish node='n'><item><a xmlns='u'/><b xmlns='u'/></item></publish>";
        assert!(own(read(two, true)).contains("invalid-payload"));
        assert_eq!(read("<items node='n'/>", true).unwrap_err().condition, Condition::BadRequest);
    }
}
