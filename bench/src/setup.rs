//! Accounts and rosters that the scenarios need, made once per server through XMPP itself.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::session::{Target, has, is_error, refused};
use crate::wire::Wire;

/// Accounts without contacts: `u0` and so on.
pub(crate) const USERS: usize = 1000;
/// Circles of friends: `p0` and so on, each member subscribed to all others of its circle, both ways.
pub(crate) const GROUPS: usize = 8;
/// Members of a circle: 20 contacts each.
pub(crate) const MEMBERS: usize = 21;

/// Name of the account with no contacts number `index`.
pub(crate) fn user(index: usize) -> String {
    format!("u{index}")
}

/// Name of a member of a circle.
pub(crate) fn friend(group: usize, member: usize) -> String {
    format!("p{}", group * MEMBERS + member)
}

/// All account names.
pub(crate) fn names() -> impl Iterator<Item = String> {
    (0..USERS).map(user).chain((0..GROUPS * MEMBERS).map(|index| format!("p{index}")))
}

/// Registers the accounts if `register`, logs each in once (so that its salted password is known) and makes the circles.
pub(crate) async fn all(target: &Arc<Target>, register: bool) -> io::Result<()> {
    if register {
        each(names(), target, |target, name| async move { target.register(&name).await }).await?;
    }
    each(names(), target, |target, name| async move { end(target.login(&name, true).await?).await }).await?;
    let mut circles = JoinSet::new();
    for group in 0..GROUPS {
        circles.spawn(circle(target.clone(), group));
    }
    finish(circles).await
}

/// Ends a stream in the orderly way.
pub(crate) async fn end(mut wire: Wire) -> io::Result<()> {
    wire.send(b"</stream:stream>").await?;
    // A server that keeps the socket open loses nothing but our patience.
    let _ = tokio::time::timeout(Duration::from_secs(2), wire.drain()).await;
    Ok(())
}

/// Runs `act` for every name, some at a time.
pub(crate) async fn each<F, R>(names: impl Iterator<Item = String>, target: &Arc<Target>, act: F) -> io::Result<()>
where
    F: Fn(Arc<Target>, String) -> R,
    R: Future<Output = io::Result<()>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(16));
    let mut jobs = JoinSet::new();
    for name in names {
        let (slots, job) = (slots.clone(), act(target.clone(), name));
        jobs.spawn(async move {
            let _slot = slots.acquire_owned().await.map_err(io::Error::other)?;
            job.await
        });
    }
    finish(jobs).await
}

/// Waits for all of `jobs`; the first error ends the wait.
pub(crate) async fn finish(mut jobs: JoinSet<io::Result<()>>) -> io::Result<()> {
    while let Some(job) = jobs.join_next().await {
        job.map_err(io::Error::other)??;
    }
    Ok(())
}

/// Subscribes all members of one circle to each other (RFC 6121 §3.1), then waits until every roster says so.
async fn circle(target: Arc<Target>, group: usize) -> io::Result<()> {
    let mut members = Vec::new();
    for member in 0..MEMBERS {
        members.push(target.online(&friend(group, member), true).await?);
    }
    let to_others = |own: usize, kind: &str| -> String {
        let others = (0..MEMBERS).filter(|other| *other != own);
        let stanza = |other| format!("<presence to='{}@{}' type='{kind}'/>", friend(group, other), target.domain);
        others.map(stanza).collect()
    };
    for (own, wire) in members.iter_mut().enumerate() {
        wire.send(to_others(own, "subscribe").as_bytes()).await?;
    }
    for (own, wire) in members.iter_mut().enumerate() {
        let mut asked = 0;
        while asked < MEMBERS - 1 {
            let item = wire.item().await?;
            if is_error(item) {
                return Err(refused("subscription", item));
            }
            asked += usize::from(has(item, b"type='subscribe'") || has(item, b"type=\"subscribe\""));
        }
        wire.send(to_others(own, "subscribed").as_bytes()).await?;
    }
    for mut wire in members {
        mutual(&mut wire).await?;
        end(wire).await?;
    }
    Ok(())
}

/// Asks for the roster until all contacts are mutual.
async fn mutual(wire: &mut Wire) -> io::Result<()> {
    for _ in 0..100 {
        wire.send(b"<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>").await?;
        let both = loop {
            let item = wire.item().await?;
            if has(item, b"id='roster'") || has(item, b"id=\"roster\"") {
                let count = |sign: &[u8]| memchr::memmem::find_iter(item, sign).count();
                break count(b"subscription='both'") + count(b"subscription=\"both\"");
            }
        };
        if both == MEMBERS - 1 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(io::Error::other("subscriptions did not become mutual within 10 s"))
}
