//! What an account wants archived (XEP-0441): by default, and for addresses on two lists.

use bytes::Bytes;
use kernel::{Turn, account::Document};
use linnet_xeps::{
    Payload,
    mam::{Policy, Preferences},
};
use linnet_xmpp::{
    Jid, StanzaError,
    stanza::{Condition, Type},
};
use std::{any::TypeId, sync::Arc};
use store::{DocTable, Write};

pub(super) const TABLE: DocTable = DocTable("archive-preferences");

/// Addresses on both lists of one account.
const ENTRIES: usize = 1000;

/// The preferences of an account that is loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept(Preferences);

impl Kept {
    pub(super) fn type_id() -> TypeId {
        TypeId::of::<Kept>()
    }

    /// One line each: the default, then the addresses with `+` for always and `-` for never.
    pub(super) fn decode(value: Option<Bytes>) -> Document {
        let text = value.unwrap_or_default();
        let mut kept = Preferences::default();
        for line in std::str::from_utf8(&text).unwrap_or_default().lines() {
            let jid = line.get(1..).and_then(|jid| Jid::parse(jid).ok());
            match (line.as_bytes().first(), jid) {
                (Some(b'+'), Some(jid)) => kept.always.push(jid),
                (Some(b'-'), Some(jid)) => kept.never.push(jid),
                _ => kept.default = Policy::named(line).unwrap_or_default(),
            }
        }
        Arc::new(Kept(kept))
    }

    fn encode(&self) -> Bytes {
        // An address has no line break: RFC 7622 forbids control characters in every part.
        let mut text = self.0.default.name().to_owned();
        for (sign, jids) in [('+', &self.0.always), ('-', &self.0.never)] {
            for jid in jids {
                text.push('\n');
                text.push(sign);
                text.push_str(jid.as_str());
            }
        }
        text.into()
    }

    /// Whether messages to and from an address are archived (§2.1, §2.3). Who is on both lists is not: what was not kept
    /// cannot be kept later, but that harms less than the other way round.
    pub(super) fn allows(&self, other: &Jid, is_contact: impl FnOnce(&Jid) -> bool) -> bool {
        let is_on =
            |list: &[Jid]| list.iter().any(|jid| jid == other || jid.is_bare() && jid.as_str() == other.bare_str());
        if is_on(&self.0.never) {
            return false;
        }
        if is_on(&self.0.always) {
            return true;
        }
        match self.0.default {
            Policy::Always => true,
            Policy::Never => false,
            Policy::Roster => is_contact(&other.bare()),
        }
    }
}

pub(super) fn answer(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    let Some(kept) = turn.document::<Kept>() else { return Err(Condition::ServiceUnavailable.into()) };
    if turn.stanza.ty == Type::Get {
        return Ok(kept.0.to_bytes());
    }
    let mut wanted = turn.stanza.payload().ok_or(Condition::BadRequest).map(Preferences::read)??;
    for list in [&mut wanted.always, &mut wanted.never] {
        list.sort();
        list.dedup();
    }
    if wanted.always.len() + wanted.never.len() > ENTRIES {
        let text = format!("at most {ENTRIES} addresses");
        return Err(StanzaError::new(Condition::ResourceConstraint).text(text));
    }
    let kept = Kept(wanted);
    let owner = turn.account.address.as_str().into();
    turn.write(Write::DocPut { table: TABLE, owner, value: kept.encode() });
    let answer = kept.0.to_bytes();
    turn.set(kept);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let lists = (vec![jid("a@example.org"), jid("b@example.org/home")], vec![jid("example.net")]);
        for default in [Policy::Always, Policy::Never, Policy::Roster] {
            let kept = Kept(Preferences { default, always: lists.0.clone(), never: lists.1.clone() });
            assert_eq!(Kept::decode(Some(kept.encode())).downcast_ref::<Kept>(), Some(&kept));
        }
        assert_eq!(Kept::decode(None).downcast_ref::<Kept>(), Some(&Kept::default()));
    }

    /// §2.1.1, §2.3.1.
    #[test]
    fn lists_go_before_the_default() {
        let allows = |default, always: &[&str], never: &[&str], other: &str, is_contact: bool| {
            let list = |jids: &[&str]| jids.iter().map(|text| jid(text)).collect();
            Kept(Preferences { default, always: list(always), never: list(never) }).allows(&jid(other), |_| is_contact)
        };
        let other = "a@example.org/home";
        assert!(allows(Policy::Always, &[], &[], other, false));
        assert!(!allows(Policy::Never, &[], &[], other, true));
        assert!(allows(Policy::Roster, &[], &[], other, true) && !allows(Policy::Roster, &[], &[], other, false));
        assert!(!allows(Policy::Always, &[], &["a@example.org"], other, false));
        assert!(allows(Policy::Never, &["a@example.org"], &[], other, false));
        assert!(!allows(Policy::Never, &["a@example.org/work"], &[], other, false));
        assert!(!allows(Policy::Always, &["a@example.org"], &["a@example.org/home"], other, false));
        assert!(allows(Policy::Always, &[], &["example.org"], other, false));
    }
}
