//! Group chats (XEP-0045) at `rooms.DOMAIN`. A room is an owner of its own: what lasts of it is committed like an
//! account's, who is in it is in memory.
//!
//! `room` is a room as one stanza finds it and leaves it; `privileges` says who may do what, `config` what owners may
//! set (with `setting`), `record` what is stored, `occupants` who is here, `broadcast` what they are told of each other. The other files
//! are the use cases, in the order of the specification's chapters: `disco` (§6), `enter`, `history`, `speak`, `private`,
//! `nick`, `invite`, `register`, `voice`, `leave` (§7), `subject`, `admin` (§8, §9), `owner` (§10), `requests` (§17.4); and `archive`, `retract` and
//! `wake`.
//!
//! Not done: approval of registrations by message (§9.9); who may not register is told so.

mod admin;
mod archive;
mod broadcast;
mod config;
mod disco;
mod enter;
mod forget;
mod history;
mod invite;
mod leave;
mod limits;
mod names;
mod nick;
mod occupants;
mod owner;
mod private;
mod privileges;
mod record;
mod register;
mod requests;
mod retract;
mod room;
mod setting;
mod speak;
mod subject;
mod voice;
mod wake;

pub(crate) use forget::account as forget;

use kernel::{
    Feature, Hook, Service, Turn,
    hooks::{At, Handler, Iq, Refusal, Xep},
};
use linnet_xeps::{Payload, forms::Form, muc::User, ns};
use linnet_xmpp::{
    StanzaError,
    stanza::{Condition, Kind, Type},
    xml::Writer,
};

/// Group chats.
pub static FEATURE: Feature = Feature {
    name: "rooms",
    xeps: &[
        Xep { number: 45, version: "1.35.5", note: "registrations are not approved by message" },
        Xep { number: 249, version: "1.2", note: "" },
        Xep { number: 307, version: "0.1", note: "" },
        Xep { number: 410, version: "1.1.0", note: "" },
        Xep { number: 421, version: "1.0.1", note: "" },
        Xep { number: 424, version: "0.4.2", note: "in rooms" },
        Xep { number: 425, version: "0.3.0", note: "" },
    ],
    server_features: &[],
    account_features: &[],
    stream_features: &[],
    hooks: &[
        Hook::Service(Service {
            label: LABEL,
            identity: ("conference", "text", "Group chats"),
            features: disco::SERVICE,
            documents: &[],
            rooms: Some(record::PARTS),
            receive: Some(receive),
        }),
        Hook::Notice(wake::told),
        Hook::Started(forget::left_over),
        Hook::Iq(iq("query", ns::DISCO_INFO, true, false, Handler::Now(disco::info))),
        Hook::Iq(iq("query", ns::DISCO_ITEMS, true, false, Handler::Later(|ask| Box::pin(disco::items(ask))))),
        Hook::Iq(iq("unique", ns::MUC_UNIQUE, true, false, Handler::Now(disco::unique))),
        Hook::Iq(iq("query", ns::MUC_ADMIN, true, true, Handler::Now(admin::answer))),
        Hook::Iq(iq("query", ns::MUC_OWNER, true, true, Handler::Now(owner::answer))),
        Hook::Iq(iq("query", ns::REGISTER, true, true, Handler::Now(register::answer))),
        Hook::Iq(iq("query", ns::MAM, true, false, Handler::Now(archive::fields))),
        Hook::Iq(iq("query", ns::MAM, false, true, Handler::Later(|ask| Box::pin(archive::answer(ask))))),
        Hook::Iq(iq("metadata", ns::MAM, true, false, Handler::Later(|ask| Box::pin(archive::metadata(ask))))),
        Hook::Iq(iq("moderate", ns::MODERATE, false, true, Handler::Later(|ask| Box::pin(retract::moderate(ask))))),
        Hook::Iq(iq("apply-to", ns::FASTEN, false, true, Handler::Later(|ask| Box::pin(retract::moderate(ask))))),
        Hook::Job(archive::RETENTION),
    ],
};

/// The service's label.
pub(crate) const LABEL: &str = "rooms";

const fn iq(name: &'static str, namespace: &'static str, get: bool, set: bool, handler: Handler) -> Iq {
    Iq { name, ns: namespace, get, set, at: &[At::Service(LABEL)], handler }
}

/// Messages and presence to the service and its rooms, and iqs to occupants.
fn receive(turn: &mut Turn<'_>) -> Result<(), Refusal> {
    if turn.account.address.local().is_none() {
        return match turn.stanza.kind {
            Kind::Presence => Ok(()),
            _ => Err(StanzaError::new(Condition::ServiceUnavailable).into()),
        };
    }
    match turn.stanza.kind {
        Kind::Presence => {
            presence(turn);
            Ok(())
        }
        Kind::Message => message(turn).map_err(|error| error.by(turn.account.address.clone()).into()),
        Kind::Iq => {
            requests::pass(turn)?;
            Ok(())
        }
    }
}

/// Presence comes by the outbox of its sender, where no error waits for an answer: the room sends it itself.
fn presence(turn: &mut Turn<'_>) {
    let result = match turn.stanza.ty {
        Type::Available => enter::presence(turn),
        Type::Unavailable => {
            enter::unavailable(turn);
            Ok(())
        }
        Type::Error => {
            leave::bounced(turn);
            Ok(())
        }
        // §17.3: nothing else means that one enters or leaves.
        _ => Ok(()),
    };
    let Err(error) = result else { return };
    let error = error.by(turn.account.address.clone());
    let Some(mut answer) = turn.stanza.error(&error) else { return };
    // By this clients know that it is a room that answers.
    let mut out = Writer::new(linnet_xmpp::ns::CLIENT);
    out.open("x", ns::MUC).close();
    answer.set_inner([&out.finish()[..], &answer.inner()[..]].concat().into());
    let to = turn.actor().clone();
    turn.emit(answer, vec![to]);
}

fn message(turn: &mut Turn<'_>) -> Result<(), StanzaError> {
    let stanza = turn.stanza.clone();
    let is_to_occupant = stanza.to.as_ref().is_some_and(|to| to.resource().is_some());
    match stanza.ty {
        Type::Error => {
            leave::bounced(turn);
            Ok(())
        }
        _ if is_to_occupant => private::message(turn),
        Type::Groupchat => speak::to_all(turn),
        _ => to_the_room(turn),
    }
}

/// What is for the room itself: invitations, and forms.
fn to_the_room(turn: &mut Turn<'_>) -> Result<(), StanzaError> {
    let stanza = turn.stanza.clone();
    if let Some(node) = stanza.child("x", ns::MUC_USER) {
        let user = User::read(node)?;
        if let Some(decline) = user.decline {
            return invite::decline(turn, decline);
        }
        if !user.invites.is_empty() {
            return invite::pass(turn, user.invites);
        }
    }
    if let Some(node) = stanza.child("x", ns::DATA_FORMS) {
        let form = Form::read(node)?;
        if form.find("FORM_TYPE").is_some_and(|field| field.values.first().is_some_and(|ty| ty == ns::MUC_REQUEST)) {
            return voice::form(turn, &form);
        }
    }
    let room = room::Room::of(turn)?;
    room.occupant(turn.actor())?;
    // §17.2: what is for all is of type groupchat.
    Err(StanzaError::new(Condition::BadRequest).text("messages to all are of type groupchat"))
}
