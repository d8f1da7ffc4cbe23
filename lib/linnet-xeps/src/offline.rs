//! Flexible offline message retrieval (XEP-0013): the requests about messages that wait, and the form with their number.

use crate::{
    Payload, bad_request, expect,
    forms::{Field, Form, FormType},
    ns, required,
};
use linnet_xmpp::{
    StanzaError,
    xml::{Node, Writer},
};

/// `<offline/>` in an iq (§2.4 to §2.7). In a message, [`Offline::Nodes`] names the message (example 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offline {
    /// Send the messages of these nodes (get).
    View(Vec<String>),
    /// Remove the messages of these nodes (set).
    Remove(Vec<String>),
    /// Send all (get).
    Fetch,
    /// Remove all (set).
    Purge,
    /// Which message this is.
    Nodes(Vec<String>),
}

/// The disco#info form of the node [`ns::OFFLINE`] that tells how many messages wait (§2.2).
pub fn number_form(messages: usize) -> Form {
    Form::of(FormType::Result, ns::OFFLINE).field(Field::untyped("number_of_messages", messages.to_string()))
}

impl Payload for Offline {
    /// bad-request where it is empty or mixes requests.
    fn read(node: Node<'_>) -> Result<Offline, StanzaError> {
        expect(node, "offline", ns::OFFLINE)?;
        let mut request: Option<Offline> = None;
        for child in node.children().filter(|child| child.ns() == ns::OFFLINE) {
            let next = match (child.name(), child.attr("action").as_deref()) {
                ("fetch", _) => Offline::Fetch,
                ("purge", _) => Offline::Purge,
                ("item", Some("view")) => Offline::View(vec![required(child, "node")?]),
                ("item", Some("remove")) => Offline::Remove(vec![required(child, "node")?]),
                ("item", None) => Offline::Nodes(vec![required(child, "node")?]),
                _ => return Err(bad_request("not a request about offline messages")),
            };
            request = Some(match (request, next) {
                (None, next) => next,
                (Some(Offline::View(nodes)), Offline::View(more)) => Offline::View([nodes, more].concat()),
                (Some(Offline::Remove(nodes)), Offline::Remove(more)) => Offline::Remove([nodes, more].concat()),
                (Some(Offline::Nodes(nodes)), Offline::Nodes(more)) => Offline::Nodes([nodes, more].concat()),
                _ => return Err(bad_request("more than one request about offline messages")),
            });
        }
        request.ok_or_else(|| bad_request("an empty request about offline messages"))
    }

    fn write(&self, out: &mut Writer) {
        out.open("offline", ns::OFFLINE);
        let (action, nodes) = match self {
            Offline::View(nodes) => (Some("view"), nodes),
            Offline::Remove(nodes) => (Some("remove"), nodes),
            Offline::Nodes(nodes) => (None, nodes),
            Offline::Fetch | Offline::Purge => {
                let name = if *self == Offline::Fetch { "fetch" } else { "purge" };
                out.open(name, ns::OFFLINE).close().close();
                return;
            }
        };
        for node in nodes {
            out.open("item", ns::OFFLINE).attr_opt("action", action).attr("node", node).close();
        }
        out.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, refused, written};

    /// XEP-0013 examples 4, 7, 9, 11 and 13.
    #[test]
    fn requests() {
        for xml in [
            "<offline xmlns='http://jabber.org/protocol/offline'><fetch/></offline>",
            "<offline xmlns='http://jabber.org/protocol/offline'><purge/></offline>",
            "<offline xmlns='http://jabber.org/protocol/offline'><item action='view' node='a'/></offline>",
            "<offline xmlns='http://jabber.org/protocol/offline'><item action='remove' node='a'/>\
             <item action='remove' node='b'/></offline>",
            "<offline xmlns='http://jabber.org/protocol/offline'><item node='a'/></offline>",
        ] {
            assert_eq!(written(&read::<Offline>(xml).unwrap()), xml);
        }
        let form = number_form(66);
        assert_eq!(form.form_type(), Some(ns::OFFLINE));
        assert_eq!(form.parse::<usize>("number_of_messages").unwrap(), Some(66));
    }

    #[test]
    fn bad_requests() {
        for content in ["", "<fetch/><purge/>", "<item action='view'/>", "<item action='eat' node='a'/>", "<x/>"] {
            let xml = format!("<offline xmlns='http://jabber.org/protocol/offline'>{content}</offline>");
            assert!(refused::<Offline>(&xml).is_some(), "{xml}");
        }
    }
}
