//! Other servers, as the administrator sees them: what is on its way to them, why something does not arrive, and what
//! happens when one of them is reached for. The streams themselves are edge's, the queues the kernel's.
//!
//! Not done: forwarding to several connections of one pair of domains.

mod commands;

use kernel::{Feature, Hook, hooks::Xep};

/// Federation.
pub static FEATURE: Feature = Feature {
    name: "federation",
    xeps: &[
        Xep { number: 178, version: "1.2", note: "between servers" },
        Xep { number: 185, version: "1.0", note: "" },
        Xep { number: 220, version: "1.1.1", note: "keys are asked about on connections of their own" },
        Xep { number: 288, version: "1.0.1", note: "" },
        Xep { number: 368, version: "1.1.0", note: "" },
    ],
    server_features: &[],
    account_features: &[],
    stream_features: &[],
    hooks: &[Hook::Command(&commands::STATUS), Hook::Command(&commands::TEST), Hook::Command(&commands::TRACE)],
};
