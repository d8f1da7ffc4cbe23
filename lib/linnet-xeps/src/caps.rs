//! Entity capabilities: a hash of what disco#info would answer, told in presence (XEP-0115, XEP-0390).

use crate::{
    Payload, attr, bad_request,
    disco::{Identity, Info},
    expect,
    forms::{FieldType, Form},
    ns, required,
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use linnet_xmpp::{
    StanzaError,
    xml::{Node, Writer},
};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use std::{collections::BTreeSet, fmt};

/// `<c/>` in presence and stream features (XEP-0115 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// The name of the hash; none in the form before version 1.4, whose `ver` is no hash.
    pub hash: Option<String>,
    /// The URI of the software.
    pub node: String,
    /// The hash in Base64.
    pub ver: String,
}

/// `<c/>` of XEP-0390: the same information under several hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HashSet {
    /// Name of the hash (XEP-0300) and its value in Base64.
    pub hashes: Vec<(String, String)>,
}

/// The hashes computed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the hashes")]
pub enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

/// Why an answer has no hash: it can be read in more than one way (XEP-0115 §5.4 step 3, XEP-0390 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum IllFormed {
    /// An identity stands twice.
    Identity,
    /// A feature stands twice.
    Feature,
    /// Two forms have the same FORM_TYPE.
    Form,
    /// A FORM_TYPE has two values, or is missing where it has to be there.
    FormType,
    /// A form has a table.
    Table,
}

impl Hash {
    /// The registered name (XEP-0115 §4, XEP-0300).
    pub fn name(self) -> &'static str {
        match self {
            Hash::Sha1 => "sha-1",
            Hash::Sha256 => "sha-256",
            Hash::Sha512 => "sha-512",
        }
    }

    /// The hash of a registered name.
    pub fn named(name: &str) -> Option<Hash> {
        [Hash::Sha1, Hash::Sha256, Hash::Sha512].into_iter().find(|hash| hash.name() == name)
    }

    fn base64(self, data: &[u8]) -> String {
        match self {
            Hash::Sha1 => BASE64.encode(Sha1::digest(data)),
            Hash::Sha256 => BASE64.encode(Sha256::digest(data)),
            Hash::Sha512 => BASE64.encode(Sha512::digest(data)),
        }
    }
}

impl Caps {
    /// The capabilities of an answer.
    pub fn of(info: &Info, node: &str, hash: Hash) -> Result<Caps, IllFormed> {
        let ver = hash.base64(verification_string(info)?.as_bytes());
        Ok(Caps { hash: Some(hash.name().to_owned()), node: node.to_owned(), ver })
    }

    /// The disco#info node to ask for it: `node#ver`.
    pub fn disco_node(&self) -> String {
        format!("{}#{}", self.node, self.ver)
    }

    /// Whether an answer is the one that was told (XEP-0115 §5.4). False also where the hash is not known or the
    /// answer is ill-formed: then it may be used for this entity but not for others with the same hash.
    pub fn proves(&self, info: &Info) -> bool {
        let hash = self.hash.as_deref().and_then(Hash::named);
        hash.is_some_and(|hash| Caps::of(info, &self.node, hash).is_ok_and(|caps| caps.ver == self.ver))
    }
}

impl HashSet {
    /// The capabilities of an answer under some hashes (XEP-0390 §4.2).
    pub fn of(info: &Info, hashes: &[Hash]) -> Result<HashSet, IllFormed> {
        let input = hash_input(info)?;
        Ok(HashSet { hashes: hashes.iter().map(|hash| (hash.name().to_owned(), hash.base64(&input))).collect() })
    }

    /// Whether an answer has one of the hashes that were told. False also where none of them is known here.
    pub fn proves(&self, info: &Info) -> bool {
        let known: Vec<Hash> = self.hashes.iter().filter_map(|(name, _)| Hash::named(name)).collect();
        HashSet::of(info, &known).is_ok_and(|set| set.hashes.iter().any(|hash| self.hashes.contains(hash)))
    }

    /// The disco#info nodes to ask for it (XEP-0390 §4.3).
    pub fn disco_nodes(&self) -> impl Iterator<Item = String> + '_ {
        self.hashes.iter().map(|(name, value)| format!("{}#{name}.{value}", ns::CAPS2))
    }
}

/// The text that XEP-0115 hashes (§5.1).
pub fn verification_string(info: &Info) -> Result<String, IllFormed> {
    let mut text = String::new();
    let identities: BTreeSet<&Identity> = info.identities.iter().collect();
    if identities.len() != info.identities.len() {
        return Err(IllFormed::Identity);
    }
    let mut identities: Vec<_> = identities.into_iter().map(identity_parts).collect();
    identities.sort_unstable();
    for parts in identities {
        text.push_str(&parts.join("/"));
        text.push('<');
    }
    for feature in features(info)? {
        text.push_str(feature);
        text.push('<');
    }
    // §5.4 step 3: forms without a hidden FORM_TYPE do not count, but the other way round they are no error.
    let mut forms: Vec<(&str, &Form)> = Vec::new();
    for form in &info.forms {
        if form.form_type().is_none() {
            continue;
        }
        let form_type = only_form_type(form)?;
        if forms.iter().any(|(known, _)| *known == form_type) {
            return Err(IllFormed::Form);
        }
        forms.push((form_type, form));
    }
    forms.sort_unstable_by_key(|(form_type, _)| *form_type);
    for (form_type, form) in forms {
        text.push_str(form_type);
        text.push('<');
        let named = form.fields.iter().filter_map(|field| Some((field.var.as_deref()?, &field.values)));
        let mut fields: Vec<_> = named.filter(|(var, _)| *var != "FORM_TYPE").collect();
        fields.sort_by_key(|(var, _)| *var);
        for (var, values) in fields {
            let mut values: Vec<&str> = values.iter().map(String::as_str).collect();
            values.sort_unstable();
            for part in std::iter::once(var).chain(values) {
                text.push_str(part);
                text.push('<');
            }
        }
    }
    Ok(text)
}

/// The octets that XEP-0390 hashes (§4.1).
pub fn hash_input(info: &Info) -> Result<Vec<u8>, IllFormed> {
    let mut out = Vec::new();
    let features = info.features.iter().map(|feature| ended(feature.as_bytes(), UNIT));
    out.extend(group(features, FILE));
    let identities = info.identities.iter().map(|identity| {
        let parts = identity_parts(identity);
        ended(&parts.iter().flat_map(|part| ended(part.as_bytes(), UNIT)).collect::<Vec<u8>>(), RECORD)
    });
    out.extend(group(identities, FILE));
    let mut forms = Vec::new();
    for form in &info.forms {
        if !form.reported.is_empty() || !form.items.is_empty() {
            return Err(IllFormed::Table);
        }
        only_form_type(form)?;
        let fields = form.fields.iter().map(|field| {
            let values: Vec<u8> = sorted(field.values.iter().map(|value| ended(value.as_bytes(), UNIT))).concat();
            let mut text = ended(field.var.as_deref().unwrap_or_default().as_bytes(), UNIT);
            text.extend(values);
            ended(&text, RECORD)
        });
        forms.push(group(fields, GROUP));
    }
    out.extend(group(forms.into_iter(), FILE));
    Ok(out)
}

impl Payload for Caps {
    fn read(node: Node<'_>) -> Result<Caps, StanzaError> {
        expect(node, "c", ns::CAPS)?;
        Ok(Caps { hash: attr(node, "hash"), node: required(node, "node")?, ver: required(node, "ver")? })
    }

    fn write(&self, out: &mut Writer) {
        out.open("c", ns::CAPS)
            .attr_opt("hash", self.hash.as_deref())
            .attr("node", &self.node)
            .attr("ver", &self.ver)
            .close();
    }
}

impl Payload for HashSet {
    fn read(node: Node<'_>) -> Result<HashSet, StanzaError> {
        expect(node, "c", ns::CAPS2)?;
        let mut hashes = Vec::new();
        for hash in node.children().filter(|child| child.is("hash", ns::HASHES)) {
            hashes.push((required(hash, "algo")?, hash.text().trim().to_owned()));
        }
        if hashes.is_empty() { Err(bad_request("no hash")) } else { Ok(HashSet { hashes }) }
    }

    fn write(&self, out: &mut Writer) {
        out.open("c", ns::CAPS2);
        for (name, value) in &self.hashes {
            out.open("hash", ns::HASHES).attr("algo", name).text(value).close();
        }
        out.close();
    }
}

impl fmt::Display for IllFormed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IllFormed::Identity => "an identity stands twice",
            IllFormed::Feature => "a feature stands twice",
            IllFormed::Form => "two forms have the same FORM_TYPE",
            IllFormed::FormType => "a form has not exactly one FORM_TYPE",
            IllFormed::Table => "a form has a table",
        })
    }
}

impl std::error::Error for IllFormed {}

/// Separators of XEP-0390 §4.1.
const FILE: u8 = 0x1c;
const GROUP: u8 = 0x1d;
const RECORD: u8 = 0x1e;
const UNIT: u8 = 0x1f;

/// Category, type, language and name, as both algorithms want them.
fn identity_parts(identity: &Identity) -> [&str; 4] {
    [
        &identity.category,
        &identity.kind,
        identity.lang.as_deref().unwrap_or_default(),
        identity.name.as_deref().unwrap_or_default(),
    ]
}

/// The features in order, each once.
fn features(info: &Info) -> Result<BTreeSet<&str>, IllFormed> {
    let features: BTreeSet<&str> = info.features.iter().map(String::as_str).collect();
    if features.len() == info.features.len() { Ok(features) } else { Err(IllFormed::Feature) }
}

/// The FORM_TYPE, if it has one value only (the same one twice is no harm).
fn only_form_type(form: &Form) -> Result<&str, IllFormed> {
    let mut values = form
        .fields
        .iter()
        .filter(|field| field.var.as_deref() == Some("FORM_TYPE") && field.ty == Some(FieldType::Hidden))
        .flat_map(|field| &field.values);
    let first = values.next().ok_or(IllFormed::FormType)?;
    if values.all(|value| value == first) { Ok(first) } else { Err(IllFormed::FormType) }
}

fn ended(text: &[u8], separator: u8) -> Vec<u8> {
    [text, &[separator]].concat()
}

fn sorted(parts: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let mut parts: Vec<_> = parts.collect();
    parts.sort_unstable();
    parts
}

/// The parts in order of their octets, with a separator behind all of them.
fn group(parts: impl Iterator<Item = Vec<u8>>, separator: u8) -> Vec<u8> {
    ended(&sorted(parts).concat(), separator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, refused, written};
    use serde_json::Value;

    fn vectors(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    fn text<'a>(value: &'a Value, key: &str) -> &'a str {
        value[key].as_str().unwrap()
    }

    #[test]
    fn vectors_of_xep_0115() {
        let file = vectors(include_str!("../tests/vectors/caps-xep0115.json"));
        for vector in file["vectors"].as_array().unwrap() {
            let info = read::<Info>(text(vector, "disco_info")).unwrap();
            assert_eq!(verification_string(&info).as_deref(), Ok(text(vector, "string")));
            let hash = Hash::named(text(vector, "hash")).unwrap();
            let caps = Caps::of(&info, "https://example.org", hash).unwrap();
            assert_eq!(caps.ver, text(vector, "ver"));
            assert!(caps.proves(&info));
            assert!(!Caps { hash: None, ..caps.clone() }.proves(&info));
            assert!(!caps.proves(&Info::default()));
        }
        for case in file["ill_formed"].as_array().unwrap() {
            let info = read::<Info>(text(case, "disco_info")).unwrap();
            assert!(verification_string(&info).is_err(), "{}", text(case, "reason"));
        }
    }

    #[test]
    fn vectors_of_xep_0390() {
        let file = vectors(include_str!("../tests/vectors/caps-xep0390.json"));
        for vector in file["vectors"].as_array().unwrap() {
            let info = read::<Info>(text(vector, "disco_info")).unwrap();
            let input: String = hash_input(&info).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(input, text(vector, "input_hex"));
            let set = HashSet::of(&info, &[Hash::Sha256]).unwrap();
            assert_eq!(set.hashes[0].1, text(&vector["hashes"], "sha-256"));
            assert_eq!(set.disco_nodes().next().as_deref(), vector["nodes"][0].as_str());
            written(&set);
        }
    }

    /// XEP-0115 example 1.
    #[test]
    fn presence_tells_the_hash() {
        let xml = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://exodus.example' \
                   ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>";
        let caps = read::<Caps>(xml).unwrap();
        assert_eq!(written(&caps), xml);
        assert_eq!(caps.disco_node(), "https://exodus.example#QgayPKawpkPSDYmwT/WM94uAlu0=");
        assert!(refused::<Caps>("<c xmlns='http://jabber.org/protocol/caps' node='a'/>").is_some());
        assert!(refused::<HashSet>("<c xmlns='urn:xmpp:caps'/>").is_some());
    }
}
