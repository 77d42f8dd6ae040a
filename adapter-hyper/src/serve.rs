//! A server that is set up as the library needs it.

use std::{
    convert::Infallible,
    error::Error,
    future::{Future, poll_fn},
    io,
    pin::pin,
    task::Poll,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use realtime_core::{Hub, driver};
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    head::PeerAddr,
    response::{Body, Refused},
};

/// How many bytes that are not sent yet the kernel takes for a connection before it calls the socket
/// full. With its own default, megabytes, a client that reads steadily but slowly would look for a
/// long time as if it took nothing, and what it gets would be old.
const UNSENT_BYTES: u32 = 16 * 1024;

/// The least that a connection's buffer holds, of which the head is a part: as much as an event stream
/// gives at once.
const HEAD_BUFFER_BYTES: usize = 64 * 1024;

/// Serves HTTP/1.1 with a function from request to response, until `shutdown` is ready.
///
/// Connections can be upgraded, a request's head has to come within
/// [`Limits::header_deadline`](realtime_core::Limits::header_deadline) and holds a bounded buffer
/// meanwhile, and small writes are not delayed. There are only so many connections at a time, in all
/// and of one client network, see [`Limits::spare_sockets`](realtime_core::Limits::spare_sockets); what
/// is beyond is reset at once. When `shutdown` is ready, nothing more is accepted and open requests
/// are dropped.
///
/// # Errors
/// None at present: errors of single connections end these, and a failing `accept` is tried again.
pub async fn serve<F, R>(
    listener: TcpListener,
    hub: &Hub,
    handler: F,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Result<Response<Body>, Refused>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let response = handler(request);
        async { Ok::<_, Infallible>(response.await.unwrap_or_else(Refused::into_response)) }
    });
    serve_service(listener, hub, service, shutdown).await
}

/// The same as [`serve`] for a hyper service with a body of its own.
///
/// # Errors
/// See [`serve`].
pub async fn serve_service<S, B>(
    listener: TcpListener,
    hub: &Hub,
    service: S,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut http = http1::Builder::new();
    let limits = &hub.config().limits;
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_deadline);
    // A head that never ends holds no more than this of memory.
    http.max_buf_size(limits.header_bytes.saturating_mul(2).max(HEAD_BUFFER_BYTES));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = poll_fn(|cx| {
            // What has ended is let go of at once, not when the next one comes.
            while let Poll::Ready(Some(_)) = connections.poll_join_next(cx) {}
            match shutdown.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => listener.poll_accept(cx).map(Some),
            }
        });
        let (socket, peer) = match accepted.await {
            None => return Ok(()),
            Some(Ok(accepted)) => accepted,
            Some(Err(error)) => {
                driver::after_accept_error(&error).await;
                continue;
            }
        };
        let Ok(place) = hub.take_socket(peer) else {
            reset(socket);
            continue;
        };
        set_up(&socket);
        let service = service.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            // hyper lets go of the service when the connection has ended or was upgraded.
            let _counted = &place;
            request.extensions_mut().insert(PeerAddr(peer));
            // hyper keeps room for the future for as long as the connection lasts.
            Box::pin(service.call(request))
        });
        let connection = http.serve_connection(TokioIo::new(socket), service).with_upgrades();
        connections.spawn(connection);
    }
}

/// Closes a connection by RST, so that nothing of it is left: after a FIN of ours the system would
/// remember it for a minute.
fn reset(socket: TcpStream) {
    let _ = socket.set_zero_linger();
}

/// Sets a connection's socket up. One that can't be is a connection that is gone; reading tells.
pub(crate) fn set_up(socket: &TcpStream) {
    let _ = socket.set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = SockRef::from(socket).set_tcp_notsent_lowat(UNSENT_BYTES);
}
