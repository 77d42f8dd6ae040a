//! core
#![forbid(unsafe_code)]

mod broker;
mod config;
mod cursor;
pub mod driver;
mod event;
mod fanout;
mod head;
mod hub;
mod limits;
mod log;
mod options;
mod origin;
mod overflow;
mod position;
pub mod sse;
mod stats;
mod subscription;
mod topic;
pub mod ws;

pub use broker::{Broker, BrokerError, DeliverError, Inlet, LocalBroker, Published};
pub use config::{Config, ConfigError, SseConfig, WebSocketConfig};
pub use event::{Data, Event, EventError, EventKey, EventKeyError, EventName, EventNameError};
pub use fanout::Wakeups;
pub use head::{HttpVersion, Rejection, RequestHead};
pub use hub::{Hub, HubBuilder, Publish, PublishError};
pub use limits::{Limits, TooManyConnections, Transport};
pub use log::{Entry, Retention};
pub use origin::{OriginError, OriginPolicy, OriginRefused};
pub use overflow::{Lag, LagLimit, Overflow};
pub use position::{LastEventId, LastEventIdError, Position, PositionIssuer};
pub use stats::{HubStats, SubscriptionCounts};
pub use subscription::{
    Delivery, Gap, Reset, ResetReason, Start, Subscribe, SubscribeError, Subscription,
};
pub use topic::{TopicName, TopicNameError};
