//! What is stored of a device.

use crate::codec::{Decoder, Encoder};
use bytes::Bytes;
use kernel::Kernel;
use linnet_xmpp::{
    Jid,
    sasl::{TokenMechanism, keyed_name},
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::MapTable;

/// The devices of an account, by the name that stands for each. The one that was changed last comes last.
pub(crate) const TABLE: MapTable = MapTable("devices");

/// The name that stands for a device of an account: for the same id always the same, in another account another.
pub(super) fn name(kernel: &Kernel, account: &Jid, id: &str) -> String {
    keyed_name(&kernel.secret, &["device", account.bare_str(), id])
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) first_seen: SystemTime,
    pub(super) last_seen: SystemTime,
    /// It has shown the password that the account has now.
    pub(super) knows_password: bool,
    pub(super) software: Option<Box<str>>,
    pub(super) device: Option<Box<str>>,
    pub(super) tokens: Tokens,
}

/// The tokens of a device (XEP-0484 §5.1). One that was given is `fresh` until it is used; then it is `current`, and what
/// was that before is `replaced`: if somebody still uses it, two know the device's tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) fresh: Option<Token>,
    pub(super) current: Option<Token>,
    pub(super) replaced: Option<Token>,
}

/// A token.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) secret: Box<str>,
    /// By which mechanism alone it can be used (§3.4).
    pub(super) mechanism: TokenMechanism,
    pub(super) made: SystemTime,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("mechanism", &self.mechanism).field("made", &self.made).finish_non_exhaustive()
    }
}

impl Device {
    pub(super) fn new(now: SystemTime) -> Device {
        Device {
            first_seen: now,
            last_seen: now,
            knows_password: false,
            software: None,
            device: None,
            tokens: Tokens::default(),
        }
    }

    pub(super) fn decode(value: &[u8]) -> Option<Device> {
        let mut from = Decoder(value);
        let (first_seen, last_seen) = (time(from.number()?), time(from.number()?));
        let knows_password = from.byte()? != 0;
        let mut text = || Some(Some(from.text()?).filter(|text| !text.is_empty()).map(Box::from));
        let (software, device) = (text()?, text()?);
        let mut token = || read_token(&mut from);
        let tokens = Tokens { fresh: token()?, current: token()?, replaced: token()? };
        Some(Device { first_seen, last_seen, knows_password, software, device, tokens })
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut to = Encoder::default().number(seconds(self.first_seen)).number(seconds(self.last_seen));
        to = to.byte(self.knows_password.into());
        to = to.text(self.software.as_deref().unwrap_or_default()).text(self.device.as_deref().unwrap_or_default());
        for token in [&self.tokens.fresh, &self.tokens.current, &self.tokens.replaced] {
            to = match token {
                None => to.byte(0),
                Some(token) => {
                    let place = TokenMechanism::ALL.iter().position(|known| *known == token.mechanism);
                    to.byte(place.map_or(0, |place| place as u8 + 1)).text(&token.secret).number(seconds(token.made))
                }
            };
        }
        to.finish()
    }
}

/// The outer `None`: what is stored cannot be read.
fn read_token(from: &mut Decoder<'_>) -> Option<Option<Token>> {
    let Some(place) = from.byte()?.checked_sub(1) else { return Some(None) };
    let mechanism = *TokenMechanism::ALL.get(usize::from(place))?;
    Some(Some(Token { mechanism, secret: from.text()?.into(), made: time(from.number()?) }))
}

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_read_as_it_was_written() {
        let mut device = Device::new(time(1_700_000_000));
        assert_eq!(Device::decode(&device.encode()), Some(device.clone()));
        device.software = Some("S".into());
        let token = |mechanism| Some(Token { secret: "secret".into(), mechanism, made: time(5) });
        device.tokens.fresh = token(TokenMechanism::Unbound);
        device.tokens.replaced = token(TokenMechanism::Exporter);
        device.knows_password = true;
        assert_eq!(Device::decode(&device.encode()), Some(device.clone()));
        assert!(!format!("{device:?}").contains("secret"));
        assert_eq!(Device::decode(b"?"), None);
    }
}
