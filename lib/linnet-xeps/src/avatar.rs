//! Avatars: data and metadata nodes (XEP-0084), the photo of a vcard-temp and the hash in presence (XEP-0153).

use crate::{Payload, attr, bad_request, child_text, expect, ns, required};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use linnet_xmpp::{
    StanzaError,
    xml::{Document, Node, Scope, Writer},
};
use sha1::{Digest, Sha1};

/// The id of an image: SHA-1 of its bytes, in hexadecimal (XEP-0084 §3.1, XEP-0153 §3.1).
pub fn id_of(image: &[u8]) -> String {
    Sha1::digest(image).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `<data/>`: the image itself (XEP-0084 §4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// Its bytes.
    pub image: Bytes,
}

/// `<metadata/>`: which images there are (XEP-0084 §4.2). Without any, the avatar is disabled (§3.5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The images.
    pub infos: Vec<Info>,
}

/// One image (XEP-0084 §4.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// SHA-1 of the image, in hexadecimal.
    pub id: String,
    /// Its size.
    pub bytes: u32,
    /// Its media type.
    pub media_type: String,
    /// In pixels.
    pub width: Option<u16>,
    /// In pixels.
    pub height: Option<u16>,
    /// Where it is, if not in the data node.
    pub url: Option<String>,
}

impl Metadata {
    /// The image that is in the data node (XEP-0398 §3.1).
    pub fn own(&self) -> Option<&Info> {
        self.infos.iter().find(|info| info.url.is_none())
    }
}

/// Base64 as people write it, with white space in it.
fn decode(text: &str) -> Result<Bytes, StanzaError> {
    let compact: String = text.split_ascii_whitespace().collect();
    BASE64.decode(compact).map(Bytes::from).map_err(|_| bad_request("an image that is not Base64"))
}

impl Payload for Data {
    fn read(node: Node<'_>) -> Result<Data, StanzaError> {
        expect(node, "data", ns::AVATAR_DATA)?;
        Ok(Data { image: decode(&node.text())? })
    }

    fn write(&self, out: &mut Writer) {
        out.leaf("data", ns::AVATAR_DATA, &BASE64.encode(&self.image));
    }
}

impl Payload for Metadata {
    fn read(node: Node<'_>) -> Result<Metadata, StanzaError> {
        expect(node, "metadata", ns::AVATAR_METADATA)?;
        let infos = node.children().filter(|child| child.is("info", ns::AVATAR_METADATA)).map(|info| {
            Ok(Info {
                id: required(info, "id")?,
                bytes: required(info, "bytes")?.parse().map_err(|_| bad_request("bytes is not a number"))?,
                media_type: required(info, "type")?,
                width: attr(info, "width").and_then(|width| width.parse().ok()),
                height: attr(info, "height").and_then(|height| height.parse().ok()),
                url: attr(info, "url"),
            })
        });
        Ok(Metadata { infos: infos.collect::<Result<_, StanzaError>>()? })
    }

    fn write(&self, out: &mut Writer) {
        out.open("metadata", ns::AVATAR_METADATA);
        for info in &self.infos {
            out.open("info", ns::AVATAR_METADATA).attr("id", &info.id).attr("bytes", &info.bytes.to_string());
            out.attr("type", &info.media_type);
            out.attr_opt("width", info.width.map(|width| width.to_string()).as_deref());
            out.attr_opt("height", info.height.map(|height| height.to_string()).as_deref());
            out.attr_opt("url", info.url.as_deref()).close();
        }
        out.close();
    }
}

/// The photo of a vcard-temp (XEP-0153 §3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo {
    /// Its media type.
    pub media_type: Option<String>,
    /// Its bytes.
    pub image: Bytes,
}

impl Photo {
    /// The photo in a vCard; `None` where there is none, or one that is elsewhere (`EXTVAL`) or empty.
    pub fn of_vcard(vcard: Node<'_>) -> Option<Photo> {
        let photo = vcard.child("PHOTO", ns::VCARD)?;
        let image = decode(&photo.child("BINVAL", ns::VCARD)?.text()).ok().filter(|image| !image.is_empty())?;
        Some(Photo { media_type: child_text(photo, "TYPE", ns::VCARD), image })
    }

    /// A vCard (canonical under `jabber:client`) with this photo in place of its own; with none, without it. What is not
    /// a vCard becomes one that holds nothing else.
    pub fn put(photo: Option<&Photo>, vcard: &Bytes) -> Bytes {
        let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
        out.open("vCard", ns::VCARD);
        if let Ok(document) = Document::parse(vcard.clone(), &Scope::new(linnet_xmpp::ns::CLIENT)) {
            for child in document.root().children().filter(|child| !child.is("PHOTO", ns::VCARD)) {
                out.node(child);
            }
        }
        if let Some(photo) = photo {
            out.open("PHOTO", ns::VCARD);
            if let Some(media_type) = &photo.media_type {
                out.leaf("TYPE", ns::VCARD, media_type);
            }
            out.leaf("BINVAL", ns::VCARD, &BASE64.encode(&photo.image)).close();
        }
        out.close();
        out.finish()
    }
}

/// `<x xmlns='vcard-temp:x:update'/>` in presence (XEP-0153 §4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// No `<photo/>`: the client does not know yet.
    Unknown,
    /// An empty one: there is no photo, or none is to be shown.
    NoPhoto,
    /// The id of the photo.
    Photo(String),
}

impl Payload for Update {
    fn read(node: Node<'_>) -> Result<Update, StanzaError> {
        expect(node, "x", ns::VCARD_UPDATE)?;
        Ok(match child_text(node, "photo", ns::VCARD_UPDATE) {
            None => Update::Unknown,
            Some(id) if id.trim().is_empty() => Update::NoPhoto,
            Some(id) => Update::Photo(id.trim().to_owned()),
        })
    }

    fn write(&self, out: &mut Writer) {
        out.open("x", ns::VCARD_UPDATE);
        match self {
            Update::Unknown => {}
            Update::NoPhoto => {
                out.open("photo", ns::VCARD_UPDATE).close();
            }
            Update::Photo(id) => {
                out.leaf("photo", ns::VCARD_UPDATE, id);
            }
        }
        out.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{parse, read, refused, written};

    #[test]
    fn nodes() {
        let data = Data { image: Bytes::from_static(b"\x89PNG") };
        assert_eq!(written(&data), "<data xmlns='urn:xmpp:avatar:data'>iVBORw==</data>");
        let folded = read::<Data>("<data xmlns='urn:xmpp:avatar:data'>\n  iVBO\n  Rw==\n</data>").unwrap();
        assert_eq!(folded, data);
        assert!(refused::<Data>("<data xmlns='urn:xmpp:avatar:data'>?</data>").is_some());
        // XEP-0084 §5.1, and §3.5: nothing in it disables the avatar.
        let xml = "<metadata xmlns='urn:xmpp:avatar:metadata'><info id='a' bytes='2345' type='image/gif' width='64' \
                   height='48' url='http://example.org/a.gif'/><info id='b' bytes='12345' type='image/png'/></metadata>";
        let metadata = read::<Metadata>(xml).unwrap();
        assert_eq!(metadata.own().map(|info| &*info.id), Some("b"));
        assert_eq!(written(&metadata), xml);
        assert_eq!(written(&Metadata::default()), "<metadata xmlns='urn:xmpp:avatar:metadata'/>");
        for info in ["<info bytes='1' type='t'/>", "<info id='a' bytes='x' type='t'/>", "<info id='a' bytes='1'/>"] {
            let xml = format!("<metadata xmlns='urn:xmpp:avatar:metadata'>{info}</metadata>");
            assert!(refused::<Metadata>(&xml).is_some(), "{xml}");
        }
    }

    #[test]
    fn the_photo_of_a_vcard_is_replaced_and_the_rest_kept() {
        let old = Bytes::from_static(
            b"<vCard xmlns='vcard-temp'><FN>J</FN><PHOTO><BINVAL>aGk=</BINVAL></PHOTO><X xmlns='urn:x'/></vCard>",
        );
        assert_eq!(Photo::of_vcard(parse(std::str::from_utf8(&old).unwrap()).root()).unwrap().image, "hi");
        let photo = Photo { media_type: Some("image/png".into()), image: Bytes::from_static(b"new") };
        let new = Photo::put(Some(&photo), &old);
        let document = parse(std::str::from_utf8(&new).unwrap());
        assert_eq!(Photo::of_vcard(document.root()), Some(photo));
        assert!(document.root().child("X", "urn:x").is_some() && document.root().child("FN", ns::VCARD).is_some());
        assert_eq!(Photo::put(None, &Bytes::new()), "<vCard xmlns='vcard-temp'/>");
        let empty = parse("<vCard xmlns='vcard-temp'><PHOTO><BINVAL/></PHOTO></vCard>");
        assert_eq!(Photo::of_vcard(empty.root()), None);
    }

    #[test]
    fn hashes() {
        assert_eq!(id_of(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        let x = |inner: &str| format!("<x xmlns='vcard-temp:x:update'>{inner}</x>");
        assert_eq!(read::<Update>("<x xmlns='vcard-temp:x:update'/>").unwrap(), Update::Unknown);
        assert_eq!(written(&Update::NoPhoto), x("<photo/>"));
        assert_eq!(written(&Update::Photo("abc".into())), x("<photo>abc</photo>"));
        written(&Update::Unknown);
    }
}
