//! What tests are made of: a pretend world for the kernel, a server in the same thread, sessions driven by hand,
//! transcripts that run on both the kernel and the real binary, and the judge of histories.
//!
//! For tests only: what goes wrong panics.

mod context;
pub mod history;
mod peer;
pub mod script;
mod server;

pub use features::FEATURES;

pub use context::{EPOCH_SECONDS, FakeContext, Random};
pub use peer::{Peer, stanza};
pub use server::{DOMAIN, PASSWORD, Server, jid, quiet, settings};

include!(concat!(env!("OUT_DIR"), "/scripts.rs"));

/// Runs a script of tests/scripts on a server in the same thread, with a store in memory.
///
/// # Panics
/// With what went wrong.
pub fn in_process(path: &str, text: &str) {
    play::<script::InProcess>(&(), path, text);
}

/// Runs a script of tests/scripts on the program at `binary`, with a store on disk, over sockets.
///
/// # Panics
/// With what went wrong.
pub fn on_binary(binary: &str, path: &str, text: &str) {
    play::<script::Binary>(&binary.to_owned(), path, text);
}

/// The same in the same thread, where somebody else reads what clients receive.
///
/// # Panics
/// With what went wrong, or what the reader does not understand.
pub fn read_by(reader: &mut dyn FnMut(&str) -> Result<(), String>, path: &str, text: &str) {
    let script = script::Script::parse(text).unwrap_or_else(|why| panic!("{path}: {why}"));
    wait(path, script::run_and_show::<script::InProcess>(&(), &script, reader));
}

fn play<W: script::World>(ground: &W::Ground, path: &str, text: &str) {
    let script = script::Script::parse(text).unwrap_or_else(|why| panic!("{path}: {why}"));
    wait(path, script::run::<W>(ground, &script));
}

fn wait(path: &str, run: impl Future<Output = Result<(), String>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run).unwrap_or_else(|why| panic!("{path}: {why}"));
}
