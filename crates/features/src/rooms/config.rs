//! What owners may set (XEP-0045 §10.2): one table, [`OPTIONS`], makes the form, what service discovery tells, what is
//! stored, and the documentation.

use super::{
    limits,
    setting::{Kind, Setting, not_allowed},
};
use linnet_xeps::{
    forms::{Field, FieldType, Form, FormType},
    muc::Role,
    ns,
};
use linnet_xmpp::{StanzaError, stanza::Condition};

/// A room's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    /// A name for people.
    pub(super) name: String,
    /// What it is about.
    pub(super) description: String,
    /// The language spoken.
    pub(super) language: String,
    /// The URI of a pubsub node that belongs to it.
    pub(super) pubsub: String,
    /// It stays when nobody is in it.
    pub(super) persistent: bool,
    /// It is listed.
    pub(super) public: bool,
    /// Only members enter.
    pub(super) members_only: bool,
    /// Only those with voice speak.
    pub(super) moderated: bool,
    /// A password is needed to enter.
    pub(super) protected: bool,
    /// The password.
    pub(super) secret: String,
    /// Everybody with voice may change the subject.
    pub(super) subject_by_all: bool,
    /// Members may invite into a members-only room.
    pub(super) invites_by_members: bool,
    /// What is said is public elsewhere.
    pub(super) public_log: bool,
    /// What is said is kept.
    pub(super) archive: bool,
    /// Occupants at most; 0: no limit but the service's.
    pub(super) max_occupants: u32,
    /// Messages of the past for who enters.
    pub(super) history: u32,
    /// Index into [`WHOIS`].
    pub(super) whois: u8,
    /// Index into [`PRIVATE`].
    pub(super) private: u8,
    /// Whose presence others see.
    pub(super) broadcast: Roles,
    /// Who among the occupants may list the members.
    pub(super) member_list: Roles,
}

/// A set of roles: bits in the order of [`ROLES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Roles(pub(super) u8);

impl Roles {
    const ALL: Roles = Roles(0b111);

    pub(super) fn has(self, role: Role) -> bool {
        role != Role::None && self.0 & 1 << (role as u8 - Role::Visitor as u8) != 0
    }
}

/// A value and its name for people.
pub(super) type Named = (&'static str, &'static str);

const WHOIS: &[Named] = &[("moderators", "Moderators only"), ("anyone", "Anyone")];
const PRIVATE: &[Named] = &[
    ("anyone", "Anyone"),
    ("participants", "Anyone with voice"),
    ("moderators", "Moderators only"),
    ("none", "Nobody"),
];
pub(super) const ROLES: &[Named] =
    &[("visitor", "Visitors"), ("participant", "Participants"), ("moderator", "Moderators")];
const OCCUPANTS: &[u32] = &[10, 20, 30, 50, 100, 200, 500, 1000, 0];

const fn setting(var: &'static str, label: &'static str, kind: Kind) -> Setting {
    Setting { var, label, kind, info: &[], features: &[] }
}

/// All of them.
pub(super) const OPTIONS: &[Setting] = &[
    Setting {
        info: &["muc#roomconfig_roomname"],
        ..setting("muc#roomconfig_roomname", "Name of the room", Kind::Text(|config| &mut config.name))
    },
    Setting {
        info: &["muc#roominfo_description"],
        ..setting("muc#roomconfig_roomdesc", "What it is about", Kind::Text(|config| &mut config.description))
    },
    Setting {
        info: &["muc#roominfo_lang"],
        ..setting("muc#roomconfig_lang", "Language spoken", Kind::Text(|config| &mut config.language))
    },
    Setting {
        features: &["muc_temporary", "muc_persistent"],
        ..setting(
            "muc#roomconfig_persistentroom",
            "The room stays when nobody is in it",
            Kind::Flag(|config| &mut config.persistent),
        )
    },
    Setting {
        features: &["muc_hidden", "muc_public"],
        ..setting("muc#roomconfig_publicroom", "The room is listed", Kind::Flag(|config| &mut config.public))
    },
    Setting {
        features: &["muc_open", "muc_membersonly"],
        ..setting("muc#roomconfig_membersonly", "Only members may enter", Kind::Flag(|config| &mut config.members_only))
    },
    Setting {
        features: &["muc_unmoderated", "muc_moderated"],
        ..setting(
            "muc#roomconfig_moderatedroom",
            "Only those with voice may speak",
            Kind::Flag(|config| &mut config.moderated),
        )
    },
    Setting {
        features: &["muc_unsecured", "muc_passwordprotected"],
        ..setting(
            "muc#roomconfig_passwordprotectedroom",
            "A password is needed to enter",
            Kind::Flag(|config| &mut config.protected),
        )
    },
    setting("muc#roomconfig_roomsecret", "The password", Kind::Secret(|config| &mut config.secret)),
    Setting {
        features: &["muc_semianonymous", "muc_nonanonymous"],
        ..setting(
            "muc#roomconfig_whois",
            "Who may see the real addresses of occupants",
            Kind::One(WHOIS, |config| &mut config.whois),
        )
    },
    Setting {
        info: &["muc#roominfo_subjectmod", "muc#roomconfig_changesubject"],
        ..setting(
            "muc#roomconfig_changesubject",
            "Everybody with voice may change the subject",
            Kind::Flag(|config| &mut config.subject_by_all),
        )
    },
    setting(
        "muc#roomconfig_allowinvites",
        "Members may invite others",
        Kind::Flag(|config| &mut config.invites_by_members),
    ),
    setting(
        "muc#roomconfig_allowpm",
        "Who may send private messages",
        Kind::One(PRIVATE, |config| &mut config.private),
    ),
    setting(
        "muc#roomconfig_maxusers",
        "Occupants at most",
        Kind::Number(OCCUPANTS, |config| &mut config.max_occupants),
    ),
    setting(
        "muc#roomconfig_presencebroadcast",
        "Whose presence is shown to the others",
        Kind::Roles(|config| &mut config.broadcast),
    ),
    setting(
        "muc#roomconfig_getmemberlist",
        "Which occupants may list the members",
        Kind::Roles(|config| &mut config.member_list),
    ),
    setting(
        "muc#roomconfig_enablelogging",
        "What is said is published elsewhere",
        Kind::Flag(|config| &mut config.public_log),
    ),
    setting(
        "muc#roomconfig_enablearchiving",
        "What is said is kept for those who may read it",
        Kind::Flag(|config| &mut config.archive),
    ),
    Setting {
        info: &["muc#maxhistoryfetch"],
        ..setting(
            "muc#maxhistoryfetch",
            "Messages of the past for who enters",
            Kind::Number(&[], |config| &mut config.history),
        )
    },
    Setting {
        info: &["muc#roomconfig_pubsub"],
        ..setting("muc#roomconfig_pubsub", "URI of an associated pubsub node", Kind::Text(|config| &mut config.pubsub))
    },
];

/// The field with which an owner chooses a preset.
pub(super) const PRESET: &str = "{https://linnet.im/rooms}preset";

/// All of them.
pub(super) const PRESETS: &[Preset] = &[
    Preset {
        name: "group",
        label: "A private group: listed nowhere, for members, who see each other's addresses",
        config: Config::group,
    },
    Preset {
        name: "channel",
        label: "A public channel: listed, open to everybody, addresses are hidden",
        config: Config::channel,
    },
    Preset { name: "large", label: "A public channel for thousands: only moderators are shown", config: Config::large },
];

/// Settings that make sense together.
pub(super) struct Preset {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) config: fn() -> Config,
}

impl Config {
    /// What a client means that fills in a form of its own and leaves something out: rooms as they are elsewhere.
    pub(super) fn plain() -> Config {
        Config {
            name: String::new(),
            description: String::new(),
            language: String::new(),
            pubsub: String::new(),
            persistent: false,
            public: true,
            members_only: false,
            moderated: false,
            protected: false,
            secret: String::new(),
            subject_by_all: false,
            invites_by_members: false,
            public_log: false,
            archive: true,
            max_occupants: 0,
            history: limits::HISTORY,
            whois: 0,
            private: 0,
            broadcast: Roles::ALL,
            member_list: Roles::ALL,
        }
    }

    /// A private group, which a room is if nobody says otherwise.
    pub(super) fn group() -> Config {
        Config {
            persistent: true,
            public: false,
            members_only: true,
            subject_by_all: true,
            invites_by_members: true,
            whois: 1,
            ..Config::plain()
        }
    }

    /// A public channel.
    pub(super) fn channel() -> Config {
        Config { persistent: true, ..Config::plain() }
    }

    /// A public channel in which not everybody sees everybody enter and leave.
    pub(super) fn large() -> Config {
        Config { broadcast: Roles(0b100), member_list: Roles(0b100), ..Config::channel() }
    }

    /// Whether all occupants see real addresses.
    pub(super) fn is_open_about_addresses(&self) -> bool {
        self.whois == 1
    }

    /// Only moderators see them from now on.
    pub(super) fn hide_addresses(&mut self) {
        self.whois = 0;
    }

    /// The lowest role that may send private messages.
    pub(super) fn private_messages(&self) -> Option<Role> {
        match self.private {
            0 => Some(Role::Visitor),
            1 => Some(Role::Participant),
            2 => Some(Role::Moderator),
            _ => None,
        }
    }

    /// Whether the presence of occupants with this role is shown to others.
    pub(super) fn shows(&self, role: Role) -> bool {
        self.broadcast.has(role)
    }

    /// Who among the occupants may list the members.
    pub(super) fn roles_that_list_members(&self) -> Roles {
        self.member_list
    }

    /// The form that owners fill in, with the present values.
    pub(super) fn form(&self, room: &str) -> Form {
        let mut form = Form::of(FormType::Form, ns::MUC_ROOMCONFIG)
            .title(&format!("Configuration of {room}"))
            .instruction("Choose a preset, or say yourself how the room is to be.");
        let preset = Field::new(FieldType::ListSingle, PRESET).label("Preset").option("As below", "").value("");
        form = form.field(PRESETS.iter().fold(preset, |field, preset| field.option(preset.label, preset.name)));
        OPTIONS.iter().fold(form, |form, option| form.field(option.field(self)))
    }

    /// The fields that service discovery tells (§6.4).
    pub(super) fn info(&self) -> Vec<Field> {
        let told = OPTIONS.iter().flat_map(|option| option.info.iter().map(move |var| (*var, option)));
        let field = |(var, option): (&str, &Setting)| Field {
            var: Some(var.into()),
            values: option.values(self),
            ..Field::default()
        };
        told.map(field).filter(|field| field.values.iter().any(|value| !value.is_empty())).collect()
    }

    /// The service discovery features that follow.
    pub(super) fn features(&self) -> impl Iterator<Item = &'static str> + use<> {
        let config = self.clone();
        OPTIONS.iter().filter_map(move |option| option.features.get(option.index(&config)).copied())
    }

    /// What a form that was filled in changes. Fields that are not known are passed over.
    ///
    /// # Errors
    /// not-acceptable for a value that is not allowed, and where a password is wanted and none is said (§10.1.3).
    pub(super) fn apply(&self, form: &Form) -> Result<Config, StanzaError> {
        let preset = match form.value(PRESET) {
            None => None,
            Some(name) => {
                let known = PRESETS.iter().find(|known| known.name == name);
                Some((known.ok_or_else(|| not_allowed(PRESET))?.config)())
            }
        };
        let is_preset = preset.is_some();
        let mut config = preset.unwrap_or_else(|| self.clone());
        for option in OPTIONS {
            let Some(field) = form.find(option.var) else { continue };
            // With a preset, what was left as it was is not meant.
            if !is_preset || field.values != option.field(self).values {
                option.set(&mut config, &field.values)?;
            }
        }
        if config.protected && config.secret.is_empty() {
            return Err(StanzaError::new(Condition::NotAcceptable).text("say which password is needed"));
        }
        Ok(config)
    }

    /// All values by the names of their fields, to be stored.
    pub(super) fn values(&self) -> impl Iterator<Item = (&'static str, Vec<String>)> + use<> {
        let config = self.clone();
        OPTIONS.iter().map(move |option| (option.var, option.values(&config)))
    }

    /// Sets a value that was stored; what is not known any more is passed over.
    pub(super) fn restore(&mut self, var: &str, values: &[String]) {
        if let Some(option) = OPTIONS.iter().find(|option| option.var == var) {
            // A value that is not allowed any more is the default.
            let _ = option.set(self, values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submit(fields: &[(&str, &str)]) -> Form {
        let form = Form::of(FormType::Submit, ns::MUC_ROOMCONFIG);
        fields.iter().fold(form, |form, (var, value)| form.field(Field::untyped(var, *value)))
    }

    #[test]
    fn a_form_changes_what_it_says() {
        let config = Config::plain();
        let changed = config.apply(&submit(&[("muc#roomconfig_membersonly", "true"), ("other", "x")])).unwrap();
        assert_eq!(changed, Config { members_only: true, ..config.clone() });
        for bad in [
            ("muc#roomconfig_whois", "everybody"),
            ("muc#roomconfig_membersonly", "perhaps"),
            ("muc#roomconfig_maxusers", "-1"),
            ("muc#roomconfig_passwordprotectedroom", "1"),
            (PRESET, "unheard of"),
        ] {
            assert_eq!(config.apply(&submit(&[bad])).unwrap_err().condition, Condition::NotAcceptable, "{bad:?}");
        }
    }

    #[test]
    fn what_is_shown_and_sent_back_changes_nothing() {
        for config in [Config::plain(), Config::group(), Config::channel(), Config::large()] {
            let mut form = config.form("room");
            form.ty = FormType::Submit;
            assert_eq!(config.apply(&form).unwrap(), config);
            let mut again = Config::plain();
            config.values().for_each(|(var, values)| again.restore(var, &values));
            assert_eq!(again, config);
        }
    }

    #[test]
    fn a_preset_goes_before_what_was_left_as_it_was() {
        let mut form = Config::group().form("room");
        form.ty = FormType::Submit;
        for field in &mut form.fields {
            match field.var.as_deref() {
                Some(PRESET) => field.values = vec!["channel".into()],
                Some("muc#roomconfig_roomname") => field.values = vec!["Coven".into()],
                _ => {}
            }
        }
        assert_eq!(Config::group().apply(&form).unwrap(), Config { name: "Coven".into(), ..Config::channel() });
    }

    #[test]
    fn features_say_what_a_room_is() {
        let features: Vec<_> = Config::group().features().collect();
        assert!(features.contains(&"muc_membersonly") && features.contains(&"muc_nonanonymous"));
        assert!(features.contains(&"muc_hidden") && features.contains(&"muc_persistent"));
        assert_eq!(features.len(), 6);
    }
}
