//! A server for tests: one account, certificates of its own, and answers that each test chooses.

use linnet_net::tls::server_end_point;
use linnet_xmpp::{
    Jid, Stanza,
    sasl::{ChannelBindings, Failure, Hash, Mechanism, ScramKeys},
    stream::{Accept, AcceptConfig, Answer, Need, Output, Secured, steps},
};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// What a test lets the server do about a stanza.
pub(crate) enum Reaction {
    /// Send this.
    Send(Stanza),
    /// Drop the connection.
    Drop,
    /// Close the stream with an error.
    Fail(linnet_xmpp::stream::StreamCondition),
}

/// Decides about stanzas of a client at an address.
pub(crate) type React = fn(&Stanza, &Jid) -> Vec<Reaction>;

/// How the server listens; `Plain`: it has no TLS at all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listen {
    Plain,
    StartTls,
    /// STARTTLS, and only the certificate to bind a login to.
    EndPoint,
    Direct,
}

/// A running server. It ends with the test's runtime.
pub(crate) struct Server {
    pub address: SocketAddr,
    /// The certificate in DER.
    pub certificate: Vec<u8>,
    /// Connections so far.
    pub connections: Arc<AtomicU32>,
}

/// The account's password.
pub(crate) const PASSWORD: &str = "pencil";

impl Server {
    pub(crate) async fn start(listen: Listen, react: React) -> Server {
        Server::with_mechanisms(listen, react, scram()).await
    }

    pub(crate) async fn with_mechanisms(listen: Listen, react: React, mechanisms: Vec<Mechanism>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let issued = rcgen::generate_simple_self_signed(vec!["linnet.example".to_owned()]).unwrap();
        let certificate = issued.cert.der().to_vec();
        let key = PrivateKeyDer::Pkcs8(issued.signing_key.serialize_der().into());
        let connections = Arc::new(AtomicU32::new(0));
        let shared = Arc::new(Shared {
            listen,
            react,
            tls: tls(CertificateDer::from(certificate.clone()), key),
            end_point: server_end_point(&certificate).unwrap().into(),
            config: Arc::new(config(listen, mechanisms)),
        });
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(Arc::clone(&shared), tcp));
            }
        });
        Server { address, certificate, connections }
    }
}

struct Shared {
    listen: Listen,
    react: React,
    tls: TlsAcceptor,
    end_point: Box<[u8]>,
    config: Arc<AcceptConfig>,
}

/// All SCRAM mechanisms, strongest first.
pub(crate) fn scram() -> Vec<Mechanism> {
    let hashes = [Hash::Sha512, Hash::Sha256, Hash::Sha1];
    [true, false].into_iter().flat_map(|plus| hashes.map(|hash| Mechanism::Scram { hash, plus })).collect()
}

fn tls(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> TlsAcceptor {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"xmpp-client".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

fn config(listen: Listen, mechanisms: Vec<Mechanism>) -> AcceptConfig {
    AcceptConfig {
        domains: vec!["linnet.example".into(), "other.example".into()],
        limit_before_login: 10 << 10,
        limit_after_login: 512 << 10,
        login_timeout: Duration::from_secs(20),
        require_tls: listen != Listen::Plain,
        mechanisms,
        bind_features: Vec::new(),
        login_attempts: 3,
        // STARTTLS is the first step.
        steps: steps::ACCEPT[usize::from(listen == Listen::Plain)..].to_vec(),
        elsewhere: None,
        random: linnet_net::random,
    }
}

async fn serve(shared: Arc<Shared>, tcp: TcpStream) {
    let now = Instant::now();
    if shared.listen == Listen::Direct {
        let Ok(stream) = shared.tls.accept(tcp).await else { return };
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"xmpp-client"[..]));
        let secured = secured(&stream, &shared);
        let accept = Accept::new(Arc::clone(&shared.config), now, Some(secured));
        drive(&shared, stream, accept).await;
        return;
    }
    let accept = Accept::new(Arc::clone(&shared.config), now, None);
    let Some((tcp, mut accept)) = drive(&shared, tcp, accept).await else { return };
    let Ok(stream) = shared.tls.accept(tcp).await else { return };
    assert_eq!(stream.get_ref().1.server_name(), Some("linnet.example"), "SNI is the domain");
    accept.secured(secured(&stream, &shared));
    drive(&shared, stream, accept).await;
}

fn secured(stream: &TlsStream<TcpStream>, shared: &Shared) -> Secured {
    let (_, connection) = stream.get_ref();
    let exporter = connection.export_keying_material([0_u8; 32], b"EXPORTER-Channel-Binding", None).unwrap();
    let bindings =
        ChannelBindings { exporter: Some(exporter.to_vec().into()), server_end_point: Some(shared.end_point.clone()) };
    Secured { bindings, certificate: false }
}

/// Drives a stream to its end, or gives socket and stream back for TLS.
async fn drive<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    mut io: S,
    mut accept: Accept,
) -> Option<(S, Accept)> {
    let mut buffer = vec![0; 4096];
    let mut filled = 0;
    loop {
        let mut input = &buffer[..filled];
        while let Some(output) = accept.poll(&mut input, Instant::now()) {
            match output {
                Output::Write(bytes) => io.write_all(&bytes).await.ok()?,
                Output::StartTls => {
                    io.flush().await.ok()?;
                    return Some((io, accept));
                }
                Output::Need(need) => accept.answer(answer(need)),
                Output::Bound(_) | Output::Control(_) | Output::Stanza(Err(_)) => {}
                Output::Stanza(Ok(stanza)) => {
                    let own = accept.bound().unwrap().clone();
                    for reaction in (shared.react)(&stanza, &own) {
                        match reaction {
                            Reaction::Send(stanza) => io.write_all(&bytes_of(&stanza)).await.ok()?,
                            Reaction::Drop => return None,
                            Reaction::Fail(condition) => accept.close(Some(condition.into())),
                        }
                    }
                }
                Output::Closed(_) | Output::Gone => {
                    let _ = io.shutdown().await;
                    return None;
                }
            }
        }
        io.flush().await.ok()?;
        filled = io.read(&mut buffer).await.ok()?;
        if filled == 0 {
            return None;
        }
    }
}

fn bytes_of(stanza: &Stanza) -> Vec<u8> {
    let mut bytes = Vec::new();
    stanza.write(None, None, &[], &mut bytes);
    bytes
}

fn answer(need: Need) -> Answer {
    match need {
        Need::Keys { username, hash, .. } => {
            let keys = ScramKeys::derive(hash, PASSWORD, b"salt and more salt", 4096).unwrap();
            let proved = if username == "juliet" { Ok(()) } else { Err(Failure::NotAuthorized) };
            Answer::Keys(Ok((keys, proved)))
        }
        Need::Verify { username, password, .. } => {
            let right = username == "juliet" && password == PASSWORD;
            Answer::Verified(if right { Ok(username) } else { Err(Failure::NotAuthorized) })
        }
        Need::Bind { username, domain, resource } => {
            let resource = resource.as_deref().unwrap_or("chosen");
            Answer::Bound(Ok(Jid::new(username.as_deref(), &domain, Some(resource)).unwrap()))
        }
        _ => Answer::Verified(Err(Failure::NotAuthorized)),
    }
}
