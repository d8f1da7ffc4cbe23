//! Everything wired, on one screen: store, kernel, features, portal, edge.

use crate::{cli::VERSION, config::Config};
use anyhow::Context;
use edge::{
    Edge,
    certificate::Certificate,
    context::Tokio,
    federation::{self, tls::ServerTls},
    listener::{BindError, Kind, Listener},
    tls::Tls,
};
use kernel::{Kernel, Settings};
use linnet_net::dns::{Resolver, Service};
use linnet_xmpp::stream::{
    AcceptStep,
    steps::{self, Announce},
};
use portal::Discovery;
use std::{fs::DirBuilder, io, os::unix::fs::DirBuilderExt, path::Path, sync::Arc, thread::available_parallelism};
use store_objects::Objects;
use store_sqlite::Sqlite;
use tokio::runtime::{Builder, Handle, Runtime};

/// Iterations of PBKDF2 for new passwords. Clients compute as many at each login: a slow telephone needs 20 ms.
const ITERATIONS: u32 = 10_000;

/// One worker for each processor.
pub(crate) fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().thread_name("linnet").build()
}

/// Makes the data directory if there is none, for its owner only.
pub(crate) fn data_directory(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(|| {
        format!(
            "the data directory {} cannot be made: say another one with 'data' in the configuration",
            path.display()
        )
    })
}

/// Store, kernel and features, without any socket.
pub(crate) async fn kernel(config: &Config) -> anyhow::Result<Arc<Kernel>> {
    // First: it has the directory's lock, and what the next finds there is nobody else's.
    let store = Arc::new(Sqlite::open(&config.data)?);
    let blobs = match &config.s3 {
        Some(s3) => Objects::bucket(s3).context("[s3] of the configuration cannot be used")?,
        None => Objects::folder(config.data.join("files")).context("the folder of files cannot be used")?,
    };
    let processors = available_parallelism().map_or(1, usize::from);
    let context = Arc::new(Tokio::new(Handle::current(), processors));
    let settings = Settings {
        domains: config.domains.clone(),
        admins: config.admins.clone(),
        registration: config.registration,
        contacts: config.contacts.clone(),
        push: config.push,
        stanzas_per_second: config.stanzas_per_second,
        strangers_per_hour: config.strangers_per_hour,
        archive_days: config.archive_days,
        iterations: ITERATIONS,
        version: VERSION,
        web: config.web.clone(),
        files: config.files.clone(),
        domains_elsewhere: config.federation.domains.clone(),
        relays: config.relays.clone(),
    };
    Ok(Kernel::start(store, Arc::new(blobs), context, settings, features::FEATURES).await?)
}

/// The ports of the configuration. What nobody asked for by name may be missing where the machine has no such address.
pub(crate) fn listeners(config: &Config) -> Result<Vec<Listener>, BindError> {
    let mut listeners = Vec::new();
    for listen in &config.listen {
        match Listener::bind(listen.address, listen.kind) {
            Ok(listener) if listen.is_behind => listeners.push(listener.behind_proxies()),
            Ok(listener) => listeners.push(listener),
            Err(error) if listen.by_default && listen.address.is_ipv6() && is_no_ipv6(&error.error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(listeners)
}

/// The certificates of the configuration, or the one that the server makes itself; the main one first.
pub(crate) fn certificates(config: &Config) -> anyhow::Result<Vec<Certificate>> {
    let main = match &config.certificate {
        Some((certificate, key)) => Certificate::load(certificate, key)?,
        None => Certificate::self_signed(&config.data, &[config.domain_names(), config.service_names()].concat())?,
    };
    let more = config.more_certificates.iter().map(|(certificate, key)| Certificate::load(certificate, key));
    Ok([Ok(main)].into_iter().chain(more).collect::<Result<_, _>>()?)
}

/// Begins to serve.
pub(crate) fn edge(config: &Config, kernel: Arc<Kernel>, listeners: Vec<Listener>) -> anyhow::Result<Edge> {
    let certificates = certificates(config)?;
    let router = portal::router(&kernel, discovery(config, &certificates));
    let tls = Tls::new(certificates).context("the certificate cannot be used: does the key belong to it?")?;
    // Once per process: the negotiation's steps are values that live as long as it does.
    let announce: &'static Announce = Box::leak(Box::new(Announce(features::stream_features(&kernel))));
    let more = kernel.hooks.steps.iter().copied().chain([announce as &dyn AcceptStep]);
    let steps = steps::ACCEPT.iter().copied().chain(more).collect();
    kernel.started();
    let servers = servers(config, &listeners)?;
    Ok(Edge::start(kernel, listeners, tls, config.limits.clone(), steps, router, servers, config.xmpp.clone()))
}

/// What is needed to talk to other servers; nothing, where none of them can connect here.
fn servers(config: &Config, listeners: &[Listener]) -> anyhow::Result<Option<(ServerTls, federation::Settings)>> {
    if !listeners.iter().any(|listener| matches!(listener.kind(), Kind::Servers | Kind::ServersDirect)) {
        return Ok(None);
    }
    let said = &config.federation;
    let certificates = certificates(config)?;
    let main = certificates.first().context("there is no certificate")?;
    let tls = ServerTls::new(main).context("the certificate cannot be used with other servers")?;
    let mut resolver = match &said.name_servers[..] {
        [] => Resolver::system(),
        servers => Resolver::servers(servers),
    };
    let mut domains: Vec<&str> = said.hosts.iter().map(|(domain, _)| domain.as_str()).collect();
    domains.dedup();
    for domain in domains {
        let targets = said.hosts.iter().filter(|(of, _)| of == domain).map(|(_, target)| target.clone());
        resolver = resolver.service(domain, Service::Server, targets.collect());
    }
    let settings = federation::Settings {
        resolver,
        roots: federation::authorities(&said.authorities).map_err(anyhow::Error::msg)?,
        require_certificate: said.require_certificate,
        exceptions: said.exceptions.clone(),
        stanzas_per_second: said.stanzas_per_second,
        keep: said.keep,
        idle: said.idle,
        stanza: said.stanza,
    };
    Ok(Some((tls, settings)))
}

/// What clients may find out about the ways in.
fn discovery(config: &Config, certificates: &[Certificate]) -> Discovery {
    let tls = config.listen.iter().filter(|listen| matches!(listen.kind, Kind::DirectTls | Kind::Any));
    let mut ports: Vec<u16> = tls.map(|listen| listen.address.port()).collect();
    ports.sort_unstable();
    ports.dedup();
    Discovery {
        url: config.web.clone(),
        websocket: config.xmpp.websocket.clone(),
        bosh: config.xmpp.bosh.clone(),
        domains: config.domain_names(),
        addresses: config.public_addresses.clone(),
        ports,
        pins: certificates.iter().filter_map(Certificate::pin).collect(),
    }
}

fn is_no_ipv6(error: &io::Error) -> bool {
    // EAFNOSUPPORT, where the kernel has no IPv6 at all.
    const UNSUPPORTED: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(UNSUPPORTED)
}
