//! What the server says over HTTP, as one router. It knows no socket: whoever has one serves it.
//!
//! So far that is what features answer (`Hook::Web`): the files of XEP-0363; and how to connect ([`Discovery`]). Everything
//! else is not found.

mod body;
mod discovery;
mod limits;

pub use discovery::Discovery;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use body::{Received, Sent};
use kernel::{
    Kernel,
    web::{Incoming, Route},
};
use std::sync::Arc;

/// Everything that this server answers over HTTP.
pub fn router(kernel: &Arc<Kernel>, discovery: Discovery) -> Router {
    let mut router = discovery.router();
    for route in &kernel.hooks.web {
        let served = any(answer).with_state((kernel.clone(), *route));
        router = router.route(&format!("{}{{*rest}}", route.path), served);
    }
    router.fallback(nothing)
}

/// Hands a request to its feature, and the answer back.
async fn answer(State((kernel, route)): State<(Arc<Kernel>, &'static Route)>, request: Request) -> Response {
    let request = request.map(|body| Box::new(Received::new(body)) as Box<dyn Incoming>);
    (route.run)(kernel, request).await.map(|body| Body::new(Sent::from(body)))
}

async fn nothing() -> Response {
    let mut response = (StatusCode::NOT_FOUND, "There is nothing at this address.\n").into_response();
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}
