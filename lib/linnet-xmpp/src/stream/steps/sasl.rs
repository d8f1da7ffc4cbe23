//! SASL in its profile for XMPP (RFC 6120 §6), with the channel-binding types of XEP-0440.

use super::{AcceptLogin, AcceptStep, Bits, InitiateLogin, InitiateStep, Progress, Then};
use crate::{
    jid::Jid,
    ns,
    sasl::{Client, ClientError, Failure, MAX_ITERATIONS, MIN_ITERATIONS, Mechanism, Server, ServerStep, offer},
    stream::{Answer, InitiateConfig, InitiateError, Login, Need, Secured, StreamCondition, StreamError},
    xml::{Document, Node, Writer},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Both sides of SASL.
#[derive(Debug)]
pub(super) struct Sasl;

impl AcceptStep for Sasl {
    fn needs(&self) -> Bits {
        Bits::PRIVATE
    }

    fn forbids(&self) -> Bits {
        Bits::AUTHENTICATED | Bits::BOUND
    }

    fn advertise(&self, login: &AcceptLogin, features: &mut Writer) {
        if offers_plus(login) {
            features.open("sasl-channel-binding", ns::SASL_CHANNEL_BINDING);
            for ty in login.secured.iter().flat_map(|secured| secured.bindings.types()) {
                features.open("channel-binding", ns::SASL_CHANNEL_BINDING).attr("type", ty).close();
            }
            features.close();
        }
        features.open("mechanisms", ns::SASL);
        for mechanism in offered(login) {
            features.leaf("mechanism", ns::SASL, mechanism.name());
        }
        features.close();
    }

    fn takes(&self, element: Node<'_>) -> bool {
        element.ns() == ns::SASL
    }

    fn element(&self, login: &mut AcceptLogin, element: Document) -> Progress<StreamError> {
        let root = element.root();
        match root.name() {
            "auth" => start(login, root),
            "response" => match data(root) {
                Err(failure) => fail(login, failure),
                // A <response/> has data even where it is empty (RFC 6120 §6.4.3).
                Ok(data) => exchange(login, |server| server.response(Some(&data.unwrap_or_default()))),
            },
            "abort" => fail(login, Failure::Aborted),
            _ => StreamCondition::UnsupportedStanzaType.into(),
        }
    }

    /// In the clear a mechanism is refused as RFC 6120 §6.5.4 says; after a login the stream is closed, since there is
    /// one login to a stream (§4.9.3.12: not authorized to perform an action related to stream negotiation).
    fn untimely(&self, bits: Bits, _element: Document) -> Progress<StreamError> {
        if bits.has_any(Bits::AUTHENTICATED | Bits::BOUND) {
            return StreamCondition::NotAuthorized.into();
        }
        Progress::write(failure(Failure::EncryptionRequired))
    }

    fn answer(&self, login: &mut AcceptLogin, answer: Answer) -> Progress<StreamError> {
        match answer {
            Answer::Keys(Ok((keys, proved))) => exchange(login, |server| server.keys(keys, proved)),
            Answer::Keys(Err(failure)) => fail(login, failure),
            Answer::Verified(username) => exchange(login, |server| server.verified(username)),
            _ => StreamCondition::InternalServerError.into(),
        }
    }
}

/// The mechanisms possible on this stream, in the configured order. Channel binding only with the type that every
/// server must have, since clients take a list without it for an attack (XEP-0440 §3, rules 1 and 6).
pub(super) fn offered(login: &AcceptLogin) -> impl Iterator<Item = Mechanism> {
    let bound = login.secured.as_ref().is_some_and(|secured| secured.bindings.server_end_point.is_some());
    let certificate = login.secured.as_ref().is_some_and(|secured| secured.certificate);
    login.config.mechanisms.iter().copied().filter(move |mechanism| match mechanism {
        Mechanism::Scram { plus: true, .. } => bound,
        Mechanism::External => certificate,
        Mechanism::Scram { plus: false, .. } | Mechanism::Plain | Mechanism::Anonymous => true,
    })
}

fn offers_plus(login: &AcceptLogin) -> bool {
    offered(login).any(|mechanism| matches!(mechanism, Mechanism::Scram { plus: true, .. }))
}

/// The server's side of a mechanism, if it is one of those offered.
pub(super) fn server(login: &AcceptLogin, mechanism: &str) -> Option<Server> {
    let mechanism = offered(login).find(|offered| offered.name() == mechanism)?;
    let bindings = login.secured.as_ref().map(|secured| secured.bindings.clone()).unwrap_or_default();
    let plus = offers_plus(login);
    let names: Vec<_> = offered(login).map(Mechanism::name).collect();
    let types: Vec<_> = bindings.types().filter(|_| plus).collect();
    let offer = offer(&names, &types);
    Some(Server::new(mechanism, &login.domain, bindings, plus, login.nonce()).advertised(offer))
}

/// Counts a failed login. The error that ends the stream when there were enough (RFC 6120 §6.4.5). A failure of ours
/// counts as none.
pub(super) fn count_failure(login: &mut AcceptLogin, reason: Failure) -> Option<StreamError> {
    login.exchange = None;
    login.is_busy = false;
    if reason != Failure::TemporaryAuthFailure {
        login.failures = login.failures.saturating_add(1);
    }
    (login.failures >= login.config.login_attempts)
        .then(|| StreamError::new(StreamCondition::PolicyViolation).text("too many failed logins"))
}

/// `<auth/>` (RFC 6120 §6.4.2). An exchange that is not over is forgotten.
fn start(login: &mut AcceptLogin, auth: Node<'_>) -> Progress<StreamError> {
    let Some(server) = auth.attr("mechanism").and_then(|name| server(login, &name)) else {
        return fail(login, Failure::InvalidMechanism);
    };
    let initial = match data(auth) {
        Ok(initial) => initial,
        Err(failure) => return fail(login, failure),
    };
    login.exchange = Some(Box::new(server));
    exchange(login, |server| server.response(initial.as_deref()))
}

/// Takes the exchange one step on.
fn exchange(login: &mut AcceptLogin, step: impl FnOnce(&mut Server) -> ServerStep) -> Progress<StreamError> {
    let Some(server) = login.exchange.as_mut().and_then(|exchange| exchange.downcast_mut::<Server>()) else {
        return fail(login, Failure::MalformedRequest);
    };
    let domain = login.domain.clone();
    let need = match step(server) {
        ServerStep::Failed(failure) => return fail(login, failure),
        ServerStep::Done { username, data } => return done(login, username, data),
        ServerStep::Challenge(data) => {
            let mut out = Writer::new(ns::CLIENT);
            out.leaf("challenge", ns::SASL, &STANDARD.encode(data));
            return Progress::write(out.finish());
        }
        ServerStep::Keys { username, hash } => Need::Keys { username, domain, hash },
        ServerStep::Verify { username, password } => Need::Verify { username, domain, password },
        ServerStep::Certificate { authzid } => Need::Certificate { authzid, domain },
    };
    Progress::then(Then::Need(need))
}

fn done(login: &mut AcceptLogin, username: Option<String>, data: Option<Vec<u8>>) -> Progress<StreamError> {
    if let (Some(from), Some(username)) = (&login.from, &username) {
        // §6.4.6: who said who he is must be that one.
        let same = Jid::new(Some(username), &login.domain, None).is_ok_and(|jid| jid == *from);
        if !same {
            return Progress::then(Then::Fail(
                StreamError::new(StreamCondition::InvalidFrom).text("'from' of the stream header is somebody else"),
            ));
        }
    }
    login.exchange = None;
    login.username = username;
    let mut out = Writer::new(ns::CLIENT);
    out.open("success", ns::SASL);
    if let Some(data) = data {
        out.text(&encoded(&data));
    }
    out.close();
    Progress::write(out.finish()).set(Bits::AUTHENTICATED).and(Then::Restart)
}

/// Refuses, and closes the stream when there were enough failures.
fn fail(login: &mut AcceptLogin, reason: Failure) -> Progress<StreamError> {
    let enough = count_failure(login, reason);
    Progress { then: enough.map_or(Then::Continue, Then::Fail), ..Progress::write(failure(reason)) }
}

fn failure(reason: Failure) -> bytes::Bytes {
    let mut out = Writer::new(ns::CLIENT);
    out.open("failure", ns::SASL).open(reason.name(), ns::SASL).close().close();
    out.finish()
}

/// The data of an element (RFC 6120 §6.3.5, §6.4.2): none, or in base 64, where `=` is data of length zero.
fn data(element: Node<'_>) -> Result<Option<Vec<u8>>, Failure> {
    if element.children().next().is_some() {
        return Err(Failure::MalformedRequest);
    }
    match &*element.text() {
        "" => Ok(None),
        "=" => Ok(Some(Vec::new())),
        text => STANDARD.decode(text).map(Some).map_err(|_| Failure::IncorrectEncoding),
    }
}

/// Data in base 64, where `=` is data of length zero.
fn encoded(data: &[u8]) -> String {
    if data.is_empty() { "=".to_owned() } else { STANDARD.encode(data) }
}

impl InitiateStep for Sasl {
    fn needs(&self) -> Bits {
        Bits::PRIVATE
    }

    fn forbids(&self) -> Bits {
        Bits::AUTHENTICATED
    }

    fn start(&self, login: &mut InitiateLogin, features: Node<'_>) -> Option<Progress<InitiateError>> {
        let mechanisms = features.child("mechanisms", ns::SASL);
        let names: Vec<_> = mechanisms
            .iter()
            .flat_map(|list| list.children())
            .filter(|child| child.is("mechanism", ns::SASL))
            .map(|m| m.text())
            .collect();
        let offered: Vec<&str> = names.iter().map(|name| name.trim_ascii()).collect();
        let mut client = match client(login, features, &offered, false) {
            Ok(client) => client,
            Err(error) => return Some(Progress::then(Then::Fail(error))),
        };
        let mut out = Writer::new(ns::CLIENT);
        out.open("auth", ns::SASL)
            .attr("mechanism", client.mechanism().name())
            .text(&encoded(&client.initial()))
            .close();
        login.exchange = Some(Box::new(client));
        Some(Progress::write(out.finish()))
    }

    fn element(&self, login: &mut InitiateLogin, element: &Document) -> Option<Progress<InitiateError>> {
        let root = element.root();
        if root.ns() != ns::SASL {
            return None;
        }
        let client = login.exchange.as_mut()?.downcast_mut::<Client>()?;
        match root.name() {
            "challenge" => {
                let answer = data(root)
                    .map_err(|_| ClientError::BadChallenge)
                    .and_then(|data| client.challenge(&data.unwrap_or_default()));
                Some(match answer {
                    Ok(answer) => {
                        let mut out = Writer::new(ns::CLIENT);
                        out.leaf("response", ns::SASL, &STANDARD.encode(answer));
                        Progress::write(out.finish())
                    }
                    Err(error) => {
                        let mut out = Writer::new(ns::CLIENT);
                        out.open("abort", ns::SASL).close();
                        Progress::write(out.finish()).and(Then::Fail(InitiateError::Sasl(error)))
                    }
                })
            }
            "success" => {
                let checked =
                    data(root).map_err(|_| ClientError::BadChallenge).and_then(|data| client.success(data.as_deref()));
                Some(match checked {
                    Ok(()) => Progress::then(Then::Restart).set(Bits::AUTHENTICATED),
                    Err(error) => Progress::then(Then::Fail(InitiateError::Sasl(error))),
                })
            }
            "failure" => Some(Progress::then(Then::Fail(refused(root)))),
            _ => None,
        }
    }
}

/// Why the server refuses (RFC 6120 §6.5).
pub(super) fn refused(failure: Node<'_>) -> InitiateError {
    let text = failure.child("text", failure.ns()).map(|text| text.text().into());
    let condition = failure.children().find(|child| child.ns() == ns::SASL && child.name() != "text");
    let condition = condition.map_or(Failure::NotAuthorized.name(), |child| child.name()).into();
    InitiateError::Login { condition, text }
}

/// Whether so many iterations are enough and not too many.
pub(super) fn iterations(count: u32) -> Result<(), ClientError> {
    match count {
        ..MIN_ITERATIONS => Err(ClientError::IterationsTooFew),
        MIN_ITERATIONS..=MAX_ITERATIONS => Ok(()),
        _ => Err(ClientError::IterationsTooMany),
    }
}

/// The client's side of the best of the mechanisms offered. `strict`: mechanisms that bind to channels are never offered
/// without the types of channels (XEP-0440 §3, rule 4).
pub(super) fn client(
    login: &InitiateLogin,
    features: Node<'_>,
    offered: &[&str],
    strict: bool,
) -> Result<Client, InitiateError> {
    let list = features.child("sasl-channel-binding", ns::SASL_CHANNEL_BINDING);
    let types: Vec<_> = list.iter().flat_map(|list| list.children()).filter_map(|ty| ty.attr("type")).collect();
    let types: Vec<&str> = types.iter().map(|ty| &**ty).collect();
    let secured = login.secured.clone().unwrap_or_default();
    let Some(mechanism) = choose(&login.config, offered, &secured, &types) else {
        let offered = offered.iter().map(|name| Box::from(*name)).collect();
        return Err(InitiateError::NoMechanism { offered });
    };
    let plus = offered.iter().any(|name| matches!(Mechanism::named(name), Some(Mechanism::Scram { plus: true, .. })));
    let is_bare = strict && matches!(mechanism, Mechanism::Scram { plus: true, .. }) && types.is_empty();
    if is_bare || downgraded(&login.config, &secured, plus, &types) {
        return Err(InitiateError::Downgrade);
    }
    let (username, password) = match &login.config.login {
        Login::Password { username, password } => (&**username, &**password),
        Login::Certificate { authzid } => (authzid.as_deref().unwrap_or_default(), ""),
        Login::Anonymous => ("", ""),
    };
    let client = Client::new(mechanism, username, password, secured.bindings, &types, plus, login.nonce());
    Ok(client.compare(offer(offered, &types)))
}

/// Whether somebody between us and the server took channel binding out of what it offers (XEP-0440 §3, rules 5 and 6):
/// types without a mechanism for them, or a list from which what every server has is missing.
fn downgraded(config: &InitiateConfig, secured: &Secured, plus: bool, types: &[&str]) -> bool {
    let binds = config.mechanisms.iter().any(|mechanism| matches!(mechanism, Mechanism::Scram { plus: true, .. }));
    if !binds
        || !matches!(config.login, Login::Password { .. })
        || types.is_empty()
        || secured.bindings.types().next().is_none()
    {
        return false;
    }
    let shared = secured.bindings.types().any(|ours| types.contains(&ours));
    !plus || (!shared && !types.contains(&"tls-server-end-point"))
}

/// The mechanism to use: of those offered and allowed the best for what we log in with.
fn choose(config: &InitiateConfig, offered: &[&str], secured: &Secured, types: &[&str]) -> Option<Mechanism> {
    let usable = |mechanism: Mechanism| match config.login {
        Login::Password { .. } => matches!(mechanism, Mechanism::Plain | Mechanism::Scram { .. }),
        Login::Certificate { .. } => mechanism == Mechanism::External,
        Login::Anonymous => mechanism == Mechanism::Anonymous,
    };
    let named = |name: &&&str| Mechanism::named(name).filter(|m| usable(*m) && config.mechanisms.contains(m));
    match config.login {
        Login::Password { .. } => {
            let allowed: Vec<&str> = offered.iter().filter(|name| named(name).is_some()).copied().collect();
            Client::choose(&allowed, &secured.bindings, types, true)
        }
        Login::Certificate { .. } | Login::Anonymous => offered.iter().find_map(|name| named(&name)),
    }
}
