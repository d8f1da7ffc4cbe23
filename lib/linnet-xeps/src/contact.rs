//! Contact addresses of a service (XEP-0157): a form in its disco#info answer.

use crate::{
    forms::{Field, FieldType, Form, FormType},
    ns,
};

/// Addresses as URIs (`mailto:`, `xmpp:`, `https:`), by what they are for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the specification")]
pub struct Contacts {
    pub abuse: Vec<String>,
    pub admin: Vec<String>,
    pub feedback: Vec<String>,
    pub sales: Vec<String>,
    pub security: Vec<String>,
    pub status: Vec<String>,
    pub support: Vec<String>,
}

impl Contacts {
    /// Whether there are none, so that no form is shown.
    pub fn is_empty(&self) -> bool {
        *self == Contacts::default()
    }

    /// The form; what has no address is left out.
    pub fn to_form(&self) -> Form {
        let mut form = Form::of(FormType::Result, ns::SERVER_INFO);
        for (var, addresses) in self.fields() {
            if !addresses.is_empty() {
                let mut field = Field::new(FieldType::ListMulti, var);
                field.values.clone_from(addresses);
                form = form.field(field);
            }
        }
        form
    }

    /// Reads the form of another service.
    pub fn from_form(form: &Form) -> Contacts {
        let values = |var: &str| form.values(var).to_vec();
        Contacts {
            abuse: values("abuse-addresses"),
            admin: values("admin-addresses"),
            feedback: values("feedback-addresses"),
            sales: values("sales-addresses"),
            security: values("security-addresses"),
            status: values("status-addresses"),
            support: values("support-addresses"),
        }
    }

    fn fields(&self) -> [(&'static str, &Vec<String>); 7] {
        [
            ("abuse-addresses", &self.abuse),
            ("admin-addresses", &self.admin),
            ("feedback-addresses", &self.feedback),
            ("sales-addresses", &self.sales),
            ("security-addresses", &self.security),
            ("status-addresses", &self.status),
            ("support-addresses", &self.support),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, written};

    #[test]
    fn what_has_no_address_is_left_out() {
        assert!(Contacts::default().is_empty());
        let contacts = Contacts {
            abuse: vec!["mailto:abuse@shakespeare.lit".into(), "xmpp:abuse@shakespeare.lit".into()],
            status: vec!["https://status.shakespeare.lit".into()],
            ..Contacts::default()
        };
        let form = contacts.to_form();
        assert_eq!(form.fields.len(), 3);
        let again = read::<Form>(&written(&form)).unwrap();
        assert_eq!(Contacts::from_form(&again), contacts);
    }
}
