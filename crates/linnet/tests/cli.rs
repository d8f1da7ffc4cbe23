//! The binary as people meet it: started, asked, stopped. Ports come from the operating system, everything is bounded in
//! time, each test has a directory of its own.

use linnet_net::{
    client::{Client, Config, Event},
    dns::{Security, Target},
    tls::Trust,
};
use linnet_xmpp::Jid;
use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// What anything here may take at most, on a slow and busy machine.
const LIMIT: Duration = Duration::from_secs(60);

struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("linnet-cli-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let place = Place(std::env::temp_dir().join(name));
        fs::create_dir_all(&place.0).unwrap();
        place.configure("");
        place
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    fn configure(&self, more: &str) {
        let data = self.data();
        let text = format!(
            "data = \"{}\"\n{more}\n[listen]\nc2s = [\"127.0.0.1:0\"]\nc2s_tls = [\"127.0.0.1:0\"]\nhttps = [\"127.0.0.1:0\"]\nhttp = [\"127.0.0.1:0\"]\nplaintext = \
             [\"127.0.0.1:0\"]\n",
            data.display()
        );
        self.write(&text);
    }

    fn write(&self, text: &str) {
        fs::write(self.0.join("linnet.toml"), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linnet"));
        command.arg("--config").arg(self.0.join("linnet.toml")).args(arguments);
        command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        finish(self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// What it printed; the test fails if it failed.
    fn good(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// What it complained about; the test fails if it did not fail.
    fn bad(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?}: {}", text(&output.stdout));
        text(&output.stderr)
    }

    fn serve(&self) -> Server {
        Server::start(self.command(&["serve"]))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::set_permissions(self.data(), fs::Permissions::from_mode(0o700));
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Server {
    child: Child,
    summary: String,
}

impl Server {
    fn start(mut command: Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut summary = String::new();
        while !summary.contains("To make an account") {
            match receiver.recv_timeout(LIMIT) {
                Ok(line) => summary += &format!("{line}\n"),
                Err(_) => {
                    let _ = child.kill();
                    let mut errors = String::new();
                    let _ = child.stderr.take().unwrap().read_to_string(&mut errors);
                    panic!("the server did not start: {summary}{errors}");
                }
            }
        }
        Server { child, summary }
    }

    /// The address of the listener whose line has this in it.
    fn address(&self, kind: &str) -> String {
        let line = self.summary.lines().find(|line| line.contains(kind)).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    }

    fn stop(mut self) -> String {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let output = finish_in(&mut self.child);
        assert!(output.is_some_and(|status| status.success()), "the server did not stop in order");
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        errors
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn finish(mut child: Child) -> Output {
    if finish_in(&mut child).is_none() {
        let _ = child.kill();
        panic!("it did not end: {:?}", child.wait_with_output());
    }
    child.wait_with_output().unwrap()
}

fn finish_in(child: &mut Child) -> Option<std::process::ExitStatus> {
    let begin = Instant::now();
    while begin.elapsed() < LIMIT {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(10));
    }
    None
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn one_line(error: &str) -> &str {
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.starts_with("linnet: "), "{error}");
    error
}

#[test]
fn version_and_help() {
    let place = Place::new();
    assert_eq!(place.good(&["--version"]).trim(), format!("linnet {}", env!("CARGO_PKG_VERSION")));
    let help = place.good(&["--help"]);
    for command in ["serve", "check", "send", "account"] {
        assert!(help.contains(command), "{help}");
    }
    assert!(place.good(&["account", "add", "--help"]).contains("--password-stdin"));
}

#[test]
fn accounts_while_the_server_is_down_and_up() {
    let place = Place::new();
    assert!(place.good(&["account", "list"]).contains("no accounts"));
    assert!(place.good(&["account", "add", "romeo", "--password", "secret"]).contains("romeo@localhost"));
    assert!(one_line(&place.bad(&["account", "add", "romeo", "--password", "x"])).contains("exists"));
    assert!(one_line(&place.bad(&["account", "add", "juliet"])).contains("--password-stdin"));

    let server = place.serve();
    let mut add = place.command(&["account", "add", "juliet@localhost", "--password-stdin"]);
    let mut add = add.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    add.stdin.take().unwrap().write_all(b"secret\n").unwrap();
    assert!(finish(add).status.success());
    let list = place.good(&["account", "list"]);
    assert!(list.contains("romeo@localhost") && list.contains("juliet@localhost"), "{list}");
    place.good(&["account", "disable", "romeo", "juliet"]);
    place.good(&["account", "enable", "romeo"]);
    let list = place.good(&["account", "list", "--json"]);
    assert!(list.contains("\"disabled\"") && list.contains("\"enabled\""), "{list}");
    place.good(&["account", "remove", "juliet"]);
    assert!(one_line(&place.bad(&["account", "remove", "nobody"])).contains("nobody@localhost"));
    let log = server.stop();
    assert!(!log.contains("secret"), "{log}");

    assert!(!place.data().join("control.sock").exists());
    let list = place.good(&["account", "list"]);
    assert!(list.contains("romeo@localhost") && !list.contains("juliet@localhost"), "{list}");
    assert_eq!(fs::metadata(place.data()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn many_accounts_at_once() {
    let place = Place::new();
    let file = place.0.join("accounts");
    fs::write(&file, "a x\nb y\n\nc@localhost z z\n").unwrap();
    let server = place.serve();
    assert!(place.good(&["account", "import", file.to_str().unwrap()]).starts_with("3 accounts were made"));
    assert!(place.good(&["account", "import", file.to_str().unwrap()]).contains("3 existed"));
    server.stop();
    fs::write(&file, "a x\nb\n").unwrap();
    assert!(one_line(&place.bad(&["account", "import", file.to_str().unwrap()])).contains(":2:"));
}

#[test]
fn a_message_is_sent_over_the_server_s_own_certificate() {
    let place = Place::new();
    place.good(&["account", "add", "romeo", "--password", "secret"]);
    let server = place.serve();
    let address = server.address("STARTTLS");
    let send = |password: &str, to: &str| {
        place.run(&["send", "--from", "romeo", "--to", to, "--password", password, "--server", &address, "wherefore"])
    };
    let sent = send("secret", "romeo");
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    assert!(one_line(&text(&send("wrong", "romeo").stderr)).contains("login"));
    assert!(one_line(&text(&send("secret", "nobody").stderr)).contains("refused"));
    assert!(!server.stop().contains("wherefore"));
}

#[test]
fn unknown_keys_and_wrong_files_end_with_one_line() {
    let place = Place::new();
    place.write("domian = \"localhost\"\n");
    for arguments in [["serve"].as_slice(), &["account", "list"]] {
        let error = place.bad(arguments);
        assert!(one_line(&error).contains("linnet.toml:1: unknown key 'domian': did you mean 'domain'?"), "{error}");
    }
    let output = place.run(&["check"]);
    assert!(!output.status.success() && text(&output.stdout).contains("did you mean 'domain'?"));
    fs::remove_file(place.0.join("linnet.toml")).unwrap();
    assert!(one_line(&place.bad(&["serve"])).contains("--config"));
}

#[test]
fn a_port_in_use_is_named() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    place.write(&format!(
        "data = \"{}\"\n[listen]\nc2s = [\"127.0.0.1:{port}\"]\nc2s_tls = []\nhttps = []\nhttp = []\n",
        place.data().display()
    ));
    let error = place.bad(&["serve"]);
    assert!(one_line(&error).contains(&format!("port {port}")) && error.contains("in use"), "{error}");
    let check = place.run(&["check"]);
    assert!(!check.status.success() && text(&check.stdout).contains("in use"));
}

#[test]
fn plaintext_is_refused_for_others() {
    let place = Place::new();
    place.write("[listen]\nplaintext = [\"0.0.0.0:0\"]\n");
    assert!(one_line(&place.bad(&["serve"])).contains("without TLS"));
}

#[test]
fn people_sign_up_where_the_configuration_lets_them() {
    let ask = |place: &Place| {
        let server = place.serve();
        let mut stream = TcpStream::connect(server.address("without TLS")).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                      to='localhost' version='1.0'>";
        let account = "<iq type='set' id='ask'><query xmlns='jabber:iq:register'><username>benvolio</username>\
                       <password>a secret</password></query></iq></stream:stream>";
        stream.write_all(format!("{header}{account}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        server.stop();
        answer
    };
    let place = Place::new();
    let answer = ask(&place);
    assert!(!answer.contains("iq-register") && answer.contains("not-authorized"), "{answer}");
    place.configure("registration = true\n");
    let answer = ask(&place);
    assert!(answer.contains("iq-register") && answer.contains("<iq id='ask' type='result'/>"), "{answer}");
    assert!(ask(&place).contains("<conflict"));
    assert!(place.good(&["account", "list"]).contains("benvolio@localhost"));
}

#[test]
fn a_damaged_data_directory_is_refused_and_left_alone() {
    let place = Place::new();
    place.good(&["account", "add", "romeo", "--password", "secret"]);
    let file = place.data().join("linnet.db");
    let damaged = vec![b'x'; 100_000];
    fs::write(&file, &damaged).unwrap();
    for arguments in [["serve"].as_slice(), &["account", "list"]] {
        assert!(one_line(&place.bad(arguments)).contains("backup"));
    }
    assert!(!place.run(&["check"]).status.success());
    assert!(fs::read(&file).unwrap() == damaged);
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let place = Place::new();
    fs::write(place.data(), "a file").unwrap();
    let error = place.bad(&["serve"]);
    assert!(one_line(&error).contains(place.data().to_str().unwrap()), "{error}");
}

#[test]
fn a_read_only_data_directory_is_refused() {
    let place = Place::new();
    place.good(&["account", "list"]);
    fs::set_permissions(place.data(), fs::Permissions::from_mode(0o500)).unwrap();
    for file in fs::read_dir(place.data()).unwrap() {
        fs::set_permissions(file.unwrap().path(), fs::Permissions::from_mode(0o400)).unwrap();
    }
    if fs::write(place.data().join("probe"), "").is_ok() {
        // Root may write whatever the permissions say: nothing to see here.
        return;
    }
    assert!(one_line(&place.bad(&["serve"])).contains("write permission"));
}

#[test]
fn two_servers_do_not_share_a_directory() {
    let place = Place::new();
    let server = place.serve();
    assert!(one_line(&place.bad(&["serve"])).contains("in use by another server"));
    assert!(place.good(&["check"]).contains("a server is running"));
    server.stop();
    place.good(&["check"]);
}

#[test]
fn sessions_are_told_that_the_server_stops() {
    let place = Place::new();
    place.good(&["account", "add", "romeo", "--password", "secret"]);
    let server = place.serve();
    let address: SocketAddr = server.address("direct TLS").parse().unwrap();
    let mut config = Config::new(Jid::parse("romeo@localhost").unwrap(), "secret");
    config.reconnect = None;
    config.trust = Trust::Anything;
    let host = address.ip().to_string().into();
    config.targets = Some(vec![Target { host, port: address.port(), security: Security::Direct }]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (_client, mut events) = Client::login(config).await.unwrap();
        let begin = Instant::now();
        let stopped = tokio::task::spawn_blocking(move || server.stop());
        let reason = loop {
            match tokio::time::timeout(LIMIT, events.next()).await.unwrap() {
                Some(Event::Offline { reason, .. }) => break reason.to_string(),
                Some(_) => {}
                None => panic!("no reason"),
            }
        };
        assert!(reason.contains("system-shutdown"), "{reason}");
        let log = stopped.await.unwrap();
        assert!(log.contains("stopped") && !log.contains("did not end in time"), "{log}");
        assert!(begin.elapsed() < Duration::from_secs(10));
    });
}

#[test]
fn one_address_may_not_have_all_connections() {
    let place = Place::new();
    place.configure("");
    let config = fs::read_to_string(place.0.join("linnet.toml")).unwrap();
    place.write(&format!("{config}\n[limits]\nexempt = []\nconnections_per_address = 2\nlogins_per_minute = 2\n"));
    place.good(&["account", "add", "romeo", "--password", "secret"]);
    let server = place.serve();
    let address = server.address("STARTTLS");
    let closed = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        // A connection that is served says nothing before the client does.
        !stream.read(&mut [0]).is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    };
    let mut streams: Vec<_> = (0..3).map(|_| TcpStream::connect(&address).unwrap()).collect();
    assert_eq!(streams.iter_mut().map(closed).collect::<Vec<_>>(), [false, false, true]);
    drop(streams);

    let send = |password: &str| {
        let output = place.run(&[
            "send",
            "--from",
            "romeo",
            "--to",
            "romeo",
            "--password",
            password,
            "--server",
            &address,
            "hello",
        ]);
        (output.status.success(), text(&output.stderr))
    };
    assert!(send("secret").0 && send("secret").0 && send("secret").0);
    assert!(send("wrong").1.contains("not-authorized"));
    // Two attempts were made, since the client tries a second mechanism; or one, and this is the second.
    send("wrong");
    let (_, error) = send("secret");
    assert!(error.contains("temporary-auth-failure"), "{error}");
    assert!(server.stop().contains("too often"));
}

#[test]
fn garbage_and_silence_do_no_harm() {
    let place = Place::new();
    place.good(&["account", "add", "romeo", "--password", "secret"]);
    let server = place.serve();
    let mut silent = Vec::new();
    for kind in ["STARTTLS", "direct TLS", "without TLS"] {
        for garbage in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), &[0; 5000], &[0xff; 5000], b"\x16\x03\x01\x02\x00"] {
            let mut stream = TcpStream::connect(server.address(kind)).unwrap();
            stream.write_all(garbage).unwrap();
            silent.push(stream);
        }
    }
    let address = server.address("STARTTLS");
    let sent =
        place.run(&["send", "--from", "romeo", "--to", "romeo", "--password", "secret", "--server", &address, "hello"]);
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    assert!(!server.stop().contains("panic"));
}

#[test]
fn systemd_is_told() {
    let place = Place::new();
    let socket = place.0.join("notify");
    let notify = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    notify.set_read_timeout(Some(LIMIT)).unwrap();
    let mut command = place.command(&["serve"]);
    command.env("NOTIFY_SOCKET", &socket);
    let server = Server::start(command);
    let said = || {
        let mut buffer = [0; 64];
        let len = notify.recv(&mut buffer).unwrap();
        text(&buffer[..len])
    };
    assert_eq!(said(), "READY=1");
    server.stop();
    assert_eq!(said(), "STOPPING=1");
}

#[test]
fn the_log_is_json_if_wanted() {
    let place = Place::new();
    place.configure("log_format = \"json\"");
    let log = place.serve().stop();
    assert!(log.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{log}");
    assert!(log.contains("\"serving\""), "{log}");
}

#[test]
fn a_certificate_from_files_is_used() {
    let place = Place::new();
    place.serve().stop();
    let (from, to): (&Path, &Path) = (&place.data(), &place.0);
    for file in ["certificate.pem", "certificate.key"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let tls = format!("[tls]\ncertificate = \"{0}/certificate.pem\"\nkey = \"{0}/certificate.key\"", to.display());
    place.configure(&tls);
    assert!(place.good(&["check"]).contains("valid until"));
    assert!(place.serve().summary.contains("valid until"));
    fs::write(to.join("certificate.key"), "nothing").unwrap();
    assert!(one_line(&place.bad(&["serve"])).contains("no private key"));
}
