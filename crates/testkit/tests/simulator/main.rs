//! The promise under chance, on a whole server in one thread: accounts with several devices send, read, come, go, are cut
//! off in the middle of everything, resume or begin anew and read their archives, while commits are slow or fail and the
//! server is killed, loses its power or is stopped and started again. One judge reads what all of them saw.
//!
//! A seed that fails is repeated with `LINNET_SEED=N cargo test -p testkit --test simulator`; `LINNET_SEEDS=N` runs more.

mod device;
mod world;

use std::time::{Duration, Instant};
use testkit::history::{Fault, judge};
use world::World;

/// Steps of one run.
const STEPS: u64 = 2500;
/// Without being asked for more, the seeds that fit into this.
const BUDGET: Duration = Duration::from_secs(18);
/// And not more than these.
const MOST_SEEDS: u64 = 60;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// What a run had in it, so that a run in which nothing happened proves nothing.
#[derive(Debug, Default)]
struct Seen {
    acknowledged: usize,
    kills: usize,
    resumed: usize,
    again: usize,
    overlooked: usize,
}

fn run(seed: u64, seen: &mut Seen) -> Vec<String> {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.finish();
    if std::env::var_os("LINNET_HISTORY").is_some() {
        world.history.iter().for_each(|event| println!("{}", testkit::history::line(event)));
    }
    let acknowledged = |event: &&testkit::history::Event| matches!(event, testkit::history::Event::Acknowledged { .. });
    seen.acknowledged += world.history.iter().filter(acknowledged).count();
    seen.kills += world.kills;
    seen.resumed += world.resumed;
    seen.again += world.again;
    let (overlooked, faults): (Vec<Fault>, Vec<Fault>) =
        judge(&world.history).into_iter().partition(Fault::is_overlooked);
    seen.overlooked += overlooked.len();
    faults.iter().map(|fault| format!("{}: {fault}", fault.kind())).collect()
}

#[test]
fn nothing_is_lost_doubled_reordered_or_leaked_whatever_happens() {
    let mut seen = Seen::default();
    let begin = Instant::now();
    let seeds = match (variable("LINNET_SEED"), variable("LINNET_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(count)) => 1..count + 1,
        (None, None) => 1..MOST_SEEDS + 1,
    };
    let asked = variable("LINNET_SEED").or(variable("LINNET_SEEDS")).is_some();
    let mut ran = 0;
    for seed in seeds {
        let faults = run(seed, &mut seen);
        assert!(
            faults.is_empty(),
            "repeat with LINNET_SEED={seed} cargo test -p testkit --test simulator\n{faults:#?}"
        );
        ran += 1;
        if !asked && begin.elapsed() > BUDGET {
            break;
        }
    }
    println!("{ran} seeds: {seen:?}");
    assert!(seen.acknowledged > ran * 50 && seen.kills > 0 && seen.resumed > 0 && seen.again > 0, "{seen:?}");
}

/// The simulator can fail: a store that reports before it has synced loses what was acknowledged.
#[test]
fn a_store_that_lies_is_found_out() {
    let found = (1..20).any(|seed| {
        let mut world = World::new(seed);
        for _ in 0..STEPS / 4 {
            world.step();
        }
        world.lie();
        for _ in 0..STEPS / 4 {
            world.step();
        }
        world.kill();
        world.finish();
        judge(&world.history).iter().any(|fault| fault.kind() == "lost")
    });
    assert!(found);
}
