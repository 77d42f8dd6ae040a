//! The WebSocket side.

use std::future::Future;

use http::{Request, Response, request::Parts};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::{rt::TokioIo, server::conn::auto};
use realtime_core::{
    Hub, Rejection, Subscribe, driver,
    driver::{Admitting, BoxHandler, Connection, WriteDeadline},
    ws,
    ws::{CloseCause, Outcome, Session, Socket},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::{
    head::Head,
    response::{Body, Refused, accepted},
    serve::configure_socket,
};

/// A WebSocket handshake that has been let in.
#[derive(Debug)]
pub struct WebSocketUpgrade {
    request: ws::Request,
    upgrade: OnUpgrade,
}

impl WebSocketUpgrade {
    /// Lets a handshake in, or refuses it.
    ///
    /// # Errors
    /// [`Refused`]; see [`driver::accept_websocket`].
    ///
    /// # Cancel safety
    /// Dropping this refuses the request.
    pub fn from_request<B>(
        hub: &Hub,
        request: &mut Request<B>,
    ) -> impl Future<Output = Result<Self, Refused>> + Send + use<B> {
        let admitting = driver::accept_websocket(hub, &Head::of_request(request));
        Self::new(admitting, request.extensions_mut().remove())
    }

    /// The same from the parts of a request.
    ///
    /// # Errors
    /// [`Refused`]; see [`driver::accept_websocket`].
    ///
    /// # Cancel safety
    /// Dropping this refuses the request.
    pub fn from_parts(
        hub: &Hub,
        parts: &mut Parts,
    ) -> impl Future<Output = Result<Self, Refused>> + Send + use<> {
        let admitting = driver::accept_websocket(hub, &Head::of_parts(parts));
        Self::new(admitting, parts.extensions.remove())
    }

    realtime_core::websocket_options!();

    /// Answers the handshake and streams a topic, several, or as a [`Subscribe`] says. What the
    /// client sends is discarded.
    ///
    /// # Errors
    /// [`Refused`]: 400 for topics or patterns that are not valid or too many, 403 for a topic that is
    /// not permitted, 503 when the hub's table is full.
    pub fn stream(self, request: impl Into<Subscribe>) -> Result<Response<Body>, Refused> {
        let (answer, session) = driver::open(self.request.subscribe(request))?;
        spawn::<BoxHandler>(self.upgrade, session, None);
        Ok(accepted(&answer))
    }

    /// Answers the handshake and runs `handler` as part of the connection.
    ///
    /// When the handler is done, the connection closes with 1000, or with 1011 when it returned an
    /// error or panicked. When the connection is lost, [`Socket::recv`] gives `None`.
    ///
    /// # Errors
    /// [`Refused`]: 400 for topics or patterns that are not valid or too many, 403 for a topic that is
    /// not permitted, 503 when the hub's table is full.
    pub fn run<F, R>(self, handler: F) -> Result<Response<Body>, Refused>
    where
        F: FnOnce(Socket) -> R + Send + 'static,
        R: Future<Output: Outcome> + Send + 'static,
    {
        let (answer, session, socket) = driver::open_with_socket(self.request)?;
        spawn(self.upgrade, session, Some(Box::pin(driver::handler(handler, socket))));
        Ok(accepted(&answer))
    }

    async fn new(
        admitting: Admitting<ws::Request>,
        upgrade: Option<OnUpgrade>,
    ) -> Result<Self, Refused> {
        let request = admitting.await?;
        let upgrade = upgrade.ok_or_else(|| {
            Rejection::new(500, "the server does not serve this connection `with_upgrades`")
        })?;
        Ok(Self { request, upgrade })
    }
}

/// Runs the session once hyper has let go of the connection.
///
/// hyper's own wrapping keeps 10 KiB and more of buffers; where the socket below is a plain one, it
/// is taken out of that.
fn spawn<H>(upgrade: OnUpgrade, session: Session, handler: Option<H>)
where
    H: Future<Output = CloseCause> + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        // The client is gone before the handshake was answered: the session is dropped.
        let Ok(upgraded) = upgrade.await else { return };
        let (io, early) = match plain_socket(upgraded) {
            Ok(plain) => plain,
            Err(upgraded) => return run(TokioIo::new(upgraded), &[], session, handler),
        };
        // Not every server does so: a small message must not wait until the one before is
        // acknowledged.
        configure_socket(&io, session.hub());
        run(io, &early, session, handler);
    });
}

fn plain_socket(upgraded: Upgraded) -> Result<(TcpStream, bytes::Bytes), Upgraded> {
    let upgraded = match upgraded.downcast::<TokioIo<WriteDeadline<TcpStream>>>() {
        // The session has a deadline of its own.
        Ok(parts) => return Ok((parts.io.into_inner().into_inner(), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return Ok((parts.io.into_inner(), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    let parts = auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded)?;
    Ok((parts.io.into_inner(), parts.read_buf))
}

/// A task of its own, so that the one that awaited the upgrade, and its memory, are gone.
fn run<T, H>(io: T, early: &[u8], session: Session, handler: Option<H>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Future<Output = CloseCause> + Unpin + Send + 'static,
{
    tokio::spawn(Connection::new(io, early, session, handler));
}
