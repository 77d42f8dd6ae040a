//! The WebSocket side.

use std::{fmt, future::Future};

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload};
use realtime_core::{
    Subscribe, driver,
    driver::{ByteStream, LocalBoxHandler},
    ws,
    ws::{Outcome, Socket},
};

use crate::{
    head::{Head, LocalBoxFuture, hub},
    response::{Refused, accepted},
};

/// A WebSocket handshake that has been let in; an extractor.
///
/// # Cancel safety
/// A framework that drops the extraction, as it does when the client has gone, refuses the request.
pub struct WebSocketUpgrade {
    request: ws::Request,
    payload: Payload,
}

impl FromRequest for WebSocketUpgrade {
    type Error = Refused;
    type Future = LocalBoxFuture<Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let admitting = hub(request).map(|hub| driver::accept_websocket(hub, &Head(request)));
        let payload = payload.take();
        Box::pin(async { Self::new(admitting?.await?, payload) })
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
    pub fn stream(self, request: impl Into<Subscribe>) -> Result<HttpResponse, Refused> {
        let (answer, session) = driver::open(self.request.subscribe(request))?;
        Ok(accepted(&answer, ByteStream::<_, LocalBoxHandler>::new(self.payload, session, None)))
    }

    /// Answers the handshake and runs `handler` as part of the connection.
    ///
    /// When the handler is done, the connection closes with 1000, or with 1011 when it returned an
    /// error or panicked. When the connection is lost, [`Socket::recv`] gives `None`.
    ///
    /// # Errors
    /// [`Refused`]: 400 for topics or patterns that are not valid or too many, 403 for a topic that is
    /// not permitted, 503 when the hub's table is full.
    pub fn run<F, R>(self, handler: F) -> Result<HttpResponse, Refused>
    where
        F: FnOnce(Socket) -> R + 'static,
        R: Future<Output: Outcome> + 'static,
    {
        let (answer, session, socket) = driver::open_with_socket(self.request)?;
        let running = Box::pin(driver::handler(handler, socket));
        Ok(accepted(&answer, ByteStream::new(self.payload, session, Some(running))))
    }

    /// Of a choice of protocols in `Upgrade` actix-http knows nothing: the bytes after such a head
    /// would be lost, and our answer chunked.
    fn new(request: ws::Request, payload: Payload) -> Result<Self, Refused> {
        match payload {
            Payload::None => {
                Err(Refused::new(400, "expected `Upgrade: websocket` and no other protocol"))
            }
            payload => Ok(Self { request, payload }),
        }
    }
}

impl fmt::Debug for WebSocketUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade").field("request", &self.request).finish_non_exhaustive()
    }
}
