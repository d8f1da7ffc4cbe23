//! What the binary can do, one file each.

pub(crate) mod account;
pub(crate) mod check;
pub(crate) mod import;
pub(crate) mod send;
pub(crate) mod serve;
