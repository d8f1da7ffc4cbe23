//! Ad-hoc commands (XEP-0050): forms that are filled in stage by stage.

use crate::{Payload, attr, bad_request, expect, forms::Form, ns, required};
use linnet_xmpp::{
    StanzaError,
    stanza::{Class, Condition},
    xml::{Node, Writer},
};

/// `<command/>`: a request or its answer (XEP-0050 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Which command.
    pub node: String,
    /// Which run of it; the responder chooses it with the first answer.
    pub session: Option<String>,
    /// Requests: what to do; none means `execute`.
    pub action: Option<Action>,
    /// Answers: how far it is.
    pub status: Option<Status>,
    /// Answers: what may be done next.
    pub actions: Option<Actions>,
    /// Answers: notes for people.
    pub notes: Vec<Note>,
    /// The payload.
    pub form: Option<Form>,
}

/// What to do (XEP-0050 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start, or what the answer before named as default.
    Execute,
    /// Back to the stage before.
    Prev,
    /// On to the next stage.
    Next,
    /// Finish.
    Complete,
    /// Stop.
    Cancel,
}

/// How far a run is (XEP-0050 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the specification")]
pub enum Status {
    Executing,
    Completed,
    Canceled,
}

/// What may be done next (XEP-0050 §3.3); `cancel` and `execute` always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Actions {
    /// What `execute` means.
    pub execute: Option<Action>,
    /// Whether there is a way back.
    pub prev: bool,
    /// Whether there is a next stage.
    pub next: bool,
    /// Whether it can be finished.
    pub complete: bool,
}

/// Words for people beside or instead of a form (XEP-0050 §3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// How serious.
    pub level: Level,
    /// The words.
    pub text: String,
}

/// How serious a note is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the specification")]
pub enum Level {
    Info,
    Warn,
    Error,
}

/// What is wrong with a request, beyond the general conditions (XEP-0050 §4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// No such action.
    MalformedAction,
    /// The action is not allowed at this stage.
    BadAction,
    /// The language is not spoken.
    BadLocale,
    /// E.g. a required field is not filled in.
    BadPayload,
    /// There was never such a run.
    BadSession,
    /// The run is over.
    SessionExpired,
}

impl Command {
    /// A request to start a command.
    pub fn execute(node: &str) -> Command {
        Command {
            node: node.to_owned(),
            session: None,
            action: Some(Action::Execute),
            status: None,
            actions: None,
            notes: vec![],
            form: None,
        }
    }

    /// The answer to this request: same node, a session, a status, nothing else yet.
    pub fn answer(&self, session: &str, status: Status) -> Command {
        Command {
            session: Some(session.to_owned()),
            action: None,
            status: Some(status),
            ..Command::execute(&self.node)
        }
    }

    /// With a form.
    pub fn form(mut self, form: Form) -> Command {
        self.form = Some(form);
        self
    }

    /// With what may be done next.
    pub fn actions(mut self, actions: Actions) -> Command {
        self.actions = Some(actions);
        self
    }

    /// With one more note.
    pub fn note(mut self, level: Level, text: &str) -> Command {
        self.notes.push(Note { level, text: text.to_owned() });
        self
    }
}

impl Action {
    /// The value of the attribute.
    pub fn name(self) -> &'static str {
        match self {
            Action::Execute => "execute",
            Action::Prev => "prev",
            Action::Next => "next",
            Action::Complete => "complete",
            Action::Cancel => "cancel",
        }
    }

    /// The action of an attribute's value.
    pub fn named(name: &str) -> Option<Action> {
        use Action::*;
        [Execute, Prev, Next, Complete, Cancel].into_iter().find(|action| action.name() == name)
    }
}

impl Status {
    /// The value of the attribute.
    pub fn name(self) -> &'static str {
        match self {
            Status::Executing => "executing",
            Status::Completed => "completed",
            Status::Canceled => "canceled",
        }
    }

    /// The status of an attribute's value.
    pub fn named(name: &str) -> Option<Status> {
        [Status::Executing, Status::Completed, Status::Canceled].into_iter().find(|status| status.name() == name)
    }
}

impl Level {
    /// The value of the attribute.
    pub fn name(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

impl Problem {
    /// The stanza error with its application condition.
    pub fn error(self) -> StanzaError {
        let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
        out.open(self.name(), ns::COMMANDS).close();
        let error = match self {
            Problem::SessionExpired => StanzaError::new(Condition::NotAllowed).class(Class::Cancel),
            _ => StanzaError::new(Condition::BadRequest).class(Class::Modify),
        };
        error.extra(out.finish())
    }

    /// The element's name.
    pub fn name(self) -> &'static str {
        match self {
            Problem::MalformedAction => "malformed-action",
            Problem::BadAction => "bad-action",
            Problem::BadLocale => "bad-locale",
            Problem::BadPayload => "bad-payload",
            Problem::BadSession => "bad-sessionid",
            Problem::SessionExpired => "session-expired",
        }
    }
}

impl Payload for Command {
    /// An action that is not defined is refused with [`Problem::MalformedAction`].
    fn read(node: Node<'_>) -> Result<Command, StanzaError> {
        expect(node, "command", ns::COMMANDS)?;
        let action = match node.attr("action") {
            Some(name) => Some(Action::named(&name).ok_or_else(|| Problem::MalformedAction.error())?),
            None => None,
        };
        let status = match node.attr("status") {
            Some(name) => Some(Status::named(&name).ok_or_else(|| bad_request("not a status"))?),
            None => None,
        };
        let mut command =
            Command { session: attr(node, "sessionid"), action, status, ..Command::execute(&required(node, "node")?) };
        for child in node.children() {
            match (child.name(), child.ns()) {
                ("actions", ns::COMMANDS) => command.actions = Some(read_actions(child)),
                ("note", ns::COMMANDS) => command.notes.push(read_note(child)),
                ("x", ns::DATA_FORMS) if command.form.is_some() => return Err(Problem::BadPayload.error()),
                ("x", ns::DATA_FORMS) => command.form = Some(Form::read(child)?),
                _ => {}
            }
        }
        Ok(command)
    }

    fn write(&self, out: &mut Writer) {
        out.open("command", ns::COMMANDS)
            .attr("node", &self.node)
            .attr_opt("sessionid", self.session.as_deref())
            .attr_opt("action", self.action.map(Action::name))
            .attr_opt("status", self.status.map(Status::name));
        if let Some(actions) = &self.actions {
            out.open("actions", ns::COMMANDS).attr_opt("execute", actions.execute.map(Action::name));
            for (name, allowed) in [("prev", actions.prev), ("next", actions.next), ("complete", actions.complete)] {
                if allowed {
                    out.open(name, ns::COMMANDS).close();
                }
            }
            out.close();
        }
        for note in &self.notes {
            out.open("note", ns::COMMANDS).attr("type", note.level.name()).text(&note.text).close();
        }
        if let Some(form) = &self.form {
            form.write(out);
        }
        out.close();
    }
}

fn read_actions(node: Node<'_>) -> Actions {
    let has = |name| node.child(name, ns::COMMANDS).is_some();
    Actions {
        execute: node.attr("execute").and_then(|name| Action::named(&name)),
        prev: has("prev"),
        next: has("next"),
        complete: has("complete"),
    }
}

/// Without a type, and with one that is not known, a note is `info` (XEP-0050 §3.4).
fn read_note(node: Node<'_>) -> Note {
    let level = match node.attr("type").as_deref() {
        Some("warn") => Level::Warn,
        Some("error") => Level::Error,
        _ => Level::Info,
    };
    Note { level, text: node.text().into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{read, refused, written},
        forms::FormType,
    };

    /// XEP-0050 examples 8 and 11.
    #[test]
    fn request_and_answer() {
        let request = read::<Command>("<command xmlns='http://jabber.org/protocol/commands' node='list'/>").unwrap();
        assert_eq!(request.action, None);
        written(&request);
        let answer = request
            .answer("list:1", Status::Executing)
            .actions(Actions { execute: Some(Action::Next), next: true, ..Actions::default() })
            .note(Level::Warn, "careful")
            .form(Form::new(FormType::Form).title("Configure Service"));
        let xml = written(&answer);
        let start = "<command xmlns='http://jabber.org/protocol/commands' node='list' sessionid='list:1' \
                     status='executing'><actions execute='next'><next/></actions><note type='warn'>careful</note>\
                     <x xmlns='jabber:x:data' type='form'>";
        assert!(xml.starts_with(start), "{xml}");
    }

    #[test]
    fn bad_requests() {
        let no_node = "<command xmlns='http://jabber.org/protocol/commands'/>";
        assert_eq!(refused::<Command>(no_node), Some(Condition::BadRequest));
        let action = "<command xmlns='http://jabber.org/protocol/commands' node='list' action='dance'/>";
        let error = read::<Command>(action).unwrap_err();
        let extra = b"<malformed-action xmlns='http://jabber.org/protocol/commands'/>";
        assert_eq!(error.extra.as_deref(), Some(&extra[..]));
        let two = "<command xmlns='http://jabber.org/protocol/commands' node='list'>\
                   <x xmlns='jabber:x:data' type='submit'/><x xmlns='jabber:x:data' type='submit'/></command>";
        assert_eq!(refused::<Command>(two), Some(Condition::BadRequest));
        assert_eq!(Problem::SessionExpired.error().condition, Condition::NotAllowed);
    }
}
