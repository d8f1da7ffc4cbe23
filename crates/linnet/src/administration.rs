//! Where administrative commands run: in the running server, through its control socket, or on the data directory
//! when no server has it.

use crate::{assemble, config::Config, control};
use anyhow::Context;
use kernel::{
    Kernel,
    command::{CommandError, Report},
};
use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use store_sqlite::OpenError;
use tokio::net::UnixStream;

/// One of both.
#[derive(Debug, Clone)]
pub(crate) enum Administration {
    /// A server is running: its socket.
    Running(PathBuf),
    /// None is.
    Own(Arc<Kernel>),
}

impl Administration {
    /// Finds out which.
    ///
    /// # Errors
    /// No server answers, and the data directory cannot be used either.
    pub(crate) async fn begin(config: &Config) -> anyhow::Result<Administration> {
        let socket = control::path(&config.data);
        let begun = Instant::now();
        loop {
            match UnixStream::connect(&socket).await {
                Ok(_) => return Ok(Administration::Running(socket)),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    let text = "a server is running here, and only its own user may ask it: try again as that user";
                    return Err(anyhow::Error::from(error).context(text));
                }
                // No socket, or one that a killed server left behind.
                Err(_) => {}
            }
            assemble::data_directory(&config.data)?;
            match assemble::kernel(config).await {
                Ok(kernel) => return Ok(Administration::Own(kernel)),
                // A server that is just starting or stopping has the directory, and no socket.
                Err(error) if is_in_use(&error) && begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Runs a command.
    ///
    /// # Errors
    /// The outer one: the running server could not be asked.
    pub(crate) async fn run(
        &self,
        name: &str,
        values: BTreeMap<String, Vec<String>>,
    ) -> anyhow::Result<Result<Report, CommandError>> {
        match self {
            Administration::Own(kernel) => Ok(control::run(kernel, name, values).await),
            Administration::Running(socket) => {
                let asked = async { control::ask(UnixStream::connect(socket).await?, name, values).await };
                asked.await.context("the running server did not answer")
            }
        }
    }

    /// Closes what was opened.
    ///
    /// # Errors
    /// The store could not write all.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        if let Administration::Own(kernel) = self {
            kernel.stop().await?;
        }
        Ok(())
    }
}

/// How long a server may take to start or to stop before it counts as one that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(OpenError::InUse { .. }))
}
