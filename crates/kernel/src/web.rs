//! Requests over HTTP that features answer. The kernel knows no socket: whoever has one finds the routes in
//! `Table::web` and hands requests over, with bodies that come and go in pieces.

use crate::Kernel;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use std::{fmt, sync::Arc};
use store::{BlobReader, Future};

/// What a feature answers: everything whose path begins so.
#[derive(Debug)]
pub struct Route {
    /// Begins and ends with `/`, e.g. `/upload/`.
    pub path: &'static str,
    /// Answers.
    pub run: Answer,
}

/// Answers a request.
pub type Answer = fn(Arc<Kernel>, Request<Box<dyn Incoming>>) -> Future<'static, Response<Outgoing>>;

/// A request's body, as it comes.
pub trait Incoming: Send {
    /// The next piece; `None` at the end.
    fn next(&mut self) -> Future<'_, Result<Option<Bytes>, Broken>>;
}

/// Why a body did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// It came too slowly.
    Slow,
    /// The client has gone, or does not speak HTTP.
    Gone,
}

/// A response's body.
pub enum Outgoing {
    /// What is there already.
    Whole(Bytes),
    /// What is read while it is sent, and how many bytes it has.
    Pieces(Box<dyn BlobReader>, u64),
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = match self {
            Outgoing::Whole(bytes) => bytes.len() as u64,
            Outgoing::Pieces(_, bytes) => *bytes,
        };
        f.debug_struct("Outgoing").field("bytes", &bytes).finish_non_exhaustive()
    }
}

/// A response with headers and a body.
pub fn response(status: StatusCode, headers: HeaderMap, body: Outgoing) -> Response<Outgoing> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
