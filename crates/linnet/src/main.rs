//! The linnet binary: server and command line.
fn main() {}
