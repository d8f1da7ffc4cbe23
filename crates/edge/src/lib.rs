//! Listeners, TLS and the loops between sockets and kernel.
//!
//! A connection begins in [`listener`]; `arrive` finds out what it is. A client's stream logs in as `login` says, and then
//! lives in `c2s`, the one loop; so do a WebSocket, which begins in `http`, and a session of `bosh`.

mod arrive;
mod bosh;
mod c2s;
pub mod certificate;
mod certificates;
pub mod context;
pub mod federation;
mod http;
pub mod limits;
pub mod listener;
mod login;
mod outgoing;
mod patient;
mod proxy;
mod rates;
mod socket;
pub mod tls;
pub mod web;
mod websocket;

use axum::Router;
use kernel::Kernel;
use limits::Limits;
use linnet_xmpp::{
    sasl::{Hash, Mechanism},
    stream::{AcceptConfig, AcceptStep, StreamCondition, StreamError},
};
use listener::{Listener, Shared};
use std::sync::Arc;
use tls::Tls;
use tokio::sync::watch;
use web::Web;

/// The server's side towards clients, running.
#[derive(Debug)]
pub struct Edge {
    shared: Arc<Shared>,
}

impl Edge {
    /// Serves clients and, with `servers`, other servers on these ports. `steps`: of the stream's negotiation, in the order
    /// in which they are advertised; `router`: what is answered over HTTP beside the streams of `web`. To be called on the
    /// runtime that will serve.
    #[expect(clippy::too_many_arguments, reason = "called once, in assemble.rs, where each has its name")]
    pub fn start(
        kernel: Arc<Kernel>,
        listeners: Vec<Listener>,
        tls: Tls,
        limits: Limits,
        steps: Vec<&'static dyn AcceptStep>,
        router: Router,
        servers: Option<(federation::tls::ServerTls, federation::Settings)>,
        web: Web,
    ) -> Edge {
        let domains = kernel.settings.domains.iter().map(|domain| domain.domain().into()).collect();
        let encrypted = AcceptConfig {
            domains,
            limit_before_login: limits.stanza_before_login,
            limit_after_login: limits.stanza,
            login_timeout: limits::LOGIN,
            require_tls: true,
            mechanisms: mechanisms().collect(),
            bind_features: kernel.hooks.bind.iter().map(|feature| feature.ns).collect(),
            login_attempts: limits::LOGIN_ATTEMPTS,
            steps,
            elsewhere: web.elsewhere.as_deref().map(Box::from),
            random: context::random,
        };
        let plaintext = AcceptConfig {
            domains: encrypted.domains.clone(),
            require_tls: false,
            // A password is not sent in the clear, not even on one machine.
            mechanisms: mechanisms().filter(|mechanism| *mechanism != Mechanism::Plain).collect(),
            bind_features: encrypted.bind_features.clone(),
            steps: encrypted.steps.clone(),
            elsewhere: encrypted.elsewhere.clone(),
            ..encrypted
        };
        let stopping = watch::Sender::new(false);
        let federation = servers
            .map(|(tls, settings)| federation::Federation::start(kernel.clone(), tls, settings, stopping.clone()));
        let shared = Arc::new(Shared {
            kernel,
            federation,
            tls,
            router,
            addresses: rates::Addresses::new(limits.clone()),
            web,
            bosh: bosh::Sessions::default(),
            limits,
            encrypted: Arc::new(encrypted),
            plaintext: Arc::new(plaintext),
            stopping,
        });
        for listener in listeners {
            tokio::spawn(listener::accept(shared.clone(), listener));
        }
        Edge { shared }
    }

    /// Accepts nobody any more, tells all sessions, and waits until what was for them is written, but not too long.
    pub async fn stop(self) {
        self.shared.kernel.begin_stop();
        self.shared.stopping.send_replace(true);
        let stopped = async {
            // A login that is being completed at this moment gets its session after the first look.
            while self.shared.stopping.receiver_count() > 0 {
                self.tell();
                let pause = tokio::time::sleep(std::time::Duration::from_millis(50));
                tokio::select! {
                    () = self.shared.stopping.closed() => {}
                    () = pause => {}
                }
            }
        };
        if tokio::time::timeout(limits::STOP, stopped).await.is_err() {
            let left = self.shared.stopping.receiver_count();
            tracing::warn!(left, "some connections did not end in time; what was for them is kept");
        }
    }

    fn tell(&self) {
        for owner in self.shared.kernel.owners_online() {
            let sessions: Vec<_> = owner.lock().sessions.iter().map(|attached| attached.session.clone()).collect();
            for session in sessions {
                session.stop(StreamError::new(StreamCondition::SystemShutdown).text("the server is stopping"));
            }
        }
    }
}

/// Strongest first. Those with channel binding are offered inside TLS only.
fn mechanisms() -> impl Iterator<Item = Mechanism> {
    const HASHES: [Hash; 3] = [Hash::Sha512, Hash::Sha256, Hash::Sha1];
    let scram = |plus| HASHES.into_iter().map(move |hash| Mechanism::Scram { hash, plus });
    scram(true).chain(scram(false)).chain([Mechanism::Plain])
}
