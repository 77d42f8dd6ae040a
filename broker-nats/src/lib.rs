//! realtime between instances by way of NATS JetStream.
#![forbid(unsafe_code)]

mod address;
mod api;
mod consumer;
mod engine;
mod gathered;
mod history;
mod inbound;
mod link;
mod loss;
mod message;
mod prefix;
mod stream;
mod subject;
mod time;

pub use address::UrlError;
pub use engine::Nats;
pub use link::NatsLink;
pub use prefix::PrefixError;
