//! realtime for raw hyper: request in, response out, and a [`serve`] helper.
//!
//! ```no_run
//! use http::{Request, Response};
//! use hyper::body::Incoming;
//! use realtime_core::{Hub, PublishError, ws::Socket};
//! use realtime_hyper::{Body, Refused, Sse, WebSocketUpgrade, serve};
//!
//! async fn route(hub: Hub, mut request: Request<Incoming>) -> Result<Response<Body>, Refused> {
//!     match request.uri().path() {
//!         "/prices" => Sse::from_request(&hub, &request).await?.stream("prices"),
//!         "/chat" => WebSocketUpgrade::from_request(&hub, &mut request).await?
//!             .subscribe("chat")
//!             .run(chat),
//!         _ => Err(Refused::new(404, "try /prices or /chat")),
//!     }
//! }
//!
//! async fn chat(mut socket: Socket) -> Result<(), PublishError> {
//!     while let Some(message) = socket.recv().await {
//!         socket.publish("chat", message.into()).await?;
//!     }
//!     Ok(())
//! }
//!
//! # async fn main_() -> Result<(), Box<dyn std::error::Error>> {
//! let hub = Hub::new();
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! let shutdown = std::future::pending();
//! serve(listener, &hub.clone(), move |request| route(hub.clone(), request), shutdown).await?;
//! # Ok(()) }
//! ```
//!
//! With a server of your own: set `http1::Builder::timer` and `header_read_timeout`, or a client that
//! never finishes its head is waited for for ever; serve `with_upgrades`; put [`PeerAddr`] into each
//! request's extensions, or there are no limits per address; hold what `Hub::take_socket` gives for as long
//! as a connection lasts, or those that send nothing are bounded by the descriptors alone; and where it speaks TLS itself
//! [`Scheme::Https`](realtime_core::Scheme), or its own pages are of another origin.
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
pub use head::PeerAddr;
pub use response::{Body, Refused};
pub use serve::{serve, serve_service};
pub use sse::Sse;
pub use websocket::WebSocketUpgrade;
