//! realtime for axum: extractors for both transports.
//!
//! The [`Hub`](realtime_core::Hub) is the router's state, or a part of it by `FromRef`.
//!
//! ```no_run
//! use axum::{Router, response::Response, routing::get};
//! use realtime_axum::{Refused, Sse, WebSocketUpgrade};
//! use realtime_core::{Hub, PublishError, ws::Socket};
//!
//! async fn prices(sse: Sse) -> Result<Response, Refused> {
//!     sse.stream("prices")
//! }
//!
//! async fn chat(upgrade: WebSocketUpgrade) -> Result<Response, Refused> {
//!     upgrade.subscribe("chat").run(async |mut socket: Socket| {
//!         while let Some(message) = socket.recv().await {
//!             socket.publish("chat", message.into()).await?;
//!         }
//!         Ok::<_, PublishError>(())
//!     })
//! }
//!
//! # async fn main_() -> std::io::Result<()> {
//! let app = Router::new().route("/prices", get(prices)).route("/chat", get(chat));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! let hub = Hub::new();
//! let shutdown = std::future::pending();
//! realtime_axum::serve(listener, &hub, app.with_state(hub.clone()), shutdown).await?;
//! # Ok(()) }
//! ```
//!
//! [`serve`] does what `axum::serve` leaves open: that waits for a request's head for ever, holds as
//! many connections as there are descriptors (give it a `Listener` that asks `Hub::take_socket`), and tells
//! no addresses unless the service is made by `into_make_service_with_connect_info`, without which there
//! are no limits per address. A server that speaks TLS itself puts
//! [`Scheme::Https`](realtime_core::Scheme) into each request's extensions, or its own pages are of
//! another origin.
#![forbid(unsafe_code)]

#[cfg(feature = "attach")]
mod attach;
mod head;
mod response;
mod serve;
mod sse;
mod websocket;

#[cfg(feature = "attach")]
pub use attach::{Transport, attach};
pub use realtime_hyper::configure_socket;
pub use response::Refused;
pub use serve::serve;
pub use sse::Sse;
pub use websocket::WebSocketUpgrade;
