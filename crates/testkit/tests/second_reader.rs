//! Everything that the server writes in a transcript is read by a second implementation, xmpp-parsers: what its authors
//! understand as an error in our XML fails the transcript here.

use std::str::FromStr;
use xmpp_parsers::minidom::Element;

testkit::each_script!(read_by_another);

fn read_by_another(path: &str, text: &str) {
    testkit::read_by(&mut |xml| read(xml).map(drop), path, text);
}

/// Reads a stanza: how many of its payloads the second implementation knows.
fn read(xml: &str) -> Result<usize, String> {
    // As in a stream, whose header says the namespace.
    let place = xml.find([' ', '>', '/']).ok_or("not an element")?;
    let whole = format!("{} xmlns='jabber:client'{}", &xml[..place], &xml[place..]);
    let stanza = Element::from_str(&whole).map_err(|error| format!("not read as XML: {error}: {xml}"))?;
    let known = stanza.children().map(|child| payload(&stanza, child)).collect::<Result<Vec<bool>, String>>();
    let known = known.map_err(|why| format!("{why}: {xml}"))?;
    let whole = match stanza.name() {
        "message" => parsed::<xmpp_parsers::message::Message>(&stanza),
        "presence" => parsed::<xmpp_parsers::presence::Presence>(&stanza),
        _ => parsed::<xmpp_parsers::iq::Iq>(&stanza),
    };
    whole.map_err(|why| format!("{why}: {xml}"))?;
    Ok(known.into_iter().filter(|known| *known).count())
}

fn parsed<T: TryFrom<Element>>(element: &Element) -> Result<bool, String>
where
    T::Error: std::fmt::Display,
{
    T::try_from(element.clone())
        .map(|_| true)
        .map_err(|error| format!("<{}/> is not understood: {error}", element.name()))
}

/// Reads a payload as what it is in this kind of stanza; `false` where the second implementation does not know it.
fn payload(stanza: &Element, payload: &Element) -> Result<bool, String> {
    use xmpp_parsers::*;
    let (ns, is_result) = (payload.ns(), stanza.attr("type") == Some("result"));
    // An empty answer is no answer of that type.
    match (payload.name(), ns.as_str()) {
        ("error", "jabber:client") => parsed::<stanza_error::StanzaError>(payload),
        ("query", ns::DISCO_INFO) if is_result => parsed::<disco::DiscoInfoResult>(payload),
        ("query", ns::DISCO_INFO) => parsed::<disco::DiscoInfoQuery>(payload),
        ("query", ns::DISCO_ITEMS) if is_result => parsed::<disco::DiscoItemsResult>(payload),
        ("query", ns::ROSTER) => parsed::<roster::Roster>(payload),
        ("query", ns::VERSION) if is_result => parsed::<version::VersionResult>(payload),
        ("time", ns::TIME) if is_result => parsed::<time::TimeResult>(payload),
        ("x", ns::DATA_FORMS) => parsed::<data_forms::DataForm>(payload),
        ("x", ns::VCARD_UPDATE) => parsed::<vcard_update::VCardUpdate>(payload),
        ("c", ns::CAPS) => parsed::<caps::Caps>(payload),
        ("delay", ns::DELAY) => parsed::<delay::Delay>(payload),
        ("stanza-id", ns::SID) => parsed::<stanza_id::StanzaId>(payload),
        ("sent", ns::CARBONS) => parsed::<carbons::Sent>(payload),
        ("received", ns::CARBONS) => parsed::<carbons::Received>(payload),
        ("result", ns::MAM) => parsed::<mam::Result_>(payload),
        ("fin", ns::MAM) => parsed::<mam::Fin>(payload),
        ("metadata", ns::MAM) if is_result => parsed::<mam::MetadataResponse>(payload),
        ("prefs", ns::MAM) => parsed::<mam_prefs::Prefs>(payload),
        ("blocklist", ns::BLOCKING) if is_result => parsed::<blocking::BlocklistResult>(payload),
        ("block", ns::BLOCKING) => parsed::<blocking::Block>(payload),
        ("unblock", ns::BLOCKING) => parsed::<blocking::Unblock>(payload),
        // It does not know pages of items (XEP-0060 §6.5.4).
        ("pubsub", ns::PUBSUB) if payload.has_child("set", ns::RSM) => Ok(false),
        ("pubsub", ns::PUBSUB) => parsed::<pubsub::PubSub>(payload),
        ("pubsub", ns::PUBSUB_OWNER) => parsed::<pubsub::Owner>(payload),
        ("event", ns::PUBSUB_EVENT) => parsed::<pubsub::Event>(payload),
        ("slot", ns::HTTP_UPLOAD) => parsed::<http_upload::SlotResult>(payload),
        ("clients", ns::CAM) => parsed::<cam::Clients>(payload),
        ("vCard", ns::VCARD) if payload.children().next().is_some() => parsed::<vcard::VCard>(payload),
        _ => Ok(false),
    }
}

#[test]
fn the_second_reader_objects() {
    let good = "<message from='a@b/c' id='1'><body>x</body>\
                <delay xmlns='urn:xmpp:delay' from='b' stamp='2026-01-01T00:00:00Z'/></message>";
    assert_eq!(read(good), Ok(1));
    assert!(read(&good.replace("2026-01-01T", "2026-13-01T")).is_err());
    assert!(read("<iq type='result' id='1'><fin xmlns='urn:xmpp:mam:2'/></iq>").is_err());
    assert!(read("<message><body></message>").is_err());
    assert!(read("<message from='@'/>").is_err());
}
