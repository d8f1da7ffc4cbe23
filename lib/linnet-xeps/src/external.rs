//! External services (XEP-0215): what others run for us, such as relays for calls.

use crate::{Payload, bad_request, datetime, expect, ns, required};
use linnet_xmpp::{
    StanzaError,
    xml::{Node, Writer},
};
use std::time::SystemTime;

/// A service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// What it is, e.g. `turn`.
    pub kind: String,
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: Option<u16>,
    /// `udp` or `tcp`.
    pub transport: Option<String>,
    /// Name and password.
    pub credentials: Option<(String, String)>,
    /// Until when they are good.
    pub expires: Option<SystemTime>,
    /// Whether there is no use of it without credentials.
    pub restricted: bool,
}

/// `<services/>`: the question is empty but for the kind, the answer has all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services {
    /// Only services of this kind.
    pub kind: Option<String>,
    /// In the answer.
    pub services: Vec<Service>,
}

/// `<credentials/>`: for which service, and the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// One in the question.
    pub services: Vec<Service>,
}

impl Service {
    fn read(node: Node<'_>) -> Result<Service, StanzaError> {
        let text = |name| node.attr(name).map(|value| value.into_owned());
        let port = node.attr("port").map(|port| port.parse().map_err(|_| bad_request("not a port"))).transpose()?;
        let expires = node.attr("expires").map(|time| datetime::parse(&time).ok_or_else(|| bad_request("not a time")));
        Ok(Service {
            kind: required(node, "type")?,
            host: required(node, "host")?,
            port,
            transport: text("transport"),
            credentials: text("username").zip(text("password")),
            expires: expires.transpose()?,
            restricted: node.attr("restricted").is_some_and(|value| value == "true" || value == "1"),
        })
    }

    fn write(&self, out: &mut Writer) {
        let (name, password) = self.credentials.as_ref().map(|(name, password)| (&**name, &**password)).unzip();
        out.open("service", ns::EXTERNAL_SERVICES)
            .attr("type", &self.kind)
            .attr("host", &self.host)
            .attr_opt("port", self.port.map(|port| port.to_string()).as_deref())
            .attr_opt("transport", self.transport.as_deref())
            .attr_opt("username", name)
            .attr_opt("password", password)
            .attr_opt("expires", self.expires.map(datetime::format).as_deref())
            .attr_opt("restricted", self.restricted.then_some("true"))
            .close();
    }

    fn read_all(node: Node<'_>) -> Result<Vec<Service>, StanzaError> {
        node.children().filter(|child| child.is("service", ns::EXTERNAL_SERVICES)).map(Service::read).collect()
    }
}

impl Payload for Services {
    fn read(node: Node<'_>) -> Result<Services, StanzaError> {
        expect(node, "services", ns::EXTERNAL_SERVICES)?;
        Ok(Services { kind: node.attr("type").map(|kind| kind.into_owned()), services: Service::read_all(node)? })
    }

    fn write(&self, out: &mut Writer) {
        out.open("services", ns::EXTERNAL_SERVICES).attr_opt("type", self.kind.as_deref());
        self.services.iter().for_each(|service| service.write(out));
        out.close();
    }
}

impl Payload for Credentials {
    fn read(node: Node<'_>) -> Result<Credentials, StanzaError> {
        expect(node, "credentials", ns::EXTERNAL_SERVICES)?;
        match Service::read_all(node)? {
            services if services.is_empty() => Err(bad_request("credentials for which service?")),
            services => Ok(Credentials { services }),
        }
    }

    fn write(&self, out: &mut Writer) {
        out.open("credentials", ns::EXTERNAL_SERVICES);
        self.services.iter().for_each(|service| service.write(out));
        out.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, written};

    /// XEP-0215 examples 2, 3 and 6.
    #[test]
    fn questions_and_answers() {
        let services = "<services xmlns='urn:xmpp:extdisco:2' type='turn'><service type='turn' host='192.0.2.1' port='8889' \
                        transport='udp' username='u' password='p' expires='2026-01-01T00:00:00Z' restricted='true'/></services>";
        assert_eq!(written(&read::<Services>(services).unwrap()), services);
        let question =
            "<credentials xmlns='urn:xmpp:extdisco:2'><service type='turn' host='turn.example'/></credentials>";
        assert_eq!(written(&read::<Credentials>(question).unwrap()), question);
        assert!(read::<Credentials>("<credentials xmlns='urn:xmpp:extdisco:2'/>").is_err());
        assert!(
            read::<Credentials>("<credentials xmlns='urn:xmpp:extdisco:2'><service host='a'/></credentials>").is_err()
        );
    }
}
