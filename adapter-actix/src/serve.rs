//! A server that is set up as the library needs it.

use std::fmt;

use actix_http::Request;
use actix_service::IntoServiceFactory;
use actix_web::{
    Error, HttpServer,
    body::MessageBody,
    dev::{AppConfig, Response, Service, ServiceFactory},
};
use realtime_core::Hub;

/// Sets a server up for event streams and WebSockets.
///
/// | setting | why |
/// |---|---|
/// | `client_disconnect_timeout` 0 | after a WebSocket's closing handshake, TCP is closed at once and not a second later |
/// | `h1_allow_half_closed` false | a client that goes away is noticed at once, also by an event stream that has nothing to send |
/// | `tcp_nodelay` true | a small message does not wait until the one before is acknowledged, which clients put off for 40 ms |
/// | `client_request_timeout` | a request's head has to come within [`Limits::header_deadline`](realtime_core::Limits::header_deadline) |
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
    server
        .client_disconnect_timeout(Default::default())
        .h1_allow_half_closed(false)
        .tcp_nodelay(true)
        .client_request_timeout(hub.config().limits.header_deadline)
}
