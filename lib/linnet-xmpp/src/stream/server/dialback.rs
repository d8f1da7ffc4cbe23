//! Dialback's elements and keys (XEP-0220, XEP-0185).

use super::{Claim, Pair};
use crate::{
    jid::prepare_domain,
    ns,
    stanza::{Condition, StanzaError},
    xml::{Node, Writer},
};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Longest key that is looked at, in bytes: ours have 64.
const KEY: usize = 512;

/// Which of the two elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// `<db:result/>`: towards the one to be convinced, and its answer.
    Result,
    /// `<db:verify/>`: towards the one who can say, and its answer.
    Verify,
}

/// What an element says.
#[derive(Debug)]
pub(super) enum Word {
    /// It shows a key.
    Key(Box<str>),
    /// The key is right.
    Valid,
    /// The key is wrong.
    Invalid,
    /// It could not be found out.
    Error(StanzaError),
}

/// A dialback element that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) element: Element,
    /// `to` and `from`: ours and the peer's.
    pub(super) pair: Pair,
    pub(super) id: Option<Box<str>>,
    pub(super) word: Word,
}

/// Reads one. `None`: it is none, or has no addresses.
pub(super) fn read(node: Node<'_>) -> Option<Read> {
    let element = match node.name() {
        _ if node.ns() != ns::DIALBACK => return None,
        "result" => Element::Result,
        "verify" => Element::Verify,
        _ => return None,
    };
    let domain = |name| node.attr(name).and_then(|domain| prepare_domain(&domain).ok().map(Box::<str>::from));
    let pair = Pair { local: domain("to")?, remote: domain("from")? };
    let word = match node.attr("type").as_deref() {
        None => Word::Key(node.text().trim().into()),
        Some("valid") => Word::Valid,
        Some("invalid") => Word::Invalid,
        Some(_) => {
            let error = node.children().find(|child| child.name() == "error");
            Word::Error(error.map_or_else(|| Condition::UndefinedCondition.into(), StanzaError::from_node))
        }
    };
    let fits = !matches!(&word, Word::Key(key) if key.is_empty() || key.len() > KEY);
    fits.then(|| Read { element, pair, id: node.attr("id").map(|id| Box::from(&*id)), word })
}

/// Writes one, `from` our domain `to` the peer's.
pub(super) fn write(element: Element, pair: &Pair, id: Option<&str>, word: &Word) -> Bytes {
    let name = match element {
        Element::Result => "db:result",
        Element::Verify => "db:verify",
    };
    // The prefix is declared in the stream header; receivers of before namespaces were understood look for it literally.
    let mut out = Writer::new(ns::SERVER);
    let ty = match word {
        Word::Key(_) => None,
        Word::Valid => Some("valid"),
        Word::Invalid => Some("invalid"),
        Word::Error(_) => Some("error"),
    };
    out.open("x", ns::SERVER).attr("from", &pair.local).attr("to", &pair.remote);
    out.attr_opt("id", id).attr_opt("type", ty);
    match word {
        Word::Key(key) => out.text(key),
        // Errors are written under `jabber:client`; here they inherit the stream's namespace (XEP-0220 §2.5).
        Word::Error(error) => out.raw(&error.to_bytes()),
        Word::Valid | Word::Invalid => &mut out,
    };
    out.close();
    let written = out.finish();
    let inner = written.strip_prefix(b"<x").unwrap_or(&written);
    match inner.strip_suffix(b"</x>") {
        Some(inner) => [b"<", name.as_bytes(), inner, b"</", name.as_bytes(), b">"].concat().into(),
        None => [b"<", name.as_bytes(), inner].concat().into(),
    }
}

/// `<db:verify/>` that asks the domain of a claim about its key, `from` the domain that it was shown to.
pub(super) fn question(claim: &Claim) -> Bytes {
    write(Element::Verify, &claim.pair, Some(&claim.id), &Word::Key(claim.key.clone()))
}

/// The key that proves to `receiving` that we are `originating`, on the stream with this id (XEP-0185 §2).
pub fn key(secret: &[u8; 32], receiving: &str, originating: &str, id: &str) -> String {
    keyed(secret, &format!("{receiving} {originating} {id}"))
}

/// Whether a key is the one that we would have made; takes the same time whichever it is.
pub(super) fn is_right(secret: &[u8; 32], receiving: &str, originating: &str, id: &str, shown: &str) -> bool {
    key(secret, receiving, originating, id).as_bytes().ct_eq(shown.as_bytes()).into()
}

fn keyed(secret: &[u8], text: &str) -> String {
    let hashed = hex(&Sha256::digest(secret));
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(hashed.as_bytes()) else { return String::new() };
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Document, Scope};

    #[test]
    fn keys_are_those_of_xep0185_section_3() {
        let made = keyed(b"s3cr3tf0rd14lb4ck", "xmpp.example.com example.org D60000229F");
        assert_eq!(made, "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643");
        let ours = key(&[7; 32], "b.example", "a.example", "x");
        assert!(is_right(&[7; 32], "b.example", "a.example", "x", &ours));
        for (receiving, originating, id) in [("a.example", "b.example", "x"), ("b.example", "a.example", "y")] {
            assert!(!is_right(&[7; 32], receiving, originating, id, &ours), "for another stream or pair");
        }
        assert!(!is_right(&[8; 32], "b.example", "a.example", "x", &ours));
    }

    #[test]
    fn elements_are_written_with_the_prefix_that_everybody_expects() {
        let pair = Pair { local: "a.example".into(), remote: "b.example".into() };
        let text = |word| String::from_utf8(write(Element::Verify, &pair, Some("i<"), &word).to_vec()).unwrap();
        assert_eq!(text(Word::Key("k".into())), "<db:verify from='a.example' to='b.example' id='i&lt;'>k</db:verify>");
        assert_eq!(text(Word::Valid), "<db:verify from='a.example' to='b.example' id='i&lt;' type='valid'/>");
        let error = text(Word::Error(Condition::ItemNotFound.into()));
        let wanted = "<db:verify from='a.example' to='b.example' id='i&lt;' type='error'><error type='cancel'>\
             <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:verify>";
        assert_eq!(error, wanted);
    }

    #[test]
    fn what_has_no_addresses_or_no_key_is_not_read() {
        let read = |text: &str| {
            let text = text.replace("<db:result", "<result xmlns='jabber:server:dialback'");
            read(Document::parse(text.replace("/db:", "/").into(), &Scope::new(ns::SERVER)).unwrap().root())
        };
        assert!(read("<db:result from='a.example' to='b.example'>k</db:result>").is_some());
        assert!(
            read("<db:result from='A.example' to='b.example' type='valid'/>")
                .is_some_and(|read| &*read.pair.remote == "a.example")
        );
        for bad in [
            "<db:result to='b.example'>k</db:result>",
            "<db:result from='a.example'>k</db:result>",
            "<db:result from='a.example' to='b.example'/>",
            "<db:result from='a b' to='b.example'>k</db:result>",
        ] {
            assert!(read(bad).is_none(), "{bad}");
        }
        let long = format!("<db:result from='a.example' to='b.example'>{}</db:result>", "k".repeat(KEY + 1));
        assert!(read(&long).is_none());
    }
}
