//! realtime for actix-web: extractors for both transports.
//!
//! The [`Hub`](realtime_core::Hub) is app data, as `web::Data<Hub>` or as it is.
//!
//! ```no_run
//! use actix_web::{App, HttpResponse, HttpServer, web};
//! use realtime_actix::{Refused, Sse, WebSocketUpgrade, configure, run};
//! use realtime_core::{Hub, PublishError, ws::Socket};
//!
//! async fn prices(sse: Sse) -> Result<HttpResponse, Refused> {
//!     sse.stream("prices")
//! }
//!
//! async fn chat(upgrade: WebSocketUpgrade) -> Result<HttpResponse, Refused> {
//!     upgrade.subscribe("chat").run(async |mut socket: Socket| {
//!         while let Some(message) = socket.recv().await {
//!             socket.publish("chat", message.into()).await?;
//!         }
//!         Ok::<_, PublishError>(())
//!     })
//! }
//!
//! # async fn main_() -> std::io::Result<()> {
//! let hub = web::Data::new(Hub::new());
//! let app_hub = hub.clone();
//! let server = HttpServer::new(move || {
//!     App::new()
//!         .app_data(app_hub.clone())
//!         .route("/prices", web::get().to(prices))
//!         .route("/chat", web::get().to(chat))
//! });
//! run(configure(server, &hub).bind("127.0.0.1:8080")?.run(), &hub).await?;
//! # Ok(()) }
//! ```
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
pub use response::Refused;
pub use serve::{configure, configure_socket, run};
pub use sse::Sse;
pub use websocket::WebSocketUpgrade;
