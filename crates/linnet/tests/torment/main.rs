//! SIGKILL and cut sockets under load: our own client on the real binary, and the judge of histories.
//!
//! `cargo test -p linnet --test torment -- --rounds 200 --kills 40 --stops 10 [--seed N]`. A round is one disturbance: the
//! server is killed, or stopped in order, and started again on the same data, or some connections are cut in the middle of
//! whatever they carry. Without arguments it is short, as one of many tests. The seed repeats choices, not timing.

mod person;
mod server;

use person::{Person, Shared};
use server::{Proxy, Server};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use testkit::{
    Random,
    history::{Event, Fault, judge, line},
};

const USERS: [&str; 3] = ["benvolio", "juliet", "romeo"];
const DEVICES: usize = 2;
/// Whether sessions outlive a planned restart.
const KEEPS_SESSIONS: bool = false;

#[derive(Debug, Clone, Copy)]
enum Round {
    Kill,
    Stop,
    Cut,
}

struct Plan {
    rounds: Vec<Round>,
    seed: u64,
}

impl Plan {
    fn read() -> Plan {
        let mut numbers: BTreeMap<String, u64> = BTreeMap::new();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            // Others are what cargo hands to every test program.
            if let Some(name @ ("rounds" | "kills" | "stops" | "seed")) = argument.strip_prefix("--") {
                let value = arguments.next().and_then(|value| value.parse().ok());
                numbers.insert(name.to_owned(), value.unwrap_or_else(|| panic!("--{name} needs a number")));
            }
        }
        let of = |name: &str, otherwise: u64| numbers.get(name).copied().unwrap_or(otherwise);
        let clock =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |time| time.as_micros());
        let (rounds, seed) = (of("rounds", 6), of("seed", clock as u64 % 1_000_000));
        let (kills, stops) = (of("kills", rounds.div_ceil(5)), of("stops", rounds.div_ceil(20)));
        let mut random = Random::new(seed);
        let mut all: Vec<Round> = (0..rounds)
            .map(|round| match round {
                round if round < kills => Round::Kill,
                round if round < kills + stops => Round::Stop,
                _ => Round::Cut,
            })
            .collect();
        for place in (1..all.len()).rev() {
            all.swap(place, random.below(place as u64 + 1) as usize);
        }
        Plan { rounds: all, seed }
    }
}

fn main() {
    let plan = Plan::read();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let faults = runtime.block_on(torment(&plan));
    let passed = if faults == 0 { plan.rounds.len() } else { 0 };
    println!("{passed} passed, {} failed", usize::from(faults > 0));
    std::process::exit(i32::from(faults > 0));
}

async fn torment(plan: &Plan) -> usize {
    let begin = Instant::now();
    println!("seed {}, {} rounds", plan.seed, plan.rounds.len());
    let mut random = Random::new(plan.seed);
    let mut server = Server::new();
    USERS.iter().for_each(|user| server.account(user));
    server.start().await;
    let proxy = Proxy::start(server.address(), plan.seed).await;
    let shared = Arc::new(Shared::default());
    let mut people = Vec::new();
    for user in USERS {
        for number in 1..=DEVICES {
            people.push(Person::start(user, number, proxy.address, &shared, random.next()));
        }
    }
    let mut stopped_resumptions = 0;
    for round in &plan.rounds {
        tokio::time::sleep(Duration::from_millis(100 + random.below(250))).await;
        match round {
            Round::Cut => proxy.cut(1 + random.below(4) as usize),
            Round::Kill => {
                server.kill();
                server.start().await;
                tokio::time::sleep(Duration::from_millis(random.below(400))).await;
            }
            Round::Stop => {
                let before = shared.resumed.load(Ordering::SeqCst);
                server.stop().await;
                server.start().await;
                tokio::time::sleep(Duration::from_millis(1000)).await;
                stopped_resumptions += shared.resumed.load(Ordering::SeqCst) - before;
            }
        }
    }
    proxy.rest();
    shared.is_over.store(true, Ordering::SeqCst);
    for person in people {
        person.finish().await;
    }
    for user in USERS {
        person::read_archive(user, proxy.address, &shared).await;
    }
    let stops = plan.rounds.iter().filter(|round| matches!(round, Round::Stop)).count();
    let mut faults = report(&shared, begin.elapsed());
    if KEEPS_SESSIONS && stops > 0 && stopped_resumptions == 0 {
        println!("FAILED  no session was resumed after {stops} planned restarts");
        faults += 1;
    }
    println!("{stopped_resumptions} sessions resumed after {stops} planned restarts");
    faults
}

/// Prints what was seen and what is wrong with it; how much is.
fn report(shared: &Shared, time: Duration) -> usize {
    let history = shared.history.lock().expect("nobody panicked");
    let count = |is: fn(&Event) -> bool| history.iter().filter(|event| is(event)).count();
    let acknowledged = count(|event| matches!(event, Event::Acknowledged { .. }));
    println!(
        "{} sent, {acknowledged} acknowledged, {} received live, {} fetched, {} sessions begun, {} resumed, {} sent again, {:.0} s",
        count(|event| matches!(event, Event::Sent { .. })),
        count(|event| matches!(event, Event::Received { .. })),
        count(|event| matches!(event, Event::Fetched { .. })),
        count(|event| matches!(event, Event::Began { .. })),
        shared.resumed.load(Ordering::SeqCst),
        shared.resent.load(Ordering::SeqCst),
        time.as_secs_f64(),
    );
    let (overlooked, faults): (Vec<Fault>, Vec<Fault>) = judge(&history).into_iter().partition(Fault::is_overlooked);
    let mut kinds: BTreeMap<&str, usize> =
        ["lost", "duplicated", "reordered", "leaked"].into_iter().map(|kind| (kind, 0)).collect();
    faults.iter().for_each(|fault| *kinds.entry(fault.kind()).or_default() += 1);
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    println!("{}; {} overlooked", kinds.join(", "), overlooked.len());
    faults.iter().take(30).for_each(|fault| println!("FAILED  {fault}"));
    let mut wrong = faults.len();
    if acknowledged < 100 {
        println!("FAILED  too little happened to prove anything");
        wrong += 1;
    }
    if wrong > 0 {
        let path = std::env::temp_dir().join("linnet-torment-history.jsonl");
        let lines: Vec<String> = history.iter().map(line).collect();
        if std::fs::write(&path, lines.join("\n")).is_ok() {
            println!("the history is in {}", path.display());
        }
    }
    wrong
}
