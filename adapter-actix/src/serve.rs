//! A server that is set up as the library needs it.

use std::{any::Any, fmt, io};

use actix_http::Request;
use actix_service::IntoServiceFactory;
use actix_web::{
    Error, HttpServer,
    body::MessageBody,
    dev::{AppConfig, Response, Server, Service, ServiceFactory},
};
use realtime_core::{DrainReport, Hub};
#[cfg(any(target_os = "linux", target_os = "android"))]
use {actix_web::rt::net::TcpStream, socket2::SockRef};

/// Sets a server up for event streams and WebSockets. Call it before `bind` and its like, which take
/// the settings as they are then.
///
/// | setting | why |
/// |---|---|
/// | `client_disconnect_timeout` 0 | after a WebSocket's closing handshake, TCP is closed at once and not a second later |
/// | `h1_allow_half_closed` false | a client that goes away is noticed at once, also by an event stream that has nothing to send |
/// | `tcp_nodelay` true | a small message does not wait until the one before is acknowledged, which clients put off for 40 ms |
/// | `client_request_timeout` | a request's head has to come within [`Limits::header_deadline`](realtime_core::Limits::header_deadline) |
/// | `shutdown_timeout` | longer than the deadline of [`Config::drain`](realtime_core::Config::drain), so that it is the drain which ends connections |
/// | `on_connect` | each socket is set up by [`configure_socket`]; call that from your own, if you have one |
///
/// Connections that send nothing are bounded by `HttpServer::max_connections`, which is of each worker:
/// 25 600 by default, beyond which it accepts nobody, whoever it is. There is no limit of them by
/// address; a proxy in front, or the system's firewall, can have one.
pub fn configure<F, I, S, B>(server: HttpServer<F, I, S, B>, hub: &Hub) -> HttpServer<F, I, S, B>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let limits = hub.config().limits;
    let drained_by = hub.config().drain.deadline.as_secs().saturating_add(2);
    let hub = hub.clone();
    server
        .shutdown_timeout(drained_by)
        .on_connect(move |connection, _| configure_socket(connection, &hub))
        .client_disconnect_timeout(Default::default())
        .h1_allow_half_closed(false)
        .tcp_nodelay(true)
        .client_request_timeout(limits.header_deadline)
}

/// Runs a server until it has stopped, and drains the hub if that has not been done. Tells what became of
/// the connections.
///
/// The server's own graceful shutdown waits for clients that take nothing, and can't be hurried once it has
/// begun. So it is given up when the drain is ended, by its deadline or by
/// [`Hub::end_drain`], as the second signal of `shutdown_signal` does: what its workers still have then ends
/// with the process.
///
/// # Errors
/// Those of the server.
///
/// # Cancel safety
/// Dropping this gives the server up in the same way, and begins no drain.
pub async fn run(server: Server, hub: &Hub) -> io::Result<DrainReport> {
    hub.run_until_drained(server).await.transpose()?;
    Ok(hub.drain().await)
}

/// Sets a connection's socket up, as [`configure`] does for its own: little waits in the kernel
/// ([`Limits::unsent_bytes`](realtime_core::Limits::unsent_bytes)), and a peer that takes or
/// acknowledges nothing for [`Limits::write_deadline`](realtime_core::Limits::write_deadline) is cut by
/// the kernel (`TCP_USER_TIMEOUT`). Both are there on Linux and Android.
///
/// `connection` is what [`HttpServer::on_connect`] gives. One that is no plain TCP socket is left as it
/// is: for TLS, set the listener's socket up, from which the others inherit.
pub fn configure_socket(connection: &dyn Any, hub: &Hub) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(socket) = connection.downcast_ref::<TcpStream>() {
        let limits = &hub.config().limits;
        let socket = SockRef::from(socket);
        // One that can't be set up is a connection that is gone; reading tells.
        let _ = socket.set_tcp_notsent_lowat(limits.unsent_bytes);
        let _ = socket.set_tcp_user_timeout(Some(limits.write_deadline));
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (connection, hub);
}
