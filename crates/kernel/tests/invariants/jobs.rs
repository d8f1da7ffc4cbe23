//! kernel/src/jobs.rs: jobs are driven by the clock, step by step; one that fails or panics goes on later, and a stopped
//! server does no more.

use kernel::{
    Feature, Hook, Kernel,
    jobs::{Job, JobError, Step},
};
use std::{cell::RefCell, collections::VecDeque, sync::Arc, time::Duration};
use store::{DocTable, Future, Store, Write, memory::Memory};
use testkit::{FakeContext, Server, settings};

static FEATURE: Feature = Feature {
    name: "counting",
    xeps: &[],
    server_features: &[],
    account_features: &[],
    stream_features: &[],
    hooks: &[Hook::Job(Job { name: "counting", every: Duration::from_secs(30), step })],
};

static FEATURES: &[&Feature] = &[&FEATURE];

const COUNT: DocTable = DocTable("count");

thread_local! {
    /// What the coming steps say; each test has a thread of its own.
    static SAID: RefCell<VecDeque<Result<Step, &'static str>>> = const { RefCell::new(VecDeque::new()) };
}

/// Counts itself in the store.
fn step(kernel: Arc<Kernel>) -> Future<'static, Result<Step, JobError>> {
    Box::pin(async move {
        let count = kernel.store.doc(COUNT, "").await?.map_or(0, |value| value[0]) + 1;
        let write = Write::DocPut { table: COUNT, owner: "".into(), value: vec![count].into() };
        kernel.apply(vec![], vec![write]).await?;
        match SAID.with_borrow_mut(VecDeque::pop_front) {
            None => Ok(Step::Done),
            Some(Err("panic")) => panic!("a step that panics, as the test wants"),
            Some(said) => Ok(said?),
        }
    })
}

async fn start() -> (Server, Memory) {
    let memory = Memory::new();
    let server = Server::start_with(Arc::new(memory.clone()), FakeContext::new(1), settings(), FEATURES).await.unwrap();
    server.settle().await;
    (server, memory)
}

async fn count(memory: &Memory) -> u8 {
    memory.doc(COUNT, "").await.unwrap().map_or(0, |value| value[0])
}

#[tokio::test]
async fn steps_follow_the_clock_and_one_another_while_there_is_more() {
    let (server, memory) = start().await;
    assert_eq!(count(&memory).await, 0, "not while the server starts");
    server.pass(Duration::from_secs(29)).await;
    assert_eq!(count(&memory).await, 0);
    SAID.set([Ok(Step::More), Ok(Step::More), Ok(Step::Done)].into());
    server.pass(Duration::from_secs(1)).await;
    assert_eq!(count(&memory).await, 3, "without any time in between");
    server.pass(Duration::from_secs(29)).await;
    assert_eq!(count(&memory).await, 3);
    server.pass(Duration::from_secs(1)).await;
    assert_eq!(count(&memory).await, 4);
}

#[tokio::test]
async fn a_job_goes_on_after_a_failure_and_after_a_panic() {
    let (server, memory) = start().await;
    SAID.set([Err("no"), Err("panic"), Ok(Step::Done)].into());
    for done in 1..=3 {
        server.pass(Duration::from_secs(30)).await;
        assert_eq!(count(&memory).await, done);
    }
}

#[tokio::test]
async fn a_stopped_server_does_no_more() {
    let (server, memory) = start().await;
    server.pass(Duration::from_secs(30)).await;
    server.kernel.stop().await.unwrap();
    for _ in 0..2 {
        server.context.pass(Duration::from_secs(30));
        testkit::quiet().await;
    }
    assert_eq!(count(&memory).await, 1);
}
