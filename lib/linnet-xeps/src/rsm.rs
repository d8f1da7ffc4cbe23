//! Result set management (XEP-0059): which page of a long answer is wanted, and which one came.

use crate::{Payload, bad_request, child_text, expect, ns};
use linnet_xmpp::{
    StanzaError,
    xml::{Node, Writer},
};

/// `<set/>` of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// At most so many items (§2.1).
    pub max: Option<u64>,
    /// Those behind this one (§2.2).
    pub after: Option<String>,
    /// The last ones before this one (§2.3); empty: the last of all (§2.5).
    pub before: Option<String>,
    /// Those from this position on (§2.6).
    pub index: Option<u64>,
}

/// `<set/>` of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The ids of the first and of the last item; none on an empty page.
    pub ends: Option<(String, String)>,
    /// How many items there are on all pages.
    pub count: Option<u64>,
}

impl Payload for Wanted {
    /// bad-request where a number is none.
    fn read(node: Node<'_>) -> Result<Wanted, StanzaError> {
        expect(node, "set", ns::RSM)?;
        Ok(Wanted {
            max: number(node, "max")?,
            after: child_text(node, "after", ns::RSM).filter(|id| !id.is_empty()),
            before: child_text(node, "before", ns::RSM),
            index: number(node, "index")?,
        })
    }

    fn write(&self, out: &mut Writer) {
        out.open("set", ns::RSM);
        for (name, number) in [("max", self.max), ("index", self.index)] {
            if let Some(number) = number {
                out.leaf(name, ns::RSM, &number.to_string());
            }
        }
        for (name, id) in [("after", &self.after), ("before", &self.before)] {
            if let Some(id) = id {
                out.open(name, ns::RSM).text(id).close();
            }
        }
        out.close();
    }
}

impl Payload for Page {
    fn read(node: Node<'_>) -> Result<Page, StanzaError> {
        expect(node, "set", ns::RSM)?;
        let ends = child_text(node, "first", ns::RSM).zip(child_text(node, "last", ns::RSM));
        Ok(Page { ends, count: number(node, "count")? })
    }

    fn write(&self, out: &mut Writer) {
        out.open("set", ns::RSM);
        if let Some((first, last)) = &self.ends {
            out.leaf("first", ns::RSM, first).leaf("last", ns::RSM, last);
        }
        if let Some(count) = self.count {
            out.leaf("count", ns::RSM, &count.to_string());
        }
        out.close();
    }
}

fn number(node: Node<'_>, name: &str) -> Result<Option<u64>, StanzaError> {
    let Some(text) = child_text(node, name, ns::RSM) else { return Ok(None) };
    text.trim().parse().map(Some).map_err(|_| bad_request(&format!("{name} must be a number")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, refused, written};

    /// XEP-0059 examples 1, 5, 8, 11 and 12.
    #[test]
    fn requests() {
        let set = |content: &str| format!("<set xmlns='http://jabber.org/protocol/rsm'>{content}</set>");
        for content in [
            "<max>10</max>",
            "<max>10</max><after>peterpan@neverland.lit</after>",
            "<max>10</max><before>peter@pixyland.org</before>",
            "<max>10</max><before/>",
            "<max>10</max><index>371</index>",
        ] {
            let xml = set(content);
            assert_eq!(written(&read::<Wanted>(&xml).unwrap()), xml);
        }
        assert_eq!(read::<Wanted>(&set("<after/>")).unwrap(), Wanted::default());
        for bad in ["<max>ten</max>", "<max>-1</max>", "<index/>"] {
            assert!(refused::<Wanted>(&set(bad)).is_some(), "{bad}");
        }
    }

    #[test]
    fn answers() {
        written(&Page::default());
        written(&Page { ends: Some(("a".into(), "b".into())), count: Some(800) });
    }
}
