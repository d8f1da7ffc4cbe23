//! HTTP file upload (XEP-0363) with purposes.

use crate::{Payload, attr, bad_request, datetime, expect, ns, required};
use bytes::Bytes;
use linnet_xmpp::{
    StanzaError,
    stanza::Condition,
    xml::{Node, Writer},
};
use std::time::SystemTime;

/// `<request/>` (XEP-0363 §4): a place for a file is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What the file is called.
    pub filename: String,
    /// Its size in bytes, not 0. What is larger than any number here reads as the largest.
    pub size: u64,
    /// Its media type, as it was said.
    pub content_type: Option<String>,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a file is for (XEP-0363 §5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Purpose {
    /// It goes with a message; also where nothing is said.
    #[default]
    Message,
    /// An avatar, a picture of a profile.
    Profile,
    /// It must be gone at this time.
    Ephemeral(SystemTime),
    /// It is published, and stays.
    Permanent,
}

/// `<slot/>` (XEP-0363 §4): where a file is put and where it will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The URL for PUT.
    pub put: String,
    /// Headers of the PUT: Authorization, Cookie or Expires.
    pub headers: Vec<(String, String)>,
    /// The URL for GET.
    pub get: String,
}

impl Payload for Request {
    fn read(node: Node<'_>) -> Result<Request, StanzaError> {
        expect(node, "request", ns::UPLOAD)?;
        let filename = required(node, "filename")?;
        let size = required(node, "size")?;
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad_request("size must be a whole number of bytes"));
        }
        // Only digits: what fails is too large for the type.
        let size = size.parse().unwrap_or(u64::MAX);
        if size == 0 {
            return Err(bad_request("size must not be 0"));
        }
        let content_type = attr(node, "content-type").filter(|text| !text.trim().is_empty());
        let purposes = node.children().filter(|child| child.ns() == ns::UPLOAD_PURPOSE).collect::<Vec<_>>();
        let purpose = match purposes[..] {
            [] => Purpose::Message,
            [purpose] => read_purpose(purpose)?,
            _ => return Err(bad_request("a file has one purpose")),
        };
        Ok(Request { filename, size, content_type, purpose })
    }

    fn write(&self, out: &mut Writer) {
        out.open("request", ns::UPLOAD).attr("filename", &self.filename).attr("size", &self.size.to_string());
        out.attr_opt("content-type", self.content_type.as_deref());
        let name = match self.purpose {
            Purpose::Message => None,
            Purpose::Profile => Some("profile"),
            Purpose::Ephemeral(_) => Some("ephemeral"),
            Purpose::Permanent => Some("permanent"),
        };
        if let Some(name) = name {
            out.open(name, ns::UPLOAD_PURPOSE);
            if let Purpose::Ephemeral(until) = self.purpose {
                out.attr("expire-before", &datetime::format(until));
            }
            out.close();
        }
        out.close();
    }
}

fn read_purpose(node: Node<'_>) -> Result<Purpose, StanzaError> {
    Ok(match node.name() {
        "message" => Purpose::Message,
        "profile" => Purpose::Profile,
        "permanent" => Purpose::Permanent,
        "ephemeral" => {
            let until = required(node, "expire-before")?;
            let until =
                datetime::parse(&until).ok_or_else(|| bad_request("expire-before must be a time (XEP-0082)"))?;
            Purpose::Ephemeral(until)
        }
        _ => return Err(StanzaError::new(Condition::FeatureNotImplemented).text("this purpose is not known here")),
    })
}

impl Payload for Slot {
    fn read(node: Node<'_>) -> Result<Slot, StanzaError> {
        expect(node, "slot", ns::UPLOAD)?;
        let child = |name: &str| node.child(name, ns::UPLOAD).ok_or_else(|| bad_request("a slot has put and get"));
        let (put, get) = (child("put")?, child("get")?);
        let header = |header: Node<'_>| Ok((required(header, "name")?, header.text().into_owned()));
        let headers = put.children().filter(|child| child.is("header", ns::UPLOAD)).map(header);
        Ok(Slot {
            put: required(put, "url")?,
            headers: headers.collect::<Result<_, StanzaError>>()?,
            get: required(get, "url")?,
        })
    }

    fn write(&self, out: &mut Writer) {
        out.open("slot", ns::UPLOAD).open("put", ns::UPLOAD).attr("url", &self.put);
        for (name, value) in &self.headers {
            out.open("header", ns::UPLOAD).attr("name", name).text(value).close();
        }
        out.close().open("get", ns::UPLOAD).attr("url", &self.get).close().close();
    }
}

/// The application condition of a file that is too large (XEP-0363 §6), with the largest size that is taken.
pub fn file_too_large(most: u64) -> Bytes {
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("file-too-large", ns::UPLOAD).leaf("max-file-size", ns::UPLOAD, &most.to_string()).close();
    out.finish()
}

/// When something that is refused now may be asked for again (XEP-0363 §6).
pub fn retry(at: SystemTime) -> Bytes {
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("retry", ns::UPLOAD).attr("stamp", &datetime::format(at)).close();
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, refused, written};
    use std::time::{Duration, UNIX_EPOCH};

    fn request(more: &str) -> String {
        format!("<request xmlns='urn:xmpp:http:upload:0' {more}</request>")
    }

    /// XEP-0363 examples 5, 8, 9 and 10.
    #[test]
    fn requests() {
        let plain =
            "<request xmlns='urn:xmpp:http:upload:0' filename='très cool.jpg' size='23456' content-type='image/jpeg'/>";
        let read_plain = read::<Request>(plain).unwrap();
        assert_eq!((read_plain.size, read_plain.purpose), (23456, Purpose::Message));
        assert_eq!(written(&read_plain), plain);
        for (child, purpose) in [
            ("<profile xmlns='urn:xmpp:http:upload:purpose:0'/>", Purpose::Profile),
            ("<permanent xmlns='urn:xmpp:http:upload:purpose:0'/>", Purpose::Permanent),
            (
                "<ephemeral xmlns='urn:xmpp:http:upload:purpose:0' expire-before='2025-09-10T23:08:25Z'/>",
                Purpose::Ephemeral(UNIX_EPOCH + Duration::from_secs(1_757_545_705)),
            ),
        ] {
            let text = request(&format!("filename='a' size='1'>{child}"));
            let request = read::<Request>(&text).unwrap();
            assert_eq!((request.purpose, written(&request)), (purpose, text));
        }
        let message = request("filename='a' size='1'><message xmlns='urn:xmpp:http:upload:purpose:0'/>");
        assert_eq!(read::<Request>(&message).unwrap().purpose, Purpose::Message);
    }

    #[test]
    fn sizes_are_numbers() {
        for size in ["", "0", "-1", "+1", "abc", "1e3", "1.0", " 1"] {
            assert!(refused::<Request>(&request(&format!("filename='a' size='{size}'>"))).is_some(), "{size}");
        }
        let huge = request(&format!("filename='a' size='{}'>", "9".repeat(40)));
        assert_eq!(read::<Request>(&huge).unwrap().size, u64::MAX);
        assert!(refused::<Request>(&request("size='1'>")).is_some());
        assert!(refused::<Request>(&request("filename='a'>")).is_some());
    }

    #[test]
    fn purposes_are_known() {
        for child in [
            "<eternal xmlns='urn:xmpp:http:upload:purpose:0'/>",
            "<ephemeral xmlns='urn:xmpp:http:upload:purpose:0'/>",
            "<ephemeral xmlns='urn:xmpp:http:upload:purpose:0' expire-before='soon'/>",
            "<message xmlns='urn:xmpp:http:upload:purpose:0'/><profile xmlns='urn:xmpp:http:upload:purpose:0'/>",
        ] {
            let text = request(&format!("filename='a' size='1'>{child}"));
            assert!(refused::<Request>(&text).is_some(), "{child}");
        }
    }

    /// XEP-0363 example 6, and the children of examples 11 and 12.
    #[test]
    fn slots_and_refusals() {
        let text = "<slot xmlns='urn:xmpp:http:upload:0'><put url='https://upload.montague.tld/4a77/tr%C3%A8s%20cool.jpg'>\
                    <header name='Authorization'>Basic Base64String==</header>\
                    <header name='Cookie'>foo=bar; user=romeo</header></put>\
                    <get url='https://download.montague.tld/4a77/tr%C3%A8s%20cool.jpg'/></slot>";
        let slot = read::<Slot>(text).unwrap();
        assert_eq!(slot.headers.len(), 2);
        assert_eq!(written(&slot), text);
        let too_large =
            "<file-too-large xmlns='urn:xmpp:http:upload:0'><max-file-size>20000</max-file-size></file-too-large>";
        assert_eq!(&file_too_large(20000)[..], too_large.as_bytes());
        let at = UNIX_EPOCH + Duration::from_secs(1_512_344_525);
        assert_eq!(&retry(at)[..], b"<retry xmlns='urn:xmpp:http:upload:0' stamp='2017-12-03T23:42:05Z'/>");
    }
}
