//! Data forms (XEP-0004) with FORM_TYPE (XEP-0068), and typed reading of what was filled in.

use crate::{Payload, attr, bad_request, child_text, expect, not_acceptable, ns, parse_jid};
use linnet_xmpp::{
    Jid, StanzaError,
    xml::{Node, Writer},
};
use std::str::FromStr;

/// `<x/>` (XEP-0004 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// What it is for.
    pub ty: FormType,
    /// A title for people.
    pub title: Option<String>,
    /// What to do, one string a paragraph.
    pub instructions: Vec<String>,
    /// The fields in order.
    pub fields: Vec<Field>,
    /// The head of a table (§3.4); only in results.
    pub reported: Vec<Field>,
    /// The rows of the table.
    pub items: Vec<Vec<Field>>,
}

/// What a form is for (XEP-0004 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormType {
    /// To be filled in.
    Form,
    /// Filled in.
    Submit,
    /// Not going to be filled in.
    Cancel,
    /// Data.
    Result,
}

/// One field (XEP-0004 §3.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Field {
    /// Its name; only `Fixed` ones may lack it.
    pub var: Option<String>,
    /// Its type, if it is told; [`Field::kind`] gives the default.
    pub ty: Option<FieldType>,
    /// A name for people.
    pub label: Option<String>,
    /// More words for people.
    pub desc: Option<String>,
    /// Whether it must be filled in.
    pub required: bool,
    /// The values.
    pub values: Vec<String>,
    /// What may be chosen, for lists.
    pub options: Vec<Choice>,
}

/// One thing to choose in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// A name for people.
    pub label: Option<String>,
    /// The value.
    pub value: String,
}

/// Types of fields (XEP-0004 §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the specification")]
pub enum FieldType {
    Boolean,
    Fixed,
    Hidden,
    JidMulti,
    JidSingle,
    ListMulti,
    ListSingle,
    TextMulti,
    TextPrivate,
    TextSingle,
}

impl Form {
    /// An empty form.
    pub fn new(ty: FormType) -> Form {
        Form { ty, title: None, instructions: vec![], fields: vec![], reported: vec![], items: vec![] }
    }

    /// An empty form of a FORM_TYPE (XEP-0068).
    pub fn of(ty: FormType, form_type: &str) -> Form {
        Form::new(ty).field(Field::new(FieldType::Hidden, "FORM_TYPE").value(form_type))
    }

    /// With a title.
    pub fn title(mut self, title: &str) -> Form {
        self.title = Some(title.to_owned());
        self
    }

    /// With one more paragraph of instructions.
    pub fn instruction(mut self, text: &str) -> Form {
        self.instructions.push(text.to_owned());
        self
    }

    /// With one more field.
    pub fn field(mut self, field: Field) -> Form {
        self.fields.push(field);
        self
    }

    /// The FORM_TYPE. In a form that was submitted the field needs no type, otherwise it has to be hidden
    /// (XEP-0068 §3.1).
    pub fn form_type(&self) -> Option<&str> {
        let field = self.find("FORM_TYPE")?;
        let hidden = field.ty == Some(FieldType::Hidden) || (self.ty == FormType::Submit && field.ty.is_none());
        if hidden { field.values.first().map(String::as_str) } else { None }
    }

    /// The first field with this name.
    pub fn find(&self, var: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.var.as_deref() == Some(var))
    }

    /// All values of a field; none where it is not there.
    pub fn values(&self, var: &str) -> &[String] {
        self.find(var).map_or(&[], |field| &field.values)
    }

    /// The first value of a field, unless it is empty: an empty value says the same as none (XEP-0004 §3.6).
    pub fn value(&self, var: &str) -> Option<&str> {
        self.values(var).first().map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The lines of a `text-multi` field as one text.
    pub fn text(&self, var: &str) -> Option<String> {
        let values = self.values(var);
        (!values.is_empty()).then(|| values.join("\n"))
    }

    /// A truth value. Fails (not-acceptable) where it is none of `true`, `false`, `1`, `0`.
    pub fn boolean(&self, var: &str) -> Result<Option<bool>, StanzaError> {
        let Some(value) = self.value(var) else { return Ok(None) };
        match value {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(not_acceptable(&format!("{var} must be true or false"))),
        }
    }

    /// A number or anything else that is parsed from text. Fails with not-acceptable.
    pub fn parse<T: FromStr>(&self, var: &str) -> Result<Option<T>, StanzaError> {
        let Some(value) = self.value(var) else { return Ok(None) };
        value.trim().parse().map(Some).map_err(|_| not_acceptable(&format!("{var} has a value that is not allowed")))
    }

    /// An address. Fails with jid-malformed.
    pub fn jid(&self, var: &str) -> Result<Option<Jid>, StanzaError> {
        self.value(var).map(parse_jid).transpose()
    }

    /// Addresses, each once (XEP-0004 §3.3: duplicates are ignored). Fails with jid-malformed.
    pub fn jids(&self, var: &str) -> Result<Vec<Jid>, StanzaError> {
        let mut jids = Vec::new();
        for value in self.values(var).iter().filter(|value| !value.is_empty()) {
            let jid = parse_jid(value)?;
            if !jids.contains(&jid) {
                jids.push(jid);
            }
        }
        Ok(jids)
    }

    /// Whether this submission has all that `asked` requires, and only choices that `asked` offers.
    /// Fails with not-acceptable and the field's name (XEP-0004 §4).
    pub fn answers(&self, asked: &Form) -> Result<(), StanzaError> {
        for field in &asked.fields {
            let Some(var) = field.var.as_deref() else { continue };
            let values = self.values(var);
            if field.required && values.iter().all(String::is_empty) {
                return Err(not_acceptable(&format!("{var} must be filled in")));
            }
            let list = matches!(field.kind(), FieldType::ListMulti | FieldType::ListSingle);
            let offered = |value: &String| field.options.iter().any(|option| option.value == *value);
            if list && !values.iter().all(offered) {
                return Err(not_acceptable(&format!("{var} has a value that is not offered")));
            }
        }
        Ok(())
    }
}

impl Field {
    /// A field without values.
    pub fn new(ty: FieldType, var: &str) -> Field {
        Field { var: Some(var.to_owned()), ty: Some(ty), ..Field::default() }
    }

    /// A field of a submission or a result, where types are known from context.
    pub fn untyped(var: &str, value: impl Into<String>) -> Field {
        Field { var: Some(var.to_owned()), ..Field::default() }.value(value)
    }

    /// With a name for people.
    pub fn label(mut self, label: &str) -> Field {
        self.label = Some(label.to_owned());
        self
    }

    /// With more words for people.
    pub fn desc(mut self, desc: &str) -> Field {
        self.desc = Some(desc.to_owned());
        self
    }

    /// That must be filled in.
    pub fn required(mut self) -> Field {
        self.required = true;
        self
    }

    /// With one more value.
    pub fn value(mut self, value: impl Into<String>) -> Field {
        self.values.push(value.into());
        self
    }

    /// With one more thing to choose.
    pub fn option(mut self, label: &str, value: &str) -> Field {
        self.options.push(Choice { label: Some(label.to_owned()), value: value.to_owned() });
        self
    }

    /// The type; `TextSingle` where none is told (XEP-0004 §3.2).
    pub fn kind(&self) -> FieldType {
        self.ty.unwrap_or(FieldType::TextSingle)
    }
}

impl FormType {
    /// The value of the attribute.
    pub fn name(self) -> &'static str {
        match self {
            FormType::Form => "form",
            FormType::Submit => "submit",
            FormType::Cancel => "cancel",
            FormType::Result => "result",
        }
    }
}

impl FieldType {
    /// The value of the attribute.
    pub fn name(self) -> &'static str {
        let (_, name) = FIELD_TYPES[self as usize];
        name
    }

    /// The type of an attribute's value; what is not known is `TextSingle` (XEP-0004 §3.3).
    pub fn named(name: &str) -> FieldType {
        FIELD_TYPES.iter().find(|(_, known)| *known == name).map_or(FieldType::TextSingle, |(ty, _)| *ty)
    }
}

impl Payload for Form {
    fn read(node: Node<'_>) -> Result<Form, StanzaError> {
        expect(node, "x", ns::DATA_FORMS)?;
        let ty = match node.attr("type").as_deref() {
            Some("form") => FormType::Form,
            Some("submit") => FormType::Submit,
            Some("cancel") => FormType::Cancel,
            Some("result") => FormType::Result,
            _ => return Err(bad_request("a form without a type")),
        };
        let mut form = Form::new(ty);
        for child in node.children().filter(|child| child.ns() == ns::DATA_FORMS) {
            match child.name() {
                "title" => form.title = Some(child.text().into_owned()),
                "instructions" => form.instructions.push(child.text().into_owned()),
                "field" => form.fields.push(read_field(child)?),
                "reported" => form.reported = read_fields(child)?,
                "item" => form.items.push(read_fields(child)?),
                _ => {}
            }
        }
        Ok(form)
    }

    fn write(&self, out: &mut Writer) {
        out.open("x", ns::DATA_FORMS).attr("type", self.ty.name());
        if let Some(title) = &self.title {
            out.leaf("title", ns::DATA_FORMS, title);
        }
        for text in &self.instructions {
            out.leaf("instructions", ns::DATA_FORMS, text);
        }
        write_fields(&self.fields, out);
        if !self.reported.is_empty() {
            out.open("reported", ns::DATA_FORMS);
            write_fields(&self.reported, out);
            out.close();
        }
        for item in &self.items {
            out.open("item", ns::DATA_FORMS);
            write_fields(item, out);
            out.close();
        }
        out.close();
    }
}

fn read_fields(node: Node<'_>) -> Result<Vec<Field>, StanzaError> {
    node.children().filter(|child| child.is("field", ns::DATA_FORMS)).map(read_field).collect()
}

fn read_field(node: Node<'_>) -> Result<Field, StanzaError> {
    let ty = node.attr("type").map(|name| FieldType::named(&name));
    let var = attr(node, "var");
    if var.is_none() && ty != Some(FieldType::Fixed) {
        return Err(bad_request("a field without a name"));
    }
    let mut field = Field { var, ty, label: attr(node, "label"), ..Field::default() };
    for child in node.children().filter(|child| child.ns() == ns::DATA_FORMS) {
        match child.name() {
            "desc" => field.desc = Some(child.text().into_owned()),
            "required" => field.required = true,
            "value" => field.values.push(child.text().into_owned()),
            "option" => {
                let value = child_text(child, "value", ns::DATA_FORMS)
                    .ok_or_else(|| bad_request("an option without a value"))?;
                field.options.push(Choice { label: attr(child, "label"), value });
            }
            _ => {}
        }
    }
    Ok(field)
}

fn write_fields(fields: &[Field], out: &mut Writer) {
    for field in fields {
        out.open("field", ns::DATA_FORMS)
            .attr_opt("var", field.var.as_deref())
            .attr_opt("type", field.ty.map(FieldType::name))
            .attr_opt("label", field.label.as_deref());
        if let Some(desc) = &field.desc {
            out.leaf("desc", ns::DATA_FORMS, desc);
        }
        if field.required {
            out.open("required", ns::DATA_FORMS).close();
        }
        for value in &field.values {
            out.leaf("value", ns::DATA_FORMS, value);
        }
        for option in &field.options {
            out.open("option", ns::DATA_FORMS).attr_opt("label", option.label.as_deref());
            out.leaf("value", ns::DATA_FORMS, &option.value).close();
        }
        out.close();
    }
}

/// In the order of the enum, so that a type is the index of its name.
const FIELD_TYPES: [(FieldType, &str); 10] = [
    (FieldType::Boolean, "boolean"),
    (FieldType::Fixed, "fixed"),
    (FieldType::Hidden, "hidden"),
    (FieldType::JidMulti, "jid-multi"),
    (FieldType::JidSingle, "jid-single"),
    (FieldType::ListMulti, "list-multi"),
    (FieldType::ListSingle, "list-single"),
    (FieldType::TextMulti, "text-multi"),
    (FieldType::TextPrivate, "text-private"),
    (FieldType::TextSingle, "text-single"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, refused, written};
    use linnet_xmpp::stanza::Condition;

    /// After XEP-0004 example 2.
    const BOT: &str = "<x xmlns='jabber:x:data' type='form'>
        <title>Bot Configuration</title><instructions>Fill out this form</instructions>
        <field type='hidden' var='FORM_TYPE'><value>jabber:bot</value></field>
        <field type='fixed'><value>Section 1: Bot Info</value></field>
        <field type='text-single' label='The name of your bot' var='botname'/>
        <field type='boolean' label='Public bot?' var='public'><required/></field>
        <field type='text-private' label='Password' var='password'><desc>long</desc></field>
        <field type='list-multi' label='Features' var='features'>
          <option label='Contests'><value>contests</value></option><option label='News'><value>news</value></option>
          <value>news</value></field>
        <field type='jid-multi' var='invitelist'/></x>";

    #[test]
    fn every_field_type_is_read_and_written() {
        let form = read::<Form>(BOT).unwrap();
        assert_eq!(form.form_type(), Some("jabber:bot"));
        assert_eq!(form.fields.len(), 7);
        assert_eq!(form.find("features").unwrap().options.len(), 2);
        written(&form);
        for (index, (ty, name)) in FIELD_TYPES.iter().enumerate() {
            assert_eq!((*ty as usize, ty.name(), FieldType::named(name)), (index, *name, *ty));
        }
        assert_eq!(FieldType::named("unheard-of"), FieldType::TextSingle);
    }

    #[test]
    fn values_are_read_by_type() {
        let form = Form::new(FormType::Submit)
            .field(Field::untyped("FORM_TYPE", "jabber:bot"))
            .field(Field::untyped("public", "1"))
            .field(Field::untyped("max", " 20 "))
            .field(Field::untyped("text", "a").value("b"))
            .field(Field::untyped("empty", ""))
            .field(Field::untyped("jids", "a@B.example").value("a@b.example"))
            .field(Field::untyped("bad", "@"));
        assert_eq!(form.form_type(), Some("jabber:bot"));
        assert_eq!(form.boolean("public").unwrap(), Some(true));
        assert_eq!(form.boolean("none").unwrap(), None);
        assert_eq!(form.boolean("empty").unwrap(), None);
        assert_eq!(form.boolean("max").unwrap_err().condition, Condition::NotAcceptable);
        assert_eq!(form.parse::<u8>("max").unwrap(), Some(20));
        assert_eq!(form.parse::<u8>("text").unwrap_err().condition, Condition::NotAcceptable);
        assert_eq!(form.text("text").as_deref(), Some("a\nb"));
        assert_eq!(form.jids("jids").unwrap().len(), 1);
        assert_eq!(form.jid("bad").unwrap_err().condition, Condition::JidMalformed);
        written(&form);
    }

    #[test]
    fn a_submission_answers_what_was_asked() {
        let asked = read::<Form>(BOT).unwrap();
        let submit = Form::new(FormType::Submit);
        assert_eq!(submit.answers(&asked).unwrap_err().condition, Condition::NotAcceptable);
        let submit = submit.field(Field::untyped("public", "true"));
        submit.answers(&asked).unwrap();
        let submit = submit.field(Field::untyped("features", "chess"));
        assert_eq!(submit.answers(&asked).unwrap_err().condition, Condition::NotAcceptable);
    }

    /// After XEP-0004 example 8.
    #[test]
    fn results_may_be_tables() {
        let form = read::<Form>(
            "<x xmlns='jabber:x:data' type='result'><title>Search</title>
             <reported><field var='name' label='Name'/><field var='url' type='text-single'/></reported>
             <item><field var='name'><value>A</value></field><field var='url'><value>u</value></field></item>
             <item><field var='name'><value>B</value></field></item></x>",
        )
        .unwrap();
        assert_eq!((form.reported.len(), form.items.len()), (2, 2));
        written(&form);
        assert_eq!(written(&Form::new(FormType::Cancel)), "<x xmlns='jabber:x:data' type='cancel'/>");
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for bad in [
            "<x xmlns='jabber:x:data'/>",
            "<x xmlns='jabber:x:data' type='error'/>",
            "<x xmlns='jabber:x:data' type='form'><field type='boolean'/></x>",
            "<x xmlns='jabber:x:data' type='form'><field var='a' type='list-single'><option/></field></x>",
            "<y xmlns='jabber:x:data' type='form'/>",
        ] {
            assert_eq!(refused::<Form>(bad), Some(Condition::BadRequest), "{bad}");
        }
    }
}
