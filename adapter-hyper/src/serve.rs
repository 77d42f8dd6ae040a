//! A server that is set up as the library needs it.

use std::{
    convert::Infallible,
    error::Error,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    task::Poll,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::http1::{self, UpgradeableConnection},
    service::{Service, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use realtime_core::{
    DrainReport, Hub,
    driver::{self, WriteDeadline},
};
#[cfg(any(target_os = "linux", target_os = "android"))]
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::{
    head::PeerAddr,
    response::{Body, Refused},
};

/// The least that a connection's buffer holds, of which the head is a part: as much as an event stream
/// gives at once.
const HEAD_BUFFER_BYTES: usize = 64 * 1024;

/// Serves HTTP/1.1 with a function from request to response, until `shutdown` is ready.
///
/// Connections can be upgraded, a request's head has to come within
/// [`Limits::header_deadline`](realtime_core::Limits::header_deadline) and holds a bounded buffer
/// meanwhile, a client that takes nothing for
/// [`Limits::write_deadline`](realtime_core::Limits::write_deadline) is cut, and small writes are not
/// delayed. There are only so many connections at a time, in all and of one client network, see
/// [`Limits::spare_sockets`](realtime_core::Limits::spare_sockets); what is beyond is reset at once.
///
/// When `shutdown` is ready, nothing more is accepted and the hub is drained, as
/// [`Config::drain`](realtime_core::Config::drain) says, while ordinary requests are finished; what is
/// there after its deadline is dropped. Tells what became of the connections.
///
/// # Errors
/// None at present: errors of single connections end these, and a failing `accept` is tried again.
///
/// # Cancel safety
/// Dropping this drops the listener and all connections but WebSockets, which are tasks of their own, as
/// they are; no drain begins.
pub async fn serve<F, R>(
    listener: TcpListener,
    hub: &Hub,
    handler: F,
    shutdown: impl Future<Output = ()>,
) -> io::Result<DrainReport>
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
///
/// # Cancel safety
/// See [`serve`].
pub async fn serve_service<S, B>(
    listener: TcpListener,
    hub: &Hub,
    service: S,
    shutdown: impl Future<Output = ()>,
) -> io::Result<DrainReport>
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
    let stopping = watch::Sender::new(());
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
            None => break,
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
        configure_socket(&socket, hub);
        let socket = WriteDeadline::new(socket, limits.write_deadline);
        // Boxed to be movable, whatever it is.
        let service = Box::new(service.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            // hyper lets go of the service when the connection has ended or was upgraded.
            let _counted = &place;
            request.extensions_mut().insert(PeerAddr(peer));
            // hyper keeps room for the future for as long as the connection lasts.
            Box::pin(service.call(request))
        });
        let connection = http.serve_connection(TokioIo::new(socket), service).with_upgrades();
        connections.spawn(until_told(connection, stopping.subscribe()));
    }
    // Whoever connects now is to find another process, or nobody, instead of waiting for this one.
    drop(listener);
    drop(stopping);
    Ok(hub.drain_beside(async { while connections.join_next().await.is_some() {} }).await)
}

/// Runs a connection, which takes no further request once `stopping` has no sender any more.
///
/// No `async fn`, whose future would have room for the connection twice: as it comes and where it is pinned.
fn until_told<S, B>(
    mut connection: UpgradeableConnection<TokioIo<WriteDeadline<TcpStream>>, S>,
    mut stopping: watch::Receiver<()>,
) -> impl Future<Output = hyper::Result<()>>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Unpin,
    S::Future: Unpin,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut told = Some(Box::pin(async move { stopping.changed().await.is_err() }));
    poll_fn(move |cx| {
        if told.as_mut().is_some_and(|told| told.as_mut().poll(cx).is_ready()) {
            told = None;
            Pin::new(&mut connection).graceful_shutdown();
        }
        Pin::new(&mut connection).poll(cx)
    })
}

/// Closes a connection by RST, so that nothing of it is left: after a FIN of ours the system would
/// remember it for a minute.
fn reset(socket: TcpStream) {
    let _ = socket.set_zero_linger();
}

/// Sets a connection's socket up, as [`serve`] does for its own: small writes are not delayed, little
/// waits in the kernel ([`Limits::unsent_bytes`](realtime_core::Limits::unsent_bytes)), and a peer that
/// takes or acknowledges nothing for
/// [`Limits::write_deadline`](realtime_core::Limits::write_deadline) is cut by the kernel
/// (`TCP_USER_TIMEOUT`). The last two are there on Linux and Android.
pub fn configure_socket(socket: &TcpStream, hub: &Hub) {
    // One that can't be set up is a connection that is gone; reading tells.
    let _ = socket.set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let limits = &hub.config().limits;
        let socket = SockRef::from(socket);
        let _ = socket.set_tcp_notsent_lowat(limits.unsent_bytes);
        let _ = socket.set_tcp_user_timeout(Some(limits.write_deadline));
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = hub;
}
