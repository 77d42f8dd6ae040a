//! Server-Sent Events and WebSocket for an existing Rust web service: hub, backpressure, resume,
//! limits.
//!
//! Pick the feature of your framework: `axum`, `actix` or `hyper`. The hub is the same, and so are the
//! words.
//!
//! ```no_run
//! # #[cfg(feature = "axum")] {
//! use axum::{Router, response::Response, routing::get};
//! use realtime::{
//!     Hub, PublishError,
//!     axum::{Refused, Sse, WebSocketUpgrade},
//!     ws::Socket,
//! };
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
//! let shutdown = realtime::shutdown_signal(&hub)?;
//! realtime::axum::serve(listener, &hub, app.with_state(hub.clone()), shutdown).await?;
//! # Ok(()) }}
//! ```
//!
//! [`Hub`] publishes and subscribes, also without any connection; the sections of
//! [`realtime_core`] say what it promises about order, lag, resume, closing and limits.
#![forbid(unsafe_code)]

#[doc(inline)]
pub use realtime_core::*;

/// Extractors, `configure` and `attach` for actix-web.
#[cfg(feature = "actix")]
pub mod actix {
    #[doc(inline)]
    pub use realtime_actix::*;
}

/// Extractors, `serve` and `attach` for axum.
#[cfg(feature = "axum")]
pub mod axum {
    #[doc(inline)]
    pub use realtime_axum::*;
}

/// Request in, response out, `serve` and `attach` for raw hyper.
#[cfg(feature = "hyper")]
pub mod hyper {
    #[doc(inline)]
    pub use realtime_hyper::*;
}

/// NATS JetStream between the instances of a service.
#[cfg(feature = "nats")]
pub mod nats {
    #[doc(inline)]
    pub use realtime_nats::*;
}

/// Redis or Valkey between the instances of a service.
#[cfg(feature = "redis")]
pub mod redis {
    #[doc(inline)]
    pub use realtime_redis::*;
}

mod shutdown;

#[cfg(feature = "nats")]
pub use nats::Nats;
#[cfg(feature = "redis")]
pub use redis::Redis;
pub use shutdown::shutdown_signal;

/// The README's examples are compiled.
#[cfg(all(doctest, feature = "full"))]
#[doc = include_str!("../README.md")]
struct Readme;
