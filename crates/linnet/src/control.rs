//! The local control socket: a Unix socket in the data directory, for its owner only. JSON, one request per line, one
//! answer per line, in order.

use kernel::{
    Kernel,
    command::{Call, CommandError, Report},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    task::JoinHandle,
};

/// Largest request and largest answer.
const LINE: u64 = 64 * 1024 * 1024;

/// What the command line asks.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    command: String,
    #[serde(default)]
    values: BTreeMap<String, Vec<String>>,
}

/// What the server answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Response {
    /// Done.
    Done {
        text: String,
        #[serde(default)]
        columns: Vec<String>,
        #[serde(default)]
        rows: Vec<Vec<String>>,
    },
    /// Not done, and why.
    Failed { kind: Kind, text: String },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    BadInput,
    NotFound,
    Exists,
    Fault,
}

/// The socket's place.
pub(crate) fn path(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// Serves the control socket while it exists. The caller has the data directory's lock, so that a socket that is left
/// there is nobody's.
#[derive(Debug)]
pub(crate) struct Control {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Control {
    /// Begins to serve.
    pub(crate) fn start(kernel: Arc<Kernel>, data: &Path) -> io::Result<Control> {
        let path = path(data);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let task = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let kernel = kernel.clone();
                        tokio::spawn(async move {
                            if let Err(error) = serve(&kernel, stream).await {
                                tracing::debug!(%error, "a control connection broke");
                            }
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no control connection can be accepted");
                        tokio::time::sleep(edge::limits::ACCEPT_PAUSE).await;
                    }
                }
            }
        });
        Ok(Control { path, task })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        // If it cannot be removed, the next start does it.
        let _ = fs::remove_file(&self.path);
    }
}

async fn serve(kernel: &Arc<Kernel>, stream: UnixStream) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut read).take(LINE).read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let outcome = match serde_json::from_slice::<Request>(&line) {
            Ok(request) => run(kernel, &request.command, request.values).await,
            Err(error) => Err(CommandError::BadInput(format!("this is not a request: {error}"))),
        };
        let mut answer = serde_json::to_vec(&Response::from(outcome))?;
        answer.push(b'\n');
        write.write_all(&answer).await?;
    }
}

/// Runs a command of the registry.
pub(crate) async fn run(
    kernel: &Arc<Kernel>,
    name: &str,
    values: BTreeMap<String, Vec<String>>,
) -> Result<Report, CommandError> {
    let command = kernel.hooks.commands.iter().find(|command| command.name == name);
    let command = command.ok_or_else(|| CommandError::NotFound(format!("there is no command '{name}'")))?;
    tracing::info!(command = command.name, "administrative command");
    (command.run)(Call { kernel: kernel.clone(), actor: None, values }).await
}

/// Asks a running server.
///
/// # Errors
/// The outer one: the connection failed.
pub(crate) async fn ask(
    stream: UnixStream,
    name: &str,
    values: BTreeMap<String, Vec<String>>,
) -> io::Result<Result<Report, CommandError>> {
    let (read, mut write) = stream.into_split();
    let mut request = serde_json::to_vec(&Request { command: name.to_owned(), values })?;
    request.push(b'\n');
    write.write_all(&request).await?;
    let mut line = Vec::new();
    if BufReader::new(read).take(LINE).read_until(b'\n', &mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice::<Response>(&line)?.into())
}

impl From<Result<Report, CommandError>> for Response {
    fn from(outcome: Result<Report, CommandError>) -> Response {
        match outcome {
            Ok(Report { text, columns, rows }) => Response::Done { text, columns, rows },
            Err(error) => {
                let text = error.to_string();
                let kind = match error {
                    CommandError::BadInput(_) => Kind::BadInput,
                    CommandError::NotFound(_) => Kind::NotFound,
                    CommandError::Exists(_) => Kind::Exists,
                    _ => Kind::Fault,
                };
                Response::Failed { kind, text }
            }
        }
    }
}

impl From<Response> for Result<Report, CommandError> {
    fn from(response: Response) -> Result<Report, CommandError> {
        match response {
            Response::Done { text, columns, rows } => Ok(Report { text, columns, rows }),
            Response::Failed { kind, text } => Err(match kind {
                Kind::BadInput => CommandError::BadInput(text),
                Kind::NotFound => CommandError::NotFound(text),
                Kind::Exists => CommandError::Exists(text),
                Kind::Fault => CommandError::Fault(text),
            }),
        }
    }
}
