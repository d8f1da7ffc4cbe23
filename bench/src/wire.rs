//! A connection as the load generator needs it: plain or TLS bytes, cut into first-level stanzas without parsing them.
//!
//! It trusts the server to send well-formed XML; what it costs must stay far below what it measures.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// One XMPP stream to the server, seen as a sequence of items: stream header, stanzas, stream end.
pub(crate) struct Wire {
    socket: Option<Socket>,
    input: BytesMut,
    /// Length of the item handed out last, still at the front of `input`.
    taken: usize,
    cutter: Cutter,
}

/// What bytes travel over.
pub(crate) enum Socket {
    /// TCP as it is.
    Plain(TcpStream),
    /// TLS 1.3 over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// Connects to `address` by TCP, without delay for small writes.
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self::over(Socket::Plain(socket)))
    }

    /// Wraps an open socket.
    pub(crate) fn over(socket: Socket) -> Self {
        Self { socket: Some(socket), input: BytesMut::new(), taken: 0, cutter: Cutter::default() }
    }

    /// Starts TLS towards `domain` on the plain socket; the next item is again a stream header.
    pub(crate) async fn start_tls(&mut self, domain: &str) -> io::Result<()> {
        let Some(Socket::Plain(tcp)) = self.socket.take() else {
            return Err(io::Error::other("TLS twice on one connection"));
        };
        self.socket = Some(tls(tcp, domain).await?);
        self.restart();
        self.input.clear();
        Ok(())
    }

    /// Expects a new stream header next, as after TLS and SASL (RFC 6120 §5.4.3.3, §6.4.6).
    pub(crate) fn restart(&mut self) {
        self.cutter = Cutter::default();
        self.input.advance(self.taken);
        self.taken = 0;
    }

    /// Writes `bytes` and passes them on to the kernel.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let socket = self.open()?;
        socket.write_all(bytes).await?;
        socket.flush().await
    }

    /// Waits for the next item and returns its bytes. The end of the connection is an error.
    pub(crate) async fn item(&mut self) -> io::Result<&[u8]> {
        loop {
            if self.cut() {
                return Ok(&self.input[..self.taken]);
            }
            self.fill().await?;
        }
    }

    /// Returns the next item if it has come already.
    pub(crate) fn item_at_hand(&mut self) -> Option<&[u8]> {
        if self.cut() { Some(&self.input[..self.taken]) } else { None }
    }

    /// Reads until the server closes.
    pub(crate) async fn drain(&mut self) {
        self.taken = 0;
        while self.fill().await.is_ok() {
            self.input.clear();
        }
    }

    /// Drops the item handed out before and finds the end of the next one.
    fn cut(&mut self) -> bool {
        self.input.advance(self.taken);
        self.taken = self.cutter.next(&self.input).unwrap_or(0);
        self.taken > 0
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.input.reserve(4096);
        let Some(socket) = self.socket.as_mut() else { return Err(io::ErrorKind::NotConnected.into()) };
        match socket.read_buf(&mut self.input).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    fn open(&mut self) -> io::Result<&mut Socket> {
        self.socket.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// Makes TLS of `tcp`, accepting any certificate: servers under test present one made for this run.
pub(crate) async fn tls(tcp: TcpStream, domain: &str) -> io::Result<Socket> {
    static CONNECTOR: LazyLock<TlsConnector> = LazyLock::new(|| {
        let mut config = rustls::ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate))
            .with_no_client_auth();
        // A resumed handshake costs the server less: every login must be a full one.
        config.resumption = rustls::client::Resumption::disabled();
        TlsConnector::from(Arc::new(config))
    });
    let name = ServerName::try_from(domain.to_owned()).map_err(io::Error::other)?;
    Ok(Socket::Tls(Box::new(CONNECTOR.connect(name, tcp).await?)))
}

/// Finds where first-level items end in a growing buffer.
#[derive(Default)]
struct Cutter {
    /// Bytes at the front of the buffer that were looked at already.
    seen: usize,
    /// Open elements; the stream itself is the first.
    depth: usize,
}

impl Cutter {
    /// Returns the length of the item at the front of `buffer`, white space before it included.
    fn next(&mut self, buffer: &[u8]) -> Option<usize> {
        loop {
            let begin = self.seen + memchr::memchr(b'<', &buffer[self.seen..])?;
            self.seen = begin;
            let end = begin + tag_length(&buffer[begin..])?;
            self.seen = end;
            let tag = &buffer[begin..end];
            match tag.get(1) {
                Some(b'?') => continue,
                Some(b'/') => self.depth = self.depth.saturating_sub(1),
                _ if tag.ends_with(b"/>") => {}
                _ => self.depth += 1,
            }
            // Depth 1 is the stream itself: its own tag, a whole stanza or, at 0, its end.
            if self.depth <= 1 {
                self.seen = 0;
                return Some(end);
            }
        }
    }
}

/// Length of the tag that `bytes` begin with, minding that `>` may stand in an attribute's value.
fn tag_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        let found = at + memchr::memchr3(b'>', b'"', b'\'', &bytes[at..])?;
        if bytes[found] == b'>' {
            return Some(found + 1);
        }
        at = found + 1 + memchr::memchr(bytes[found], &bytes[found + 1..])? + 1;
    }
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(context, buffer),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(context),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(context),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `whole` byte by byte, as the worst network does, and collects the items.
    fn items(whole: &str) -> Vec<String> {
        let (mut cutter, mut buffer, mut found) = (Cutter::default(), BytesMut::new(), Vec::new());
        for byte in whole.bytes() {
            buffer.extend_from_slice(&[byte]);
            while let Some(length) = cutter.next(&buffer) {
                found.push(String::from_utf8_lossy(&buffer.split_to(length)).into_owned());
            }
        }
        found
    }

    #[test]
    fn cuts_header_stanzas_and_end() {
        let parts = [
            "<?xml version='1.0'?><stream:stream id='a>b' xmlns:stream=\"x\">",
            "<stream:features><a/><b>c</b></stream:features>",
            "<presence/>",
            " <message from='a'><body>x &gt; y</body><body/></message>",
            "</stream:stream>",
        ];
        assert_eq!(items(&parts.concat()), parts);
    }
}
