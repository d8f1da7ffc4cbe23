//! Rosters (RFC 6121 §2): results and pushes as a client reads them, and requests with the checks of a server.

use crate::{Payload, attr, bad_request, expect, jid_attr, not_acceptable, parse_jid};
use linnet_xmpp::{
    Jid, StanzaError, ns,
    xml::{Node, Writer},
};

/// `<query/>`: a request, a result or a push (RFC 6121 §2.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    /// The version (§2.6). `Some("")` in a request: the client has no roster but understands versions.
    pub ver: Option<String>,
    /// The contacts; in a push exactly one.
    pub items: Vec<Item>,
}

/// One contact (RFC 6121 §2.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Who.
    pub jid: Jid,
    /// What the user calls him.
    pub name: Option<String>,
    /// The state of the subscriptions.
    pub subscription: Subscription,
    /// `ask='subscribe'`: a subscription was asked for and not answered.
    pub ask: bool,
    /// The contact's subscription was approved in advance (§3.4).
    pub approved: bool,
    /// The groups that the user put him in.
    pub groups: Vec<String>,
}

/// States of subscription (RFC 6121 §2.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Subscription {
    /// Neither sees the other's presence.
    #[default]
    None,
    /// The user sees the contact's presence.
    To,
    /// The contact sees the user's presence.
    From,
    /// Both.
    Both,
    /// The item is taken out; only in pushes and requests.
    Remove,
}

/// What a server takes of names and groups (RFC 6121 §2.3.3 leaves it to the server).
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a name.
    pub name: usize,
    /// Bytes of a group's name.
    pub group: usize,
    /// Groups of one item.
    pub groups: usize,
}

/// What a roster set asks for (RFC 6121 §2.1.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Add the contact, or replace name and groups.
    Put {
        /// Who.
        jid: Jid,
        /// What the user calls him.
        name: Option<String>,
        /// All groups.
        groups: Vec<String>,
    },
    /// Take the contact out.
    Remove(Jid),
}

/// Reads a roster get, server's side: the version that the client has, if it says (§2.1.3, §2.6.2).
/// bad-request where it has items.
pub fn read_get(node: Node<'_>) -> Result<Option<String>, StanzaError> {
    expect(node, "query", ns::ROSTER)?;
    if node.children().any(|child| child.is("item", ns::ROSTER)) {
        return Err(bad_request("a request for the roster has no items"));
    }
    Ok(attr(node, "ver"))
}

/// Reads a roster set, server's side (§2.1.5, §2.3.3). bad-request: not exactly one item, duplicate groups;
/// jid-malformed: no address; not-acceptable: an empty group, or something over the limits. What the client says of
/// subscriptions is ignored, except `remove`. The caller has seen that the sender may do it.
pub fn read_set(node: Node<'_>, limits: &Limits) -> Result<Change, StanzaError> {
    expect(node, "query", ns::ROSTER)?;
    let mut items = node.children().filter(|child| child.is("item", ns::ROSTER));
    let item = items.next().ok_or_else(|| bad_request("no item"))?;
    if items.next().is_some() {
        return Err(bad_request("more than one item"));
    }
    let jid = parse_jid(&item.attr("jid").ok_or_else(|| bad_request("an item without address"))?)?;
    if item.attr("subscription").as_deref() == Some("remove") {
        return Ok(Change::Remove(jid));
    }
    // An empty name says the same as none; clients send it to take a name away.
    let name = attr(item, "name").filter(|name| !name.is_empty());
    if name.as_ref().is_some_and(|name| name.len() > limits.name) {
        return Err(not_acceptable("the name is too long"));
    }
    let mut groups: Vec<String> = Vec::new();
    for group in item.children().filter(|child| child.is("group", ns::ROSTER)) {
        let group = group.text().into_owned();
        if group.is_empty() {
            return Err(not_acceptable("a group without a name"));
        }
        if group.len() > limits.group {
            return Err(not_acceptable("the name of a group is too long"));
        }
        if groups.contains(&group) {
            return Err(bad_request("a group stands twice"));
        }
        if groups.len() == limits.groups {
            return Err(not_acceptable("too many groups"));
        }
        groups.push(group);
    }
    Ok(Change::Put { jid, name, groups })
}

impl Roster {
    /// The request of a client; `ver`: what it has, where the server offers versions.
    pub fn question(ver: Option<&str>) -> Roster {
        Roster { ver: ver.map(str::to_owned), items: Vec::new() }
    }

    /// A push of one item, or a client's roster set.
    pub fn of(ver: Option<&str>, item: Item) -> Roster {
        Roster { ver: ver.map(str::to_owned), items: vec![item] }
    }
}

impl Item {
    /// A contact without name, groups and subscriptions.
    pub fn new(jid: Jid) -> Item {
        Item { jid, name: None, subscription: Subscription::None, ask: false, approved: false, groups: vec![] }
    }

    /// Writes the item alone, for results that are put together from stored rows.
    pub fn write(&self, out: &mut Writer) {
        // §2.1.2.5: `none` is the default, but several clients look for the attribute.
        out.open("item", ns::ROSTER)
            .attr("jid", self.jid.as_str())
            .attr_opt("name", self.name.as_deref())
            .attr("subscription", self.subscription.name())
            .attr_opt("ask", self.ask.then_some("subscribe"))
            .attr_opt("approved", self.approved.then_some("true"));
        for group in &self.groups {
            out.leaf("group", ns::ROSTER, group);
        }
        out.close();
    }
}

impl Subscription {
    /// The value of the attribute.
    pub fn name(self) -> &'static str {
        match self {
            Subscription::None => "none",
            Subscription::To => "to",
            Subscription::From => "from",
            Subscription::Both => "both",
            Subscription::Remove => "remove",
        }
    }

    /// The state of an attribute's value.
    pub fn named(name: &str) -> Option<Subscription> {
        use Subscription::*;
        [None, To, From, Both, Remove].into_iter().find(|state| state.name() == name)
    }
}

impl Payload for Roster {
    /// Reads a result or push, client's side. Values of `subscription` that are not known are ignored (§2.1.2.5);
    /// an item without a good address is left out, so that it does not cost the whole roster.
    fn read(node: Node<'_>) -> Result<Roster, StanzaError> {
        expect(node, "query", ns::ROSTER)?;
        let items = node.children().filter(|child| child.is("item", ns::ROSTER)).filter_map(read_item).collect();
        Ok(Roster { ver: attr(node, "ver"), items })
    }

    fn write(&self, out: &mut Writer) {
        out.open("query", ns::ROSTER).attr_opt("ver", self.ver.as_deref());
        for item in &self.items {
            item.write(out);
        }
        out.close();
    }
}

fn read_item(node: Node<'_>) -> Option<Item> {
    let jid = jid_attr(node, "jid").ok()??;
    let groups = node.children().filter(|child| child.is("group", ns::ROSTER));
    Some(Item {
        jid,
        name: attr(node, "name"),
        subscription: node.attr("subscription").and_then(|name| Subscription::named(&name)).unwrap_or_default(),
        ask: node.attr("ask").as_deref() == Some("subscribe"),
        approved: matches!(node.attr("approved").as_deref(), Some("true" | "1")),
        groups: groups.map(|group| group.text().into_owned()).filter(|group| !group.is_empty()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{parse, read, written};
    use linnet_xmpp::stanza::Condition;

    const LIMITS: Limits = Limits { name: 20, group: 10, groups: 3 };

    fn set(content: &str) -> Result<Change, Condition> {
        let document = parse(&format!("<query xmlns='jabber:iq:roster'>{content}</query>"));
        read_set(document.root(), &LIMITS).map_err(|error| error.condition)
    }

    /// RFC 6121 §2.2.
    #[test]
    fn a_result_is_read_and_written() {
        let roster = read::<Roster>(
            "<query xmlns='jabber:iq:roster' ver='ver11'>
               <item jid='romeo@example.net' name='Romeo' subscription='both'><group>Friends</group></item>
               <item jid='mercutio@example.com' subscription='from' ask='subscribe' approved='true'/>
               <item jid='benvolio@example.net' subscription='unheard-of'/><item jid='@'/></query>",
        )
        .unwrap();
        assert_eq!(roster.ver.as_deref(), Some("ver11"));
        assert_eq!(roster.items.len(), 3);
        assert_eq!(roster.items[0].groups, ["Friends"]);
        assert!(roster.items[1].ask && roster.items[1].approved);
        assert_eq!(roster.items[2].subscription, Subscription::None);
        written(&roster);
        assert_eq!(written(&Roster::question(Some(""))), "<query xmlns='jabber:iq:roster' ver=''/>");
    }

    /// RFC 6121 §2.3.1, §2.5.1.
    #[test]
    fn a_set_changes_or_removes() {
        let jid = Jid::parse("nurse@example.com").unwrap();
        assert_eq!(
            set("<item jid='nurse@example.com' name='Nurse' subscription='both' ask='subscribe'>
                 <group>Servants</group></item>"),
            Ok(Change::Put { jid: jid.clone(), name: Some("Nurse".into()), groups: vec!["Servants".into()] })
        );
        assert_eq!(set("<item jid='nurse@example.com' subscription='remove'/>"), Ok(Change::Remove(jid.clone())));
        assert_eq!(set("<item jid='nurse@example.com' name=''/>"), Ok(Change::Put { jid, name: None, groups: vec![] }));
    }

    /// RFC 6121 §2.3.3.
    #[test]
    fn a_bad_set_is_refused() {
        for (content, condition) in [
            ("", Condition::BadRequest),
            ("<item jid='x@y'/><item jid='z@y'/>", Condition::BadRequest),
            ("<item name='x'/>", Condition::BadRequest),
            ("<item jid='@@'/>", Condition::JidMalformed),
            ("<item jid=''/>", Condition::JidMalformed),
            ("<item jid='x@y'><group/></item>", Condition::NotAcceptable),
            ("<item jid='x@y'><group>a</group><group>a</group></item>", Condition::BadRequest),
            ("<item jid='x@y'><group>12345678901</group></item>", Condition::NotAcceptable),
            ("<item jid='x@y' name='123456789012345678901'/>", Condition::NotAcceptable),
            (
                "<item jid='x@y'><group>a</group><group>b</group><group>c</group><group>d</group></item>",
                Condition::NotAcceptable,
            ),
        ] {
            assert_eq!(set(content), Err(condition), "{content}");
        }
    }

    #[test]
    fn a_get_has_no_items() {
        let get = |xml: &str| read_get(parse(xml).root()).map_err(|error| error.condition);
        assert_eq!(get("<query xmlns='jabber:iq:roster'/>"), Ok(None));
        assert_eq!(get("<query xmlns='jabber:iq:roster' ver=''/>"), Ok(Some(String::new())));
        let items = "<query xmlns='jabber:iq:roster'><item jid='x@y'/></query>";
        assert_eq!(get(items), Err(Condition::BadRequest));
    }
}
