//! The default configurations, and what is allowed in one.

use super::{access::Host, limits};
use linnet_xeps::{
    forms::{Form, FormType},
    pubsub,
    pubsub_config::{AccessModel, Config, PublishModel, SendLast},
};
use linnet_xmpp::{StanzaError, stanza::Condition};

/// Of an account's nodes (XEP-0163 §3).
pub(crate) fn of_account() -> Config {
    Config { access: AccessModel::Presence, max_items: 1, send_last: SendLast::OnPresence, ..of_service() }
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
    }
}

impl Host<'_> {
    /// The default configuration here.
    pub(crate) fn default_config(&self) -> Config {
        if self.is_account() { of_account() } else { of_service() }
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
