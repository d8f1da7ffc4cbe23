//! Circles where work breaks off: stores that fail, power that is lost, rosters that are full, and circles that are large.

use features::roster::Roster;
use kernel::command::{Call, CommandError, Report};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use store::{
    MapTable, Store, StoreError, Write,
    faulty::{Call as StoreCall, Faulty, Moment},
    memory::Memory,
};
use testkit::{FakeContext, PASSWORD, Server, jid, settings};

/// Longer than the job rests.
const A_WHILE: Duration = Duration::from_secs(700);

async fn command(server: &Server, name: &str, values: &[(&str, &[&str])]) -> Result<Report, CommandError> {
    let command = server.kernel.hooks.commands.iter().find(|command| command.name == name).unwrap();
    let values = values
        .iter()
        .map(|(name, values)| ((*name).to_owned(), values.iter().map(|value| (*value).to_owned()).collect()));
    let call = Call { kernel: server.kernel.clone(), actor: None, values: values.collect() };
    (command.run)(call).await
}

async fn start(store: Arc<dyn Store>, seed: u64) -> Server {
    Server::start(store, FakeContext::new(seed), settings()).await.unwrap()
}

/// The contacts of an account with their groups.
async fn contacts(server: &Server, account: &str) -> BTreeMap<String, Vec<String>> {
    let owner = server.kernel.owner(&jid(account)).await.unwrap();
    let account = owner.lock();
    let listed = account.document::<Roster>().unwrap().listed();
    listed.map(|contact| (contact.jid.to_string(), contact.groups.iter().map(ToString::to_string).collect())).collect()
}

/// The members of a circle with their states; none if there is no such circle.
async fn members(server: &Server, circle: &str) -> Vec<(String, String)> {
    let report = command(server, "circle show", &[("circle", &[circle])]).await;
    report
        .map(|report| report.rows)
        .unwrap_or_default()
        .into_iter()
        .map(|row| (row[0].clone(), row[2].clone()))
        .collect()
}

const ALL: &[&str] = &["romeo@example.com", "juliet@example.com", "tybalt@example.com", "nurse@example.com"];

/// Whether an account has a bookmark of the room of the circle, in the node and in the list of old.
async fn has_bookmark(server: &Server, account: &str) -> bool {
    let rows = server.store.map_rows(MapTable("bookmarks"), account, None, usize::MAX).await.unwrap();
    let count = rows.iter().filter(|row| row.value.windows(14).any(|part| part == b"name='Verona' ")).count();
    assert!(count == 0 || count == 2, "{account}: {count}");
    count == 2
}

/// Everybody has those in his roster who are in the circle with him, and nobody else.
async fn assert_in_step(server: &Server, circle: &str, what: &str) {
    let report = command(server, "circle show", &[("circle", &[circle])]).await;
    let has_room = report.is_ok_and(|report| report.text.contains("a@chat.example"));
    let members = members(server, circle).await;
    assert!(members.iter().all(|(_, state)| state == "in step"), "{what}: {members:?}");
    for account in ALL {
        let is_in = members.iter().any(|(member, _)| member == account);
        let fellows = members.iter().map(|(member, _)| member.clone()).filter(|member| is_in && member != account);
        let wanted: BTreeMap<_, _> = fellows.map(|member| (member, vec![circle.to_owned()])).collect();
        assert_eq!(contacts(server, account).await, wanted, "{what}: {account}");
        assert_eq!(has_bookmark(server, account).await, is_in && has_room, "{what}: {account}");
    }
}

async fn with_accounts(faulty: &Faulty, seed: u64) -> Server {
    let server = start(Arc::new(faulty.clone()), seed).await;
    for account in ALL {
        server.account(account, PASSWORD).await;
    }
    command(&server, "circle create", &[("circle", &["Verona"])]).await.unwrap();
    server
}

/// Adds three, takes one out, gives a group chat and adds another one: with a fault somewhere on the way.
async fn play(server: &Server) {
    // Whatever fails, the next one may still go on: what is asked afterwards is whether rosters follow circles.
    let _ = command(server, "circle add", &[("circle", &["Verona"]), ("accountjids", &ALL[..3])]).await;
    let _ = command(server, "circle take", &[("circle", &["Verona"]), ("accountjids", &ALL[..1])]).await;
    let _ = command(server, "circle room", &[("circle", &["Verona"]), ("room", &["a@chat.example"])]).await;
    let _ = command(server, "circle add", &[("circle", &["Verona"]), ("accountjids", &ALL[3..])]).await;
}

#[tokio::test]
async fn whichever_write_fails_rosters_follow_in_the_end() {
    for moment in [Moment::Before, Moment::After] {
        for kth in 1..=14 {
            let faulty = Faulty::new();
            let server = with_accounts(&faulty, kth).await;
            faulty.fail(StoreCall::Apply, kth, StoreError::Io("for a test".into()), moment);
            play(&server).await;
            server.pass(A_WHILE).await;
            server.pass(A_WHILE).await;
            assert_in_step(&server, "Verona", &format!("{moment:?} {kth}")).await;
        }
    }
}

#[tokio::test]
async fn whenever_power_is_lost_rosters_follow_after_the_start() {
    for kth in 1..=14 {
        let memory = Memory::new();
        let faulty = Faulty::over_memory(memory.clone());
        let server = with_accounts(&faulty, kth).await;
        server.settle().await;
        // Nothing gets through from here: the server is gone in the middle of its work.
        for later in 0..40 {
            faulty.fail(StoreCall::Apply, kth + later, StoreError::Io("no power".into()), Moment::Before);
        }
        play(&server).await;
        faulty.lose_power();
        drop(server);
        let server = start(Arc::new(memory), 100 + kth).await;
        for _ in 0..20 {
            // Long enough for the job to begin, and in small steps, as it takes them.
            server.pass(Duration::from_secs(4)).await;
        }
        assert_in_step(&server, "Verona", &format!("{kth}")).await;
    }
}

#[tokio::test]
async fn a_full_roster_gets_the_others_when_there_is_room() {
    let server = Server::with_accounts(&["romeo", "juliet", "tybalt"]).await;
    let romeo = server.bind("romeo@example.com/orchard").await;
    romeo.send("<iq type='set' id='a'><query xmlns='jabber:iq:roster'><item jid='c0@x.example'/></query></iq>").await;
    server.settle().await;
    // As if he had added the others one by one.
    let roster = MapTable("roster");
    let row = server.store.map_row(roster, "romeo@example.com", "c0@x.example").await.unwrap().unwrap();
    let copy = |number: usize| Write::MapPut {
        table: roster,
        owner: "romeo@example.com".into(),
        key: format!("c{number}@x.example").into(),
        second: None,
        value: row.value.clone(),
    };
    let owner = server.kernel.owner(&jid("romeo@example.com")).await.unwrap();
    server.kernel.apply_to(&owner, Vec::new(), (1..1999).map(copy).collect()).await.unwrap();
    assert_eq!(contacts(&server, "romeo@example.com").await.len(), 1999);

    command(&server, "circle create", &[("circle", &["Verona"])]).await.unwrap();
    let all: &[&str] = &["romeo@example.com", "juliet@example.com", "tybalt@example.com"];
    let report = command(&server, "circle add", &[("circle", &["Verona"]), ("accountjids", all)]).await.unwrap();
    assert!(
        report.text.contains("These have no room for all that circles give: romeo@example.com."),
        "{}",
        report.text
    );
    assert_eq!(contacts(&server, "romeo@example.com").await.len(), 2000);
    let state = members(&server, "Verona").await.into_iter().find(|(member, _)| member.starts_with("romeo"));
    assert_eq!(state.unwrap().1, "no room for all");
    server.pass(A_WHILE).await;
    let remove = "<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='c7@x.example' \
                  subscription='remove'/></query></iq>";
    romeo.send(remove).await;
    server.pass(A_WHILE).await;
    let contacts = contacts(&server, "romeo@example.com").await;
    assert!(contacts.contains_key("tybalt@example.com") && contacts.contains_key("juliet@example.com"));
    assert!(members(&server, "Verona").await.iter().all(|(_, state)| state == "in step"));
}

#[tokio::test]
async fn a_large_circle_takes_several_turns_for_each_member() {
    let server = start(Arc::new(Memory::new()), 3).await;
    let names: Vec<String> = (0..130).map(|number| format!("member{number}@example.com")).collect();
    for name in &names {
        server.account(name, PASSWORD).await;
    }
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    command(&server, "circle create", &[("circle", &["Town"])]).await.unwrap();
    command(&server, "circle add", &[("circle", &["Town"]), ("accountjids", &all)]).await.unwrap();
    for name in [all[0], all[77], all[129]] {
        assert_eq!(contacts(&server, name).await.len(), 129, "{name}");
    }
    command(&server, "circle remove", &[("circle", &["Town"])]).await.unwrap();
    for name in [all[0], all[77], all[129]] {
        assert!(contacts(&server, name).await.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn limits_of_circles_are_told() {
    let server = Server::with_accounts(&["romeo"]).await;
    let romeo: &[&str] = &["romeo@example.com"];
    for number in 0..33 {
        let name = format!("circle {number}");
        command(&server, "circle create", &[("circle", &[name.as_str()])]).await.unwrap();
        let added = command(&server, "circle add", &[("circle", &[name.as_str()]), ("accountjids", romeo)]).await;
        match number {
            0..32 => assert!(added.is_ok()),
            _ => assert!(matches!(added, Err(CommandError::BadInput(text)) if text.contains("32 circles"))),
        }
    }
    for number in 33..500 {
        command(&server, "circle create", &[("circle", &[format!("circle {number}").as_str()])]).await.unwrap();
    }
    let more = command(&server, "circle create", &[("circle", &["one more"])]).await;
    assert!(matches!(more, Err(CommandError::BadInput(text)) if text.contains("500 circles")));
}
