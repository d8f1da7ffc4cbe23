//! Features that are told after login and ask for no negotiation, e.g. roster versions (RFC 6121 §2.6.1) and the
//! server's capabilities (XEP-0115 §6.3).

use super::{AcceptLogin, AcceptStep, Bits};
use crate::xml::Writer;
use bytes::Bytes;

/// Feature elements, canonical under `jabber:client`.
#[derive(Debug)]
pub struct Announce(pub Bytes);

impl AcceptStep for Announce {
    fn needs(&self) -> Bits {
        Bits::AUTHENTICATED
    }

    fn forbids(&self) -> Bits {
        Bits::BOUND
    }

    fn advertise(&self, _login: &AcceptLogin, features: &mut Writer) {
        features.raw(&self.0);
    }
}
