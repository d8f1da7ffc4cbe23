//! Push notifications (XEP-0357): what a client tells its server, and what the server publishes to the app server.

use crate::{
    Payload, attr, bad_request, expect,
    forms::{Field, Form, FormType},
    jid_attr, ns, required,
};
use linnet_xmpp::{
    Jid, StanzaError,
    xml::{Node, Writer},
};

/// `<enable/>` (§5): notifications for this account are to be published there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enable {
    /// The app server.
    pub jid: Jid,
    /// The node there; clients should say one.
    pub node: Option<String>,
    /// What has to go with every publication, such as a secret.
    pub options: Option<Form>,
}

/// `<disable/>` (§6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disable {
    /// The app server.
    pub jid: Jid,
    /// Only this node there; else all.
    pub node: Option<String>,
}

/// What a notification says in its form (§7, §11.3.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages that nobody has read.
    pub message_count: Option<u32>,
    /// Requests for a subscription that nobody has answered.
    pub pending_subscription_count: Option<u32>,
    /// Who sent the last message.
    pub last_message_sender: Option<Jid>,
    /// What it says.
    pub last_message_body: Option<String>,
}

/// `<pubsub/>` with a notification that is published to a node (§7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The node.
    pub node: Option<String>,
    /// What it says.
    pub summary: Summary,
    /// What the client demanded to go with it.
    pub options: Option<Form>,
}

impl Payload for Enable {
    fn read(node: Node<'_>) -> Result<Enable, StanzaError> {
        expect(node, "enable", ns::PUSH)?;
        let options = node.child("x", ns::DATA_FORMS).map(Form::read).transpose()?;
        if options.as_ref().is_some_and(|form| form.form_type() != Some(ns::PUBLISH_OPTIONS)) {
            return Err(bad_request("the form must be one of publish-options"));
        }
        Ok(Enable { jid: service(node)?, node: attr(node, "node"), options })
    }

    fn write(&self, out: &mut Writer) {
        out.open("enable", ns::PUSH).attr("jid", self.jid.as_str()).attr_opt("node", self.node.as_deref());
        if let Some(options) = &self.options {
            options.write(out);
        }
        out.close();
    }
}

impl Payload for Disable {
    fn read(node: Node<'_>) -> Result<Disable, StanzaError> {
        expect(node, "disable", ns::PUSH)?;
        Ok(Disable { jid: service(node)?, node: attr(node, "node") })
    }

    fn write(&self, out: &mut Writer) {
        let node = self.node.as_deref();
        out.open("disable", ns::PUSH).attr("jid", self.jid.as_str()).attr_opt("node", node).close();
    }
}

fn service(node: Node<'_>) -> Result<Jid, StanzaError> {
    required(node, "jid")?;
    jid_attr(node, "jid")?.ok_or_else(|| bad_request("the attribute jid is missing"))
}

impl Summary {
    /// As a form; `None` if it says nothing.
    pub fn to_form(&self) -> Option<Form> {
        let number = |value: Option<u32>| value.map(|value| value.to_string());
        let sender = self.last_message_sender.as_ref().map(Jid::to_string);
        let said = [
            ("message-count", number(self.message_count)),
            ("pending-subscription-count", number(self.pending_subscription_count)),
            ("last-message-sender", sender),
            ("last-message-body", self.last_message_body.clone()),
        ];
        let fields: Vec<Field> =
            said.into_iter().filter_map(|(var, value)| Some(Field::untyped(var, value?))).collect();
        let mut form = Form::of(FormType::Submit, ns::PUSH_SUMMARY);
        form.fields.extend(fields);
        (form.fields.len() > 1).then_some(form)
    }

    /// Reads the form. Fails as reading forms does.
    pub fn from_form(form: &Form) -> Result<Summary, StanzaError> {
        Ok(Summary {
            message_count: form.parse("message-count")?,
            pending_subscription_count: form.parse("pending-subscription-count")?,
            last_message_sender: form.jid("last-message-sender")?,
            last_message_body: form.value("last-message-body").map(str::to_owned),
        })
    }
}

impl Payload for Publication {
    fn read(node: Node<'_>) -> Result<Publication, StanzaError> {
        expect(node, "pubsub", ns::PUBSUB)?;
        let publish = node.child("publish", ns::PUBSUB).ok_or_else(|| bad_request("nothing is published"))?;
        let item = publish.child("item", ns::PUBSUB).ok_or_else(|| bad_request("no item"))?;
        let notification = item.child("notification", ns::PUSH).ok_or_else(|| bad_request("no notification"))?;
        let summary = notification.child("x", ns::DATA_FORMS).map(Form::read).transpose()?;
        let options = node.child("publish-options", ns::PUBSUB).and_then(|node| node.child("x", ns::DATA_FORMS));
        Ok(Publication {
            node: attr(publish, "node"),
            summary: summary.as_ref().map(Summary::from_form).transpose()?.unwrap_or_default(),
            options: options.map(Form::read).transpose()?,
        })
    }

    fn write(&self, out: &mut Writer) {
        out.open("pubsub", ns::PUBSUB);
        out.open("publish", ns::PUBSUB).attr_opt("node", self.node.as_deref()).open("item", ns::PUBSUB);
        out.open("notification", ns::PUSH);
        if let Some(form) = self.summary.to_form() {
            form.write(out);
        }
        out.close().close().close();
        if let Some(options) = &self.options {
            out.open("publish-options", ns::PUBSUB);
            options.write(out);
            out.close();
        }
        out.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, refused, written};
    use linnet_xmpp::stanza::Condition;

    /// XEP-0357 examples 8 to 11.
    #[test]
    fn enabling_and_disabling() {
        let plain = "<enable xmlns='urn:xmpp:push:0' jid='push-5.client.example' node='yxs32uqsflafdk3iuqo'/>";
        assert_eq!(written(&read::<Enable>(plain).unwrap()), plain);
        let secret = "<enable xmlns='urn:xmpp:push:0' jid='push-5.client.example' node='n'>\
            <x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
            <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
            <field var='secret'><value>eruio234vzxc2kla-91</value></field></x></enable>";
        let enable = read::<Enable>(secret).unwrap();
        assert_eq!(enable.options.as_ref().unwrap().value("secret"), Some("eruio234vzxc2kla-91"));
        assert_eq!(written(&enable), secret);
        for disable in [
            "<disable xmlns='urn:xmpp:push:0' jid='push-5.client.example'/>",
            "<disable xmlns='urn:xmpp:push:0' jid='push-5.client.example' node='n'/>",
        ] {
            assert_eq!(written(&read::<Disable>(disable).unwrap()), disable);
        }
    }

    #[test]
    fn bad_requests_are_refused() {
        assert_eq!(refused::<Enable>("<enable xmlns='urn:xmpp:push:0' node='n'/>"), Some(Condition::BadRequest));
        assert_eq!(refused::<Enable>("<enable xmlns='urn:xmpp:push:0' jid='@'/>"), Some(Condition::JidMalformed));
        assert_eq!(refused::<Disable>("<disable xmlns='urn:xmpp:push:0'/>"), Some(Condition::BadRequest));
        let other = "<enable xmlns='urn:xmpp:push:0' jid='a'><x xmlns='jabber:x:data' type='submit'/></enable>";
        assert_eq!(refused::<Enable>(other), Some(Condition::BadRequest));
    }

    /// XEP-0357 example 13; its form has no type, which XEP-0004 §3.1 demands.
    #[test]
    fn publishing() {
        let publication = Publication {
            node: Some("yxs32uqsflafdk3iuqo".into()),
            summary: Summary {
                message_count: Some(1),
                last_message_sender: Some(Jid::parse("juliet@capulet.example/balcony").unwrap()),
                last_message_body: Some("Wherefore art thou, Romeo?".into()),
                pending_subscription_count: None,
            },
            options: Some(Form::of(FormType::Submit, ns::PUBLISH_OPTIONS).field(Field::untyped("secret", "e"))),
        };
        let text = written(&publication);
        assert!(text.contains("<publish node='yxs32uqsflafdk3iuqo'><item><notification xmlns='urn:xmpp:push:0'>"));
        assert_eq!(read::<Publication>(&text).unwrap(), publication);
        let nothing = Publication { summary: Summary::default(), options: None, ..publication };
        assert!(written(&nothing).contains("<notification xmlns='urn:xmpp:push:0'/>"));
        assert_eq!(read::<Publication>(&written(&nothing)).unwrap(), nothing);
    }
}
