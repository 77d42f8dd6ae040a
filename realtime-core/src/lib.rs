//! The framework-agnostic core of `realtime`: hub, log, backpressure, resume, and the sessions of
//! Server-Sent Events and WebSocket.
//!
//! *Publishing appends to a topic's log; every subscription is a cursor over logs; every transport is
//! an encoder over a cursor; only the driver waits, and only an adapter knows its framework.*
//!
//! Nothing here knows a framework, an HTTP type or a broker's client, spawns a task, or reads a clock
//! outside of [`driver`]: state machines are told `now`.
//!
//! # Ordering
//!
//! **A hub numbers all its events with one sequence.** A [`Subscription`] gives events in that order
//! whatever topics they are of. What a subscription has seen up to a [`Position`] is complete up to
//! there in all its topics. Several hubs are independent of each other.
//!
//! **Whoever follows a [`TopicPattern`] gets each topic made later from its first event on**, in the
//! same order: the hub joins it on behalf of its followers before anything is in it.
//!
//! # Lagging
//!
//! **A subscriber that doesn't keep up costs a cursor, not a queue, and it is told what it loses.**
//! Events wait in the topic's log, which is replay buffer and send queue at once and has the bounds of
//! [`Retention`]. When a subscription lags more than its [`LagLimit`] on a topic, or falls off the
//! log, its [`Overflow`] policy applies. Loss is an item of the stream: [`Delivery::Gap`],
//! [`Delivery::Disconnected`]. For every subscription,
//! `delivered + missed + conflated = published` ([`SubscriptionCounts`]).
//!
//! # Resuming
//!
//! **Whoever presents the id of the last event that it saw gets everything after it, or is told that
//! this is not possible.** The id is the [`Position`] of the event; a client's claim is a
//! [`LastEventId`], from the `Last-Event-ID` header or the `last_event_id` parameter of the query.
//! When the hub has been restarted, or an event after the id is no longer retained, the subscription
//! starts with a [`Reset`] that carries a fresh id, and goes on as its [`Start`] says. To load state
//! and then follow it without a hole, subscribe first, then load, then take from the subscription.
//!
//! # Admission
//!
//! **Nobody gets in where they don't belong, and whoever is refused costs next to nothing.** A request
//! is let in by [`Limits`], [`OriginPolicy`] and [`Authentication`], in this order; per client address
//! as far as [`TrustedProxies`] say who that is. What it then may subscribe to and publish is asked of
//! [`Authorize`], topic by topic. An [`Identity`] that expires or is revoked
//! ([`Hub::disconnect`]) ends its connections.
//!
//! # Closing
//!
//! **A connection ends for one of the causes in [`ws::CloseCause`], and the peer is told.** The closing
//! handshake has a deadline, and so has every other thing that the peer may fail to do
//! ([`WebSocketConfig`]). What a handler sent before it closed goes out first. An event stream ends
//! with its final chunk, after a `realtime.bye` that says why. Dropping a session releases
//! everything that it held. [`Hub::drain`] ends them all, one after the other.
//!
//! # Limits
//!
//! **Nothing that a peer or a publisher does grows memory past a configured bound.** Topics have
//! [`Retention`], connections have [`Limits`]; there is no "unlimited". A subscription whose patterns
//! come to match too many topics ends and says so ([`Disconnected::TooManyTopics`]). An idle WebSocket holds no
//! buffer; while a message is coming in, one of its size so far.
#![forbid(unsafe_code)]

mod admission;
mod auth;
mod broker;
mod client_ip;
mod close;
mod config;
mod cursor;
mod drain;
pub mod driver;
mod event;
mod fanout;
mod head;
mod hub;
#[cfg(feature = "jwt")]
pub mod jwt;
mod lifetime;
mod limits;
mod log;
mod options;
mod origin;
mod overflow;
mod pattern;
mod permits;
mod position;
mod rate;
mod rejection;
pub mod sse;
mod stats;
mod subscription;
mod sync;
mod topic;
pub mod ws;

pub use admission::Candidate;
pub use auth::{
    Action, Authenticate, AuthenticateError, Authenticated, Authentication, Authorize, Authorizer,
    CredentialSource, Credentials, Identity, Token,
};
pub use broker::{
    Broker, BrokerError, BrokerHealth, BrokerStats, Closing, Counting, DeliverError, EarlierEvent, Inlet, Interest,
    LocalBroker, Occupancy, Published,
};
pub use client_ip::{Client, ClientIp, ForwardedError, TrustedProxies, TrustedProxiesError};
pub use config::{Config, ConfigError, SseConfig, WebSocketConfig};
pub use drain::{Drain, DrainReport};
pub use event::{Data, Event, EventError, EventKey, EventKeyError, EventName, EventNameError};
pub use fanout::Wakeups;
pub use head::{HttpVersion, RequestHead, Scheme, Site};
pub use hub::{Hub, HubBuilder, Publish, PublishError};
pub use limits::{Limits, Transport};
pub use log::{Entry, Retention};
pub use origin::{Cors, OriginError, OriginPolicy, OriginRefused};
pub use overflow::{Lag, LagLimit, Overflow};
pub use pattern::{TopicPattern, TopicPatternError};
pub use permits::{LimitReached, RevocationWatch, SocketPermit};
pub use position::{LastEventId, LastEventIdError, Position, PositionIssuer};
pub use rate::Rate;
pub use rejection::Rejection;
pub use stats::{HubStats, SubscriptionCounts};
pub use subscription::{
    Delivery, Disconnected, Gap, Reset, ResetReason, Start, Subscribe, SubscribeError, Subscription,
};
pub use topic::{TopicName, TopicNameError};
