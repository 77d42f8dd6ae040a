//! Opening sessions at the time of now, and other things that adapters would need a clock for.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
    task::Poll,
    time::Duration,
};

use super::{BoxHandler, LocalBoxHandler, MessageTransport, Messages, handler, now};
use crate::{
    hub::Hub,
    rejection::Rejection,
    subscription::Subscribe,
    ws::{Accepted, CloseCause, Outcome, Request, Session, Socket},
};

/// Opens a session without a handler; see [`Request::open`].
///
/// # Errors
/// See [`Request::open`].
pub fn open(request: Request) -> Result<(Accepted, Session), Rejection> {
    request.open(now())
}

/// Opens a session and its handler's socket; see [`Request::open_with_socket`].
///
/// # Errors
/// See [`Request::open_with_socket`].
pub fn open_with_socket(request: Request) -> Result<(Accepted, Session, Socket), Rejection> {
    request.open_with_socket(now())
}

/// Lets a connection join that a framework has let in; see [`Request::attach`].
///
/// # Errors
/// See [`Request::attach`].
pub fn attach(hub: &Hub) -> Result<Request, Rejection> {
    Request::attach(hub, now())
}

/// A socket that a framework has made and that is to join a hub.
#[derive(Debug)]
pub struct Attached<T> {
    request: Request,
    transport: T,
}

impl<T: MessageTransport + Unpin> Attached<T> {
    /// Joins `transport` to what `request` says.
    pub fn new(request: Request, transport: T) -> Self {
        Self { request, transport }
    }

    crate::websocket_options!();

    /// Streams a topic, several, or as a [`Subscribe`] says, until the connection has ended; tells
    /// why it did. What the client sends is discarded.
    ///
    /// # Errors
    /// [`Rejection`]: 400 for topics or patterns that are not valid or too many, 403 for a topic that is
    /// not permitted, 503 when the hub's table is full; the socket is dropped.
    ///
    /// # Cancel safety
    /// The connection is open from the call on, also before this is polled. Dropping this drops the connection.
    pub fn stream(
        self,
        request: impl Into<Subscribe>,
    ) -> impl Future<Output = Result<CloseCause, Rejection>> {
        let opened = open(self.request.subscribe(request));
        let messages = |(_, session)| Messages::<T, BoxHandler>::new(self.transport, session, None);
        ended(opened.map(messages))
    }

    /// Runs `handler` with the connection, until that has ended; tells why it did.
    ///
    /// # Errors
    /// [`Rejection`]: 400 for topics or patterns that are not valid or too many, 403 for a topic that is
    /// not permitted, 503 when the hub's table is full; the socket is dropped.
    ///
    /// # Cancel safety
    /// The connection is open from the call on, also before this is polled. Dropping this drops the connection
    /// and the handler.
    pub fn run<F, R>(self, run: F) -> impl Future<Output = Result<CloseCause, Rejection>>
    where
        F: FnOnce(Socket) -> R + Send + 'static,
        R: Future<Output: Outcome> + Send + 'static,
    {
        ended(open_with_socket(self.request).map(|(_, session, socket)| {
            let running: BoxHandler = Box::pin(handler(run, socket));
            Messages::new(self.transport, session, Some(running))
        }))
    }

    /// Runs `handler`, which stays on its thread, with the connection; see [`run`](Self::run).
    ///
    /// # Errors
    /// See [`run`](Self::run).
    ///
    /// # Cancel safety
    /// The connection is open from the call on, also before this is polled. Dropping this drops the connection
    /// and the handler.
    pub fn run_local<F, R>(self, run: F) -> impl Future<Output = Result<CloseCause, Rejection>>
    where
        F: FnOnce(Socket) -> R + 'static,
        R: Future<Output: Outcome> + 'static,
    {
        ended(open_with_socket(self.request).map(|(_, session, socket)| {
            let running: LocalBoxHandler = Box::pin(handler(run, socket));
            Messages::new(self.transport, session, Some(running))
        }))
    }
}

/// Runs what could be opened. An `async` function would keep room for it twice, and for what it was
/// made of.
fn ended<T, H>(
    mut opened: Result<Messages<T, H>, Rejection>,
) -> impl Future<Output = Result<CloseCause, Rejection>>
where
    T: MessageTransport + Unpin,
    H: Future<Output = CloseCause> + Unpin,
{
    poll_fn(move |cx| match &mut opened {
        Ok(messages) => Pin::new(messages).poll(cx).map(Ok),
        Err(rejection) => Poll::Ready(Err(rejection.clone())),
    })
}

/// Waits until accepting makes sense again.
///
/// An error of a single connection passes at once; when the process is out of descriptors, trying
/// again at once would take a whole core and free none.
///
/// # Cancel safety
/// Dropping this ends the wait, and nothing else.
#[expect(clippy::disallowed_methods, reason = "the one place where core waits for time")]
pub async fn after_accept_error(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "can't accept connections");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
