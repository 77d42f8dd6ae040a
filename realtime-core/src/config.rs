//! What a hub is told when it is built: [`Config`], checked once.

use std::time::Duration;

use crate::{
    auth::{Authentication, Authorizer},
    broker::BrokerError,
    client_ip::TrustedProxies,
    drain::Drain,
    limits::Limits,
    log::Retention,
    origin::OriginPolicy,
    overflow::{LagLimit, Overflow},
};

/// The configuration of a hub and of the connections on it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {
    /// How much of each topic's past is kept. Default: see [`Retention`].
    pub retention: Retention,
    /// What happens to a slow subscription. Default: [`Overflow::Disconnect`], which loses nothing:
    /// the client comes back and resumes.
    pub overflow: Overflow,
    /// How far a subscription may lag. Default: see [`LagLimit`].
    pub lag: LagLimit,
    /// Bounds. Default: see [`Limits`].
    pub limits: Limits,
    /// Which pages may connect. Default: same origin, because browsers send cookies along.
    pub origin: OriginPolicy,
    /// Which proxies are believed what they say of clients. Default: none; see
    /// [`TrustedProxies`].
    pub trusted_proxies: TrustedProxies,
    /// How clients prove who they are. Default: not at all; a handler may know by itself and tell
    /// the extractor with `identify`.
    pub authentication: Option<Authentication>,
    /// Who may subscribe and publish to which topic over a connection. Default: everybody to all;
    /// a handler decides what it subscribes its connection to.
    pub authorize: Option<Authorizer>,
    /// How connections are let go. Default: see [`Drain`].
    pub drain: Drain,
    /// Server-Sent Events. Default: see [`SseConfig`].
    pub sse: SseConfig,
    /// WebSocket. Default: see [`WebSocketConfig`].
    pub websocket: WebSocketConfig,
}

/// How Server-Sent Events streams behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SseConfig {
    /// The reconnection time that clients are told; each is told its own, between half of this and
    /// one and a half times as much, so that they don't come back together. Default: 3 s, what
    /// browsers do by themselves.
    pub retry: Duration,
    /// How long a stream may be silent before a comment is sent: it keeps proxies from closing it
    /// and finds dead peers. Default: 15 s, what the WHATWG standard suggests.
    pub heartbeat: Duration,
    /// What becomes of binary events. Default: [`BinaryData::Refuse`].
    pub binary: BinaryData,
}

/// What a Server-Sent Events stream does with an event of bytes, which it can't carry as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BinaryData {
    /// The client is told: an event `realtime.unsupported` with the number of bytes and the id in
    /// place of it.
    #[default]
    Refuse,
    /// The data is the bytes in base64 (RFC 4648 §4, padded).
    Base64,
}

impl Default for SseConfig {
    fn default() -> Self {
        Self {
            retry: Duration::from_secs(3),
            heartbeat: Duration::from_secs(15),
            binary: BinaryData::Refuse,
        }
    }
}

/// How WebSocket connections behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebSocketConfig {
    /// How long a peer may be silent before it is pinged. Default: 30 s, below the minute after
    /// which many proxies cut an idle connection.
    pub ping_interval: Duration,
    /// How long after a ping the peer may stay silent; any frame counts as life. Default: 10 s.
    pub pong_deadline: Duration,
    /// How long the closing handshake may take, TCP's part included. Default: 5 s.
    pub close_deadline: Duration,
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(30),
            pong_deadline: Duration::from_secs(10),
            close_deadline: Duration::from_secs(5),
        }
    }
}

impl Config {
    /// Checks that the values make sense together.
    ///
    /// # Errors
    /// [`ConfigError`] names the field and what it has to be.
    pub fn check(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let at_least_one: [(&'static str, u64); 16] = [
            ("drain.reconnects_per_second", self.drain.reconnects_per_second.into()),
            ("retention.events", self.retention.events as u64),
            ("lag.events", self.lag.events),
            ("lag.bytes", self.lag.bytes),
            ("limits.connections", limits.connections),
            ("limits.connections_per_ip", limits.connections_per_ip.into()),
            ("limits.networks_per_block", limits.networks_per_block.into()),
            ("limits.connections_per_subject", limits.connections_per_subject.into()),
            ("limits.header_bytes", limits.header_bytes as u64),
            ("limits.first_message_bytes", limits.first_message_bytes as u64),
            ("limits.topics", limits.topics as u64),
            ("limits.topics_per_subscription", limits.topics_per_subscription as u64),
            ("limits.event_bytes", limits.event_bytes as u64),
            ("limits.message_bytes", limits.message_bytes as u64),
            ("limits.message_fragments", u64::from(limits.message_fragments)),
            ("limits.inbox_bytes", limits.inbox_bytes as u64),
        ];
        if let Some((field, _)) = at_least_one.iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::Zero { field });
        }
        let durations = [
            ("limits.header_deadline", limits.header_deadline),
            ("drain.retry", self.drain.retry),
            ("limits.write_deadline", limits.write_deadline),
            ("limits.stall_deadline", limits.stall_deadline),
            ("limits.idle_timeout", limits.idle_timeout),
            ("limits.max_age", limits.max_age),
            ("sse.retry", self.sse.retry),
            ("sse.heartbeat", self.sse.heartbeat),
            ("websocket.ping_interval", self.websocket.ping_interval),
            ("websocket.pong_deadline", self.websocket.pong_deadline),
            ("websocket.close_deadline", self.websocket.close_deadline),
        ];
        if let Some((field, _)) = durations.iter().find(|(_, value)| value.is_zero()) {
            return Err(ConfigError::Zero { field });
        }
        let rates = [
            ("limits.handshakes_per_ip", limits.handshakes_per_ip),
            ("limits.messages", limits.messages),
            ("limits.inbound_bytes", limits.inbound_bytes),
            ("limits.refreshes", limits.refreshes),
        ];
        if let Some((field, _)) = rates.iter().find(|(_, rate)| rate.is_zero()) {
            return Err(ConfigError::Zero { field });
        }
        if let Some(authentication) = &self.authentication {
            let zero = authentication.zero_field();
            zero.map_or(Ok(()), |field| Err(ConfigError::Zero { field }))?;
        }
        if limits.event_bytes > MAX_EVENT_BYTES {
            return Err(ConfigError::EventTooLarge { max: MAX_EVENT_BYTES });
        }
        if self.retention.bytes < limits.event_bytes as u64 {
            return Err(ConfigError::RetentionBelowEvent {
                retention: self.retention.bytes,
                event: limits.event_bytes,
            });
        }
        let least = self.retention.bytes.saturating_mul(4).max(LEAST_LOG_BYTES);
        if limits.log_bytes < least {
            return Err(ConfigError::LogsBelowRetention { logs: limits.log_bytes, least });
        }
        Ok(())
    }
}

/// The least value of [`Limits::log_bytes`]: some hundred small events.
const LEAST_LOG_BYTES: u64 = 64 * 1024;

/// The largest value of [`Limits::event_bytes`]: offsets into encoded batches have 32 bits, and SSE
/// makes seven bytes of a line end.
const MAX_EVENT_BYTES: usize = 256 * 1024 * 1024;

/// Why a configuration can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A field is zero that must not be.
    #[error("`{field}` must not be zero")]
    Zero {
        /// The field.
        field: &'static str,
    },
    /// Events may be larger than the library can handle.
    #[error("`limits.event_bytes` must be at most {max}")]
    EventTooLarge {
        /// The largest value.
        max: usize,
    },
    /// What a few events take could be more than all logs may.
    #[error(
        "`limits.log_bytes` is {logs}: it must be at least {least}, four times `retention.bytes` and \
         64 KiB, or events would go before those who are there have had them"
    )]
    LogsBelowRetention {
        /// The memory of all logs.
        logs: u64,
        /// The least that it may be.
        least: u64,
    },
    /// A topic could not keep one event of the largest size.
    #[error(
        "`retention.bytes` is {retention}: it must be at least `limits.event_bytes`, {event}, or \
         a topic could not hold its newest event"
    )]
    RetentionBelowEvent {
        /// The retention in bytes.
        retention: u64,
        /// The largest event in bytes.
        event: usize,
    },
    /// The broker can't start.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_each_bad_value_is_named() {
        assert_eq!(Config::default().check(), Ok(()));
        let mut config = Config::default();
        config.limits.connections = 0;
        assert_eq!(config.check(), Err(ConfigError::Zero { field: "limits.connections" }));
        let mut config = Config::default();
        config.sse.heartbeat = Duration::ZERO;
        assert_eq!(config.check(), Err(ConfigError::Zero { field: "sse.heartbeat" }));
        let mut config = Config::default();
        config.retention.bytes = 100;
        assert!(config.check().unwrap_err().to_string().contains("retention.bytes"));
        (config.retention.bytes, config.limits.event_bytes) = (100, 100);
        config.limits.log_bytes = LEAST_LOG_BYTES;
        assert_eq!(config.check(), Ok(()));
        config.retention.bytes = LEAST_LOG_BYTES / 4 + 1;
        let least = LEAST_LOG_BYTES + 4;
        let logs = config.limits.log_bytes;
        assert_eq!(config.check(), Err(ConfigError::LogsBelowRetention { logs, least }));
        (config.retention.bytes, config.limits.log_bytes) = (100, LEAST_LOG_BYTES - 1);
        assert!(config.check().is_err());
        let mut config = Config::default();
        config.limits.event_bytes = usize::MAX;
        assert!(matches!(config.check(), Err(ConfigError::EventTooLarge { .. })));
    }
}
