//! HTTP connections over real sockets: limits, TLS with ALPN, and the end of a server. What is answered is a router of
//! the test's own.

use axum::{
    Router,
    routing::{any, get},
};
use edge::{
    Edge,
    certificate::Certificate,
    limits::{Limits, Network},
    listener::{Kind, Listener},
    tls::Tls,
};
use linnet_net::tls::Trust;
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use testkit::Server;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Everything is bounded in time.
const LIMIT: Duration = Duration::from_secs(20);

struct Web {
    edge: Option<Edge>,
    plain: SocketAddr,
    secure: SocketAddr,
    folder: PathBuf,
    _server: Server,
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Web {
    async fn start(limits: Limits) -> Web {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("linnet-edge-http-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let certificate = Certificate::self_signed(&folder, &["localhost".to_owned()]).unwrap();
        let listeners =
            [Kind::Http, Kind::Https].map(|kind| Listener::bind("127.0.0.1:0".parse().unwrap(), kind).unwrap());
        let [plain, secure] = [0, 1].map(|at: usize| listeners[at].address().unwrap());
        let router = Router::new().route("/", get(|| async { "hello" })).route(
            "/slow",
            any(|body: String| async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                format!("got {}", body.len())
            }),
        );
        let server = Server::with_accounts(&[]).await;
        let tls = Tls::new(vec![certificate]).unwrap();
        let web = edge::web::Web::default();
        let edge = Edge::start(server.kernel.clone(), listeners.into(), tls, limits, Vec::new(), router, None, web);
        Web { edge: Some(edge), plain, secure, folder, _server: server }
    }
}

fn limits() -> Limits {
    Limits {
        stanza_before_login: 10_000,
        stanza: 10_000,
        bytes_per_second: 0,
        logins_per_minute: 0,
        connections_per_minute: 0,
        connections_per_address: 0,
        exempt: Vec::new(),
    }
}

/// Sends bytes, and reads until the other side ends or so long nothing more has come.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    // A server that has said no need not read on.
    let _ = socket.write_all(bytes).await;
    rest(&mut socket).await
}

async fn rest(socket: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(count)) = timeout(Duration::from_secs(1), socket.read(&mut buffer)).await {
        if count == 0 {
            break;
        }
        all.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test]
async fn requests_are_answered_and_bad_ones_refused() {
    let web = Web::start(limits()).await;
    let good = exchange(web.plain, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(good.matches("HTTP/1.1 200 OK").count(), 2, "{good}");
    let large = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    assert!(exchange(web.plain, large.as_bytes()).await.starts_with("HTTP/1.1 431"));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(200));
    assert!(exchange(web.plain, many.as_bytes()).await.starts_with("HTTP/1.1 431"));
    for bad in [
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\nhello",
        "\u{16}\u{3}\u{1}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    ] {
        let answer = exchange(web.plain, bad.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{bad:?}: {answer}");
    }
}

#[tokio::test]
async fn http_2_is_chosen_inside_tls() {
    let web = Web::start(limits()).await;
    // Our client of XMPP asks for a protocol that is not spoken there: it is turned away.
    let tls = linnet_net::tls::Tls::new(&Trust::Anything).unwrap();
    let tcp = TcpStream::connect(web.secure).await.unwrap();
    assert!(tls.connect(tcp, "localhost", true, LIMIT).await.is_err());
    // Without ALPN it is HTTP/1.1.
    let tcp = TcpStream::connect(web.secure).await.unwrap();
    let mut stream = tls.connect(tcp, "localhost", false, LIMIT).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(LIMIT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn requests_under_way_are_answered_when_the_server_stops() {
    let mut web = Web::start(limits()).await;
    let mut busy = TcpStream::connect(web.plain).await.unwrap();
    busy.write_all(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello").await.unwrap();
    let mut idle = TcpStream::connect(web.plain).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    timeout(LIMIT, idle.read_exact(&mut first)).await.unwrap().unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let address = web.plain;
    let stopped = web.edge.take().unwrap().stop();
    let rest_of_it = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        busy.write_all(b"again").await.unwrap();
        rest(&mut busy).await
    };
    let (answer, ()) = timeout(LIMIT, async { tokio::join!(rest_of_it, stopped) }).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("got 10"), "{answer}");
    // The one without a request has ended, and no further one begins.
    assert!(rest(&mut idle).await.ends_with("hello"));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn one_address_has_so_many_connections() {
    let limits = Limits { connections_per_address: 2, exempt: vec![Network::parse("192.0.2.1").unwrap()], ..limits() };
    let web = Web::start(limits).await;
    let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(web.plain).await.unwrap();
        socket.write_all(request).await.unwrap();
        let mut first = [0; 12];
        timeout(LIMIT, socket.read_exact(&mut first)).await.unwrap().unwrap();
        open.push(socket);
    }
    assert_eq!(exchange(web.plain, request).await, "");
    open.clear();
    for _ in 0..50 {
        if exchange(web.plain, request).await.starts_with("HTTP/1.1 200") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the places of those who have gone are not free again");
}
