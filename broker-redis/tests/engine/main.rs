//! The engine against a real redis-server.

mod access;
mod foreign;
mod history;
mod instance;
mod live;
mod places;
mod restarts;
