//! Brings news to devices: one task per device that has something to hear, from the first news until the app server has
//! it and nothing came since. Invariants: two notifications of a device are `limits::INTERVAL` apart, however much comes,
//! and only a call comes sooner; a device that is back hears nothing; what failed for now is tried again, ever more rarely, and what failed for good
//! removes the registration.

use super::{
    limits,
    registration::{Registration, Registrations, micros},
    request,
    settings::is_important,
    wake::{Whereabouts, whereabouts},
};
use crate::roster::Roster;
use kernel::{Account, Kernel, Turn, owner::Owner, request::Unanswered};
use linnet_xeps::{
    Payload, ns,
    push::{Publication, Summary},
};
use linnet_xmpp::{
    Jid, Stanza, StanzaError,
    stanza::{Class, Condition, Type},
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::Notify;

/// In place of a body that the app server is not told: apps show or replace it, and their servers see by it that the
/// notification is worth a sound.
const PLACEHOLDER: &str = "New Message!";

/// What a device has to hear.
#[derive(Debug, Clone, Default)]
pub(super) struct News {
    /// How many messages; 0: there are some.
    messages: u32,
    important: bool,
    /// A call.
    urgent: bool,
    sender: Option<Jid>,
    body: Option<Box<str>>,
    /// The rows of the first and the last message, if all were given to a session of the device that is connected.
    given: Option<(u64, u64)>,
    /// That session had its time to acknowledge the first.
    is_overdue: bool,
}

impl News {
    pub(super) fn of(message: &Stanza) -> News {
        let body = message.child("body", linnet_xmpp::ns::CLIENT).map(|body| body.text().as_ref().into());
        let urgent = message.child("propose", ns::JINGLE_MESSAGE).is_some();
        let (sender, important) = (message.from.clone(), is_important(message));
        News { messages: 1, important, urgent, sender, body, given: None, is_overdue: false }
    }

    /// The same, given as this row to a session of the device that is connected.
    pub(super) fn given(self, row: u64) -> News {
        News { given: Some((row, row)), ..self }
    }

    /// Adds what came later. What nobody was given takes the place of what waits for an acknowledgement: that may have
    /// come, and if not, the device looks when it is woken.
    fn add(&mut self, later: News) {
        if self.given.is_some() && later.given.is_none() {
            *self = later;
            return;
        }
        self.messages = self.messages.saturating_add(later.messages);
        self.important |= later.important;
        self.urgent |= later.urgent;
        self.is_overdue |= later.is_overdue;
        if later.sender.is_some() {
            (self.sender, self.body) = (later.sender, later.body);
        }
        self.given = self.given.zip(later.given).map(|((first, _), (_, last))| (first, last));
    }
}

/// All devices that have something to hear, or heard something a moment ago: by account and registration.
#[derive(Debug, Default)]
pub(super) struct Couriers {
    open: Mutex<BTreeMap<(Jid, Box<str>), Open>>,
}

#[derive(Debug, Default)]
struct Open {
    news: Option<News>,
    hurry: Arc<Notify>,
}

/// Has a device told something, once the turn's changes are durable.
pub(super) fn send(turn: &mut Turn<'_>, registration: &Registration, news: News) {
    let couriers = turn.kernel.shared::<Couriers>();
    let key = (turn.account.address.clone(), registration.key());
    let mut open = couriers.open.lock();
    if let Some(open) = open.get_mut(&key) {
        // Nobody waits for an acknowledgement any more.
        let is_gone = news.given.is_none() && open.news.as_ref().is_some_and(|waiting| waiting.given.is_some());
        if news.urgent || is_gone {
            open.hurry.notify_one();
        }
        match &mut open.news {
            Some(waiting) => waiting.add(news),
            None => open.news = Some(news),
        }
        return;
    }
    let hurry = Arc::new(Notify::new());
    open.insert(key.clone(), Open { news: Some(news), hurry: hurry.clone() });
    drop(open);
    let courier = Courier { kernel: Arc::downgrade(turn.kernel), couriers, key, hurry, is_done: false };
    turn.afterwards(Box::pin(courier.run()));
}

/// The task of one device. Dropped before its end, it leaves no trace: the changes that caused it failed.
struct Courier {
    kernel: Weak<Kernel>,
    couriers: Arc<Couriers>,
    key: (Jid, Box<str>),
    hurry: Arc<Notify>,
    is_done: bool,
}

impl Drop for Courier {
    fn drop(&mut self) {
        if !self.is_done {
            self.couriers.open.lock().remove(&self.key);
        }
    }
}

/// What comes after a step.
enum Next {
    /// The next news, after this time; what is in a hurry, after the second.
    After { pause: Duration, hurried: Duration },
    /// There is no such registration any more.
    End,
}

impl Next {
    fn after(pause: Duration) -> Next {
        Next::After { pause, hurried: pause }
    }
}

impl Courier {
    async fn run(mut self) {
        loop {
            let Some(kernel) = self.kernel.upgrade().filter(|kernel| !kernel.is_stopping()) else { return };
            let Some(news) = self.take() else { return };
            let next = self.step(&kernel, news).await;
            let Next::After { pause, hurried } = next else { return };
            let context = kernel.context.clone();
            drop(kernel);
            let until = context.instant() + pause;
            context.sleep(hurried.min(pause)).await;
            tokio::select! {
                () = context.sleep(until.saturating_duration_since(context.instant())) => {}
                () = self.hurry.notified() => {}
            }
        }
    }

    /// What the device has to hear now; none ends the work.
    fn take(&mut self) -> Option<News> {
        let mut open = self.couriers.open.lock();
        let news = open.get_mut(&self.key).and_then(|open| open.news.take());
        if news.is_none() {
            open.remove(&self.key);
            self.is_done = true;
        }
        news
    }

    /// Keeps news that could not be brought, before those that came since.
    fn keep(&self, mut news: News) {
        if let Some(open) = self.couriers.open.lock().get_mut(&self.key) {
            if let Some(later) = open.news.take() {
                news.add(later);
            }
            open.news = Some(news);
        }
    }

    async fn step(&self, kernel: &Arc<Kernel>, mut news: News) -> Next {
        let (account, key) = &self.key;
        let Ok(owner) = kernel.owner(account).await else {
            self.keep(news);
            return Next::after(limits::BACKOFF);
        };
        let now = micros(kernel.context.now());
        let (jid, publication) = {
            let account = owner.lock();
            let found = account.document::<Registrations>().and_then(|known| known.find(key));
            let Some(registration) = found.filter(|_| account.exists) else { return Next::End };
            let wait = registration.history.wait(now);
            if !wait.is_zero() {
                self.keep(news);
                return Next::after(wait);
            }
            if let Whereabouts::Here(attached) = whereabouts(&account, &registration.device) {
                let is_open = |row| account.is_on_its_way(row, attached.session.id);
                let Some((first, last)) = news.given.filter(|(_, last)| is_open(*last)) else {
                    return Next::after(Duration::ZERO);
                };
                if !(news.is_overdue && is_open(first)) {
                    // What came last gets its time too.
                    (news.given, news.is_overdue) = (Some((last, last)), true);
                    self.keep(news);
                    return Next::After { pause: limits::ACKNOWLEDGE, hurried: Duration::ZERO };
                }
            }
            (registration.jid.clone(), publication(kernel, &account, registration, &news))
        };
        let answer = kernel.request(&account.domain_jid(), jid, Type::Set, publication.to_bytes()).await;
        let (outcome, next) = match answer {
            Ok(_) => (Outcome::Taken, Next::After { pause: limits::INTERVAL, hurried: limits::URGENT_INTERVAL }),
            Err(error) if is_final(&error) => (Outcome::Refused(error), Next::End),
            Err(error) => {
                self.keep(news);
                (Outcome::Failed(error), Next::after(limits::URGENT_INTERVAL))
            }
        };
        self.note(kernel, &owner, &outcome).await;
        next
    }

    /// Notes what has become of a publication, unless the registration has changed meanwhile.
    async fn note(&self, kernel: &Arc<Kernel>, owner: &Arc<Owner>, outcome: &Outcome) {
        let (account, key) = &self.key;
        // What is in memory may have to be read again.
        if kernel.owner(account).await.is_err() {
            return;
        }
        kernel.act(owner, false, |turn| {
            let Some(known) = turn.document::<Registrations>().filter(|_| turn.account.exists) else { return };
            let Some(registration) = known.find(key) else { return };
            let mut registration = registration.clone();
            let history = &mut registration.history;
            let now = micros(turn.now());
            match outcome {
                Outcome::Taken => (history.sent, history.failures) = (now, 0),
                Outcome::Refused(error) | Outcome::Failed(error) => {
                    history.failed = now;
                    history.error = error.to_string().chars().take(200).collect::<String>().into();
                    history.failures = history.failures.saturating_add(1);
                }
            }
            let is_over = matches!(outcome, Outcome::Refused(_)) || registration.history.failures >= limits::FAILURES;
            if is_over {
                let error = &registration.history.error;
                tracing::info!(%account, app_server = %registration.jid, %error, "push was disabled: it does not work");
                request::remove(turn, known, |known| known.key() == registration.key());
            } else {
                turn.write(registration.put(account));
                turn.set(known.replacing(registration));
            }
        });
    }
}

/// What has become of a publication.
enum Outcome {
    Taken,
    /// It will not be taken any more.
    Refused(Unanswered),
    /// Not now.
    Failed(Unanswered),
}

/// Whether an app server will not take the next one either (§7.1). What says that somebody should wait, or that the app
/// server cannot be reached, may pass.
fn is_final(error: &Unanswered) -> bool {
    let Unanswered::Error(StanzaError { condition, class, .. }) = error else { return false };
    *class != Class::Wait
        && !matches!(
            condition,
            Condition::InternalServerError
                | Condition::RecipientUnavailable
                | Condition::RemoteServerNotFound
                | Condition::RemoteServerTimeout
                | Condition::ResourceConstraint
                | Condition::ServiceUnavailable
        )
}

/// What is published, by what the administrator allows to tell.
fn publication(kernel: &Kernel, account: &Account, registration: &Registration, news: &News) -> Publication {
    let allowed = kernel.settings.push;
    let pending = || {
        let contacts = account.document::<Roster>().map(Roster::contacts).unwrap_or_default();
        contacts.iter().filter(|contact| contact.state.pending_in).count() as u32
    };
    let body = match &news.body {
        Some(body) if allowed.body => Some(body.to_string()),
        _ => news.important.then(|| PLACEHOLDER.to_owned()),
    };
    let summary = Summary {
        message_count: allowed.message_count.then(|| account.stored.max(news.messages).max(1)),
        pending_subscription_count: allowed.subscription_count.then(pending),
        last_message_sender: news.sender.clone().filter(|_| allowed.sender),
        last_message_body: body,
    };
    let node = registration.node.as_deref().map(str::to_owned);
    Publication { node, summary, options: registration.options.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_may_pass_remove_nothing() {
        let error = |condition: Condition| Unanswered::Error(condition.into());
        for condition in [
            Condition::ItemNotFound,
            Condition::Forbidden,
            Condition::NotAuthorized,
            Condition::NotAllowed,
            Condition::Gone,
            Condition::BadRequest,
            Condition::FeatureNotImplemented,
        ] {
            assert!(is_final(&error(condition)), "{condition:?}");
        }
        for condition in [
            Condition::ResourceConstraint,
            Condition::RemoteServerTimeout,
            Condition::RemoteServerNotFound,
            Condition::ServiceUnavailable,
            Condition::InternalServerError,
        ] {
            assert!(!is_final(&error(condition)), "{condition:?}");
        }
        let wait = StanzaError::new(Condition::ItemNotFound).class(Class::Wait);
        assert!(!is_final(&Unanswered::Error(wait)) && !is_final(&Unanswered::TimedOut));
    }

    #[test]
    fn what_nobody_was_given_counts_before_what_waits_for_an_acknowledgement() {
        let given = |row| News { messages: 1, ..News::default() }.given(row);
        let mut news = given(7);
        news.add(given(9));
        assert_eq!((news.given, news.messages), (Some((7, 9)), 2));
        news.add(News { messages: 1, ..News::default() });
        assert_eq!((news.given, news.messages), (None, 1));
        news.add(given(11));
        assert_eq!((news.given, news.messages), (None, 2));
    }
}
