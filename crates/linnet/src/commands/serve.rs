//! `linnet serve`: from the configuration to a running server, and back down in order.

use crate::{assemble, config::Config, control::Control, notify};
use anyhow::Context;
use edge::{certificate::Certificate, listener::Listener};
use std::{io, time::Instant};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::fmt;

/// Serves until it is told to stop (SIGTERM, SIGINT).
///
/// # Errors
/// Why it cannot serve, in one line.
pub(crate) fn run(config: Config) -> anyhow::Result<()> {
    let started = Instant::now();
    log(&config);
    let runtime = assemble::runtime().context("the server's threads cannot be started")?;
    let outcome = runtime.block_on(serve(config, started));
    // Nothing that still runs holds the end up: everything has been told, and given time.
    runtime.shutdown_background();
    outcome
}

async fn serve(config: Config, started: Instant) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    assemble::data_directory(&config.data)?;
    let kernel = assemble::kernel(&config).await?;
    kernel.restore_sessions().await.context("sessions from before the restart cannot be read")?;
    let control = Control::start(kernel.clone(), &config.data);
    if let Err(error) = &control {
        tracing::warn!(%error, "there is no control socket: 'linnet account' works only while the server is down");
    }
    // Last, so that whoever finds a port open finds everything else there too.
    let listeners = assemble::listeners(&config)?;
    let summary = summary(&config, &listeners);
    let edge = assemble::edge(&config, kernel.clone(), listeners)?;
    notify::ready();
    crate::print(&summary);
    tracing::info!(version = crate::cli::VERSION, start_ms = started.elapsed().as_millis() as u64, "serving");

    let received = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(signal = received, "stopping");
    notify::stopping();
    drop(control);
    edge.stop().await;
    kernel.stop().await.context("not everything could be written to the data directory")?;
    tracing::info!("stopped");
    Ok(())
}

fn log(config: &Config) {
    let log = fmt().with_writer(io::stderr).with_max_level(config.log).with_target(false);
    if config.log_json {
        log.json().init();
    } else {
        log.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init();
    }
}

/// What a person wants to know who has just started the server.
fn summary(config: &Config, listeners: &[Listener]) -> String {
    let mut lines = vec![format!("Linnet {} serves {}", crate::cli::VERSION, config.domain_names().join(", "))];
    for listener in listeners {
        if let Ok(address) = listener.address() {
            lines.push(format!("  {address:<24} {}", listener.kind()));
        }
    }
    lines.push(format!("  data                     {}", config.data.display()));
    if let Some(file) = &config.file {
        lines.push(format!("  configuration            {}", file.display()));
    }
    if config.certificate.is_none() {
        let file = config.data.join("certificate.pem");
        lines.push(format!("  certificate              self-signed: {}", file.display()));
    } else {
        for (ends, _) in assemble::certificates(config).iter().flatten().filter_map(Certificate::not_after) {
            lines.push(format!("  certificate              valid until {ends}"));
        }
    }
    let main = config.domains.first().map_or("localhost", |domain| domain.domain());
    lines.push(format!("To make an account: linnet account add name@{main}"));
    lines.join("\n")
}
