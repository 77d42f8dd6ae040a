//! What realtime's brokers between instances have in common.
//!
//! An [`Engine`] stores, numbers and carries events; the [`Bridge`] makes a
//! [`Broker`](realtime_core::Broker) of it: it reconnects, tells the engine what this instance wants,
//! repairs what was missed, and bounds every queue and every wait.
#![forbid(unsafe_code)]

mod bridge;
mod control;
mod delegate;
mod feed;
mod known;
mod link;
mod options;
mod run;
mod session;
mod stats;
mod wishes;

pub use bridge::Bridge;
pub use feed::{Feed, Fetched};
pub use options::Options;
#[doc(hidden)]
pub use realtime_core as core;
pub use link::{At, Engine, EngineError, Fed, Hello, History, Interest, Link, Record};
