//! The default configurations, and what is allowed in one.

use super::{access::Host, limits};
use linnet_xeps::{
    forms::{Form, FormType},
    ns, pubsub,
    pubsub_config::{AccessModel, Config, ItemReply, PublishModel, SendLast},
};
use linnet_xmpp::{StanzaError, stanza::Condition};

/// Of an account's nodes (XEP-0163 §3), where nothing is known of what is in them.
pub(crate) fn of_account() -> Config {
    Config { access: AccessModel::Presence, max_items: 1, send_last: SendLast::OnPresence, ..of_service() }
}

/// Of an account's node with this name. Clients should say how they want it (XEP-0222, XEP-0223); those that do not get what
/// the specification of its content demands: what is private stays so, and keys are found by those who need them.
pub(crate) fn of_node(name: &str) -> Config {
    let default = of_account();
    match name {
        // XEP-0402 §3.3, XEP-0490 §4.2.
        ns::BOOKMARKS | ns::DISPLAYED => private_list(),
        // XEP-0223 §3; XEP-0373 §5.
        ns::BOOKMARKS_STORAGE | ns::OX_SECRET_KEY => Config { access: AccessModel::Whitelist, ..default },
        // XEP-0384 §5.3.2.
        ns::OMEMO_BUNDLES => Config { access: AccessModel::Open, max_items: Config::MAX, ..default },
        // XEP-0384 §5.3.1, XEP-0373 §4.2.
        ns::OMEMO_DEVICES | ns::OX_PUBLIC_KEYS | ns::OMEMO_OLD_DEVICES => open(),
        // XEP-0373 §4.1, and the older OMEMO: a node for each key or device.
        _ if name.starts_with(ns::OMEMO_OLD_BUNDLES) || name.starts_with(ns::OX_PUBLIC_KEY) => open(),
        _ => default,
    }
}

/// Everybody may read it.
pub(crate) fn open() -> Config {
    Config { access: AccessModel::Open, ..of_account() }
}

/// Many items that nobody else may read.
fn private_list() -> Config {
    let (access, send_last) = (AccessModel::Whitelist, SendLast::Never);
    Config { access, send_last, max_items: Config::MAX, ..of_account() }
}

/// Of a service's nodes.
pub(crate) fn of_service() -> Config {
    Config {
        title: String::new(),
        description: String::new(),
        ty: String::new(),
        language: String::new(),
        access: AccessModel::Open,
        groups: Vec::new(),
        publish: PublishModel::Publishers,
        max_items: 20,
        persist: true,
        expire_seconds: Config::MAX,
        deliver_payloads: true,
        deliver_notifications: true,
        subscribe: true,
        notify_config: false,
        notify_delete: true,
        notify_retract: true,
        notify_sub: false,
        headlines: true,
        max_payload: limits::PAYLOAD_BYTES,
        send_last: SendLast::OnSubscription,
        item_reply: ItemReply::None,
    }
}

impl Host<'_> {
    /// The default configuration of a node here; without a name, of any.
    pub(crate) fn default_config(&self, name: Option<&str>) -> Config {
        match name {
            _ if !self.is_account() => of_service(),
            Some(name) => of_node(name),
            None => of_account(),
        }
    }

    /// The configuration that a submitted form makes of another one. `strict`: fields that are not known are refused.
    pub(crate) fn configured(&self, before: &Config, form: &Form, strict: bool) -> Result<Config, StanzaError> {
        if form.ty != FormType::Submit {
            return Err(StanzaError::new(Condition::BadRequest).text("the form must be submitted"));
        }
        let mut config = before.clone();
        config.apply(form, strict)?;
        config.max_payload = config.max_payload.min(limits::PAYLOAD_BYTES);
        if config.max_items != Config::MAX && config.max_items > limits::ITEMS {
            let text = format!("pubsub#max_items can be {} at most", limits::ITEMS);
            return Err(StanzaError::new(Condition::NotAcceptable).text(text));
        }
        if config.max_items == 0 {
            config.persist = false;
        }
        // Those ask for a roster, and only accounts have one.
        if !self.is_account() && matches!(config.access, AccessModel::Presence | AccessModel::Roster) {
            return Err(pubsub::error(Condition::NotAcceptable, "unsupported-access-model"));
        }
        let texts = [&config.title, &config.description, &config.ty, &config.language];
        let bytes: usize = texts.into_iter().chain(&config.groups).map(String::len).sum();
        if bytes > limits::CONFIG_BYTES {
            return Err(StanzaError::new(Condition::NotAcceptable).text("the texts of the configuration are too long"));
        }
        Ok(config)
    }
}
