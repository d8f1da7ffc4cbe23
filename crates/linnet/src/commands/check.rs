//! `linnet check`: is everything as it must be for `linnet serve`? In plain words, with what to do where it is not.

use crate::{
    assemble,
    config::{Config, ConfigError, is_this_machine},
    control,
};
use edge::{certificate::Certificate, tls::Tls};
use std::{fs, os::unix::fs::PermissionsExt, os::unix::net::UnixStream, process::ExitCode};

struct Findings {
    wrong: usize,
}

impl Findings {
    fn good(&mut self, text: impl AsRef<str>) {
        crate::print(format_args!("ok       {}", text.as_ref()));
    }

    fn note(&mut self, text: impl AsRef<str>) {
        crate::print(format_args!("note     {}", text.as_ref()));
    }

    fn bad(&mut self, text: impl AsRef<str>) {
        crate::print(format_args!("WRONG    {}", text.as_ref()));
        self.wrong += 1;
    }
}

/// Looks at configuration, data directory, ports and certificate. Fails if something is wrong.
///
/// # Errors
/// The look itself failed.
pub(crate) fn run(config: Result<Config, ConfigError>) -> anyhow::Result<ExitCode> {
    let mut findings = Findings { wrong: 0 };
    match config {
        Ok(config) => look(&config, &mut findings)?,
        Err(error) => findings.bad(format!("configuration: {error}")),
    }
    match findings.wrong {
        0 => crate::print("Everything is all right."),
        1 => crate::print("One thing is wrong."),
        wrong => crate::print(format_args!("{wrong} things are wrong.")),
    }
    Ok(if findings.wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn look(config: &Config, findings: &mut Findings) -> anyhow::Result<()> {
    match &config.file {
        Some(file) => findings.good(format!("configuration: {}", file.display())),
        None => findings.good("configuration: no file, everything is as it is by default"),
    }
    findings.good(format!("domains: {}", config.domain_names().join(", ")));
    let services = config.service_names();
    if !services.is_empty() {
        findings.good(format!("services: {}", services.join(", ")));
        if !config.domain_names().iter().all(|domain| is_this_machine(domain)) {
            findings.note(
                "services: people on other servers reach them only if DNS has a record for each, like the domain's own",
            );
        }
    }
    let running = UnixStream::connect(control::path(&config.data)).is_ok();
    if running {
        findings.note("a server is running on this data directory: ports and database are its own and not looked at");
    }
    data(config, running, findings)?;
    if !running {
        ports(config, findings)?;
    }
    certificate(config, findings);
    Ok(())
}

fn data(config: &Config, running: bool, findings: &mut Findings) -> anyhow::Result<()> {
    let name = config.data.display();
    if !config.data.exists() {
        findings.note(format!("data directory: {name} is not there yet; 'linnet serve' makes it"));
        return Ok(());
    }
    let mode = fs::metadata(&config.data).map(|metadata| metadata.permissions().mode() & 0o077);
    if mode.is_ok_and(|others| others != 0) {
        findings.note(format!("data directory: others may look into {name}: 'chmod 700 {name}' forbids that"));
    }
    if running {
        return Ok(());
    }
    // As the server does it: opens the store, reads, closes.
    let opened = assemble::runtime()?.block_on(async {
        let kernel = assemble::kernel(config).await?;
        let accounts = kernel.store.account_count().await;
        kernel.stop().await?;
        anyhow::Ok(accounts?)
    });
    match opened {
        Ok(0) => findings.note(format!("data directory: {name}; no accounts yet: 'linnet account add NAME' makes one")),
        Ok(accounts) => findings.good(format!("data directory: {name}, {accounts} accounts")),
        Err(error) => findings.bad(format!("data directory: {error:#}")),
    }
    Ok(())
}

fn ports(config: &Config, findings: &mut Findings) -> anyhow::Result<()> {
    let runtime = assemble::runtime()?;
    let _entered = runtime.enter();
    match assemble::listeners(config) {
        Ok(listeners) if listeners.is_empty() => findings.bad("ports: none; say some in [listen]"),
        Ok(listeners) => {
            for listener in &listeners {
                findings.good(format!("port: {} ({})", listener.address()?, listener.kind()));
            }
        }
        Err(error) => findings.bad(format!("port: {error}")),
    }
    Ok(())
}

fn certificate(config: &Config, findings: &mut Findings) {
    if config.certificate.is_none() && !config.data.join("certificate.pem").exists() {
        findings.note("certificate: 'linnet serve' makes a self-signed one; clients will ask whether to trust it");
        return;
    }
    let certificates = match assemble::certificates(config) {
        Ok(certificates) => certificates,
        Err(error) => return findings.bad(format!("certificate: {error:#}")),
    };
    let domains = config.domain_names();
    let missing = missing(&certificates, &domains);
    if !missing.is_empty() {
        findings.bad(format!("certificate: there is none for {}: get one that names all domains", missing.join(", ")));
    }
    let services = config.service_names();
    let missing = self::missing(&certificates, &services);
    if !missing.is_empty() {
        findings.note(format!(
            "certificate: none names the services {}: other servers will not trust them",
            missing.join(", ")
        ));
    }
    for certificate in &certificates {
        match certificate.not_after() {
            Some((ends, true)) => findings.bad(format!("certificate: it ended {ends}: get a new one")),
            Some((ends, false)) => findings.good(format!("certificate: valid until {ends}")),
            None => findings.bad("certificate: it cannot be read: get a new one"),
        }
    }
    if config.certificate.is_none() && !domains.iter().all(|domain| is_this_machine(domain)) {
        findings
            .note("certificate: it is self-signed, and clients will ask whether to trust it: say a real one in [tls]");
    }
    if let Err(error) = Tls::new(certificates) {
        findings.bad(format!("certificate: certificate and key cannot be used together: {error}"));
    }
}

/// The domains that no certificate is for.
fn missing<'a>(certificates: &[Certificate], domains: &'a [String]) -> Vec<&'a str> {
    let is_missing = |domain: &&String| {
        let one = std::slice::from_ref(*domain);
        certificates.iter().all(|certificate| !certificate.missing(one).is_empty())
    };
    domains.iter().filter(is_missing).map(String::as_str).collect()
}
