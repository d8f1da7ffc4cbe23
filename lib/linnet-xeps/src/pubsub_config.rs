//! The configuration of a pubsub node (XEP-0060 §8.2, §16.4.4) and a node's meta-data (§16.4.5), as forms.

use crate::{
    forms::{Field, FieldType, Form, FormType},
    not_acceptable, ns,
    pubsub::{error, named},
};
use linnet_xmpp::{Jid, StanzaError, stanza::Condition};

named! {
    /// Who may subscribe and read (§4.5).
    AccessModel {
        /// Everybody.
        Open = "open",
        /// Who sees the owner's presence.
        Presence = "presence",
        /// Who is in one of some groups of the owner's roster.
        Roster = "roster",
        /// Whom an owner approves.
        Authorize = "authorize",
        /// Who is on the list.
        Whitelist = "whitelist",
    }
}

named! {
    /// Who may publish.
    PublishModel {
        /// Owners and publishers.
        Publishers = "publishers",
        /// Subscribers too.
        Subscribers = "subscribers",
        /// Everybody.
        Open = "open",
    }
}

named! {
    /// When the last item is sent.
    SendLast {
        /// Never.
        Never = "never",
        /// To new subscribers.
        OnSubscription = "on_sub",
        /// To new subscribers, and to subscribers who become available.
        OnPresence = "on_sub_and_presence",
    }
}

named! {
    /// Whose address stands with an item (§12.17).
    ItemReply {
        /// Nobody's.
        None = "none",
        /// That of the node's owner, whom everybody knows anyway: none is written.
        Owner = "owner",
        /// That of its publisher.
        Publisher = "publisher",
    }
}

/// A node's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// A name for people.
    pub title: String,
    /// What is in it, for people.
    pub description: String,
    /// The namespace of payloads, or another name of their kind.
    pub ty: String,
    /// The language of items.
    pub language: String,
    /// Who may subscribe and read.
    pub access: AccessModel,
    /// Groups of the roster for [`AccessModel::Roster`].
    pub groups: Vec<String>,
    /// Who may publish.
    pub publish: PublishModel,
    /// Items that are kept; [`Config::MAX`]: as many as there may be.
    pub max_items: u64,
    /// Whether items are kept.
    pub persist: bool,
    /// Seconds after which items are removed; [`Config::MAX`]: never.
    pub expire_seconds: u64,
    /// Whether notifications have the payload.
    pub deliver_payloads: bool,
    /// Whether there are notifications.
    pub deliver_notifications: bool,
    /// Whether one may subscribe.
    pub subscribe: bool,
    /// Whether subscribers are told of changes of the configuration.
    pub notify_config: bool,
    /// Whether they are told when the node is deleted.
    pub notify_delete: bool,
    /// Whether they are told when items are removed.
    pub notify_retract: bool,
    /// Whether owners are told of new subscriptions, and subscribers of changes that owners make.
    pub notify_sub: bool,
    /// Notifications are of type `headline`, else `normal`.
    pub headlines: bool,
    /// Bytes of a payload.
    pub max_payload: u64,
    /// When the last item is sent.
    pub send_last: SendLast,
    /// Whose address stands with items.
    pub item_reply: ItemReply,
}

impl Config {
    /// In place of a number: `max`.
    pub const MAX: u64 = u64::MAX;

    /// The form that owners fill in, with the present values.
    pub fn form(&self) -> Form {
        self.fields(Form::of(FormType::Form, ns::PUBSUB_NODE_CONFIG))
    }

    /// The form as data, for notifications.
    pub fn result(&self) -> Form {
        self.fields(Form::of(FormType::Result, ns::PUBSUB_NODE_CONFIG))
    }

    fn fields(&self, form: Form) -> Form {
        let flag = |var, label, value: bool| {
            Field::new(FieldType::Boolean, var).label(label).value(if value { "1" } else { "0" })
        };
        let text = |var, label, value: &str| Field::new(FieldType::TextSingle, var).label(label).value(value);
        let mut groups = Field::new(FieldType::ListMulti, "pubsub#roster_groups_allowed")
            .label("Groups of the roster that may subscribe");
        groups.values.clone_from(&self.groups);
        groups = self.groups.iter().fold(groups, |field, group| field.option(group, group));
        form.field(text("pubsub#title", "A name for the node", &self.title))
            .field(text("pubsub#description", "What is in it", &self.description))
            .field(text("pubsub#type", "The kind of payloads, as a rule their namespace", &self.ty))
            .field(text("pubsub#language", "The language of items", &self.language))
            .field(choice(
                "pubsub#access_model",
                "Who may subscribe and read",
                AccessModel::ALL,
                AccessModel::name,
                self.access,
            ))
            .field(groups)
            .field(choice(
                "pubsub#publish_model",
                "Who may publish",
                PublishModel::ALL,
                PublishModel::name,
                self.publish,
            ))
            .field(text("pubsub#max_items", "Items that are kept (or max)", &number(self.max_items)))
            .field(flag("pubsub#persist_items", "Keep items", self.persist))
            .field(text("pubsub#item_expire", "Seconds until items are removed (or max)", &number(self.expire_seconds)))
            .field(flag("pubsub#deliver_payloads", "Deliver payloads with notifications", self.deliver_payloads))
            .field(flag("pubsub#deliver_notifications", "Deliver notifications", self.deliver_notifications))
            .field(flag("pubsub#subscribe", "Allow subscriptions", self.subscribe))
            .field(flag("pubsub#notify_config", "Tell subscribers when the configuration changes", self.notify_config))
            .field(flag("pubsub#notify_delete", "Tell subscribers when the node is deleted", self.notify_delete))
            .field(flag("pubsub#notify_retract", "Tell subscribers when items are removed", self.notify_retract))
            .field(flag("pubsub#notify_sub", "Tell owners of new subscribers", self.notify_sub))
            .field(
                Field::new(FieldType::ListSingle, "pubsub#notification_type")
                    .label("The type of notifications")
                    .option("normal", "normal")
                    .option("headline", "headline")
                    .value(if self.headlines { "headline" } else { "normal" }),
            )
            .field(text("pubsub#max_payload_size", "The largest payload in bytes", &self.max_payload.to_string()))
            .field(choice(
                "pubsub#send_last_published_item",
                "When to send the last item",
                SendLast::ALL,
                SendLast::name,
                self.send_last,
            ))
            .field(choice(
                "pubsub#itemreply",
                "Whose address stands with an item",
                ItemReply::ALL,
                ItemReply::name,
                self.item_reply,
            ))
    }

    /// Changes what a form says. Fails with not-acceptable where a value is not allowed or, if `strict`, where a field is
    /// not known (publish-options, §7.1.5); else what is not known is passed over.
    pub fn apply(&mut self, form: &Form, strict: bool) -> Result<(), StanzaError> {
        for field in &form.fields {
            let Some(var) = field.var.as_deref() else { continue };
            let value = form.value(var).unwrap_or_default();
            let flag = || form.boolean(var).map(|value| value.unwrap_or(false));
            match var {
                "FORM_TYPE" => {}
                "pubsub#title" => self.title = value.into(),
                "pubsub#description" => self.description = form.text(var).unwrap_or_default(),
                "pubsub#type" => self.ty = value.into(),
                "pubsub#language" => self.language = value.into(),
                "pubsub#access_model" => {
                    let unknown = || error(Condition::NotAcceptable, "unsupported-access-model");
                    self.access = AccessModel::named(value).ok_or_else(unknown)?;
                }
                "pubsub#roster_groups_allowed" => {
                    self.groups = field.values.iter().filter(|value| !value.is_empty()).cloned().collect()
                }
                "pubsub#publish_model" => self.publish = PublishModel::named(value).ok_or_else(|| bad_value(var))?,
                "pubsub#max_items" => self.max_items = read_number(var, value)?,
                "pubsub#persist_items" => self.persist = flag()?,
                "pubsub#item_expire" => self.expire_seconds = read_number(var, value)?,
                "pubsub#deliver_payloads" => self.deliver_payloads = flag()?,
                "pubsub#deliver_notifications" => self.deliver_notifications = flag()?,
                "pubsub#subscribe" => self.subscribe = flag()?,
                "pubsub#notify_config" => self.notify_config = flag()?,
                "pubsub#notify_delete" => self.notify_delete = flag()?,
                "pubsub#notify_retract" => self.notify_retract = flag()?,
                "pubsub#notify_sub" => self.notify_sub = flag()?,
                "pubsub#notification_type" => {
                    self.headlines = match value {
                        "headline" => true,
                        "normal" => false,
                        _ => return Err(bad_value(var)),
                    }
                }
                "pubsub#max_payload_size" => self.max_payload = read_number(var, value)?,
                "pubsub#send_last_published_item" => {
                    self.send_last = SendLast::named(value).ok_or_else(|| bad_value(var))?
                }
                "pubsub#itemreply" => self.item_reply = ItemReply::named(value).ok_or_else(|| bad_value(var))?,
                _ if strict => return Err(not_acceptable(&format!("{var} is not known here"))),
                _ => {}
            }
        }
        Ok(())
    }
}

fn choice<T: Copy + PartialEq>(var: &str, label: &str, all: &[T], name: fn(T) -> &'static str, value: T) -> Field {
    let field = Field::new(FieldType::ListSingle, var).label(label).value(name(value));
    all.iter().fold(field, |field, option| field.option(name(*option), name(*option)))
}

fn number(value: u64) -> String {
    if value == Config::MAX { "max".into() } else { value.to_string() }
}

fn read_number(var: &str, value: &str) -> Result<u64, StanzaError> {
    // Clients that say nothing mean that they do not mind.
    if matches!(value, "max" | "") { Ok(Config::MAX) } else { value.parse().map_err(|_| bad_value(var)) }
}

fn bad_value(var: &str) -> StanzaError {
    not_acceptable(&format!("{var} has a value that is not allowed"))
}

/// What service discovery tells of a node (§5.4).
pub fn meta_data(config: &Config, creator: &Jid, created: &str, subscribers: usize) -> Form {
    Form::of(FormType::Result, ns::PUBSUB_META_DATA)
        .field(Field::untyped("pubsub#title", &config.title))
        .field(Field::untyped("pubsub#description", &config.description))
        .field(Field::untyped("pubsub#type", &config.ty))
        .field(Field::untyped("pubsub#language", &config.language))
        .field(Field::untyped("pubsub#access_model", config.access.name()))
        .field(Field::untyped("pubsub#publish_model", config.publish.name()))
        .field(Field::untyped("pubsub#max_items", number(config.max_items)))
        .field(Field::untyped("pubsub#creator", creator.as_str()))
        .field(Field::untyped("pubsub#creation_date", created))
        .field(Field::untyped("pubsub#num_subscribers", subscribers.to_string()))
}
