//! Judges a history: lines of JSON on standard input (`testkit::history::Event`), what is wrong with it on standard output.
//! Ends with 0 if nothing is but what is known, else with 1; what is no history ends it with 2.

use std::process::ExitCode;
use testkit::history::{Event, Fault, judge, read};

fn main() -> ExitCode {
    let events: Result<Vec<Event>, String> = std::io::stdin()
        .lines()
        .map(|line| line.map_err(|error| error.to_string()).and_then(|line| read(&line)))
        .collect();
    match events {
        Ok(history) => {
            let (overlooked, faults): (Vec<_>, Vec<_>) = judge(&history).into_iter().partition(Fault::is_overlooked);
            eprintln!("{} overlooked", overlooked.len());
            faults.iter().for_each(|fault| println!("{}: {fault}", fault.kind()));
            ExitCode::from(u8::from(!faults.is_empty()))
        }
        Err(error) => {
            eprintln!("not a history: {error}");
            ExitCode::from(2)
        }
    }
}
