//! The client against a server that somebody else wrote; run by hand, as it needs one:
//!
//! `LINNET_TEST_JID=a@example.org LINNET_TEST_PASSWORD=… cargo test -p linnet-net --test foreign -- --ignored`
//!
//! `LINNET_TEST_STARTTLS` and `LINNET_TEST_DIRECT` (address:port) say where it is, instead of DNS. Its certificate is
//! not checked.

use linnet_net::{
    client::{Client, Config, Event},
    dns::{Security, Target},
    tls::Trust,
};
use linnet_xeps::{Payload, disco::Info, ping::Ping, roster::Roster, version::Version};
use linnet_xmpp::{
    Jid, Stanza,
    sasl::{Hash, Mechanism},
    stanza::{Kind, Type},
};
use std::time::Duration;

fn get(content: &impl Payload) -> Stanza {
    Stanza::new(Kind::Iq, Type::Get, content.to_bytes())
}

fn config() -> Config {
    let jid = std::env::var("LINNET_TEST_JID").expect("LINNET_TEST_JID");
    let password = std::env::var("LINNET_TEST_PASSWORD").expect("LINNET_TEST_PASSWORD");
    Config { trust: Trust::Anything, ..Config::new(Jid::parse(&jid).expect("an address"), &password) }
}

fn targets() -> Vec<Option<Vec<Target>>> {
    let named = [("LINNET_TEST_STARTTLS", Security::StartTls), ("LINNET_TEST_DIRECT", Security::Direct)];
    let found = named.into_iter().filter_map(|(name, security)| {
        let place = std::env::var(name).ok()?;
        let (host, port) = place.rsplit_once(':').expect("address:port");
        Some(Some(vec![Target { host: host.into(), port: port.parse().expect("a port"), security }]))
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() { vec![None] } else { found }
}

#[tokio::test]
#[ignore = "needs a server, see the top of the file"]
async fn talks_to_it() {
    for targets in targets() {
        let domain = config().jid.domain_jid();
        let (client, mut events) = Client::login(Config { targets: targets.clone(), ..config() }).await.unwrap();
        let own = client.address().unwrap();
        client.request(get(&Ping).to(domain.clone())).await.unwrap();
        let roster = client.request(get(&Roster::question(None))).await.unwrap();
        Roster::read(roster.payload().unwrap()).unwrap();
        let info = client.request(get(&Info::question(None)).to(domain.clone())).await.unwrap();
        let info = Info::read(info.payload().unwrap()).unwrap();
        let version = client.request(get(&Version::default()).to(domain)).await.unwrap();
        println!("{own} at {:?}, {} features", Version::read(version.payload().unwrap()), info.features.len());
        let hello = Stanza::new(Kind::Message, Type::Chat, "<body>hello &lt;&amp;&gt;</body>".into()).to(own);
        client.send(hello).await.unwrap();
        loop {
            let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await.unwrap().unwrap();
            if let Event::Stanza(stanza) = event
                && let Some(body) = stanza.child("body", "jabber:client")
            {
                assert_eq!(body.text(), "hello <&>");
                break;
            }
        }
        client.close().await;
        for mechanism in scram() {
            let only = Config { targets: targets.clone(), mechanisms: vec![mechanism], ..config() };
            match Client::login(only).await {
                Ok((client, _events)) => {
                    client.close().await;
                    println!("{}: ok", mechanism.name());
                }
                Err(error) => println!("{}: {error}", mechanism.name()),
            }
        }
    }
}

fn scram() -> Vec<Mechanism> {
    let hashes = [Hash::Sha1, Hash::Sha256, Hash::Sha512];
    let mut all: Vec<_> =
        hashes.iter().flat_map(|hash| [true, false].map(|plus| Mechanism::Scram { hash: *hash, plus })).collect();
    all.push(Mechanism::Plain);
    all
}
