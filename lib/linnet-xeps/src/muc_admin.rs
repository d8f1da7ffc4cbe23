//! Multi-user chat (XEP-0045), what stands in iqs: lists of roles and affiliations (§8, §9), and what owners ask (§10).

use crate::{
    Payload, bad_request, expect,
    forms::Form,
    muc::{Destroy, Item},
    ns,
};
use linnet_xmpp::{
    StanzaError,
    xml::{Node, Writer},
};

/// `<query/>` of `muc#admin`: a question has one item with a role or an affiliation, a change all that changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admin {
    /// The items.
    pub items: Vec<Item>,
}

/// `<query/>` of `muc#owner`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Asks for the configuration.
    Question,
    /// The configuration, asked for, filled in or given up (§10.1, §10.2).
    Configure(Form),
    /// The end of the room (§10.9).
    Destroy(Destroy),
}

impl Payload for Admin {
    /// bad-request for roles and affiliations that do not exist, and where an item says both or none (§17.4).
    fn read(node: Node<'_>) -> Result<Admin, StanzaError> {
        expect(node, "query", ns::MUC_ADMIN)?;
        let items = node.children().filter(|child| child.is("item", ns::MUC_ADMIN));
        let items = items.map(|item| Item::read_in(item, ns::MUC_ADMIN)).collect::<Result<Vec<Item>, _>>()?;
        if items.is_empty() {
            return Err(bad_request("there is no item"));
        }
        Ok(Admin { items })
    }

    fn write(&self, out: &mut Writer) {
        out.open("query", ns::MUC_ADMIN);
        self.items.iter().for_each(|item| item.write_in(ns::MUC_ADMIN, out));
        out.close();
    }
}

impl Payload for Owner {
    fn read(node: Node<'_>) -> Result<Owner, StanzaError> {
        expect(node, "query", ns::MUC_OWNER)?;
        if let Some(destroy) = node.child("destroy", ns::MUC_OWNER) {
            return Ok(Owner::Destroy(Destroy::read_in(destroy, ns::MUC_OWNER)?));
        }
        match node.child("x", ns::DATA_FORMS) {
            Some(form) => Ok(Owner::Configure(Form::read(form)?)),
            None if node.children().next().is_none() => Ok(Owner::Question),
            None => Err(bad_request("neither a form nor the end of a room")),
        }
    }

    fn write(&self, out: &mut Writer) {
        out.open("query", ns::MUC_OWNER);
        match self {
            Owner::Question => {}
            Owner::Configure(form) => form.write(out),
            Owner::Destroy(destroy) => destroy.write_in(ns::MUC_OWNER, out),
        }
        out.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{read, refused, written},
        forms::FormType,
        muc::{Affiliation, Role},
    };
    use linnet_xmpp::stanza::Condition;

    /// XEP-0045 examples 89, 110 and 131.
    #[test]
    fn lists() {
        let kick = "<query xmlns='http://jabber.org/protocol/muc#admin'><item role='none' nick='pistol'>\
                    <reason>Avaunt, you cullion!</reason></item></query>";
        let admin = read::<Admin>(kick).unwrap();
        assert_eq!(admin.items[0].role, Some(Role::None));
        assert_eq!(written(&admin), kick);
        let members = "<query xmlns='http://jabber.org/protocol/muc#admin'>\
                       <item affiliation='none' jid='hag66@shakespeare.lit'/>\
                       <item affiliation='member' jid='hecate@shakespeare.lit' nick='hecate'/></query>";
        let admin = read::<Admin>(members).unwrap();
        assert_eq!(admin.items[1].affiliation, Some(Affiliation::Member));
        assert_eq!(written(&admin), members);
        let refused = |item: &str| {
            refused::<Admin>(&format!("<query xmlns='http://jabber.org/protocol/muc#admin'>{item}</query>"))
        };
        assert_eq!(refused("<item affiliation='none' jid='@@'/>"), Some(Condition::JidMalformed));
        assert_eq!(refused("<item role='emperor' nick='a'/>"), Some(Condition::BadRequest));
        assert_eq!(refused(""), Some(Condition::BadRequest));
    }

    /// XEP-0045 examples 155, 156 and 201.
    #[test]
    fn owners() {
        let open = "<query xmlns='http://jabber.org/protocol/muc#owner'";
        assert_eq!(written(&read::<Owner>(&format!("{open}/>")).unwrap()), format!("{open}/>"));
        let instant = read::<Owner>(&format!("{open}><x xmlns='jabber:x:data' type='submit'/></query>")).unwrap();
        assert_eq!(instant, Owner::Configure(Form::new(FormType::Submit)));
        written(&instant);
        let destroy = format!("{open}><destroy jid='a@b'><password>p</password><reason>r</reason></destroy></query>");
        assert_eq!(written(&read::<Owner>(&destroy).unwrap()), destroy);
        assert_eq!(refused::<Owner>(&format!("{open}><other/></query>")), Some(Condition::BadRequest));
    }
}
