//! Files over HTTP (XEP-0363 §7), through the router and without sockets: slots come from a session, contents are in
//! memory, and the clock is the test's.

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use http_body::{Body as _, Frame};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use store::Blobs;
use testkit::{Peer, Server};
use tower::ServiceExt;

const SERVICE: &str = "upload.example.com";

struct World {
    server: Server,
    romeo: Peer,
    router: Router,
}

/// A slot as a client sees it.
struct Slot {
    path: String,
    token: String,
}

impl World {
    async fn new() -> World {
        let server = Server::with_accounts(&["romeo"]).await;
        let romeo = server.bind("romeo@example.com/orchard").await;
        let router = portal::router(&server.kernel, portal::Discovery::default());
        World { server, romeo, router }
    }

    /// The answer to a request for a slot.
    async fn ask(&self, attributes: &str, purpose: &str) -> String {
        let request = format!("<request xmlns='urn:xmpp:http:upload:0' {attributes}>{purpose}</request>");
        self.romeo.send(&format!("<iq type='get' id='slot' to='{SERVICE}'>{request}</iq>")).await;
        self.server.settle().await;
        self.romeo.read_all().pop().expect("an answer")
    }

    async fn slot_for(&self, attributes: &str, purpose: &str) -> Slot {
        let answer = self.ask(attributes, purpose).await;
        let between = |start: &str, end: &str| {
            let rest = answer.split_once(start).unwrap_or_else(|| panic!("no slot: {answer}")).1;
            rest.split_once(end).expect("its end").0.to_owned()
        };
        let put = between("<put url='", "'");
        assert_eq!(put, between("<get url='", "'"));
        let path = put.strip_prefix("https://example.com:5443").expect("our own address").to_owned();
        Slot { path, token: between("<header name='Authorization'>", "<") }
    }

    async fn slot(&self, name: &str, size: usize, media: &str) -> Slot {
        self.slot_for(&format!("filename='{name}' size='{size}' content-type='{media}'"), "").await
    }

    async fn put_body(&self, slot: &Slot, length: usize, body: Body) -> StatusCode {
        let request = Request::put(&slot.path)
            .header(header::AUTHORIZATION, &slot.token)
            .header(header::CONTENT_LENGTH, length)
            .body(body)
            .unwrap();
        self.send(request).await.status()
    }

    async fn put(&self, slot: &Slot, content: &'static [u8]) -> StatusCode {
        self.put_body(slot, content.len(), Body::from(content)).await
    }

    async fn send(&self, request: Request<Body>) -> Response {
        // What is written is durable when the store's tasks have run; they share this thread.
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str, headers: &[(header::HeaderName, &str)]) -> Response {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    async fn content(&self, path: &str) -> Option<Vec<u8>> {
        let answer = self.get(path, &[]).await;
        if answer.status() != StatusCode::OK { None } else { Some(read(answer).await) }
    }
}

async fn read(answer: Response) -> Vec<u8> {
    let mut body = answer.into_body();
    let mut all = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        all.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    all
}

fn said<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// A body that gives some bytes, and then breaks or rests for ever.
struct Broken(Option<Bytes>, bool);

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.0.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None if self.1 => Poll::Pending,
            None => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
        }
    }
}

#[tokio::test]
async fn a_file_is_put_and_got() {
    let world = World::new().await;
    let slot = world.slot("tres cool.jpg", 5, "image/jpeg").await;
    assert!(slot.path.ends_with("/tres%20cool.jpg"), "{}", slot.path);
    assert_eq!(world.content(&slot.path).await, None);
    assert_eq!(world.put(&slot, b"hello").await, StatusCode::CREATED);
    let answer = world.get(&slot.path, &[]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    for (name, wanted) in [
        ("content-type", "image/jpeg"),
        ("content-length", "5"),
        ("content-disposition", "inline; filename=\"tres cool.jpg\"; filename*=UTF-8''tres%20cool.jpg"),
        ("x-content-type-options", "nosniff"),
        ("accept-ranges", "bytes"),
        ("access-control-allow-origin", "*"),
        ("cache-control", "private, max-age=2592000, immutable"),
    ] {
        assert_eq!(said(&answer, name), wanted, "{name}");
    }
    assert!(said(&answer, "content-security-policy").contains("default-src 'none'"));
    let tag = said(&answer, "etag").to_owned();
    assert_eq!(read(answer).await, b"hello");
    // Who has it already needs no second copy.
    let answer = world.get(&slot.path, &[(header::IF_NONE_MATCH, &tag)]).await;
    assert_eq!((answer.status(), read(answer).await), (StatusCode::NOT_MODIFIED, Vec::new()));
    let head = world.send(Request::head(&slot.path).body(Body::empty()).unwrap()).await;
    assert_eq!((head.status(), said(&head, "content-length")), (StatusCode::OK, "5"));
    assert!(read(head).await.is_empty());
}

#[tokio::test]
async fn parts_of_a_file() {
    let world = World::new().await;
    let slot = world.slot("a.txt", 10, "text/plain").await;
    assert_eq!(world.put(&slot, b"0123456789").await, StatusCode::CREATED);
    let part = async |range: &str| {
        let answer = world.get(&slot.path, &[(header::RANGE, range)]).await;
        let (status, said) = (answer.status(), said(&answer, "content-range").to_owned());
        (status, said, String::from_utf8(read(answer).await).unwrap())
    };
    let partial = StatusCode::PARTIAL_CONTENT;
    assert_eq!(part("bytes=2-4").await, (partial, "bytes 2-4/10".to_owned(), "234".to_owned()));
    assert_eq!(part("bytes=-2").await, (partial, "bytes 8-9/10".to_owned(), "89".to_owned()));
    assert_eq!(part("bytes=7-").await, (partial, "bytes 7-9/10".to_owned(), "789".to_owned()));
    assert_eq!(part("bytes=10-").await.0, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(part("bytes=10-").await.1, "bytes */10");
    assert_eq!(part("lines=1-2").await.0, StatusCode::OK);
    // A part of another version than the client has is of no use.
    let other = world.get(&slot.path, &[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, "\"other\"")]).await;
    assert_eq!(other.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_slot_is_used_once_with_its_size_and_type() {
    let world = World::new().await;
    let slot = world.slot("a.txt", 5, "text/plain").await;
    assert_eq!(world.put(&slot, b"too long").await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(world.put(&slot, b"shrt").await, StatusCode::BAD_REQUEST);
    // What comes is counted, whatever was said.
    assert_eq!(world.put_body(&slot, 5, Body::from("too long")).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(world.put_body(&slot, 5, Body::from("shrt")).await, StatusCode::BAD_REQUEST);
    let without_length = Request::put(&slot.path).header(header::AUTHORIZATION, &slot.token);
    let answer = world.send(without_length.body(Body::from("hello")).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::LENGTH_REQUIRED);
    let typed = |media: &str| {
        let request = Request::put(&slot.path).header(header::AUTHORIZATION, &slot.token);
        request.header(header::CONTENT_LENGTH, 5).header(header::CONTENT_TYPE, media).body(Body::from("hello")).unwrap()
    };
    assert_eq!(world.send(typed("text/html")).await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(world.content(&slot.path).await, None);
    assert_eq!(world.server.blobs.used(), 0);
    assert_eq!(world.send(typed("text/plain; charset=utf-8")).await.status(), StatusCode::CREATED);
    assert_eq!(world.put(&slot, b"other").await, StatusCode::CONFLICT);
    assert_eq!(world.content(&slot.path).await.as_deref(), Some(&b"hello"[..]));
    assert_eq!(world.server.blobs.used(), 5);
}

/// A body of so many pieces, which counts those that were read.
struct Counted(usize, Arc<AtomicUsize>);

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(left) = self.0.checked_sub(1) else { return Poll::Ready(None) };
        self.0 = left;
        self.1.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 65536])))))
    }
}

/// Whoever still sent saw a broken connection in place of the 409.
#[tokio::test]
async fn a_refused_file_is_read_to_its_end_before_the_answer() {
    let world = World::new().await;
    let slot = world.slot("a.txt", 5, "text/plain").await;
    assert_eq!(world.put(&slot, b"hello").await, StatusCode::CREATED);
    let pieces = Arc::new(AtomicUsize::new(0));
    let body = |count: usize| (count * 65536, Body::new(Counted(count, pieces.clone())));
    let (length, content) = body(16);
    assert_eq!(world.put_body(&slot, length, content).await, StatusCode::CONFLICT);
    assert_eq!(pieces.swap(0, Ordering::Relaxed), 16);
    // Not without end.
    let (length, content) = body(1000);
    assert_eq!(world.put_body(&slot, length, content).await, StatusCode::CONFLICT);
    assert_eq!(pieces.load(Ordering::Relaxed), 256);
}

#[tokio::test]
async fn without_the_token_nothing_is_put() {
    let world = World::new().await;
    let slot = world.slot("a.txt", 5, "text/plain").await;
    let other = world.slot("a.txt", 5, "text/plain").await;
    for token in ["", "Bearer ", &other.token, &slot.token.to_uppercase(), &slot.token.replace("Bearer", "Basic")] {
        let wrong = Slot { path: slot.path.clone(), token: token.to_owned() };
        assert_eq!(world.put(&wrong, b"hello").await, StatusCode::FORBIDDEN, "{token}");
    }
    // Another name, another id, what is no path of ours.
    for path in [slot.path.replace("a.txt", "b.txt"), slot.path.replace("/upload/", "/upload/0"), "/upload/x".into()] {
        let wrong = Slot { path: path.clone(), token: slot.token.clone() };
        assert!(world.put(&wrong, b"hello").await.is_client_error(), "{path}");
    }
    assert_eq!(world.put(&slot, b"hello").await, StatusCode::CREATED);
    assert_eq!(world.content(&slot.path.replace("a.txt", "b.txt")).await, None);
    assert_eq!(world.content("/upload/../../etc/passwd").await, None);
    assert_eq!(world.get("/", &[]).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn what_is_broken_off_leaves_nothing_and_may_be_tried_again() {
    let world = World::new().await;
    let slot = world.slot("a.txt", 5, "text/plain").await;
    let broken = |rests| Body::new(Broken(Some(Bytes::from_static(b"hel")), rests));
    assert_eq!(world.put_body(&slot, 5, broken(false)).await, StatusCode::BAD_REQUEST);
    assert_eq!(world.put_body(&slot, 5, broken(true)).await, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(world.server.blobs.used(), 0);
    // The client goes while it is being received.
    let going = world.put_body(&slot, 5, broken(true));
    assert!(tokio::time::timeout(Duration::from_secs(1), going).await.is_err());
    assert_eq!((world.server.blobs.used(), world.content(&slot.path).await), (0, None));
    assert_eq!(world.put(&slot, b"hello").await, StatusCode::CREATED);
}

#[tokio::test]
async fn two_at_once_do_not_mix() {
    let world = World::new().await;
    let slot = world.slot("a.txt", 5, "text/plain").await;
    let slow = world.put_body(&slot, 5, Body::new(Broken(Some(Bytes::from_static(b"hel")), true)));
    let mut slow = Box::pin(slow);
    assert!(std::future::poll_fn(|cx| Poll::Ready(slow.as_mut().poll(cx).is_pending())).await);
    assert_eq!(world.put(&slot, b"other").await, StatusCode::CONFLICT);
    drop(slow);
    assert_eq!(world.put(&slot, b"hello").await, StatusCode::CREATED);
}

#[tokio::test]
async fn a_full_disk_is_507_and_the_next_slot_says_so() {
    let world = World::new().await;
    let slot = world.slot("a.txt", 5, "text/plain").await;
    world.server.blobs.limit(Some(3));
    assert_eq!(world.put(&slot, b"hello").await, StatusCode::INSUFFICIENT_STORAGE);
    assert_eq!((world.server.blobs.used(), world.content(&slot.path).await), (0, None));
    let refused = world.ask("filename='a' size='5'", "").await;
    assert!(refused.contains("<resource-constraint") && refused.contains("disk"), "{refused}");
    assert!(refused.contains("<retry xmlns='urn:xmpp:http:upload:0' stamp='2026-01-01T00:05:00Z'/>"), "{refused}");
    world.server.blobs.limit(None);
    assert_eq!(world.put(&slot, b"hello").await, StatusCode::CREATED);
}

#[tokio::test]
async fn slots_and_files_end() {
    let world = World::new().await;
    let late = world.slot("a.txt", 5, "text/plain").await;
    world.server.pass(Duration::from_secs(300)).await;
    assert_eq!(world.put(&late, b"hello").await, StatusCode::GONE);
    let soon = "<ephemeral xmlns='urn:xmpp:http:upload:purpose:0' expire-before='2026-01-01T01:00:00Z'/>";
    let ephemeral = world.slot_for("filename='e' size='5'", soon).await;
    let permanent = "<permanent xmlns='urn:xmpp:http:upload:purpose:0'/>";
    let permanent = world.slot_for("filename='p' size='5'", permanent).await;
    let usual = world.slot("m", 5, "text/plain").await;
    for slot in [&ephemeral, &permanent, &usual] {
        assert_eq!(world.put(slot, b"hello").await, StatusCode::CREATED);
    }
    let cached = world.get(&ephemeral.path, &[]).await;
    assert_eq!(said(&cached, "cache-control"), "private, max-age=3300, immutable");
    world.server.pass(Duration::from_secs(3300)).await;
    assert_eq!(world.content(&ephemeral.path).await, None);
    assert!(world.content(&usual.path).await.is_some());
    // A day and a month later the contents have gone too.
    for _ in 0..300 {
        world.server.pass(Duration::from_secs(300)).await;
    }
    assert_eq!(world.server.blobs.used(), 10);
    world.server.pass(Duration::from_secs(30 * 24 * 3600)).await;
    assert_eq!(world.content(&usual.path).await, None);
    for _ in 0..300 {
        world.server.pass(Duration::from_secs(300)).await;
    }
    assert_eq!(world.server.blobs.used(), 5);
    assert!(world.content(&permanent.path).await.is_some());
}

#[tokio::test]
async fn content_without_a_file_is_swept_away() {
    let world = World::new().await;
    let slot = world.slot("a.txt", 5, "text/plain").await;
    assert_eq!(world.put(&slot, b"hello").await, StatusCode::CREATED);
    let mut orphan = world.server.blobs.write("ab/abcd-1").await.unwrap();
    orphan.append(Bytes::from_static(b"nobody's")).await.unwrap();
    orphan.finish().await.unwrap();
    for _ in 0..300 {
        world.server.pass(Duration::from_secs(300)).await;
    }
    assert_eq!(world.server.blobs.size("ab/abcd-1").await.unwrap(), None);
    assert_eq!(world.content(&slot.path).await.as_deref(), Some(&b"hello"[..]));
}

#[tokio::test]
async fn files_go_with_their_account() {
    let world = World::new().await;
    let slot = world.slot("a.txt", 5, "text/plain").await;
    let waiting = world.slot("b.txt", 5, "text/plain").await;
    assert_eq!(world.put(&slot, b"hello").await, StatusCode::CREATED);
    features::accounts::remove(&world.server.kernel, &testkit::jid("romeo@example.com")).await.unwrap();
    world.server.settle().await;
    assert_eq!((world.content(&slot.path).await, world.server.blobs.used()), (None, 0));
    assert_eq!(world.put(&waiting, b"hello").await, StatusCode::NOT_FOUND);
    assert_eq!(world.server.blobs.used(), 0);
}

#[tokio::test]
async fn other_methods_change_nothing() {
    let world = World::new().await;
    let slot = world.slot("a.txt", 5, "text/plain").await;
    assert_eq!(world.put(&slot, b"hello").await, StatusCode::CREATED);
    for method in ["DELETE", "POST", "PATCH", "TRACE", "PROPFIND"] {
        let request = Request::builder().method(method).uri(&slot.path).header(header::AUTHORIZATION, &slot.token);
        let answer = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(
            (answer.status(), said(&answer, "allow")),
            (StatusCode::METHOD_NOT_ALLOWED, "OPTIONS, HEAD, GET, PUT")
        );
    }
    let options = Request::options(&slot.path).header(header::ORIGIN, "https://chat.example.net");
    let answer = world.send(options.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(said(&answer, "access-control-allow-origin"), "*");
    assert!(said(&answer, "access-control-allow-methods").contains("PUT"));
    assert!(said(&answer, "access-control-allow-headers").contains("Authorization"));
    assert_eq!(world.content(&slot.path).await.as_deref(), Some(&b"hello"[..]));
}

#[tokio::test]
async fn what_can_carry_scripts_is_saved_not_shown() {
    let world = World::new().await;
    for (name, media) in [
        ("a.html", "text/html"),
        ("a.svg", "image/svg+xml"),
        ("a.xml", "application/xml"),
        ("a.js", "application/javascript"),
        ("a.pdf", "application/pdf"),
    ] {
        let slot = world.slot(name, 8, media).await;
        assert_eq!(world.put(&slot, b"<script>").await, StatusCode::CREATED);
        let answer = world.get(&slot.path, &[]).await;
        assert!(said(&answer, "content-disposition").starts_with("attachment; "), "{media}");
        let policy = said(&answer, "content-security-policy");
        assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"), "{policy}");
        assert_eq!(said(&answer, "x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn odd_names_stay_names() {
    let world = World::new().await;
    for (name, wanted) in [
        ("../../../etc/passwd", "passwd"),
        ("a&#13;&#10;X-Evil: 1", "a__X-Evil_%201"),
        ("&quot;;x=&quot;.txt", "_;x=_.txt"),
        ("写真.png", "%E5%86%99%E7%9C%9F.png"),
    ] {
        let slot = world.slot_for(&format!("filename='{name}' size='5'"), "").await;
        assert!(slot.path.ends_with(&format!("/{}", wanted.replace(';', "%3B").replace('=', "%3D"))), "{}", slot.path);
        assert_eq!(world.put(&slot, b"hello").await, StatusCode::CREATED);
        let answer = world.get(&slot.path, &[]).await;
        assert_eq!(said(&answer, "content-type"), "application/octet-stream");
        assert!(!answer.headers().contains_key("x-evil"));
        assert_eq!(read(answer).await, b"hello");
    }
}
