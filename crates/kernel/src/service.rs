//! Services that the server hosts beside its accounts: a sub-domain of each domain (`pubsub.example.org`), with a state
//! of its own behind one lock like an account's, and, where the service wants it, further such states at addresses with a
//! local part (the rooms of a chat service).
//!
//! A service's state is an [`Account`] without sessions, password or log: its documents are those that the service
//! declares, and it is always there. A stanza to it locks the sender's account and this state, so that what the service
//! writes goes into one transaction with the sender's count; what it sends on goes through its own outbox.

use crate::{
    Kernel, Settings, Turn,
    account::{Account, Document},
    hooks::{At, Notice, Refusal, Side, Source},
    origin::Origin,
    route::{Passage, absent, is_bare},
};
use linnet_xmpp::{
    Jid, Stanza, StanzaError,
    stanza::{Condition, Kind, Type},
};
use std::{any::TypeId, sync::Arc};
use store::{Loaded, Wanted};

/// A service that a feature hosts. Iqs to it are answered by `Hook::Iq` with `At::Service` and its label.
#[derive(Debug)]
pub struct Service {
    /// The label before the domain, e.g. `pubsub`.
    pub label: &'static str,
    /// What it says of itself in service discovery: category, type and name (XEP-0030 §3.1).
    pub identity: (&'static str, &'static str, &'static str),
    /// Its service discovery features, beside those of discovery itself.
    pub features: &'static [&'static str],
    /// What it keeps in memory for its own address.
    pub documents: &'static [Part],
    /// What it keeps in memory for each address with a local part; `None`: there are no such addresses.
    pub rooms: Option<&'static [Part]>,
    /// Takes messages and presence. `None`: messages are refused, presence is ignored.
    pub receive: Option<Receive>,
}

/// Takes a message or presence in a service's name.
pub type Receive = fn(&mut Turn<'_>) -> Result<(), Refusal>;

/// A document of a service's state: its type, and where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Its type.
    pub type_id: fn() -> TypeId,
    /// Where it comes from.
    pub source: Source,
}

/// Documents that are loaded together.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    parts: Vec<Part>,
    /// What is read, in the order of `parts`.
    pub(crate) wanted: Wanted,
}

impl Documents {
    fn of_service(parts: &[Part]) -> Documents {
        let mut documents = Documents::default();
        documents.wanted.without_account = true;
        parts.iter().for_each(|part| documents.add(*part));
        documents
    }

    pub(crate) fn add(&mut self, part: Part) {
        match part.source {
            Source::Map(map, _) => self.wanted.maps.push(map),
            Source::Doc(doc, _) => self.wanted.docs.push(doc),
            Source::Account(_) => {}
        }
        self.parts.push(part);
    }

    /// The documents, made of what was read as `wanted`.
    pub(crate) fn read(&self, loaded: &Loaded) -> Vec<(TypeId, Document)> {
        let (mut maps, mut docs) = (loaded.maps.iter(), loaded.docs.iter());
        let decode = |part: &Part| match part.source {
            Source::Map(_, decode) => decode(maps.next().cloned().unwrap_or_default()),
            Source::Doc(_, decode) => decode(docs.next().cloned().flatten()),
            Source::Account(decode) => decode(&loaded.account),
        };
        self.parts.iter().map(|part| (part.type_id)()).zip(self.parts.iter().map(decode)).collect()
    }
}

/// A service at one domain.
#[derive(Debug)]
pub struct Hosted {
    /// Its address.
    pub address: Jid,
    /// Which.
    pub service: &'static Service,
    host: Documents,
    rooms: Documents,
}

/// Every service at every domain.
pub(crate) fn host(services: &[&'static Service], settings: &Settings) -> Vec<Hosted> {
    let mut hosted = Vec::new();
    for domain in &settings.domains {
        for &service in services {
            let Some(address) = address(service.label, domain.domain()) else { continue };
            let host = Documents::of_service(service.documents);
            let rooms = Documents::of_service(service.rooms.unwrap_or_default());
            // A domain that the administrator serves by name has accounts of its own.
            if !settings.domains.contains(&address) {
                hosted.push(Hosted { address, service, host, rooms });
            }
        }
    }
    hosted
}

/// The address of a service at a domain; `None` where there can be none: a number of the network has no sub-domains.
pub fn address(label: &str, domain: &str) -> Option<Jid> {
    let is_number = domain.starts_with('[') || domain.parse::<std::net::IpAddr>().is_ok();
    if is_number { None } else { Jid::parse(&format!("{label}.{domain}")).ok() }
}

impl Kernel {
    /// The service at a domain.
    pub fn service(&self, domain: &str) -> Option<&Hosted> {
        self.hosted.iter().find(|hosted| hosted.address.as_str() == domain)
    }

    /// The services of a domain, in order.
    pub fn services_of(&self, domain: &str) -> impl Iterator<Item = &Hosted> {
        self.hosted.iter().filter(move |hosted| {
            let prefix = hosted.address.as_str().strip_suffix(domain).and_then(|rest| rest.strip_suffix('.'));
            prefix == Some(hosted.service.label)
        })
    }

    /// Whether an address has a state here: an account, a service, or a room of one.
    pub(crate) fn has_owner(&self, to: &Jid) -> bool {
        if self.serves(to.domain()) { to.local().is_some() } else { self.hosts(to) }
    }

    /// Whether an address is that of a service, or of a room of one.
    pub(crate) fn hosts(&self, to: &Jid) -> bool {
        self.service(to.domain()).is_some_and(|hosted| to.local().is_none() || hosted.service.rooms.is_some())
    }

    /// What is kept in memory of an owner.
    pub(crate) fn documents_for(&self, bare: &Jid) -> &Documents {
        if self.serves(bare.domain()) {
            return &self.hooks.documents;
        }
        match self.service(bare.domain()) {
            Some(hosted) if bare.local().is_none() => &hosted.host,
            Some(hosted) => &hosted.rooms,
            None => &self.hooks.documents,
        }
    }

    /// A stanza to a service, or to one of its rooms.
    pub(crate) fn to_service(
        self: &Arc<Self>,
        service: &'static Service,
        recipient: Option<&Account>,
        origin: Origin<'_>,
        stanza: &Arc<Stanza>,
        passage: &mut Passage,
    ) -> Result<(), Refusal> {
        let at = At::Service(service.label);
        let Some(account) = recipient else {
            let is_request = matches!(stanza.ty, Type::Get | Type::Set);
            return if is_request {
                Err(StanzaError::new(Condition::ItemNotFound).into())
            } else {
                Err(absent(stanza))
            };
        };
        match (stanza.kind, service.receive) {
            (Kind::Iq, _) if is_bare(stanza) => self.iq(at, account, origin, stanza, passage),
            (Kind::Iq, _) if matches!(stanza.ty, Type::Result | Type::Error) => {
                self.answered(stanza);
                Ok(())
            }
            // To somebody in a room: the service knows who is.
            (_, Some(receive)) => {
                let mut turn = Turn::new(self, account, stanza, Side::In, at, None);
                receive(&mut turn)?;
                passage.inward = Some(turn.into_changes());
                Ok(())
            }
            (_, None) => Err(absent(stanza)),
        }
    }

    /// What an owner tells an account beside a stanza.
    pub(crate) fn notice(
        self: &Arc<Self>,
        account: &Account,
        notice: &Notice,
        stanza: &Arc<Stanza>,
        passage: &mut Passage,
    ) -> Result<(), Refusal> {
        self.guard(Side::In, account, stanza)?;
        if account.exists {
            let mut turn = Turn::new(self, account, stanza, Side::In, At::Account, None);
            let known = self.hooks.notices.iter().any(|hook| hook(&mut turn, notice));
            debug_assert!(known, "a notice that nobody understands");
            passage.inward = Some(turn.into_changes());
        }
        Ok(())
    }
}
