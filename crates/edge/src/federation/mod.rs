//! Streams to and from other servers.
//!
//! [`accept`] leads a connection that came in, [`carry`] empties a queue of the kernel's into a connection of ours, which
//! [`dial`] makes. Both end in [`traffic`], the one loop. [`identity`] judges certificates, [`verify`] asks about dialback
//! keys, and [`status`] remembers what happened, for the administrator.

pub(crate) mod accept;
mod carry;
mod dial;
pub mod identity;
mod status;
pub mod tls;
mod traffic;
mod verify;

use crate::{context, limits};
use dial::DialError;
use hashbrown::HashMap;
use kernel::{
    Kernel,
    remote::{Carrier, Link, Status, Step},
};
use linnet_net::dns::Resolver;
use linnet_xmpp::stream::server::{Claim, Pair, ServerConfig};
use parking_lot::Mutex;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
};
use status::State;
use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};
use store::Future;
use tls::ServerTls;
use tokio::sync::{mpsc, watch};
use verify::Asked;

/// What the administrator says about other servers.
pub struct Settings {
    /// Where their servers are.
    pub resolver: Resolver,
    /// The authorities whose certificates count.
    pub roots: RootCertStore,
    /// Whether dialback is not enough.
    pub require_certificate: bool,
    /// Domains for which it is the other way round.
    pub exceptions: Vec<Box<str>>,
    /// Stanzas that one stream of another server may send in a second; 0: no limit.
    pub stanzas_per_second: u32,
    /// How long messages wait for a server that cannot be reached.
    pub keep: Duration,
    /// After how long a stream is closed on which nothing happens.
    pub idle: Duration,
    /// Largest stanza, in bytes.
    pub stanza: usize,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("resolver", &self.resolver).finish_non_exhaustive()
    }
}

impl Settings {
    /// Whether a domain has to prove itself with a certificate.
    fn requires_certificate(&self, domain: &str) -> bool {
        self.require_certificate != self.exceptions.iter().any(|exception| **exception == *domain)
    }
}

/// The server's side towards other servers.
#[derive(Debug)]
pub struct Federation {
    kernel: Arc<Kernel>,
    tls: ServerTls,
    settings: Settings,
    streams: Arc<ServerConfig>,
    states: Mutex<HashMap<Pair, State>>,
    /// Becomes true when the server stops; each connection holds a receiver.
    stopping: watch::Sender<bool>,
    own: Weak<Federation>,
}

impl Federation {
    /// Begins to send to other servers; who comes in is given to [`accept`] by the listeners. `stopping`: as for clients.
    pub(crate) fn start(
        kernel: Arc<Kernel>,
        tls: ServerTls,
        settings: Settings,
        stopping: watch::Sender<bool>,
    ) -> Arc<Federation> {
        let serving = kernel.clone();
        let streams = ServerConfig {
            serves: Box::new(move |domain| serving.is_ours(domain)),
            secret: kernel.secret,
            limit_before: limits::FEDERATION_BEFORE,
            limit_after: settings.stanza,
            timeout: limits::FEDERATION_LOGIN,
            bidi: true,
            random: context::random,
        };
        let federation = Arc::new_cyclic(|own| Federation {
            kernel,
            tls,
            settings,
            streams: Arc::new(streams),
            states: Mutex::default(),
            stopping,
            own: own.clone(),
        });
        federation.kernel.open_remotes(Arc::new(Carriage(Arc::downgrade(&federation))));
        federation
    }

    /// Whether a chain of certificates is good for a domain.
    fn judge(&self, chain: &[CertificateDer<'_>], domain: &str) -> Result<(), identity::Problem> {
        let ascii = linnet_net::dns::ascii(domain).unwrap_or_else(|_| domain.into());
        identity::judge(chain, &ascii, &self.settings.roots, UnixTime::now())
    }

    /// Asks about a key beside the stream on which it was shown.
    fn verify(&self, claim: Claim, answer: mpsc::UnboundedSender<Asked>) {
        let Some(federation) = self.own.upgrade() else { return };
        tokio::spawn(async move {
            let pair = claim.pair.clone();
            let verdict = verify::verify(&federation, claim).await;
            // A stream that has ended needs no answer.
            let _ = answer.send((pair, verdict));
        });
    }
}

/// The authorities in PEM files, or those that the operating system trusts if there are none.
///
/// # Errors
/// What is wrong, in one line with the remedy.
pub fn authorities(files: &[PathBuf]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if files.is_empty() {
        // Systems carry some certificates that cannot be read: they are passed over.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            tracing::warn!("the operating system trusts no authority: other servers can only use dialback");
        }
        return Ok(roots);
    }
    for file in files {
        let wrong =
            |what: String| format!("{}: {what}; say a PEM file of certificates in [federation]", file.display());
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
    }
    Ok(roots)
}

/// What the kernel knows of us; weak, so that the kernel does not hold who holds it.
#[derive(Debug)]
struct Carriage(Weak<Federation>);

impl Carrier for Carriage {
    fn carry(&self, link: Arc<Link>) {
        if let Some(federation) = self.0.upgrade() {
            tokio::spawn(carry::carry(federation, link));
        }
    }

    fn status(&self, domain: Option<&str>) -> Vec<Status> {
        self.0.upgrade().map(|federation| federation.statuses(domain)).unwrap_or_default()
    }

    fn test(&self, domain: &str) -> Future<'static, (Vec<Step>, Result<(), String>)> {
        let (federation, domain) = (self.0.upgrade(), domain.to_owned());
        Box::pin(async move {
            match federation {
                Some(federation) => federation.test(domain).await,
                None => (Vec::new(), Err("the server is stopping".to_owned())),
            }
        })
    }
}

/// The text that senders and administrators read about a failure.
fn sentence(domain: &str, error: &DialError) -> String {
    format!("{domain} {error}")
}
