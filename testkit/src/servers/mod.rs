//! Real servers that brokers talk to, each a process of its own.
//!
//! Starting one blocks the thread until it answers, within [`DEADLINE`](crate::DEADLINE). A missing binary
//! is a failure that says what to install.

mod nats;
mod nats_client;
mod redis;
mod redis_client;
mod spawned;

pub use nats::{NatsBinary, NatsOptions, NatsServer};
pub use nats_client::NatsClient;
pub use redis::{RedisOptions, RedisSentinel, RedisServer};
pub use redis_client::{RedisClient, RedisReply};
