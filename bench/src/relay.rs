//! The bare relay: what tokio and rustls cost with no server around them.
//!
//! Two connections name the same pair; from then on bytes of the first are written to the second.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::wire::{Socket, Wire, tls};

/// As much as a server would read at once.
const BUFFER: usize = 16 * 1024;

/// The relay as a child process; dropping it ends the process.
pub(crate) struct Relay {
    child: Child,
    address: SocketAddr,
    tls: bool,
}

impl Relay {
    /// Starts this program again as a relay, with TLS when a certificate and its key are given.
    pub(crate) fn start(tls: Option<(&Path, &Path)>) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("relay").stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some((certificate, key)) = tls {
            command.arg("--certificate").arg(certificate).arg("--key").arg(key);
        }
        let mut child = command.spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            io::BufRead::read_line(&mut io::BufReader::new(output), &mut line)?;
        }
        let mut relay = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), tls: tls.is_some() };
        relay.address = line.trim().parse().map_err(io::Error::other)?;
        Ok(relay)
    }

    /// The child's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Opens both ends of pair `number`: what is sent on the first is received on the second.
    pub(crate) async fn pair(&self, number: usize) -> io::Result<(Wire, Wire)> {
        let (mut from, mut to) = (self.end().await?, self.end().await?);
        let name = u32::try_from(number).map_err(io::Error::other)?.to_be_bytes();
        to.send(&[&name[..], b">"].concat()).await?;
        from.send(&[&name[..], b"<"].concat()).await?;
        from.send(b"<stream:stream>").await?;
        to.item().await?;
        Ok((from, to))
    }

    /// Opens one connection, which belongs to no pair yet.
    pub(crate) async fn end(&self) -> io::Result<Wire> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        Ok(Wire::over(if self.tls { tls(tcp, "localhost").await? } else { Socket::Plain(tcp) }))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // The child may have ended by itself already; there is nothing else to do about a failure.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the relay itself: prints its address and serves until standard input ends.
pub(crate) async fn serve(files: Option<(&Path, &Path)>) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let acceptor = files.map(|(certificate, key)| acceptor(certificate, key)).transpose()?;
    println!("{}", listener.local_addr()?);
    let waiting = Arc::new(Waiting::default());
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(connection(tcp, acceptor.clone(), waiting.clone()));
        }
    });
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    Ok(())
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// First comers, by the name of their pair.
#[derive(Default)]
struct Waiting(Mutex<HashMap<[u8; 4], End>>);

/// A connection with its direction: `<` sends, `>` receives.
type End = (u8, Box<dyn Duplex>);

async fn connection(tcp: TcpStream, acceptor: Option<TlsAcceptor>, waiting: Arc<Waiting>) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    match acceptor {
        Some(acceptor) => meet(Box::new(acceptor.accept(tcp).await?), waiting).await,
        None => meet(Box::new(tcp), waiting).await,
    }
}

/// Waits in the table or, as the second of a pair, carries bytes in the direction that its ends asked for.
async fn meet(mut own: Box<dyn Duplex>, waiting: Arc<Waiting>) -> io::Result<()> {
    let mut hello = [0; 5];
    own.read_exact(&mut hello).await?;
    let [name @ .., side] = hello;
    if !matches!(side, b'<' | b'>') {
        return own.shutdown().await;
    }
    let other = {
        let mut table = waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        match table.remove(&name) {
            Some(other) => other,
            None => {
                table.insert(name, (side, own));
                return Ok(());
            }
        }
    };
    let (mut from, mut to) = if other.0 == b'<' { (other.1, own) } else { (own, other.1) };
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..length]).await?;
        to.flush().await?;
    }
}

fn acceptor(certificate: &Path, key: &Path) -> io::Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(certificate).map_err(io::Error::other)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    Ok(TlsAcceptor::from(Arc::new(config.map_err(io::Error::other)?)))
}
