//! The resolver with what is told beforehand, and against a name server of a few lines.

use super::*;
use hickory_resolver::proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{Name, Record as Row, rdata::SRV},
};
use std::str::FromStr;
use tokio::net::UdpSocket;

fn record(priority: u16, weight: u16, host: &str, security: Security) -> Record {
    Record { priority, weight, target: Target { host: host.into(), port: 1, security } }
}

fn hosts(targets: &[Target]) -> Vec<&str> {
    targets.iter().map(|target| &*target.host).collect()
}

#[test]
fn both_services_are_mixed_by_priority() {
    let records = vec![
        record(30, 0, "c", Security::StartTls),
        record(10, 0, "a", Security::Direct),
        record(5, 0, ".", Security::Direct),
        record(20, 9, "b", Security::StartTls),
    ];
    assert_eq!(hosts(&order(records, |bytes| bytes.fill(0))), ["a", "b", "c"]);
    assert!(order(vec![record(0, 0, ".", Security::Direct)], |bytes| bytes.fill(0)).is_empty());
}

#[test]
fn weights_decide_by_the_number_drawn() {
    let records = || vec![record(0, 60, "a", Security::Direct), record(0, 40, "b", Security::Direct)];
    // 0 falls in the share of the first; 255…255 % 101 = 77 in that of the second.
    assert_eq!(hosts(&order(records(), |bytes| bytes.fill(0))), ["a", "b"]);
    let draw: fn(&mut [u8]) = |bytes| bytes.copy_from_slice(&77_u64.to_le_bytes());
    assert_eq!(hosts(&order(records(), draw)), ["b", "a"]);
    let mut with_zero = records();
    with_zero.push(record(0, 0, "z", Security::Direct));
    assert_eq!(hosts(&order(with_zero.clone(), |bytes| bytes.fill(0))), ["z", "a", "b"]);
    assert_eq!(hosts(&order(with_zero, draw)).last(), Some(&"z"));
}

#[test]
fn shares_follow_the_weights() {
    let first = |_| {
        let records = vec![record(0, 90, "a", Security::Direct), record(0, 10, "b", Security::Direct)];
        usize::from(&*order(records, crate::random)[0].host == "a")
    };
    let share: usize = (0..2000).map(first).sum();
    assert!((1700..1900).contains(&share), "{share}");
}

#[tokio::test]
async fn what_is_told_goes_first() {
    let target = Target { host: "xmpp.example.org".into(), port: 443, security: Security::Direct };
    let resolver = Resolver::offline()
        .service("bücher.example", Service::Client, vec![target.clone()])
        .service("none.example", Service::Client, vec![])
        .host("xmpp.example.org", vec![Ipv4Addr::LOCALHOST.into()]);
    assert_eq!(resolver.targets("xn--bcher-kva.example", Service::Client).await, Ok(vec![target]));
    let none = resolver.targets("none.example", Service::Client).await;
    assert_eq!(none, Err(DnsError::NotOffered("none.example".into())));
    assert_eq!(resolver.addresses("XMPP.example.org.").await, Ok(vec![Ipv4Addr::LOCALHOST.into()]));
    assert_eq!(resolver.addresses("x.example").await, Err(DnsError::NoAddress("x.example".into())));
    assert_eq!(resolver.addresses("[::1]").await, Ok(vec![Ipv6Addr::LOCALHOST.into()]));
    assert_eq!(resolver.addresses("localhost").await.unwrap().len(), 2);
    assert!(resolver.addresses("a b").await.is_err());
}

#[tokio::test]
async fn without_records_the_domain_itself_is_tried() {
    for (domain, host) in [("127.0.0.1", "127.0.0.1"), ("localhost", "localhost"), ("x.example", "x.example")] {
        let targets = Resolver::offline().targets(domain, Service::Client).await.unwrap();
        assert_eq!(targets, [Target { host: host.into(), port: 5222, security: Security::StartTls }]);
    }
    let targets = Resolver::offline().targets("x.example", Service::Server).await.unwrap();
    assert_eq!(targets[0].port, 5269);
}

#[test]
fn families_take_turns() {
    let addresses: Vec<IpAddr> =
        ["10.0.0.1", "10.0.0.2", "::1", "10.0.0.3"].iter().map(|text| text.parse().unwrap()).collect();
    let mixed: Vec<String> = interleave(addresses.into_iter()).iter().map(ToString::to_string).collect();
    assert_eq!(mixed, ["::1", "10.0.0.1", "10.0.0.2", "10.0.0.3"]);
}

/// A name server that knows some SRV records (name, priority, port, target) and one address for each host below
/// `host.example`.
async fn name_server(known: &'static [(&'static str, u16, u16, &'static str)]) -> Resolver {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            let mut message = Message::from_vec(&buffer[..len]).unwrap();
            let query = message.queries[0].clone();
            let name = query.name().to_ascii().to_ascii_lowercase();
            message.metadata.message_type = MessageType::Response;
            match query.query_type() {
                RecordType::SRV => {
                    for (_, priority, port, target) in known.iter().filter(|(known, ..)| format!("{known}.") == name) {
                        let srv = SRV::new(*priority, 0, *port, Name::from_str(target).unwrap());
                        message.add_answer(Row::from_rdata(query.name().clone(), 60, RData::SRV(srv)));
                    }
                }
                RecordType::A if name.ends_with("host.example.") => {
                    let address = RData::A(Ipv4Addr::new(127, 0, 0, 7).into());
                    message.add_answer(Row::from_rdata(query.name().clone(), 60, address));
                }
                _ => {}
            }
            if message.answers.is_empty() && !name.ends_with("host.example.") {
                message.metadata.response_code = ResponseCode::NXDomain;
            }
            socket.send_to(&message.to_vec().unwrap(), from).await.unwrap();
        }
    });
    Resolver::servers(&[address])
}

fn target(host: &str, port: u16, security: Security) -> Target {
    Target { host: host.into(), port, security }
}

#[tokio::test]
async fn records_of_both_services_are_found() {
    let resolver = name_server(&[
        ("_xmpp-client._tcp.both.example", 20, 5222, "a.host.example."),
        ("_xmpps-client._tcp.both.example", 10, 443, "b.host.example."),
        ("_xmpps-client._tcp.both.example", 30, 5223, "c.host.example."),
        ("_xmpp-client._tcp.off.example", 0, 0, "."),
        ("_xmpps-client._tcp.half.example", 0, 0, "."),
        ("_xmpp-client._tcp.half.example", 0, 5222, "a.host.example."),
        ("_xmpps-client._tcp.odd.example", 0, 0, "."),
        ("_xmpp-server._tcp.both.example", 0, 5269, "s.host.example."),
    ])
    .await;
    let targets = resolver.targets("both.example", Service::Client).await.unwrap();
    assert_eq!(
        targets,
        [
            target("b.host.example", 443, Security::Direct),
            target("a.host.example", 5222, Security::StartTls),
            target("c.host.example", 5223, Security::Direct),
        ]
    );
    assert_eq!(resolver.addresses(&targets[0].host).await.unwrap(), [IpAddr::from([127, 0, 0, 7])]);
    let server = resolver.targets("both.example", Service::Server).await.unwrap();
    assert_eq!(server, [target("s.host.example", 5269, Security::StartTls)]);
    let half = resolver.targets("half.example", Service::Client).await.unwrap();
    assert_eq!(half, [target("a.host.example", 5222, Security::StartTls)]);
    // XEP-0368: with any record, be it `.`, there is no looking elsewhere.
    for domain in ["off.example", "odd.example"] {
        let none = resolver.targets(domain, Service::Client).await;
        assert_eq!(none, Err(DnsError::NotOffered(domain.into())));
    }
    let fallback = resolver.targets("plain.host.example", Service::Client).await.unwrap();
    assert_eq!(fallback, [target("plain.host.example", 5222, Security::StartTls)]);
    let nowhere = resolver.addresses("nowhere.example").await;
    assert_eq!(nowhere, Err(DnsError::NoAddress("nowhere.example".into())));
}

#[tokio::test(start_paused = true)]
async fn silent_name_servers_are_told_apart() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let resolver = Resolver::servers(&[silent.local_addr().unwrap()]);
    let error = resolver.addresses("x.example").await.unwrap_err();
    assert!(matches!(error, DnsError::NoAnswer { .. }), "{error}");
}
