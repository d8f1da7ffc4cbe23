//! In-band registration (XEP-0077): sign-up, change of password, removal of the account.

use crate::{Payload, bad_request, expect, forms::Form, not_acceptable, ns};
use linnet_xmpp::{
    StanzaError,
    xml::{Node, Writer},
};
use std::fmt;

/// `<query/>` of jabber:iq:register. The question is empty. In the answer a field with an empty text is asked for.
#[derive(Clone, Default, PartialEq)]
pub struct Register {
    /// The account is there already (§3.1).
    pub registered: bool,
    /// Take the account away (§3.2).
    pub remove: bool,
    /// What to do, for people.
    pub instructions: Option<String>,
    /// The fields of the schema by name, in order (`username`, `password`, `email`, …).
    pub fields: Vec<(String, String)>,
    /// Fields beyond the schema (§4); where there is a form it wins (§5).
    pub form: Option<Form>,
}

/// What an iq set asks for.
#[derive(Clone, PartialEq, Eq)]
pub enum Request {
    /// Take the account away.
    Remove,
    /// Make an account, or change the password of the one that asks.
    Set {
        /** Local part. */
        username: String,
        /** New password. */
        password: String,
    },
}

impl Register {
    /// The empty question.
    pub fn question() -> Register {
        Register::default()
    }

    /// With one more field.
    pub fn field(mut self, name: &str, text: &str) -> Register {
        self.fields.push((name.to_owned(), text.to_owned()));
        self
    }

    /// What a field says, from the form if there is one, else from the elements.
    pub fn value(&self, name: &str) -> Option<&str> {
        match &self.form {
            Some(form) => form.value(name),
            None => self.fields.iter().find(|(known, _)| known == name).map(|(_, text)| &**text),
        }
    }

    /// What an iq set asks for. bad-request where `<remove/>` is not alone (§3.2) or nothing is asked for;
    /// not-acceptable where name or password are missing or empty (§3.1).
    pub fn request(&self) -> Result<Request, StanzaError> {
        if self.remove {
            return if self.fields.is_empty() && self.form.is_none() {
                Ok(Request::Remove)
            } else {
                Err(bad_request("remove stands alone"))
            };
        }
        if self.fields.is_empty() && self.form.is_none() {
            return Err(bad_request("nothing is asked for"));
        }
        let filled = |name: &str| {
            let value = self.value(name).filter(|value| !value.is_empty());
            value.map(str::to_owned).ok_or_else(|| not_acceptable(&format!("{name} is missing")))
        };
        Ok(Request::Set { username: filled("username")?, password: filled("password")? })
    }
}

impl Payload for Register {
    /// bad-request where a field stands twice, so that no two readers can take different ones.
    fn read(node: Node<'_>) -> Result<Register, StanzaError> {
        expect(node, "query", ns::REGISTER)?;
        let mut register = Register::default();
        for child in node.children() {
            match (child.name(), child.ns()) {
                ("registered", ns::REGISTER) => register.registered = true,
                ("remove", ns::REGISTER) => register.remove = true,
                ("instructions", ns::REGISTER) => register.instructions = Some(child.text().into_owned()),
                (name, ns::REGISTER) => {
                    if register.fields.iter().any(|(known, _)| known == name) {
                        return Err(bad_request("a field stands twice"));
                    }
                    register.fields.push((name.to_owned(), child.text().into_owned()));
                }
                ("x", ns::DATA_FORMS) => register.form = Some(Form::read(child)?),
                _ => {}
            }
        }
        Ok(register)
    }

    fn write(&self, out: &mut Writer) {
        out.open("query", ns::REGISTER);
        if self.registered {
            out.open("registered", ns::REGISTER).close();
        }
        if let Some(text) = &self.instructions {
            out.leaf("instructions", ns::REGISTER, text);
        }
        for (name, text) in self.fields.iter().filter(|(name, _)| FIELDS.contains(&&**name)) {
            out.open(name, ns::REGISTER).text(text).close();
        }
        if self.remove {
            out.open("remove", ns::REGISTER).close();
        }
        if let Some(form) = &self.form {
            form.write(out);
        }
        out.close();
    }
}

/// Never shows what was filled in: there is a password among it.
impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.fields.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("Register")
            .field("registered", &self.registered)
            .field("remove", &self.remove)
            .field("fields", &names)
            .finish_non_exhaustive()
    }
}

/// Never shows the password.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Remove => f.write_str("Remove"),
            Request::Set { username, .. } => f.debug_struct("Set").field("username", username).finish_non_exhaustive(),
        }
    }
}

/// The fields of the schema (XEP-0077 §14.1).
const FIELDS: [&str; 17] = [
    "username", "nick", "password", "name", "first", "last", "email", "address", "city", "state", "zip", "phone",
    "url", "date", "misc", "text", "key",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, refused, written};
    use linnet_xmpp::stanza::Condition;

    fn request(content: &str) -> Result<Request, Condition> {
        let register = read::<Register>(&format!("<query xmlns='jabber:iq:register'>{content}</query>"));
        register.and_then(|register| register.request()).map_err(|error| error.condition)
    }

    /// XEP-0077 examples 1 to 3.
    #[test]
    fn question_and_answer() {
        assert_eq!(written(&Register::question()), "<query xmlns='jabber:iq:register'/>");
        let mut asked = Register::question().field("username", "").field("password", "");
        asked.instructions = Some("Choose a username.".into());
        assert_eq!(asked.value("username"), Some(""));
        written(&asked);
        let known = Register { registered: true, ..Register::question() }.field("username", "juliet");
        let xml = "<query xmlns='jabber:iq:register'><registered/><username>juliet</username></query>";
        assert_eq!(written(&known), xml);
    }

    /// XEP-0077 examples 4, 11 and 18, and their error cases.
    #[test]
    fn requests() {
        let set = Request::Set { username: "bill".into(), password: "Calliope".into() };
        assert_eq!(request("<username>bill</username><password>Calliope</password>"), Ok(set.clone()));
        assert_eq!(request("<remove/>"), Ok(Request::Remove));
        assert_eq!(
            request(
                "<x xmlns='jabber:x:data' type='submit'><field var='username'><value>bill</value></field>
                 <field var='password'><value>Calliope</value></field></x>"
            ),
            Ok(set)
        );
        assert_eq!(request("<remove/><username>bill</username>"), Err(Condition::BadRequest));
        assert_eq!(request(""), Err(Condition::BadRequest));
        assert_eq!(request("<username>bill</username><password/>"), Err(Condition::NotAcceptable));
        assert_eq!(request("<password>x</password>"), Err(Condition::NotAcceptable));
        let twice = "<query xmlns='jabber:iq:register'><username>a</username><username>b</username></query>";
        assert_eq!(refused::<Register>(twice), Some(Condition::BadRequest));
    }

    #[test]
    fn passwords_are_not_shown() {
        let register = Register::question().field("password", "Calliope");
        let set = Request::Set { username: "bill".into(), password: "Calliope".into() };
        assert!(!format!("{register:?} {set:?}").contains("Calliope"));
    }
}
