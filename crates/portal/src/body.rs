//! Bodies: those of requests with limits of time, those of answers as they are read.

use crate::limits;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use kernel::web::{Broken, Incoming, Outgoing};
use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use store::{BlobReader, Future, StoreError};

/// A request's body.
pub(crate) struct Received {
    body: Body,
    began: Instant,
    bytes: u64,
}

impl Received {
    pub(crate) fn new(body: Body) -> Received {
        Received { body, began: Instant::now(), bytes: 0 }
    }

    /// How long the next piece may take.
    fn patience(&self) -> Duration {
        let in_all = limits::REST + Duration::from_secs(self.bytes / limits::RATE);
        in_all.saturating_sub(self.began.elapsed()).min(limits::REST)
    }
}

impl Incoming for Received {
    fn next(&mut self) -> Future<'_, Result<Option<Bytes>, Broken>> {
        Box::pin(async move {
            loop {
                let patience = self.patience();
                let frame = poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx));
                let frame = tokio::time::timeout(patience, frame).await.map_err(|_| Broken::Slow)?;
                let Some(frame) = frame.transpose().map_err(|_| Broken::Gone)? else { return Ok(None) };
                // Trailers mean nothing here.
                let Ok(bytes) = frame.into_data() else { continue };
                self.bytes += bytes.len() as u64;
                if !bytes.is_empty() {
                    return Ok(Some(bytes));
                }
            }
        })
    }
}

/// An answer's body.
pub(crate) enum Sent {
    Whole(Option<Bytes>),
    Pieces(Pieces),
}

/// A blob on its way out.
pub(crate) struct Pieces {
    /// Away while it reads.
    reader: Option<Box<dyn BlobReader>>,
    reading: Option<Reading>,
    left: u64,
}

type Read = (Box<dyn BlobReader>, Result<Option<Bytes>, StoreError>);
type Reading = Future<'static, Read>;

impl From<Outgoing> for Sent {
    fn from(body: Outgoing) -> Sent {
        match body {
            Outgoing::Whole(bytes) => Sent::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())),
            Outgoing::Pieces(reader, left) => Sent::Pieces(Pieces { reader: Some(reader), reading: None, left }),
        }
    }
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Sent::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Sent::Pieces(pieces) => pieces.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Sent::Whole(bytes) => bytes.is_none(),
            Sent::Pieces(pieces) => pieces.left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Sent::Whole(bytes) => bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            Sent::Pieces(pieces) => pieces.left,
        })
    }
}

impl Pieces {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if let Some(mut reader) = self.reader.take() {
            self.reading = Some(Box::pin(async move {
                let piece = reader.next().await;
                (reader, piece)
            }));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let (reader, piece) = ready!(reading.as_mut().poll(cx));
        self.reading = None;
        let bytes = match piece {
            Ok(Some(bytes)) => bytes,
            // Less than was promised: the connection is broken off, so that nobody takes it for the whole.
            Ok(None) => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            Err(error) => {
                tracing::error!(%error, "a file could not be read to its end");
                return Poll::Ready(Some(Err(io::Error::other(error))));
            }
        };
        self.reader = Some(reader);
        self.left = self.left.saturating_sub(bytes.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}
