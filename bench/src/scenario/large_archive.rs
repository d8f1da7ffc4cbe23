//! One archive of a million messages: what a page costs at its beginning, in the middle and at its end, and what a search
//! costs. Peers take too long to fill one.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Pending, Run, Scenario};
use crate::figure::Figure;
use crate::pages::{Pages, Query};
use crate::process;
use crate::session::{Target, is_error, refused};
use crate::setup;
use crate::wire::Wire;

pub(crate) const SCENARIO: Scenario = Scenario {
    name: "large archive",
    about: "50 accounts write 1,000,000 messages to one, of which every thousandth holds a word that no other has; then this \
            one reads its first, its middle and its last page, and the first page with that word, over and over. The cost of \
            writing includes both archives and the index for searching.",
    variants: &["1,000,000 messages"],
    on_relay: &[],
    run,
};

const SENDERS: usize = 50;
const MESSAGES: usize = 1_000_000;
/// Messages that a sender has under way.
const BURST: usize = 20;
/// Every so many messages comes one with the word.
const RARE: usize = 1000;
const WORD: &str = "kestrel";
/// How often each page is read.
const READS: usize = 1000;
/// How long the index may take to know all messages.
const INDEXED: Duration = Duration::from_secs(60);

fn run(run: Run, _variant: &'static str) -> Pending {
    Box::pin(async move {
        let target = run.server()?.clone();
        let before = process::tree(run.pid)?.cpu_s;
        let middle = fill(&target).await?;
        let mut pages = Pages::new(target.login(&setup::user(0), true).await?);
        wait_for_index(&mut pages).await?;
        let filling = process::tree(run.pid)?.cpu_s - before;
        let mut costs = Vec::new();
        for query in [Query::First, Query::After(middle), Query::Last, Query::Word(WORD)] {
            costs.push(cost(&run, &mut pages, &query).await?);
        }
        let dearest = costs[..3].iter().copied().fold(f64::MIN, f64::max);
        let cheapest = costs[..3].iter().copied().fold(f64::MAX, f64::min);
        Ok(vec![
            Figure::more("messages written and indexed per server-CPU-s", MESSAGES as f64 / filling),
            Figure::less("server-CPU ms, first page", costs[0]).goal_value(1.0),
            Figure::less("server-CPU ms, middle page", costs[1]).goal_value(1.0),
            Figure::less("server-CPU ms, last page", costs[2]).goal_value(1.0),
            Figure::less("dearest page / cheapest page", dearest / cheapest),
            Figure::less("server-CPU ms, first page of a word in 1,000 messages", costs[3]).goal_value(20.0),
        ])
    })
}

/// Server-CPU milliseconds of reading one page.
async fn cost(run: &Run, pages: &mut Pages, query: &Query) -> io::Result<f64> {
    let before = process::tree(run.pid)?.cpu_s;
    for _ in 0..READS {
        let page = pages.read(query).await?;
        if page.messages != crate::pages::PAGE {
            return Err(io::Error::other(format!("a page of {} messages", page.messages)));
        }
    }
    Ok((process::tree(run.pid)?.cpu_s - before) * 1000.0 / READS as f64)
}

/// Fills the archive of the first account and returns the archive id of the message in the middle.
async fn fill(target: &Arc<Target>) -> io::Result<String> {
    let mut receiver = target.online(&setup::user(0), true).await?;
    let mut senders = JoinSet::new();
    let (wanted, gate) = tokio::sync::watch::channel(0);
    for number in 0..SENDERS {
        let wire = target.online(&setup::user(number + 1), true).await?;
        senders.spawn(write(wire, number, gate.clone()));
    }
    let mut middle = None;
    let mut received = 0;
    while received < MESSAGES {
        let item = receiver.item().await?;
        if is_error(item) {
            return Err(refused("message", item));
        }
        if !item.trim_ascii_start().starts_with(b"<message") {
            continue;
        }
        received += 1;
        if received == MESSAGES / 2 {
            middle = archive_id(item);
        }
        if received % (SENDERS * BURST) == 0 {
            wanted.send_replace(received / (SENDERS * BURST));
        }
    }
    setup::finish(senders).await?;
    setup::end(receiver).await?;
    middle.ok_or_else(|| io::Error::other("messages come without <stanza-id/>"))
}

/// Writes one sender's share, in bursts; a burst begins when all of the one before the last have come.
async fn write(mut wire: Wire, number: usize, mut gate: tokio::sync::watch::Receiver<usize>) -> io::Result<()> {
    for burst in 0..MESSAGES / SENDERS / BURST {
        gate.wait_for(|done| done + 2 > burst).await.map_err(io::Error::other)?;
        let messages = (0..BURST).map(|index| {
            let id = (burst * BURST + index) * SENDERS + number;
            let word = if id.is_multiple_of(RARE) { WORD } else { "sparrow" };
            format!(
                "<message to='u0@localhost' type='chat' id='m{id}'><body>What number {id} has to say of the {word} in \
                 the old orchard behind the house, and nothing else.</body></message>"
            )
        });
        wire.send(messages.collect::<String>().as_bytes()).await?;
    }
    // The sender stays until its last message has arrived.
    let last = MESSAGES / SENDERS / BURST;
    gate.wait_for(|done| *done >= last).await.map_err(io::Error::other)?;
    setup::end(wire).await
}

/// Waits until a search finds the word in the newest messages too.
async fn wait_for_index(pages: &mut Pages) -> io::Result<()> {
    let began = Instant::now();
    let mut found = 0;
    while began.elapsed() < INDEXED {
        found = 0;
        let mut query = Query::Word(WORD);
        loop {
            let page = pages.read(&query).await?;
            found += page.messages;
            match page.last {
                Some(last) if !page.is_complete => query = Query::WordAfter(WORD, last),
                _ => break,
            }
        }
        if found == MESSAGES / RARE {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err(io::Error::other(format!("after {INDEXED:?} a search finds {found} of {} messages", MESSAGES / RARE)))
}

/// The id that the receiver's server gave a message (XEP-0359).
fn archive_id(message: &[u8]) -> Option<String> {
    let (_, rest) = str::from_utf8(message).ok()?.split_once("<stanza-id")?;
    let rest = &rest[rest.find(" id=")? + 4..];
    let quote = rest.chars().next()?;
    Some(rest[1..].split_once(quote)?.0.to_owned())
}
