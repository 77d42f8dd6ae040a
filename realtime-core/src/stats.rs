//! What happened so far: counters, and the snapshot of them that users read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

mod spread;

use spread::Spread;
pub(crate) use spread::thread_number;

/// A snapshot of a hub's counters; see [`Hub::stats`](crate::Hub::stats).
///
/// The counters are read one after the other while the hub goes on, so sums over them may be off by
/// what happened in between. Counts never go down, gauges do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct HubStats {
    /// Gauge: open Server-Sent Events streams.
    pub connections_sse: u64,
    /// Gauge: open WebSocket connections.
    pub connections_websocket: u64,
    /// Gauge: TCP connections that our `serve` helpers hold for HTTP, those of event streams included.
    pub sockets: u64,
    /// Gauge: subjects of identities that have connections.
    pub identities: u64,
    /// Gauge: subscriptions, those of connections included.
    pub subscriptions: u64,
    /// Gauge: topics in the table.
    pub topics: u64,
    /// Gauge: bytes of events that the topics retain.
    pub retained_bytes: u64,
    /// Gauge: bytes of memory that the topics' logs take, encoded copies included; see
    /// [`Limits::log_bytes`](crate::Limits::log_bytes).
    pub log_bytes: u64,
    /// Gauge: events that the slowest subscription on any topic has yet to take.
    pub max_lag: u64,
    /// Count: events appended to a topic.
    pub published: u64,
    /// Count: events that topics let go of before their retention, since all logs together took too
    /// much memory; see [`Limits::log_bytes`](crate::Limits::log_bytes).
    pub evicted: u64,
    /// Count: events taken by subscriptions.
    pub delivered: u64,
    /// Count: events that subscriptions were told to have missed.
    pub missed: u64,
    /// Count: events that a newer one of the same key replaced for a slow subscription.
    pub conflated: u64,
    /// Count: subscriptions ended by [`Overflow::Disconnect`](crate::Overflow::Disconnect).
    pub slow_disconnects: u64,
    /// Count: subscriptions that asked to resume and could not.
    pub resets: u64,
    /// Count: requests that were refused.
    pub rejected: u64,
    /// Count: TCP connections that were reset since there were too many.
    pub sockets_refused: u64,
    /// Count: messages that WebSocket clients sent.
    pub messages_received: u64,
    /// Count: bytes handed to the frameworks' sockets and bodies, framing included.
    pub bytes_sent: u64,
}

/// The counters behind [`HubStats`]; relaxed atomics, since none orders anything. Those that each batch
/// adds to are spread over threads.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) connections_sse: AtomicU64,
    pub(crate) connections_websocket: AtomicU64,
    pub(crate) subscriptions: AtomicU64,
    pub(crate) published: AtomicU64,
    pub(crate) evicted: AtomicU64,
    pub(crate) delivered: Spread,
    pub(crate) missed: AtomicU64,
    pub(crate) conflated: AtomicU64,
    pub(crate) slow_disconnects: AtomicU64,
    pub(crate) resets: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) sockets_refused: AtomicU64,
    pub(crate) messages_received: AtomicU64,
    pub(crate) bytes_sent: Spread,
}

impl Counters {
    pub(crate) fn snapshot(&self) -> HubStats {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        HubStats {
            connections_sse: read(&self.connections_sse),
            connections_websocket: read(&self.connections_websocket),
            subscriptions: read(&self.subscriptions),
            published: read(&self.published),
            evicted: read(&self.evicted),
            delivered: self.delivered.sum(),
            missed: read(&self.missed),
            conflated: read(&self.conflated),
            slow_disconnects: read(&self.slow_disconnects),
            resets: read(&self.resets),
            rejected: read(&self.rejected),
            sockets_refused: read(&self.sockets_refused),
            messages_received: read(&self.messages_received),
            bytes_sent: self.bytes_sent.sum(),
            sockets: 0,
            identities: 0,
            topics: 0,
            retained_bytes: 0,
            log_bytes: 0,
            max_lag: 0,
        }
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, n: u64) {
    if n > 0 {
        counter.fetch_add(n, Relaxed);
    }
}

/// What became of the events that one subscription was to get.
///
/// The conservation law: once a subscription has taken everything that is there,
/// `delivered + missed + conflated` is the number of events published to its topics since it
/// subscribed, and of those that it was replayed at its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionCounts {
    /// Events taken.
    pub delivered: u64,
    /// Events that a [`Gap`](crate::Gap) stood for.
    pub missed: u64,
    /// Events that a newer one of the same key replaced, or that left the topic's log when it had
    /// more keys than [`Retention::keys`](crate::Retention::keys); a [`Gap`](crate::Gap) without a
    /// number tells of the latter.
    pub conflated: u64,
}

impl SubscriptionCounts {
    /// Adds what has come since `before` to the hub's counters.
    pub(crate) fn report_since(&self, before: &Self, counters: &Counters) {
        counters.delivered.add(self.delivered - before.delivered);
        add(&counters.missed, self.missed - before.missed);
        add(&counters.conflated, self.conflated - before.conflated);
    }
}
