//! The WebSocket side.

use std::future::Future;

use axum::{
    body::Body,
    extract::{FromRef, FromRequestParts},
    response::Response,
};
use http::request::Parts;
use realtime_core::{
    Hub, Subscribe,
    ws::{Outcome, Socket},
};

use crate::{head::note_peer, response::Refused};

/// A WebSocket handshake that has been let in; an extractor.
///
/// # Cancel safety
/// A framework that drops the extraction, as it does when the client has gone, refuses the request.
#[derive(Debug)]
pub struct WebSocketUpgrade {
    request: realtime_hyper::WebSocketUpgrade,
}

impl<S> FromRequestParts<S> for WebSocketUpgrade
where
    Hub: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        note_peer(parts);
        let hub = Hub::from_ref(state);
        let request = realtime_hyper::WebSocketUpgrade::from_parts(&hub, parts).await?;
        Ok(Self { request })
    }
}

impl WebSocketUpgrade {
    realtime_core::websocket_options!();

    /// Answers the handshake and streams a topic, several, or as a [`Subscribe`] says. What the
    /// client sends is discarded.
    ///
    /// # Errors
    /// [`Refused`]: 400 for topics or patterns that are not valid or too many, 403 for a topic that is
    /// not permitted, 503 when the hub's table is full.
    pub fn stream(self, request: impl Into<Subscribe>) -> Result<Response, Refused> {
        Ok(self.request.stream(request)?.map(Body::new))
    }

    /// Answers the handshake and runs `handler` as part of the connection.
    ///
    /// When the handler is done, the connection closes with 1000, or with 1011 when it returned an
    /// error or panicked. When the connection is lost, [`Socket::recv`] gives `None`.
    ///
    /// # Errors
    /// [`Refused`]: 400 for topics or patterns that are not valid or too many, 403 for a topic that is
    /// not permitted, 503 when the hub's table is full.
    pub fn run<F, R>(self, handler: F) -> Result<Response, Refused>
    where
        F: FnOnce(Socket) -> R + Send + 'static,
        R: Future<Output: Outcome> + Send + 'static,
    {
        Ok(self.request.run(handler)?.map(Body::new))
    }
}
