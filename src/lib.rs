//! Server-Sent Events and WebSocket for an existing Rust web service.
#![forbid(unsafe_code)]

pub use realtime_core::*;

/// The adapter for actix-web.
#[cfg(feature = "actix")]
pub mod actix {
    pub use realtime_actix::*;
}

/// The adapter for axum.
#[cfg(feature = "axum")]
pub mod axum {
    pub use realtime_axum::*;
}

/// The adapter for raw hyper.
#[cfg(feature = "hyper")]
pub mod hyper {
    pub use realtime_hyper::*;
}
