//! Transcript runner, fake clock, history checker: for tests only.
