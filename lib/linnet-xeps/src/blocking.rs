//! Blocking (XEP-0191): the list, and the commands that change it.

use crate::{Payload, bad_request, expect, ns, parse_jid};
use linnet_xmpp::{
    Jid, StanzaError,
    stanza::{Class, Condition},
    xml::{Node, Writer},
};

/// `<blocklist/>`: the question has no items (XEP-0191 §3.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockList {
    /// Who is blocked.
    pub jids: Vec<Jid>,
}

/// `<block/>`: a command or a push (XEP-0191 §3.3). At least one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Whom to block.
    pub jids: Vec<Jid>,
}

/// `<unblock/>`: a command or a push (XEP-0191 §3.4). No address means everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unblock {
    /// Whom to unblock.
    pub jids: Vec<Jid>,
}

/// The error for who tries to send to somebody that he has blocked himself (XEP-0191 §3.3, example 9, which gives it
/// another class than RFC 6120 §8.3.3.9 does).
pub fn blocked_error() -> StanzaError {
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("blocked", ns::BLOCKING_ERRORS).close();
    StanzaError::new(Condition::NotAcceptable).class(Class::Cancel).extra(out.finish())
}

impl Payload for BlockList {
    fn read(node: Node<'_>) -> Result<BlockList, StanzaError> {
        Ok(BlockList { jids: read_jids(node, "blocklist")? })
    }

    fn write(&self, out: &mut Writer) {
        write_jids("blocklist", &self.jids, out);
    }
}

impl Payload for Block {
    /// bad-request where no address is given (XEP-0191 §3.3).
    fn read(node: Node<'_>) -> Result<Block, StanzaError> {
        let jids = read_jids(node, "block")?;
        if jids.is_empty() { Err(bad_request("nobody to block")) } else { Ok(Block { jids }) }
    }

    fn write(&self, out: &mut Writer) {
        write_jids("block", &self.jids, out);
    }
}

impl Payload for Unblock {
    fn read(node: Node<'_>) -> Result<Unblock, StanzaError> {
        Ok(Unblock { jids: read_jids(node, "unblock")? })
    }

    fn write(&self, out: &mut Writer) {
        write_jids("unblock", &self.jids, out);
    }
}

/// The addresses in order, each once.
fn read_jids(node: Node<'_>, name: &str) -> Result<Vec<Jid>, StanzaError> {
    expect(node, name, ns::BLOCKING)?;
    let mut jids = Vec::new();
    for item in node.children().filter(|child| child.is("item", ns::BLOCKING)) {
        let jid = parse_jid(&item.attr("jid").ok_or_else(|| bad_request("an item without address"))?)?;
        if !jids.contains(&jid) {
            jids.push(jid);
        }
    }
    Ok(jids)
}

fn write_jids(name: &str, jids: &[Jid], out: &mut Writer) {
    out.open(name, ns::BLOCKING);
    for jid in jids {
        out.open("item", ns::BLOCKING).attr("jid", jid.as_str()).close();
    }
    out.close();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, refused, written};

    /// XEP-0191 examples 3 to 12.
    #[test]
    fn lists_and_commands() {
        let list = read::<BlockList>(
            "<blocklist xmlns='urn:xmpp:blocking'><item jid='romeo@montague.net'/><item jid='iago@shakespeare.lit'/>
             </blocklist>",
        )
        .unwrap();
        assert_eq!(list.jids.len(), 2);
        written(&list);
        assert_eq!(written(&BlockList::default()), "<blocklist xmlns='urn:xmpp:blocking'/>");
        assert_eq!(written(&Unblock::default()), "<unblock xmlns='urn:xmpp:blocking'/>");
        let block = "<block xmlns='urn:xmpp:blocking'><item jid='romeo@montague.net'/></block>";
        assert_eq!(written(&read::<Block>(block).unwrap()), block);
    }

    #[test]
    fn bad_commands_are_refused() {
        assert_eq!(refused::<Block>("<block xmlns='urn:xmpp:blocking'/>"), Some(Condition::BadRequest));
        let no_jid = "<block xmlns='urn:xmpp:blocking'><item/></block>";
        assert_eq!(refused::<Block>(no_jid), Some(Condition::BadRequest));
        let bad = "<unblock xmlns='urn:xmpp:blocking'><item jid='a@'/></unblock>";
        assert_eq!(refused::<Unblock>(bad), Some(Condition::JidMalformed));
        assert_eq!(refused::<Unblock>("<block xmlns='urn:xmpp:blocking'/>"), Some(Condition::BadRequest));
    }

    #[test]
    fn the_error_names_its_reason() {
        assert_eq!(blocked_error().extra.as_deref(), Some(&b"<blocked xmlns='urn:xmpp:blocking:errors'/>"[..]));
    }
}
