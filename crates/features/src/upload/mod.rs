//! Files that people send each other: slots by XMPP, content over HTTP (XEP-0363 1.2.0 with purposes).
//!
//! A request for a slot (`slot`) becomes a row of its account. The file comes with one PUT (`put`), is kept as a blob, and
//! the row moves to the files; then whoever knows its URL gets it (`get`). `keep` removes what is over.
//!
//! Not done: looking into files. What is kept is what was sent.

mod commands;
mod get;
mod keep;
mod limits;
mod media;
mod name;
mod put;
mod range;
mod record;
mod slot;
mod web;

pub(crate) use keep::Kept;

use kernel::{
    Feature, Hook, Kernel, Service,
    hooks::{At, Handler, Iq, Xep},
    jobs::Job,
};
use linnet_xeps::{
    forms::{Field, Form, FormType},
    ns,
};

/// HTTP file upload.
pub static FEATURE: Feature = Feature {
    name: "upload",
    xeps: &[Xep { number: 363, version: "1.2.0", note: "" }],
    server_features: &[],
    account_features: &[],
    stream_features: &[],
    hooks: &[
        Hook::Service(Service {
            label: LABEL,
            identity: ("store", "file", "HTTP File Upload"),
            features: &[
                ns::UPLOAD,
                "urn:xmpp:http:upload:purpose:0#message",
                "urn:xmpp:http:upload:purpose:0#profile",
                "urn:xmpp:http:upload:purpose:0#ephemeral",
                "urn:xmpp:http:upload:purpose:0#permanent",
            ],
            documents: &[],
            rooms: None,
            receive: None,
        }),
        Hook::Iq(Iq {
            name: "request",
            ns: ns::UPLOAD,
            get: true,
            set: false,
            at: &[At::Service(LABEL)],
            handler: Handler::Later(slot::answer),
        }),
        Hook::Web(&web::ROUTE),
        Hook::Job(Job { name: "upload expiry", every: limits::SWEEP, step: keep::step }),
        Hook::Command(&commands::LIST),
        Hook::Command(&commands::REMOVE),
    ],
};

/// The label of the service before the domain.
pub(crate) const LABEL: &str = "upload";

/// What the service says beside its features: the largest file (XEP-0363 §3).
pub(crate) fn form(kernel: &Kernel) -> Form {
    let most = slot::largest(kernel, false).to_string();
    Form::of(FormType::Result, ns::UPLOAD).field(Field::untyped("max-file-size", &most))
}
