//! What realtime's brokers between instances have in common.
//!
//! An [`Engine`] stores, numbers and carries events; the [`Bridge`] makes a
//! [`Broker`](realtime_core::Broker) of it: it reconnects, tells the engine what this instance wants,
//! repairs what was missed, and bounds every queue and every wait.
#![forbid(unsafe_code)]

mod feed;
mod link;

pub use feed::{Feed, Fetched};
pub use link::{At, Engine, EngineError, Fed, Hello, History, Interest, Link, Record};
