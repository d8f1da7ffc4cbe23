//! The linnet binary: server and command line.

mod administration;
mod assemble;
mod cli;
mod commands;
mod config;
mod control;
mod notify;
mod secret;

use std::{
    io::{Write, stdout},
    process::ExitCode,
};

/// Gives memory of ended sessions back to the operating system, and costs little per allocation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Prints a text. A reader that has gone, such as `head`, is no error.
fn print(text: impl std::fmt::Display) {
    let _ = writeln!(stdout(), "{text}");
}

fn main() -> ExitCode {
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("linnet: {error:#}");
            ExitCode::FAILURE
        }
    }
}
