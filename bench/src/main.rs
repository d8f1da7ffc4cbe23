//! Load generator and micro-benchmarks.
fn main() {}
