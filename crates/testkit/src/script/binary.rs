//! Scripts against the real program: a process with a store on disk, and clients on plaintext sockets of this machine.

use super::{Event, Setup, World};
use crate::server::DOMAIN;
use linnet_xmpp::{
    Jid,
    sasl::{Hash, Mechanism},
    stream::{Initiate, InitiateConfig, InitiateError, InitiateOutput, Login},
};
use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// When nothing has come for so long, nothing is under way.
const QUIET: Duration = Duration::from_millis(60);
/// Everything is bounded in time; a debug build on a busy machine stays well below.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long something that must come may take to come.
const SOON: Duration = Duration::from_secs(5);
/// How much of the time that passes in a script passes really.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A server process with its clients.
#[derive(Debug)]
pub struct Binary {
    program: String,
    folder: PathBuf,
    address: SocketAddr,
    process: Option<Child>,
    clients: BTreeMap<String, Client>,
}

#[derive(Debug)]
struct Client {
    socket: TcpStream,
    stream: Initiate,
    events: VecDeque<Event>,
    ended: bool,
    barriers: u32,
}

static NEXT: AtomicU32 = AtomicU32::new(1);

impl Binary {
    fn run(&self) -> Result<Child, String> {
        let log = fs::File::create(self.folder.join("log")).map_err(told)?;
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(self.folder.join("linnet.toml")).arg("serve");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().map_err(told)
    }

    /// Starts the process and waits until it listens.
    async fn boot(&mut self) -> Result<(), String> {
        self.process = Some(self.run()?);
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).await.is_err() {
            let ended = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
            if ended.is_some() || Instant::now() > until {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(format!("the server does not start: {log}"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Asks the process to stop, and waits until it has.
    async fn stop(&mut self) -> Result<(), String> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let asked = Command::new("kill").arg("-TERM").arg(process.id().to_string()).status().map_err(told)?;
        let until = Instant::now() + PATIENCE;
        while asked.success() && Instant::now() < until {
            match process.try_wait().map_err(told)? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("the server ended with {status}")),
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        process.kill().map_err(told)?;
        process.wait().map_err(told)?;
        Err("the server did not stop".to_owned())
    }

    fn client(&mut self, name: &str) -> Result<&mut Client, String> {
        self.clients.get_mut(name).ok_or_else(|| format!("{name} is not connected"))
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It has ended already, or ends now; what is left of it goes with the folder.
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl World for Binary {
    type Ground = String;

    async fn start(program: &String, setup: &Setup) -> Result<Binary, String> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("linnet-script-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).map_err(told)?;
        let address = free_address()?;
        fs::write(folder.join("linnet.toml"), configuration(&folder, address, setup)).map_err(told)?;
        let mut binary = Binary { program: program.clone(), folder, address, process: None, clients: BTreeMap::new() };
        binary.boot().await?;
        Ok(binary)
    }

    async fn account(&mut self, address: &Jid, password: &str) -> Result<(), String> {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(self.folder.join("linnet.toml"));
        command.args(["account", "add", address.as_str(), "--password-stdin"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(told)?;
        child.stdin.take().ok_or("no input")?.write_all(format!("{password}\n").as_bytes()).map_err(told)?;
        let output = child.wait_with_output().map_err(told)?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    async fn connect(&mut self, name: &str, address: &Jid, password: &str) -> Result<Result<(), String>, String> {
        if self.clients.contains_key(name) {
            return Err(format!("{name} is connected already"));
        }
        Ok(match Client::login(self.address, name, address, password).await? {
            Ok(client) => {
                self.clients.insert(name.to_owned(), client);
                Ok(())
            }
            Err(condition) => Err(condition),
        })
    }

    async fn send(&mut self, name: &str, xml: &str) -> Result<(), String> {
        let client = self.client(name)?;
        client.write(xml).await?;
        client.barrier().await
    }

    async fn next(&mut self, name: &str) -> Result<Option<Event>, String> {
        let client = self.client(name)?;
        let until = Instant::now() + SOON;
        while client.events.is_empty() && !client.ended && Instant::now() < until {
            client.read(until.saturating_duration_since(Instant::now())).await?;
        }
        Ok(client.events.pop_front())
    }

    async fn rest(&mut self, name: &str) -> Result<Vec<Event>, String> {
        let client = self.client(name)?;
        client.barrier().await?;
        // What others caused, or what is read for a client beside the lane, is behind no barrier of its own.
        loop {
            let before = client.events.len();
            client.read(QUIET).await?;
            if client.ended || client.events.len() == before {
                return Ok(client.events.drain(..).collect());
            }
        }
    }

    async fn disconnect(&mut self, name: &str, politely: bool) -> Result<(), String> {
        let mut client = self.clients.remove(name).ok_or_else(|| format!("{name} is not connected"))?;
        if politely && !client.ended {
            client.stream.close();
            client.drain(&mut &[][..]).await?;
            let until = Instant::now() + PATIENCE;
            while !client.ended && Instant::now() < until {
                client.read(PATIENCE).await?;
            }
        }
        drop(client);
        // The end of a connection is seen by the server in its own time; others' pings come behind it soon.
        tokio::time::sleep(Duration::from_millis(if politely { 5 } else { 30 })).await;
        Ok(())
    }

    async fn pass(&mut self, time: Duration) -> Result<(), String> {
        tokio::time::sleep(time.min(LONGEST_WAIT)).await;
        Ok(())
    }

    async fn restart(&mut self) -> Result<(), String> {
        self.clients.clear();
        self.stop().await?;
        self.boot().await
    }
}

impl Client {
    async fn login(
        server: SocketAddr,
        name: &str,
        address: &Jid,
        password: &str,
    ) -> Result<Result<Client, String>, String> {
        let config = InitiateConfig {
            domain: address.domain().into(),
            login: Login::Password { username: address.local().unwrap_or_default().into(), password: password.into() },
            resource: Some(address.resource().unwrap_or(name).into()),
            resumption: None,
            mechanisms: vec![Mechanism::Scram { hash: Hash::Sha256, plus: false }],
            require_tls: false,
            limit: 1024 * 1024,
            timeout: PATIENCE,
            lang: None,
            inline: None,
            random: |buffer| getrandom::fill(buffer).expect("the system gives randomness"),
        };
        let socket = TcpStream::connect(server).await.map_err(told)?;
        let stream = Initiate::new(Arc::new(config), Instant::now(), None);
        let mut client = Client { socket, stream, events: VecDeque::new(), ended: false, barriers: 0 };
        let until = Instant::now() + PATIENCE;
        client.drain(&mut &[][..]).await?;
        while client.stream.bound().is_none() && !client.ended && Instant::now() < until {
            client.read(PATIENCE).await?;
        }
        match (client.stream.bound(), client.events.pop_back()) {
            (_, Some(Event::Ended(condition))) => Ok(Err(condition.unwrap_or_default())),
            (Some(_), _) => Ok(Ok(client)),
            (None, _) => Err("the login takes too long".to_owned()),
        }
    }

    async fn write(&mut self, xml: &str) -> Result<(), String> {
        if self.ended {
            return Ok(());
        }
        // A server that has ended the stream says so to who reads.
        let _ = timeout(PATIENCE, self.socket.write_all(xml.as_bytes())).await.map_err(told)?;
        Ok(())
    }

    /// Comes back when everything sent before is durable and what it caused has been handed on.
    async fn barrier(&mut self) -> Result<(), String> {
        for _ in 0..2 {
            self.barriers += 1;
            let id = format!("barrier-{}", self.barriers);
            let ping = format!("<iq type='get' id='{id}' to='{DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>");
            self.write(&ping).await?;
            let until = Instant::now() + PATIENCE;
            let is_answer = |event: &Event| matches!(event, Event::Stanza(xml) if xml.contains(&format!("id='{id}'")));
            while !self.ended && !self.events.iter().any(is_answer) {
                if Instant::now() > until {
                    return Err("a ping is not answered".to_owned());
                }
                self.read(PATIENCE).await?;
            }
            self.events.retain(|event| !is_answer(event));
        }
        // A ping that was refused because the stream was over.
        self.events.retain(|event| !matches!(event, Event::Stanza(xml) if xml.contains("id='barrier-")));
        Ok(())
    }

    /// Reads once, at most for so long.
    async fn read(&mut self, time: Duration) -> Result<(), String> {
        let mut buffer = vec![0; 64 * 1024];
        let read = match timeout(time, self.socket.read(&mut buffer)).await {
            Err(_) => return Ok(()),
            Ok(Ok(read)) => read,
            Ok(Err(_)) => 0,
        };
        let mut bytes = buffer[..read].to_vec();
        if self.stream.bound().is_none() {
            decline_tls(&mut bytes);
        }
        self.drain(&mut &bytes[..]).await?;
        if read == 0 && !self.ended {
            self.ended = true;
            self.events.push_back(Event::Ended(None));
        }
        Ok(())
    }

    /// Does what the stream says.
    async fn drain(&mut self, input: &mut &[u8]) -> Result<(), String> {
        while let Some(output) = self.stream.poll(input, Instant::now()) {
            match output {
                InitiateOutput::Write(bytes) => {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    self.write(&text).await?;
                }
                InitiateOutput::Stanza(stanza) => {
                    let stanza = stanza.unwrap_or_else(|rejected| rejected.stanza);
                    self.events.push_back(Event::Stanza(String::from_utf8_lossy(&stanza.to_bytes()).into_owned()));
                }
                InitiateOutput::Closed(error) => {
                    self.ended = true;
                    self.events.push_back(Event::Ended(error.map(condition)));
                }
                InitiateOutput::StartTls => return Err("TLS on a plaintext port".to_owned()),
                InitiateOutput::Bound { .. } | InitiateOutput::Notice(_) => {}
            }
        }
        Ok(())
    }
}

/// The plaintext port offers TLS too, and our client takes it wherever it is offered: these tests do without.
fn decline_tls(bytes: &mut Vec<u8>) {
    const OFFER: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    if let Ok(text) = std::str::from_utf8(bytes)
        && text.contains(OFFER)
    {
        *bytes = text.replace(OFFER, "").into_bytes();
    }
}

fn condition(error: InitiateError) -> String {
    match error {
        InitiateError::Login { condition, .. } => condition.into(),
        InitiateError::Bind(error) => error.condition.name().to_owned(),
        InitiateError::Remote(error) => error.condition.name().to_owned(),
        other => format!("{other:?}"),
    }
}

fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(told)?;
    listener.local_addr().map_err(told)
}

fn configuration(folder: &std::path::Path, address: SocketAddr, setup: &Setup) -> String {
    let quoted = |text: &str| format!("{text:?}");
    let admins: Vec<String> = setup.admins.iter().map(|admin| quoted(admin.as_str())).collect();
    let mut text = format!(
        "domain = {}\ndata = {}\nadmins = [{}]\n[http]\nurl = \"https://example.com:5443\"\n[files]\nsize = 100000\nquota = 250000\nkeep_days = 30\n[listen]\nc2s = []\nc2s_tls = []\ns2s = []\ns2s_tls = []\nhttps = []\nhttp = []\nplaintext = [{}]\n",
        quoted(DOMAIN),
        quoted(&folder.join("data").to_string_lossy()),
        admins.join(", "),
        quoted(&address.to_string())
    );
    if !setup.contacts.is_empty() {
        text.push_str("[contacts]\n");
    }
    for (role, uris) in &setup.contacts {
        let uris: Vec<String> = uris.iter().map(|uri| quoted(uri)).collect();
        text.push_str(&format!("{role} = [{}]\n", uris.join(", ")));
    }
    text
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}
