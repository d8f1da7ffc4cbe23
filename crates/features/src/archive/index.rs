//! Fills the indexes of the archive behind the commits: what was said with whom, and in which words.

use super::text;
use crate::messages::LOG;
use kernel::{
    Kernel,
    context::blocking,
    jobs::{Job, JobError, Step},
};
use std::{sync::Arc, time::Duration};
use store::{Future, Unindexed, Write, search::folded};

/// Runs often, since it looks only at a number where there is little to do.
pub(super) const JOB: Job = Job { name: "archive index", every: Duration::from_secs(10), step };

/// As long as there are fewer new messages, a query reads them themselves: that takes a few milliseconds at most, and an
/// index is the cheaper the more it gets at once.
const AT_LEAST: usize = 1000;
/// Messages in one step. The writer is busy with them for some 30 ms.
const AT_MOST: usize = 2000;

fn step(kernel: Arc<Kernel>) -> Future<'static, Result<Step, JobError>> {
    Box::pin(async move {
        let found = kernel.store.log_unindexed(LOG, AT_LEAST, AT_MOST).await?;
        if found.up_to == 0 {
            return Ok(Step::Done);
        }
        // Unicode takes its time, and others wait for the writer.
        let write =
            blocking(&*kernel.context, move || with_texts(&found)).await.ok_or("the texts could not be read")?;
        kernel.apply(Vec::new(), vec![write]).await?;
        Ok(Step::More)
    })
}

fn with_texts(found: &Unindexed) -> Write {
    let texts = found.bodies.iter().filter_map(|(number, body)| Some((*number, folded(&text::of(body)?))));
    Write::LogIndex { table: LOG, up_to: found.up_to, texts: texts.collect() }
}
