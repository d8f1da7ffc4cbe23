//! `linnet send`: one message, as a client of any server, and whether it arrived there.

use super::account::address;
use crate::{
    config::{Config, Listen},
    secret,
};
use anyhow::{Context, anyhow, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use edge::{certificate::Certificate, listener::Kind};
use linnet_net::{
    client::{self, Client, Event},
    dns::{Security, Target},
    tls::{Trust, pin},
};
use linnet_xeps::{Payload, ping::Ping};
use linnet_xmpp::{
    Jid, Stanza, StanzaError, ns,
    stanza::{Condition, Kind as StanzaKind, Type},
    xml::Writer,
};
use std::time::Duration;

/// The command line.
pub(crate) fn command() -> Command {
    Command::new("send")
        .about("Send one message as a client")
        .arg(Arg::new("from").long("from").value_name("ADDRESS").required(true).help("The account that sends"))
        .arg(Arg::new("to").long("to").value_name("ADDRESS").required(true).help("Who gets it"))
        .arg(Arg::new("password").long("password").value_name("PASSWORD").help("The sender's password"))
        .arg(
            Arg::new("password-stdin")
                .long("password-stdin")
                .action(ArgAction::SetTrue)
                .conflicts_with("password")
                .help("Read the password from standard input"),
        )
        .arg(Arg::new("server").long("server").value_name("HOST:PORT").help("Connect there, not where DNS says"))
        .arg(
            Arg::new("insecure")
                .long("insecure")
                .action(ArgAction::SetTrue)
                .help("Take any certificate: whoever is on the way can read everything"),
        )
        .arg(Arg::new("text").value_name("TEXT").required(true).num_args(1..).help("What it says"))
}

/// Sends the message and waits until the sender's server has taken it.
///
/// # Errors
/// What is to be shown.
pub(crate) fn run(config: &Config, arguments: &ArgMatches) -> anyhow::Result<()> {
    let value = |name: &str| arguments.get_one::<String>(name).map(String::as_str).unwrap_or_default();
    let account = |name: &str| -> anyhow::Result<Jid> {
        let text = address(config, value(name).to_owned());
        Jid::parse(&text).map_err(|_| anyhow!("'{text}' is not an address"))
    };
    let (from, to) = (account("from")?, account("to")?);
    let given = arguments.get_one::<String>("password").map(String::as_str);
    let password = secret::password(given, arguments.get_flag("password-stdin"), "Password", false)?;
    let text: Vec<&str> = arguments.get_many::<String>("text").into_iter().flatten().map(String::as_str).collect();

    let mut client = client::Config::new(from.clone(), &password);
    client.reconnect = None;
    client.request_timeout = Duration::from_secs(20);
    client.targets = targets(config, &from, arguments.get_one::<String>("server").map(String::as_str))?;
    client.trust = if arguments.get_flag("insecure") { Trust::Anything } else { trust(config, &from) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(send(client, to, &text.join(" ")))
}

async fn send(config: client::Config, to: Jid, text: &str) -> anyhow::Result<()> {
    let server = config.jid.domain_jid();
    let (client, mut events) = Client::login(config).await.map_err(|error| anyhow!("{error}"))?;
    let mut id = [0; 8];
    linnet_net::random(&mut id);
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut body = Writer::new(ns::CLIENT);
    body.leaf("body", ns::CLIENT, text);
    let message = Stanza::new(StanzaKind::Message, Type::Chat, body.finish()).to(to).id(Some(&id));
    let offline = || anyhow!("the connection ended before the message was sent");
    client.send(message).await.map_err(|_| offline())?;
    // The answer comes behind whatever the server has to say about the message.
    let ping = Stanza::new(StanzaKind::Iq, Type::Get, Ping.to_bytes()).to(server);
    // A server without pings answers with an error, which is as good.
    let answered = client.request(ping).await;
    if let Err(client::RequestError::Offline | client::RequestError::Timeout) = answered {
        return Err(offline());
    }
    let mut refused = None;
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(50), events.next()).await {
        if let Event::Stanza(stanza) = event
            && stanza.ty == Type::Error
            && stanza.id.as_deref() == Some(&id)
        {
            refused = StanzaError::read(&stanza);
            break;
        }
    }
    client.close().await;
    match refused {
        None => Ok(()),
        Some(error) => {
            let name = error.condition.name();
            match error.text {
                Some(text) => bail!("the message was refused ({name}): {text}"),
                None => bail!("the message was refused ({name}){}", in_words(error.condition)),
            }
        }
    }
}

/// What the common refusals mean for who sends a message.
fn in_words(condition: Condition) -> &'static str {
    match condition {
        Condition::ServiceUnavailable => ": there is no such account, or it takes no messages from you",
        Condition::RemoteServerNotFound => ": this server does not reach other domains",
        Condition::NotAcceptable => ": you have blocked this address; unblock it first",
        _ => "",
    }
}

/// Where to connect: as said; to our own server where the account is at one of its domains; else where DNS says.
fn targets(config: &Config, from: &Jid, server: Option<&str>) -> anyhow::Result<Option<Vec<Target>>> {
    if let Some(server) = server {
        let (host, port) = server.rsplit_once(':').context("--server must be HOST:PORT")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse().context("--server must end with a port")?;
        // Direct TLS has a port of its own by custom only (XEP-0368 leaves it to SRV).
        let security = if port == 5223 || port == 443 { Security::Direct } else { Security::StartTls };
        return Ok(Some(vec![Target { host: host.into(), port, security }]));
    }
    if !config.domains.iter().any(|domain| domain.domain() == from.domain()) {
        return Ok(None);
    }
    let here = |listen: &Listen| {
        let security = match listen.kind {
            Kind::StartTls => Security::StartTls,
            Kind::DirectTls | Kind::Any => Security::Direct,
            _ => return None,
        };
        let ip = match listen.address.ip() {
            ip if !ip.is_unspecified() => ip,
            ip if ip.is_ipv4() => std::net::Ipv4Addr::LOCALHOST.into(),
            _ => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        Some(Target { host: ip.to_string().into(), port: listen.address.port(), security })
    };
    Ok(Some(config.listen.iter().filter_map(here).collect()))
}

/// The server's own certificate is known here, even if nobody else vouches for it.
fn trust(config: &Config, from: &Jid) -> Trust {
    let ours = config.domains.iter().any(|domain| domain.domain() == from.domain());
    let (certificate, key) = match &config.certificate {
        Some((certificate, key)) => (certificate.clone(), key.clone()),
        None => (config.data.join("certificate.pem"), config.data.join("certificate.key")),
    };
    let own = ours.then(|| Certificate::load(&certificate, &key).ok()).flatten();
    match own.as_ref().and_then(|own| own.chain.first()) {
        Some(leaf) => Trust::Pin(pin(leaf)),
        None => Trust::System,
    }
}
