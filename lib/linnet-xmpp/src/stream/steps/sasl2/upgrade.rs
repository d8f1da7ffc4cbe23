//! Upgrades of SCRAM (XEP-0480 §3): their names and elements, and the server's way through them.

use crate::{
    ns,
    sasl::{Failure, Hash, Mechanism, ScramKeys},
    stream::question::Upgrade,
    xml::{Node, Writer},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;

/// The hashes for which keys are taken.
pub(super) const HASHES: [Hash; 2] = [Hash::Sha256, Hash::Sha512];

/// The name of a task, e.g. `UPGR-SCRAM-SHA-256` (§2.1).
pub(super) fn name(hash: Hash) -> String {
    format!("UPGR-{}", Mechanism::Scram { hash, plus: false }.name())
}

/// The hash of a task's name.
pub(super) fn hash(task: &str) -> Option<Hash> {
    HASHES.into_iter().find(|hash| name(*hash) == task.trim_ascii())
}

/// Salt and iterations in the server's `<task-data/>`.
pub(super) fn salt(data: Node<'_>) -> Option<(Vec<u8>, u32)> {
    let salt = data.child("salt", ns::SCRAM_UPGRADE)?;
    let iterations = salt.attr("iterations")?.parse().ok()?;
    Some((super::data(salt).ok().filter(|salt| !salt.is_empty())?, iterations))
}

/// The tasks that are left, the next one first.
#[derive(Debug)]
pub(super) struct Tasks {
    left: Vec<Upgrade>,
    /// The salt of the first was told.
    told: bool,
}

impl Tasks {
    /// `None` where nothing is to be done.
    pub(super) fn new(left: Vec<Upgrade>) -> Option<Tasks> {
        (!left.is_empty()).then_some(Tasks { left, told: false })
    }

    /// `<continue/>` for the next task; `data`: what the mechanism has to say, if that is not said yet.
    pub(super) fn offer(&self, data: Option<&[u8]>) -> Bytes {
        let mut out = Writer::new(ns::CLIENT);
        out.open("continue", ns::SASL2);
        if let Some(data) = data {
            out.leaf("additional-data", ns::SASL2, &super::encoded(data));
        }
        out.open("tasks", ns::SASL2);
        self.left.iter().take(1).for_each(|next| {
            out.leaf("task", ns::SASL2, &name(next.hash));
        });
        out.close().close();
        out.finish()
    }

    /// `<next/>`: the answer tells salt and iterations.
    pub(super) fn begin(&mut self, next: Node<'_>) -> Result<Bytes, Failure> {
        let task =
            self.left.first().filter(|task| next.attr("task").is_some_and(|name| hash(&name) == Some(task.hash)));
        let task = task.filter(|_| !self.told).ok_or(Failure::MalformedRequest)?;
        let mut out = Writer::new(ns::CLIENT);
        out.open("task-data", ns::SASL2).open("salt", ns::SCRAM_UPGRADE);
        out.attr("iterations", &task.iterations.to_string()).text(&STANDARD.encode(&task.salt)).close().close();
        self.told = true;
        Ok(out.finish())
    }

    /// `<task-data/>`: the keys that it gives.
    pub(super) fn keys(&self, data: Node<'_>) -> Result<ScramKeys, Failure> {
        let task = self.left.first().filter(|_| self.told).ok_or(Failure::MalformedRequest)?;
        let salted = data.child("hash", ns::SCRAM_UPGRADE).ok_or(Failure::MalformedRequest)?;
        let salted = super::data(salted)?;
        ScramKeys::of_salted(task.hash, &salted, &task.salt, task.iterations).ok_or(Failure::MalformedRequest)
    }

    /// The first is done; `None` after the last.
    pub(super) fn rest(mut self) -> Option<Tasks> {
        self.left.remove(0);
        Tasks::new(self.left)
    }
}
