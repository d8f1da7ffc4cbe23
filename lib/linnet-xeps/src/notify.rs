//! Which chats make a device ring (XEP-0492): `<notify/>` among the extensions of a bookmark.

use crate::{Payload, attr, expect, ns};
use linnet_xmpp::{
    StanzaError,
    xml::{Node, Writer},
};

/// When a chat notifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Of every message.
    Always,
    /// Where the user is mentioned.
    OnMention,
    /// Never.
    Never,
}

impl Setting {
    const ALL: [(Setting, &'static str); 3] =
        [(Setting::Always, "always"), (Setting::OnMention, "on-mention"), (Setting::Never, "never")];

    fn name(self) -> &'static str {
        Setting::ALL.iter().find(|(setting, _)| *setting == self).map_or("always", |(_, name)| name)
    }
}

/// `<notify/>`: settings by kind of client (§2). What clients keep in `<advanced/>` is not read: a server changes no
/// settings, so nothing is lost by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notify {
    /// The settings, as they stand.
    pub settings: Vec<For>,
}

/// A setting, and which clients it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct For {
    /// The setting.
    pub setting: Setting,
    /// The category of their identity (XEP-0030); `None`: of all.
    pub category: Option<String>,
    /// Its type.
    pub kind: Option<String>,
}

impl Notify {
    /// The setting that fits a client best (§3): by category and type, by category, for all. `None` where none does.
    pub fn for_client(&self, category: &str, kind: &str) -> Option<Setting> {
        let fits = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        let rank = |entry: &&For| (entry.category.is_some(), entry.kind.is_some());
        let fitting = self.settings.iter().filter(|entry| fits(&entry.category, category) && fits(&entry.kind, kind));
        fitting.max_by_key(rank).map(|entry| entry.setting)
    }
}

impl Payload for Notify {
    /// Children of other names are passed over, so that newer settings do not make the older ones unreadable.
    fn read(node: Node<'_>) -> Result<Notify, StanzaError> {
        expect(node, "notify", ns::NOTIFICATION_SETTINGS)?;
        let settings = node.children().filter(|child| child.ns() == ns::NOTIFICATION_SETTINGS).filter_map(|child| {
            let (setting, _) = Setting::ALL.iter().find(|(_, name)| *name == child.name())?;
            let category = attr(child, "identity-category");
            // A type without a category says nothing (§2.2).
            let kind = attr(child, "identity-type").filter(|_| category.is_some());
            Some(For { setting: *setting, category, kind })
        });
        Ok(Notify { settings: settings.collect() })
    }

    fn write(&self, out: &mut Writer) {
        out.open("notify", ns::NOTIFICATION_SETTINGS);
        for entry in &self.settings {
            out.open(entry.setting.name(), ns::NOTIFICATION_SETTINGS);
            out.attr_opt("identity-category", entry.category.as_deref());
            out.attr_opt("identity-type", entry.kind.as_deref()).close();
        }
        out.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, written};

    /// XEP-0492 example 2.
    #[test]
    fn the_closest_setting_holds() {
        let xml = "<notify xmlns='urn:xmpp:notification-settings:1'>\
                   <never identity-category='client' identity-type='pc'/>\
                   <on-mention identity-category='client' identity-type='phone'/>\
                   <on-mention identity-category='gateway'/><always/></notify>";
        let notify = read::<Notify>(xml).unwrap();
        assert_eq!(written(&notify), xml);
        assert_eq!(notify.for_client("client", "pc"), Some(Setting::Never));
        assert_eq!(notify.for_client("client", "phone"), Some(Setting::OnMention));
        assert_eq!(notify.for_client("client", "web"), Some(Setting::Always));
        assert_eq!(notify.for_client("gateway", "irc"), Some(Setting::OnMention));
        assert_eq!(Notify::default().for_client("client", "phone"), None);
    }
}
