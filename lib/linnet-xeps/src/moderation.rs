//! Taking messages back in rooms: by their author (XEP-0424), by a moderator (XEP-0425, and the form of its version 0.2
//! that clients in the field know), and the tombstone that stays in the archive.

use crate::{Payload, bad_request, child_text, datetime, ns, required};
use linnet_xmpp::{
    Jid, StanzaError,
    xml::{Node, Writer},
};
use std::time::SystemTime;

/// What a moderator asks a room for (XEP-0425 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moderate {
    /// The id that the room's archive gave the message.
    pub id: String,
    /// Why, for people.
    pub reason: Option<String>,
}

/// That a moderator has taken a message back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moderated {
    /// The moderator's address in the room.
    pub by: Jid,
    /// His id there (XEP-0421).
    pub occupant_id: String,
    /// Why.
    pub reason: Option<String>,
}

/// What is told of a message that was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retract {
    /// The id that the archive gave the message.
    pub id: String,
    /// Who did it, if it was not its author.
    pub moderated: Option<Moderated>,
}

/// What stays of it in the archive (XEP-0424 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retracted {
    /// The id of the message that took it back.
    pub id: Option<String>,
    /// When that was.
    pub stamp: SystemTime,
    /// Who did it, if it was not its author.
    pub moderated: Option<Moderated>,
}

impl Payload for Moderate {
    /// Both forms: `<moderate/>`, and `<apply-to/>` with `<moderate/>` in it. bad-request where it says no id, or not that
    /// the message is to be taken back.
    fn read(node: Node<'_>) -> Result<Moderate, StanzaError> {
        let (id, moderate, retract) = match (node.name(), node.ns()) {
            ("moderate", ns::MODERATE) => (required(node, "id")?, Some(node), ns::RETRACT),
            ("apply-to", ns::FASTEN) => (required(node, "id")?, node.child("moderate", ns::MODERATE_0), ns::RETRACT_0),
            _ => return Err(bad_request("not the element that was expected")),
        };
        let moderate = moderate.filter(|moderate| moderate.child("retract", retract).is_some());
        let moderate = moderate.ok_or_else(|| bad_request("messages can be taken back, and nothing else"))?;
        let reason = child_text(moderate, "reason", moderate.ns()).filter(|reason| !reason.is_empty());
        Ok(Moderate { id, reason })
    }

    fn write(&self, out: &mut Writer) {
        out.open("moderate", ns::MODERATE).attr("id", &self.id);
        out.open("retract", ns::RETRACT).close();
        if let Some(reason) = &self.reason {
            out.leaf("reason", ns::MODERATE, reason);
        }
        out.close();
    }
}

impl Moderated {
    fn read_in(node: Node<'_>) -> Result<Option<Moderated>, StanzaError> {
        let Some(moderated) = node.child("moderated", ns::MODERATE) else { return Ok(None) };
        let id = moderated.child("occupant-id", ns::OCCUPANT_ID).and_then(|id| crate::attr(id, "id"));
        Ok(Some(Moderated {
            by: crate::jid_attr(moderated, "by")?.ok_or_else(|| bad_request("the attribute by is missing"))?,
            occupant_id: id.unwrap_or_default(),
            reason: child_text(node, "reason", ns::RETRACT),
        }))
    }

    fn write_in(&self, out: &mut Writer) {
        out.open("moderated", ns::MODERATE).attr("by", self.by.as_str());
        out.open("occupant-id", ns::OCCUPANT_ID).attr("id", &self.occupant_id).close().close();
        if let Some(reason) = &self.reason {
            out.leaf("reason", ns::RETRACT, reason);
        }
    }

    /// What clients understand that know version 0.2 alone. `id`: of the message that is taken back.
    pub fn write_old(&self, id: &str, out: &mut Writer) {
        out.open("apply-to", ns::FASTEN).attr("id", id);
        out.open("moderated", ns::MODERATE_0).attr("by", self.by.as_str());
        out.open("retract", ns::RETRACT_0).close();
        if let Some(reason) = &self.reason {
            out.leaf("reason", ns::MODERATE_0, reason);
        }
        out.close().close();
    }
}

impl Payload for Retract {
    fn read(node: Node<'_>) -> Result<Retract, StanzaError> {
        crate::expect(node, "retract", ns::RETRACT)?;
        Ok(Retract { id: required(node, "id")?, moderated: Moderated::read_in(node)? })
    }

    fn write(&self, out: &mut Writer) {
        out.open("retract", ns::RETRACT).attr("id", &self.id);
        self.moderated.iter().for_each(|moderated| moderated.write_in(out));
        out.close();
    }
}

impl Payload for Retracted {
    fn read(node: Node<'_>) -> Result<Retracted, StanzaError> {
        crate::expect(node, "retracted", ns::RETRACT)?;
        let stamp = datetime::parse(&required(node, "stamp")?).ok_or_else(|| bad_request("the stamp is no time"))?;
        Ok(Retracted { id: crate::attr(node, "id"), stamp, moderated: Moderated::read_in(node)? })
    }

    fn write(&self, out: &mut Writer) {
        out.open("retracted", ns::RETRACT).attr_opt("id", self.id.as_deref());
        out.attr("stamp", &datetime::format_ms(self.stamp));
        self.moderated.iter().for_each(|moderated| moderated.write_in(out));
        out.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{parse, read, refused, written};
    use linnet_xmpp::stanza::Condition;

    fn moderated() -> Moderated {
        let by = Jid::parse("room@muc.example.com/macbeth").unwrap();
        Moderated { by, occupant_id: "dd72".into(), reason: Some("Inappropriate".into()) }
    }

    /// XEP-0425 example 4; XEP-0425 0.2 §3.
    #[test]
    fn requests_in_both_forms() {
        let new = "<moderate xmlns='urn:xmpp:message-moderate:1' id='1'><retract xmlns='urn:xmpp:message-retract:1'/>\
                   <reason>Why</reason></moderate>";
        let old = "<apply-to xmlns='urn:xmpp:fasten:0' id='1'><moderate xmlns='urn:xmpp:message-moderate:0'>\
                   <retract xmlns='urn:xmpp:message-retract:0'/><reason>Why</reason></moderate></apply-to>";
        let moderate = read::<Moderate>(new).unwrap();
        assert_eq!(read::<Moderate>(old).unwrap(), moderate);
        assert_eq!(written(&moderate), new);
        for bad in [
            "<moderate xmlns='urn:xmpp:message-moderate:1' id='1'/>",
            "<moderate xmlns='urn:xmpp:message-moderate:1'><retract xmlns='urn:xmpp:message-retract:1'/></moderate>",
            "<apply-to xmlns='urn:xmpp:fasten:0' id='1'/>",
        ] {
            assert_eq!(refused::<Moderate>(bad), Some(Condition::BadRequest), "{bad}");
        }
    }

    /// XEP-0424 examples 4 and 7; XEP-0425 examples 5 and 8.
    #[test]
    fn what_is_told_and_what_stays() {
        written(&Retract { id: "1".into(), moderated: None });
        written(&Retract { id: "1".into(), moderated: Some(moderated()) });
        let stamp = datetime::parse("2019-09-20T23:09:32Z").unwrap();
        written(&Retracted { id: Some("2".into()), stamp, moderated: Some(moderated()) });
        let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
        moderated().write_old("1", &mut out);
        let old = String::from_utf8(out.finish().to_vec()).unwrap();
        let moderated = parse(&old).root().child("moderated", ns::MODERATE_0).map(|node| node.attr("by").is_some());
        assert_eq!(moderated, Some(true));
    }
}
