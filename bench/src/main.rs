//! Load generator: drives one XMPP server, or the bare relay, and prints what it found as lines of JSON.
//!
//! `bench/run` starts the servers, calls this program for every scenario and makes the table.

mod figure;
mod pages;
mod process;
mod relay;
mod scenario;
mod scram;
mod session;
mod setup;
mod token;
mod window;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::relay::Relay;
use crate::scenario::{Run, Subject};
use crate::scram::{Mechanism, Salted};
use crate::session::Target;
use crate::window::Window;

#[derive(Parser)]
#[command(about = "Load generator for XMPP servers")]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List every scenario with its variants as lines of JSON.
    List,
    /// Create the accounts and rosters that the scenarios need.
    Setup {
        #[command(flatten)]
        server: ServerArguments,
        /// Create accounts by in-band registration; without this they have to be there.
        #[arg(long)]
        register: bool,
    },
    /// Print the names of the accounts that the scenarios need.
    Names,
    /// Measure one scenario on a running server.
    Run {
        #[command(flatten)]
        server: ServerArguments,
        #[command(flatten)]
        window: WindowArguments,
        /// Process id of the server; its children are counted too.
        #[arg(long)]
        pid: u32,
        /// Scenario, as listed.
        scenario: String,
        /// Variant, as listed.
        variant: String,
    },
    /// Measure one scenario on the bare relay.
    RunRelay {
        #[command(flatten)]
        window: WindowArguments,
        #[command(flatten)]
        tls: TlsArguments,
        /// Scenario, as listed.
        scenario: String,
        /// Variant, as listed.
        variant: String,
    },
    /// Be the bare relay until standard input ends.
    Relay {
        #[command(flatten)]
        tls: TlsArguments,
    },
}

#[derive(Args)]
struct ServerArguments {
    /// Where the server takes client connections.
    #[arg(long, default_value = "127.0.0.1:5222")]
    address: SocketAddr,
    /// Where it takes clients that will not use TLS, if that is elsewhere.
    #[arg(long)]
    plain_address: Option<SocketAddr>,
    /// The domain served.
    #[arg(long, default_value = "localhost")]
    domain: String,
    /// The password of every account.
    #[arg(long, default_value = "linnet-bench")]
    password: String,
    /// The hash used in logins.
    #[arg(long, value_enum, default_value = "sha-1")]
    scram: ScramHash,
    /// File that remembers salted passwords from run to run.
    #[arg(long)]
    scram_cache: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ScramHash {
    #[value(name = "sha-1")]
    Sha1,
    #[value(name = "sha-256")]
    Sha256,
}

#[derive(Args)]
struct WindowArguments {
    /// Seconds before counting begins.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Seconds while counting.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
}

#[derive(Args)]
struct TlsArguments {
    /// Certificate chain in PEM.
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// Private key in PEM.
    #[arg(long)]
    key: Option<PathBuf>,
}

impl TlsArguments {
    fn files(&self) -> Option<(&Path, &Path)> {
        self.certificate.as_deref().zip(self.key.as_deref())
    }
}

impl ServerArguments {
    fn target(&self) -> Target {
        Target {
            address: self.address,
            plain_address: self.plain_address.unwrap_or(self.address),
            domain: self.domain.clone(),
            password: self.password.clone(),
            mechanism: match self.scram {
                ScramHash::Sha1 => Mechanism::Sha1,
                ScramHash::Sha256 => Mechanism::Sha256,
            },
            salted: self.scram_cache.as_deref().map(Salted::load).unwrap_or_default(),
        }
    }

    fn remember(&self, target: &Target) -> io::Result<()> {
        self.scram_cache.as_deref().map_or(Ok(()), |path| target.salted.save(path))
    }
}

impl WindowArguments {
    fn window(&self) -> Window {
        Window { warm_up: Duration::from_secs_f64(self.warm_up), length: Duration::from_secs_f64(self.seconds) }
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    match Arguments::parse().action {
        Action::List => {
            for scenario in scenario::ALL {
                println!("{}", scenario.line());
            }
            Ok(())
        }
        Action::Names => {
            setup::names().for_each(|name| println!("{name}"));
            Ok(())
        }
        Action::Setup { server, register } => {
            let target = Arc::new(server.target());
            setup::all(&target, register).await?;
            server.remember(&target)
        }
        Action::Run { server, window, pid, scenario, variant } => {
            let target = Arc::new(server.target());
            let run = Run { subject: Subject::Server(target.clone()), pid, window: window.window() };
            measure(run, &scenario, &variant).await?;
            server.remember(&target)
        }
        Action::RunRelay { window, tls, scenario, variant } => {
            let relay = Relay::start(tls.files())?;
            let pid = relay.pid();
            measure(Run { subject: Subject::Relay(relay), pid, window: window.window() }, &scenario, &variant).await
        }
        Action::Relay { tls } => relay::serve(tls.files()).await,
    }
}

async fn measure(run: Run, scenario: &str, variant: &str) -> io::Result<()> {
    let (scenario, variant) = scenario::find(scenario, variant)?;
    for figure in (scenario.run)(run, variant).await? {
        println!("{}", figure.line(scenario.name, variant));
    }
    Ok(())
}
