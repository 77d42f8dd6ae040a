//! Scripted peers and reference parsers for the tests of the workspace.
//!
//! A test plays one side of a dialogue over a real socket and says what the other side must do.
//! Everything on the wire is written by hand here and shares no code with the crates under test:
//! a peer must be able to break the rules, and a reference must not repeat the mistake it looks for.
//!
//! - [`sse`]: an EventSource parser that follows the standard, its vectors, and a streaming client;
//! - [`ws`]: a WebSocket client that speaks in single frames;
//! - [`http`]: one raw request, one parsed response;
//! - [`proxy`]: a TCP proxy that cuts connections;
//! - [`servers`]: real servers that brokers talk to;
//! - [`conformance`]: one suite that every adapter passes;
//! - [`brokers`]: one that every broker passes;
//! - [`faults`]: a TCP proxy that is a bad network;
//! - [`fuzz`]: what must hold whatever the peer sends, for a fuzzer and for the replay of its corpus;
//! - [`wait`]: polling for a condition with a deadline;
//! - [`Dial`]: where and how those clients connect.
//!
//! # Deadlines
//!
//! **No call waits longer than [`DEADLINE`].** One that would, panics and prints what it had seen,
//! so a hanging test ends with a reason. The clock is tokio's: don't pause it, the sockets are real.

#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: a broken expectation ends the test"
)]

pub mod brokers;
pub mod conformance;
pub mod faults;
pub mod fuzz;
pub mod http;
pub mod proxy;
pub mod servers;
pub mod sse;
pub mod wait;
pub mod ws;

mod deadline;
mod hosts;
mod net;
mod transcript;

pub use deadline::DEADLINE;
pub use net::Dial;
