//! realtime between instances by way of Redis or Valkey.
//!
//! [`Redis`] says how to reach the server: Redis 7.0 or later, or Valkey, since it keeps a library of
//! functions there (`src/functions.lua`, loaded when it is missing) that number, store and send an event
//! in one step.
//!
//! # Publishing from other languages
//! Whatever speaks to Redis can publish, with one command:
//!
//! ```sh
//! redis-cli FCALL realtime_publish 1 realtime prices '{"bid":1.08}' json
//! ```
//!
//! `realtime` is the prefix and the one key; `prices` is the topic; then come the data, and if wanted
//! what it is (`text`, which is the default, `json` or `binary`), the event's name (empty for none), and its
//! key. The answer is the epoch and the sequence of the event; an error says what was wrong, and nothing
//! was stored then. The function is there once an instance has connected.
//!
//! # What the server keeps
//! The newest events of each topic, at least as many and as long as the instance wants that wants the most
//! ([`Retention`](realtime_core::Retention)). To have it keep less, set `events` or `age` (milliseconds) in
//! the hash `{realtime}:meta`; an instance that connects and wants more raises them again. Nothing of it may
//! be evicted for memory: use the policy `noeviction` or `volatile-ttl`. What is evicted all the same is told
//! to whoever misses it, as are events that a server has lost: a number is never given to two events.
//!
//! # Access control
//! A user of its own needs the keys `%RW~realtime %RW~{realtime}:*`, the channels `&{realtime}:*`, or `&*`
//! where anybody follows patterns (a server compares those literally), and the commands `fcall`,
//! `function|load`, `info`, `time`, `subscribe`, `unsubscribe`, `psubscribe`, `punsubscribe`, `publish`,
//! `hmget`, `hget`, `hset`, `unlink`, `rpush`, `ltrim`, `lrange`, `zadd`, `zrange`, `zrangebyscore`,
//! `zrevrangebyscore`, `zremrangebyscore`, `zrem`, `zscore`, `xadd`, `xtrim`, `xrevrange`, `pexpire`, and with
//! a cluster `cluster|slots` and `cluster|keyslot`.
#![forbid(unsafe_code)]

mod address;
mod broker;
mod engine;
mod failure;
mod glob;
mod history;
mod inbound;
mod library;
mod link;
mod locate;
mod message;
mod prefix;

pub use address::UrlError;
pub use broker::Redis;
pub use engine::RedisEngine;
pub use link::RedisLink;
pub use prefix::PrefixError;
pub use realtime_bridge::Options;
