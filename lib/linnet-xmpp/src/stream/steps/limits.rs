//! Stream limits (XEP-0478): how large an element may be. Nothing is said of idle streams: they are never ended.

use super::{AcceptLogin, AcceptStep, Bits};
use crate::{ns, xml::Writer};

/// The step.
#[derive(Debug)]
pub struct Limits;

impl AcceptStep for Limits {
    fn needs(&self) -> Bits {
        Bits::NONE
    }

    fn forbids(&self) -> Bits {
        Bits::BOUND
    }

    fn advertise(&self, login: &AcceptLogin, features: &mut Writer) {
        let after = login.bits.has(Bits::AUTHENTICATED);
        let bytes = if after { login.config.limit_after_login } else { login.config.limit_before_login };
        features.open("limits", ns::STREAM_LIMITS).leaf("max-bytes", ns::STREAM_LIMITS, &bytes.to_string()).close();
    }
}
