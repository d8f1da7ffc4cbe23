//! In-band registration (XEP-0077): change of password and removal for everybody, sign-up where the administrator
//! allows it.

mod step;

use crate::accounts;
use bytes::Bytes;
use kernel::{
    Feature, Hook, Kernel,
    command::CommandError,
    hooks::{Ask, At, Handler, Iq, Xep},
};
use linnet_xeps::{
    Payload, ns,
    register::{Register, Request},
};
use linnet_xmpp::{
    Jid, StanzaError,
    stanza::{Class, Condition, Type},
    stream::{Answer, Need},
};
use std::sync::Arc;
use store::Future;

/// In-band registration.
pub static FEATURE: Feature = Feature {
    name: "registration",
    xeps: &[Xep { number: 77, version: "2.4", note: "" }],
    server_features: &[ns::REGISTER],
    account_features: &[],
    stream_features: &[],
    hooks: &[
        Hook::Step(&step::SignUp, |settings| settings.registration),
        Hook::Stream(sign_up),
        Hook::Iq(Iq {
            name: "query",
            ns: ns::REGISTER,
            get: true,
            set: true,
            at: &[At::Own, At::Server],
            handler: Handler::Later(answer),
        }),
    ],
};

/// A new account for somebody who is not logged in (§3.1).
fn sign_up(kernel: Arc<Kernel>, need: Need) -> Future<'static, Option<Answer>> {
    Box::pin(async move {
        let Need::SignUp { username, domain, password } = need else { return None };
        let made = async {
            if !kernel.settings.registration {
                return Err(StanzaError::new(Condition::NotAllowed).text("accounts are made by the administrator here"));
            }
            let jid = Jid::new(Some(&username), &domain, None)
                .map_err(|_| StanzaError::new(Condition::NotAcceptable).text("this user name is not allowed"))?;
            accounts::create(&kernel, &jid, &password).await.map_err(refusal)
        };
        Some(Answer::SignedUp(made.await))
    })
}

/// Of an account that is logged in (§3.2, §3.3).
fn answer(ask: Ask) -> Future<'static, Result<Bytes, StanzaError>> {
    Box::pin(async move {
        let account = ask.actor().bare();
        let username = account.local().unwrap_or_default().to_owned();
        let query =
            ask.stanza.payload().ok_or_else(|| StanzaError::new(Condition::BadRequest)).and_then(Register::read)?;
        if ask.stanza.ty == Type::Get {
            let answer = Register { registered: true, ..Register::default() };
            return Ok(answer.field("username", &username).field("password", "").to_bytes());
        }
        // §3.3: a change that does not say everything is a bad request, other than in a sign-up (§3.1.1).
        let incomplete = |error| StanzaError { condition: Condition::BadRequest, class: Class::Modify, ..error };
        match query.request().map_err(incomplete)? {
            Request::Remove => remove_soon(&ask, account),
            Request::Set { username: wanted, password } => {
                let same = Jid::new(Some(&wanted), account.domain(), None).is_ok_and(|jid| jid == account);
                if !same {
                    // One's own password only; another account is not made from within a session.
                    return Err(StanzaError::new(Condition::NotAllowed).text("this is not your user name"));
                }
                accounts::set_password(&ask.kernel, &account, &password).await.map_err(refusal)?;
            }
        }
        Ok(Bytes::new())
    })
}

/// The result has to reach the client before its session ends (§3.2): the account goes a moment later.
fn remove_soon(ask: &Ask, account: Jid) {
    let kernel = ask.kernel.clone();
    ask.kernel.context.spawn(Box::pin(async move {
        kernel.context.sleep(std::time::Duration::from_millis(100)).await;
        if let Err(error) = accounts::remove(&kernel, &account).await {
            tracing::error!(%error, %account, "an account that asked for it could not be removed");
        }
    }));
}

fn refusal(error: CommandError) -> StanzaError {
    let condition = match &error {
        CommandError::BadInput(_) => Condition::NotAcceptable,
        CommandError::Exists(_) => Condition::Conflict,
        CommandError::NotFound(_) => Condition::ItemNotFound,
        _ => Condition::InternalServerError,
    };
    StanzaError::new(condition).text(error.to_string())
}
