//! The server's side of SASL 2: a mechanism or a token, upgrades that the client offers, and at last one question about
//! all that is wanted with the login.

use super::{
    super::{AcceptLogin, AcceptStep, Bits, Progress, Then, sasl, sm},
    Sasl2, data, encoded,
    request::Request,
    upgrade::{self, Tasks},
    with_data,
};
use crate::{
    jid::Jid,
    ns,
    sasl::{Failure, Mechanism, Server, ServerStep, TokenMechanism, TokenProof},
    stream::{
        Answer, BindRequest, Control, Entered, Entry, Need, NotResumed, Proof, StreamCondition, StreamError,
        control::too_high,
    },
    xml::{Document, Node, Writer},
};
use bytes::Bytes;

/// A login that is not over.
#[derive(Debug)]
struct Exchange {
    request: Request,
    stage: Stage,
    /// Who it is, and how he has proved it.
    proved: Option<(Option<String>, Proof)>,
    /// What the mechanism has to say with success, until it is said.
    data: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Stage {
    Mechanism(Box<Server>),
    Token(TokenProof),
    /// It is being asked which keys are wanted.
    Asking,
    Tasks(Tasks),
    Entering,
}

impl AcceptStep for Sasl2 {
    fn needs(&self) -> Bits {
        Bits::PRIVATE
    }

    fn forbids(&self) -> Bits {
        Bits::AUTHENTICATED | Bits::BOUND
    }

    fn advertise(&self, login: &AcceptLogin, features: &mut Writer) {
        features.open("authentication", ns::SASL2);
        for mechanism in sasl::offered(login) {
            features.leaf("mechanism", ns::SASL2, mechanism.name());
        }
        features.open("inline", ns::SASL2);
        let steps = &login.config.steps;
        features.open("bind", ns::BIND2).open("inline", ns::BIND2);
        let known = steps.iter().filter_map(|step| step.bind_feature());
        for var in known.chain(login.config.bind_features.iter().copied()) {
            features.open("feature", ns::BIND2).attr("var", var).close();
        }
        features.close().close();
        steps.iter().for_each(|step| step.advertise_inline(login, features));
        features.close();
        for hash in upgrade::HASHES {
            features.leaf("upgrade", ns::SASL_UPGRADE, &upgrade::name(hash));
        }
        features.close();
    }

    fn takes(&self, element: Node<'_>) -> bool {
        element.ns() == ns::SASL2
    }

    fn element(&self, login: &mut AcceptLogin, element: Document) -> Progress<StreamError> {
        let root = element.root();
        if root.name() == "authenticate" {
            return start(login, element);
        }
        let Some(exchange) = exchange(login) else { return fail(login, Failure::MalformedRequest) };
        match (root.name(), &mut exchange.stage) {
            ("abort", _) => fail(login, Failure::Aborted),
            ("response", Stage::Mechanism(server)) => {
                let step = data(root).map(|data| server.response(Some(&data)));
                go_on(login, step.unwrap_or_else(ServerStep::Failed))
            }
            ("next", Stage::Tasks(tasks)) => match tasks.begin(root) {
                Ok(salt) => Progress::write(salt),
                Err(failure) => fail(login, failure),
            },
            ("task-data", Stage::Tasks(tasks)) => match tasks.keys(root) {
                Ok(keys) => {
                    let username = exchange.proved.iter().find_map(|(name, _)| name.clone()).unwrap_or_default();
                    Progress::then(Then::Need(Need::Upgrade { username, domain: login.domain.clone(), keys }))
                }
                Err(failure) => fail(login, failure),
            },
            ("response" | "next" | "task-data", _) => fail(login, Failure::MalformedRequest),
            _ => StreamCondition::UnsupportedStanzaType.into(),
        }
    }

    /// In the clear it is refused; once somebody is logged in, the stream ends (XEP-0388 §4.8).
    fn untimely(&self, bits: Bits, _element: Document) -> Progress<StreamError> {
        if bits.has_any(Bits::AUTHENTICATED | Bits::BOUND) {
            return Progress::then(Then::Fail(StreamError::new(StreamCondition::NotAuthorized).text("a second login")));
        }
        Progress::write(failure(Failure::EncryptionRequired, None))
    }

    fn may_go_on(&self, element: Node<'_>) -> bool {
        element.ns() == ns::SASL2 && element.name() != "authenticate"
    }

    fn answer(&self, login: &mut AcceptLogin, answer: Answer) -> Progress<StreamError> {
        let Some(exchange) = exchange(login) else { return StreamCondition::InternalServerError.into() };
        match (answer, &mut exchange.stage) {
            (Answer::Keys(Ok((keys, proved))), Stage::Mechanism(server)) => {
                let step = server.keys(keys, proved);
                go_on(login, step)
            }
            (Answer::Verified(username), Stage::Mechanism(server)) => {
                let step = server.verified(username);
                go_on(login, step)
            }
            (Answer::Token(Ok(data)), Stage::Token(proof)) => {
                let username = Some(proof.username.clone());
                proved(login, username, Proof::Token, Some(data))
            }
            (Answer::Keys(Err(failure)) | Answer::Token(Err(failure)) | Answer::Verified(Err(failure)), _) => {
                fail(login, failure)
            }
            (Answer::Upgrades(wanted), Stage::Asking) => next_task(login, Tasks::new(wanted)),
            (Answer::Upgraded(Err(failure)) | Answer::Entered(Err(failure)), _) => fail(login, failure),
            (Answer::Upgraded(Ok(())), Stage::Tasks(_)) => {
                match std::mem::replace(&mut exchange.stage, Stage::Asking) {
                    Stage::Tasks(tasks) => next_task(login, tasks.rest()),
                    _ => StreamCondition::InternalServerError.into(),
                }
            }
            (Answer::Entered(Ok(entered)), Stage::Entering) => succeed(login, *entered),
            _ => StreamCondition::InternalServerError.into(),
        }
    }
}

fn exchange(login: &mut AcceptLogin) -> Option<&mut Exchange> {
    login.exchange.as_mut()?.downcast_mut()
}

/// `<authenticate/>` (§2.3).
fn start(login: &mut AcceptLogin, element: Document) -> Progress<StreamError> {
    let mut request = match Request::read(element, &login.config.steps) {
        Ok(request) => request,
        Err(failure) => return fail(login, failure),
    };
    if request.features_version.is_some() && request.features_version != login.features_version {
        // XEP-0509 §2.2: this is no failed login.
        let mut mismatch = Writer::new(ns::CLIENT);
        mismatch.open("config-version-mismatch", ns::PIPELINING).close();
        return Progress::write(failure(Failure::Aborted, Some(&mismatch.finish())));
    }
    let mechanism = std::mem::take(&mut request.mechanism);
    let initial = request.initial.take();
    if let Some(mechanism) = TokenMechanism::named(&mechanism) {
        return token(login, request, mechanism, initial);
    }
    match sasl::server(login, &mechanism) {
        Some(mut server) if !request.is_fast => {
            let step = server.response(initial.as_deref());
            begin(login, request, Stage::Mechanism(Box::new(server)));
            go_on(login, step)
        }
        _ => fail(login, Failure::InvalidMechanism),
    }
}

fn begin(login: &mut AcceptLogin, request: Request, stage: Stage) {
    login.is_busy = true;
    login.exchange = Some(Box::new(Exchange { request, stage, proved: None, data: None }));
}

/// Login by a token (XEP-0484 §3.4), which belongs to one installation of a client (§4.1).
fn token(
    login: &mut AcceptLogin,
    request: Request,
    mechanism: TokenMechanism,
    initial: Option<Vec<u8>>,
) -> Progress<StreamError> {
    let (Some(initial), Some(device), true) = (initial, request.agent.id.clone(), request.is_fast) else {
        return fail(login, Failure::MalformedRequest);
    };
    let bindings = login.secured.as_ref().map(|secured| secured.bindings.clone()).unwrap_or_default();
    match TokenProof::read(mechanism, &initial, &bindings) {
        Err(failure) => fail(login, failure),
        Ok(proof) => {
            begin(login, request, Stage::Token(proof.clone()));
            let (username, domain) = (proof.username.clone(), login.domain.clone());
            Progress::then(Then::Need(Need::Token { username, domain, device, proof }))
        }
    }
}

/// Takes a mechanism one step on.
fn go_on(login: &mut AcceptLogin, step: ServerStep) -> Progress<StreamError> {
    let domain = login.domain.clone();
    Progress::then(Then::Need(match step {
        ServerStep::Failed(failure) => return fail(login, failure),
        ServerStep::Challenge(data) => return Progress::write(with_data("challenge", &data)),
        ServerStep::Done { username, data } => {
            let proof = match exchange(login).map(|exchange| &exchange.stage) {
                Some(Stage::Mechanism(server)) if server.mechanism() == Mechanism::External => Proof::Certificate,
                _ if username.is_none() => Proof::Anonymous,
                _ => Proof::Password,
            };
            return proved(login, username, proof, data);
        }
        ServerStep::Keys { username, hash } => Need::Keys { username, domain, hash },
        ServerStep::Verify { username, password } => Need::Verify { username, domain, password },
        ServerStep::Certificate { authzid } => Need::Certificate { authzid, domain },
    }))
}

/// Somebody has proved who he is. Keys that he would give are asked about before anything is done for him.
fn proved(
    login: &mut AcceptLogin,
    username: Option<String>,
    proof: Proof,
    data: Option<Vec<u8>>,
) -> Progress<StreamError> {
    // §2.3: who said who he is must be that one.
    let own = username.as_ref().and_then(|name| Jid::new(Some(name), &login.domain, None).ok());
    if login.from.is_some() && own.is_some() && login.from != own {
        return fail(login, Failure::InvalidAuthzid);
    }
    let domain = login.domain.clone();
    let Some(exchange) = exchange(login) else { return StreamCondition::InternalServerError.into() };
    exchange.proved = Some((username.clone(), proof));
    exchange.data = data;
    let wanted = std::mem::take(&mut exchange.request.upgrades);
    match username {
        Some(username) if proof == Proof::Password && !wanted.is_empty() => {
            exchange.stage = Stage::Asking;
            Progress::then(Then::Need(Need::Upgrades { username, domain, wanted }))
        }
        _ => enter(login),
    }
}

fn next_task(login: &mut AcceptLogin, tasks: Option<Tasks>) -> Progress<StreamError> {
    let (Some(tasks), Some(exchange)) = (tasks, exchange(login)) else { return enter(login) };
    let offer = tasks.offer(exchange.data.take().as_deref());
    exchange.stage = Stage::Tasks(tasks);
    Progress::write(offer)
}

/// Asks for all that is wanted with the login.
fn enter(login: &mut AcceptLogin) -> Progress<StreamError> {
    let domain = login.domain.clone();
    let Some(exchange) = exchange(login) else { return StreamCondition::InternalServerError.into() };
    let Some((username, proof)) = exchange.proved.clone() else { return StreamCondition::InternalServerError.into() };
    exchange.stage = Stage::Entering;
    let request = &exchange.request;
    Progress::then(Then::Need(Need::Enter(Box::new(Entry {
        username,
        domain,
        proof,
        agent: request.agent.clone(),
        resume: request.resume.clone(),
        bind: request.bind.clone(),
        request: request.document.clone(),
    }))))
}

/// `<success/>` (§2.6.1), with what became of everything.
fn succeed(login: &mut AcceptLogin, entered: Entered) -> Progress<StreamError> {
    let exchange = login.exchange.take().and_then(|exchange| exchange.downcast::<Exchange>().ok());
    let Some(exchange) = exchange else { return StreamCondition::InternalServerError.into() };
    login.is_busy = false;
    let enables = |bind: &BindRequest| bind.controls.iter().any(|control| matches!(control, Control::Enable { .. }));
    login.is_managed = match (&entered.resumed, &entered.bound) {
        (Some(Ok(_)), _) => true,
        (_, Some(_)) => exchange.request.bind.as_ref().is_some_and(enables),
        _ => false,
    };
    login.username = exchange.proved.and_then(|(username, _)| username);
    let mut out = Writer::new(ns::CLIENT);
    out.open("success", ns::SASL2);
    if let Some(data) = &exchange.data {
        out.leaf("additional-data", ns::SASL2, &encoded(data));
    }
    let bare = || Jid::new(login.username.as_deref(), &login.domain, None).ok();
    if let Some(identity) = entered.address.clone().or_else(bare) {
        out.leaf("authorization-identifier", ns::SASL2, identity.as_str());
    }
    match (entered.resumed, exchange.request.resume) {
        (Some(Ok(resumed)), Some((id, _))) => {
            out.raw(&sm::resumed(&id, resumed.handled));
        }
        (Some(Err(NotResumed::TooHigh { handled, sent })), _) => {
            return Progress::then(Then::Fail(too_high(handled, sent)));
        }
        (Some(Err(error)), _) => {
            out.raw(&sm::not_resumed(error));
        }
        _ => {}
    }
    if let Some(bound) = entered.bound {
        out.open("bound", ns::BIND2).raw(&bound).close();
    }
    out.raw(&entered.more).close();
    let then = entered.address.map_or(Then::Features, Then::Welcome);
    Progress::write(out.finish()).set(Bits::AUTHENTICATED).and(then)
}

/// Refuses, and closes the stream when there were enough failures.
fn fail(login: &mut AcceptLogin, reason: Failure) -> Progress<StreamError> {
    let enough = sasl::count_failure(login, reason);
    Progress { then: enough.map_or(Then::Continue, Then::Fail), ..Progress::write(failure(reason, None)) }
}

/// `<failure/>` (§2.6.2), with a condition of another specification if there is one.
fn failure(reason: Failure, more: Option<&Bytes>) -> Bytes {
    let mut out = Writer::new(ns::CLIENT);
    out.open("failure", ns::SASL2).open(reason.name(), ns::SASL).close();
    more.iter().for_each(|more| {
        out.raw(more);
    });
    out.close();
    out.finish()
}
