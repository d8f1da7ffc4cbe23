//! One run of a command: a form where it asks for something, then the result (XEP-0050 §2.4).
//!
//! A run keeps no state here: its session id carries the time at which it began.

use bytes::Bytes;
use kernel::{
    access,
    command::{Argument, ArgumentKind, Call, Command, CommandError, Report},
    hooks::Ask,
};
use linnet_xeps::{
    Payload,
    commands::{Action, Actions, Command as Adhoc, Level, Problem, Status},
    forms::{Field, FieldType, Form, FormType},
    ns,
};
use linnet_xmpp::{StanzaError, stanza::Condition};
use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};
use store::Future;

/// How long a form may wait to be filled in.
const LIFETIME: Duration = Duration::from_secs(3600);

pub(super) fn answer(ask: Ask) -> Future<'static, Result<Bytes, StanzaError>> {
    Box::pin(async move {
        let payload = ask.stanza.payload().ok_or_else(|| StanzaError::new(Condition::BadRequest));
        let request = payload.and_then(Adhoc::read)?;
        if !access::is_admin(&ask.kernel, ask.actor()) {
            return Err(StanzaError::new(Condition::Forbidden).text("only administrators may do this"));
        }
        let command = ask.kernel.hooks.command(&request.node).ok_or(Condition::ItemNotFound)?;
        Ok(step(&ask, &request, command).await?.to_bytes())
    })
}

async fn step(ask: &Ask, request: &Adhoc, command: &'static Command) -> Result<Adhoc, StanzaError> {
    let Some(session) = &request.session else {
        return match request.action.unwrap_or(Action::Execute) {
            Action::Execute if command.arguments.is_empty() => {
                let session = format!("{:016x}", ask.kernel.unique());
                run(ask, request, &session, command, &Form::new(FormType::Submit)).await
            }
            Action::Execute => Ok(first(ask, request, command)),
            _ => Err(Problem::BadAction.error()),
        };
    };
    check_session(ask, session)?;
    match request.action.unwrap_or(Action::Execute) {
        Action::Cancel => Ok(request.answer(session, Status::Canceled)),
        Action::Execute | Action::Complete => {
            let form = request.form.as_ref().ok_or_else(|| Problem::BadPayload.error())?;
            if form.ty == FormType::Cancel {
                return Ok(request.answer(session, Status::Canceled));
            }
            form.answers(&asked(command)).map_err(|_| Problem::BadPayload.error())?;
            run(ask, request, session, command, form).await
        }
        Action::Prev | Action::Next => Err(Problem::BadAction.error()),
    }
}

fn first(ask: &Ask, request: &Adhoc, command: &Command) -> Adhoc {
    let session = format!("{:016x}", ask.kernel.unique());
    let actions = Actions { execute: Some(Action::Complete), complete: true, ..Actions::default() };
    request.answer(&session, Status::Executing).actions(actions).form(asked(command))
}

fn check_session(ask: &Ask, session: &str) -> Result<(), StanzaError> {
    let id = u64::from_str_radix(session, 16).map_err(|_| Problem::BadSession.error())?;
    let began = UNIX_EPOCH + Duration::from_micros(ask.kernel.row_of(id));
    match ask.kernel.context.now().duration_since(began) {
        Ok(age) if age <= LIFETIME => Ok(()),
        // Ids are never given twice, so that many in one microsecond, or a clock set back, run ahead of the clock.
        Err(ahead) if ahead.duration() <= LIFETIME => Ok(()),
        // Within a lifetime of what we may have made; anything else was never ours.
        Ok(age) if age <= 100 * LIFETIME => Err(Problem::SessionExpired.error()),
        _ => Err(Problem::BadSession.error()),
    }
}

/// The form that asks for a command's arguments.
fn asked(command: &Command) -> Form {
    let form = Form::of(FormType::Form, ns::ADMIN).title(command.help).instruction("Fill in this form.");
    command.arguments.iter().fold(form, |form, argument| form.field(field(argument)))
}

fn field(argument: &Argument) -> Field {
    let ty = match argument.kind {
        ArgumentKind::Text | ArgumentKind::Number => FieldType::TextSingle,
        ArgumentKind::Secret => FieldType::TextPrivate,
        ArgumentKind::Jid => FieldType::JidSingle,
        ArgumentKind::Jids => FieldType::JidMulti,
        ArgumentKind::Lines => FieldType::TextMulti,
    };
    let field = Field::new(ty, argument.name).label(argument.label);
    if argument.required { field.required() } else { field }
}

async fn run(
    ask: &Ask,
    request: &Adhoc,
    session: &str,
    command: &'static Command,
    form: &Form,
) -> Result<Adhoc, StanzaError> {
    let mut values = BTreeMap::new();
    for argument in command.arguments {
        let given = form.values(argument.name);
        if !given.is_empty() {
            values.insert(argument.name.to_owned(), given.to_vec());
        }
    }
    let call = Call { kernel: ask.kernel.clone(), actor: Some(ask.actor().clone()), values };
    let report = (command.run)(call).await.map_err(refusal)?;
    Ok(done(request, session, &report))
}

fn done(request: &Adhoc, session: &str, report: &Report) -> Adhoc {
    let answer = request.answer(session, Status::Completed).note(Level::Info, &report.text);
    if report.columns.is_empty() {
        return answer;
    }
    let mut form = Form::of(FormType::Result, ns::ADMIN);
    if let [column] = &report.columns[..] {
        // One column is one field with many values, as XEP-0133 shows its lists.
        let values = report.rows.iter().filter_map(|row| row.first().cloned()).collect();
        form = form.field(Field { values, ..Field::new(FieldType::TextMulti, column) });
    } else {
        form.reported = report.columns.iter().map(|name| Field::new(FieldType::TextSingle, name)).collect();
        let row = |row: &Vec<String>| {
            report.columns.iter().zip(row).map(|(name, value)| Field::untyped(name, value)).collect()
        };
        form.items = report.rows.iter().map(row).collect();
    }
    answer.form(form)
}

fn refusal(error: CommandError) -> StanzaError {
    let condition = match &error {
        CommandError::BadInput(_) => Condition::BadRequest,
        CommandError::NotFound(_) => Condition::ItemNotFound,
        CommandError::Exists(_) => Condition::Conflict,
        _ => Condition::InternalServerError,
    };
    StanzaError::new(condition).text(error.to_string())
}
