//! realtime between instances by way of NATS JetStream.
//!
//! [`Nats`] says how to reach the server: nats-server 2.9 or later with JetStream (`-js`). Events of up to
//! 1 MiB need more than its default of `max_payload`: put `max_payload: 2MB` into its configuration.
//!
//! # What the server keeps
//! One stream per hub, in files, named `realtime-` (the prefix) and the epoch in hexadecimal. It is made when
//! it is missing, and changed when an instance wants events kept for longer
//! ([`Retention::age`](realtime_core::Retention::age)). The stream's sequence is the hub's; a stream that is
//! deleted or lost is a new epoch. What is oldest of all topics goes first: when it is past its age, or when
//! the stream is full ([`Nats::max_bytes`]). There is no limit per topic, so that nothing newer than what the
//! stream begins with can be missing. That something is gone is told to whoever misses it; who comes back with
//! an id that is older than all that the stream has is told so too, even where nothing was published
//! meanwhile. Beside events the stream has marks of the instances, some dozens of bytes each, which go with
//! age.
//!
//! A server that is killed loses nothing that was acknowledged; a machine that loses its power may lose what
//! was not yet on the disk (`sync_interval` of the server, 2 minutes unless set). An instance that has seen
//! more than the server then still has begins a new epoch. It can't know this once others have published
//! as much again: run three servers and [`Nats::replicas`], or set `sync_interval: always`, where that counts.
//!
//! # Publishing from other languages
//! Whatever speaks to NATS can publish: to `realtime.t.` and the topic.
//!
//! ```sh
//! nats pub realtime.t.prices '{"bid":1.08}' -H Realtime-Kind:json -H Realtime-Name:quote -H Realtime-Key:EURUSD
//! ```
//!
//! Each header may be missing. The kind is `text`, `json` or `binary`; without one, UTF-8 is text and
//! everything else binary. Name and key are percent-encoded where they hold anything but printable ASCII. In
//! each token of the topic a blank is written as `%20`, `*` as `%2A`, `>` as `%3E`, `%` as `%25`, other
//! whitespace of Unicode as its bytes in this way, and an empty token as `%`. With JetStream's acknowledgement it is known whether the event was stored. Nobody may
//! delete single messages or purge single topics: what is missing then would not be told.
//!
//! # Access control
//! A user of its own needs to
//! - publish: `realtime.t.>`, `realtime.m.*`, `$JS.API.STREAM.NAMES`, `$JS.API.STREAM.*.*`, `$JS.API.CONSUMER.>`
//! - subscribe: `realtime.live.>`, `_INBOX.>`
//!
//! with its prefix for `realtime`.
#![forbid(unsafe_code)]

mod address;
mod api;
mod broker;
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
pub use broker::Nats;
pub use engine::NatsEngine;
pub use link::NatsLink;
pub use prefix::PrefixError;
pub use realtime_bridge::Options;
