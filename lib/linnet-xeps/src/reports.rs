//! Reports with a block (XEP-0377): what the user says of whom he blocks.

use crate::{Payload, attr, expect, ns, parse_jid, required, stanza_id::StanzaId};
use linnet_xmpp::{
    Jid, StanzaError,
    xml::{Node, Writer},
};

/// The reason of unwanted messages (§4).
pub const SPAM: &str = "urn:xmpp:reporting:spam";
/// The reason of abuse of any kind (§4).
pub const ABUSE: &str = "urn:xmpp:reporting:abuse";

/// `<report/>` (§4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Why: [`SPAM`], [`ABUSE`], or another URN.
    pub reason: String,
    /// In words, with their languages.
    pub texts: Vec<(Option<String>, String)>,
    /// Messages that are reported (§6).
    pub messages: Vec<StanzaId>,
    /// It may be sent on to where the messages came from (§5).
    pub report_origin: bool,
    /// It may be sent on to others who work against abuse (§5).
    pub third_party: bool,
}

impl Payload for Report {
    /// bad-request without a reason, which §4 demands.
    fn read(node: Node<'_>) -> Result<Report, StanzaError> {
        expect(node, "report", ns::REPORTING)?;
        let mut report = Report { reason: required(node, "reason")?, ..Report::default() };
        for child in node.children() {
            match (child.ns(), child.name()) {
                (ns::REPORTING, "text") => {
                    let lang = child.lang().map(|lang| lang.into_owned());
                    report.texts.push((lang, child.text().trim().to_owned()));
                }
                (ns::REPORTING, "report-origin") => report.report_origin = true,
                (ns::REPORTING, "third-party") => report.third_party = true,
                // One that cannot be read names nothing.
                (ns::STANZA_ID, "stanza-id") => report.messages.extend(StanzaId::read(child)),
                _ => {}
            }
        }
        Ok(report)
    }

    fn write(&self, out: &mut Writer) {
        out.open("report", ns::REPORTING).attr("reason", &self.reason);
        for id in &self.messages {
            id.write(out);
        }
        for (lang, text) in &self.texts {
            out.open("text", ns::REPORTING).attr_opt("xml:lang", lang.as_deref()).text(text).close();
        }
        for (name, is_there) in [("report-origin", self.report_origin), ("third-party", self.third_party)] {
            if is_there {
                out.open(name, ns::REPORTING).close();
            }
        }
        out.close();
    }
}

/// The reports in a `<block/>`, each with the address that it is about. What cannot be read is passed over: a block is
/// done as if there were no report (§6).
pub fn of_block(block: Node<'_>) -> Vec<(Jid, Report)> {
    let items = block.children().filter(|child| child.is("item", ns::BLOCKING));
    let read = |item: Node<'_>| {
        let jid = parse_jid(&attr(item, "jid")?).ok()?;
        Some((jid, Report::read(item.child("report", ns::REPORTING)?).ok()?))
    };
    items.filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{parse, read, refused, written};

    /// XEP-0377 examples 2 to 4 and 6.
    #[test]
    fn a_report_is_read_and_written() {
        let full = "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'>\
            <stanza-id xmlns='urn:xmpp:sid:0' id='28482-98726-73623' by='romeo@example.net'/>\
            <text xml:lang='en'>Never came trouble to my house like this.</text><report-origin/><third-party/></report>";
        let report = read::<Report>(full).unwrap();
        assert_eq!((report.reason.as_str(), report.messages.len()), (SPAM, 1));
        assert_eq!(written(&report), full);
        let plain = "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:abuse'/>";
        assert_eq!(written(&read::<Report>(plain).unwrap()), plain);
        assert!(refused::<Report>("<report xmlns='urn:xmpp:reporting:1'/>").is_some());
    }

    #[test]
    fn reports_of_a_block() {
        let block = parse(
            "<block xmlns='urn:xmpp:blocking'><item jid='a@b'/><item jid='c@d'><report xmlns='urn:xmpp:reporting:1'/></item>\
             <item jid='romeo@example.net'><report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:abuse'/></item>\
             </block>",
        );
        let reports = of_block(block.root());
        assert_eq!(reports.len(), 1);
        assert_eq!((reports[0].0.as_str(), reports[0].1.reason.as_str()), ("romeo@example.net", ABUSE));
    }
}
