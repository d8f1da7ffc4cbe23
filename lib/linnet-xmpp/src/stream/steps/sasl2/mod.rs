//! SASL 2 (XEP-0388) with Bind 2 (XEP-0386), tokens (XEP-0484), upgrades of SCRAM (XEP-0480) and what is asked for
//! inline: all that a client needs for a session, in one exchange.

mod accept;
mod initiate;
mod request;
mod upgrade;

use crate::{
    ns,
    sasl::Failure,
    xml::{Node, Writer},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Both sides.
#[derive(Debug)]
pub struct Sasl2;

/// Data of a mechanism in an element of its own (§2.2): an empty element is data of length zero.
fn data(element: Node<'_>) -> Result<Vec<u8>, Failure> {
    if element.children().next().is_some() {
        return Err(Failure::MalformedRequest);
    }
    STANDARD.decode(element.text().trim_ascii()).map_err(|_| Failure::IncorrectEncoding)
}

/// Data in base 64.
fn encoded(data: &[u8]) -> String {
    STANDARD.encode(data)
}

/// An element with nothing but data of a mechanism.
fn with_data(name: &str, data: &[u8]) -> bytes::Bytes {
    let mut out = Writer::new(ns::CLIENT);
    out.leaf(name, ns::SASL2, &encoded(data));
    out.finish()
}
