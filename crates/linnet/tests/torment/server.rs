//! The server as a process that can be killed, and a proxy before it whose connections can be cut.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener as StdListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use testkit::Random;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Everything is bounded in time; a debug build on a busy machine stays well below.
const PATIENCE: Duration = Duration::from_secs(40);
pub(crate) const PASSWORD: &str = "pencil";

pub(crate) struct Server {
    folder: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Server {
    pub(crate) fn new() -> Server {
        let folder = std::env::temp_dir().join(format!("linnet-torment-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a directory for the test");
        let probe = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = probe.local_addr().expect("its number").port();
        let text = format!(
            "domain = \"example.com\"\ndata = \"{}\"\nlog = \"warn\"\n[listen]\nc2s = []\nc2s_tls = [\"127.0.0.1:{port}\"]\n\
             [limits]\nbytes_per_second = 0\n",
            folder.join("data").display()
        );
        fs::write(folder.join("linnet.toml"), text).expect("a configuration");
        Server { folder, port, process: None }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linnet"));
        command.arg("--config").arg(self.folder.join("linnet.toml")).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    pub(crate) fn account(&self, name: &str) {
        let mut command = self.command();
        command.args(["account", "add", &format!("{name}@example.com"), "--password-stdin"]).stdin(Stdio::piped());
        let mut child = command.spawn().expect("the binary");
        let mut input = child.stdin.take().expect("its input");
        input.write_all(format!("{PASSWORD}\n").as_bytes()).expect("the password is taken");
        drop(input);
        assert!(child.wait().expect("the binary ends").success());
    }

    pub(crate) async fn start(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.folder.join("log")).expect("a log");
        self.process = Some(self.command().arg("serve").stderr(log).spawn().expect("the binary"));
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address()).await.is_err() {
            assert!(Instant::now() < until, "the server does not start: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        assert!(process.try_wait().expect("its state").is_none(), "the server ended by itself: {}", self.log());
        process.kill().expect("it can be killed");
        process.wait().expect("it ends");
    }

    /// SIGTERM, and waits for the end.
    pub(crate) async fn stop(&mut self) {
        let mut process = self.process.take().expect("it runs");
        let asked = Command::new("kill").arg("-TERM").arg(process.id().to_string()).status().expect("kill");
        assert!(asked.success());
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = process.try_wait().expect("its state") {
                assert!(status.success(), "the server ended with {status}: {}", self.log());
                return;
            }
            assert!(Instant::now() < until, "the server does not stop");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It has ended, or ends now; what is left of it goes with the folder.
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Carries bytes between clients and the server until it is told not to, or a number of bytes has passed.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    lines: Vec<JoinHandle<()>>,
    random: Random,
    /// Nothing is cut any more.
    is_over: bool,
}

impl Proxy {
    pub(crate) async fn start(server: SocketAddr, seed: u64) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its number");
        let inner = Arc::new(Mutex::new(Inner { lines: Vec::new(), random: Random::new(seed), is_over: false }));
        let shared = inner.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut inner = shared.lock().expect("nobody panicked");
                // One in eight breaks by itself, in the login or some time after it.
                let breaks = !inner.is_over && inner.random.below(8) == 0;
                let most = if breaks { inner.random.below(12_000) as usize } else { usize::MAX };
                inner.lines.retain(|line| !line.is_finished());
                inner.lines.push(tokio::spawn(carry(client, server, most)));
            }
        });
        Proxy { address, inner }
    }

    /// Cuts so many connections.
    pub(crate) fn cut(&self, count: usize) {
        let mut inner = self.inner.lock().expect("nobody panicked");
        inner.lines.retain(|line| !line.is_finished());
        for _ in 0..count.min(inner.lines.len()) {
            let lines = inner.lines.len() as u64;
            let place = inner.random.below(lines) as usize;
            inner.lines.swap_remove(place).abort();
        }
    }

    /// From now on connections hold.
    pub(crate) fn rest(&self) {
        self.inner.lock().expect("nobody panicked").is_over = true;
        self.cut(usize::MAX);
    }
}

async fn carry(mut client: TcpStream, server: SocketAddr, most: usize) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (mut up, mut down) = (vec![0; 4096], vec![0; 4096]);
    let mut passed = 0;
    while passed < most {
        let (bytes, to) = tokio::select! {
            read = client.read(&mut up) => (read.map(|read| &up[..read]), &mut server),
            read = server.read(&mut down) => (read.map(|read| &down[..read]), &mut client),
        };
        let Ok(bytes) = bytes else { return };
        let bytes = &bytes[..bytes.len().min(most - passed)];
        if bytes.is_empty() || to.write_all(bytes).await.is_err() {
            return;
        }
        passed += bytes.len();
    }
}
