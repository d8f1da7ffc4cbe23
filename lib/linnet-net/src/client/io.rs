//! A connection, plain or with TLS, that is read and written by one task at the same time.

use bytes::{Buf, BytesMut};
use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

/// A socket with what waits to be written to it.
#[derive(Debug)]
pub(super) struct Io {
    /// None only while TLS is made on it, and after that failed.
    socket: Option<Socket>,
    out: BytesMut,
    /// Whether something was written since the last flush.
    dirty: bool,
}

/// The two kinds of sockets.
#[derive(Debug)]
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What became of a wait.
pub(super) enum Step {
    /// So many bytes were read; 0: the other side closed.
    Read(usize),
    /// Something was written.
    Wrote,
}

impl Io {
    pub(super) fn new(socket: Socket) -> Io {
        Io { socket: Some(socket), out: BytesMut::new(), dirty: false }
    }

    /// The socket, for TLS to be made on it. Everything must have been flushed.
    pub(super) fn take_socket(&mut self) -> Option<Socket> {
        self.socket.take()
    }

    /// What waits to be written.
    pub(super) fn out(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    /// Writes what waits and reads, if `read`, whatever is possible first. Nothing is lost when it is dropped.
    pub(super) async fn step(&mut self, buffer: &mut [u8], read: bool) -> io::Result<Step> {
        poll_fn(|cx| {
            let before = self.out.len();
            if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
                return Poll::Ready(Err(error));
            }
            if let Some(socket) = self.socket.as_mut().filter(|_| read) {
                let mut space = ReadBuf::new(buffer);
                if let Poll::Ready(result) = Pin::new(socket).poll_read(cx, &mut space) {
                    return Poll::Ready(result.map(|()| Step::Read(space.filled().len())));
                }
            }
            if self.out.len() < before { Poll::Ready(Ok(Step::Wrote)) } else { Poll::Pending }
        })
        .await
    }

    /// Writes all that waits.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_drain(cx)).await
    }

    /// Writes all that waits and tells the other side that nothing follows.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        self.flush().await?;
        match &mut self.socket {
            Some(socket) => poll_fn(|cx| Pin::new(&mut *socket).poll_shutdown(cx)).await,
            None => Ok(()),
        }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(socket) = &mut self.socket else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let mut socket = Pin::new(socket);
        while !self.out.is_empty() {
            let written = ready!(socket.as_mut().poll_write(cx, &self.out))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.advance(written);
            self.dirty = true;
        }
        if self.dirty {
            // TLS keeps records back until it is flushed.
            ready!(socket.poll_flush(cx))?;
            self.dirty = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl Socket {
    /// Whether the other end is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let tcp = match self {
            Socket::Plain(tcp) => tcp,
            Socket::Tls(tls) => tls.get_ref().0,
        };
        tcp.peer_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback())
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(tcp) => Pin::new(tcp).poll_read(cx, space),
            Socket::Tls(tls) => Pin::new(tls).poll_read(cx, space),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Socket::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Socket::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Socket::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
