//! Message archive management (XEP-0313): queries, what ends an answer, metadata; and preferences (XEP-0441).

use crate::{
    Payload, attr, bad_request, datetime, expect,
    forms::{FieldType, Form, FormType},
    ns, parse_jid,
    rsm::{Page, Wanted},
};
use linnet_xmpp::{
    Jid, StanzaError,
    stanza::Condition,
    xml::{Node, Writer},
};
use std::time::SystemTime;

/// `<query/>`: of what kind (iq set) is decided by whoever reads it (§4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Comes back with each result.
    pub queryid: Option<String>,
    /// A node of a pubsub service (§6.1.3).
    pub node: Option<String>,
    /// Which messages.
    pub filter: Filter,
    /// Which page of them.
    pub page: Wanted,
    /// The newest of the page first (§4.3.4).
    pub flip: bool,
}

/// Which messages are wanted (§4.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// To or from this address.
    pub with: Option<Jid>,
    /// Not before this.
    pub start: Option<SystemTime>,
    /// Not after this.
    pub end: Option<SystemTime>,
    /// Before the message with this id.
    pub before_id: Option<String>,
    /// After the message with this id.
    pub after_id: Option<String>,
    /// These.
    pub ids: Option<Vec<String>>,
    /// Whether messages of rooms are wanted; unsaid: as the server likes.
    pub groupchat: Option<bool>,
    /// With these words (XEP-0431); never empty.
    pub text: Option<String>,
}

/// `<fin/>`, which ends an answer (§4.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fin {
    /// There is nothing beyond the page in its direction.
    pub complete: bool,
    /// The page.
    pub page: Page,
}

/// `<metadata/>` (§5): ids and times of the first and of the last message, where there are any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The two.
    pub ends: Option<[(String, SystemTime); 2]>,
}

/// Which messages are archived by default (XEP-0441 §2.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names of the specification")]
pub enum Policy {
    #[default]
    Always,
    Never,
    Roster,
}

/// `<prefs/>` (XEP-0441 §2.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preferences {
    /// For addresses on neither list.
    pub default: Policy,
    /// To and from whom messages are archived.
    pub always: Vec<Jid>,
    /// To and from whom they are not.
    pub never: Vec<Jid>,
}

/// The fields of a query (§4.1), with their types.
const FIELDS: [(&str, FieldType); 8] = [
    ("with", FieldType::JidSingle),
    ("start", FieldType::TextSingle),
    ("end", FieldType::TextSingle),
    ("before-id", FieldType::TextSingle),
    ("after-id", FieldType::TextSingle),
    ("ids", FieldType::ListMulti),
    ("include-groupchat", FieldType::Boolean),
    (TEXT, FieldType::TextSingle),
];

/// The field of a search (XEP-0431 §3.1), in Clark notation with [`ns::FULLTEXT`].
const TEXT: &str = "{urn:xmpp:fulltext:0}fulltext";

/// The form with all fields, as the content of `<query/>` in the answer to a get (§4.1.5).
pub fn write_fields(out: &mut Writer) {
    out.open("query", ns::MAM).open("x", ns::DATA_FORMS).attr("type", FormType::Form.name());
    out.open("field", ns::DATA_FORMS).attr("var", "FORM_TYPE").attr("type", FieldType::Hidden.name());
    out.leaf("value", ns::DATA_FORMS, ns::MAM).close();
    for (var, kind) in FIELDS {
        out.open("field", ns::DATA_FORMS).attr("var", var).attr("type", kind.name());
        if kind == FieldType::ListMulti {
            // Open to any value, since the list of all ids cannot be told.
            out.open("validate", ns::DATA_VALIDATE).attr("datatype", "xs:string");
            out.open("open", ns::DATA_VALIDATE).close().close();
        }
        out.close();
    }
    out.close().close();
}

impl Filter {
    /// Of a form that was submitted. bad-request for another form or an impossible date, jid-malformed for an impossible
    /// address, feature-not-implemented for a field that is not known (§4.1.5).
    fn read(form: &Form) -> Result<Filter, StanzaError> {
        if form.ty != FormType::Submit || form.form_type() != Some(ns::MAM) {
            return Err(bad_request("not a form of an archive's query"));
        }
        let is_known = |var: &str| var == "FORM_TYPE" || FIELDS.iter().any(|(known, _)| *known == var);
        if let Some(var) = form.fields.iter().filter_map(|field| field.var.as_deref()).find(|var| !is_known(var)) {
            let text = format!("the field {var} is not supported");
            return Err(StanzaError::new(Condition::FeatureNotImplemented).text(text));
        }
        let time = |var: &str| match form.value(var) {
            None => Ok(None),
            Some(text) => datetime::parse(text)
                .map(Some)
                .ok_or_else(|| bad_request(&format!("{var} must be a date and time of XEP-0082"))),
        };
        Ok(Filter {
            with: form.jid("with")?,
            start: time("start")?,
            end: time("end")?,
            before_id: form.value("before-id").map(str::to_owned),
            after_id: form.value("after-id").map(str::to_owned),
            ids: form.find("ids").map(|field| field.values.clone()).filter(|ids| !ids.is_empty()),
            groupchat: form.boolean("include-groupchat")?,
            text: form.value(TEXT).filter(|text| !text.is_empty()).map(str::to_owned),
        })
    }

    fn write(&self, out: &mut Writer) {
        if *self == Filter::default() {
            return;
        }
        let mut form = Form::of(FormType::Submit, ns::MAM);
        let mut add = |var: &str, value: String| {
            form.fields.push(crate::forms::Field::untyped(var, value));
        };
        self.with.iter().for_each(|with| add("with", with.as_str().to_owned()));
        self.start.iter().for_each(|time| add("start", datetime::format_ms(*time)));
        self.end.iter().for_each(|time| add("end", datetime::format_ms(*time)));
        self.before_id.iter().for_each(|id| add("before-id", id.clone()));
        self.after_id.iter().for_each(|id| add("after-id", id.clone()));
        self.groupchat.iter().for_each(|wanted| add("include-groupchat", wanted.to_string()));
        self.text.iter().for_each(|text| add(TEXT, text.clone()));
        if let Some(ids) = &self.ids {
            let mut field = crate::forms::Field { var: Some("ids".into()), ..crate::forms::Field::default() };
            field.values.clone_from(ids);
            form.fields.push(field);
        }
        form.write(out);
    }
}

impl Payload for Query {
    fn read(node: Node<'_>) -> Result<Query, StanzaError> {
        expect(node, "query", ns::MAM)?;
        let form = node.child("x", ns::DATA_FORMS).map(Form::read).transpose()?;
        Ok(Query {
            queryid: attr(node, "queryid"),
            node: attr(node, "node"),
            filter: form.as_ref().map(Filter::read).transpose()?.unwrap_or_default(),
            page: node.child("set", ns::RSM).map(Wanted::read).transpose()?.unwrap_or_default(),
            flip: node.child("flip-page", ns::MAM).is_some(),
        })
    }

    fn write(&self, out: &mut Writer) {
        out.open("query", ns::MAM).attr_opt("queryid", self.queryid.as_deref()).attr_opt("node", self.node.as_deref());
        self.filter.write(out);
        if self.page != Wanted::default() {
            self.page.write(out);
        }
        if self.flip {
            out.open("flip-page", ns::MAM).close();
        }
        out.close();
    }
}

impl Payload for Fin {
    fn read(node: Node<'_>) -> Result<Fin, StanzaError> {
        expect(node, "fin", ns::MAM)?;
        let complete = matches!(node.attr("complete").as_deref(), Some("true" | "1"));
        let page = node.child("set", ns::RSM).ok_or_else(|| bad_request("no page"))?;
        Ok(Fin { complete, page: Page::read(page)? })
    }

    fn write(&self, out: &mut Writer) {
        out.open("fin", ns::MAM).attr_opt("complete", self.complete.then_some("true"));
        self.page.write(out);
        out.close();
    }
}

impl Payload for Metadata {
    fn read(node: Node<'_>) -> Result<Metadata, StanzaError> {
        expect(node, "metadata", ns::MAM)?;
        let end = |name: &str| -> Result<Option<(String, SystemTime)>, StanzaError> {
            let Some(child) = node.child(name, ns::MAM) else { return Ok(None) };
            let time = attr(child, "timestamp").and_then(|text| datetime::parse(&text));
            Ok(Some((crate::required(child, "id")?, time.ok_or_else(|| bad_request("no timestamp"))?)))
        };
        Ok(Metadata { ends: end("start")?.zip(end("end")?).map(|(start, end)| [start, end]) })
    }

    fn write(&self, out: &mut Writer) {
        out.open("metadata", ns::MAM);
        for (name, (id, time)) in ["start", "end"].iter().zip(self.ends.iter().flatten()) {
            out.open(name, ns::MAM).attr("id", id).attr("timestamp", &datetime::format_ms(*time)).close();
        }
        out.close();
    }
}

impl Policy {
    /// The value of the attribute.
    pub fn name(self) -> &'static str {
        match self {
            Policy::Always => "always",
            Policy::Never => "never",
            Policy::Roster => "roster",
        }
    }

    /// The default with this name.
    pub fn named(name: &str) -> Option<Policy> {
        [Policy::Always, Policy::Never, Policy::Roster].into_iter().find(|known| known.name() == name)
    }
}

impl Payload for Preferences {
    /// In a get the element is empty: what is not said is the default.
    fn read(node: Node<'_>) -> Result<Preferences, StanzaError> {
        expect(node, "prefs", ns::MAM)?;
        let default = match node.attr("default") {
            None => Policy::default(),
            Some(name) => Policy::named(&name).ok_or_else(|| bad_request("default must be always, never or roster"))?,
        };
        let list = |name: &str| -> Result<Vec<Jid>, StanzaError> {
            let jids = node.child(name, ns::MAM).into_iter().flat_map(|list| list.children());
            jids.filter(|child| child.is("jid", ns::MAM)).map(|child| parse_jid(&child.text())).collect()
        };
        Ok(Preferences { default, always: list("always")?, never: list("never")? })
    }

    fn write(&self, out: &mut Writer) {
        out.open("prefs", ns::MAM).attr("default", self.default.name());
        for (name, jids) in [("always", &self.always), ("never", &self.never)] {
            out.open(name, ns::MAM);
            for jid in jids {
                out.leaf("jid", ns::MAM, jid.as_str());
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

    fn with_form(fields: &str) -> String {
        format!(
            "<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field>{fields}</x></query>"
        )
    }

    fn field(var: &str, value: &str) -> String {
        format!("<field var='{var}'><value>{value}</value></field>")
    }

    /// XEP-0313 examples 2, 6, 7, 10, 11, 12, 18, 23 and 24.
    #[test]
    fn queries() {
        let plain = read::<Query>("<query xmlns='urn:xmpp:mam:2' queryid='f27'/>").unwrap();
        assert_eq!(plain, Query { queryid: Some("f27".into()), ..Query::default() });
        written(&plain);
        let all = [
            field("with", "juliet@capulet.lit"),
            field("start", "2010-06-07T00:00:00Z"),
            field("end", "2010-07-07T13:23:54Z"),
            field("after-id", "a"),
            field("before-id", "b"),
            field("include-groupchat", "false"),
            "<field var='ids'><value>c</value><value>d</value></field>".to_owned(),
        ];
        let filter = read::<Query>(&with_form(&all.concat())).unwrap().filter;
        assert_eq!(filter.with.as_ref().map(Jid::as_str), Some("juliet@capulet.lit"));
        assert!(filter.start < filter.end && filter.start.is_some());
        assert_eq!((filter.after_id.as_deref(), filter.before_id.as_deref()), (Some("a"), Some("b")));
        assert_eq!((filter.ids.as_ref().map(Vec::len), filter.groupchat), (Some(2), Some(false)));
        let page = Wanted { max: Some(10), before: Some(String::new()), ..Wanted::default() };
        written(&Query { filter, page, flip: true, ..Query::default() });
    }

    #[test]
    fn queries_that_cannot_be_answered() {
        let refused = |fields: &str| refused::<Query>(&with_form(fields));
        assert_eq!(refused(&field("{urn:example}colour", "blue")), Some(Condition::FeatureNotImplemented));
        assert_eq!(refused(&field("with", "@")), Some(Condition::JidMalformed));
        assert_eq!(refused(&field("start", "yesterday")), Some(Condition::BadRequest));
        assert_eq!(refused(&field("include-groupchat", "perhaps")), Some(Condition::NotAcceptable));
        let other = "<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'/></query>";
        assert_eq!(crate::fixture::refused::<Query>(other), Some(Condition::BadRequest));
    }

    /// XEP-0313 examples 22 and 26; XEP-0441 example 4.
    #[test]
    fn answers_and_preferences() {
        let page = Page { ends: Some(("a".into(), "b".into())), count: None };
        written(&Fin { complete: true, page });
        assert!(
            written(&Fin { complete: false, page: Page::default() }).starts_with("<fin xmlns='urn:xmpp:mam:2'><set")
        );
        assert_eq!(written(&Metadata::default()), "<metadata xmlns='urn:xmpp:mam:2'/>");
        let time = datetime::parse("2008-08-22T21:09:04Z").unwrap();
        written(&Metadata { ends: Some([("YWxwaGEg".into(), time), ("b21lZ2Eg".into(), time)]) });
        let xml = "<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>romeo@montague.lit</jid></always>\
                   <never><jid>montague@montague.lit</jid></never></prefs>";
        assert_eq!(written(&read::<Preferences>(xml).unwrap()), xml);
        let refused = |xml: &str| refused::<Preferences>(xml);
        assert_eq!(refused("<prefs xmlns='urn:xmpp:mam:2' default='perhaps'/>"), Some(Condition::BadRequest));
        let malformed = "<prefs xmlns='urn:xmpp:mam:2'><never><jid>@</jid></never></prefs>";
        assert_eq!(refused(malformed), Some(Condition::JidMalformed));
    }
}
