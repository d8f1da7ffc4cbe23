//! Whole exchanges of all mechanisms, in which messages are damaged or noise arrives.

use proptest::prelude::*;

use super::{
    tests::{DOMAIN, bindings},
    *,
};

/// A change to a message.
#[derive(Debug, Clone)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Insert(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Append(Vec<u8>),
    Replace(Vec<u8>),
}

impl Damage {
    fn apply(&self, message: &mut Vec<u8>) {
        match self {
            Damage::Append(more) => message.extend_from_slice(more),
            Damage::Replace(other) => message.clone_from(other),
            Damage::Insert(at, byte) => message.insert(at.index(message.len() + 1), *byte),
            _ if message.is_empty() => {}
            Damage::Flip(at, bit) => {
                let at = at.index(message.len());
                message[at] ^= 1 << bit;
            }
            Damage::Remove(at) => drop(message.remove(at.index(message.len()))),
            Damage::Cut(at) => message.truncate(at.index(message.len())),
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    let like = || "[nypc=a,rmsiv=A-Za-z0-9+/]{0,40}".prop_map(String::into_bytes);
    prop_oneof![
        4 => (index(), 0u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => index().prop_map(Damage::Remove),
        2 => (index(), prop_oneof![Just(b','), Just(b'='), Just(0), any::<u8>()])
            .prop_map(|(at, byte)| Damage::Insert(at, byte)),
        1 => index().prop_map(Damage::Cut),
        1 => prop_oneof![Just(b",x=1".to_vec()), Just(b",m=1".to_vec()), like()].prop_map(Damage::Append),
        1 => prop_oneof![like(), prop::collection::vec(any::<u8>(), 0..40)].prop_map(Damage::Replace),
    ]
}

/// How an exchange ended on the server's and on the client's side.
#[derive(Debug, PartialEq)]
struct End {
    server: Option<Option<String>>,
    client: bool,
    /// Whether a message was changed at all, and what the last one became.
    changed: bool,
    appended: bool,
}

/// Runs an exchange for `romeo` with `password`; the message of this number is damaged on its way.
fn exchange(mechanism: Mechanism, password: &str, damaged: Option<(usize, &Damage)>) -> End {
    let plus = matches!(mechanism, Mechanism::Scram { plus: true, .. });
    let channel = if plus { bindings() } else { ChannelBindings::default() };
    let mut server = Server::new(mechanism, DOMAIN, channel.clone(), plus, "server-nonce".to_owned());
    let name = if mechanism == Mechanism::External { "romeo@example.com" } else { "romeo" };
    let mut client = Client::new(mechanism, name, password, channel, &[], plus, "client-nonce".to_owned());
    let mut end = End { server: None, client: false, changed: false, appended: false };
    let mut number = 0;
    let mut carry = |message: Vec<u8>, end: &mut End| {
        let mut arrived = message.clone();
        if let Some((at, damage)) = damaged
            && at == number
        {
            damage.apply(&mut arrived);
            end.changed = arrived != message;
            end.appended = arrived.starts_with(&message);
        }
        number += 1;
        arrived
    };
    let message = client.initial();
    let mut step = server.response(Some(&carry(message, &mut end)));
    loop {
        step = match step {
            ServerStep::Failed(_) => return end,
            ServerStep::Keys { username, hash } => {
                let known = username == "romeo";
                let keys = if known {
                    ScramKeys::derive(hash, "pencil", b"salt", MIN_ITERATIONS).unwrap()
                } else {
                    ScramKeys::decoy(hash, &username, &[0; 32], MIN_ITERATIONS)
                };
                server.keys(keys, known.then_some(()).ok_or(Failure::NotAuthorized))
            }
            ServerStep::Verify { username, password } => {
                let right = username == "romeo" && prepare_password(&password).as_deref() == Ok("pencil");
                server.verified(if right { Ok(username) } else { Err(Failure::NotAuthorized) })
            }
            ServerStep::Certificate { .. } => server.verified(Ok("romeo".to_owned())),
            ServerStep::Challenge(challenge) => match client.challenge(&carry(challenge, &mut end)) {
                Ok(answer) => server.response(Some(&carry(answer, &mut end))),
                Err(_) => return end,
            },
            ServerStep::Done { username, data } => {
                end.server = Some(username);
                let data = data.map(|data| carry(data, &mut end));
                end.client = client.success(data.as_deref()).is_ok();
                return end;
            }
        };
    }
}

#[test]
fn every_mechanism() {
    for mechanism in Mechanism::ALL {
        let end = exchange(mechanism, "pencil", None);
        let name = (mechanism != Mechanism::Anonymous).then(|| "romeo".to_owned());
        assert_eq!((end.server, end.client), (Some(name), true), "{mechanism:?}");
        if matches!(mechanism, Mechanism::Plain | Mechanism::Scram { .. }) {
            assert_eq!(exchange(mechanism, "pencil2", None).server, None, "{mechanism:?}");
        }
    }
}

/// Anything, and what looks like the messages of SCRAM.
fn noise_message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        "[nyp],(a=[a-z@.=]{0,4})?,[nm]=[a-z=2C3D]{0,4},r=[!-~]{0,4}(,[a-z]=[ -~]{0,3})?".prop_map(String::into_bytes),
        "[crm]=[A-Za-z0-9+/]{0,4}={0,2},[rs]=[!-~]{0,6},[pi]=[A-Za-z0-9=]{0,6}".prop_map(String::into_bytes),
        "[ve]=[A-Za-z0-9+/]{0,4}={0,2}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nobody logs in with a message that was changed, but for what the last one may carry besides the signature.
    #[test]
    fn damaged_messages(
        mechanism in prop::sample::select(Mechanism::ALL.to_vec()),
        at in 0usize..4,
        damage in damage(),
    ) {
        let end = exchange(mechanism, "pencil", Some((at, &damage)));
        match mechanism {
            Mechanism::Scram { .. } if end.changed && at < 3 => {
                prop_assert_eq!((end.server, end.client), (None, false));
            }
            Mechanism::Scram { .. } if end.changed => prop_assert!(!end.client || end.appended),
            Mechanism::Scram { .. } => prop_assert!(end.client),
            Mechanism::Anonymous => prop_assert!(end.server.is_none_or(|name| name.is_none())),
            // The name may be written in capitals, and an own authorization identity may be added.
            Mechanism::Plain | Mechanism::External => {
                prop_assert!(end.server.is_none_or(|name| name.as_deref() == Some("romeo")));
            }
        }
    }

    /// Whatever arrives at whatever time, it is refused.
    #[test]
    fn noise(
        mechanism in prop::sample::select(Mechanism::ALL.to_vec()),
        messages in prop::collection::vec(noise_message(), 0..5),
    ) {
        let mut server = Server::new(mechanism, DOMAIN, bindings(), true, "s".to_owned());
        let mut client = Client::new(mechanism, "a", "b", bindings(), &[], true, "c".to_owned());
        for message in &messages {
            let mut step = server.response(Some(message));
            if let ServerStep::Keys { hash, username } = &step {
                step = server.keys(ScramKeys::decoy(*hash, username, &[0; 32], 4096), Ok(()));
            }
            if matches!(mechanism, Mechanism::Scram { .. }) {
                let done = matches!(step, ServerStep::Done { .. });
                prop_assert!(!done);
                let _ = client.challenge(message);
                prop_assert!(client.success(Some(message)).is_err());
                prop_assert!(client.success(None).is_err());
            }
        }
    }
}
