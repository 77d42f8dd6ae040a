//! The engine against a real redis-server.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: a broken expectation ends the test"
)]

mod access;
mod foreign;
mod history;
mod instance;
mod live;
mod places;
mod restarts;
