//! Service discovery of the server and of accounts (XEP-0030), the server's capabilities (XEP-0115) and its contact
//! addresses (XEP-0157). What is announced is what the features declare.

use crate::{commands, offline, pubsub, upload};
use bytes::Bytes;
use kernel::{
    Feature, Hook, Kernel, Turn,
    access::{self, Action},
    hooks::{At, Handler, Iq, Xep},
};
use linnet_xeps::{
    Payload,
    caps::{Caps, Hash},
    contact::Contacts,
    disco::{Identity, Info, Item, Items},
    forms::{Field, Form, FormType},
    ns,
};
use linnet_xmpp::{Jid, StanzaError, stanza::Condition};

/// Service discovery.
pub static FEATURE: Feature = Feature {
    name: "discovery",
    xeps: &[
        Xep { number: 30, version: "2.5.0", note: "" },
        Xep { number: 115, version: "1.6.0", note: "the server's own; those of clients pass through" },
        Xep { number: 128, version: "1.0.1", note: "" },
        Xep { number: 157, version: "1.1.1", note: "" },
    ],
    server_features: &[ns::DISCO_INFO, ns::DISCO_ITEMS, ns::CAPS],
    account_features: &[ns::DISCO_INFO, ns::DISCO_ITEMS],
    stream_features: &[],
    hooks: &[Hook::Iq(iq(ns::DISCO_INFO, info)), Hook::Iq(iq(ns::DISCO_ITEMS, items))],
};

type Answer = fn(&mut Turn<'_>) -> Result<Bytes, StanzaError>;

const fn iq(namespace: &'static str, answer: Answer) -> Iq {
    let at = &[At::Own, At::Account, At::Server, At::AnyService];
    Iq { name: "query", ns: namespace, get: true, set: false, at, handler: Handler::Now(answer) }
}

/// The node of the server's capabilities.
const CAPS_NODE: &str = "https://linnet.im/";

/// The server's capabilities for its stream features (XEP-0115 §6.3), as canonical XML.
pub fn server_caps(kernel: &Kernel) -> Bytes {
    // The info is ours and well-formed: its identities and features are written once each.
    Caps::of(&server_info(kernel), CAPS_NODE, Hash::Sha1).map(|caps| caps.to_bytes()).unwrap_or_default()
}

/// What the server is and can do.
fn server_info(kernel: &Kernel) -> Info {
    let mut info = Info { identities: vec![Identity::new("server", "im", "Linnet")], ..Info::default() };
    info.features = features(kernel, |feature| feature.server_features);
    let software = Form::of(FormType::Result, ns::SOFTWARE_INFO)
        .field(Field::untyped("software", "Linnet"))
        .field(Field::untyped("software_version", kernel.settings.version));
    info.forms.push(software);
    let contacts = contacts(kernel);
    if !contacts.is_empty() {
        info.forms.push(contacts.to_form());
    }
    info
}

fn features(kernel: &Kernel, of: impl Fn(&Feature) -> &'static [&'static str]) -> Vec<String> {
    let mut all: Vec<String> =
        kernel.hooks.features.iter().flat_map(|feature| of(feature)).map(|&var| var.into()).collect();
    all.sort();
    all.dedup();
    all
}

fn contacts(kernel: &Kernel) -> Contacts {
    let mut contacts = Contacts::default();
    for (role, addresses) in &kernel.settings.contacts {
        let slot = match role.trim_end_matches("-addresses") {
            "abuse" => &mut contacts.abuse,
            "admin" => &mut contacts.admin,
            "feedback" => &mut contacts.feedback,
            "sales" => &mut contacts.sales,
            "security" => &mut contacts.security,
            "status" => &mut contacts.status,
            "support" => &mut contacts.support,
            _ => continue,
        };
        slot.clone_from(addresses);
    }
    contacts
}

/// What the service that the turn's stanza addresses is and can do; of its rooms its feature knows.
pub(crate) fn service_info(turn: &Turn<'_>) -> Option<Info> {
    let service = turn.kernel.service(turn.account.address.as_str())?.service;
    let (category, ty, name) = service.identity;
    let mut features: Vec<String> =
        [ns::DISCO_INFO, ns::DISCO_ITEMS].iter().chain(service.features).map(|&var| var.into()).collect();
    features.sort();
    let forms = if service.label == upload::LABEL { vec![upload::form(turn.kernel)] } else { Vec::new() };
    Some(Info { identities: vec![Identity::new(category, ty, name)], features, forms, ..Info::default() })
}

/// The services of the domain that the turn's stanza addresses.
fn services(turn: &Turn<'_>) -> Vec<Item> {
    let domain = turn.stanza.to.as_ref().map_or_else(|| turn.account.address.domain(), Jid::domain);
    let item = |hosted: &kernel::service::Hosted| Item {
        jid: hosted.address.clone(),
        node: None,
        name: Some(hosted.service.identity.2.into()),
    };
    // Without HTTP nobody could bring a file.
    let has_web = turn.kernel.settings.web.is_some();
    turn.kernel
        .services_of(domain)
        .filter(|hosted| has_web || hosted.service.label != upload::LABEL)
        .map(item)
        .collect()
}

/// To strangers an account tells nothing, as if it were not there (XEP-0030 §8).
fn check(turn: &Turn<'_>) -> Result<(), StanzaError> {
    if turn.at == At::Account && !access::may(turn.kernel, turn.actor(), Action::ReadPresence, turn.account) {
        return Err(Condition::ServiceUnavailable.into());
    }
    Ok(())
}

fn info(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    check(turn)?;
    let question: Info = read(turn)?;
    let caps = format!("{CAPS_NODE}#");
    let mut answer = match (turn.at, question.node.as_deref()) {
        (At::Server, None) => server_info(turn.kernel),
        (At::Server, Some(node)) if node.starts_with(&caps) => {
            let info = server_info(turn.kernel);
            let is_present = Caps::of(&info, CAPS_NODE, Hash::Sha1).is_ok_and(|caps| caps.disco_node() == node);
            if is_present { info } else { return Err(Condition::ItemNotFound.into()) }
        }
        (At::Server, Some(node)) => commands::info(turn, node).ok_or(Condition::ItemNotFound)?,
        (At::Own, Some(ns::OFFLINE)) => offline::info(turn),
        (At::Service(_), None) => service_info(turn).ok_or(Condition::ItemNotFound)?,
        (At::Own | At::Account, Some(node)) => pubsub::disco::info(turn, node)?,
        (_, Some(_)) => return Err(Condition::ItemNotFound.into()),
        (_, None) => {
            let identities = vec![Identity::new("account", "registered", ""), Identity::new("pubsub", "pep", "")];
            let mut info = Info { identities, ..Info::default() };
            info.features = features(turn.kernel, |feature| feature.account_features);
            info
        }
    };
    answer.node = question.node;
    Ok(answer.to_bytes())
}

fn items(turn: &mut Turn<'_>) -> Result<Bytes, StanzaError> {
    check(turn)?;
    let question: Items = read(turn)?;
    let items = match (turn.at, question.node.as_deref()) {
        (At::Server, None) => services(turn),
        (_, None) => Vec::new(),
        (At::Server, Some(ns::COMMANDS)) => commands::items(turn),
        (_, Some(_)) => return Err(Condition::ItemNotFound.into()),
    };
    Ok(Items { node: question.node, items }.to_bytes())
}

fn read<T: Payload>(turn: &Turn<'_>) -> Result<T, StanzaError> {
    turn.stanza.payload().ok_or_else(|| StanzaError::new(Condition::BadRequest)).and_then(T::read)
}
