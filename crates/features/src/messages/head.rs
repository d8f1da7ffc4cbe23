//! What the server adds behind the content of a message from the log: its id in the archive (XEP-0359 §3) and, where it
//! comes late, when it was received (XEP-0203, XEP-0160 §3).

use super::ARCHIVED;
use kernel::{
    Kernel,
    mailbox::{HeadKind, Item},
};
use linnet_xeps::{datetime, ns};
use linnet_xmpp::{Jid, xml::escape_attr};

pub(super) fn write(kernel: &Kernel, head: HeadKind, item: &Item, receiver: &Jid, out: &mut Vec<u8>) {
    if let HeadKind::Late(_, came) = head {
        attributes(out, "delay", ns::DELAY, &[("from", receiver.domain()), ("stamp", &datetime::format(came))]);
    }
    // Only what can be found in the archive by its id has one (XEP-0313 §3).
    if let HeadKind::Row(flags) | HeadKind::Late(flags, _) = head
        && flags & ARCHIVED != 0
    {
        write_stanza_id(kernel, item.row, receiver, out);
    }
}

/// The id of a row in the log of an account.
pub(crate) fn write_stanza_id(kernel: &Kernel, row: u64, account: &Jid, out: &mut Vec<u8>) {
    let id = super::shown_id(kernel, row);
    attributes(out, "stanza-id", ns::STANZA_ID, &[("by", account.bare_str()), ("id", &id)]);
}

fn attributes(out: &mut Vec<u8>, name: &str, namespace: &str, attributes: &[(&str, &str)]) {
    for part in ["<", name, " xmlns='", namespace, "'"] {
        out.extend_from_slice(part.as_bytes());
    }
    for (name, value) in attributes {
        for part in [" ", name, "='"] {
            out.extend_from_slice(part.as_bytes());
        }
        escape_attr(value, out);
        out.push(b'\'');
    }
    out.extend_from_slice(b"/>");
}
