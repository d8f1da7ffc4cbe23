//! Who has access to an account (XEP-0494): a list of clients, and the withdrawal of one's access.

use crate::{Payload, attr, bad_request, child_text, datetime, expect, ns, required};
use linnet_xmpp::{
    StanzaError,
    xml::{Node, Writer},
};
use std::time::SystemTime;

/// `<clients/>` (§3.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clients(pub Vec<Client>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Stands for the client, and says nothing of it.
    pub id: String,
    /// Whether it has a session now.
    pub connected: bool,
    /// Whether it has ever had a session; else it was only given access.
    pub is_session: bool,
    /// When it was given access.
    pub first_seen: SystemTime,
    /// When it used that last.
    pub last_seen: SystemTime,
    /// How it has shown that it may.
    pub auth: Auth,
    /// What it says of itself.
    pub agent: UserAgent,
}

/// How a client has got access.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Auth {
    /// By the password.
    pub password: bool,
    /// By something that the owner has granted.
    pub grant: bool,
    /// It has tokens (XEP-0484).
    pub fast: bool,
}

/// What a client says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the specification")]
pub struct UserAgent {
    pub software: Option<String>,
    pub uri: Option<String>,
    pub device: Option<String>,
}

/// `<list/>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List;

/// `<revoke/>` (§3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoke {
    /// Of which client.
    pub id: String,
}

/// What a refusal says in addition where only a new password helps (§3.2).
pub fn password_reset_required() -> bytes::Bytes {
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("password-reset-required", ns::CLIENT_ACCESS).close();
    out.finish()
}

impl Payload for List {
    fn read(node: Node<'_>) -> Result<List, StanzaError> {
        expect(node, "list", ns::CLIENT_ACCESS).map(|()| List)
    }

    fn write(&self, out: &mut Writer) {
        out.open("list", ns::CLIENT_ACCESS).close();
    }
}

impl Payload for Revoke {
    fn read(node: Node<'_>) -> Result<Revoke, StanzaError> {
        expect(node, "revoke", ns::CLIENT_ACCESS)?;
        Ok(Revoke { id: required(node, "id")? })
    }

    fn write(&self, out: &mut Writer) {
        out.open("revoke", ns::CLIENT_ACCESS).attr("id", &self.id).close();
    }
}

impl Payload for Clients {
    fn read(node: Node<'_>) -> Result<Clients, StanzaError> {
        expect(node, "clients", ns::CLIENT_ACCESS)?;
        node.children()
            .filter(|child| child.is("client", ns::CLIENT_ACCESS))
            .map(Client::read)
            .collect::<Result<_, _>>()
            .map(Clients)
    }

    fn write(&self, out: &mut Writer) {
        out.open("clients", ns::CLIENT_ACCESS);
        self.0.iter().for_each(|client| client.write(out));
        out.close();
    }
}

impl Client {
    fn read(node: Node<'_>) -> Result<Client, StanzaError> {
        let time = |name| {
            let text = child_text(node, name, ns::CLIENT_ACCESS).unwrap_or_default();
            datetime::parse(&text).ok_or_else(|| bad_request("a time is missing or none"))
        };
        let auth = node.child("auth", ns::CLIENT_ACCESS);
        let has = |name| auth.is_some_and(|auth| auth.child(name, ns::CLIENT_ACCESS).is_some());
        let agent = node.child("user-agent", ns::CLIENT_ACCESS);
        let said = |name| agent.and_then(|agent| child_text(agent, name, ns::CLIENT_ACCESS));
        Ok(Client {
            id: required(node, "id")?,
            connected: attr(node, "connected").is_some_and(|value| value == "true" || value == "1"),
            is_session: attr(node, "type").is_some_and(|ty| ty == "session"),
            first_seen: time("first-seen")?,
            last_seen: time("last-seen")?,
            auth: Auth { password: has("password"), grant: has("grant"), fast: has("fast") },
            agent: UserAgent { software: said("software"), uri: said("uri"), device: said("device") },
        })
    }

    fn write(&self, out: &mut Writer) {
        const NS: &str = ns::CLIENT_ACCESS;
        out.open("client", NS).attr("connected", if self.connected { "true" } else { "false" }).attr("id", &self.id);
        out.attr("type", if self.is_session { "session" } else { "access" });
        out.leaf("first-seen", NS, &datetime::format(self.first_seen));
        out.leaf("last-seen", NS, &datetime::format(self.last_seen));
        out.open("auth", NS);
        let ways = [("password", self.auth.password), ("grant", self.auth.grant), ("fast", self.auth.fast)];
        for (name, _) in ways.iter().filter(|(_, has)| *has) {
            out.open(name, NS).close();
        }
        out.close();
        // Whoever is logged in may do everything with the account.
        out.open("permission", NS).attr("status", "unrestricted").close();
        let agent = &self.agent;
        let said = [("software", &agent.software), ("uri", &agent.uri), ("device", &agent.device)];
        if said.iter().any(|(_, text)| text.is_some()) {
            out.open("user-agent", NS);
            for (name, text) in said {
                if let Some(text) = text {
                    out.leaf(name, NS, text);
                }
            }
            out.close();
        }
        out.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, refused, written};
    use linnet_xmpp::stanza::Condition;

    #[test]
    fn the_example_of_xep0494_3_1() {
        let clients: Clients = read(
            "<clients xmlns='urn:xmpp:cam:0'><client connected='true' id='zeiP41HLglIu' type='session'>\
             <first-seen>2023-04-06T14:26:08Z</first-seen><last-seen>2023-04-06T14:37:25Z</last-seen>\
             <auth><password/></auth><permission status='unrestricted'/><user-agent><software>Gajim</software>\
             <uri>https://gajim.org/</uri><device>Juliet's laptop</device></user-agent></client>\
             <client connected='false' id='HjEEr45_LQr' type='access'><first-seen>2023-03-27T15:16:09Z</first-seen>\
             <last-seen>2023-03-27T15:37:24Z</last-seen><auth><grant/></auth><permission status='normal'/>\
             <user-agent><software>REST client</software></user-agent></client></clients>",
        )
        .unwrap();
        let [gajim, rest] = &clients.0[..] else { panic!("{clients:?}") };
        assert!(gajim.connected && gajim.is_session && gajim.auth.password && !gajim.auth.fast);
        assert!(!rest.connected && !rest.is_session && rest.auth.grant);
        assert_eq!(gajim.agent.device.as_deref(), Some("Juliet's laptop"));
        written(&clients);
    }

    #[test]
    fn whose_access_is_to_be_revoked_has_to_be_said_xep0494_3_2() {
        assert_eq!(refused::<Revoke>("<revoke xmlns='urn:xmpp:cam:0'/>"), Some(Condition::BadRequest));
        assert_eq!(written(&Revoke { id: "a".into() }), "<revoke xmlns='urn:xmpp:cam:0' id='a'/>");
        assert_eq!(written(&List), "<list xmlns='urn:xmpp:cam:0'/>");
    }
}
