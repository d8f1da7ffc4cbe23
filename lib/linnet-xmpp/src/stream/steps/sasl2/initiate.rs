//! The client's side of SASL 2: a token if there is one that may be used, else a mechanism; upgrades of SCRAM that the
//! server wants; and in the end what became of everything that was asked for.

use super::{
    super::{Bits, InitiateLogin, InitiateStep, Progress, Then, sasl},
    Sasl2, data, encoded, upgrade, with_data,
};
use crate::{
    jid::Jid,
    ns,
    sasl::{
        Client, ClientError, Failure, Hash, Mechanism, TokenMechanism, is_token_answer, salted_password, token_message,
    },
    stream::{
        InitiateError, Login,
        inline::{Inline, Welcome},
    },
    xml::{Document, Node, Writer},
};
use bytes::Bytes;

/// A login that is not over.
#[derive(Debug)]
struct Exchange {
    way: Way,
    /// It was sent with the stream header, before anything was known of the server.
    is_ahead: bool,
    /// Upgrades that were offered to the server.
    upgrades: Vec<Hash>,
    /// That which the server wants now.
    task: Option<Hash>,
    is_over: bool,
}

#[derive(Debug)]
enum Way {
    Token(TokenMechanism),
    Mechanism(Box<Client>),
}

impl InitiateStep for Sasl2 {
    fn needs(&self) -> Bits {
        Bits::PRIVATE
    }

    fn forbids(&self) -> Bits {
        Bits::AUTHENTICATED
    }

    /// With a token, and if the features are known from an earlier stream (XEP-0509 §2.2).
    fn ahead(&self, login: &mut InitiateLogin) -> Option<Bytes> {
        let config = login.config.clone();
        let inline = config.inline.as_ref()?;
        let version = inline.features_version.as_deref()?;
        let (mechanism, initial) = token(login, inline)?;
        begin(login, Way::Token(mechanism), true, Vec::new());
        let mut out = Writer::new(ns::CLIENT);
        open(&mut out, mechanism.name(), &initial, inline);
        ask(&mut out, &config, inline, &Offer::Everything);
        out.open("fast", ns::FAST).close();
        out.open("config-version", ns::PIPELINING).attr("scheme", "opaque").attr("value", version).close();
        out.close();
        Some(out.finish())
    }

    fn start(&self, login: &mut InitiateLogin, features: Node<'_>) -> Option<Progress<InitiateError>> {
        let config = login.config.clone();
        let inline = config.inline.as_ref()?;
        let offer = features.child("authentication", ns::SASL2)?;
        login.features_version = version(features);
        login.bind_features = bind_features(features);
        let asked = offer.child("inline", ns::SASL2);
        let fast = asked.and_then(|asked| asked.child("fast", ns::FAST));
        let tokens: Vec<TokenMechanism> = fast
            .iter()
            .flat_map(|fast| named(*fast, ns::FAST))
            .filter_map(|name| TokenMechanism::named(&name))
            .collect();
        let mut out = Writer::new(ns::CLIENT);
        match token(login, inline).filter(|(mechanism, _)| tokens.contains(mechanism)) {
            Some((mechanism, initial)) => {
                begin(login, Way::Token(mechanism), false, Vec::new());
                open(&mut out, mechanism.name(), &initial, inline);
                out.open("fast", ns::FAST).close();
            }
            None => {
                let names: Vec<String> = named(offer, ns::SASL2).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                let mut client = match sasl::client(login, features, &names, true) {
                    Ok(client) => client,
                    // There may be something for us in what the server offers to older clients.
                    Err(InitiateError::NoMechanism { .. }) => return None,
                    Err(error) => return Some(Progress::then(Then::Fail(error))),
                };
                let upgrades = upgrades(client.mechanism(), offer);
                open(&mut out, client.mechanism().name(), &client.initial(), inline);
                for hash in &upgrades {
                    out.leaf("upgrade", ns::SASL_UPGRADE, &upgrade::name(*hash));
                }
                begin(login, Way::Mechanism(Box::new(client)), false, upgrades);
                let bindings = login.secured.clone().unwrap_or_default().bindings;
                let best = tokens.iter().find(|mechanism| mechanism.is_possible(&bindings));
                if let (true, Some(mechanism)) = (inline.wants_token && inline.agent.id.is_some(), best) {
                    login.token_mechanism = Some(*mechanism);
                    out.open("request-token", ns::FAST).attr("mechanism", mechanism.name()).close();
                }
            }
        }
        ask(&mut out, &config, inline, &Offer::Features(asked, &login.bind_features));
        out.close();
        Some(Progress::write(out.finish()))
    }

    fn element(&self, login: &mut InitiateLogin, element: &Document) -> Option<Progress<InitiateError>> {
        let root = element.root();
        let exchange = login.exchange.as_mut()?.downcast_mut::<Exchange>()?;
        if root.is("features", ns::STREAM) {
            if exchange.is_over {
                return Some(Progress::then(Then::Next));
            }
            login.features_version = version(root);
            login.bind_features = bind_features(root);
            return exchange.is_ahead.then(|| Progress::then(Then::Continue));
        }
        if root.ns() != ns::SASL2 {
            return None;
        }
        match root.name() {
            "challenge" => Some(challenge(exchange, root)),
            "continue" => Some(go_on(exchange, root)),
            "task-data" => Some(task(login, root)),
            "success" => Some(succeed(login, element)),
            "failure" => Some(fail(login, root)),
            _ => None,
        }
    }
}

fn begin(login: &mut InitiateLogin, way: Way, is_ahead: bool, upgrades: Vec<Hash>) {
    login.exchange = Some(Box::new(Exchange { way, is_ahead, upgrades, task: None, is_over: false }));
}

/// The names in `<mechanism/>` children.
fn named<'a>(list: Node<'a>, ns: &'a str) -> impl Iterator<Item = String> + 'a {
    list.children().filter(move |child| child.is("mechanism", ns)).map(|child| child.text().trim().to_owned())
}

/// What stands for the features of this stream (XEP-0509 §2.1).
fn version(features: Node<'_>) -> Option<Box<str>> {
    features.child("config-version", ns::PIPELINING)?.attr("value").map(Into::into)
}

/// What can be enabled with a resource (XEP-0386 §3.1).
fn bind_features(features: Node<'_>) -> Vec<Box<str>> {
    let inline = |node: Node<'_>, ns| node.child("inline", ns);
    let bind = features
        .child("authentication", ns::SASL2)
        .and_then(|offer| inline(offer, ns::SASL2)?.child("bind", ns::BIND2))
        .and_then(|bind| inline(bind, ns::BIND2));
    let named = bind.iter().flat_map(|bind| bind.children()).filter(|child| child.is("feature", ns::BIND2));
    named.filter_map(|feature| feature.attr("var").map(Into::into)).collect()
}

/// The token to log in with, and the message that proves that we know it.
fn token(login: &InitiateLogin, inline: &Inline) -> Option<(TokenMechanism, Vec<u8>)> {
    let token = inline.token.as_ref().filter(|_| !login.token_failed && inline.agent.id.is_some())?;
    let Login::Password { username, .. } = &login.config.login else { return None };
    let bindings = login.secured.clone().unwrap_or_default().bindings;
    let message = token_message(token.mechanism, username, &token.secret, &bindings)?;
    Some((token.mechanism, message))
}

/// Upgrades to offer: to stronger hashes than that which is used, and only where nobody can listen who is not the server
/// (XEP-0480 §5).
fn upgrades(used: Mechanism, offer: Node<'_>) -> Vec<Hash> {
    let Mechanism::Scram { hash: used, plus: true } = used else { return Vec::new() };
    let offered = offer.children().filter(|child| child.is("upgrade", ns::SASL_UPGRADE));
    offered.filter_map(|child| upgrade::hash(&child.text())).filter(|hash| *hash > used).collect()
}

/// `<authenticate/>`, left open.
fn open(out: &mut Writer, mechanism: &str, initial: &[u8], inline: &Inline) {
    out.open("authenticate", ns::SASL2).attr("mechanism", mechanism);
    out.leaf("initial-response", ns::SASL2, &encoded(initial));
    let agent = &inline.agent;
    if *agent != Default::default() {
        out.open("user-agent", ns::SASL2).attr_opt("id", agent.id.as_deref());
        for (name, text) in [("software", &agent.software), ("device", &agent.device)] {
            if let Some(text) = text {
                out.leaf(name, ns::SASL2, text);
            }
        }
        out.close();
    }
}

/// What a server does.
enum Offer<'a> {
    /// What it did before, which nobody knows in detail; what it does not know it passes over.
    Everything,
    /// Inline, and with a resource.
    Features(Option<Node<'a>>, &'a [Box<str>]),
}

impl Offer<'_> {
    fn has(&self, name: &str, ns: &str) -> bool {
        match self {
            Offer::Everything => true,
            Offer::Features(inline, _) => inline.is_some_and(|inline| inline.child(name, ns).is_some()),
        }
    }

    fn has_with_bind(&self, feature: &str) -> bool {
        match self {
            Offer::Everything => true,
            Offer::Features(_, features) => features.iter().any(|offered| **offered == *feature),
        }
    }
}

/// What is wanted with the login, of what is offered. A session that can only go on after the login is not thrown away for a
/// new one.
fn ask(out: &mut Writer, config: &InitiateConfig, inline: &Inline, offer: &Offer<'_>) {
    let can_resume = offer.has("sm", ns::STREAM_MANAGEMENT);
    if let Some(resumption) = config.resumption.as_ref().filter(|_| can_resume) {
        let handled = resumption.handled.to_string();
        out.open("resume", ns::STREAM_MANAGEMENT).attr("previd", &resumption.id).attr("h", &handled).close();
    }
    let may_bind = (can_resume || config.resumption.is_none()) && offer.has("bind", ns::BIND2);
    if let Some(bind) = inline.bind.as_ref().filter(|_| may_bind) {
        out.open("bind", ns::BIND2);
        if let Some(tag) = &bind.tag {
            out.leaf("tag", ns::BIND2, tag);
        }
        for (_, payload) in bind.payloads.iter().filter(|(feature, _)| offer.has_with_bind(feature)) {
            out.raw(payload);
        }
        out.close();
    }
    out.raw(&inline.payloads);
}

fn stop(error: ClientError) -> Progress<InitiateError> {
    let mut out = Writer::new(ns::CLIENT);
    out.open("abort", ns::SASL2).close();
    Progress::write(out.finish()).and(Then::Fail(InitiateError::Sasl(error)))
}

fn challenge(exchange: &mut Exchange, root: Node<'_>) -> Progress<InitiateError> {
    let Way::Mechanism(client) = &mut exchange.way else { return stop(ClientError::BadChallenge) };
    let answer = data(root).map_err(|_| ClientError::BadChallenge).and_then(|data| client.challenge(&data));
    match answer {
        Ok(answer) => Progress::write(with_data("response", &answer)),
        Err(error) => stop(error),
    }
}

/// What the mechanism has to say, with `<success/>` or `<continue/>`: whether the server has proved itself.
fn check(login: &InitiateLogin, exchange: &mut Exchange, root: Node<'_>) -> Result<(), ClientError> {
    let said = root.child("additional-data", ns::SASL2).map(data).transpose();
    let said = said.map_err(|_: Failure| ClientError::BadChallenge)?;
    match &mut exchange.way {
        Way::Mechanism(client) => client.success(said.as_deref()),
        Way::Token(mechanism) => {
            let bindings = login.secured.clone().unwrap_or_default().bindings;
            let token = login.config.inline.as_ref().and_then(|inline| inline.token.as_ref());
            let is_right = token
                .zip(said)
                .is_some_and(|(token, said)| is_token_answer(*mechanism, &token.secret, &bindings, &said));
            if is_right { Ok(()) } else { Err(ClientError::ServerNotAuthentic) }
        }
    }
}

/// `<continue/>` (§2.6.3): the only tasks that we know are those that we have offered.
fn go_on(exchange: &mut Exchange, root: Node<'_>) -> Progress<InitiateError> {
    if let (Way::Mechanism(client), Some(said)) = (&mut exchange.way, root.child("additional-data", ns::SASL2)) {
        let checked =
            data(said).map_err(|_| ClientError::BadChallenge).and_then(|said| client.challenge(&said).map(|_| ()));
        if let Err(error) = checked {
            return stop(error);
        }
    }
    let tasks = root.child("tasks", ns::SASL2);
    let mut tasks = tasks.iter().flat_map(|tasks| tasks.children()).filter_map(|task| upgrade::hash(&task.text()));
    match tasks.find(|task| exchange.upgrades.contains(task)) {
        Some(task) => {
            exchange.upgrades.retain(|offered| *offered != task);
            exchange.task = Some(task);
            let mut out = Writer::new(ns::CLIENT);
            out.open("next", ns::SASL2).attr("task", &upgrade::name(task)).close();
            Progress::write(out.finish())
        }
        None => stop(ClientError::BadChallenge),
    }
}

/// Salt and iterations of an upgrade (XEP-0480 §3). Slow by intent.
fn task(login: &mut InitiateLogin, root: Node<'_>) -> Progress<InitiateError> {
    let config = login.config.clone();
    let task = login
        .exchange
        .as_mut()
        .and_then(|exchange| exchange.downcast_mut::<Exchange>())
        .and_then(|exchange| exchange.task.take());
    let (Some(hash), Login::Password { password, .. }) = (task, &config.login) else {
        return stop(ClientError::BadChallenge);
    };
    let salted = upgrade::salt(root).ok_or(ClientError::BadChallenge).and_then(|(salt, iterations)| {
        sasl::iterations(iterations)?;
        salted_password(hash, password, &salt, iterations).map_err(|_| ClientError::BadPassword)
    });
    match salted {
        Ok(salted) => {
            let mut out = Writer::new(ns::CLIENT);
            out.open("task-data", ns::SASL2).leaf("hash", ns::SCRAM_UPGRADE, &encoded(&salted)).close();
            Progress::write(out.finish())
        }
        Err(error) => stop(error),
    }
}

/// `<success/>`: the features follow on the same stream (§2.6.1).
fn succeed(login: &mut InitiateLogin, element: &Document) -> Progress<InitiateError> {
    let root = element.root();
    let exchange = login.exchange.take().and_then(|exchange| exchange.downcast::<Exchange>().ok());
    let Some(mut exchange) = exchange else { return stop(ClientError::BadChallenge) };
    if let Err(error) = check(login, &mut exchange, root) {
        return stop(error);
    }
    let welcome = Welcome {
        success: element.clone(),
        features_version: login.features_version.take(),
        is_by_token: matches!(exchange.way, Way::Token(_)),
        bind_features: std::mem::take(&mut login.bind_features),
        token_mechanism: match exchange.way {
            Way::Token(mechanism) => Some(mechanism),
            Way::Mechanism(_) => login.token_mechanism,
        },
    };
    let identity =
        root.child("authorization-identifier", ns::SASL2).and_then(|said| Jid::parse(said.text().trim()).ok());
    let resumption = login.config.resumption.clone();
    if resumption.is_some() {
        login.outcome = match welcome.resumed() {
            Some(handled) => Outcome::Resumed(handled),
            None => welcome.not_resumed().map_or(Outcome::None, Outcome::Failed),
        };
    }
    login.address = match (login.outcome, resumption) {
        (Outcome::Resumed(_), Some(resumption)) => Some(resumption.address),
        _ => identity.filter(|jid| welcome.bound().is_some() && !jid.is_bare()),
    };
    login.welcome = Some(Box::new(welcome));
    exchange.is_over = true;
    login.exchange = Some(exchange);
    let bound = if login.address.is_some() { Bits::BOUND } else { Bits::NONE };
    Progress::then(Then::Continue).set(Bits::AUTHENTICATED | bound)
}

fn fail(login: &mut InitiateLogin, root: Node<'_>) -> Progress<InitiateError> {
    let exchange = login.exchange.take().and_then(|exchange| exchange.downcast::<Exchange>().ok());
    let is_ahead = exchange.as_ref().is_some_and(|exchange| exchange.is_ahead);
    if is_ahead && root.child("config-version-mismatch", ns::PIPELINING).is_some() {
        // XEP-0509 §2.2: again, with what is offered now.
        return Progress::then(Then::Features);
    }
    let has_password = matches!(&login.config.login, Login::Password { password, .. } if !password.is_empty());
    if exchange.is_some_and(|exchange| matches!(exchange.way, Way::Token(_))) && has_password {
        // XEP-0484 §4.1.
        login.token_failed = true;
        return Progress::then(Then::Features);
    }
    Progress::then(Then::Fail(sasl::refused(root)))
}
