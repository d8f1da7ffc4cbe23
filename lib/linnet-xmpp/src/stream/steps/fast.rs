//! Tells which tokens can be had and used (XEP-0484 §3.1). Reading and checking them is the work of `sasl2` and of the
//! server behind the stream. Early data of TLS is not offered.

use super::{AcceptLogin, AcceptStep, Bits};
use crate::{ns, sasl::TokenMechanism, xml::Writer};

/// The step.
#[derive(Debug)]
pub struct Fast;

impl AcceptStep for Fast {
    fn needs(&self) -> Bits {
        Bits::PRIVATE
    }

    fn forbids(&self) -> Bits {
        Bits::AUTHENTICATED
    }

    fn advertise(&self, _login: &AcceptLogin, _features: &mut Writer) {}

    fn advertise_inline(&self, login: &AcceptLogin, inline: &mut Writer) {
        let bindings = login.secured.as_ref().map(|secured| secured.bindings.clone()).unwrap_or_default();
        inline.open("fast", ns::FAST);
        for mechanism in TokenMechanism::ALL.iter().filter(|mechanism| mechanism.is_possible(&bindings)) {
            inline.leaf("mechanism", ns::FAST, mechanism.name());
        }
        inline.close();
    }
}
