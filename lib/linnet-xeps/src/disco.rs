//! Service discovery (XEP-0030) with extension forms (XEP-0128): who somebody is, what he can do, what belongs to him.

use crate::{Payload, attr, bad_request, expect, forms::Form, jid_attr, ns, required};
use linnet_xmpp::{
    Jid, StanzaError,
    xml::{Node, Writer},
};

/// `<query/>` of disco#info: the question has a node at most, the answer the rest (XEP-0030 §3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Info {
    /// About which node.
    pub node: Option<String>,
    /// Who it is. An answer has at least one.
    pub identities: Vec<Identity>,
    /// Namespaces of what it can do.
    pub features: Vec<String>,
    /// Further information as forms of type `result` (XEP-0128).
    pub forms: Vec<Form>,
}

/// One identity (XEP-0030 §3.1), from the registry of categories and types.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// E.g. `server`.
    pub category: String,
    /// E.g. `im`.
    pub kind: String,
    /// `xml:lang` of the name.
    pub lang: Option<String>,
    /// A name for people.
    pub name: Option<String>,
}

/// `<query/>` of disco#items: the question has a node at most, the answer the items (XEP-0030 §4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Items {
    /// Items of which node.
    pub node: Option<String>,
    /// What belongs to it.
    pub items: Vec<Item>,
}

/// One item (XEP-0030 §4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where it is.
    pub jid: Jid,
    /// Its node there.
    pub node: Option<String>,
    /// A name for people.
    pub name: Option<String>,
}

impl Info {
    /// The question about a node, or about the entity itself.
    pub fn question(node: Option<&str>) -> Info {
        Info { node: node.map(str::to_owned), ..Info::default() }
    }

    /// Whether a feature is among those told.
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|known| known == feature)
    }

    /// The form with this FORM_TYPE.
    pub fn form(&self, form_type: &str) -> Option<&Form> {
        self.forms.iter().find(|form| form.form_type() == Some(form_type))
    }
}

impl Identity {
    /// An identity; an empty name is none.
    pub fn new(category: &str, kind: &str, name: &str) -> Identity {
        let name = (!name.is_empty()).then(|| name.to_owned());
        Identity { category: category.to_owned(), kind: kind.to_owned(), lang: None, name }
    }
}

impl Payload for Info {
    /// Elements that are not known are passed over, as extensions may add them.
    fn read(node: Node<'_>) -> Result<Info, StanzaError> {
        expect(node, "query", ns::DISCO_INFO)?;
        let mut info = Info { node: attr(node, "node"), ..Info::default() };
        for child in node.children() {
            match (child.name(), child.ns()) {
                ("identity", ns::DISCO_INFO) => info.identities.push(read_identity(child)?),
                ("feature", ns::DISCO_INFO) => info.features.push(required(child, "var")?),
                ("x", ns::DATA_FORMS) => info.forms.push(Form::read(child)?),
                _ => {}
            }
        }
        Ok(info)
    }

    fn write(&self, out: &mut Writer) {
        out.open("query", ns::DISCO_INFO).attr_opt("node", self.node.as_deref());
        for identity in &self.identities {
            out.open("identity", ns::DISCO_INFO)
                .attr("category", &identity.category)
                .attr("type", &identity.kind)
                .attr_opt("name", identity.name.as_deref())
                .attr_opt("xml:lang", identity.lang.as_deref())
                .close();
        }
        for feature in &self.features {
            out.open("feature", ns::DISCO_INFO).attr("var", feature).close();
        }
        for form in &self.forms {
            form.write(out);
        }
        out.close();
    }
}

impl Items {
    /// The question for the items of a node, or of the entity itself.
    pub fn question(node: Option<&str>) -> Items {
        Items { node: node.map(str::to_owned), items: Vec::new() }
    }
}

impl Payload for Items {
    fn read(node: Node<'_>) -> Result<Items, StanzaError> {
        expect(node, "query", ns::DISCO_ITEMS)?;
        let mut items = Items { node: attr(node, "node"), items: Vec::new() };
        for child in node.children().filter(|child| child.is("item", ns::DISCO_ITEMS)) {
            let jid = jid_attr(child, "jid")?.ok_or_else(|| bad_request("an item without address"))?;
            items.items.push(Item { jid, node: attr(child, "node"), name: attr(child, "name") });
        }
        Ok(items)
    }

    fn write(&self, out: &mut Writer) {
        out.open("query", ns::DISCO_ITEMS).attr_opt("node", self.node.as_deref());
        for item in &self.items {
            out.open("item", ns::DISCO_ITEMS)
                .attr("jid", item.jid.as_str())
                .attr_opt("node", item.node.as_deref())
                .attr_opt("name", item.name.as_deref())
                .close();
        }
        out.close();
    }
}

fn read_identity(node: Node<'_>) -> Result<Identity, StanzaError> {
    Ok(Identity {
        category: required(node, "category")?,
        kind: required(node, "type")?,
        lang: node.lang().map(|lang| lang.into_owned()),
        name: attr(node, "name"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, refused, written};
    use linnet_xmpp::stanza::Condition;

    #[test]
    fn a_question_is_an_empty_query() {
        let question = read::<Info>("<query xmlns='http://jabber.org/protocol/disco#info'/>").unwrap();
        assert_eq!(question, Info::question(None));
        assert_eq!(written(&Items::question(Some("music"))), {
            "<query xmlns='http://jabber.org/protocol/disco#items' node='music'/>"
        });
    }

    /// XEP-0030 example 2.
    #[test]
    fn an_answer_has_identities_and_features() {
        let info = read::<Info>(
            "<query xmlns='http://jabber.org/protocol/disco#info'>
               <identity category='conference' type='text' name='Play-Specific Chatrooms' xml:lang='en'/>
               <identity category='directory' type='chatroom'/>
               <feature var='http://jabber.org/protocol/disco#info'/><feature var='jabber:iq:time'/>
               <x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>a</value></field></x>
             </query>",
        )
        .unwrap();
        assert_eq!(info.identities[0].lang.as_deref(), Some("en"));
        assert_eq!(info.identities[1], Identity::new("directory", "chatroom", ""));
        assert!(info.has("jabber:iq:time") && !info.has("jabber:iq:last"));
        assert!(info.form("a").is_some() && info.form("b").is_none());
        written(&info);
    }

    /// XEP-0030 example 19.
    #[test]
    fn items_have_addresses() {
        let items = read::<Items>(
            "<query xmlns='http://jabber.org/protocol/disco#items'>
               <item jid='people.shakespeare.lit' name='Directory of Characters'/>
               <item jid='plays.shakespeare.lit' node='x'/></query>",
        )
        .unwrap();
        assert_eq!(items.items.len(), 2);
        written(&items);
        let none = "<query xmlns='http://jabber.org/protocol/disco#items'><item name='x'/></query>";
        assert_eq!(refused::<Items>(none), Some(Condition::BadRequest));
        let bad = "<query xmlns='http://jabber.org/protocol/disco#items'><item jid='@'/></query>";
        assert_eq!(refused::<Items>(bad), Some(Condition::JidMalformed));
    }
}
