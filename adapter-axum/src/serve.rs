//! A server that is set up as the library needs it.

use std::{convert::Infallible, future::Future, io, net::SocketAddr};

use axum::{Router, body::Body, extract::ConnectInfo};
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use realtime_core::{DrainReport, Hub};
use realtime_hyper::PeerAddr;
use tokio::net::TcpListener;
use tower::Service;

/// Serves a router over HTTP/1.1, until `shutdown` is ready.
///
/// It does what `axum::serve` leaves open: a request's head has to come within
/// [`Limits::header_deadline`](realtime_core::Limits::header_deadline), small writes are not delayed,
/// [`ConnectInfo`] is there, and there are only so many connections at a time, in all and of one client
/// network, see [`Limits::spare_sockets`](realtime_core::Limits::spare_sockets).
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
pub async fn serve(
    listener: TcpListener,
    hub: &Hub,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<DrainReport> {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        if let Some(peer) = request.extensions().get::<PeerAddr>().copied() {
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer.0));
        }
        let mut router = router.clone();
        async move { Ok::<_, Infallible>(router.call(request).await.unwrap_or_else(|e| match e {})) }
    });
    realtime_hyper::serve_service(listener, hub, service, shutdown).await
}
