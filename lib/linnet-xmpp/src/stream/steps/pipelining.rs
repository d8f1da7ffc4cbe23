//! Tells what stands for the features before the login (XEP-0509 §2.1): a client that knows it from an earlier stream
//! logs in with its first segment, and is told if the features have changed since.

use super::{AcceptLogin, AcceptStep, Bits};
use crate::{ns, xml::Writer};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// The step.
#[derive(Debug)]
pub struct Pipelining;

/// How the version is made, as the protocol names it: clients draw nothing from it (§2.3.1).
const SCHEME: &str = "opaque";

impl AcceptStep for Pipelining {
    fn needs(&self) -> Bits {
        Bits::PRIVATE
    }

    fn forbids(&self) -> Bits {
        Bits::AUTHENTICATED
    }

    fn advertise(&self, _login: &AcceptLogin, _features: &mut Writer) {}

    fn seal(&self, login: &mut AcceptLogin, features: &[u8]) -> Option<Bytes> {
        let version = STANDARD.encode(&Sha256::digest(features)[..15]);
        let mut out = Writer::new(ns::CLIENT);
        out.open("config-version", ns::PIPELINING).attr("scheme", SCHEME).attr("value", &version).close();
        login.features_version = Some(version);
        Some(out.finish())
    }
}
