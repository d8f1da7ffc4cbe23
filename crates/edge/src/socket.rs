//! A connection: plain, inside TLS, or the requests of BOSH. Nothing is kept for it between reads.

use crate::{
    bosh, limits,
    tls::{Inside, Tls},
};
use linnet_xmpp::stream::Secured;
use rustls::{ProtocolVersion, pki_types::CertificateDer};
use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{client, server::TlsStream};

/// A connection.
#[derive(Debug)]
pub(crate) enum Socket {
    /// Without TLS.
    Plain(TcpStream),
    /// Boxed, since it is large.
    Tls(Box<TlsStream<TcpStream>>),
    /// One that we made, to another server.
    Dialed(Box<client::TlsStream<TcpStream>>),
    /// No connection at all, but what is asked and answered over many.
    Bosh(Box<bosh::End>),
}

impl From<TcpStream> for Socket {
    fn from(tcp: TcpStream) -> Socket {
        Socket::Plain(tcp)
    }
}

impl From<TlsStream<TcpStream>> for Socket {
    fn from(stream: TlsStream<TcpStream>) -> Socket {
        Socket::Tls(Box::new(stream))
    }
}

thread_local! {
    /// What a plain connection reads into, for the time of one `poll`.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; limits::READ]);
}

impl Socket {
    /// Makes TLS. Whatever came in the clear must have been forgotten.
    pub(crate) async fn secure(self, tls: &Tls, inside: Inside) -> io::Result<(Socket, Secured)> {
        match self {
            Socket::Plain(tcp) => {
                let stream = tls.accept(tcp, inside).await?;
                let secured = tls.secured(&stream);
                Ok((stream.into(), secured))
            }
            Socket::Tls(_) | Socket::Dialed(_) | Socket::Bosh(_) => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    /// The certificates that the peer has shown, its own first.
    pub(crate) fn peer_chain(&self) -> Vec<CertificateDer<'static>> {
        let chain = match self {
            Socket::Plain(_) | Socket::Bosh(_) => None,
            Socket::Tls(stream) => stream.get_ref().1.peer_certificates(),
            Socket::Dialed(stream) => stream.get_ref().1.peer_certificates(),
        };
        chain.map(<[_]>::to_vec).unwrap_or_default()
    }

    /// The version of TLS, in words.
    pub(crate) fn describe_tls(&self) -> String {
        let version = match self {
            Socket::Plain(_) | Socket::Bosh(_) => None,
            Socket::Tls(stream) => stream.get_ref().1.protocol_version(),
            Socket::Dialed(stream) => stream.get_ref().1.protocol_version(),
        };
        match version {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3".into(),
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2".into(),
            Some(other) => format!("{other:?}"),
            None => "no TLS".into(),
        }
    }

    /// How long a write may wait that has this limit on a connection: a client of BOSH fetches when it likes.
    pub(crate) fn patience(&self, limit: Duration) -> Duration {
        match self {
            Socket::Plain(_) | Socket::Tls(_) | Socket::Dialed(_) => limit,
            Socket::Bosh(_) => limits::BOSH_PATIENCE,
        }
    }

    /// Whether somebody is at the other end who could answer.
    pub(crate) fn is_connection(&self) -> bool {
        !matches!(self, Socket::Bosh(_))
    }

    /// Gives what has come to `take`, all at once; no bytes: the peer has ended.
    pub(crate) fn poll_input<T>(&mut self, cx: &mut Context<'_>, take: impl FnOnce(&[u8]) -> T) -> Poll<io::Result<T>> {
        match self {
            Socket::Plain(tcp) => BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                ready!(Pin::new(tcp).poll_read(cx, &mut buffer))?;
                Poll::Ready(Ok(take(buffer.filled())))
            }),
            Socket::Tls(stream) => {
                let bytes = ready!(Pin::new(&mut **stream).poll_fill_buf(cx))?;
                let (taken, len) = (take(bytes), bytes.len());
                Pin::new(&mut **stream).consume(len);
                Poll::Ready(Ok(taken))
            }
            Socket::Dialed(stream) => {
                let bytes = ready!(Pin::new(&mut **stream).poll_fill_buf(cx))?;
                let (taken, len) = (take(bytes), bytes.len());
                Pin::new(&mut **stream).consume(len);
                Poll::Ready(Ok(taken))
            }
            Socket::Bosh(end) => Poll::Ready(Ok(take(&ready!(end.poll_input(cx))?))),
        }
    }

    /// Writes a part of the bytes. Inside TLS they may still be on their way: see `poll_flush`.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Socket::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Socket::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
            Socket::Dialed(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
            Socket::Bosh(end) => {
                end.write(bytes);
                Poll::Ready(Ok(bytes.len()))
            }
        }
    }

    /// Ready when the operating system has all that was written.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Plain(_) => Poll::Ready(Ok(())),
            Socket::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
            Socket::Dialed(stream) => Pin::new(&mut **stream).poll_flush(cx),
            Socket::Bosh(end) => end.poll_flush(cx),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            Socket::Dialed(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            Socket::Bosh(_) => Poll::Ready(Ok(())),
        }
    }

    /// Writes all of the bytes; an error after the time given.
    pub(crate) async fn write_all(&mut self, bytes: &[u8], limit: Duration) -> io::Result<()> {
        let mut rest = bytes;
        let limit = self.patience(limit);
        let all = std::future::poll_fn(|cx| {
            while !rest.is_empty() {
                match ready!(self.poll_write(cx, rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    written => rest = rest.get(written..).unwrap_or_default(),
                }
            }
            self.poll_flush(cx)
        });
        tokio::time::timeout(limit, all).await?
    }

    /// Ends our side and waits a little for the peer's: a socket that is closed with unread input is reset, and a reset
    /// can overtake the last bytes.
    pub(crate) async fn close(mut self) {
        let end = std::future::poll_fn(|cx| {
            // Whether that works or not, the connection is over.
            let _ = ready!(self.poll_shutdown(cx));
            loop {
                match ready!(self.poll_input(cx, <[u8]>::is_empty)) {
                    Ok(false) => {}
                    Ok(true) | Err(_) => return Poll::Ready(()),
                }
            }
        });
        // A peer that does not end is left.
        let _ = tokio::time::timeout(limits::LINGER, end).await;
    }
}
